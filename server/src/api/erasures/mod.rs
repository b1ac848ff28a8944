//! Erasures: what was asked for, and the second person's approval.

pub(super) mod approve;
pub(super) mod list;

use protocol::ids::UserId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::ApiError;
use crate::{
    clock::Micros,
    store::{devices::read_id, erasures::ErasureRow},
};

/// Why something is done that cannot be undone.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    /// In a person's words, at most 10,000 characters.
    pub(super) reason: String,
}

/// A request to erase a report's words, and what became of it.
#[derive(Serialize, ToSchema)]
pub(super) struct Erasure {
    /// The request.
    id: Uuid,
    /// The report.
    report: Uuid,
    /// Why.
    reason: String,
    /// Who asked.
    requested_by: UserId,
    /// When, RFC 3339.
    requested_at: String,
    /// Who approved; `null` while it waits.
    approved_by: Option<UserId>,
    /// When it was approved and done, RFC 3339.
    approved_at: Option<String>,
    /// Ledger number of the erasure, in the answer to its approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<i64>,
}

impl Erasure {
    pub(super) fn new(row: ErasureRow, number: Option<i64>) -> Result<Self, ApiError> {
        Ok(Self {
            id: read_id(&row.id)?,
            report: read_id(&row.report)?,
            reason: row.reason,
            requested_by: UserId(read_id(&row.requested_by)?),
            requested_at: Micros(row.requested_at).rfc3339(),
            approved_by: row
                .approved_by
                .as_deref()
                .map(read_id)
                .transpose()?
                .map(UserId),
            approved_at: row.approved_at.map(|time| Micros(time).rfc3339()),
            number,
        })
    }
}
