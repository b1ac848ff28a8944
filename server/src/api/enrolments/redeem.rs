//! `POST /v1/enrolments`: a phone redeems its code.

use actix_web::{HttpResponse, web};
use protocol::{
    codes::Code,
    enrolment::{Request, Response},
};

use crate::{
    api::{body::Body, error::ApiError, work},
    app::App,
    domain::enrolment,
};

pub(in crate::api) const ERRORS: &[Code] = &[
    Code::MalformedJson,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::KeyNotAccepted,
    Code::EnrolmentProofInvalid,
    Code::EnrolmentCodeUnknown,
    Code::EnrolmentCodeExpired,
    Code::EnrolmentCodeUsed,
    Code::AccreditationRevoked,
];

/// Bind a device key to an accreditation.
///
/// The same code with the same key gets the same answer again, so a lost
/// answer costs nothing.
#[utoipa::path(post, path = "/v1/enrolments", tag = "phones", request_body = Request,
    responses((status = 200, description = "Enrolled", body = Response)))]
pub(in crate::api) async fn redeem_enrolment(
    app: web::Data<App>,
    body: Body<Request>,
) -> Result<HttpResponse, ApiError> {
    let checked = work::read(&app, move |app, conn| {
        let checked = enrolment::check(&app.keys, body.0)?;
        enrolment::look(conn, &checked)?;
        Ok(checked)
    })
    .await?;
    let response: Response = work::write(&app, move |app, conn| {
        enrolment::redeem(conn, app.office(), &app.keys, &checked)
    })
    .await?;
    Ok(HttpResponse::Ok().json(response))
}
