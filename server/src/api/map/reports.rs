//! `GET /v1/map/reports`: reports as points.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;

use crate::{
    api::{Api, error::ApiError, guard::Person, kept, query, work},
    app::App,
    domain::{
        map::{self, MapReports},
        reports::Filter,
    },
};

pub(in crate::api) const ERRORS: &[Code] = &[Code::MalformedQuery];

/// Read the reports of the map.
///
/// The filters are those of `/v1/reports`. Of more than 100,000 reports the newest
/// come. The answer may be some seconds old, as that of `/v1/room`.
#[utoipa::path(get, path = "/v1/map/reports", tag = "room",
    responses((status = 200, description = "Columns", body = MapReports)))]
pub(in crate::api) async fn map_reports(
    app: web::Data<App>,
    api: web::Data<Api>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut filter = Filter::default();
    query::all(&req, |name, value| filter.set(name, value))?;
    let filter = filter.for_lists();
    let mission = person.mission;
    let key = kept::Key::new("reports", mission, filter.fingerprint(mission.id).to_vec());
    let answer = api
        .kept()
        .get(&app, key, || {
            work::read(&app, move |_, conn| map::reports(conn, mission, &filter))
        })
        .await?;
    Ok(answer.send(&req))
}
