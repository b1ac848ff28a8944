//! Writing a backup, while servers run: one snapshot of the database, read back
//! before it is called a backup.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use protocol::{codes::Code, ids::EpochId, jose::Jws};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    Collected, Files, Held, KEYS, LedgerHead, MANIFEST, Manifest, Opened, Progress, Recipients,
    SIGNATURE, Section, Step, TYP, Unsealer, VERSION,
    audit::{Audit, mission_of},
    collect::{self, Collector, row_of, wanted},
    hex, make_folder,
    section::Writer,
    shelf::{Shelf, Wanted},
    sync_folder, table_section,
};
use crate::{
    clock::Host,
    error::{Error, Result},
    keys::{self, Keys},
    store::{Store, archive, archive::Line, evidence, missions},
};

/// Use of the secret that names of sealed copies are made with.
const NAMES: &str = "scrutineer-backup-names-v1";
/// How a folder's name ends until it is complete.
const PARTIAL: &str = ".scrutineer-partial";
/// Files noted as durable in one transaction.
const BATCH: usize = 1_000;

/// What is wished for.
#[derive(Debug)]
pub struct Wish {
    /// The folder to make.
    pub output: PathBuf,
    /// To whom it is sealed. Only a sealed backup holds the keys.
    pub recipients: Recipients,
    /// Whether to remove copies of evidence that no backup beside it names.
    pub prune: bool,
}

/// What a backup is made of.
#[derive(Debug)]
pub struct Source<'a> {
    /// The database.
    pub store: &'a Store,
    /// The keys.
    pub keys: &'a Keys,
    /// Time and randomness.
    pub host: &'a Host,
    /// The files of evidence; `None`: without them.
    pub files: Option<&'a Files>,
}

/// A backup that was made.
#[derive(Debug)]
pub struct Made {
    /// What it says of itself.
    pub manifest: Manifest,
    /// What became of evidence; `None`: it was made without.
    pub evidence: Option<Collected>,
    /// Files that are durable now and were not before.
    pub durable: usize,
    /// Copies that were removed because no backup names them, and their bytes.
    pub pruned: Option<(u64, u64)>,
}

/// Writes a backup and reads it back. Whatever ends it early, no folder of the
/// wished name is left, and no file is called durable.
///
/// # Errors
/// `already_exists`; `backup_running`; a store's; a file that cannot be written.
pub fn write(source: &Source<'_>, wish: &Wish, progress: Progress<'_>) -> Result<Made> {
    if wish.output.exists() {
        let why = format!("{} exists already; name another", wish.output.display());
        return Err(Error::refused(Code::AlreadyExists, why));
    }
    let partial = partial_of(&wish.output)?;
    let beside = parent_of(&wish.output);
    let shelf = (source.files.is_some() || wish.prune)
        .then(|| Shelf::open(&beside, &wish.recipients, source.keys.secret_for(NAMES)))
        .transpose()?;
    if partial.exists() {
        // Of a backup that was cut short.
        fs::remove_dir_all(&partial).map_err(Error::io(&partial))?;
    }
    let filled = fill(&partial, source, shelf.as_ref(), wish, progress);
    if filled.is_err() {
        // The first error tells more than one of tidying up.
        fs::remove_dir_all(&partial).ok();
    }
    let filled = filled?;
    fs::rename(&partial, &wish.output).map_err(Error::io(&wish.output))?;
    sync_folder(&beside)?;
    let durable = set_durable(source, &filled.held)?;
    let pruned = shelf
        .filter(|_| wish.prune)
        .map(|shelf| collect::prune(&beside, &shelf))
        .transpose()?;
    Ok(Made {
        manifest: filled.manifest,
        evidence: filled.evidence,
        durable,
        pruned,
    })
}

/// Notes that the files of a backup outlive the server's disk. Answers how many
/// did not before.
fn set_durable(source: &Source<'_>, held: &[Wanted]) -> Result<usize> {
    let mut durable = 0;
    for mission in held.chunk_by(|one, next| one.no == next.no) {
        for some in mission.chunks(BATCH) {
            let names: Vec<_> = some.iter().map(|one| one.file.0.to_vec()).collect();
            let now = source.host.now();
            durable += source
                .store
                .write(|conn| evidence::set_durable(conn, some[0].no, &names, now))?;
        }
    }
    Ok(durable)
}

struct Filled {
    manifest: Manifest,
    evidence: Option<Collected>,
    /// The files that it holds.
    held: Vec<Wanted>,
}

fn fill(
    folder: &Path,
    source: &Source<'_>,
    shelf: Option<&Shelf>,
    wish: &Wish,
    progress: Progress<'_>,
) -> Result<Filled> {
    let (keys, host) = (source.keys, source.host);
    let mut collector = source
        .files
        .zip(shelf)
        .map(|(files, shelf)| Collector::new(source.store, files, shelf));
    if let Some(collector) = &mut collector {
        collector.ahead(progress)?;
    }
    make_folder(folder)?;
    make_folder(&folder.join("tables"))?;
    let mut sections = Vec::new();
    if !wish.recipients.is_empty() {
        sections.push(write_keys(folder, keys, &wish.recipients)?);
    }
    let snapshot = write_tables(folder, source.store, host, &wish.recipients, progress)?;
    sections.extend(snapshot.sections);
    let (mut evidence, mut held) = (None, Vec::new());
    if let Some(collector) = collector {
        let written = collector.write_down(folder, &wish.recipients, &snapshot.files, progress)?;
        sections.extend(written.sections);
        (evidence, held) = (Some(written.collected), written.held);
    }
    let manifest = Manifest {
        v: VERSION,
        id: host.uuid(),
        created_at: snapshot.taken_at,
        program: format!("scrutineer/{}", env!("CARGO_PKG_VERSION")),
        epoch: snapshot.epoch,
        receipt_key: keys.receipt_kid.clone(),
        recipients: wish.recipients.texts(),
        ledgers: snapshot.ledgers,
        evidence: evidence.as_ref().map(|collected| Held {
            files: collected.files,
            bytes: collected.bytes,
        }),
        sections,
    };
    seal_manifest(folder, keys, &manifest)?;
    sync_folder(&folder.join("tables"))?;
    sync_folder(folder)?;
    // What cannot be opened here was audited while it was written; the bytes on
    // the disk are compared all the same.
    let opened = Opened::open(folder, Unsealer::default())?;
    opened.check_signature(&keys.receipt_public)?;
    opened.check(progress)?;
    Ok(Filled {
        manifest,
        evidence,
        held,
    })
}

fn seal_manifest(folder: &Path, keys: &Keys, manifest: &Manifest) -> Result<()> {
    let text =
        serde_json::to_vec_pretty(manifest).map_err(|error| Error::Internal(error.to_string()))?;
    let claim = json!({"sha256": hex(&Sha256::digest(&text))}).to_string();
    let signature = Jws::sign(&keys.receipt, TYP, claim.as_bytes())
        .map_err(|error| Error::Internal(error.to_string()))?;
    keys::write_private(&folder.join(MANIFEST), &text)?;
    keys::write_private(&folder.join(SIGNATURE), signature.as_bytes())
}

struct Snapshot {
    taken_at: String,
    epoch: EpochId,
    ledgers: Vec<LedgerHead>,
    sections: Vec<Section>,
    /// The complete files of evidence.
    files: Vec<Wanted>,
}

fn write_tables(
    folder: &Path,
    store: &Store,
    host: &Host,
    recipients: &Recipients,
    progress: Progress<'_>,
) -> Result<Snapshot> {
    store.read(|conn| {
        archive::take_time(conn)?;
        let epoch = missions::epoch(conn)?
            .ok_or_else(|| Error::refused(Code::DataFolderInvalid, "the database is empty"))?;
        let taken_at = host.now().rfc3339();
        let mut audit = Audit::default();
        let (mut sections, mut files) = (Vec::new(), Vec::new());
        let mut ids = HashMap::new();
        for table in archive::TABLES {
            let mut writer = Writer::create(folder, &table_section(table.name), recipients)?;
            let mut rows = 0;
            (table.dump)(conn, &mut |line| {
                audit.row(table.name, &line)?;
                match table.name {
                    "missions" => {
                        let (no, id) = mission_of(&line)?;
                        ids.insert(no, id);
                    }
                    "evidence_files" => {
                        let row = row_of(table.name, &line)?;
                        if let Some(id) = ids.get(&i64::from(row.mission)) {
                            files.push(wanted(*id, &row)?);
                        }
                    }
                    _ => {}
                }
                rows += 1;
                progress(Step::Rows(table.name, rows));
                writer.line(line)
            })?;
            sections.push(writer.finish()?);
        }
        Ok(Snapshot {
            taken_at,
            epoch,
            ledgers: audit.finish()?,
            sections,
            files,
        })
    })
}

fn write_keys(folder: &Path, keys: &Keys, recipients: &Recipients) -> Result<Section> {
    let mut writer = Writer::create(folder, KEYS, recipients)?;
    for (file, text) in keys.files()? {
        let mut line = Line::new();
        line.insert("file".into(), json!(file));
        line.insert("text".into(), json!(*text));
        writer.line(line)?;
    }
    writer.finish()
}

/// Where a backup grows until it is complete: beside its place, so that one
/// rename puts it there.
fn partial_of(output: &Path) -> Result<PathBuf> {
    let name = output.file_name().ok_or_else(|| {
        Error::refused(Code::Usage, format!("{} names no folder", output.display()))
    })?;
    let parent = parent_of(output);
    fs::create_dir_all(&parent).map_err(Error::io(&parent))?;
    Ok(parent.join(format!(".{}{PARTIAL}", name.to_string_lossy())))
}

/// Whether a folder is what a backup that was cut short left.
pub(super) fn is_partial(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') && name.ends_with(PARTIAL)
}

fn parent_of(output: &Path) -> PathBuf {
    match output.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
