//! Takes files in, reads parts of them, and cleans up after a crash.
//!
//! A file is sealed as a *draft* under a random name and made durable; then its
//! entry is filed; then the draft gets the file's own name. Stopped in between,
//! the next start reads from the draft's trailer which file it is, and keeps it
//! if an entry announces it. So an entry never lacks its bytes, and a file under
//! its own name is never taken for a leaving.

use std::{collections::BTreeSet, io::Read};

use protocol::{
    codes::Code,
    encoding::b64,
    ids::FileHash,
    limits,
    planted::{Fault, is as planted},
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    files::{Files, FilesError},
    format::{CHUNK, HEADER, Opener, Sealer, TRAILER},
};
use crate::{error::Error, host::Environment, seal::DataKey};

/// What drafts' names begin with; no file's own name does (`.` is not base64url).
const DRAFT: &str = "draft.";
/// Bytes read and written at once.
const BLOCK: usize = 4 * CHUNK;
/// Bytes in which a media type shows.
const HEAD: usize = 4096;

/// Sealed files under one data key.
pub struct Shelf<'a> {
    /// Where they are.
    pub files: &'a dyn Files,
    /// The key.
    pub key: &'a DataKey,
    /// Randomness.
    pub env: &'a dyn Environment,
}

/// A file that is sealed and durable, and has no entry yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    name: String,
    /// SHA-256.
    pub file: FileHash,
    /// Bytes.
    pub size: u64,
    /// Its first bytes tell what it is.
    pub media_type: &'static str,
}

/// What a sealed file is called. It tells nothing to who has not the data key.
#[must_use]
pub fn name(key: &DataKey, file: &FileHash) -> String {
    b64(*record_key(key, file))
}

/// The same, as the key of a record in a store.
#[must_use]
pub fn record_key(key: &DataKey, file: &FileHash) -> Zeroizing<[u8; 32]> {
    key.derive(&[], &[b"scrutineer-evidence-name-v1", &file.0])
}

impl Shelf<'_> {
    /// Reads a file once: hashes and seals it as it comes. Leaves nothing if it
    /// fails.
    ///
    /// # Errors
    /// [`Code::FileUnreadable`], [`Code::InvalidValue`] for a file of nothing,
    /// [`Code::TooLong`], [`Code::StoreFailed`].
    pub async fn take_in(&self, source: &mut dyn Read) -> Result<Draft, Error> {
        let mut id = [0; 16];
        self.env.random(&mut id);
        let name = format!("{DRAFT}{}", b64(id));
        let taken = self.seal(&name, source).await;
        if taken.is_err() {
            // If this fails too, the next start removes it.
            let _ = self.files.remove(&name).await;
        }
        taken
    }

    async fn seal(&self, name: &str, source: &mut dyn Read) -> Result<Draft, Error> {
        let mut salt = [0; 32];
        self.env.random(&mut salt);
        let mut sealer = Sealer::new(self.key, salt);
        let mut out = sealer.header().to_vec();
        let mut block = Zeroizing::new(vec![0; BLOCK]);
        let mut head = Zeroizing::new(Vec::with_capacity(HEAD));
        loop {
            let read = match source.read(&mut block) {
                Ok(0) => break,
                Ok(read) => &block[..read],
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(Error::refused(
                        Code::FileUnreadable,
                        format!("the file cannot be read: {error}; nothing was attached"),
                    ));
                }
            };
            let room = HEAD - head.len();
            head.extend_from_slice(&read[..read.len().min(room)]);
            sealer.update(read, &mut out)?;
            if sealer.size() > limits::EVIDENCE_BYTES {
                return Err(Error::refused(
                    Code::TooLong,
                    format!(
                        "the file is larger than {} bytes; nothing was attached",
                        limits::EVIDENCE_BYTES
                    ),
                ));
            }
            if out.len() >= BLOCK {
                self.files.append(name, &out).await?;
                out.clear();
            }
        }
        let size = sealer.size();
        if size == 0 {
            return Err(Error::refused(
                Code::InvalidValue,
                "the file is empty; nothing was attached",
            ));
        }
        let file = sealer.finish(&mut out)?;
        self.files.append(name, &out).await?;
        if !planted(Fault::FileNotSynced) {
            self.files.sync(name).await?;
        }
        Ok(Draft {
            name: name.to_owned(),
            file,
            size,
            media_type: infer::get(&head)
                .map_or("application/octet-stream", |kind| kind.mime_type()),
        })
    }

    /// Gives a draft its own name, once its entry is filed.
    ///
    /// # Errors
    /// [`Code::StoreFailed`]; then the next start does it.
    pub async fn keep(&self, draft: &Draft) -> Result<(), Error> {
        let name = name(self.key, &draft.file);
        Ok(self.files.rename(&draft.name, &name).await?)
    }

    /// Removes a draft that gets no entry.
    ///
    /// # Errors
    /// [`Code::StoreFailed`]; then the next start does it.
    pub async fn discard(&self, draft: &Draft) -> Result<(), Error> {
        Ok(self.files.remove(&draft.name).await?)
    }

    /// Everything in a draft; for small files.
    ///
    /// # Errors
    /// [`Code::StoreFailed`].
    pub async fn read_draft(&self, draft: &Draft) -> Result<Zeroizing<Vec<u8>>, Error> {
        let opener = self.opener(&draft.name).await?;
        let opener = opener.filter(|opener| opener.file() == draft.file);
        let opener = opener.ok_or_else(damaged)?;
        self.part(&draft.name, &opener, 0, draft.size).await
    }

    /// Whether the sealed bytes of a file are here.
    ///
    /// # Errors
    /// [`Code::StoreFailed`].
    pub async fn has(&self, file: &FileHash) -> Result<bool, Error> {
        Ok(self.files.size(&name(self.key, file)).await?.is_some())
    }

    /// A part of a file, opened.
    ///
    /// # Errors
    /// [`Code::FileUnreadable`] if it is not here or damaged; [`Code::StoreFailed`].
    pub async fn read(
        &self,
        file: &FileHash,
        offset: u64,
        length: u64,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let name = name(self.key, file);
        let opener = self.opener(&name).await?;
        let opener = opener.filter(|opener| opener.file() == *file);
        let opener = opener.ok_or_else(damaged)?;
        self.part(&name, &opener, offset, length).await
    }

    /// Whether the copy here still is the file: reads all of it.
    ///
    /// # Errors
    /// [`Code::StoreFailed`].
    pub async fn is_whole(&self, file: &FileHash) -> Result<bool, Error> {
        let name = name(self.key, file);
        let Some(opener) = self.opener(&name).await? else {
            return Ok(false);
        };
        let mut hash = Sha256::new();
        for number in 0..opener.chunks() {
            let (offset, length) = opener.place(number);
            let sealed = self.files.read(&name, offset, length).await?;
            match opener.chunk(number, &sealed) {
                Some(plain) => hash.update(&*plain),
                None => return Ok(false),
            }
        }
        let found: [u8; 32] = hash.finalize().into();
        Ok(found == file.0)
    }

    /// Removes the bytes of a file that the server has and keeps. The caller
    /// holds the files alone, and has made sure.
    ///
    /// # Errors
    /// [`Code::StoreFailed`].
    pub async fn drop_bytes(&self, file: &FileHash) -> Result<(), Error> {
        Ok(self.files.remove(&name(self.key, file)).await?)
    }

    /// Finishes what was interrupted: drafts of announced files get their own
    /// names, the others go. The caller holds the files alone.
    ///
    /// # Errors
    /// [`Code::StoreFailed`].
    pub async fn tidy(&self, announced: &BTreeSet<FileHash>) -> Result<(), Error> {
        for found in self.files.names().await? {
            if !found.starts_with(DRAFT) {
                continue;
            }
            let opener = self.opener(&found).await?;
            match opener.filter(|opener| announced.contains(&opener.file())) {
                Some(opener) => {
                    let own = name(self.key, &opener.file());
                    self.files.rename(&found, &own).await?;
                }
                None => self.files.remove(&found).await?,
            }
        }
        Ok(())
    }

    /// `None` if it is not here, damaged or of another key.
    async fn opener(&self, name: &str) -> Result<Option<Opener>, Error> {
        let Some(length) = self.files.size(name).await? else {
            return Ok(None);
        };
        let Some(end) = length.checked_sub(TRAILER as u64) else {
            return Ok(None);
        };
        let header = self.files.read(name, 0, HEADER).await?;
        let trailer = self.files.read(name, end, TRAILER).await?;
        Ok(Opener::new(self.key, &header, &trailer, length))
    }

    async fn part(
        &self,
        name: &str,
        opener: &Opener,
        offset: u64,
        length: u64,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let end = offset.saturating_add(length).min(opener.size());
        let size = usize::try_from(end.saturating_sub(offset)).map_err(|_| damaged())?;
        let mut part = Zeroizing::new(Vec::with_capacity(size));
        let mut at = offset;
        while at < end {
            let number = at / CHUNK as u64;
            let (place, length) = opener.place(number);
            let sealed = self.files.read(name, place, length).await?;
            let plain = opener.chunk(number, &sealed).ok_or_else(damaged)?;
            let skip = usize::try_from(at % CHUNK as u64).unwrap_or(CHUNK);
            let take = (plain.len().saturating_sub(skip)).min(size - part.len());
            if take == 0 {
                return Err(damaged());
            }
            part.extend_from_slice(&plain[skip..skip + take]);
            at += take as u64;
        }
        Ok(part)
    }
}

fn damaged() -> Error {
    Error::device(
        Code::FileUnreadable,
        "the copy of the file on this device is missing or damaged",
    )
}

impl From<FilesError> for Error {
    fn from(error: FilesError) -> Self {
        Self::device(
            Code::StoreFailed,
            format!("the device could not write or read: {error}"),
        )
    }
}
