//! `GET /v1/devices`: the mission's enrolled devices.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::{codes::Code, ids::DeviceId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{error::ApiError, guard::Person, query, work},
    app::App,
    clock::Micros,
    domain::reports::malformed,
    store::devices,
};

pub(in crate::api) const ERRORS: &[Code] = &[Code::MalformedQuery, Code::InvalidCursor];

/// An enrolled device.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Device {
    /// Its id.
    id: DeviceId,
    /// RFC 7638 thumbprint of its key.
    kid: String,
    /// Number of its accreditation.
    accreditation: String,
    /// Its observer's pseudonym.
    observer: String,
    /// When it was enrolled, RFC 3339.
    enrolled_at: String,
    /// Ledger number of its enrolment.
    enrolled_number: i64,
    /// It may file no more: it, or its accreditation, was revoked.
    revoked: bool,
    /// Ledger number of the revocation.
    revoked_number: Option<i64>,
}

/// One page of devices.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct DevicePage {
    /// The last enrolled first.
    devices: Vec<Device>,
    /// Cursor of the next page; `null` at the end.
    next: Option<String>,
}

/// List devices.
#[utoipa::path(get, path = "/v1/devices", tag = "devices",
    params(("accreditation" = Option<String>, Query, description = "Of this accreditation number"),
           ("limit" = Option<u32>, Query, description = "1 to 200; 50 if not given"),
           ("cursor" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, description = "One page", body = DevicePage)))]
pub(in crate::api) async fn list_devices(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut accreditation: Option<String> = None;
    let page = query::page(&req, |name, value| match name {
        "accreditation" if accreditation.is_none() && !value.contains('\0') => {
            accreditation = Some(value.to_owned());
            Ok(true)
        }
        "accreditation" => Err(malformed(name, "cannot be read, or stands twice")),
        _ => Ok(false),
    })?;
    let mission = person.mission;
    let mark = query::fingerprint("devices", mission.id, &accreditation);
    let before: Option<i64> = query::decode(page.cursor.as_deref(), &mark)?;
    let (devices, next) = work::read(&app, move |_, conn| {
        let mut rows = devices::page(
            conn,
            mission.no,
            accreditation.as_deref(),
            before,
            page.limit + 1,
        )?;
        let next = query::cut(&mut rows, page.limit, &mark, |row| row.enrolled_number);
        let ids: Vec<Vec<u8>> = rows.iter().map(|row| row.accreditation.clone()).collect();
        let gone = devices::revocations(conn, mission.no, &ids)?;
        let devices = rows.into_iter().map(|row| {
            let with_all = gone
                .iter()
                .find(|(id, _)| *id == row.accreditation)
                .map(|(_, number)| *number);
            let revoked_number = row.revoked_number.or(with_all);
            Ok(Device {
                id: DeviceId(devices::read_id(&row.id)?),
                kid: row.kid,
                accreditation: row.number,
                observer: row.pseudonym,
                enrolled_at: Micros(row.enrolled_at).rfc3339(),
                enrolled_number: row.enrolled_number,
                revoked: revoked_number.is_some(),
                revoked_number,
            })
        });
        Ok((devices.collect::<crate::error::Result<Vec<_>>>()?, next))
    })
    .await?;
    Ok(HttpResponse::Ok().json(DevicePage { devices, next }))
}
