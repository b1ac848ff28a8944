//! A device asks for a token: JWT bearer assertion (RFC 7523), signed with the
//! device key, so that there is no refresh secret to steal.

use serde::{Deserialize, Serialize};

use crate::{
    encoding::from_object,
    jose::{Jws, JwsError, PublicKey, SignError, Signer},
    limits,
};

/// `typ` of an assertion.
pub const TYP: &str = "scrutineer-assertion+jwt";
/// `grant_type` of the token request.
pub const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The claims (RFC 7523 §3). Times are seconds since 1970 by the *server's*
/// clock, which the phone knows from any answer: its own may be years off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    /// Thumbprint of the device key.
    pub iss: String,
    /// The same.
    pub sub: String,
    /// The server meant: see [`audience`].
    pub aud: String,
    /// Issued at.
    pub iat: i64,
    /// Expires, at most [`limits::ASSERTION_SECONDS`] after `iat`.
    pub exp: i64,
    /// Random, one a request.
    pub jti: String,
}

/// Names a server by its receipt key's thumbprint, whatever address it is
/// reached at.
#[must_use]
pub fn audience(receipt_key_thumbprint: &str) -> String {
    format!("urn:scrutineer:server:{receipt_key_thumbprint}")
}

/// Why an assertion gets no token.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// Signature, type or form.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// `iss` and `sub` are not the signing key.
    #[error("the assertion speaks for another key")]
    Subject,
    /// Meant for another server.
    #[error("the assertion is meant for another server")]
    Audience,
    /// Not valid now, or valid for too long.
    #[error("the assertion is not valid at this time")]
    Time,
}

impl Assertion {
    /// Signs the assertion into a compact JWS.
    ///
    /// # Errors
    /// When the key store cannot sign.
    pub fn sign(&self, signer: &dyn Signer) -> Result<String, SignError> {
        Jws::sign(signer, TYP, serde_json::json!(self).to_string().as_bytes())
    }

    /// Verifies signature and every claim, at `now` (seconds since 1970), with
    /// a minute of leeway on `iat`.
    ///
    /// # Errors
    /// [`AssertionError`].
    pub fn verify(jws: &Jws, key: &PublicKey, aud: &str, now: i64) -> Result<Self, AssertionError> {
        let claims: Self =
            from_object(jws.verify(key, TYP)?).map_err(|_| JwsError::Malformed("claims"))?;
        let thumbprint = key.thumbprint();
        if claims.iss != thumbprint || claims.sub != thumbprint {
            return Err(AssertionError::Subject);
        }
        if claims.aud != aud {
            return Err(AssertionError::Audience);
        }
        let lifetime = claims.exp.saturating_sub(claims.iat);
        if now >= claims.exp
            || claims.iat > now.saturating_add(60)
            || lifetime > limits::ASSERTION_SECONDS
        {
            return Err(AssertionError::Time);
        }
        Ok(claims)
    }
}
