//! The files of one database, and the locks that keep processes from moving
//! them under each other's hands.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use crate::store::StoreError;

/// Paths beside the database.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) database: PathBuf,
    /// A copy of the damaged file, read while salvaging.
    pub(super) copy: PathBuf,
    /// The new database while it is being filled.
    pub(super) fresh: PathBuf,
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// `name` with something appended: SQLite names its companions so.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

impl Files {
    pub(super) fn new(database: &Path) -> Self {
        Self {
            database: database.to_owned(),
            copy: beside(database, ".salvage-copy"),
            fresh: beside(database, ".salvage-fresh"),
        }
    }

    /// Held by the one process that opens, makes or salvages.
    pub(super) fn lock_opening(&self) -> Result<File, StoreError> {
        let file = lock_file(&beside(&self.database, ".opening"))?;
        tolerate(file.lock())?;
        Ok(file)
    }

    /// Held, shared, by everybody who has the database open.
    pub(super) fn lock_in_use(&self) -> Result<File, StoreError> {
        let file = lock_file(&beside(&self.database, ".in-use"))?;
        tolerate(file.lock_shared())?;
        Ok(file)
    }

    /// Held to move the database aside; `None` while others have it open.
    pub(super) fn try_lock_alone(&self) -> Result<Option<File>, StoreError> {
        let file = lock_file(&beside(&self.database, ".in-use"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => tolerate(Err(error)).map(|()| Some(file)),
        }
    }

    /// A log without its database: the file was cut to nothing.
    pub(super) fn is_emptied(&self) -> Result<bool, StoreError> {
        let size = |path: &Path| match path.metadata() {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        };
        Ok(size(&self.database)? == 0 && size(&beside(&self.database, "-wal"))? > 0)
    }

    /// Makes the database's file readable by nobody else. SQLite gives its
    /// companions the same rights.
    pub(super) fn create_private(&self) -> Result<(), StoreError> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&self.database)?;
        Ok(())
    }

    /// Makes new names in the folder durable.
    pub(super) fn sync_folder(&self) -> Result<(), StoreError> {
        // Windows has no such call; NTFS logs names itself.
        #[cfg(unix)]
        if let Some(folder) = self.database.parent() {
            let folder = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            };
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Moves the damaged database to a free name and puts the fresh one in its
    /// place. Stopped at any point, [`Self::finish_interrupted_salvage`] goes on.
    pub(super) fn swap(&self) -> Result<PathBuf, StoreError> {
        let kept_at = self.free_name();
        if self.database.exists() {
            std::fs::rename(&self.database, &kept_at)?;
        }
        let log = beside(&self.database, "-wal");
        if log.exists() {
            std::fs::rename(log, beside(&kept_at, "-wal"))?;
        }
        remove(&beside(&self.database, "-shm"))?;
        std::fs::rename(&self.fresh, &self.database)?;
        self.sync_folder()?;
        Ok(kept_at)
    }

    /// If the last salvage was stopped: before the swap, its leavings are removed
    /// (the damaged file is still there); within the swap, it is finished.
    pub(super) fn finish_interrupted_salvage(&self) -> Result<(), StoreError> {
        if self.fresh.exists() && !self.database.exists() {
            self.swap()?;
        }
        self.clean()
    }

    /// Removes what salvage made and nobody needs.
    pub(super) fn clean(&self) -> Result<(), StoreError> {
        for path in [&self.copy, &self.fresh] {
            for suffix in ["", "-wal", "-shm", "-journal"] {
                remove(&beside(path, suffix))?;
            }
        }
        Ok(())
    }

    fn free_name(&self) -> PathBuf {
        let name = |number: u32| beside(&self.database, &format!(".damaged-{number}"));
        let mut number = 1;
        while name(number).exists() || beside(&name(number), "-wal").exists() {
            number += 1;
        }
        name(number)
    }
}

fn lock_file(path: &Path) -> Result<File, StoreError> {
    Ok(OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?)
}

/// Some file systems have no locks; there, SQLite's own must do.
fn tolerate(result: io::Result<()>) -> Result<(), StoreError> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        other => Ok(other?),
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
