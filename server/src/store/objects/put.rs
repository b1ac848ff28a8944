//! Storing a complete file whose bytes are at hand, such as a backup's.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::{ObjectStoreExt as _, WriteMultipart};
use protocol::ids::FileHash;
use sha2::Digest as _;
use uuid::Uuid;

use super::{Objects, file_path};
use crate::error::Result;

/// Bytes that are asked for at once: so that no request to a bucket takes long.
pub const RANGE_BYTES: u64 = 16 * 1024 * 1024;

impl Objects {
    /// Stores a file from `next`, which hands out its bytes until `None`; durable
    /// when this returns `true`. `false` if its hash is another: then nothing is
    /// left of it.
    ///
    /// # Errors
    /// The store's, or those of `next`.
    pub async fn put_file(
        &self,
        mission: Uuid,
        file: &FileHash,
        next: &mut dyn FnMut() -> Result<Option<Bytes>>,
    ) -> Result<bool> {
        let path = file_path(mission, file);
        let upload = self.inner.put_multipart(&path).await?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, self.part);
        match fill(&mut writer, next).await {
            Ok(digest) if digest == file.0 => {
                writer.finish().await?;
                Ok(true)
            }
            other => {
                writer.abort().await?;
                other.map(|_| false)
            }
        }
    }
}

impl Objects {
    /// Reads a file through: whether it is there and the one that its name says.
    ///
    /// # Errors
    /// The store's.
    pub async fn holds(&self, mission: Uuid, file: &FileHash, size: u64) -> Result<bool> {
        let (mut hash, mut at) = (sha2::Sha256::new(), 0);
        while at < size {
            let end = (at + RANGE_BYTES).min(size);
            let Some(mut range) = self.read(mission, file, at..end).await? else {
                return Ok(false);
            };
            while let Some(chunk) = range.try_next().await? {
                hash.update(&chunk);
            }
            at = end;
        }
        Ok(<[u8; 32]>::from(hash.finalize()) == file.0)
    }
}

async fn fill(
    writer: &mut WriteMultipart,
    next: &mut dyn FnMut() -> Result<Option<Bytes>>,
) -> Result<[u8; 32]> {
    let mut hash = sha2::Sha256::new();
    while let Some(chunk) = next()? {
        hash.update(&chunk);
        writer.wait_for_capacity(1).await?;
        writer.write(&chunk);
    }
    Ok(hash.finalize().into())
}
