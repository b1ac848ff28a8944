//! Compact JWS (RFC 7515 §7.1) under exactly one `typ`, with no `crit`.

use serde::{Deserialize, Deserializer, Serialize};

use super::{PublicKey, SignError, Signer};
use crate::encoding::{b64, from_object, unb64, unb64_array};

/// A JWS header. Members not named here are ignored, `crit` apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Algorithm. A text here, so that a foreign one is named in the error.
    pub alg: String,
    /// RFC 7638 thumbprint of the signing key.
    pub kid: String,
    /// What the signature is for; compared exactly, never guessed.
    pub typ: String,
    /// RFC 7515 §4.1.11: extensions that must be understood. None is.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub crit: Option<serde_json::Value>,
}

/// A member that is there counts as there, `null` too.
fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(Some)
}

/// Why a compact JWS is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Not three base64url parts, or the header is not a JSON object with
    /// `alg`, `kid` and `typ`.
    #[error("not a well-formed signature: {0}")]
    Malformed(&'static str),
    /// `alg` is not the key's own.
    #[error("the algorithm `{0}` is not accepted for this key")]
    Algorithm(String),
    /// Signed for something else.
    #[error("the type `{0}` is not the one expected here")]
    Type(String),
    /// The header demands extensions.
    #[error("`crit` demands extensions that are not supported")]
    Critical,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Signature,
}

/// The parts of a compact JWS, decoded but not yet verified.
#[derive(Clone, Debug)]
pub struct Jws {
    /// The parsed header.
    pub header: Header,
    /// The payload's bytes.
    pub payload: Vec<u8>,
    signing_input: String,
    signature: [u8; 64],
}

impl Jws {
    /// Splits and decodes; verifies nothing.
    ///
    /// # Errors
    /// [`JwsError::Malformed`].
    pub fn parse(compact: &str) -> Result<Self, JwsError> {
        let (signing_input, signature) = compact
            .rsplit_once('.')
            .ok_or(JwsError::Malformed("parts"))?;
        let (header, payload) = signing_input
            .split_once('.')
            .ok_or(JwsError::Malformed("parts"))?;
        let header = unb64(header).ok_or(JwsError::Malformed("header encoding"))?;
        Ok(Self {
            header: from_object(&header).map_err(|_| JwsError::Malformed("header"))?,
            payload: unb64(payload).ok_or(JwsError::Malformed("payload encoding"))?,
            signature: unb64_array(signature).ok_or(JwsError::Malformed("signature encoding"))?,
            signing_input: signing_input.to_owned(),
        })
    }

    /// Verifies under `key`, for exactly this `typ`.
    ///
    /// # Errors
    /// Another algorithm or type, `crit`, or a signature that does not verify.
    pub fn verify(&self, key: &PublicKey, typ: &str) -> Result<&[u8], JwsError> {
        self.header.check(key, typ)?;
        key.verify(self.signing_input.as_bytes(), &self.signature)
            .map_err(|_| JwsError::Signature)?;
        Ok(&self.payload)
    }

    /// Signs a payload into a compact JWS.
    ///
    /// # Errors
    /// When the key store cannot sign.
    pub fn sign(signer: &dyn Signer, typ: &str, payload: &[u8]) -> Result<String, SignError> {
        let input = format!("{}.{}", b64(Header::text(signer, typ)), b64(payload));
        let signature = signer.sign(input.as_bytes())?;
        Ok(format!("{input}.{}", b64(signature)))
    }
}

impl Header {
    /// The header's JSON text for a signer.
    #[must_use]
    pub(crate) fn text(signer: &dyn Signer, typ: &str) -> String {
        let key = signer.public();
        format!(
            r#"{{"alg":"{}","kid":"{}","typ":"{typ}"}}"#,
            key.alg().name(),
            key.thumbprint()
        )
    }

    /// Checks everything about a header that is not the signature.
    pub(crate) fn check(&self, key: &PublicKey, typ: &str) -> Result<(), JwsError> {
        if self.crit.is_some() {
            return Err(JwsError::Critical);
        }
        if self.typ != typ {
            return Err(JwsError::Type(self.typ.clone()));
        }
        if self.alg != key.alg().name() {
            return Err(JwsError::Algorithm(self.alg.clone()));
        }
        Ok(())
    }
}
