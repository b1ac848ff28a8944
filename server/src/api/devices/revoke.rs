//! `POST /v1/devices/{id}/revocation`: a device may file no more.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::{codes::Code, ids::DeviceId};

use crate::{
    api::{
        body::Body, erasures::Reason, error::ApiError, guard::Person, quarantine::Appended, query,
        work,
    },
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

/// Revoke a device.
///
/// What came before stands; what it sends from now on is quarantined, and its
/// tokens die at once.
#[utoipa::path(post, path = "/v1/devices/{id}/revocation", tag = "devices", request_body = Reason,
    params(("id" = String, Path, description = "The device's id")),
    responses((status = 201, description = "Revoked", body = Appended)))]
pub(in crate::api) async fn revoke_device(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
    body: Body<Reason>,
) -> Result<HttpResponse, ApiError> {
    let id = DeviceId(query::id(&req, "id")?);
    let reason = words::reason(&body.0.reason)?;
    let number = work::write(&app, move |app, conn| {
        acts::revoke_device(conn, app.office(), person.mission, person.user, id, &reason)
    })
    .await
    .map_err(ApiError::hide_unknown)?;
    Ok(HttpResponse::Created().json(Appended { number }))
}
