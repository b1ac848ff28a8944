//! Reading a backup: checking it, and filling an empty database from it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use protocol::{
    codes::Code,
    ids::EpochId,
    jose::{Jws, PublicKey},
};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    KEYS, LedgerHead, MANIFEST, Manifest, Progress, SIGNATURE, Step, TYP, Unsealer, VERSION,
    audit::Audit,
    hex, invalid,
    section::{check_bytes, read},
    table_section,
};
use crate::{
    clock::{Host, Micros},
    domain::{epoch, rebuild},
    error::{Error, Result},
    store::{Conn, archive, missions},
};

/// Tables that backups of earlier versions do not have.
const ADDED: &[&str] = &["audit", "evidence_readers"];

/// A backup that can be read.
#[derive(Debug)]
pub struct Opened {
    pub(super) folder: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
    text: Vec<u8>,
    pub(super) unsealer: Unsealer,
    /// Where its evidence lies, if not beside it.
    pub(super) shelf: Option<PathBuf>,
}

/// A file of the keys: its path in `keys/`, and what it says.
pub type SecretFile = (String, Zeroizing<String>);

/// What a restore left.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The new name of the server's history.
    pub epoch: EpochId,
    /// Entries.
    pub entries: u64,
}

#[derive(Deserialize)]
struct Claim {
    sha256: String,
}

/// A backup's manifest, and its text.
///
/// # Errors
/// `backup_invalid`: not a backup, or of a later version.
pub(super) fn read_manifest(folder: &Path) -> Result<(Manifest, Vec<u8>)> {
    let path = folder.join(MANIFEST);
    let text = fs::read(&path).map_err(|error| {
        Error::refused(
            Code::BackupInvalid,
            format!("{} is not a backup: {error}", folder.display()),
        )
    })?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| invalid(MANIFEST, error))?;
    if manifest.v != VERSION {
        let why = format!("version {} is not read here", manifest.v);
        return Err(invalid(MANIFEST, why));
    }
    let outside = |file: &str| file.starts_with('/') || file.split('/').any(|part| part == "..");
    if let Some(section) = manifest.sections.iter().find(|one| outside(&one.file)) {
        return Err(invalid(MANIFEST, format!("names {}", section.file)));
    }
    Ok((manifest, text))
}

impl Opened {
    /// Reads a backup's manifest.
    ///
    /// # Errors
    /// `backup_invalid`: not a backup, or of a later version.
    pub fn open(folder: &Path, unsealer: Unsealer) -> Result<Self> {
        let (manifest, text) = read_manifest(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            manifest,
            text,
            unsealer,
            shelf: None,
        })
    }

    /// Whether the manifest was signed by the server that the backup is of.
    ///
    /// # Errors
    /// `backup_invalid`.
    pub fn check_signature(&self, key: &PublicKey) -> Result<()> {
        if key.thumbprint() != self.manifest.receipt_key {
            return Err(invalid(MANIFEST, "these keys are of another server"));
        }
        let forged = || invalid(SIGNATURE, "does not sign this manifest");
        let text = fs::read_to_string(self.folder.join(SIGNATURE)).map_err(|_| forged())?;
        let jws = Jws::parse(text.trim()).map_err(|_| forged())?;
        let claim: Claim = jws
            .verify(key, TYP)
            .ok()
            .and_then(|claim| serde_json::from_slice(claim).ok())
            .ok_or_else(forged)?;
        if claim.sha256 == hex(&Sha256::digest(&self.text)) {
            Ok(())
        } else {
            Err(forged())
        }
    }

    /// Whether its words can be read here: it is not sealed, or an identity was
    /// given.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.manifest.is_sealed() || !self.unsealer.is_empty()
    }

    /// Checks every byte but those of evidence; and, where it can be read, every
    /// row and the chains.
    ///
    /// # Errors
    /// `backup_invalid`, naming the file or the row.
    pub fn check(&self, progress: Progress<'_>) -> Result<()> {
        if !self.is_open() {
            for section in &self.manifest.sections {
                progress(Step::Rows(&section.file, 0));
                check_bytes(&self.folder, section)?;
            }
            return Ok(());
        }
        self.rows(&mut |_, _| Ok(()), progress)?;
        let tables = |file: &str| file.starts_with("tables/");
        for section in self
            .manifest
            .sections
            .iter()
            .filter(|one| !tables(&one.file))
        {
            check_bytes(&self.folder, section)?;
        }
        Ok(())
    }

    /// The keys it holds; none if it is not sealed.
    ///
    /// # Errors
    /// `backup_invalid`.
    pub fn keys(&self) -> Result<Vec<SecretFile>> {
        let mut files = Vec::new();
        if let Some(section) = self.manifest.section(KEYS) {
            read(&self.folder, section, &self.unsealer, &mut |mut line| {
                let mut text = |name: &str| match line.remove(name) {
                    Some(Value::String(text)) => Ok(text),
                    _ => Err(invalid(KEYS, format!("a row without `{name}`"))),
                };
                files.push((text("file")?, Zeroizing::new(text("text")?)));
                Ok(())
            })?;
        }
        Ok(files)
    }

    /// Fills an empty database, and begins a new history there. Runs inside
    /// `Store::write`: all of it or nothing.
    ///
    /// # Errors
    /// `already_exists` if the database holds anything; `backup_invalid`.
    pub fn load(&self, conn: &mut Conn, host: &Host, progress: Progress<'_>) -> Result<Restored> {
        archive::take_time(conn)?;
        for table in archive::TABLES {
            if (table.count)(conn)? > 0 {
                return Err(Error::refused(
                    Code::AlreadyExists,
                    format!(
                        "the database is not empty (`{}`); restore into an empty one",
                        table.name
                    ),
                ));
            }
        }
        let entries = self.rows(
            &mut |table, line| match archive::table(table) {
                // Files count once their bytes are there: see `bring`.
                Some(table) if table.name != "evidence_files" => (table.load)(conn, line),
                _ => Ok(()),
            },
            progress,
        )?;
        if missions::epoch(conn)? != Some(self.manifest.epoch) {
            return Err(invalid(
                "server_state",
                "another history than the manifest names",
            ));
        }
        let made_at = Micros::parse(&self.manifest.created_at);
        let cause = epoch::Cause::Restored { made_at };
        let renewed = epoch::renew(conn, host, self.manifest.epoch, cause)?
            .ok_or_else(|| Error::Internal("the epoch was not renewed".into()))?;
        missions::set_restored(conn, self.manifest.id)?;
        rebuild::run(conn, &mut |done| progress(Step::Rows("rebuilding", done)))?;
        Ok(Restored {
            epoch: renewed,
            entries,
        })
    }

    /// Hands out every row of every table, audited. Answers how many entries.
    fn rows(
        &self,
        sink: &mut dyn FnMut(&str, &archive::Line) -> Result<()>,
        progress: Progress<'_>,
    ) -> Result<u64> {
        let mut audit = Audit::default();
        let mut entries = 0;
        for table in archive::TABLES {
            let name = table_section(table.name);
            let Some(section) = self.manifest.section(&name) else {
                if ADDED.contains(&table.name) {
                    continue;
                }
                return Err(invalid(MANIFEST, format!("`{name}` is missing")));
            };
            let mut rows = 0;
            read(&self.folder, section, &self.unsealer, &mut |line| {
                audit.row(table.name, &line)?;
                rows += 1;
                progress(Step::Rows(table.name, rows));
                sink(table.name, &line)
            })?;
            if table.name == "entries" {
                entries = rows;
            }
        }
        let ledgers: Vec<LedgerHead> = audit.finish()?;
        if ledgers == self.manifest.ledgers {
            Ok(entries)
        } else {
            Err(invalid("entries", "other ledgers than the manifest names"))
        }
    }
}
