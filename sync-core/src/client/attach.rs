//! Attaching files to reports.

use std::{
    fs::{File, Metadata},
    path::{Path, PathBuf},
};

use protocol::{
    codes::Code,
    entry::{Attach, FileRef},
    ids::{EntryHash, SubjectId},
};
use serde::Serialize;

use super::Client;
use crate::{
    error::Error,
    evidence::{
        picture,
        shelf::{Draft, Shelf},
    },
    journal::write::{Act, check_attach},
};

/// A file to attach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Where it is. It is read once, and neither changed nor removed.
    pub path: PathBuf,
    /// When it was taken, RFC 3339; else a picture may say so itself.
    pub taken_at: Option<String>,
}

/// A file that is attached and durable now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attached {
    /// The report.
    pub report: SubjectId,
    /// The entry; `None` if the report had the file before, and nothing was done.
    pub entry: Option<EntryHash>,
    /// The file.
    pub file: FileRef,
    /// Its preview.
    pub preview: Option<FileRef>,
}

impl Client {
    /// Attaches a file to a report: it is hashed and sealed as it is read, and
    /// filed once the sealed bytes are durable. Memory does not grow with the
    /// file, but for what a preview of a picture takes.
    ///
    /// # Errors
    /// Those of [`Self::amend`]; [`Code::FileUnreadable`] for what is no file, or
    /// changed while it was read; [`Code::TooLong`]; [`Code::StoreFailed`], such
    /// as for a full disk. Nothing is left behind then.
    pub async fn attach(&self, report: SubjectId, new: &NewFile) -> Result<Attached, Error> {
        self.refresh().await?;
        check_attach(&self.book.borrow(), report, new.taken_at.as_deref())?;
        let taking_in = self.files.hold().await?;
        let draft = self.take_in(&new.path).await?;
        let (preview, taken_at) = match self.look_at(&draft).await {
            Ok(found) => found,
            Err(error) => return self.give_up(&[&draft], error).await,
        };
        let attach = Attach {
            file: file_ref(&draft),
            preview: preview.as_ref().map(file_ref),
            taken_at: new.taken_at.clone().or(taken_at),
        };
        let filed = self.append(|book| Act::attach(book, report, &attach)).await;
        let drafts: Vec<&Draft> = std::iter::once(&draft).chain(&preview).collect();
        let entry = match filed {
            Ok(filed) => Some(filed.entry),
            Err(error) if error.code() == Code::AlreadyExists => None,
            // Written all the same, perhaps: what is announced is kept.
            Err(error) if matches!(error, Error::Device { .. }) => {
                drop(taking_in);
                // The failure is what is told.
                let _ = self.tidy_files().await;
                return Err(error);
            }
            Err(error) => return self.give_up(&drafts, error).await,
        };
        let (shelf, announced) = (self.shelf(), self.book.borrow().files());
        for draft in drafts {
            // One that was there already heals a copy that was damaged.
            if announced.contains(&draft.file) {
                shelf.keep(draft).await?;
            } else {
                shelf.discard(draft).await?;
            }
        }
        Ok(Attached {
            report,
            entry,
            file: attach.file,
            preview: attach.preview,
        })
    }

    pub(crate) fn shelf(&self) -> Shelf<'_> {
        Shelf {
            files: self.files.as_ref(),
            key: &self.data_key,
            env: self.environment.as_ref(),
        }
    }

    /// Finishes what a crash interrupted, unless somebody attaches just now.
    pub(super) async fn tidy_files(&self) -> Result<(), Error> {
        if let Some(_alone) = self.files.try_alone().await? {
            self.refresh().await?;
            let announced = self.book.borrow().files();
            self.shelf().tidy(&announced).await?;
        }
        Ok(())
    }

    async fn take_in(&self, path: &Path) -> Result<Draft, Error> {
        let unreadable = |error: std::io::Error| told(path, &error.to_string());
        let before = std::fs::metadata(path).map_err(unreadable)?;
        // A pipe would wait for ever.
        if !before.is_file() {
            return Err(told(path, "it is not a file"));
        }
        let mut source = File::open(path).map_err(unreadable)?;
        let draft = self.shelf().take_in(&mut source).await?;
        match source.metadata() {
            Ok(after) if is_same(&before, &after, draft.size) => Ok(draft),
            Ok(_) => {
                let error = told(path, "it changed while it was read");
                self.give_up(&[&draft], error).await
            }
            Err(error) => self.give_up(&[&draft], unreadable(error)).await,
        }
    }

    /// The preview of a picture, sealed too, and when it was taken.
    async fn look_at(&self, draft: &Draft) -> Result<(Option<Draft>, Option<String>), Error> {
        if !picture::may_have_preview(draft.media_type, draft.size) {
            return Ok((None, None));
        }
        let shelf = self.shelf();
        let bytes = shelf.read_draft(draft).await?;
        let preview = match picture::preview(&bytes, draft.media_type) {
            Some(preview) => Some(shelf.take_in(&mut preview.as_slice()).await?),
            None => None,
        };
        Ok((preview, picture::taken_at(&bytes)))
    }

    async fn give_up<T>(&self, drafts: &[&Draft], error: Error) -> Result<T, Error> {
        for draft in drafts {
            // What went wrong first is told; the next start removes what is left.
            let _ = self.shelf().discard(draft).await;
        }
        Err(error)
    }
}

fn file_ref(draft: &Draft) -> FileRef {
    FileRef {
        sha256: draft.file,
        size: draft.size,
        media_type: draft.media_type.to_owned(),
    }
}

fn told(path: &Path, reason: &str) -> Error {
    Error::refused(
        Code::FileUnreadable,
        format!(
            "{} cannot be attached: {reason}; nothing was attached",
            path.display()
        ),
    )
}

fn is_same(before: &Metadata, after: &Metadata, read: u64) -> bool {
    let written = |of: &Metadata| of.modified().ok();
    before.len() == read && after.len() == read && written(before) == written(after)
}
