//! The bytes of evidence: objects in a folder, or in a bucket of an S3-compatible
//! store.
//!
//! ```text
//! uploads/{mission}/{sha256}/{device}/{start}-{length}   pieces of unfinished uploads
//! files/{mission}/{sha256}                               complete files
//! ```
//!
//! Bundles of couriers lie under a mission that there is not ([`BUNDLES`]).
//!
//! Each piece that is received is an object of its own, so how far an upload has
//! come follows from a listing: there is no table that would have to agree with it,
//! and any number of servers may receive. Names are lower case: some file systems
//! hold `A` and `a` for the same.

mod piece;
mod put;

use piece::chain;
pub use piece::{Piece, PieceBuffer, covered};
pub use put::RANGE_BYTES;

use std::{fmt::Write as _, ops::Range, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use object_store::{
    ClientOptions, GetOptions, ObjectStore, ObjectStoreExt as _, RetryConfig, WriteMultipart,
    aws::AmazonS3Builder, local::LocalFileSystem, path::Path,
};
use protocol::{
    codes::Code,
    ids::FileHash,
    planted::{Fault, is as planted},
};
use uuid::Uuid;

use crate::{
    clock::Micros,
    error::{Error, Result},
};

/// The mission under which bundles lie: none has this id.
pub const BUNDLES: Uuid = Uuid::nil();
/// What an object counts at least towards [`Objects::taken`]: many small ones cost too.
const LEAST: u64 = 64 * 1024;
/// Bytes of a part of a complete file in a bucket: S3 takes no smaller ones.
const PART_BYTES: usize = 5 * 1024 * 1024;
/// Pieces fetched ahead while a file is put together.
const AHEAD: usize = 2;

/// How often a request to a bucket is tried again, and for how long.
const RETRIES: usize = 3;
const RETRYING: Duration = Duration::from_secs(20);

/// Where the objects are.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// A folder.
    Folder(PathBuf),
    /// A bucket.
    S3 {
        /// Its name.
        bucket: String,
        /// The store's address; empty for Amazon's.
        endpoint: String,
        /// Its region.
        region: String,
        /// The id of the access key.
        key: String,
        /// Its secret.
        secret: String,
    },
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "Folder({})", folder.display()),
            Self::S3 {
                bucket, endpoint, ..
            } => write!(f, "S3({endpoint} {bucket})"),
        }
    }
}

/// One unfinished upload: it belongs to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Upload {
    /// The mission.
    pub mission: Uuid,
    /// The file.
    pub file: FileHash,
    /// Who sends it.
    pub device: Uuid,
}

/// An unfinished upload as a listing shows it.
#[derive(Clone, Debug)]
pub struct Remains {
    /// Which.
    pub upload: Upload,
    /// When its last piece came.
    pub touched: Micros,
}

/// The store of objects.
#[derive(Clone, Debug)]
pub struct Objects {
    inner: Arc<dyn ObjectStore>,
    part: usize,
    folder: Option<PathBuf>,
}

impl Objects {
    /// Opens a place. A folder is made if it is missing.
    ///
    /// # Errors
    /// `configuration_invalid`, or the file system's.
    pub fn open(place: &Place) -> Result<Self> {
        let invalid = |error: object_store::Error| {
            Error::refused(Code::ConfigurationInvalid, format!("evidence: {error}"))
        };
        match place {
            Place::Folder(folder) => {
                std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
                let inner = LocalFileSystem::new_with_prefix(folder)
                    .map_err(invalid)?
                    .with_fsync(true)
                    .with_automatic_cleanup(true);
                Ok(Self {
                    inner: Arc::new(inner),
                    part: piece::PIECE_BYTES,
                    folder: Some(folder.clone()),
                })
            }
            Place::S3 {
                bucket,
                endpoint,
                region,
                key,
                secret,
            } => {
                // The client takes the process's provider; a command has none yet.
                rustls::crypto::aws_lc_rs::default_provider()
                    .install_default()
                    .ok();
                let plain = endpoint.starts_with("http://");
                let mut builder = AmazonS3Builder::new()
                    .with_bucket_name(bucket)
                    .with_region(region)
                    .with_access_key_id(key)
                    .with_secret_access_key(secret)
                    // A phone asks again by itself; nobody should wait for minutes.
                    .with_retry(RetryConfig {
                        max_retries: RETRIES,
                        retry_timeout: RETRYING,
                        ..RetryConfig::default()
                    })
                    .with_client_options(ClientOptions::new().with_allow_http(plain));
                if !endpoint.is_empty() {
                    builder = builder.with_endpoint(endpoint);
                }
                Ok(Self {
                    inner: Arc::new(builder.build().map_err(invalid)?),
                    part: PART_BYTES,
                    folder: None,
                })
            }
        }
    }

    /// The pieces of an upload, those whose bytes are all there.
    ///
    /// # Errors
    /// The store's.
    pub async fn pieces(&self, upload: &Upload) -> Result<Vec<Piece>> {
        let listed: Vec<_> = self
            .inner
            .list(Some(&upload_folder(upload)))
            .try_collect()
            .await?;
        Ok(listed
            .into_iter()
            .filter_map(|object| piece_of(&object))
            .collect())
    }

    /// How many bytes of a file have come from the device that sent most.
    ///
    /// # Errors
    /// The store's.
    pub async fn arrived(&self, mission: Uuid, file: &FileHash) -> Result<u64> {
        let mut listed = self.inner.list(Some(&uploads_of(mission, file)));
        let mut uploads = std::collections::HashMap::<Uuid, Vec<Piece>>::new();
        while let Some(object) = listed.try_next().await? {
            if let (Some(upload), Some(piece)) = (upload_of(&object.location), piece_of(&object)) {
                uploads.entry(upload.device).or_default().push(piece);
            }
        }
        Ok(uploads
            .into_values()
            .map(|pieces| covered(&pieces))
            .max()
            .unwrap_or(0))
    }

    /// Stores a piece and empties it; durable when this returns. Answers its bytes.
    ///
    /// # Errors
    /// The store's.
    pub async fn put_piece(
        &self,
        upload: &Upload,
        start: u64,
        piece: &mut PieceBuffer,
    ) -> Result<u64> {
        let length = piece.len();
        let bytes = std::mem::take(piece).into();
        let path = piece_path(upload, &Piece { start, length });
        self.inner.put(&path, bytes).await?;
        Ok(length)
    }

    /// Puts a complete file together from an upload's pieces; durable when this
    /// returns `true`. `false` if its hash is another: then nothing is left of it.
    ///
    /// # Errors
    /// The store's.
    pub async fn assemble(&self, upload: &Upload, pieces: &[Piece]) -> Result<bool> {
        let path = file_path(upload.mission, &upload.file);
        let part = self.part;
        let mut writer =
            WriteMultipart::new_with_chunk_size(self.inner.put_multipart(&path).await?, part);
        match self.copy(upload, pieces, &mut writer).await {
            Ok(digest) if digest == upload.file.0 || planted(Fault::HashNotVerified) => {
                writer.finish().await?;
                Ok(true)
            }
            other => {
                writer.abort().await?;
                other.map(|_| false)
            }
        }
    }

    async fn copy(
        &self,
        upload: &Upload,
        pieces: &[Piece],
        writer: &mut WriteMultipart,
    ) -> Result<[u8; 32]> {
        use sha2::Digest as _;
        let mut hash = sha2::Sha256::new();
        let pieces = stream::iter(chain(pieces)).map(|(piece, skip)| {
            let (inner, path) = (self.inner.clone(), piece_path(upload, &piece));
            let options = GetOptions::new().with_range(Some(skip..piece.length));
            async move { Ok::<_, Error>(inner.get_opts(&path, options).await?.into_stream()) }
        });
        let mut pieces = pieces.buffered(AHEAD);
        while let Some(mut piece) = pieces.try_next().await? {
            // In small chunks: whole pieces, made in one thread and freed in another,
            // stayed with the allocator until the file was done.
            while let Some(chunk) = piece.try_next().await? {
                hash.update(&chunk);
                writer.wait_for_capacity(1).await?;
                writer.write(&chunk);
            }
        }
        Ok(hash.finalize().into())
    }

    /// Removes an upload's pieces.
    ///
    /// # Errors
    /// The store's.
    pub async fn remove_upload(&self, upload: &Upload) -> Result<()> {
        self.remove_below(&upload_folder(upload)).await
    }

    /// Destroys everything of a file: the complete one and whatever was begun.
    ///
    /// # Errors
    /// The store's.
    pub async fn destroy(&self, mission: Uuid, file: &FileHash) -> Result<()> {
        self.remove_below(&uploads_of(mission, file)).await?;
        match self.inner.delete(&file_path(mission, file)).await {
            Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn remove_below(&self, folder: &Path) -> Result<()> {
        let listed: Vec<_> = self.inner.list(Some(folder)).try_collect().await?;
        for object in listed {
            match self.inner.delete(&object.location).await {
                Err(object_store::Error::NotFound { .. }) | Ok(()) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether a complete file is there.
    ///
    /// # Errors
    /// The store's.
    pub async fn has(&self, mission: Uuid, file: &FileHash) -> Result<bool> {
        Ok(self.size_of(mission, file).await?.is_some())
    }

    /// How many bytes a complete file has here; `None` if it is not there.
    ///
    /// # Errors
    /// The store's.
    pub async fn size_of(&self, mission: Uuid, file: &FileHash) -> Result<Option<u64>> {
        match self.inner.head(&file_path(mission, file)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the objects lie in a folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.folder.is_some()
    }

    /// Reads a part of a complete file; `None` if it is not there.
    ///
    /// # Errors
    /// The store's.
    pub async fn read(
        &self,
        mission: Uuid,
        file: &FileHash,
        range: Range<u64>,
    ) -> Result<Option<BoxStream<'static, object_store::Result<Bytes>>>> {
        if range.is_empty() {
            let there = self.has(mission, file).await?;
            return Ok(there.then(|| stream::empty().boxed()));
        }
        let options = GetOptions::new().with_range(Some(range));
        match self
            .inner
            .get_opts(&file_path(mission, file), options)
            .await
        {
            Ok(found) => Ok(Some(found.into_stream())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The complete files of a mission, and their sizes.
    ///
    /// # Errors
    /// The store's.
    pub async fn complete_files(&self, mission: Uuid) -> Result<Vec<(FileHash, u64)>> {
        let folder = Path::from(format!("files/{mission}"));
        let listed: Vec<_> = self.inner.list(Some(&folder)).try_collect().await?;
        let named = |object: object_store::ObjectMeta| {
            Some((unhex(object.location.filename()?)?, object.size))
        };
        Ok(listed.into_iter().filter_map(named).collect())
    }

    /// Bytes that a mission's files take, complete or not; small objects count more.
    ///
    /// # Errors
    /// The store's.
    pub async fn taken(&self, mission: Uuid) -> Result<u64> {
        let mut taken = 0_u64;
        for folder in ["files", "uploads"] {
            let folder = Path::from(format!("{folder}/{mission}"));
            let mut listed = self.inner.list(Some(&folder));
            while let Some(object) = listed.try_next().await? {
                taken = taken.saturating_add(object.size.max(LEAST));
            }
        }
        Ok(taken)
    }

    /// Every unfinished upload.
    ///
    /// # Errors
    /// The store's.
    pub async fn remains(&self) -> Result<Vec<Remains>> {
        let mut listed = self.inner.list(Some(&Path::from("uploads")));
        let mut found = std::collections::HashMap::<Upload, i64>::new();
        while let Some(object) = listed.try_next().await? {
            if let Some(upload) = upload_of(&object.location) {
                let at = object.last_modified.timestamp_micros();
                let touched = found.entry(upload).or_insert(at);
                *touched = at.max(*touched);
            }
        }
        Ok(found
            .into_iter()
            .map(|(upload, touched)| Remains {
                upload,
                touched: Micros(touched),
            })
            .collect())
    }

    /// Removes what a crash left of files that were being written into a folder:
    /// those older than this. A bucket has a rule of its own for that
    /// (`AbortIncompleteMultipartUpload`). Blocking.
    ///
    /// # Errors
    /// The file system's.
    pub fn remove_staged(&self, before: Micros) -> Result<usize> {
        let Some(folder) = &self.folder else {
            return Ok(0);
        };
        let mut removed = 0;
        let mut folders = vec![folder.clone()];
        while let Some(folder) = folders.pop() {
            let entries = match std::fs::read_dir(&folder) {
                // An upload that ended meanwhile took its folder with it.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                other => other.map_err(Error::io(&folder))?,
            };
            for entry in entries {
                let entry = entry.map_err(Error::io(&folder))?;
                let path = entry.path();
                let Ok(known) = entry.metadata() else {
                    continue;
                };
                let old = || {
                    let modified = known.modified().ok()?;
                    let age = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
                    Some(i64::try_from(age.as_micros()).unwrap_or(i64::MAX) < before.0)
                };
                if known.is_dir() {
                    folders.push(path);
                } else if entry.file_name().to_string_lossy().contains('#')
                    && old().unwrap_or(false)
                {
                    std::fs::remove_file(&path).map_err(Error::io(&path))?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }
}

fn hex(file: &FileHash) -> String {
    let mut text = String::with_capacity(64);
    for byte in file.0 {
        write!(text, "{byte:02x}").ok();
    }
    text
}

fn unhex(text: &str) -> Option<FileHash> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(FileHash(bytes))
}

fn uploads_of(mission: Uuid, file: &FileHash) -> Path {
    Path::from(format!("uploads/{mission}/{}", hex(file)))
}

fn upload_folder(upload: &Upload) -> Path {
    let Upload {
        mission,
        file,
        device,
    } = upload;
    Path::from(format!("uploads/{mission}/{}/{device}", hex(file)))
}

fn piece_path(upload: &Upload, piece: &Piece) -> Path {
    upload_folder(upload).join(format!("{}-{}", piece.start, piece.length))
}

fn file_path(mission: Uuid, file: &FileHash) -> Path {
    Path::from(format!("files/{mission}/{}", hex(file)))
}

fn upload_of(path: &Path) -> Option<Upload> {
    let mut parts = path.parts().skip(1);
    Some(Upload {
        mission: parts.next()?.as_ref().parse().ok()?,
        file: unhex(parts.next()?.as_ref())?,
        device: parts.next()?.as_ref().parse().ok()?,
    })
}

/// A piece by its name, if the object is as long as that says: the power may have
/// failed while it was written.
fn piece_of(object: &object_store::ObjectMeta) -> Option<Piece> {
    let (start, length) = object.location.filename()?.split_once('-')?;
    let piece = Piece {
        start: start.parse().ok()?,
        length: length.parse().ok()?,
    };
    (piece.length == object.size).then_some(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        let upload = Upload {
            mission: Uuid::from_u128(1),
            file: FileHash([0xaf; 32]),
            device: Uuid::from_u128(2),
        };
        let piece = Piece {
            start: 7,
            length: 9,
        };
        let path = piece_path(&upload, &piece);
        assert_eq!(upload_of(&path), Some(upload));
        let mut object = object_store::ObjectMeta {
            location: path,
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: 9,
            e_tag: None,
            version: None,
        };
        assert_eq!(piece_of(&object), Some(piece));
        object.size = 8;
        assert_eq!(piece_of(&object), None, "a torn piece");
        assert_eq!(upload_of(&Path::from("uploads/x/y/z/0-1")), None);
        assert_eq!(unhex(&"é".repeat(32)), None);
    }

    #[test]
    fn no_secret_is_shown() {
        let place = Place::S3 {
            bucket: "b".into(),
            endpoint: "http://s".into(),
            region: "r".into(),
            key: "AKIA".into(),
            secret: "hunter2".into(),
        };
        let shown = format!("{place:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("AKIA"));
    }
}
