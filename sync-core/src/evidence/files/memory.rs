//! Files in memory, for tests and the simulator. Clones share their content, so
//! that dropping one and using another is a restart.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use async_trait::async_trait;

use super::{Files, FilesError, Hold};

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    content: Rc<RefCell<BTreeMap<String, Vec<u8>>>>,
    holders: Rc<Cell<usize>>,
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

impl MemoryFiles {
    /// Changes a file's bytes, as a damaged disk would. Tells whether there is one.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.content
            .borrow_mut()
            .get_mut(name)
            .map(change)
            .is_some()
    }
}

#[async_trait(?Send)]
impl Files for MemoryFiles {
    async fn append(&self, name: &str, bytes: &[u8]) -> Result<(), FilesError> {
        let mut content = self.content.borrow_mut();
        let file = content.entry(name.to_owned()).or_default();
        file.extend_from_slice(bytes);
        Ok(())
    }

    async fn sync(&self, name: &str) -> Result<(), FilesError> {
        let found = self.content.borrow().contains_key(name);
        found.then_some(()).ok_or_else(missing)
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), FilesError> {
        let mut content = self.content.borrow_mut();
        let file = content.remove(from).ok_or_else(missing)?;
        content.insert(to.to_owned(), file);
        Ok(())
    }

    async fn size(&self, name: &str) -> Result<Option<u64>, FilesError> {
        Ok(self
            .content
            .borrow()
            .get(name)
            .map(|file| file.len() as u64))
    }

    async fn read(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, FilesError> {
        let content = self.content.borrow();
        let file = content.get(name).ok_or_else(missing)?;
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(file.len());
        let end = start.saturating_add(length).min(file.len());
        Ok(file[start..end].to_vec())
    }

    async fn names(&self) -> Result<Vec<String>, FilesError> {
        Ok(self.content.borrow().keys().cloned().collect())
    }

    async fn remove(&self, name: &str) -> Result<(), FilesError> {
        self.content.borrow_mut().remove(name);
        Ok(())
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
