//! Backups: a folder of files that either database can be restored from.
//!
//! | file | what |
//! |---|---|
//! | `manifest.json` | what it is of, and each section's size, SHA-256 and rows |
//! | `manifest.jws` | the SHA-256 of `manifest.json` under the server's receipt key |
//! | `tables/NAME.jsonl.gz` | a table: a JSON object a row, in the order of the primary key |
//! | `keys.jsonl.gz` | the files of `keys/`; only in a backup that is sealed |
//!
//! A backup sealed to recipients (age) has `.age` behind each section's name. A
//! section of another kind, such as evidence, is one more file in the manifest;
//! a reader that does not know it checks it and leaves it.

mod audit;
mod restore;
mod section;
mod write;

use std::path::Path;

use protocol::{
    codes::Code,
    ids::{EntryHash, EpochId, MissionId},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use restore::{Opened, Restored, SecretFile};
pub use section::{Recipients, Unsealer};
pub use write::{Wish, write};

use crate::error::{Error, Result};

/// Version of this form.
const VERSION: u32 = 1;
/// `typ` of the manifest's signature.
const TYP: &str = "scrutineer-backup+jwt";
const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "manifest.jws";
/// Name of the section that holds the keys, before its endings.
const KEYS: &str = "keys";

/// How far a backup or a restore has come: what is at work, and rows done.
pub type Progress<'a> = &'a mut dyn FnMut(&str, u64);

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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
