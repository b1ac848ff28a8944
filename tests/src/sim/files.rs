//! A phone's sealed files: what a folder promises, and what it does not. What was
//! written and not synced is gone after a loss of power.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use async_trait::async_trait;
use sync_core::evidence::{Files, FilesError, files::Hold};

use super::fuse::{Cut, Fuse, Trouble};

/// A file.
#[derive(Clone, Default)]
struct File {
    bytes: Vec<u8>,
    /// So many of its bytes are durable; `None`: not even its name.
    synced: Option<usize>,
}

/// What is in the folder.
#[derive(Clone, Default)]
pub struct Folder(BTreeMap<String, File>);

/// See the module. Clones share their content.
#[derive(Clone)]
pub struct SimFiles {
    folder: Rc<RefCell<Folder>>,
    holders: Rc<Cell<usize>>,
    removed: Rc<RefCell<Vec<String>>>,
    fuse: Rc<Fuse>,
}

struct Held(Rc<Cell<usize>>);
impl Hold for Held {}
impl Drop for Held {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

fn missing() -> FilesError {
    FilesError::Failed("no such file".into())
}

impl SimFiles {
    pub(super) fn new(folder: Folder, fuse: Rc<Fuse>) -> Self {
        Self {
            folder: Rc::new(RefCell::new(folder)),
            holders: Rc::default(),
            removed: Rc::default(),
            fuse,
        }
    }

    /// A copy of everything, as a cloned phone has it.
    pub(super) fn copy(&self) -> Folder {
        self.folder.borrow().clone()
    }

    /// The phone died.
    pub(super) fn die(&self, cut: Cut) {
        // Locks go with the process.
        self.holders.set(0);
        if !cut.power {
            return;
        }
        let mut folder = self.folder.borrow_mut();
        folder.0.retain(|_, file| file.synced.is_some());
        for file in folder.0.values_mut() {
            file.bytes.truncate(file.synced.unwrap_or(0));
        }
    }

    /// The files that were removed since the last time, by name.
    pub(super) fn take_removed(&self) -> Vec<String> {
        self.removed.take()
    }

    /// Whether these bytes stand anywhere.
    pub(super) fn shows(&self, needle: &[u8]) -> bool {
        let found = |bytes: &[u8]| bytes.windows(needle.len()).any(|part| part == needle);
        self.folder
            .borrow()
            .0
            .values()
            .any(|file| found(&file.bytes))
    }

    async fn write<T>(
        &self,
        work: impl FnOnce(&mut Folder) -> Result<T, FilesError>,
    ) -> Result<T, FilesError> {
        let work = || {
            let trouble = self.fuse.trouble();
            let mut folder = self.folder.borrow_mut();
            match trouble {
                None => work(&mut folder),
                Some(Trouble::Full) => Err(FilesError::Full),
                Some(Trouble::Broken) => Err(FilesError::Failed("input/output error".into())),
                Some(Trouble::Doubtful) => {
                    work(&mut folder)?;
                    Err(FilesError::Failed("input/output error".into()))
                }
            }
        };
        self.fuse.pass(work).await
    }
}

#[async_trait(?Send)]
impl Files for SimFiles {
    async fn append(&self, name: &str, bytes: &[u8]) -> Result<(), FilesError> {
        self.write(|folder| {
            let file = folder.0.entry(name.to_owned()).or_default();
            file.bytes.extend_from_slice(bytes);
            Ok(())
        })
        .await
    }

    async fn sync(&self, name: &str) -> Result<(), FilesError> {
        self.write(|folder| {
            let file = folder.0.get_mut(name).ok_or_else(missing)?;
            file.synced = Some(file.bytes.len());
            Ok(())
        })
        .await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), FilesError> {
        self.write(|folder| {
            let mut file = folder.0.remove(from).ok_or_else(missing)?;
            // The name is durable; what the file holds only if it was synced.
            file.synced = file.synced.or(Some(0));
            folder.0.insert(to.to_owned(), file);
            Ok(())
        })
        .await
    }

    async fn size(&self, name: &str) -> Result<Option<u64>, FilesError> {
        let work = || {
            let folder = self.folder.borrow();
            Ok(folder.0.get(name).map(|file| file.bytes.len() as u64))
        };
        self.fuse.pass(work).await
    }

    async fn read(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, FilesError> {
        let work = || {
            let folder = self.folder.borrow();
            let bytes = &folder.0.get(name).ok_or_else(missing)?.bytes;
            let start = usize::try_from(offset)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            let end = start.saturating_add(length).min(bytes.len());
            Ok(bytes[start..end].to_vec())
        };
        self.fuse.pass(work).await
    }

    async fn names(&self) -> Result<Vec<String>, FilesError> {
        let work = || Ok(self.folder.borrow().0.keys().cloned().collect());
        self.fuse.pass(work).await
    }

    async fn remove(&self, name: &str) -> Result<(), FilesError> {
        self.write(|folder| {
            if folder.0.remove(name).is_some() {
                self.removed.borrow_mut().push(name.to_owned());
            }
            Ok(())
        })
        .await
    }

    async fn hold(&self) -> Result<Box<dyn Hold>, FilesError> {
        self.holders.set(self.holders.get() + 1);
        Ok(Box::new(Held(self.holders.clone())))
    }

    async fn try_alone(&self) -> Result<Option<Box<dyn Hold>>, FilesError> {
        if self.holders.get() > 0 {
            return Ok(None);
        }
        self.hold().await.map(Some)
    }
}
