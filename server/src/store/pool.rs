//! The pool of connections, and its end: when the last [`Connections`] is gone,
//! so is every connection.

use std::{
    ops::Deref,
    sync::{Mutex, mpsc},
    time::Duration,
};

use diesel::r2d2::{self, ManageConnection, Pool};

use super::conn::{Conn, DatabaseUrl};
use crate::error::{Error, Result};

/// A connection that is in use.
pub(super) type InUse = r2d2::PooledConnection<Manager>;

/// The pool. Dropped, it waits until its connections to a SQLite file are closed:
/// the pool opens spare ones in a thread of its own, and such a connection would
/// otherwise outlive the pool for a moment. Whoever then replaced the file, or
/// copied a file with its log to the same place, had that log deleted by the late
/// one's end ("the last to leave deletes the log").
pub(super) struct Connections {
    pool: Option<Pool<Manager>>,
    /// Ends when the last connection, and the maker of connections, are gone.
    /// A server that does not answer keeps nobody waiting: PostgreSQL has none.
    gone: Option<Mutex<mpsc::Receiver<()>>>,
}

/// So few connections may stay open although nobody uses them; of more, each idle one
/// would keep its cache for nothing.
const FEW: u32 = 3;

impl Connections {
    /// A pool of at most so many; one is made at once.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn open(url: &DatabaseUrl, most: u32) -> Result<Self> {
        let (open, gone) = mpsc::channel();
        let manager = Manager {
            url: url.clone(),
            open,
        };
        let mut builder = Pool::builder()
            .max_size(most.max(2))
            .min_idle(Some(1))
            .connection_timeout(Duration::from_secs(10))
            .test_on_check_out(false);
        if matches!(url, DatabaseUrl::Sqlite(_)) {
            // A file's connection does not go stale with age.
            builder = builder.max_lifetime(None);
            if most <= FEW {
                builder = builder.idle_timeout(None);
            }
        }
        let pool = builder
            .build(manager)
            .map_err(|error| Error::Connection(error.to_string()))?;
        Ok(Self {
            pool: Some(pool),
            gone: matches!(url, DatabaseUrl::Sqlite(_)).then(|| Mutex::new(gone)),
        })
    }
}

impl Deref for Connections {
    type Target = Pool<Manager>;

    fn deref(&self) -> &Pool<Manager> {
        self.pool.as_ref().expect("only the drop takes it")
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        drop(self.pool.take());
        if let Some(gone) = self.gone.as_mut().and_then(|gone| gone.get_mut().ok()) {
            // Nobody ever sends: this returns when the last sender is dropped.
            gone.recv().ok();
        }
    }
}

/// Makes connections for the pool.
#[derive(Debug)]
pub(super) struct Manager {
    url: DatabaseUrl,
    open: mpsc::Sender<()>,
}

/// A connection of the pool.
pub(super) struct Pooled {
    pub(super) conn: Conn,
    /// It could not begin a transaction, so the pool drops it.
    pub(super) broken: bool,
    /// Dropped after the connection (fields are dropped in this order).
    _open: mpsc::Sender<()>,
}

impl ManageConnection for Manager {
    type Connection = Pooled;
    type Error = r2d2::Error;

    fn connect(&self) -> std::result::Result<Pooled, r2d2::Error> {
        let conn = self.url.connect().map_err(r2d2::Error::ConnectionError)?;
        Ok(Pooled {
            conn,
            broken: false,
            _open: self.open.clone(),
        })
    }

    fn is_valid(&self, pooled: &mut Pooled) -> std::result::Result<(), r2d2::Error> {
        use diesel::connection::SimpleConnection as _;
        pooled
            .conn
            .batch_execute("SELECT 1")
            .map_err(r2d2::Error::QueryError)
    }

    fn has_broken(&self, pooled: &mut Pooled) -> bool {
        use diesel::connection::TransactionManager as _;
        pooled.broken
            || std::thread::panicking()
            || <Conn as diesel::Connection>::TransactionManager::is_broken_transaction_manager(
                &mut pooled.conn,
            )
    }
}

#[cfg(test)]
mod tests {
    use crate::store::{DatabaseUrl, Store};

    /// Connections to this file that this process holds open.
    fn open_files(path: &std::path::Path) -> usize {
        std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .flatten()
            .filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|file| file == path))
            .count()
    }

    #[test]
    fn a_dropped_store_holds_nothing_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join("db.sqlite");
        let url = DatabaseUrl::Sqlite(path.clone());
        for turn in 0..50 {
            let store = Store::open(&url, 3).unwrap();
            store.read(|_| Ok(())).unwrap();
            assert!(open_files(&path) > 0);
            drop(store);
            assert_eq!(open_files(&path), 0, "turn {turn}");
            let log = path.with_extension("sqlite-wal");
            assert!(
                !log.exists(),
                "turn {turn}: the last to leave deletes the log"
            );
        }
    }
}
