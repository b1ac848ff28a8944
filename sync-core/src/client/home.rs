//! A home folder: the key file and the SQLite store of one device.
//!
//! | file | what it is |
//! |---|---|
//! | `keys.json` | device key, data key, a sealed copy of the enrolment; mode 600 |
//! | `keys.in-use` | a lock, empty |
//! | `mission-key.json` | the data key once more, for the mission's key holder alone |
//! | `journal.db`, `-wal`, `-shm` | the store, sealed |
//! | `evidence/` | attached files, sealed, under names that tell nothing |
//! | `journal.db.damaged-N` | a damaged store, moved aside and kept |
//! | `journal.db.opening`, `journal.db.in-use` | locks, empty |

mod lost;
pub mod wipe;

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use protocol::codes::Code;
use serde::Serialize;

pub use lost::{begin_anew, pack_as_it_lies};

use super::{
    Client, Parts,
    pack::{self, PackOptions, Packed},
    vault::{
        self,
        file::KeyFile,
        lock::{Lock, NobodyToAsk, Unlock},
        rescue,
    },
};
use crate::{
    error::Error,
    evidence::Folder,
    host::{self, Native},
    store::{Salvage, SqliteStore, Store as _},
    transport::Transport,
};

/// The key file's name.
const KEYS: &str = "keys.json";
/// The store's.
const DATABASE: &str = "journal.db";
/// The folder of sealed files.
const EVIDENCE: &str = "evidence";

/// What was opened.
pub struct Home {
    /// The client on it.
    pub client: Client,
    /// Set when the store was damaged and has been salvaged just now.
    pub salvage: Option<Salvage>,
}

/// Opens a home folder whose keys are not locked, and makes it if there is none.
///
/// # Errors
/// As [`open_with`].
pub async fn open(folder: &Path, transport: Box<dyn Transport>, app: &str) -> Result<Home, Error> {
    open_with(folder, transport, app, &NobodyToAsk).await
}

/// Opens a home folder, and makes it if there is none. `unlock` is asked if its
/// keys are locked.
///
/// # Errors
/// A folder or key file that cannot be used; [`Code::KeysLost`] for a home without
/// its key file; what `unlock` says, and [`Code::PassphraseWrong`];
/// [`Code::WipeUnfinished`]; a damaged store that another program has open.
pub async fn open_with(
    folder: &Path,
    transport: Box<dyn Transport>,
    app: &str,
    unlock: &dyn Unlock,
) -> Result<Home, Error> {
    make_private(folder)?;
    let env = Native::new();
    let (keys, database) = (folder.join(KEYS), folder.join(DATABASE));
    if !keys.exists() && is_used(folder) {
        return Err(lost::keys_lost(folder));
    }
    let vault = KeyFile::open_or_create_with(&keys, &env, unlock)?;
    vault::file::tidy(&keys)?;
    let (store, opened) = SqliteStore::open(&database)?;
    let parts = Parts {
        store: Box::new(store),
        files: Box::new(Folder::open(&folder.join(EVIDENCE))?),
        transport,
        vault: Box::new(vault),
        environment: Rc::new(env),
        app: app.to_owned(),
    };
    Ok(Home {
        client: Client::open(parts).await?,
        salvage: opened.salvage,
    })
}

/// The key file of a home, opened.
///
/// # Errors
/// As [`open_with`]; [`Code::NotEnrolled`] if there is none yet.
pub fn keys(folder: &Path, unlock: &dyn Unlock) -> Result<KeyFile, Error> {
    match KeyFile::open_with(&folder.join(KEYS), unlock)? {
        Some(keys) => Ok(keys),
        None if is_used(folder) => Err(lost::keys_lost(folder)),
        None => Err(Error::refused(
            Code::NotEnrolled,
            "there is no key here yet; use an enrolment link first",
        )),
    }
}

/// How the keys of a home are locked; `None` if they are not, or are not there.
///
/// # Errors
/// A key file that cannot be read.
pub fn lock(folder: &Path) -> Result<Option<Lock>, Error> {
    vault::file::lock_of(&folder.join(KEYS))
}

/// Whether the mission could open what is here if the keys were lost.
#[must_use]
pub fn has_mission_copy(folder: &Path) -> bool {
    rescue::read(&folder.join(rescue::FILE)).is_ok_and(|copy| copy.is_some())
}

/// Writes a bundle for a courier to a new file: complete, or none at all. Writes
/// none if there is nothing to pack.
///
/// # Errors
/// [`Code::AlreadyExists`]; [`Code::NotEnrolled`]; [`Code::StoreFailed`].
pub async fn pack(client: &Client, path: &Path, options: PackOptions) -> Result<Packed, Error> {
    let plan = client.pack_plan(options).await?;
    let file = NewFile::begin(path)?;
    let packed = client.pack(plan, file.writer()).await;
    file.end(packed)
}

/// The same for a home whose keys are lost: everything in it goes out sealed as it
/// lies, and the mission's key holder opens it.
///
/// # Errors
/// [`Code::AlreadyExists`]; [`Code::KeysLost`] if the copy of the data key is lost
/// too; [`Code::StoreFailed`].
pub async fn pack_without_keys(folder: &Path, path: &Path, app: &str) -> Result<Packed, Error> {
    let file = NewFile::begin(path)?;
    let packed = lost::pack(folder, app, file.writer()).await;
    file.end(packed)
}

/// A file that appears under its name once it is whole and durable.
struct NewFile {
    path: PathBuf,
    temporary: PathBuf,
    file: std::fs::File,
}

impl NewFile {
    fn begin(path: &Path) -> Result<Self, Error> {
        let there = || {
            let message = format!("{} is there already; nothing was changed", path.display());
            Error::refused(Code::AlreadyExists, message)
        };
        if path.exists() {
            return Err(there());
        }
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".part-{}", host::uuid(&Native::new()).simple()));
        let temporary = path.with_file_name(name);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&temporary).map_err(pack::failed)?;
        Ok(Self {
            path: path.to_owned(),
            temporary,
            file,
        })
    }

    fn writer(&self) -> impl std::io::Write {
        std::io::BufWriter::new(&self.file)
    }

    /// Gives the file its name if something was packed; otherwise nothing is left.
    fn end(self, packed: Result<Packed, Error>) -> Result<Packed, Error> {
        let done = packed.and_then(|packed| {
            if !packed.is_empty() {
                self.file.sync_all().map_err(pack::failed)?;
                // Unlike a rename, a link never replaces what is there.
                std::fs::hard_link(&self.temporary, &self.path)
                    .or_else(|error| match error.kind() {
                        std::io::ErrorKind::AlreadyExists => Err(error),
                        // A memory card's file system has no links.
                        _ => std::fs::rename(&self.temporary, &self.path),
                    })
                    .map_err(pack::failed)?;
            }
            Ok(packed)
        });
        match std::fs::remove_file(&self.temporary) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return done.and(Err(pack::failed(error)));
            }
            _ => {}
        }
        if done.is_ok() {
            vault::file::sync_folder(&self.path).map_err(pack::failed)?;
        }
        done
    }
}

/// Whether a home was made in a folder, whatever state it is in.
#[must_use]
pub fn is_home(folder: &Path) -> bool {
    folder.join(KEYS).exists() || is_used(folder)
}

/// What lies in a home, and in those that were moved aside from its place, as far
/// as can be told without keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Here {
    /// Entries.
    pub entries: usize,
    /// Sealed files, previews included.
    pub files: usize,
    /// Bytes of them.
    pub file_bytes: u64,
    /// Homes that were moved aside.
    pub homes_aside: usize,
}

/// Counts what lies here. What cannot be read counts nothing.
pub async fn here(folder: &Path) -> Here {
    let aside = moved_aside(folder);
    let mut found = Here {
        homes_aside: aside.len(),
        ..Here::default()
    };
    for home in std::iter::once(folder.to_owned()).chain(aside) {
        if home.join(DATABASE).exists()
            && let Ok((store, _)) = SqliteStore::open(&home.join(DATABASE))
        {
            found.entries += store.rows(0).await.map_or(0, |rows| rows.len());
        }
        let Ok(files) = std::fs::read_dir(home.join(EVIDENCE)) else {
            continue;
        };
        let sizes = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len()));
        for size in sizes.filter(|size| *size > 0) {
            found.files += 1;
            found.file_bytes += size;
        }
    }
    found
}

/// Whether something is here that keys belong to.
fn is_used(folder: &Path) -> bool {
    let database = folder.join(DATABASE).metadata();
    database.is_ok_and(|found| found.len() > 0) || folder.join(rescue::FILE).exists()
}

/// What stands between a home's name and the number of one that was moved aside.
const LOST: &str = ".lost-";

/// Homes that were moved aside from this place, by [`begin_anew`].
#[must_use]
pub fn moved_aside(folder: &Path) -> Vec<PathBuf> {
    let Ok(folder) = folder.canonicalize() else {
        return Vec::new();
    };
    let begins = sibling(&folder, "");
    let siblings = folder
        .parent()
        .and_then(|parent| std::fs::read_dir(parent).ok());
    let mut found: Vec<PathBuf> = siblings
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let number = path.to_str().zip(begins.to_str());
            let number = number.and_then(|(path, begins)| path.strip_prefix(begins));
            number.is_some_and(|number| number.parse::<u32>().is_ok()) && path.is_dir()
        })
        .collect();
    found.sort();
    found
}

fn sibling(folder: &Path, number: &str) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_os_string();
    name.push(format!("{LOST}{number}"));
    folder.with_file_name(name)
}

fn free_sibling(folder: &Path) -> PathBuf {
    let mut number = 1_u32;
    while sibling(folder, &number.to_string()).exists() {
        number += 1;
    }
    sibling(folder, &number.to_string())
}

/// Damaged stores that were moved aside and are kept.
#[must_use]
pub fn kept_aside(folder: &Path) -> Vec<PathBuf> {
    let damaged = |path: &PathBuf| {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        name.starts_with("journal.db.damaged-") && !name.ends_with("-wal")
    };
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .map(|entries| {
            entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(damaged)
                .collect()
        })
        .unwrap_or_default();
    found.sort();
    found
}

fn make_private(folder: &Path) -> Result<(), Error> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| {
        Error::device(
            Code::DataFolderInvalid,
            format!("the folder {} cannot be used: {error}", folder.display()),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, SeekFrom, Write as _};

    use super::*;
    use crate::{
        client::{NewFile, NewReport},
        evidence::shelf::Shelf,
        testing::{FakeServer, block_on},
    };

    fn open_at(folder: &Path, server: &Rc<FakeServer>) -> Result<Home, Error> {
        block_on(open(folder, Box::new(server.clone()), "test/1"))
    }

    fn file(home: &Home, text: &str) {
        let new = NewReport {
            category: "CANARY-category".into(),
            text: Some(text.into()),
            station: Some("CANARY-station".into()),
            ..NewReport::default()
        };
        block_on(home.client.file(new)).expect("files");
    }

    fn all_files(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for one in std::fs::read_dir(folder).expect("lists") {
            let path = one.expect("an entry").path();
            if path.is_dir() {
                found.extend(all_files(&path));
            } else {
                found.push(path);
            }
        }
        found
    }

    #[test]
    fn no_word_stands_in_any_file() {
        let (dir, server) = (tempfile::tempdir().expect("a folder"), FakeServer::new());
        let folder = dir.path().join("home");
        let home = open_at(&folder, &server).expect("opens");
        block_on(home.client.enrol(&server.link_with("CANARY-code"))).expect("enrols");
        file(&home, "CANARY-text");
        block_on(home.client.sync()).expect("syncs");
        let report = block_on(home.client.list()).expect("reads")[0].report;
        let original = dir.path().join("picture");
        std::fs::write(&original, "CANARY-bytes ".repeat(20_000)).expect("writes");
        let new = NewFile {
            path: original,
            taken_at: None,
        };
        let attached = block_on(home.client.attach(report, &new)).expect("attaches");
        // A crash in the middle of another leaves a draft.
        let (files, key) = (
            Folder::open(&folder.join("evidence")),
            home.client.shelf().key,
        );
        let files = files.expect("opens");
        let leaving = Shelf {
            files: &files,
            key,
            env: &Native::new(),
        };
        block_on(leaving.take_in(&mut "CANARY-draft".repeat(9).as_bytes())).expect("seals");
        server.decide(report, "needs_info", Some("CANARY-question"));
        assert_eq!(block_on(home.client.sync()).expect("syncs").items, 1);
        for closed in [false, true] {
            let hash = attached.file.sha256;
            for path in all_files(&folder) {
                let bytes = std::fs::read(&path).expect("reads");
                let canary = bytes
                    .windows(6)
                    .any(|window| window == b"CANARY" || window == b"needs_");
                let tells = bytes.windows(32).any(|window| window == hash.0)
                    || path.to_string_lossy().contains(&hash.to_string());
                assert!(!canary && !tells, "{} (closed: {closed})", path.display());
            }
            if !closed {
                drop(open_at(&folder, &server));
            }
        }
    }

    #[test]
    fn a_damaged_journal_goes_on_in_a_new_one() {
        let (dir, server) = (tempfile::tempdir().expect("a folder"), FakeServer::new());
        let home = open_at(dir.path(), &server).expect("opens");
        block_on(home.client.enrol(&server.link())).expect("enrols");
        for at in 0..60 {
            file(&home, &format!("{at} {}", "words ".repeat(200)));
        }
        drop(home);
        let path = dir.path().join("journal.db");
        let size = path.metadata().expect("there").len();
        let mut smashed = std::fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .expect("opens");
        smashed
            .seek(SeekFrom::Start(size / 2 / 4096 * 4096))
            .expect("seeks");
        smashed.write_all(&[0xA5; 4096]).expect("writes");
        drop(smashed);

        let home = open_at(dir.path(), &server).expect("opens");
        let salvage = home.salvage.as_ref().expect("salvaged");
        assert!((40..60).contains(&salvage.rows), "{salvage:?}");
        assert_eq!(
            kept_aside(dir.path()),
            std::slice::from_ref(&salvage.kept_at)
        );
        file(&home, "after");
        let report = block_on(home.client.sync()).expect("syncs");
        assert_eq!((report.delivered, report.pending), (salvage.rows + 1, 0));
        let requests = server.requests.borrow();
        assert_eq!(
            requests[0].journals.len(),
            2,
            "the old journal and a new one"
        );
    }

    #[test]
    fn the_enrolment_outlives_the_database() {
        let (dir, server) = (tempfile::tempdir().expect("a folder"), FakeServer::new());
        let home = open_at(dir.path(), &server).expect("opens");
        block_on(home.client.enrol(&server.link())).expect("enrols");
        drop(home);
        std::fs::remove_file(dir.path().join("journal.db")).expect("removes");
        let home = open_at(dir.path(), &server).expect("opens");
        file(&home, "still enrolled");
        assert_eq!(block_on(home.client.sync()).expect("syncs").delivered, 1);
    }

    #[test]
    fn lost_keys_are_told_and_nothing_is_overwritten() {
        let (dir, server) = (tempfile::tempdir().expect("a folder"), FakeServer::new());
        let home = open_at(dir.path(), &server).expect("opens");
        block_on(home.client.enrol(&server.link())).expect("enrols");
        file(&home, "words");
        drop(home);
        let (keys, aside) = (dir.path().join("keys.json"), dir.path().join("aside.json"));
        std::fs::rename(&keys, &aside).expect("renames");
        assert_eq!(
            open_at(dir.path(), &server).err().map(|error| error.code()),
            Some(Code::KeysLost)
        );
        // Other keys do not open it either.
        drop(KeyFile::open_or_create(&keys, &Native::new()).expect("makes"));
        assert_eq!(
            open_at(dir.path(), &server).err().map(|error| error.code()),
            Some(Code::DataFolderInvalid)
        );
        std::fs::rename(&aside, &keys).expect("renames");
        let home = open_at(dir.path(), &server).expect("opens");
        assert_eq!(block_on(home.client.list()).expect("reads").len(), 1);
    }

    #[test]
    fn a_wiped_home_is_empty_and_so_are_those_moved_aside() {
        let (dir, server) = (tempfile::tempdir().expect("a folder"), FakeServer::new());
        let folder = dir.path().join("home");
        for _ in 0..2 {
            let home = open_at(&folder, &server).expect("opens");
            block_on(home.client.enrol(&server.link())).expect("enrols");
            file(&home, "words");
            assert!(has_mission_copy(&folder));
            drop(home);
            if moved_aside(&folder).is_empty() {
                std::fs::remove_file(folder.join(KEYS)).expect("removes");
                begin_anew(&folder).expect("moves");
            }
        }
        std::fs::write(folder.join("letter.txt"), "not a home's").expect("writes");
        assert_eq!(block_on(here(&folder)).entries, 2);
        assert!(wipe::run(&folder, &|_| Ok(())).expect("wipes") > 5);
        let left = all_files(dir.path());
        assert_eq!(left, [folder.join("letter.txt")]);
        assert!(moved_aside(&folder).is_empty());
        assert_eq!(wipe::run(&folder, &|_| Ok(())).expect("wipes"), 0);
        let home = open_at(&folder, &server).expect("opens");
        assert!(block_on(home.client.list()).expect("reads").is_empty());
    }

    #[test]
    fn a_home_in_use_is_not_moved() {
        let (dir, server) = (tempfile::tempdir().expect("a folder"), FakeServer::new());
        let folder = dir.path().join("home");
        assert!(begin_anew(&folder).is_err());
        let home = open_at(&folder, &server).expect("opens");
        assert_eq!(
            begin_anew(&folder).err().map(|error| error.code()),
            Some(Code::AlreadyExists)
        );
        drop(home);
        let kept = begin_anew(&folder).expect("moves");
        assert!(kept.join(DATABASE).exists() && !is_home(&folder));
    }
}
