//! Writing SQLite's log back to the database file beside the commits.
//!
//! A commit that does it by itself keeps everybody waiting for tenths of a second
//! (64 MB of pages). A passive checkpoint goes on beside the writers but never
//! reaches the end of a log that keeps growing, so the last few pages are written
//! back while no one writes: the next commit then begins the log anew.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};

use diesel::{QueryableByName, RunQueryDsl as _, sql_query, sql_types::Integer};

use super::conn::{Conn, DatabaseUrl};
use crate::error::{Error, Result};

/// Pages in the log that make it worth writing back: 32 MB. Few enough to stay
/// in the system's cache, many enough that pages of indexes are written once and
/// not for each commit that touched them.
const PAGES: u64 = 8_000;
/// What is left for the turn in which nobody writes.
const REST: i32 = 400;
/// Attempts to get down to [`REST`] beside the writers.
const PASSES: u32 = 4;
/// Commits until the first checkpoint, which tells how large commits are.
const FIRST: u64 = 16;

/// Writes the log back after so many commits as fill it.
#[derive(Debug)]
pub(super) struct Checkpointer {
    commits: AtomicU64,
    /// Commits until the next time, as the last time suggests.
    every: Arc<AtomicU64>,
    /// Held while the log is written back: SQLite turns a second one away at once.
    working: Arc<Mutex<()>>,
    wake: Option<mpsc::SyncSender<u64>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread, on a connection of its own.
    pub(super) fn start(url: &DatabaseUrl, writer: Arc<Mutex<()>>) -> Result<Self> {
        let mut conn = url
            .connect()
            .map_err(|error| Error::Connection(error.to_string()))?;
        let every = Arc::new(AtomicU64::new(FIRST));
        let (wake, woken) = mpsc::sync_channel::<u64>(1);
        let working = Arc::new(Mutex::new(()));
        let (next, turn) = (every.clone(), working.clone());
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || {
                while let Ok(commits) = woken.recv() {
                    let _alone = turn.lock().unwrap_or_else(PoisonError::into_inner);
                    match write_back(&mut conn, &writer) {
                        Ok(pages) => {
                            next.store(commits_for(PAGES, commits, pages), Ordering::Relaxed)
                        }
                        // The log stays as it is; SQLite itself writes it back later.
                        Err(error) => {
                            tracing::warn!(%error, "the database's log was not written back")
                        }
                    }
                }
            })
            .map_err(|error| Error::Internal(format!("no thread for checkpoints: {error}")))?;
        Ok(Self {
            commits: AtomicU64::new(0),
            every,
            working,
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// Lets somebody else write the log back.
    pub(super) fn pause(&self) -> MutexGuard<'_, ()> {
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a commit; wakes the thread when it is time.
    pub(super) fn committed(&self) {
        let commits = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        if commits >= self.every.load(Ordering::Relaxed)
            && self
                .wake
                .as_ref()
                .is_some_and(|wake| wake.try_send(commits).is_ok())
        {
            self.commits.store(0, Ordering::Relaxed);
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        drop(self.wake.take());
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the checkpointing thread had panicked");
        }
    }
}

/// What SQLite says of a checkpoint: <https://www.sqlite.org/pragma.html#pragma_wal_checkpoint>.
#[derive(QueryableByName)]
struct Done {
    /// Pages in the log.
    #[diesel(sql_type = Integer)]
    log: i32,
    /// Of these, written back.
    #[diesel(sql_type = Integer)]
    checkpointed: i32,
}

/// Writes all of the log back. Returns how many pages it had.
fn write_back(conn: &mut Conn, writer: &Mutex<()>) -> Result<u64> {
    for _ in 0..PASSES {
        let done = pass(conn)?;
        if done.log - done.checkpointed <= REST {
            break;
        }
    }
    let _turn = writer.lock().unwrap_or_else(PoisonError::into_inner);
    let done = pass(conn)?;
    Ok(u64::try_from(done.log).unwrap_or(0))
}

fn pass(conn: &mut Conn) -> Result<Done> {
    Ok(sql_query("PRAGMA wal_checkpoint(PASSIVE)").get_result(conn)?)
}

/// How many commits make so many pages, when `commits` made `made`.
fn commits_for(pages: u64, commits: u64, made: u64) -> u64 {
    (pages.saturating_mul(commits.max(1)) / made.max(1)).clamp(1, pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_follows_from_the_last() {
        for (commits, made, next) in [
            (16, 16 * 800, 10),
            (10, 8_000, 10),
            (1, 1_000_000, 1),
            // An idle log, or one that another process wrote back.
            (16, 0, 8_000),
            (16, 16, 8_000),
        ] {
            assert_eq!(commits_for(PAGES, commits, made), next, "{commits} {made}");
        }
    }

    #[test]
    fn the_log_begins_anew_after_it_was_written_back() {
        use crate::store::Store;
        use diesel::connection::SimpleConnection as _;

        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("db.sqlite"));
        let store = Store::open(&url, 2).unwrap();
        let write = |name: &str, bytes: u32| {
            let sql = format!("INSERT INTO server_state VALUES ('{name}', hex(zeroblob({bytes})))");
            store
                .write(|conn| match conn {
                    Conn::Sqlite(inner) => Ok(inner.batch_execute(&sql)?),
                    Conn::Postgres(_) => unreachable!(),
                })
                .unwrap();
        };
        write("large", 4_000_000);
        let mut conn = url.connect().unwrap();
        let pages = write_back(&mut conn, &Mutex::new(())).unwrap();
        assert!(pages > 1_000, "{pages} pages for 8 MB");
        write("small", 1);
        let pages = write_back(&mut conn, &Mutex::new(())).unwrap();
        assert!(pages < 100, "{pages} pages: the log grew on");
    }
}
