//! Everything that knows diesel. One closure of [`Store::read`] or
//! [`Store::write`] is one transaction; there is no other way to a connection.

pub mod bulk;
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
pub mod exports;
pub mod ledger;
pub mod migrate;
pub mod missions;
pub mod presence;
pub mod projections;
pub mod quarantine;
pub mod registers;
pub mod reports_query;
#[expect(
    missing_docs,
    reason = "diesel writes these; the migrations say what they mean"
)]
pub mod schema;
pub mod users;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use diesel::r2d2::{self, ManageConnection, Pool};

pub use conn::{Conn, DatabaseUrl, savepoint};

use crate::error::{Error, Result};

/// The database, either one.
#[derive(Clone)]
pub struct Store {
    url: DatabaseUrl,
    pool: Pool<Manager>,
    /// SQLite has one writer: waiting for it here is fair and costs nothing,
    /// where its own busy handler polls.
    writer: Option<Arc<Mutex<()>>>,
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
        let pool = Pool::builder()
            .max_size(connections.max(2))
            .min_idle(Some(1))
            .connection_timeout(Duration::from_secs(10))
            .test_on_check_out(matches!(url, DatabaseUrl::Postgres(_)))
            .build(Manager(url.clone()))
            .map_err(|error| Error::Connection(error.to_string()))?;
        let writer = matches!(url, DatabaseUrl::Sqlite(_)).then(|| Arc::new(Mutex::new(())));
        Ok(Self {
            url: url.clone(),
            pool,
            writer,
        })
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
        conn::transaction(&mut *self.connection()?, conn::Begin::Read, work)
    }

    /// Writes in one transaction, durable when this returns `Ok`. Blocking.
    ///
    /// # Errors
    /// What `work` returns (everything is rolled back then), no connection, or
    /// a commit that failed.
    pub fn write<T>(&self, work: impl FnOnce(&mut Conn) -> Result<T>) -> Result<T> {
        let mut connection = self.connection()?;
        let _turn = self
            .writer
            .as_ref()
            .map(|lock| lock.lock().unwrap_or_else(PoisonError::into_inner));
        conn::transaction(&mut connection, conn::Begin::Write, work)
    }

    /// After an erasure: writes SQLite's log back and cuts it, because it holds
    /// pages as they were. A reader at work may keep it until the next time;
    /// PostgreSQL sees to it by itself (autovacuum). Blocking.
    ///
    /// # Errors
    /// No connection, or the database's.
    pub fn scrub(&self) -> Result<()> {
        use diesel::connection::SimpleConnection as _;
        let mut connection = self.connection()?;
        let _turn = self
            .writer
            .as_ref()
            .map(|lock| lock.lock().unwrap_or_else(PoisonError::into_inner));
        match &mut *connection {
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
        Ok(connection.batch_execute("SELECT 1")?)
    }

    fn connection(&self) -> Result<r2d2::PooledConnection<Manager>> {
        self.pool
            .get()
            .map_err(|error| Error::Connection(error.to_string()))
    }
}

/// Makes connections for the pool.
#[derive(Debug)]
struct Manager(DatabaseUrl);

impl ManageConnection for Manager {
    type Connection = Conn;
    type Error = r2d2::Error;

    fn connect(&self) -> std::result::Result<Conn, r2d2::Error> {
        self.0.connect().map_err(r2d2::Error::ConnectionError)
    }

    fn is_valid(&self, conn: &mut Conn) -> std::result::Result<(), r2d2::Error> {
        use diesel::connection::SimpleConnection as _;
        conn.batch_execute("SELECT 1")
            .map_err(r2d2::Error::QueryError)
    }

    fn has_broken(&self, conn: &mut Conn) -> bool {
        use diesel::connection::TransactionManager as _;
        std::thread::panicking()
            || <Conn as diesel::Connection>::TransactionManager::is_broken_transaction_manager(conn)
    }
}
