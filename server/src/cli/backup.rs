//! Backup and restore.

use std::{fs, path::Path};

use indicatif::ProgressBar;
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
    config::Config,
    domain::backup::{self, Manifest, Opened, Recipients, SecretFile, Unsealer, Wish},
    error::{Error, Result},
    keys::Keys,
    store::{Store, missions, presence::Presence},
};

/// Rows between two signs of progress.
const STEP: u64 = 1_000;

pub(super) fn backup(desk: &Desk, wish: Backup, out: Out) -> Result<()> {
    let wish = Wish {
        recipients: Recipients::read(&wish.recipient)?,
        output: wish.output,
    };
    let bar = Bar::new(out);
    let made = backup::write(
        &desk.store,
        &desk.keys,
        &desk.host,
        &wish,
        &mut |what, rows| {
            bar.show(what, rows);
        },
    );
    bar.clear();
    let manifest = made?;
    let keys = if wish.recipients.is_empty() {
        format!(
            "It is not sealed, and the keys are not in it: without a copy of {} phones will not\n\
             trust a server restored from it.",
            desk.config.keys_folder().display()
        )
    } else {
        "It is sealed, and the keys are in it.".to_owned()
    };
    out.answer(
        &json!({"folder": wish.output, "backup": about(&manifest)}),
        &format!(
            "{} holds {} as of {}, read back and found whole.\n{keys}",
            wish.output.display(),
            entries_of(&manifest),
            manifest.created_at
        ),
    )
}

pub(super) fn restore(common: &Common, host: Host, wish: &Restore, out: Out) -> Result<()> {
    let opened = Opened::open(&wish.folder, Unsealer::read(&wish.identity)?)?;
    if wish.check {
        return check(&opened, wish, out);
    }
    if !opened.is_open() {
        return Err(Error::refused(
            Code::BackupInvalid,
            "the backup is sealed; name a file with an identity: --identity FILE",
        ));
    }
    let data = &common.data;
    if data.join("keys").exists() {
        let why = format!(
            "{} is a data folder already; nothing was changed",
            data.display()
        );
        return Err(Error::refused(Code::AlreadyExists, why));
    }
    let files = keys_for(&opened, wish.keys.as_deref())?;
    setup::make_folder(data)?;
    setup::write_settings(common)?;
    let config = configuration(common)?;
    let alone = Presence::alone(data, &config.database()?)?;
    prepare_keys(&config, &opened, &files)?;
    let entries = fill(&config, &host, &opened, out)?;
    setup::place_keys(&config)?;
    drop(alone);
    let manifest = &opened.manifest;
    out.answer(
        &json!({"data": data, "backup": about(manifest), "entries": entries}),
        &format!(
            "{} holds {} again, as of {}.\n\
             The server's history has a new name. Phones offer again what it lacks; see\n\
             `scrutineer recovery` for what has come back.",
            data.display(),
            entries_of(manifest),
            manifest.created_at
        ),
    )
}

/// Fills the database; or finds it filled from this very backup by a restore
/// that was cut short before the keys were in place.
fn fill(config: &Config, host: &Host, opened: &Opened, out: Out) -> Result<Option<u64>> {
    let store = Store::open(&config.database()?, 2)?;
    let id = opened.manifest.id;
    if store.read(|conn| missions::is_restored_from(conn, id))? {
        return Ok(None);
    }
    let bar = Bar::new(out);
    let restored =
        store.write(|conn| opened.load(conn, host, &mut |what, rows| bar.show(what, rows)));
    bar.clear();
    Ok(Some(restored?.entries))
}

fn check(opened: &Opened, wish: &Restore, out: Out) -> Result<()> {
    let bar = Bar::new(out);
    let checked = opened.check(&mut |what, rows| bar.show(what, rows));
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
    })
}

fn entries_of(manifest: &Manifest) -> String {
    let entries: u64 = manifest.ledgers.iter().map(|ledger| ledger.number).sum();
    let missions = manifest.ledgers.len();
    format!("{missions} mission(s) with {entries} ledger entries")
}

/// Progress on a terminal.
struct Bar(Option<ProgressBar>);

impl Bar {
    fn new(out: Out) -> Self {
        Self(out.is_watched().then(ProgressBar::new_spinner))
    }

    fn show(&self, what: &str, rows: u64) {
        if let Some(bar) = self.0.as_ref().filter(|_| rows.is_multiple_of(STEP)) {
            bar.set_message(format!("{what}: {rows}"));
            bar.tick();
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
