//! `POST /v1/enrolment-codes`: a code for one accreditation.

use actix_web::{HttpResponse, web};
use protocol::{codes::Code, enrolment::Invitation};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    api::{body::Body, error::ApiError, guard::Person, qr, work},
    app::App,
    domain::{
        audit::{self, By},
        enrolment,
    },
};

pub(in crate::api) const ERRORS: &[Code] = &[
    Code::MalformedJson,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::AccreditationUnknown,
    Code::AccreditationRevoked,
];

/// For whom.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct EnrolmentCodeRequest {
    /// The accreditation's number.
    accreditation: String,
}

/// A one-time code. It is shown this once and kept by nobody.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct EnrolmentCode {
    /// 128 bits, base32.
    code: String,
    /// The link to open on the phone, or to show as a QR code.
    url: String,
    /// The same as a QR code: its rows, `1` for dark, without a margin.
    qr: Vec<String>,
    /// RFC 3339.
    expires_at: String,
}

/// Issue an enrolment code for an accreditation.
#[utoipa::path(post, path = "/v1/enrolment-codes", tag = "devices", request_body = EnrolmentCodeRequest,
    responses((status = 201, description = "The code", body = EnrolmentCode)))]
pub(in crate::api) async fn issue_enrolment_code(
    app: web::Data<App>,
    person: Person,
    body: Body<EnrolmentCodeRequest>,
) -> Result<HttpResponse, ApiError> {
    let mission = person.mission;
    let (code, expires) = work::write(&app, move |app, conn| {
        let hours = app.config.enrolment_hours;
        let number = &body.0.accreditation;
        let (code, expires) = enrolment::issue(conn, &app.host, mission, number, hours)?;
        let by = By::Person(person.user);
        audit::code_issued(conn, &app.host, by, mission, number, expires)?;
        Ok((code, expires))
    })
    .await?;
    let link = Invitation {
        origin: app.config.origin(),
        code: code.clone(),
        mission: mission.id,
        key: app.keys.receipt_kid.clone(),
    };
    let url = link.to_url();
    Ok(HttpResponse::Created().json(EnrolmentCode {
        code,
        qr: qr::rows(&url)?,
        url,
        expires_at: expires.rfc3339(),
    }))
}
