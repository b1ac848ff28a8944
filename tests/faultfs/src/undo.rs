//! What would take a change back that was not synced.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

/// One change.
pub(crate) enum Undo {
    /// Bytes of a file changed, or its length.
    Bytes {
        path: PathBuf,
        at: u64,
        old: Vec<u8>,
        length: u64,
    },
    /// A name was made.
    Name { path: PathBuf },
    /// A name went; its file is kept under another.
    Gone { path: PathBuf, kept: PathBuf },
}

impl Undo {
    /// Before bytes are written at a place.
    pub(crate) fn of_write(path: PathBuf, at: u64, count: usize) -> Option<Self> {
        let file = File::open(&path).ok()?;
        let length = file.metadata().ok()?.len();
        let end = at.saturating_add(count as u64).min(length);
        let mut old = vec![0; usize::try_from(end.saturating_sub(at)).ok()?];
        file.read_exact_at(&mut old, at).ok()?;
        Some(Self::Bytes {
            path,
            at,
            old,
            length,
        })
    }

    /// Before a file is cut or made longer.
    pub(crate) fn of_length(path: PathBuf, length: u64) -> Option<Self> {
        Self::of_write(path, length, usize::MAX / 2)
    }

    /// Before a name goes, or is taken by another file.
    pub(crate) fn of_going(path: PathBuf) -> Option<Self> {
        let mut number = 0_u32;
        loop {
            let mut name = path.clone().into_os_string();
            name.push(format!(".faultfs-{number}"));
            let kept = PathBuf::from(name);
            match fs::hard_link(&path, &kept) {
                Ok(()) => return Some(Self::Gone { path, kept }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(_) => return None,
            }
        }
    }

    /// Takes it back. What cannot be taken back shows in the test.
    pub(crate) fn apply(self) {
        match self {
            Self::Bytes {
                path,
                at,
                old,
                length,
            } => {
                if let Ok(file) = OpenOptions::new().write(true).open(path) {
                    file.write_all_at(&old, at).ok();
                    file.set_len(length).ok();
                }
            }
            Self::Name { path } => {
                fs::remove_file(path).ok();
            }
            Self::Gone { path, kept } => {
                fs::rename(kept, path).ok();
            }
        }
    }

    /// Whether syncing this file or folder makes it durable.
    pub(crate) fn is_synced_by(&self, synced: &Path) -> bool {
        match self {
            Self::Bytes { path, .. } => path == synced,
            Self::Name { path } => path.parent() == Some(synced),
            Self::Gone { path, kept } => {
                let durable = path.parent() == Some(synced);
                if durable {
                    fs::remove_file(kept).ok();
                }
                durable
            }
        }
    }
}

/// Removes what processes share of a SQLite database, below a folder.
pub(crate) fn remove_shared_memory(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            remove_shared_memory(&path);
        } else if path.to_string_lossy().ends_with("-shm") {
            fs::remove_file(path).ok();
        }
    }
}
