//! A PostgreSQL of our own: one cluster for each test process, reached by a
//! socket in its temporary folder, and a database for each test.
//!
//! Making a cluster takes seconds, so one is made once and copied (24 MB); the
//! copy is started as an unprivileged user, with fsync on. Nothing is shared
//! between processes but the read-only template.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::{programs, reaper, wait};

const SETTINGS: &str = "
listen_addresses = ''
max_connections = 80
shared_buffers = 16MB
max_wal_size = 64MB
min_wal_size = 2MB
autovacuum = off
jit = off
logging_collector = off
";

/// A running cluster. It ends when this is dropped, or with the process.
#[derive(Debug)]
pub struct Postgres {
    folder: PathBuf,
    child: Mutex<Child>,
    databases: AtomicU32,
}

/// The cluster of this process, started on first use.
///
/// # Panics
/// When it does not start.
pub fn cluster() -> &'static Postgres {
    static CLUSTER: OnceLock<Postgres> = OnceLock::new();
    CLUSTER.get_or_init(|| Postgres::start().unwrap_or_else(|error| panic!("{error}")))
}

impl Postgres {
    /// Starts one.
    ///
    /// # Errors
    /// What PostgreSQL says.
    ///
    /// # Panics
    /// When PostgreSQL is not there.
    pub fn start() -> Result<Self, String> {
        Self::start_with(&[])
    }

    /// Starts one with other settings, each `name=value`.
    ///
    /// # Errors
    /// What PostgreSQL says.
    ///
    /// # Panics
    /// When PostgreSQL is not there.
    pub fn start_with(settings: &[&str]) -> Result<Self, String> {
        let template = template();
        let folder = tempfile::Builder::new()
            .prefix("scrutineer-pg-")
            .tempdir()
            .expect("a temporary folder")
            .keep();
        reaper::remove_later(&folder);
        give(&folder);
        let data = folder.join("data");
        run(Command::new("cp").arg("-a").arg(&template).arg(&data));
        let log = File::create(folder.join("log")).expect("a log file");
        let mut command = Command::new(bin("postgres"));
        command.arg("-D").arg(&data).arg("-k").arg(&folder);
        for setting in settings {
            command.args(["-c", setting]);
        }
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        unprivileged(&mut command);
        command.process_group(0);
        let child = command.spawn().expect("PostgreSQL starts");
        reaper::quit_later(child.id());
        let cluster = Self {
            folder,
            child: Mutex::new(child),
            databases: AtomicU32::new(0),
        };
        wait::until("PostgreSQL accepts connections", || {
            if let Some(status) = cluster.ended() {
                return Some(Err(format!(
                    "PostgreSQL ended with {status}: {}",
                    cluster.log()
                )));
            }
            cluster.psql("postgres", "SELECT 1").ok().map(Ok)
        })?;
        Ok(cluster)
    }

    fn ended(&self) -> Option<std::process::ExitStatus> {
        self.child
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .try_wait()
            .ok()
            .flatten()
    }

    /// A new, empty database. Answers its address.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub fn create_database(&self, name: &str) -> Result<String, String> {
        self.psql("postgres", &format!("CREATE DATABASE {name}"))?;
        let socket = self.folder.display().to_string().replace('/', "%2F");
        Ok(format!("postgres://postgres@/{name}?host={socket}"))
    }

    /// A name that no database of this cluster has yet.
    #[must_use]
    pub fn fresh_name(&self) -> String {
        format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs a statement; what it prints, or what it complains of.
    ///
    /// # Errors
    /// What psql says.
    pub fn psql(&self, database: &str, statement: &str) -> Result<String, String> {
        let output = Command::new(bin("psql"))
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "postgres",
                "-d",
                database,
                "-h",
            ])
            .arg(&self.folder)
            .args(["-c", statement])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// The folder with the database's files.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        reaper::signal(child.id(), "QUIT");
        child.wait().ok();
        reaper::ended(child.id());
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// The cluster to copy: made once for each target folder and version.
fn template() -> PathBuf {
    let initdb = bin("initdb");
    let version = initdb.display().to_string().replace('/', "-");
    let home = programs::folder().join("postgres-template");
    fs::create_dir_all(&home).expect("a folder for the template");
    let done = home.join(format!("data{version}"));
    let lock = File::create(home.join("lock")).expect("a lock file");
    lock.lock().expect("the lock");
    if !done.exists() {
        let folder = tempfile::Builder::new()
            .prefix("scrutineer-initdb-")
            .tempdir()
            .expect("a temporary folder");
        give(folder.path());
        let data = folder.path().join("data");
        let mut command = Command::new(initdb);
        command.args([
            "--no-sync",
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C",
            "--wal-segsize=1",
            "-D",
        ]);
        command.arg(&data).current_dir(folder.path());
        unprivileged(&mut command);
        run(&mut command);
        let mut settings = fs::read_to_string(data.join("postgresql.conf")).expect("the settings");
        settings.push_str(SETTINGS);
        fs::write(data.join("postgresql.conf"), settings).expect("the settings");
        // A rename makes it whole or not there at all.
        let copy = home.join("copying");
        fs::remove_dir_all(&copy).ok();
        run(Command::new("cp").arg("-a").arg(&data).arg(&copy));
        fs::rename(&copy, &done).expect("the template");
    }
    done
}

fn run(command: &mut Command) {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn bin(name: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| {
            entries
                .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
                .collect()
        })
        .unwrap_or_default();
    versions.sort_by_key(|path| {
        let version = path
            .parent()
            .and_then(Path::file_name)
            .map(|name| name.to_string_lossy().into_owned());
        version.and_then(|version| version.parse::<u32>().ok())
    });
    versions.reverse();
    versions.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    versions.iter().map(|folder| folder.join(name)).find(|path| path.exists()).unwrap_or_else(|| {
        panic!("PostgreSQL's `{name}` is neither in /usr/lib/postgresql nor in PATH: scripts/setup.sh test installs it")
    })
}

/// PostgreSQL refuses to run as root.
fn unprivileged(command: &mut Command) {
    if let Some((uid, gid)) = servant() {
        command.uid(uid).gid(gid);
    }
}

fn give(folder: &Path) {
    if let Some((uid, gid)) = servant() {
        std::os::unix::fs::chown(folder, Some(uid), Some(gid))
            .expect("the folder can be given away");
    }
}

/// Whom to run PostgreSQL as; `None` if we are nobody special.
fn servant() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    if fs::metadata("/proc/self").ok()?.uid() != 0 {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    ["postgres", "nobody"].into_iter().find_map(|name| {
        let fields: Vec<&str> = passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|f| f[0] == name)?;
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    })
}
