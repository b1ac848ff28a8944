//! Reports: the list, one with its history, decisions, triage, requests to erase; and
//! those by telephone.

pub(super) mod assign;
pub(super) mod correct;
pub(super) mod counterparts;
pub(super) mod decide;
pub(super) mod enter;
pub(super) mod erase;
pub(super) mod list;
pub(super) mod merge;
pub(super) mod note;
pub(super) mod prioritise;
pub(super) mod show;
pub(super) mod unmerge;

use serde::Serialize;
use utoipa::ToSchema;

/// What was written down.
#[derive(Serialize, ToSchema)]
pub(super) struct Touched {
    /// Ledger number of the entry.
    pub(super) number: i64,
}
