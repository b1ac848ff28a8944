//! `GET /v1/reports/{id}`: one report with everything that was said about it.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::{codes::Code, entry::Place};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{error::ApiError, guard::Person, query, work},
    app::App,
    auth::Role,
    domain::{
        evidence::{self, ReportEvidence},
        flags,
        reports::{self, HistoryEntry, Report},
    },
    store::registers::{self, Station},
};

pub(in crate::api) const ERRORS: &[Code] = &[Code::NotFound];

/// The station that a report names, as the register has it now.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct NamedStation {
    /// Unique in the mission.
    code: String,
    /// Its name.
    name: String,
    /// Degrees, where known.
    lat: Option<f64>,
    /// Degrees, where known.
    lon: Option<f64>,
    /// Metres from there to where the report was filed, where both are known.
    metres: Option<f64>,
}

impl NamedStation {
    fn of(station: Station, place: Option<&Place>) -> Self {
        let known = station.lat.zip(station.lon).zip(place);
        let metres =
            known.map(|((lat, lon), place)| flags::metres(lat, lon, place.lat, place.lon).round());
        Self {
            code: station.code,
            name: station.name,
            lat: station.lat,
            lon: station.lon,
            metres,
        }
    }
}

/// A report and its history.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct ReportWithHistory {
    /// As it stands.
    report: Report,
    /// The station that it names; `null` if it names none, or one that is not listed.
    station: Option<NamedStation>,
    /// Its files, in the order in which they were announced.
    evidence: Vec<ReportEvidence>,
    /// Every entry about it, in ledger order, with what a third party needs to verify each.
    history: Vec<HistoryEntry>,
}

/// Read one report with its whole history.
#[utoipa::path(get, path = "/v1/reports/{id}", tag = "reports",
    params(("id" = String, Path, description = "The report's id")),
    responses((status = 200, description = "The report", body = ReportWithHistory)))]
pub(in crate::api) async fn show_report(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let id = query::id(&req, "id")?;
    let reviews = person.is(Role::Coordinator) || person.is(Role::Lead);
    let found = work::read(&app, move |app, conn| {
        let Some(found) = reports::show(conn, &app.keys, person.mission, id, reviews)? else {
            return Ok(None);
        };
        let files = evidence::of_report(conn, person.mission, id)?;
        let report = &found.0;
        let station = match &report.station {
            Some(code) => registers::station(conn, person.mission.no, code)?,
            None => None,
        };
        let station = station.map(|station| NamedStation::of(station, report.place.as_ref()));
        Ok(Some((found, station, files)))
    })
    .await?;
    let ((report, history), station, files) = found.ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(ReportWithHistory {
        report,
        station,
        evidence: evidence::with_arrived(&app.evidence, person.mission, files).await,
        history,
    }))
}
