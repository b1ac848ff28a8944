//! Storing a complete file whose bytes are at hand, such as a backup's.

use bytes::Bytes;
use object_store::{ObjectStoreExt as _, WriteMultipart};
use protocol::ids::FileHash;
use sha2::Digest as _;
use uuid::Uuid;

use super::{Objects, file_path};
use crate::error::Result;

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
