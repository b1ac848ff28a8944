//! `POST /v1/reports/{id}/corrections`: a coordinator corrects what was misheard.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Deserialize;
use utoipa::ToSchema;

use super::enter::{TelephoneResponse, TellingRequest};
use crate::{
    api::{body::Body, error::ApiError, guard::Person, query, work},
    app::App,
    domain::telephone,
};

pub(in crate::api) const ERRORS: &[Code] = &[
    Code::MalformedJson,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::ValueMissing,
    Code::InvalidValue,
    Code::TooLong,
    Code::NotFound,
    Code::NotByTelephone,
    Code::ReportMerged,
    Code::StaleDecision,
    Code::AlreadyDone,
];

/// What a report by telephone is to say.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct CorrectionRequest {
    /// `version` of the report that was read.
    version: i64,
    /// All of it; what differs is entered.
    telling: TellingRequest,
}

/// Correct a report by telephone.
///
/// Only what differs becomes an entry; what was heard first stays in the history. If
/// nothing differs, nothing happens and the answer is 200.
#[utoipa::path(post, path = "/v1/reports/{id}/corrections", tag = "reports", request_body = CorrectionRequest,
    params(("id" = String, Path, description = "The report's id")),
    responses((status = 201, description = "Corrected", body = TelephoneResponse),
              (status = 200, description = "It says this already", body = TelephoneResponse)))]
pub(in crate::api) async fn correct_report(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
    body: Body<CorrectionRequest>,
) -> Result<HttpResponse, ApiError> {
    let which = (query::id(&req, "id")?, body.0.version);
    let telling = body.0.telling.into_telling();
    let stands = work::write(&app, move |app, conn| {
        let office = app.office();
        telephone::correct(conn, office, person.mission, person.user, which, telling)
    })
    .await
    .map_err(ApiError::hide_unknown)?;
    Ok(TelephoneResponse::answer(stands))
}
