//! What the ledger keeps apart until a coordinator decides.

pub(super) mod admit;
pub(super) mod list;

use serde::Serialize;
use utoipa::ToSchema;

/// What was appended to the ledger.
#[derive(Serialize, ToSchema)]
pub(super) struct Appended {
    /// Its ledger number.
    pub(super) number: i64,
}
