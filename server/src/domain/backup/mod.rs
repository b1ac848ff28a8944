//! Backups: a folder of files that either database can be restored from.
//!
//! | file | what |
//! |---|---|
//! | `manifest.json` | what it is of, and each section's size, SHA-256 and rows |
//! | `manifest.jws` | the SHA-256 of `manifest.json` under the server's receipt key |
//! | `tables/NAME.jsonl.gz` | a table: a JSON object a row, in the order of the primary key |
//! | `keys.jsonl.gz` | the files of `keys/`; only in a backup that is sealed |
//! | `evidence.jsonl.gz` | where the copy of each file of evidence lies |
//! | `evidence.sha256` | the same copies as `sha256sum` reads them |
//!
//! A backup sealed to recipients (age) has `.age` behind each section's name, but
//! for the last. The copies of evidence are beside the backups, once for all of
//! them: see [`shelf`]. A reader that does not know a section checks it and leaves
//! it.

mod audit;
mod bring;
mod collect;
mod files;
mod layer;
mod restore;
mod section;
mod shelf;
mod write;

use std::path::Path;

use protocol::{
    codes::Code,
    ids::{EntryHash, EpochId, MissionId},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use bring::{Brought, Target};
pub use collect::{Collected, Losses, Lost};
pub use files::Files;
pub use layer::{Recipients, Unsealer};
use restore::read_manifest;
pub use restore::{Opened, Restored, SecretFile};
pub use write::{Made, Source, Wish, write};

use crate::error::{Error, Result};

/// Version of this form.
const VERSION: u32 = 1;
/// `typ` of the manifest's signature.
const TYP: &str = "scrutineer-backup+jwt";
const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "manifest.jws";
/// Name of the section that holds the keys, before its endings.
const KEYS: &str = "keys";

/// Name of the section that says where evidence lies, before its endings.
const EVIDENCE: &str = "evidence";
/// The same for `sha256sum`, never sealed.
const LIST: &str = "evidence.sha256";

/// How far a backup or a restore has come.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// What is at work, and rows done.
    Rows(&'a str, u64),
    /// Bytes of evidence done, and of how many.
    Bytes(u64, u64),
}

/// Hears how far it has come.
pub type Progress<'a> = &'a mut dyn FnMut(Step<'_>);

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the form: 1.
    pub v: u32,
    /// Names this backup.
    pub id: Uuid,
    /// When its snapshot was taken, RFC 3339.
    pub created_at: String,
    /// Version of the program that wrote it.
    pub program: String,
    /// The server's history.
    pub epoch: EpochId,
    /// Thumbprint of the server's receipt key.
    pub receipt_key: String,
    /// To whom it is sealed (age recipients); nobody: it is not sealed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// The ledgers.
    pub ledgers: Vec<LedgerHead>,
    /// The evidence; absent: it was made without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Held>,
    /// The files.
    pub sections: Vec<Section>,
}

/// A ledger at the time of the backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerHead {
    /// The mission.
    pub mission: MissionId,
    /// Its last number.
    pub number: u64,
    /// The chain after it.
    pub chain: EntryHash,
}

/// The evidence of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Its path in the folder.
    pub file: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of those bytes, in hexadecimal as `sha256sum` prints it.
    pub sha256: String,
    /// Rows, for a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

impl Manifest {
    /// The section with this name, whatever its endings.
    fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| {
            let plain = section.file.strip_suffix(".age").unwrap_or(&section.file);
            plain.strip_suffix(".jsonl.gz") == Some(name)
        })
    }

    fn is_sealed(&self) -> bool {
        !self.recipients.is_empty()
    }
}

fn table_section(table: &str) -> String {
    format!("tables/{table}")
}

/// A file of this backup that is not what it must be.
fn invalid(file: &str, why: impl std::fmt::Display) -> Error {
    Error::refused(Code::BackupInvalid, format!("{file}: {why}"))
}

fn sync_folder(path: &Path) -> Result<()> {
    std::fs::File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::io(path))
}

fn make_folder(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .map_err(Error::io(path))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
