//! One connection type over both databases.

use diesel::{
    connection::{AnsiTransactionManager, SimpleConnection as _},
    pg::PgConnection,
    prelude::*,
    sqlite::SqliteConnection,
};

/// A connection to either database. `on_backend!` serves the few statements
/// that diesel cannot build for both at once (batches, upserts).
#[derive(diesel::MultiConnection)]
pub enum Conn {
    /// The embedded default.
    Sqlite(SqliteConnection),
    /// The engine at scale.
    Postgres(PgConnection),
}

/// Writes one expression and has it checked for each database.
macro_rules! on_backend {
    ($conn:expr, |$inner:ident| $body:expr) => {
        match $conn {
            $crate::store::Conn::Sqlite($inner) => $body,
            $crate::store::Conn::Postgres($inner) => $body,
        }
    };
}
pub(crate) use on_backend;

/// Where the database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file.
    Sqlite(std::path::PathBuf),
    /// A libpq address.
    Postgres(String),
}

impl std::str::FromStr for DatabaseUrl {
    type Err = String;

    /// By the scheme alone: guessing once made a SQLite file named after a
    /// PostgreSQL address.
    fn from_str(url: &str) -> Result<Self, String> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            if path.is_empty() || path == ":memory:" {
                return Err("a SQLite database needs a file: sqlite://PATH".into());
            }
            Ok(Self::Sqlite(path.into()))
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Ok(Self::Postgres(url.to_owned()))
        } else {
            Err("the database address must start with sqlite:// or postgres://".into())
        }
    }
}

impl DatabaseUrl {
    /// Opens a connection and sets it up.
    pub(super) fn connect(&self) -> ConnectionResult<Conn> {
        match self {
            Self::Sqlite(path) => {
                let mut conn = SqliteConnection::establish(&path.to_string_lossy())?;
                // busy_timeout first: the switch to WAL may itself have to wait.
                // A server writes its log back in the background (checkpoint.rs);
                // the automatic checkpoint is for everything else. What is deleted
                // is overwritten: an erasure must leave no words.
                conn.batch_execute(
                    "PRAGMA busy_timeout = 10000;
                     PRAGMA journal_mode = WAL;
                     PRAGMA synchronous = FULL;
                     PRAGMA foreign_keys = ON;
                     PRAGMA trusted_schema = OFF;
                     PRAGMA secure_delete = ON;
                     PRAGMA temp_store = MEMORY;
                     PRAGMA cache_size = -16000;
                     PRAGMA wal_autocheckpoint = 32000;
                     PRAGMA journal_size_limit = 67108864;",
                )
                .map_err(ConnectionError::CouldntSetupConfiguration)?;
                Ok(Conn::Sqlite(conn))
            }
            Self::Postgres(url) => {
                let mut conn = PgConnection::establish(url)?;
                conn.batch_execute(
                    "SET synchronous_commit = on; SET timezone = 'UTC'; SET client_min_messages = warning;
                     SET statement_timeout = '600s'; SET lock_timeout = '60s';",
                )
                .map_err(ConnectionError::CouldntSetupConfiguration)?;
                Ok(Conn::Postgres(conn))
            }
        }
    }
}

/// How a transaction begins.
#[derive(Clone, Copy)]
pub(super) enum Begin {
    /// Reads one snapshot.
    Read,
    /// Writes: takes SQLite's write lock at once, because a lock taken halfway
    /// never waits (2,828 of 4,000 such transactions failed in a measurement).
    Write,
}

/// Begins a transaction.
pub(super) fn begin(conn: &mut Conn, begin: Begin) -> QueryResult<()> {
    match (conn, begin) {
        (Conn::Sqlite(inner), Begin::Read) => {
            AnsiTransactionManager::begin_transaction_sql(inner, "BEGIN")
        }
        (Conn::Sqlite(inner), Begin::Write) => {
            AnsiTransactionManager::begin_transaction_sql(inner, "BEGIN IMMEDIATE")
        }
        // Nearly everything looks rows up by keys, or reads on in their order. A
        // plan made while the tables were small, or without statistics, would read
        // them whole, and be kept when they have grown.
        (Conn::Postgres(inner), Begin::Read) => AnsiTransactionManager::begin_transaction_sql(
            inner,
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL enable_seqscan = off",
        ),
        (Conn::Postgres(inner), Begin::Write) => AnsiTransactionManager::begin_transaction_sql(
            inner,
            "BEGIN; SET LOCAL enable_seqscan = off",
        ),
    }
}

/// Runs `work` in the transaction that was begun; an error or a panic rolls it
/// back.
pub(super) fn run<T, E: From<diesel::result::Error>>(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> Result<T, E>,
) -> Result<T, E> {
    type Manager = <Conn as Connection>::TransactionManager;
    use diesel::connection::TransactionManager as _;

    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(conn)));
    match result {
        Ok(Ok(value)) => {
            if let Err(error) = Manager::commit_transaction(conn) {
                // The commit failed: nothing of it counts. A rollback may fail
                // too when the connection is gone; the commit's error tells more.
                Manager::rollback_transaction(conn).ok();
                return Err(error.into());
            }
            Ok(value)
        }
        Ok(Err(error)) => {
            Manager::rollback_transaction(conn)?;
            Err(error)
        }
        Err(panic) => {
            Manager::rollback_transaction(conn).ok();
            std::panic::resume_unwind(panic)
        }
    }
}

/// Runs `work` under a savepoint of the running transaction.
#[expect(
    clippy::disallowed_methods,
    reason = "inside Store::write this makes a savepoint"
)]
pub fn savepoint<T, E: From<diesel::result::Error>>(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> Result<T, E>,
) -> Result<T, E> {
    conn.transaction(work)
}
