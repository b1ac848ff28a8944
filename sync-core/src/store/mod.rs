//! What outlives the process: the journal, and records beside it.
//!
//! A store takes one atomic [`Batch`] at a time and is durable when [`Store::apply`]
//! returns. It sees ciphertext and a few columns. Rows of the journal are only
//! ever added; records can be dropped and are rebuilt from the journal, the
//! server and the host's vault.

mod memory;
mod sqlite;

#[cfg(test)]
mod conformance;

pub use memory::MemoryStore;
pub use sqlite::{JOURNAL_DDL, Opened, RECORDS_DDL, Salvage, SqliteStore};

use async_trait::async_trait;
use protocol::ids::{EntryHash, JournalId};

use crate::seal::Sealed;

/// A row to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRow {
    /// The journal.
    pub journal: JournalId,
    /// Its place there: exactly one more than the journal's last.
    pub seq: u64,
    /// The entry's hash.
    pub hash: EntryHash,
    /// The entry, sealed.
    pub sealed: Sealed,
}

/// A row of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The order of filing in this store, growing.
    pub position: i64,
    /// The row as it was appended.
    pub row: NewRow,
}

/// What a record is about. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Space {
    /// One of a kind: identity, current journal, state of syncing.
    State = 1,
    /// What became of an entry, by its hash.
    Delivery = 2,
    /// A coordinator's decision, by its hash.
    Item = 3,
    /// A receipt, by the hash of its text.
    Receipt = 4,
    /// How a file's upload stands, by the file's sealed name.
    Upload = 5,
    /// Stations and categories, and what is fetched of them, by the register.
    Reference = 16,
    /// That a message was read, by the message's hash.
    Read = 17,
}

/// Key in [`Space::State`] of the journal that new entries go to. Salvage
/// leaves it behind, so that a new journal is opened.
pub const CURRENT_JOURNAL: &[u8] = b"journal";

/// A sealed record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is about.
    pub space: Space,
    /// Its name there.
    pub key: Vec<u8>,
    /// Its content.
    pub sealed: Sealed,
}

/// Everything that changes at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Rows to append to journals, in this order.
    pub append: Vec<NewRow>,
    /// Records to write, replacing those of the same space and key.
    pub put: Vec<Record>,
}

/// Why a store did not do as asked. Nothing of the batch was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A row does not continue its journal, or its hash is there already:
    /// somebody else wrote in between. Read again and try again.
    #[error("somebody else wrote to the journal at the same time")]
    Conflict,
    /// The file is damaged.
    #[error("damaged: {0}")]
    Damaged(String),
    /// Written by a newer version.
    #[error("written by a newer version")]
    Newer,
    /// Anything else: disk full, no permission, …
    #[error("{0}")]
    Failed(String),
}

/// A place for the journal and its records. Several processes may have one open.
#[async_trait(?Send)]
pub trait Store {
    /// Writes all of the batch or nothing; durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn apply(&self, batch: Batch) -> Result<(), StoreError>;

    /// The journal's rows after a position, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn rows(&self, after: i64) -> Result<Vec<Row>, StoreError>;

    /// All records of a space, ordered by key.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn records(&self, space: Space) -> Result<Vec<Record>, StoreError>;

    /// One record.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn record(&self, space: Space, key: &[u8]) -> Result<Option<Record>, StoreError>;
}
