//! `GET /v1/stations`: the mission's stations, for maps and names.

use actix_web::{HttpResponse, web};
use protocol::codes::Code;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{error::ApiError, guard::Person, work},
    app::App,
    store::registers,
};

pub(in crate::api) const ERRORS: &[Code] = &[];

/// A polling station.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Station {
    /// Unique in the mission.
    code: String,
    /// Its name.
    name: String,
    /// Code of its constituency.
    constituency: Option<String>,
    /// Degrees, where known.
    lat: Option<f64>,
    /// Degrees, where known.
    lon: Option<f64>,
}

/// The mission's stations, by code.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Stations {
    stations: Vec<Station>,
}

/// List the stations.
#[utoipa::path(get, path = "/v1/stations", tag = "reference",
    responses((status = 200, description = "All of them", body = Stations)))]
pub(in crate::api) async fn list_stations(
    app: web::Data<App>,
    person: Person,
) -> Result<HttpResponse, ApiError> {
    let mut stations: Vec<_> = work::read(&app, move |_, conn| {
        registers::stations(conn, person.mission.no)
    })
    .await?
    .into_values()
    .map(|row| Station {
        code: row.code,
        name: row.name,
        constituency: row.constituency,
        lat: row.lat,
        lon: row.lon,
    })
    .collect();
    stations.sort_by(|a, b| a.code.cmp(&b.code));
    Ok(HttpResponse::Ok().json(Stations { stations }))
}
