//! A home folder: the key file and the SQLite store of one device.
//!
//! | file | what it is |
//! |---|---|
//! | `keys.json` | device key, data key, a sealed copy of the enrolment; mode 600 |
//! | `journal.db`, `-wal`, `-shm` | the store, sealed |
//! | `evidence/` | attached files, sealed, under names that tell nothing |
//! | `journal.db.damaged-N` | a damaged store, moved aside and kept |
//! | `journal.db.opening`, `journal.db.in-use` | locks, empty |

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use protocol::codes::Code;

use super::{Client, Parts, vault::KeyFile};
use crate::{
    error::Error,
    evidence::Folder,
    host::Native,
    store::{Salvage, SqliteStore},
    transport::Transport,
};

/// What was opened.
pub struct Home {
    /// The client on it.
    pub client: Client,
    /// Set when the store was damaged and has been salvaged just now.
    pub salvage: Option<Salvage>,
}

/// Opens a home folder, and makes it if there is none.
///
/// # Errors
/// A folder or key file that cannot be used, a store without its key file, a
/// damaged store that another program has open.
pub async fn open(folder: &Path, transport: Box<dyn Transport>, app: &str) -> Result<Home, Error> {
    make_private(folder)?;
    let env = Native::new();
    let (keys, database) = (folder.join("keys.json"), folder.join("journal.db"));
    if !keys.exists() && database.metadata().is_ok_and(|found| found.len() > 0) {
        return Err(Error::device(
            Code::DataFolderInvalid,
            format!(
                "{} is missing: without it the journal cannot be opened; put it back",
                keys.display()
            ),
        ));
    }
    let vault = KeyFile::open_or_create(&keys, &env)?;
    let (store, opened) = SqliteStore::open(&database)?;
    let parts = Parts {
        store: Box::new(store),
        files: Box::new(Folder::open(&folder.join("evidence"))?),
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
            Some(Code::DataFolderInvalid)
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
}
