//! `POST /v1/erasures/{id}/approval`: the second of the two people.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;

use super::Erasure;
use crate::{
    api::{error::ApiError, guard::Person, query, work},
    app::App,
    domain::erasure,
};

pub(in crate::api) const ERRORS: &[Code] = &[Code::NotFound, Code::SamePerson, Code::AlreadyDone];

/// Approve an erasure that another lead asked for; it is done at once.
///
/// The report's words go, and files that no other report has; its signed skeleton,
/// number and hash stay. Takes no body.
#[utoipa::path(post, path = "/v1/erasures/{id}/approval", tag = "erasure",
    params(("id" = String, Path, description = "The request's id")),
    responses((status = 201, description = "Erased", body = Erasure)))]
pub(in crate::api) async fn approve_erasure(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let id = query::id(&req, "id")?;
    let (row, number) = work::write(&app, move |app, conn| {
        erasure::approve(conn, app.office(), person.mission, person.user, id)
    })
    .await
    .map_err(ApiError::hide_unknown)?;
    let store = app.store.clone();
    if let Err(error) = web::block(move || store.scrub()).await? {
        tracing::warn!(%error, "the database's log still holds what was erased; it is cut later");
    }
    if let Err(error) = app.evidence.destroy_doomed().await {
        tracing::warn!(%error, "files of an erased report are still there; they are destroyed later");
    }
    Ok(HttpResponse::Created().json(Erasure::new(row, Some(number))?))
}
