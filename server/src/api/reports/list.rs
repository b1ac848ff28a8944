//! `GET /v1/reports`: the reports of the caller's mission.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{error::ApiError, guard::Person, query, work},
    app::App,
    domain::reports::{self, Filter, Report},
};

pub(in crate::api) const ERRORS: &[Code] = &[Code::MalformedQuery, Code::InvalidCursor];

/// One page of reports.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct ReportPage {
    /// Newest first, by the ledger number of their first entry.
    reports: Vec<Report>,
    /// Cursor of the next page; `null` at the end.
    next: Option<String>,
}

/// List reports.
///
/// All filters narrow the list; the values of one filter widen it. Pages stay
/// stable while reports arrive: a new one stands before the first page.
#[utoipa::path(get, path = "/v1/reports", tag = "reports",
    params(("limit" = Option<u32>, Query, description = "1 to 200; 50 if not given"),
           ("cursor" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, description = "One page", body = ReportPage)))]
pub(in crate::api) async fn list_reports(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut filter = Filter::default();
    let page = query::page(&req, |name, value| filter.set(name, value))?;
    let filter = filter.for_lists();
    let mark = filter.fingerprint(person.mission.id);
    let before: Option<i64> = query::decode(page.cursor.as_deref(), &mark)?;
    let mut reports = work::read(&app, move |_, conn| {
        reports::list(conn, person.mission, &filter, before, page.limit + 1)
    })
    .await?;
    let next = query::cut(&mut reports, page.limit, &mark, |report| report.number);
    Ok(HttpResponse::Ok().json(ReportPage { reports, next }))
}
