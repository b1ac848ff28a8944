//! `POST /v1/reports/{id}/priority`: how soon a report is to be looked at.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Touched;
use crate::{
    api::{body::Body, error::ApiError, guard::Person, query, work},
    app::App,
    domain::triage,
};

pub(in crate::api) const ERRORS: &[Code] = &[
    Code::MalformedJson,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidValue,
    Code::NotFound,
];

/// How soon.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct PriorityRequest {
    /// `low`, `normal`, `high` or `urgent`.
    priority: String,
}

/// Set a report's priority.
#[utoipa::path(post, path = "/v1/reports/{id}/priority", tag = "reports", request_body = PriorityRequest,
    params(("id" = String, Path, description = "The report's id")),
    responses((status = 201, description = "Set", body = Touched)))]
pub(in crate::api) async fn prioritise_report(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
    body: Body<PriorityRequest>,
) -> Result<HttpResponse, ApiError> {
    let id = query::id(&req, "id")?;
    let number = work::write(&app, move |app, conn| {
        let (mission, actor) = (person.mission, person.user);
        triage::prioritise(conn, app.office(), mission, actor, id, &body.0.priority)
    })
    .await
    .map_err(ApiError::hide_unknown)?;
    Ok(HttpResponse::Created().json(Touched { number }))
}
