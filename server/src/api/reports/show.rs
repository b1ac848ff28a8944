//! `GET /v1/reports/{id}`: one report with everything that was said about it.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{error::ApiError, guard::Person, query, work},
    app::App,
    domain::{
        evidence::{self, ReportEvidence},
        reports::{self, HistoryEntry, Report},
    },
};

pub(in crate::api) const ERRORS: &[Code] = &[Code::NotFound];

/// A report and its history.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct ReportWithHistory {
    /// As it stands.
    report: Report,
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
    let found = work::read(&app, move |app, conn| {
        let Some(found) = reports::show(conn, &app.keys, person.mission, id)? else {
            return Ok(None);
        };
        let files = evidence::of_report(conn, person.mission, id)?;
        Ok(Some((found, files)))
    })
    .await?;
    let ((report, history), files) = found.ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(ReportWithHistory {
        report,
        evidence: evidence::with_arrived(&app.evidence, person.mission, files).await,
        history,
    }))
}
