//! HTTP, and nothing of it anywhere else.
//!
//! A [`Transport`] makes one call and hands back what came, unjudged: reqwest on
//! desktops and Android, the platform's own client elsewhere. [`wire`],
//! [`tus`] and [`reference`] make the calls and tell this server's answers from everybody else's.

mod http;
pub mod reference;
pub mod tus;
pub mod wire;

#[cfg(test)]
mod tests;

use async_trait::async_trait;
pub(crate) use http::is_allowed_origin;
pub use http::{HttpOptions, HttpTransport};

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
    /// `HEAD`.
    Head,
    /// `PATCH`.
    Patch,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it does.
    pub method: Method,
    /// Where to.
    pub url: String,
    /// Headers, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body, encoded as the headers say.
    pub body: Vec<u8>,
}

/// What came back, as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// `Content-Encoding`.
    pub content_encoding: String,
    /// `Scrutineer-Code`.
    pub code: String,
    /// `Retry-After`.
    pub retry_after: String,
    /// `Content-Range`.
    pub content_range: String,
    /// `ETag`.
    pub etag: String,
    /// `Tus-Resumable`.
    pub tus_resumable: String,
    /// `Upload-Offset`.
    pub upload_offset: String,
    /// `Upload-Length`.
    pub upload_length: String,
    /// `Evidence-Durable`.
    pub evidence_durable: String,
    /// The body, still encoded.
    pub body: Vec<u8>,
}

/// Nothing came back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unreachable {
    /// For a person.
    pub message: String,
    /// Whether anything may have been sent.
    pub connected: bool,
}

/// Makes one call. Never follows a redirect, never retries, bounds time and
/// size, and uses no plain HTTP beyond the machine itself.
#[async_trait(?Send)]
pub trait Transport {
    /// Makes the call.
    ///
    /// # Errors
    /// [`Unreachable`] when no whole answer came.
    async fn send(&self, call: Call) -> Result<Answer, Unreachable>;
}
