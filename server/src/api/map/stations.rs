//! `GET /v1/map/stations`: stations, with who is there and what was reported.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;

use crate::{
    api::{Api, error::ApiError, guard::Person, kept, work},
    app::App,
    domain::map::{self, MapStations},
};

pub(in crate::api) const ERRORS: &[Code] = &[];

/// Read the stations of the map.
///
/// The answer may be some seconds old, as that of `/v1/room`.
#[utoipa::path(get, path = "/v1/map/stations", tag = "room",
    responses((status = 200, description = "All of them", body = MapStations)))]
pub(in crate::api) async fn map_stations(
    app: web::Data<App>,
    api: web::Data<Api>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mission = person.mission;
    let key = kept::Key::new("stations", mission, Vec::new());
    let answer = api
        .kept()
        .get(&app, key, 0, || {
            work::read(&app, move |_, conn| Ok((0, map::stations(conn, mission)?)))
        })
        .await?;
    Ok(answer.send(&req))
}
