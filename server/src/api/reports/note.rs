//! `POST /v1/reports/{id}/notes`: a note among colleagues.

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
    Code::TooLong,
    Code::ReasonNeeded,
    Code::NotFound,
];

/// A note.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct NoteRequest {
    /// What colleagues read; the observer does not.
    text: String,
}

/// Write a note on a report. It stands in the report's history.
#[utoipa::path(post, path = "/v1/reports/{id}/notes", tag = "reports", request_body = NoteRequest,
    params(("id" = String, Path, description = "The report's id")),
    responses((status = 201, description = "Written", body = Touched)))]
pub(in crate::api) async fn note_report(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
    body: Body<NoteRequest>,
) -> Result<HttpResponse, ApiError> {
    let id = query::id(&req, "id")?;
    let number = work::write(&app, move |app, conn| {
        triage::note(
            conn,
            app.office(),
            person.mission,
            person.user,
            id,
            &body.0.text,
        )
    })
    .await
    .map_err(ApiError::hide_unknown)?;
    Ok(HttpResponse::Created().json(Touched { number }))
}
