//! Evidence over the wire: the core protocol of tus 1.0.0
//! (<https://tus.io/protocols/resumable-upload>), without a step that creates an
//! upload. A file's address follows from its SHA-256, and the size is known from
//! the entry that announces it; so an upload goes on after any lost answer.

use crate::ids::FileHash;

/// The one version of tus that is spoken: `Tus-Resumable`.
pub const TUS_VERSION: &str = "1.0.0";
/// The media type of a `PATCH`.
pub const MEDIA_TYPE: &str = "application/offset+octet-stream";
/// Says `true` once the file outlives the server's disk; only then may a phone
/// let its own copy go.
pub const DURABLE: &str = "evidence-durable";

/// Where a file is uploaded to and read from.
#[must_use]
pub fn path(file: &FileHash) -> String {
    format!("/v1/evidence/{file}")
}
