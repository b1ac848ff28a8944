//! The fake server's side of evidence, and files that die.

use std::{cell::Cell, rc::Rc};

use async_trait::async_trait;
use protocol::{
    codes::Code,
    entry::{Attach, Kind},
    ids::FileHash,
};
use sha2::{Digest as _, Sha256};

use super::server::{FakeServer, Fault, problem};
use crate::{
    evidence::{Files, FilesError, MemoryFiles, files::Hold},
    transport::{Answer, Method},
};

impl FakeServer {
    /// The size that an entry of the ledger announces.
    fn announced(&self, file: &FileHash) -> Option<u64> {
        let ledger = self.ledger.borrow();
        let attached = ledger.iter().filter_map(|(_, entry)| {
            let read = entry.read().ok()?;
            (read.payload.kind == Kind::Attach).then_some(())?;
            Attach::from_body(&read.body).ok()
        });
        attached
            .flat_map(|attach| std::iter::once(attach.file).chain(attach.preview))
            .find(|one| one.sha256 == *file)
            .map(|one| one.size)
    }

    pub(super) fn evidence(
        &self,
        method: Method,
        file: FileHash,
        headers: &[(&'static str, String)],
        body: &[u8],
        fault: Option<Fault>,
    ) -> Answer {
        assert!(headers.contains(&("tus-resumable", "1.0.0".into())));
        let tus = |answer: Answer| Answer {
            tus_resumable: "1.0.0".into(),
            ..answer
        };
        let Some(size) = self.announced(&file) else {
            return tus(problem(404, Code::EvidenceUnknown));
        };
        if self.waits.borrow().contains(&file) {
            return tus(problem(403, Code::EvidenceWaits));
        }
        let mut evidence = self.evidence.borrow_mut();
        let held = evidence.entry(file).or_default();
        let state = |held: &[u8], status| {
            tus(Answer {
                status,
                upload_offset: held.len().to_string(),
                upload_length: size.to_string(),
                evidence_durable: (self.durable.get() && held.len() as u64 == size).to_string(),
                ..Answer::default()
            })
        };
        if method == Method::Head {
            return state(held, 200);
        }
        self.part_bytes
            .set(self.part_bytes.get() + body.len() as u64);
        let offset = headers.iter().find(|(name, _)| *name == "upload-offset");
        if offset.is_none_or(|(_, offset)| *offset != held.len().to_string()) {
            return state(held, 409);
        }
        let taken = match fault {
            Some(Fault::Cut(bytes)) => bytes.min(body.len()),
            _ => body.len(),
        };
        held.extend_from_slice(&body[..taken]);
        assert!(held.len() as u64 <= size, "more than was announced");
        if held.len() as u64 == size {
            let hash: [u8; 32] = Sha256::digest(&*held).into();
            if hash != file.0 {
                held.clear();
                return state(held, 460);
            }
        }
        let answer = state(held, 204);
        drop(evidence);
        self.parts.set(self.parts.get() + 1);
        if let Some(hook) = &*self.at_part.borrow() {
            hook(self.parts.get());
        }
        answer
    }

    /// Whether a file is there, wholly.
    pub(crate) fn has_file(&self, file: &FileHash) -> bool {
        let size = self.announced(file);
        let evidence = self.evidence.borrow();
        let held = evidence.get(file).map(|held| held.len() as u64);
        held.is_some() && held == size
    }
}

/// Files that die: the n-th change fails, done or not, and so do all that follow.
#[derive(Clone)]
pub(crate) struct DyingFiles {
    pub(crate) inner: MemoryFiles,
    pub(crate) left: Rc<Cell<usize>>,
    pub(crate) done_all_the_same: bool,
}

impl DyingFiles {
    /// Whether this change is made, and whether it is told to be made.
    fn step(&self) -> (bool, bool) {
        match self.left.get() {
            0 => (false, false),
            1 => {
                self.left.set(0);
                (self.done_all_the_same, false)
            }
            left => {
                self.left.set(left - 1);
                (true, true)
            }
        }
    }
}

fn told(told: bool) -> Result<(), FilesError> {
    told.then_some(())
        .ok_or_else(|| FilesError::Failed("dead".into()))
}

#[async_trait(?Send)]
impl Files for DyingFiles {
    async fn append(&self, name: &str, bytes: &[u8]) -> Result<(), FilesError> {
        let (done, tell) = self.step();
        if done {
            self.inner.append(name, bytes).await?;
        } else if self.done_all_the_same {
            // Torn in the middle.
            self.inner.append(name, &bytes[..bytes.len() / 2]).await?;
        }
        told(tell)
    }
    async fn sync(&self, name: &str) -> Result<(), FilesError> {
        let (done, tell) = self.step();
        if done {
            self.inner.sync(name).await?;
        }
        told(tell)
    }
    async fn rename(&self, from: &str, to: &str) -> Result<(), FilesError> {
        let (done, tell) = self.step();
        if done {
            self.inner.rename(from, to).await?;
        }
        told(tell)
    }
    async fn size(&self, name: &str) -> Result<Option<u64>, FilesError> {
        self.inner.size(name).await
    }
    async fn read(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, FilesError> {
        self.inner.read(name, offset, length).await
    }
    async fn names(&self) -> Result<Vec<String>, FilesError> {
        self.inner.names().await
    }
    async fn remove(&self, name: &str) -> Result<(), FilesError> {
        let (done, tell) = self.step();
        if done {
            self.inner.remove(name).await?;
        }
        told(tell)
    }
    async fn hold(&self) -> Result<Box<dyn Hold>, FilesError> {
        self.inner.hold().await
    }
    async fn try_alone(&self) -> Result<Option<Box<dyn Hold>>, FilesError> {
        self.inner.try_alone().await
    }
}
