//! `POST /v1/reports/{id}/assignment`: somebody takes a report on.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::{codes::Code, ids::UserId};
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
    Code::AssignedOtherwise,
];

/// Who shall look after the report.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct AssignmentRequest {
    /// An account of the mission's that reviews reports; `null` for nobody.
    #[schema(value_type = Option<uuid::Uuid>)]
    assignee: Option<UserId>,
    /// Who looked after it when it was read; `null` for nobody.
    #[serde(default)]
    #[schema(value_type = Option<uuid::Uuid>)]
    was: Option<UserId>,
}

/// Assign a report.
///
/// If somebody else was faster, nothing happens and the answer is 409
/// `assigned_otherwise` with `assignee`.
#[utoipa::path(post, path = "/v1/reports/{id}/assignment", tag = "reports", request_body = AssignmentRequest,
    params(("id" = String, Path, description = "The report's id")),
    responses((status = 201, description = "Assigned", body = Touched)))]
pub(in crate::api) async fn assign_report(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
    body: Body<AssignmentRequest>,
) -> Result<HttpResponse, ApiError> {
    let id = query::id(&req, "id")?;
    let AssignmentRequest { assignee, was } = body.0;
    let number = work::write(&app, move |app, conn| {
        let (mission, actor) = (person.mission, person.user);
        triage::assign(conn, app.office(), mission, actor, id, (was, assignee))
    })
    .await
    .map_err(ApiError::hide_unknown)?;
    Ok(HttpResponse::Created().json(Touched { number }))
}
