//! The SQLite store: Android, iOS and desktops.
//!
//! Every write is one `BEGIN IMMEDIATE` transaction with `synchronous=FULL`, so
//! it is on the disk when it returns, and no two processes take one place of a
//! journal. A damaged file is moved aside and salvaged, never deleted.

mod files;
mod salvage;

use std::{cell::RefCell, fs::File, path::Path, time::Duration};

use async_trait::async_trait;
use protocol::ids::{EntryHash, JournalId};
use rusqlite::{
    Connection, ErrorCode, OptionalExtension as _, TransactionBehavior, config::DbConfig, params,
};

use self::files::Files;
use super::{Batch, NewRow, Record, Row, Space, Store, StoreError};
use crate::seal::Sealed;

/// The journal's table. **Frozen for ever**: phones in the field hold it, and no
/// migration touches it. What it cannot say goes into the sealed entry, or into
/// another table that can be rebuilt.
pub const JOURNAL_DDL: &str = include_str!("journal.sql");

/// Everything else. May be dropped and made anew by any version.
pub const RECORDS_DDL: &str = include_str!("records.sql");

/// `PRAGMA user_version` of [`RECORDS_DDL`].
const RECORDS_VERSION: i64 = 1;

/// How long one process waits for another's transaction.
const BUSY: Duration = Duration::from_secs(20);

/// What [`SqliteStore::open`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Set when the file was damaged and has been salvaged just now.
    pub salvage: Option<Salvage>,
}

/// What was saved from a damaged file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salvage {
    /// Where the damaged file is kept.
    pub kept_at: std::path::PathBuf,
    /// Rows of the journal carried over.
    pub rows: usize,
    /// Records carried over.
    pub records: usize,
}

/// See the module.
#[derive(Debug)]
pub struct SqliteStore {
    connection: RefCell<Connection>,
    /// Held as long as the database is open, so that nobody moves it aside.
    _in_use: File,
}

impl SqliteStore {
    /// Opens the database at a path and makes it if there is none. If it is
    /// damaged and no other process has it open, it is moved aside to
    /// `….damaged-N`, and what can be read is carried over.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] while another process has the damaged file open;
    /// [`StoreError::Newer`]; [`StoreError::Failed`].
    pub fn open(path: &Path) -> Result<(Self, Opened), StoreError> {
        let files = Files::new(path);
        // One process at a time opens, makes or salvages.
        let _opening = files.lock_opening()?;
        files.finish_interrupted_salvage()?;
        let mut opened = Opened::default();
        let connection = match connect(&files) {
            Err(StoreError::Damaged(reason)) => {
                let Some(_alone) = files.try_lock_alone()? else {
                    return Err(StoreError::Damaged(format!(
                        "{reason}; another program has it open, close that first"
                    )));
                };
                opened.salvage = Some(salvage::run(&files)?);
                connect(&files)?
            }
            other => other?,
        };
        let in_use = files.lock_in_use()?;
        Ok((
            Self {
                connection: RefCell::new(connection),
                _in_use: in_use,
            },
            opened,
        ))
    }
}

impl SqliteStore {
    /// Keeps everybody from opening the database at a path, for moving it; `None`
    /// while somebody has it open.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub fn hold_alone(path: &Path) -> Result<Option<impl Sized + use<>>, StoreError> {
        let files = Files::new(path);
        let opening = files.lock_opening()?;
        Ok(files.try_lock_alone()?.map(|alone| (opening, alone)))
    }
}

/// Opens, configures and checks.
fn connect(files: &Files) -> Result<Connection, StoreError> {
    if files.is_emptied()? {
        return Err(StoreError::Damaged(
            "the file is empty, but its log is not".into(),
        ));
    }
    files.create_private()?;
    let mut connection = Connection::open(&files.database)?;
    // A damaged file stays as it is: nothing is written, not even on closing.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    configure(&connection)?;
    let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        return Err(StoreError::Damaged(check));
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > RECORDS_VERSION {
        return Err(StoreError::Newer);
    }
    if version < RECORDS_VERSION {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(JOURNAL_DDL)?;
        transaction.execute_batch(RECORDS_DDL)?;
        transaction.pragma_update(None, "user_version", RECORDS_VERSION)?;
        transaction.commit()?;
    }
    files.sync_folder()?;
    Ok(connection)
}

fn configure(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(BUSY)?;
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    if mode != "wal" {
        connection.query_row("PRAGMA journal_mode=WAL", [], |_| Ok(()))?;
    }
    connection.execute_batch(
        "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;",
    )?;
    Ok(())
}

#[async_trait(?Send)]
impl Store for SqliteStore {
    async fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        let mut connection = self.connection.borrow_mut();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut last =
                transaction.prepare_cached("SELECT max(seq) FROM journal WHERE journal = ?1")?;
            for row in &batch.append {
                let head: Option<i64> =
                    last.query_row([row.journal.0.as_bytes()], |found| found.get(0))?;
                if i64::try_from(row.seq).ok() != Some(head.unwrap_or(0) + 1) {
                    return Err(StoreError::Conflict);
                }
                insert_row(&transaction, row).map_err(|error| match error.sqlite_error_code() {
                    Some(ErrorCode::ConstraintViolation) => StoreError::Conflict,
                    _ => error.into(),
                })?;
            }
            for record in &batch.put {
                put_record(&transaction, record)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    async fn rows(&self, after: i64) -> Result<Vec<Row>, StoreError> {
        let connection = self.connection.borrow();
        let mut statement =
            connection.prepare_cached(&select_rows("WHERE position > ?1 ORDER BY position"))?;
        let rows = statement.query_map([after], read_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    async fn records(&self, space: Space) -> Result<Vec<Record>, StoreError> {
        let connection = self.connection.borrow();
        let mut statement = connection.prepare_cached(
            "SELECT key, suite, nonce, sealed FROM records WHERE space = ?1 ORDER BY key",
        )?;
        let rows = statement.query_map([space as u8], |row| read_record(space, row))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    async fn record(&self, space: Space, key: &[u8]) -> Result<Option<Record>, StoreError> {
        let connection = self.connection.borrow();
        let mut statement = connection.prepare_cached(
            "SELECT key, suite, nonce, sealed FROM records WHERE space = ?1 AND key = ?2",
        )?;
        Ok(statement
            .query_row(params![space as u8, key], |row| read_record(space, row))
            .optional()?)
    }
}

fn select_rows(rest: &str) -> String {
    format!("SELECT position, journal, seq, hash, suite, nonce, sealed FROM journal {rest}")
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        position: row.get(0)?,
        row: NewRow {
            journal: JournalId(uuid::Uuid::from_bytes(row.get(1)?)),
            seq: row.get::<_, i64>(2)?.cast_unsigned(),
            hash: EntryHash(row.get(3)?),
            sealed: Sealed {
                suite: row.get(4)?,
                nonce: row.get(5)?,
                bytes: row.get(6)?,
            },
        },
    })
}

fn read_record(space: Space, row: &rusqlite::Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        space,
        key: row.get(0)?,
        sealed: Sealed {
            suite: row.get(1)?,
            nonce: row.get(2)?,
            bytes: row.get(3)?,
        },
    })
}

fn insert_row(connection: &Connection, row: &NewRow) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO journal (journal, seq, hash, suite, nonce, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            row.journal.0.as_bytes(),
            row.seq.cast_signed(),
            row.hash.0,
            row.sealed.suite,
            row.sealed.nonce,
            row.sealed.bytes
        ])
}

fn put_record(connection: &Connection, record: &Record) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO records (space, key, suite, nonce, sealed) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (space, key) DO UPDATE SET suite = ?3, nonce = ?4, sealed = ?5",
        )?
        .execute(params![
            record.space as u8,
            record.key,
            record.sealed.suite,
            record.sealed.nonce,
            record.sealed.bytes
        ])
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged(error.to_string())
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Failed("another program is writing to it for too long; try again".into())
            }
            Some(ErrorCode::DiskFull) => Self::Failed("the disk is full".into()),
            _ => match error {
                // A column that is not what the table's definition allows.
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..) => Self::Damaged(error.to_string()),
                other => Self::Failed(other.to_string()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If this changes, phones in the field lose their journals.
    #[test]
    fn the_journal_table_is_frozen() {
        insta::assert_snapshot!(JOURNAL_DDL);
    }

    #[test]
    fn the_pragmas_hold() {
        let dir = tempfile::tempdir().expect("a folder");
        let (store, _) = SqliteStore::open(&dir.path().join("journal.db")).expect("opens");
        let connection = store.connection.borrow();
        let pragma = |name: &str| -> String {
            connection
                .query_row(&format!("PRAGMA {name}"), [], |row| {
                    row.get::<_, rusqlite::types::Value>(0)
                })
                .map(|value| format!("{value:?}"))
                .expect("a pragma")
        };
        assert_eq!(pragma("journal_mode"), "Text(\"wal\")");
        assert_eq!(pragma("synchronous"), "Integer(2)");
        assert_eq!(pragma("foreign_keys"), "Integer(1)");
        assert_eq!(pragma("temp_store"), "Integer(2)");
        assert_eq!(pragma("busy_timeout"), "Integer(20000)");
    }

    #[test]
    fn even_a_direct_statement_changes_no_row() {
        let dir = tempfile::tempdir().expect("a folder");
        let (store, _) = SqliteStore::open(&dir.path().join("journal.db")).expect("opens");
        let connection = store.connection.borrow();
        connection
            .execute(
                "INSERT INTO journal VALUES (1, zeroblob(16), 1, zeroblob(32), 1, x'', x'')",
                [],
            )
            .expect("inserts");
        assert!(
            connection
                .execute("UPDATE journal SET seq = 2", [])
                .is_err()
        );
        assert!(connection.execute("DELETE FROM journal", []).is_err());
    }

    #[test]
    fn a_newer_database_is_left_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("journal.db");
        let (store, _) = SqliteStore::open(&path).expect("opens");
        store
            .connection
            .borrow()
            .pragma_update(None, "user_version", 99)
            .expect("sets");
        drop(store);
        assert_eq!(
            SqliteStore::open(&path).expect_err("refuses"),
            StoreError::Newer
        );
    }
}
