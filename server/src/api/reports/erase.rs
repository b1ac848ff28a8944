//! `POST /v1/reports/{id}/erasure`: the first of the two people.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;

use crate::{
    api::{
        body::Body,
        erasures::{Erasure, Reason},
        error::ApiError,
        guard::Person,
        query, work,
    },
    app::App,
    domain::erasure,
};

pub(in crate::api) const ERRORS: &[Code] = &[
    Code::MalformedJson,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidValue,
    Code::TooLong,
    Code::ReasonNeeded,
    Code::NotFound,
    Code::AlreadyDone,
];

/// Ask for the erasure of a report's words.
///
/// Nothing is erased until another lead approves.
#[utoipa::path(post, path = "/v1/reports/{id}/erasure", tag = "erasure", request_body = Reason,
    params(("id" = String, Path, description = "The report's id")),
    responses((status = 201, description = "Asked for", body = Erasure)))]
pub(in crate::api) async fn request_erasure(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
    body: Body<Reason>,
) -> Result<HttpResponse, ApiError> {
    let id = query::id(&req, "id")?;
    let row = work::write(&app, move |app, conn| {
        erasure::request(
            conn,
            app.office(),
            person.mission,
            person.user,
            id,
            &body.0.reason,
        )
    })
    .await
    .map_err(ApiError::hide_unknown)?;
    Ok(HttpResponse::Created().json(Erasure::new(row, None)?))
}
