//! base64url without padding (RFC 4648 §5, as RFC 7515 §2 uses it), strict.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Encodes bytes as base64url without padding.
#[must_use]
pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes base64url without padding; `None` for padding, foreign characters
/// or non-zero trailing bits, so that one value has one text.
#[must_use]
pub fn unb64(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Decodes exactly `N` bytes.
#[must_use]
pub fn unb64_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    unb64(text)?.try_into().ok()
}

/// Reads a JSON object. A derived reader takes a list of its members too; no
/// other implementation does, so that would be a signature only we accept.
pub(crate) fn from_object<'a, T: serde::Deserialize<'a>>(json: &'a [u8]) -> serde_json::Result<T> {
    if json.trim_ascii_start().starts_with(b"{") {
        serde_json::from_slice(json)
    } else {
        Err(serde::de::Error::custom("not a JSON object"))
    }
}
