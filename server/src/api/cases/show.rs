//! `GET /v1/reports/{id}/case`: what else tells of a report's event, or may.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{error::ApiError, guard::Person, query, work},
    app::App,
    domain::{
        cases::{self, Case, Suggestion},
        reports::Report,
    },
};

pub(in crate::api) const ERRORS: &[Code] = &[Code::NotFound];

/// What else tells of a report's event.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct CaseOfReport {
    /// The case that it is in; `null` if it is in none.
    case: Option<Case>,
    /// Reports that may belong to it, the likeliest first.
    suggestions: Vec<Suggestion>,
    /// Reports that somebody keeps apart from it.
    apart: Vec<Report>,
}

/// Read a report's case, and what may belong to it.
#[utoipa::path(get, path = "/v1/reports/{id}/case", tag = "reports",
    params(("id" = String, Path, description = "The report's id")),
    responses((status = 200, description = "Its case", body = CaseOfReport)))]
pub(in crate::api) async fn show_case(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let id = query::id(&req, "id")?;
    let found = work::read(&app, move |_, conn| {
        if !cases::exists(conn, person.mission, id)? {
            return Ok(None);
        }
        Ok(Some(CaseOfReport {
            case: cases::of_report(conn, person.mission, id)?,
            suggestions: cases::suggestions(conn, person.mission, id)?,
            apart: cases::apart(conn, person.mission, id)?,
        }))
    })
    .await?;
    Ok(HttpResponse::Ok().json(found.ok_or_else(ApiError::not_found)?))
}
