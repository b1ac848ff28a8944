//! The copies of evidence that all backups in one folder share: a folder beside
//! them. Whatever is there under its name is whole and was synced first, so a
//! later backup copies only what is new.
//!
//! ```text
//! files/{mission}/{sha256}               a file as it is
//! sealed/{abc}/{name}-{sha256}.age       a sealed one
//! ```
//!
//! The first is laid out as the server's own folder of complete files. In the
//! second, `name` is made of the file's mission and hash with a secret of the
//! server's, so that nobody else finds out by a hash whether a file is there, and
//! `sha256` is that of the sealed bytes. A file is sealed anew for other recipients.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use protocol::{
    codes::Code,
    ids::{FileHash, MissionId},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    hex, invalid,
    layer::{Layer, Recipients, Tally, Unsealer},
    make_folder, sync_folder,
};
use crate::error::{Error, Result};

/// The folder's name, beside the backups.
pub(super) const FOLDER: &str = "scrutineer-evidence";
/// Where a copy grows until it is whole.
const PARTIAL: &str = "partial";
/// Whoever writes holds a lock on this.
const LOCK: &str = "lock";
/// Characters of a sealed file's name: 128 bits.
const NAME_CHARS: usize = 32;
/// Characters of a folder that sealed files are spread over.
const SHARD_CHARS: usize = 3;

/// What hands out a file's bytes, until `None`.
pub(super) type Source<'a> = &'a mut dyn FnMut() -> Result<Option<Bytes>>;

/// A copy of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) mission: MissionId,
    /// The file's own SHA-256.
    pub(super) file: FileHash,
    /// Its bytes.
    pub(super) size: u64,
    /// When it had come to the server, microseconds since 1970.
    pub(super) completed_at: i64,
    /// Where the copy lies on the shelf.
    pub(super) path: String,
    /// SHA-256 of the copy as it lies there, in hexadecimal.
    pub(super) stored: String,
}

/// A file of a mission, and what a copy of it will be called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The mission's short key in the database.
    pub(super) no: i32,
    pub(super) mission: MissionId,
    pub(super) file: FileHash,
    pub(super) size: u64,
    pub(super) completed_at: i64,
}

/// The shelf, for one that writes: nobody else does meanwhile.
pub(super) struct Shelf {
    folder: PathBuf,
    recipients: Recipients,
    secret: [u8; 32],
    _lock: File,
}

impl Shelf {
    /// Opens the shelf beside the backups of a folder, and makes it if there is
    /// none. Names of sealed files come from `secret`.
    ///
    /// # Errors
    /// `backup_running`; or the file system's.
    pub(super) fn open(beside: &Path, recipients: &Recipients, secret: [u8; 32]) -> Result<Self> {
        let folder = beside.join(FOLDER);
        if !folder.exists() {
            make_folder(&folder)?;
            sync_folder(beside)?;
        }
        let path = folder.join(LOCK);
        let lock = File::create(&path).map_err(Error::io(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let why = format!("another backup is being written into {}", folder.display());
                return Err(Error::refused(Code::BackupRunning, why));
            }
            Err(TryLockError::Error(error)) => return Err(Error::io(&path)(error)),
        }
        remove_if_there(&folder.join(PARTIAL))?;
        Ok(Self {
            folder,
            recipients: recipients.clone(),
            secret,
            _lock: lock,
        })
    }

    /// The copy that is there.
    pub(super) fn find(&self, wanted: &Wanted) -> Result<Option<Kept>> {
        let kept = |path: String, stored: String| Kept {
            mission: wanted.mission,
            file: wanted.file,
            size: wanted.size,
            completed_at: wanted.completed_at,
            path,
            stored,
        };
        if self.recipients.is_empty() {
            let path = plain_path(wanted);
            return Ok(match fs::metadata(self.folder.join(&path)) {
                Ok(known) if known.len() == wanted.size => Some(kept(path, hex(&wanted.file.0))),
                Ok(_) => None,
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(Error::io(&path)(error)),
            });
        }
        let (shard, name) = self.sealed_name(wanted);
        let shard_folder = self.folder.join(&shard);
        let listed = match fs::read_dir(&shard_folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(Error::io(&shard_folder))?,
        };
        for entry in listed {
            let entry = entry.map_err(Error::io(&shard_folder))?;
            let file = entry.file_name().to_string_lossy().into_owned();
            let stored = file
                .strip_prefix(&name)
                .and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".age"));
            if let Some(stored) = stored {
                return Ok(Some(kept(format!("{shard}/{file}"), stored.to_owned())));
            }
        }
        Ok(None)
    }

    /// Copies a file, and reads the copy back. `None`: what came is not the file,
    /// and nothing is kept.
    ///
    /// # Errors
    /// The source's, or the file system's.
    pub(super) fn put(&self, wanted: &Wanted, source: Source<'_>) -> Result<Option<Kept>> {
        let partial = self.folder.join(PARTIAL);
        remove_if_there(&partial)?;
        let mut layer = Layer::create(&partial, &self.recipients)?;
        let (mut hash, mut size) = (Sha256::new(), 0);
        while let Some(chunk) = source()? {
            hash.update(&chunk);
            size += chunk.len() as u64;
            layer.write_all(&chunk).map_err(Error::io(&partial))?;
        }
        let (_, stored) = layer.finish(&partial)?;
        if size != wanted.size || hash.finalize()[..] != wanted.file.0 {
            remove_if_there(&partial)?;
            return Ok(None);
        }
        if sum_of(&partial)? != stored {
            let why = io::Error::other("what was read back is not what was written");
            return Err(Error::io(&partial)(why));
        }
        let (folder, path) = if self.recipients.is_empty() {
            (format!("files/{}", wanted.mission), plain_path(wanted))
        } else {
            let (shard, name) = self.sealed_name(wanted);
            let path = format!("{shard}/{name}-{stored}.age");
            (shard, path)
        };
        let folder = self.make_below(&folder)?;
        let place = self.folder.join(&path);
        fs::rename(&partial, &place).map_err(Error::io(&place))?;
        sync_folder(&folder)?;
        Ok(Some(Kept {
            mission: wanted.mission,
            file: wanted.file,
            size: wanted.size,
            completed_at: wanted.completed_at,
            path,
            stored,
        }))
    }

    /// Makes a folder of two levels, durably.
    fn make_below(&self, path: &str) -> Result<PathBuf> {
        let mut folder = self.folder.clone();
        for part in path.split('/') {
            let above = folder.clone();
            folder.push(part);
            if !folder.exists() {
                make_folder(&folder)?;
                sync_folder(&above)?;
            }
        }
        Ok(folder)
    }

    /// Removes every copy that is not among these paths. Answers how many, and
    /// their bytes.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn keep_only(
        &self,
        paths: &std::collections::HashSet<String>,
    ) -> Result<(u64, u64)> {
        let (mut removed, mut bytes) = (0, 0);
        for kind in ["files", "sealed"] {
            for folder in entries(&self.folder.join(kind))? {
                for file in entries(&folder)? {
                    let below = file.strip_prefix(&self.folder).unwrap_or(&file);
                    if !paths.contains(below.to_string_lossy().as_ref()) {
                        bytes += fs::metadata(&file).map_err(Error::io(&file))?.len();
                        fs::remove_file(&file).map_err(Error::io(&file))?;
                        removed += 1;
                    }
                }
            }
        }
        Ok((removed, bytes))
    }

    /// What a file is called when it is sealed to these recipients: a folder, and
    /// the beginning of a name in it.
    fn sealed_name(&self, wanted: &Wanted) -> (String, String) {
        let mut recipients = self.recipients.texts();
        recipients.sort();
        let mut tag = [0; 32];
        // 32 bytes are a valid HMAC key of any hash.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.secret) {
            mac.update(wanted.mission.0.as_bytes());
            mac.update(&wanted.file.0);
            for recipient in recipients {
                mac.update(recipient.as_bytes());
                mac.update(b"\n");
            }
            tag = mac.finalize().into_bytes().into();
        }
        let name: String = hex(&tag).chars().take(NAME_CHARS).collect();
        let shard: String = name.chars().take(SHARD_CHARS).collect();
        (format!("sealed/{shard}"), name)
    }
}

fn plain_path(wanted: &Wanted) -> String {
    format!("files/{}/{}", wanted.mission, hex(&wanted.file.0))
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(path)(error)),
        _ => Ok(()),
    }
}

/// What is in a folder; nothing if there is none.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(Error::io(folder))?,
    };
    listed
        .map(|entry| Ok(entry.map_err(Error::io(folder))?.path()))
        .collect()
}

/// SHA-256 of a file as it lies there, in hexadecimal.
///
/// # Errors
/// The file system's.
pub(super) fn sum_of(path: &Path) -> Result<String> {
    let mut tally = Tally::new(File::open(path).map_err(Error::io(path))?);
    io::copy(&mut tally, &mut io::sink()).map_err(Error::io(path))?;
    Ok(tally.sums().1)
}

/// Whether a path of a list stays on the shelf.
pub(super) fn is_below(path: &str) -> bool {
    let sound = |part: &str| !part.is_empty() && part != "." && part != "..";
    path.split('/').all(sound) && (path.starts_with("files/") || path.starts_with("sealed/"))
}

impl Kept {
    /// Opens the copy for reading; what comes is the file itself, not the seal.
    /// Whether it is right shows when all was read.
    ///
    /// # Errors
    /// `backup_invalid`: it is not there, or not sealed to these.
    pub(super) fn open(&self, shelf: &Path, unsealer: &Unsealer) -> Result<Box<dyn Read>> {
        let file =
            File::open(shelf.join(&self.path)).map_err(|error| invalid(&self.path, error))?;
        Ok(if self.path.ends_with(".age") {
            Box::new(unsealer.open(&self.path, file)?)
        } else {
            Box::new(file)
        })
    }

    /// Checks the copy: its bytes as they lie there, and the file in them.
    ///
    /// # Errors
    /// `backup_invalid`, naming it.
    pub(super) fn check(&self, shelf: &Path, unsealer: &Unsealer) -> Result<()> {
        let wrong = || invalid(&self.path, "is not the copy that was made");
        if self.path.ends_with(".age") {
            check_stored(shelf, &self.path, &self.stored)?;
        }
        let mut plain = Tally::new(self.open(shelf, unsealer)?);
        io::copy(&mut plain, &mut io::sink()).map_err(|error| invalid(&self.path, error))?;
        if plain.sums() == (self.size, hex(&self.file.0)) {
            Ok(())
        } else {
            Err(wrong())
        }
    }
}

/// Checks a copy's bytes as they lie there.
///
/// # Errors
/// `backup_invalid`, naming it.
pub(super) fn check_stored(shelf: &Path, path: &str, stored: &str) -> Result<()> {
    let place = shelf.join(path);
    let found = match sum_of(&place) {
        Err(Error::Io(_, error)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(invalid(path, "is missing"));
        }
        other => other?,
    };
    if found == stored {
        Ok(())
    } else {
        Err(invalid(path, "is not the copy that was made"))
    }
}
