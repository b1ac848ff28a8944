//! The little of JOSE that Scrutineer uses: public keys as JWK (RFC 7517,
//! 8037), thumbprints (RFC 7638) and compact JWS (RFC 7515) with EdDSA and
//! ES256 only. There is no way to ask for another algorithm.

mod jws;
mod key;

pub use jws::{Header, Jws, JwsError};
pub use key::{Alg, Jwk, KeyError, PublicKey, SignError, Signer, SoftwareKey, VerifyError};
