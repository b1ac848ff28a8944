//! Backup and restore, of database and evidence.

use std::{fs, path::Path};

use indicatif::{HumanBytes, ProgressBar};
use protocol::codes::Code;
use serde_json::{Value, json};

use super::{
    Desk,
    args::{Backup, Common, Restore},
    configuration,
    out::Out,
    setup,
};
use crate::{
    clock::Host,
    config::{Config, Durability},
    domain::{
        audit::{Act, By, Deed},
        backup::{
            self, Brought, Files, Losses, Made, Manifest, Opened, Recipients, SecretFile, Source,
            Step, Target, Unsealer, Wish,
        },
    },
    error::{Error, Result},
    keys::Keys,
    store::{Store, missions, objects::Objects, presence::Presence},
};

/// Rows between two signs of progress.
const STEP: u64 = 1_000;

pub(super) fn backup(desk: &Desk, wish: Backup, out: Out) -> Result<()> {
    let files = if wish.without_evidence {
        None
    } else {
        Some(files(&desk.config)?)
    };
    let source = Source {
        store: &desk.store,
        keys: &desk.keys,
        host: &desk.host,
        files: files.as_ref(),
    };
    let wish = Wish {
        recipients: Recipients::read(&wish.recipient)?,
        output: wish.output,
        prune: wish.prune,
    };
    let bar = Bar::new(out);
    let made = backup::write(&source, &wish, &mut |step| bar.show(step));
    bar.clear();
    let made = made?;
    // The backup shows the moment before: it cannot hold its own mention.
    desk.store.write(|conn| {
        let details = json!({ "backup": made.manifest.id, "sealed": !wish.recipients.is_empty() });
        Deed::new(&desk.host, By::CommandLine, Act::Backup, details).note_everywhere(conn)
    })?;
    let folder = wish.output.display();
    let keys = if wish.recipients.is_empty() {
        format!(
            "It is not sealed, and the keys are not in it: without a copy of {} phones will not\n\
             trust a server restored from it.",
            desk.config.keys_folder().display()
        )
    } else {
        "It is sealed, and the keys are in it.".to_owned()
    };
    let lost = made.evidence.as_ref().map(|evidence| &evidence.lost);
    if let Some(lost) = lost.filter(|lost| lost.count > 0) {
        let why = format!(
            "{folder} was made, but {} file(s) of evidence could not be read and are not in it",
            lost.count
        );
        return Err(losses(why, lost)?.with("folder", folder.to_string()));
    }
    out.answer(
        &json!({
            "folder": wish.output,
            "backup": about(&made.manifest),
            "evidence": made.evidence,
            "durable": made.durable,
            "pruned": made.pruned.map(|(files, bytes)| json!({"files": files, "bytes": bytes})),
        }),
        &format!(
            "{folder} holds {} as of {}, read back and found whole.\n{}\n{keys}",
            entries_of(&made.manifest),
            made.manifest.created_at,
            evidence_of(&made),
        ),
    )
}

/// What became of evidence, for a person.
fn evidence_of(made: &Made) -> String {
    let Some(evidence) = &made.evidence else {
        return "It holds no evidence.".to_owned();
    };
    let mut text = format!(
        "It holds {} file(s) of evidence, {}; {} of them, {}, are new and were copied.\n\
         Phones may let go of {} that no backup held before.",
        evidence.files,
        HumanBytes(evidence.bytes),
        evidence.copied,
        HumanBytes(evidence.copied_bytes),
        made.durable,
    );
    if let Some((files, bytes)) = made.pruned {
        text.push_str(&format!(
            "\n{files} copies, {}, that no backup names were removed.",
            HumanBytes(bytes)
        ));
    }
    text
}

/// Some files are not to be had: what else was done stands.
fn losses(why: String, lost: &Losses) -> Result<Error> {
    let first = serde_json::to_value(&lost.first).map_err(|e| Error::Internal(e.to_string()))?;
    Ok(Error::refused(Code::EvidenceLost, why)
        .with("lost", lost.count)
        .with("first", first))
}

/// The server's files.
fn files(config: &Config) -> Result<Files> {
    Files::new(Objects::open(&config.evidence()?)?)
}

fn open(wish: &Restore) -> Result<Opened> {
    let mut opened = Opened::open(&wish.folder, Unsealer::read(&wish.identity)?)?;
    if let Some(folder) = &wish.evidence_store {
        opened.set_shelf(folder.clone());
    }
    Ok(opened)
}

fn open_to_read(wish: &Restore) -> Result<Opened> {
    let opened = open(wish)?;
    if !opened.is_open() {
        return Err(Error::refused(
            Code::BackupInvalid,
            "the backup is sealed; name a file with an identity: --identity FILE",
        ));
    }
    if !wish.without_evidence {
        opened.check_shelf()?;
    }
    Ok(opened)
}

pub(super) fn restore(common: &Common, host: Host, wish: &Restore, out: Out) -> Result<()> {
    if wish.check {
        return check(&open(wish)?, wish, out);
    }
    let opened = open_to_read(wish)?;
    let data = &common.data;
    if data.join("keys").exists() {
        let why = format!(
            "{} is a data folder already; nothing was changed",
            data.display()
        );
        return Err(Error::refused(Code::AlreadyExists, why));
    }
    let files = keys_for(&opened, wish.keys.as_deref())?;
    setup::make_folder(common)?;
    setup::write_settings(common)?;
    let config = configuration(common)?;
    let alone = Presence::alone(data, &config.database()?)?;
    prepare_keys(&config, &opened, &files)?;
    let store = Store::open(&config.database()?, 2)?;
    let entries = fill(&store, &host, &opened, out)?;
    let brought = bring_into(&config, &store, &host, &opened, !wish.without_evidence, out)?;
    setup::place_keys(&config)?;
    drop(alone);
    let manifest = &opened.manifest;
    let done = format!(
        "{} holds {} again, as of {}.",
        data.display(),
        entries_of(manifest),
        manifest.created_at
    );
    check_losses(&done, &brought, wish)?;
    out.answer(
        &json!({
            "data": data,
            "backup": about(manifest),
            "entries": entries,
            "evidence": brought,
        }),
        &format!(
            "{done}\n{}\n\
             The server's history has a new name. Phones offer again what it lacks; see\n\
             `scrutineer recovery` for what has come back.",
            brought_words(&brought),
        ),
    )
}

/// Brings evidence alone into a data folder that is there.
pub(super) fn bring(desk: &Desk, wish: &Restore, out: Out) -> Result<()> {
    let opened = open_to_read(wish)?;
    opened.check_signature(&desk.keys.receipt_public)?;
    let brought = bring_into(&desk.config, &desk.store, &desk.host, &opened, true, out)?;
    check_losses("The others are there.", &brought, wish)?;
    out.answer(
        &json!({"backup": about(&opened.manifest), "evidence": brought}),
        &brought_words(&brought),
    )
}

fn bring_into(
    config: &Config,
    store: &Store,
    host: &Host,
    opened: &Opened,
    copy: bool,
    out: Out,
) -> Result<Brought> {
    let target = Target {
        store,
        files: &files(config)?,
        host,
        durable_there: config.evidence_durable == Durability::Stored,
        copy,
    };
    let bar = Bar::new(out);
    let brought = opened.bring(&target, &mut |step| bar.show(step));
    bar.clear();
    brought
}

/// Files that should have come and did not. Without evidence nobody expects them.
fn check_losses(done: &str, brought: &Brought, wish: &Restore) -> Result<()> {
    if wish.without_evidence || brought.lost.count == 0 {
        return Ok(());
    }
    let why = format!(
        "{} file(s) of evidence could not be brought back; phones that still have them send them \
         again. {done}",
        brought.lost.count
    );
    Err(losses(why, &brought.lost)?)
}

fn brought_words(brought: &Brought) -> String {
    let mut text = format!(
        "{} file(s) of evidence were brought back, {}; {} were there.",
        brought.copied,
        HumanBytes(brought.copied_bytes),
        brought.there
    );
    if brought.lost.count > 0 {
        text.push_str(&format!(
            " {} are not: phones that still have\nthem send them again, or \
             `scrutineer restore FOLDER --evidence-only` brings them.",
            brought.lost.count
        ));
    }
    text
}

/// Fills the database; or finds it filled from this very backup by a restore
/// that was cut short before the keys were in place.
fn fill(store: &Store, host: &Host, opened: &Opened, out: Out) -> Result<Option<u64>> {
    let id = opened.manifest.id;
    if store.read(|conn| missions::is_restored_from(conn, id))? {
        return Ok(None);
    }
    let bar = Bar::new(out);
    let restored = store.write(|conn| {
        let restored = opened.load(conn, host, &mut |step| bar.show(step))?;
        let details = json!({ "backup": id, "made_at": opened.manifest.created_at });
        Deed::new(host, By::CommandLine, Act::Restore, details).note_everywhere(conn)?;
        Ok(restored)
    });
    bar.clear();
    Ok(Some(restored?.entries))
}

fn check(opened: &Opened, wish: &Restore, out: Out) -> Result<()> {
    let bar = Bar::new(out);
    let mut checked = opened.check(&mut |step| bar.show(step));
    if checked.is_ok() && !wish.without_evidence {
        checked = opened.check_evidence(&mut |step| bar.show(step));
    }
    bar.clear();
    checked?;
    let signed = if opened.is_open() || wish.keys.is_some() {
        match keys_for(opened, wish.keys.as_deref()) {
            Ok(files) => {
                let folder = tempfile::tempdir().map_err(Error::io("a temporary folder"))?;
                let folder = folder.path().join("keys");
                Keys::write_files(&folder, &files)?;
                opened.check_signature(&Keys::load(&folder)?.receipt_public)?;
                true
            }
            Err(error) if wish.keys.is_some() => return Err(error),
            Err(_) => false,
        }
    } else {
        false
    };
    let depth = match (opened.is_open(), signed) {
        (true, true) => "Every row, the chains and the signature are right.",
        (true, false) => "Every row and the chains are right; the signature needs --keys.",
        (false, _) => "Every file is the one that was written; its rows need --identity.",
    };
    out.answer(
        &json!({
            "backup": about(&opened.manifest),
            "rows_checked": opened.is_open(),
            "evidence_checked": opened.has_evidence() && !wish.without_evidence,
            "signature_checked": signed,
        }),
        &format!(
            "{} as of {}\n{depth}",
            entries_of(&opened.manifest),
            opened.manifest.created_at
        ),
    )
}

/// The keys: the backup's own, or those of a folder.
fn keys_for(opened: &Opened, folder: Option<&Path>) -> Result<Vec<SecretFile>> {
    let files = match folder {
        Some(folder) => Keys::load(folder)?.files()?,
        None => opened.keys()?,
    };
    if files.is_empty() {
        return Err(Error::refused(
            Code::BackupInvalid,
            "the backup holds no keys; name a copy of the folder: --keys FOLDER",
        ));
    }
    Ok(files)
}

/// Makes the keys ready beside their place, and checks by them whose backup this
/// is.
fn prepare_keys(config: &Config, opened: &Opened, files: &[SecretFile]) -> Result<()> {
    let partial = setup::partial_keys(&config.data);
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(Error::io(&partial))?;
    }
    Keys::write_files(&partial, files)?;
    opened.check_signature(&Keys::load(&partial)?.receipt_public)
}

fn about(manifest: &Manifest) -> Value {
    json!({
        "id": manifest.id,
        "created_at": manifest.created_at,
        "epoch": manifest.epoch,
        "sealed": !manifest.recipients.is_empty(),
        "ledgers": manifest.ledgers,
        "evidence": manifest.evidence,
    })
}

fn entries_of(manifest: &Manifest) -> String {
    let entries: u64 = manifest.ledgers.iter().map(|ledger| ledger.number).sum();
    let missions = manifest.ledgers.len();
    let files = manifest.evidence.map_or(0, |held| held.files);
    format!("{missions} mission(s) with {entries} ledger entries and {files} file(s) of evidence")
}

/// Progress on a terminal.
struct Bar(Option<ProgressBar>);

impl Bar {
    fn new(out: Out) -> Self {
        Self(out.is_watched().then(ProgressBar::new_spinner))
    }

    fn show(&self, step: Step<'_>) {
        let Some(bar) = &self.0 else { return };
        match step {
            Step::Rows(what, rows) if rows.is_multiple_of(STEP) => {
                bar.set_message(format!("{what}: {rows}"));
            }
            Step::Rows(..) => return,
            Step::Bytes(done, total) => {
                let (done, total) = (HumanBytes(done), HumanBytes(total));
                bar.set_message(format!("evidence: {done} of {total}"));
            }
        }
        bar.tick();
    }

    fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
