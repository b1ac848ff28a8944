//! `GET /v1/room/silent`: observers who went silent.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{error::ApiError, guard::Person, query, work},
    app::App,
    auth::Role,
    clock::Micros,
    domain::room::{self, Place},
};

pub(in crate::api) const ERRORS: &[Code] = &[Code::MalformedQuery, Code::InvalidCursor];

/// An observer who went silent.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Silent {
    /// The accreditation's number.
    number: String,
    /// The observer's pseudonym in reports and exports.
    observer: String,
    /// The observer's name: for leads alone, absent for everybody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Institution; may be empty.
    institution: String,
    /// Code of the station where they arrived last; `null` if they never checked in.
    station: Option<String>,
    /// Its name; `null` if it is not listed.
    station_name: Option<String>,
    /// When their phone last exchanged something, or their last check-in came in.
    heard_at: String,
}

/// One page of silent observers.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct SilentPage {
    /// Those who have been silent longest first.
    silent: Vec<Silent>,
    /// Cursor of the next page; `null` at the end.
    next: Option<String>,
}

/// List the observers who went silent.
///
/// Somebody is silent whose phones exchanged nothing for longer than the mission's limit,
/// though they are at a station by their last check-in, or never checked in and were
/// heard of within 24 hours. Names are for leads alone.
#[utoipa::path(get, path = "/v1/room/silent", tag = "room",
    params(("limit" = Option<u32>, Query, description = "1 to 200; 50 if not given"),
           ("cursor" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, description = "One page", body = SilentPage)))]
pub(in crate::api) async fn list_silent(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let page = query::page(&req, |_, _| Ok(false))?;
    let mission = person.mission;
    let mark = query::fingerprint("silent", mission.id, &());
    let after: Option<Place> = query::decode(page.cursor.as_deref(), &mark)?;
    if after
        .as_ref()
        .is_some_and(|(_, number)| number.contains('\0'))
    {
        return Err(ApiError::new(Code::InvalidCursor, ""));
    }
    let names = person.is(Role::Lead);
    let mut rows = work::read_settled(&app, move |app, conn| {
        room::silent(conn, mission, app.host.now(), after, page.limit + 1)
    })
    .await?;
    let next = query::cut(&mut rows, page.limit, &mark, |row| -> Place {
        (row.heard_at, row.number.clone())
    });
    let silent = rows
        .into_iter()
        .map(|row| Silent {
            number: row.number,
            observer: row.pseudonym,
            name: names.then_some(row.name),
            institution: row.institution,
            station: row.station,
            station_name: row.station_name,
            heard_at: Micros(row.heard_at).rfc3339(),
        })
        .collect();
    Ok(HttpResponse::Ok().json(SilentPage { silent, next }))
}
