//! `GET /v1/map/reports`: reports as points.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;

use crate::{
    api::{Api, error::ApiError, guard::Person, kept, query, work},
    app::App,
    domain::{
        map::{self, MapReports},
        reports::{Filter, malformed},
    },
};

pub(in crate::api) const ERRORS: &[Code] = &[Code::MalformedQuery];

/// Read the reports of the map.
///
/// The filters are those of `/v1/reports`. Of more than 100,000 reports the newest
/// come. The answer may be some seconds old, as that of `/v1/room`, but for who says
/// how far they were told already.
#[utoipa::path(get, path = "/v1/map/reports", tag = "room",
    params(("least" = Option<i64>, Query, description = "The number of the ledger up to which the answer must tell: the last `id` of `/v1/events`")),
    responses((status = 200, description = "Columns", body = MapReports)))]
pub(in crate::api) async fn map_reports(
    app: web::Data<App>,
    api: web::Data<Api>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut filter = Filter::default();
    let mut least = 0;
    query::all(&req, |name, value| match name {
        "least" => {
            let number = value.parse().ok();
            least = number.ok_or_else(|| malformed(name, "is a number of the ledger"))?;
            Ok(true)
        }
        _ => filter.set(name, value),
    })?;
    let filter = filter.for_lists();
    let mission = person.mission;
    let key = kept::Key::new("reports", mission, filter.fingerprint(mission.id).to_vec());
    let answer = api
        .kept()
        .get(&app, key, least, || {
            work::read(&app, move |_, conn| {
                let reports = map::reports(conn, mission, &filter)?;
                Ok((reports.cursor, reports))
            })
        })
        .await?;
    Ok(answer.send(&req))
}
