//! Where sealed files live: few and plain operations, so that a folder, memory
//! and a browser can offer them.

mod folder;
mod memory;

use std::io;

use async_trait::async_trait;
pub use folder::Folder;
pub use memory::MemoryFiles;

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilesError {
    /// No room is left.
    #[error("the disk is full")]
    Full,
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl From<io::Error> for FilesError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// A lock, given back when dropped.
pub trait Hold {}

/// Keeps sealed files by name. Several processes may use one place.
#[async_trait(?Send)]
pub trait Files {
    /// Writes at the end of a file, and makes it if there is none.
    ///
    /// # Errors
    /// [`FilesError`].
    async fn append(&self, name: &str, bytes: &[u8]) -> Result<(), FilesError>;

    /// Makes a file and its name durable.
    ///
    /// # Errors
    /// [`FilesError`].
    async fn sync(&self, name: &str) -> Result<(), FilesError>;

    /// Gives a file another name, durably and at once, in place of what has it.
    ///
    /// # Errors
    /// [`FilesError`].
    async fn rename(&self, from: &str, to: &str) -> Result<(), FilesError>;

    /// Bytes of a file; `None` if there is none.
    ///
    /// # Errors
    /// [`FilesError`].
    async fn size(&self, name: &str) -> Result<Option<u64>, FilesError>;

    /// Reads `length` bytes from `offset` on; fewer only at the end.
    ///
    /// # Errors
    /// [`FilesError`], also when there is no such file.
    async fn read(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, FilesError>;

    /// Every name.
    ///
    /// # Errors
    /// [`FilesError`].
    async fn names(&self) -> Result<Vec<String>, FilesError>;

    /// Removes a file; none is fine.
    ///
    /// # Errors
    /// [`FilesError`].
    async fn remove(&self, name: &str) -> Result<(), FilesError>;

    /// Held, shared, while something is taken in.
    ///
    /// # Errors
    /// [`FilesError`].
    async fn hold(&self) -> Result<Box<dyn Hold>, FilesError>;

    /// Held to remove something; `None` while anybody takes something in.
    ///
    /// # Errors
    /// [`FilesError`].
    async fn try_alone(&self) -> Result<Option<Box<dyn Hold>>, FilesError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::block_on;

    /// What every place must do.
    async fn conforms(files: &dyn Files) {
        assert_eq!(files.size("a").await.expect("reads"), None);
        assert!(files.read("a", 0, 1).await.is_err());
        files.remove("a").await.expect("none is fine");
        files.append("a", b"one").await.expect("writes");
        files.append("a", b"two").await.expect("writes");
        files.sync("a").await.expect("syncs");
        assert_eq!(files.size("a").await.expect("reads"), Some(6));
        assert_eq!(files.read("a", 2, 2).await.expect("reads"), b"et");
        assert_eq!(files.read("a", 4, 9).await.expect("reads"), b"wo");
        files.append("b", b"three").await.expect("writes");
        files.rename("b", "a").await.expect("renames");
        assert_eq!(files.read("a", 0, 9).await.expect("reads"), b"three");
        assert_eq!(files.names().await.expect("lists"), ["a"]);
        assert!(files.rename("b", "a").await.is_err());
        let held = files.hold().await.expect("holds");
        let too = files.hold().await.expect("shared");
        assert!(files.try_alone().await.expect("asks").is_none());
        drop((held, too));
        assert!(files.try_alone().await.expect("asks").is_some());
        files.remove("a").await.expect("removes");
        assert!(files.names().await.expect("lists").is_empty());
    }

    #[test]
    fn memory_conforms() {
        block_on(conforms(&MemoryFiles::default()));
    }

    #[test]
    fn a_folder_conforms_and_is_private() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("evidence");
        let folder = Folder::open(&path).expect("opens");
        block_on(conforms(&folder));
        block_on(folder.append("x", b"y")).expect("writes");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            for (path, mode) in [(path.clone(), 0o700), (path.join("x"), 0o600)] {
                let found = path.metadata().expect("there").permissions().mode();
                assert_eq!(found & 0o777, mode);
            }
        }
    }
}
