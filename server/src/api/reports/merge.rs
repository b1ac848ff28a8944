//! `POST /v1/reports/{id}/merging`: another report tells the same as one by telephone.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::enter::TelephoneResponse;
use crate::{
    api::{body::Body, error::ApiError, guard::Person, query, work},
    app::App,
    domain::telephone,
};

pub(in crate::api) const ERRORS: &[Code] = &[
    Code::MalformedJson,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidValue,
    Code::TooLong,
    Code::NotFound,
    Code::NotByTelephone,
    Code::ReportMerged,
    Code::MergeNotAllowed,
    Code::StaleDecision,
];

/// Into which report.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct MergeRequest {
    /// The report that tells the same.
    into: Uuid,
    /// `version` of the report by telephone that was read.
    version: i64,
    /// Why; may be left out.
    #[serde(default)]
    reason: Option<String>,
}

/// Merge a report by telephone into the one that tells the same.
///
/// Both stay as they are. The one by telephone takes no more decisions, lists leave it
/// out, and exports name the other in `merged_into`. A refusal 409 `merge_not_allowed` says
/// in `why`: `itself`, `unknown`, `target_merged` or `holds_others`.
#[utoipa::path(post, path = "/v1/reports/{id}/merging", tag = "reports", request_body = MergeRequest,
    params(("id" = String, Path, description = "The id of the report by telephone")),
    responses((status = 201, description = "Merged", body = TelephoneResponse),
              (status = 200, description = "It had been merged into that one already", body = TelephoneResponse)))]
pub(in crate::api) async fn merge_report(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
    body: Body<MergeRequest>,
) -> Result<HttpResponse, ApiError> {
    let MergeRequest {
        into,
        version,
        reason,
    } = body.0;
    let which = (query::id(&req, "id")?, version);
    let stands = work::write(&app, move |app, conn| {
        let office = app.office();
        telephone::merge(
            conn,
            office,
            person.mission,
            person.user,
            which,
            into,
            reason,
        )
    })
    .await
    .map_err(ApiError::hide_unknown)?;
    Ok(TelephoneResponse::answer(stands))
}
