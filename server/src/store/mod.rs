//! Everything that knows diesel. One closure of [`Store::read`] or
//! [`Store::write`] is one transaction; there is no other way to a connection.

pub mod archive;
pub mod attention;
pub mod audit;
pub mod bulk;
pub mod bundles;
pub mod cases;
mod checkpoint;
#[expect(
    missing_docs,
    reason = "diesel derives the variants of MultiConnection"
)]
#[expect(
    clippy::disallowed_methods,
    reason = "the derive passes every method of a connection on"
)]
pub mod conn;
pub mod devices;
pub mod enrolment;
pub mod erasures;
pub mod evidence;
pub mod evidence_readers;
pub mod exports;
pub mod heard;
pub mod ledger;
pub mod map;
pub mod messages;
pub mod migrate;
pub mod missions;
pub mod objects;
mod pool;
pub mod presence;
pub mod projections;
pub mod quarantine;
pub mod recovery;
pub mod reference;
pub mod registers;
pub mod reports_query;
pub mod room;
#[expect(
    missing_docs,
    reason = "diesel writes these; the migrations say what they mean"
)]
pub mod schema;
pub mod search;
pub mod second_factors;
pub mod sessions;
pub mod telephone;
pub mod triage;
pub mod users;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use conn::{Conn, DatabaseUrl, savepoint};
use tokio::sync::watch;

use crate::error::{Error, Result};

/// The database, either one.
#[derive(Clone)]
pub struct Store {
    url: DatabaseUrl,
    pool: Arc<pool::Connections>,
    /// SQLite has one writer: waiting for it here is fair and costs nothing,
    /// where its own busy handler polls.
    writer: Option<Arc<Mutex<()>>>,
    /// Of a server on SQLite.
    checkpoints: Option<Arc<checkpoint::Checkpointer>>,
    /// Counts the commits of this process.
    commits: Arc<watch::Sender<u64>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.url {
            DatabaseUrl::Sqlite(_) => "Store(sqlite)",
            DatabaseUrl::Postgres(_) => "Store(postgres)",
        })
    }
}

impl Store {
    /// Opens the database and brings its schema up to date, under a lock.
    ///
    /// # Errors
    /// When it cannot be reached, or a migration fails (it is then rolled back).
    pub fn open(url: &DatabaseUrl, connections: u32) -> Result<Self> {
        migrate::run(url)?;
        let pool = Arc::new(pool::Connections::open(url, connections)?);
        let writer = matches!(url, DatabaseUrl::Sqlite(_)).then(|| Arc::new(Mutex::new(())));
        Ok(Self {
            url: url.clone(),
            pool,
            writer,
            checkpoints: None,
            commits: Arc::new(watch::Sender::new(0)),
        })
    }

    /// Has SQLite's log written back in the background, so that no commit has to
    /// wait for it: for a process that writes for long. PostgreSQL does so by
    /// itself.
    ///
    /// # Errors
    /// No connection, or no thread.
    pub fn checkpoint_in_background(&mut self) -> Result<()> {
        if let Some(writer) = &self.writer {
            self.checkpoints = Some(Arc::new(checkpoint::Checkpointer::start(
                &self.url,
                writer.clone(),
            )?));
        }
        Ok(())
    }

    /// Which database it is.
    #[must_use]
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Reads one snapshot. Blocking: call it from a blocking thread.
    ///
    /// # Errors
    /// What `work` returns, or no connection.
    pub fn read<T>(&self, work: impl FnOnce(&mut Conn) -> Result<T>) -> Result<T> {
        conn::run(&mut self.begin(conn::Begin::Read)?.conn, work)
    }

    /// Writes in one transaction, durable when this returns `Ok`. Blocking.
    ///
    /// # Errors
    /// What `work` returns (everything is rolled back then), no connection, or
    /// a commit that failed.
    pub fn write<T>(&self, work: impl FnOnce(&mut Conn) -> Result<T>) -> Result<T> {
        let done = {
            let _turn = self.turn();
            conn::run(&mut self.begin(conn::Begin::Write)?.conn, work)?
        };
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.committed();
        }
        self.commits.send_modify(|count| *count += 1);
        Ok(done)
    }

    /// Tells of every commit of this process.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        self.writer
            .as_ref()
            .map(|lock| lock.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A connection in a transaction. One that went stale in the pool (the
    /// database was restarted) shows when the transaction begins: nothing has
    /// been done by then, so the next one is taken.
    fn begin(&self, begin: conn::Begin) -> Result<pool::InUse> {
        let mut spare = self.pool.max_size();
        loop {
            let mut connection = self.connection()?;
            match conn::begin(&mut connection.conn, begin) {
                Ok(()) => return Ok(connection),
                Err(error) => {
                    connection.broken = true;
                    if spare == 0 || self.writer.is_some() {
                        return Err(error.into());
                    }
                    spare -= 1;
                }
            }
        }
    }

    /// After an erasure, and at the end of a server: writes SQLite's log back and cuts
    /// it, because it holds pages as they were. A reader at work may keep it until the next time;
    /// PostgreSQL sees to it by itself (autovacuum). Blocking.
    ///
    /// # Errors
    /// No connection, or the database's.
    pub fn scrub(&self) -> Result<()> {
        use diesel::connection::SimpleConnection as _;
        let mut connection = self.connection()?;
        let _alone = self.checkpoints.as_ref().map(|own| own.pause());
        let _turn = self.turn();
        match &mut connection.conn {
            Conn::Sqlite(inner) => Ok(inner.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")?),
            Conn::Postgres(_) => Ok(()),
        }
    }

    /// Whether a connection can be had soon and the database answers. Blocking.
    ///
    /// # Errors
    /// No connection in time, or no answer.
    pub fn check(&self, wait: Duration) -> Result<()> {
        use diesel::connection::SimpleConnection as _;
        let mut connection = self
            .pool
            .get_timeout(wait)
            .map_err(|error| Error::Connection(error.to_string()))?;
        Ok(connection.conn.batch_execute("SELECT 1")?)
    }

    fn connection(&self) -> Result<pool::InUse> {
        self.pool
            .get()
            .map_err(|error| Error::Connection(error.to_string()))
    }
}
