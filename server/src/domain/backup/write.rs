//! Writing a backup, while servers run: one snapshot of the database, read back
//! before it is called a backup.

use std::{
    fs,
    path::{Path, PathBuf},
};

use protocol::{codes::Code, ids::EpochId, jose::Jws};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    KEYS, LedgerHead, MANIFEST, Manifest, Opened, Progress, Recipients, SIGNATURE, Section, TYP,
    Unsealer, VERSION, audit::Audit, hex, section::Writer, sync_folder, table_section,
};
use crate::{
    clock::Host,
    error::{Error, Result},
    keys::{self, Keys},
    store::{Store, archive, archive::Line, missions},
};

/// What is wished for.
#[derive(Debug)]
pub struct Wish {
    /// The folder to make.
    pub output: PathBuf,
    /// To whom it is sealed. Only a sealed backup holds the keys.
    pub recipients: Recipients,
}

/// Writes a backup and reads it back. Whatever ends it early, no folder of the
/// wished name is left.
///
/// # Errors
/// `already_exists`; the database's; a file that cannot be written.
pub fn write(
    store: &Store,
    keys: &Keys,
    host: &Host,
    wish: &Wish,
    progress: Progress<'_>,
) -> Result<Manifest> {
    if wish.output.exists() {
        let why = format!("{} exists already; name another", wish.output.display());
        return Err(Error::refused(Code::AlreadyExists, why));
    }
    let partial = partial_of(&wish.output)?;
    if partial.exists() {
        // Of a backup that was cut short.
        fs::remove_dir_all(&partial).map_err(Error::io(&partial))?;
    }
    let made = fill(&partial, store, keys, host, wish, progress);
    if made.is_err() {
        // The first error tells more than one of tidying up.
        fs::remove_dir_all(&partial).ok();
    }
    let manifest = made?;
    fs::rename(&partial, &wish.output).map_err(Error::io(&wish.output))?;
    sync_folder(&parent_of(&wish.output))?;
    Ok(manifest)
}

fn fill(
    folder: &Path,
    store: &Store,
    keys: &Keys,
    host: &Host,
    wish: &Wish,
    progress: Progress<'_>,
) -> Result<Manifest> {
    make_folder(folder)?;
    make_folder(&folder.join("tables"))?;
    let mut sections = Vec::new();
    if !wish.recipients.is_empty() {
        sections.push(write_keys(folder, keys, &wish.recipients)?);
    }
    let snapshot = write_tables(folder, store, host, &wish.recipients, progress)?;
    sections.extend(snapshot.sections);
    let manifest = Manifest {
        v: VERSION,
        id: host.uuid(),
        created_at: snapshot.taken_at,
        program: format!("scrutineer/{}", env!("CARGO_PKG_VERSION")),
        epoch: snapshot.epoch,
        receipt_key: keys.receipt_kid.clone(),
        recipients: wish.recipients.texts(),
        ledgers: snapshot.ledgers,
        sections,
    };
    let text =
        serde_json::to_vec_pretty(&manifest).map_err(|error| Error::Internal(error.to_string()))?;
    let claim = json!({"sha256": hex(&Sha256::digest(&text))}).to_string();
    let signature = Jws::sign(&keys.receipt, TYP, claim.as_bytes())
        .map_err(|error| Error::Internal(error.to_string()))?;
    keys::write_private(&folder.join(MANIFEST), &text)?;
    keys::write_private(&folder.join(SIGNATURE), signature.as_bytes())?;
    sync_folder(&folder.join("tables"))?;
    sync_folder(folder)?;
    // What cannot be opened here was audited while it was written; the bytes on
    // the disk are compared all the same.
    let opened = Opened::open(folder, Unsealer::default())?;
    opened.check_signature(&keys.receipt_public)?;
    opened.check(progress)?;
    Ok(manifest)
}

struct Snapshot {
    taken_at: String,
    epoch: EpochId,
    ledgers: Vec<LedgerHead>,
    sections: Vec<Section>,
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
        let mut sections = Vec::new();
        for table in archive::TABLES {
            let mut writer = Writer::create(folder, &table_section(table.name), recipients)?;
            let mut rows = 0;
            (table.dump)(conn, &mut |line| {
                audit.row(table.name, &line)?;
                rows += 1;
                progress(table.name, rows);
                writer.line(line)
            })?;
            sections.push(writer.finish()?);
        }
        Ok(Snapshot {
            taken_at,
            epoch,
            ledgers: audit.finish()?,
            sections,
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
    Ok(parent.join(format!(".{}.scrutineer-partial", name.to_string_lossy())))
}

fn parent_of(output: &Path) -> PathBuf {
    match output.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn make_folder(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .map_err(Error::io(path))
}
