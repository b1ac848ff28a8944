//! Keys: what an entry, an assertion or a receipt is signed with.

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use p256::ecdsa::{self, signature::Verifier as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::encoding::{b64, unb64_array};

/// A signature algorithm (RFC 7518 §3.4, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Alg {
    /// Ed25519: software keys.
    EdDSA,
    /// ECDSA on P-256 with SHA-256: hardware keys (Secure Enclave, StrongBox).
    ES256,
}

impl Alg {
    /// The name in a JWS header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EdDSA => "EdDSA",
            Self::ES256 => "ES256",
        }
    }
}

/// A public key as it travels (RFC 7517): members in the order of RFC 7638.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Jwk {
    /// Curve: `Ed25519` or `P-256`.
    pub crv: String,
    /// Key type: `OKP` or `EC`.
    pub kty: String,
    /// Public key or x coordinate, base64url.
    pub x: String,
    /// y coordinate of a P-256 key, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
}

/// Why a JWK cannot serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not Ed25519 or P-256.
    #[error("only Ed25519 (OKP) and P-256 (EC) keys are supported")]
    Unsupported,
    /// Coordinates that are not a point of the curve, or badly encoded.
    #[error("the key's coordinates are not a valid point")]
    Invalid,
    /// A key of small order, under which one signature fits many messages.
    #[error("the key is weak (small order)")]
    Weak,
}

/// A signature that does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify under this key")]
pub struct VerifyError;

/// A public key ready to verify with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// Ed25519.
    Ed25519(VerifyingKey),
    /// P-256.
    P256(ecdsa::VerifyingKey),
}

impl PublicKey {
    /// Reads a JWK.
    ///
    /// # Errors
    /// Other curves, values that are no point, keys of small order.
    pub fn from_jwk(jwk: &Jwk) -> Result<Self, KeyError> {
        match (jwk.kty.as_str(), jwk.crv.as_str(), &jwk.y) {
            ("OKP", "Ed25519", None) => {
                let bytes: [u8; 32] = unb64_array(&jwk.x).ok_or(KeyError::Invalid)?;
                let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Invalid)?;
                if key.is_weak() {
                    return Err(KeyError::Weak);
                }
                // RFC 8032 §5.1.3 refuses a second spelling of a point; decompression does not.
                if key.to_edwards().compress().as_bytes() != &bytes {
                    return Err(KeyError::Invalid);
                }
                Ok(Self::Ed25519(key))
            }
            ("EC", "P-256", Some(y)) => {
                let x: [u8; 32] = unb64_array(&jwk.x).ok_or(KeyError::Invalid)?;
                let y: [u8; 32] = unb64_array(y).ok_or(KeyError::Invalid)?;
                let mut sec1 = [4_u8; 65];
                sec1[1..33].copy_from_slice(&x);
                sec1[33..].copy_from_slice(&y);
                ecdsa::VerifyingKey::from_sec1_bytes(&sec1)
                    .map(Self::P256)
                    .map_err(|_| KeyError::Invalid)
            }
            _ => Err(KeyError::Unsupported),
        }
    }

    /// The key as a JWK.
    #[must_use]
    pub fn to_jwk(&self) -> Jwk {
        match self {
            Self::Ed25519(key) => Jwk {
                crv: "Ed25519".into(),
                kty: "OKP".into(),
                x: b64(key.as_bytes()),
                y: None,
            },
            Self::P256(key) => {
                let sec1 = key.to_sec1_point(false);
                let bytes = sec1.as_bytes();
                Jwk {
                    crv: "P-256".into(),
                    kty: "EC".into(),
                    x: b64(&bytes[1..33]),
                    y: Some(b64(&bytes[33..65])),
                }
            }
        }
    }

    /// The one algorithm this key is used with.
    #[must_use]
    pub fn alg(&self) -> Alg {
        match self {
            Self::Ed25519(_) => Alg::EdDSA,
            Self::P256(_) => Alg::ES256,
        }
    }

    /// RFC 7638 thumbprint with SHA-256, base64url: the `kid` everywhere.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        self.to_jwk().thumbprint()
    }

    /// Verifies a 64-byte signature, strictly: Ed25519 by `verify_strict`,
    /// because entries are evidence and must mean the same to every verifier.
    ///
    /// # Errors
    /// Any signature that does not verify.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), VerifyError> {
        match self {
            Self::Ed25519(key) => key
                .verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature))
                .map_err(|_| VerifyError),
            Self::P256(key) => verify_es256(key, message, signature),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the ban means Ed25519, whose trait is the same; ECDSA has one verification, and no P-256 key is weak"
)]
fn verify_es256(
    key: &ecdsa::VerifyingKey,
    message: &[u8],
    signature: &[u8; 64],
) -> Result<(), VerifyError> {
    let signature = ecdsa::Signature::from_slice(signature).map_err(|_| VerifyError)?;
    key.verify(message, &signature).map_err(|_| VerifyError)
}

impl Jwk {
    /// RFC 7638 thumbprint with SHA-256, base64url.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        // The members and their order are RFC 7638's; the values are base64url
        // and curve names, so none needs escaping.
        let json = match &self.y {
            None => format!(
                r#"{{"crv":"{}","kty":"{}","x":"{}"}}"#,
                self.crv, self.kty, self.x
            ),
            Some(y) => format!(
                r#"{{"crv":"{}","kty":"{}","x":"{}","y":"{y}"}}"#,
                self.crv, self.kty, self.x
            ),
        };
        b64(Sha256::digest(json))
    }
}

/// A key store that could not sign (locked, gone, refused).
#[derive(Clone, Debug, thiserror::Error)]
#[error("the key store could not sign: {0}")]
pub struct SignError(pub String);

/// Something that signs: a software key, or a platform's key store.
pub trait Signer {
    /// The public half.
    fn public(&self) -> PublicKey;
    /// Signs a message; 64 bytes (RFC 8032, or `r ‖ s` of RFC 7518 §3.4).
    ///
    /// # Errors
    /// When the key store refuses or cannot be reached.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;
}

/// A private key held in memory, wiped when dropped.
#[derive(Clone)]
pub enum SoftwareKey {
    /// Ed25519.
    Ed25519(Box<SigningKey>),
    /// P-256.
    P256(Box<ecdsa::SigningKey>),
}

impl std::fmt::Debug for SoftwareKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SoftwareKey({})", self.public().thumbprint())
    }
}

impl SoftwareKey {
    /// An Ed25519 key from its 32-byte secret (RFC 8032 §5.1.5).
    #[must_use]
    pub fn ed25519(secret: &[u8; 32]) -> Self {
        Self::Ed25519(Box::new(SigningKey::from_bytes(secret)))
    }

    /// A P-256 key from its scalar.
    ///
    /// # Errors
    /// A scalar of zero or beyond the group order.
    pub fn p256(secret: &[u8; 32]) -> Result<Self, KeyError> {
        ecdsa::SigningKey::from_slice(secret)
            .map(|key| Self::P256(Box::new(key)))
            .map_err(|_| KeyError::Invalid)
    }
}

impl Signer for SoftwareKey {
    fn public(&self) -> PublicKey {
        match self {
            Self::Ed25519(key) => PublicKey::Ed25519(key.verifying_key()),
            Self::P256(key) => PublicKey::P256(*key.verifying_key()),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        Ok(match self {
            Self::Ed25519(key) => key.sign(message).to_bytes(),
            Self::P256(key) => {
                let signature: ecdsa::Signature = key.sign(message);
                signature.to_bytes().into()
            }
        })
    }
}
