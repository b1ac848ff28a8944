//! Handing in a courier's bundle: `POST /v1/bundles` asks where it stands, `PATCH
//! /v1/bundles/{sha256}` sends bytes of it. Its inside is in the crate `sealed`.

use serde::{Deserialize, Serialize};

use crate::{codes::Code, ids::FileHash};

/// What somebody brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = BundleRequest))]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// SHA-256 of the whole file, base64url.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub bundle: FileHash,
    /// Its bytes.
    pub size: u64,
}

/// Where a bundle stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = BundleStanding))]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Some of its bytes have come, or none.
    Receiving,
    /// All have come; it is being imported.
    Opening,
    /// Kept for whoever holds the mission's key.
    Waits,
    /// Everything in it was handed to the ledger.
    Imported,
    /// It cannot be read; `code` says why.
    Refused,
}

/// The answer to both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = BundleState))]
pub struct State {
    /// SHA-256 of the whole file.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub bundle: FileHash,
    /// Bytes that are stored: send from here on.
    pub offset: u64,
    /// Where it stands.
    pub state: Standing,
    /// Why it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub code: Option<Code>,
}
