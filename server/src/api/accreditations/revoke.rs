//! `POST /v1/accreditations/{number}/revocation`: an observer may file no more.

use actix_web::{HttpResponse, web};
use protocol::{codes::Code, ids::AccreditationId};

use crate::{
    api::{
        body::Body, erasures::Reason, error::ApiError, guard::Person, quarantine::Appended, work,
    },
    app::App,
    domain::{acts, words},
    error::Error,
    store::devices,
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

/// Revoke an accreditation, and so each of its devices.
///
/// What came before stands; what comes later is quarantined.
#[utoipa::path(post, path = "/v1/accreditations/{number}/revocation", tag = "devices", request_body = Reason,
    params(("number" = String, Path, description = "The accreditation's number, percent-encoded")),
    responses((status = 201, description = "Revoked", body = Appended)))]
pub(in crate::api) async fn revoke_accreditation(
    app: web::Data<App>,
    person: Person,
    path: web::Path<String>,
    body: Body<Reason>,
) -> Result<HttpResponse, ApiError> {
    let reason = words::reason(&body.0.reason)?;
    let number = path.into_inner();
    if number.contains('\0') {
        return Err(ApiError::not_found());
    }
    let number = work::write(&app, move |app, conn| {
        let row = devices::accreditation_by_number(conn, person.mission.no, &number)?
            .ok_or_else(|| Error::refused(Code::NotFound, ""))?;
        let id = AccreditationId(devices::read_id(&row.id)?);
        acts::revoke_accreditation(conn, app.office(), person.mission, person.user, id, &reason)
    })
    .await
    .map_err(ApiError::hide_unknown)?;
    Ok(HttpResponse::Created().json(Appended { number }))
}
