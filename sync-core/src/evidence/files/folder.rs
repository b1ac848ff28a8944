//! A folder of sealed files, readable by nobody else.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use async_trait::async_trait;

use super::{Files, FilesError, Hold};

/// Empty; held while something is taken in.
const LOCK: &str = "in-use";

/// See the module.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Hold for File {}

impl Folder {
    /// Opens the folder, and makes it if there is none.
    ///
    /// # Errors
    /// [`FilesError`].
    pub fn open(path: &Path) -> Result<Self, FilesError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)?;
        Ok(Self(path.to_owned()))
    }

    fn lock(&self) -> io::Result<File> {
        private().create(true).write(true).open(self.0.join(LOCK))
    }

    /// Makes names durable. Windows has no such call; NTFS logs names itself.
    #[cfg_attr(not(unix), expect(clippy::unused_self, reason = "see above"))]
    fn sync_names(&self) -> io::Result<()> {
        #[cfg(unix)]
        File::open(&self.0)?.sync_all()?;
        Ok(())
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Some file systems have no locks; there, one process must do.
fn tolerate(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        other => other,
    }
}

#[async_trait(?Send)]
impl Files for Folder {
    async fn append(&self, name: &str, bytes: &[u8]) -> Result<(), FilesError> {
        let mut file = private()
            .create(true)
            .append(true)
            .open(self.0.join(name))?;
        Ok(file.write_all(bytes)?)
    }

    async fn sync(&self, name: &str) -> Result<(), FilesError> {
        OpenOptions::new()
            .append(true)
            .open(self.0.join(name))?
            .sync_all()?;
        Ok(self.sync_names()?)
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), FilesError> {
        std::fs::rename(self.0.join(from), self.0.join(to))?;
        Ok(self.sync_names()?)
    }

    async fn size(&self, name: &str) -> Result<Option<u64>, FilesError> {
        match self.0.join(name).metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => Ok(Some(other?.len())),
        }
    }

    async fn read(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, FilesError> {
        let mut file = File::open(self.0.join(name))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::with_capacity(length);
        file.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    async fn names(&self) -> Result<Vec<String>, FilesError> {
        let mut names = Vec::new();
        for found in std::fs::read_dir(&self.0)? {
            // A name that is no text is none of ours.
            if let Ok(name) = found?.file_name().into_string()
                && name != LOCK
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    async fn remove(&self, name: &str) -> Result<(), FilesError> {
        match std::fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => Ok(other?),
        }
    }

    async fn hold(&self) -> Result<Box<dyn Hold>, FilesError> {
        let file = self.lock()?;
        tolerate(file.lock_shared())?;
        Ok(Box::new(file))
    }

    async fn try_alone(&self) -> Result<Option<Box<dyn Hold>>, FilesError> {
        let file = self.lock()?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => tolerate(Err(error))?,
            Ok(()) => {}
        }
        Ok(Some(Box::new(file)))
    }
}
