//! Who is at work on a database. Servers share it; a rebuild wants it alone.
//! Locks of the system and of the database: a killed process leaves none.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use diesel::{connection::SimpleConnection as _, prelude::*, sql_types::BigInt};
use protocol::codes::Code;

use super::conn::{Conn, DatabaseUrl};
use crate::error::{Error, Result};

/// Names the servers' lock in a PostgreSQL database.
const LOCK: i64 = 0x5343_5255_544a;
/// How often the connection that holds the lock is looked after.
const CARE: Duration = Duration::from_secs(30);

/// The right to be at work, until it is dropped.
#[derive(Debug)]
pub struct Presence {
    _files: Vec<File>,
    /// Its end tells the thread that holds PostgreSQL's lock.
    _keeper: Option<mpsc::Sender<()>>,
}

impl Presence {
    /// A server's, beside other servers. Waits while a rebuild runs, after
    /// `waiting` was called.
    ///
    /// # Errors
    /// A lock file that cannot be made, or no connection.
    pub fn server(data: &Path, url: &DatabaseUrl, waiting: impl Fn()) -> Result<Self> {
        let mut files = Vec::new();
        for path in lock_files(data, url) {
            let file = open(&path)?;
            match file.try_lock_shared() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    waiting();
                    file.lock_shared().map_err(Error::io(&path))?;
                }
                Err(TryLockError::Error(error)) => return Err(Error::io(&path)(error)),
            }
            files.push(file);
        }
        let keeper = match url {
            DatabaseUrl::Sqlite(_) => None,
            DatabaseUrl::Postgres(_) => {
                let mut conn = connect(url)?;
                if !ask(&mut conn, "SELECT pg_try_advisory_lock_shared($1) AS held")? {
                    waiting();
                    take_shared(&mut conn)?;
                }
                Some(keep(url.clone(), conn)?)
            }
        };
        Ok(Self {
            _files: files,
            _keeper: keeper,
        })
    }

    /// Alone.
    ///
    /// # Errors
    /// `server_running`, a lock file that cannot be made, or no connection.
    pub fn alone(data: &Path, url: &DatabaseUrl) -> Result<Self> {
        let running = || {
            Error::refused(
                Code::ServerRunning,
                "a server is running on this data; stop it first",
            )
        };
        let mut files = Vec::new();
        for path in lock_files(data, url) {
            let file = open(&path)?;
            match file.try_lock() {
                Ok(()) => files.push(file),
                Err(TryLockError::WouldBlock) => return Err(running()),
                Err(TryLockError::Error(error)) => return Err(Error::io(&path)(error)),
            }
        }
        let keeper = match url {
            DatabaseUrl::Sqlite(_) => None,
            DatabaseUrl::Postgres(_) => {
                let mut conn = connect(url)?;
                if !ask(&mut conn, "SELECT pg_try_advisory_lock($1) AS held")? {
                    return Err(running());
                }
                Some(keep_once(conn)?)
            }
        };
        Ok(Self {
            _files: files,
            _keeper: keeper,
        })
    }

    /// Whether a server is at work from this data folder.
    #[must_use]
    pub fn is_served(data: &Path) -> bool {
        let path = data.join("serve.lock");
        File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }
}

/// The data folder's, and a SQLite file's own: two data folders may name one
/// database.
fn lock_files(data: &Path, url: &DatabaseUrl) -> Vec<PathBuf> {
    let mut files = vec![data.join("serve.lock")];
    if let DatabaseUrl::Sqlite(path) = url {
        files.push(path.with_extension("serve.lock"));
    }
    files
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(Error::io(path))
}

fn connect(url: &DatabaseUrl) -> Result<Conn> {
    let mut conn = url
        .connect()
        .map_err(|error| Error::Connection(error.to_string()))?;
    conn.batch_execute("SET lock_timeout = 0; SET statement_timeout = 0")?;
    Ok(conn)
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = diesel::sql_types::Bool)]
    held: bool,
}

fn ask(conn: &mut Conn, question: &str) -> Result<bool> {
    let Conn::Postgres(conn) = conn else {
        return Ok(true);
    };
    Ok(diesel::sql_query(question)
        .bind::<BigInt, _>(LOCK)
        .get_result::<Answer>(conn)?
        .held)
}

fn take_shared(conn: &mut Conn) -> Result<()> {
    let Conn::Postgres(conn) = conn else {
        return Ok(());
    };
    diesel::sql_query("SELECT pg_advisory_lock_shared($1)")
        .bind::<BigInt, _>(LOCK)
        .execute(conn)?;
    Ok(())
}

/// Holds the lock for as long as the answer lives, on a new connection if the
/// old one is lost: a restart of the database must not make a server invisible.
fn keep(url: DatabaseUrl, mut conn: Conn) -> Result<mpsc::Sender<()>> {
    let (keeper, end) = mpsc::channel::<()>();
    spawn(move || {
        while end.recv_timeout(CARE) == Err(mpsc::RecvTimeoutError::Timeout) {
            if conn.batch_execute("SELECT 1").is_ok() {
                continue;
            }
            let again =
                connect(&url).and_then(|mut new| take_shared(&mut new).map(|()| conn = new));
            if let Err(error) = again {
                tracing::warn!("the servers' lock in the database is lost for now: {error}");
            }
        }
    })?;
    Ok(keeper)
}

/// As [`keep`], for one who has to start again if the connection is lost.
fn keep_once(conn: Conn) -> Result<mpsc::Sender<()>> {
    let (keeper, end) = mpsc::channel::<()>();
    spawn(move || {
        // Nothing is ever sent: this returns when the sender is dropped.
        end.recv().ok();
        drop(conn);
    })?;
    Ok(keeper)
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new()
        .name("presence".into())
        .spawn(work)
        .map(drop)
        .map_err(|error| Error::Internal(format!("no thread for the servers' lock: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_share_and_a_rebuild_is_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let url = DatabaseUrl::Sqlite(data.join("scrutineer.sqlite"));
        assert!(!Presence::is_served(data));
        let one = Presence::server(data, &url, || panic!("waits")).unwrap();
        let two = Presence::server(data, &url, || panic!("waits")).unwrap();
        assert!(Presence::is_served(data));
        drop(one);
        assert_eq!(
            Presence::alone(data, &url).unwrap_err().code(),
            Code::ServerRunning
        );
        drop(two);
        assert!(!Presence::is_served(data));
        let alone = Presence::alone(data, &url).unwrap();
        assert_eq!(
            Presence::alone(data, &url).unwrap_err().code(),
            Code::ServerRunning
        );
        drop(alone);
    }

    #[test]
    fn one_database_under_two_data_folders_is_one() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let url = DatabaseUrl::Sqlite(a.path().join("scrutineer.sqlite"));
        let _server = Presence::server(b.path(), &url, || panic!("waits")).unwrap();
        assert_eq!(
            Presence::alone(a.path(), &url).unwrap_err().code(),
            Code::ServerRunning
        );
        let elsewhere = DatabaseUrl::Sqlite(a.path().join("other.sqlite"));
        assert!(Presence::alone(a.path(), &elsewhere).is_ok());
    }
}
