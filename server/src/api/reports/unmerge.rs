//! `POST /v1/reports/{id}/unmerging`: a report by telephone stands for itself again.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Deserialize;
use utoipa::ToSchema;

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
    Code::StaleDecision,
    Code::AlreadyDone,
];

/// Taking a merging back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct UnmergeRequest {
    /// `version` of the report by telephone that was read.
    version: i64,
    /// Why; may be left out.
    #[serde(default)]
    reason: Option<String>,
}

/// Take the merging of a report by telephone back. Its status is what it was.
#[utoipa::path(post, path = "/v1/reports/{id}/unmerging", tag = "reports", request_body = UnmergeRequest,
    params(("id" = String, Path, description = "The id of the report by telephone")),
    responses((status = 201, description = "It stands for itself", body = TelephoneResponse)))]
pub(in crate::api) async fn unmerge_report(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
    body: Body<UnmergeRequest>,
) -> Result<HttpResponse, ApiError> {
    let UnmergeRequest { version, reason } = body.0;
    let which = (query::id(&req, "id")?, version);
    let stands = work::write(&app, move |app, conn| {
        let office = app.office();
        telephone::unmerge(conn, office, person.mission, person.user, which, reason)
    })
    .await
    .map_err(ApiError::hide_unknown)?;
    Ok(TelephoneResponse::answer(stands))
}
