//! `POST /v1/quarantine/{hash}/admission`: a decision lets an entry in.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;

use super::Appended;
use crate::{
    api::{body::Body, erasures::Reason, error::ApiError, guard::Person, query, work},
    app::App,
    domain::{acts, words},
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

/// Admit a quarantined entry.
#[utoipa::path(post, path = "/v1/quarantine/{hash}/admission", tag = "quarantine", request_body = Reason,
    params(("hash" = String, Path, description = "The entry's hash, base64url")),
    responses((status = 201, description = "Admitted", body = Appended)))]
pub(in crate::api) async fn admit_entry(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
    body: Body<Reason>,
) -> Result<HttpResponse, ApiError> {
    let hash = query::hash(&req, "hash")?;
    let reason = words::reason(&body.0.reason)?;
    let number = work::write(&app, move |app, conn| {
        acts::admit(
            conn,
            app.office(),
            person.mission,
            person.user,
            hash,
            &reason,
        )
    })
    .await
    .map_err(ApiError::hide_unknown)?;
    Ok(HttpResponse::Created().json(Appended { number }))
}
