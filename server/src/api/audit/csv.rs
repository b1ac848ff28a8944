//! `GET /v1/audit.csv`: the audit trail as a file.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde_json::json;

use super::set;
use crate::{
    api::{Api, download, error::ApiError, guard::Person, query, work},
    app::App,
    domain::audit::{self, Act, By, Deed},
    store::audit::AuditFilter,
};

pub(in crate::api) const ERRORS: &[Code] = &[Code::MalformedQuery, Code::Overloaded];

/// Take the audit trail away, with the filters of its list.
///
/// CSV, safe to open in a spreadsheet. That it was taken is in the trail from then on.
#[utoipa::path(get, path = "/v1/audit.csv", tag = "audit",
    params(("person" = Option<String>, Query, description = "Done by this account, or to it"),
           ("act" = Option<String>, Query, description = "Any of these acts, or kinds of entries; repeat it"),
           ("since" = Option<String>, Query, description = "Not before (RFC 3339)"),
           ("until" = Option<String>, Query, description = "Before (RFC 3339)")),
    responses((status = 200, description = "The file", content((String = "text/csv")))))]
pub(in crate::api) async fn take_audit(
    app: web::Data<App>,
    api: web::Data<Api>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut filter = AuditFilter::default();
    query::all(&req, |name, value| set(&mut filter, name, value))?;
    let turn = api.turn_to_export()?;
    let told = json!({ "acts": filter.acts });
    work::write(&app, move |app, conn| {
        Deed::new(&app.host, By::Person(person.user), Act::AuditTaken, told)
            .note(conn, person.mission.no)
    })
    .await?;
    download::send(
        &app,
        "audit.csv",
        "text/csv; charset=utf-8",
        move |_, conn, out| {
            let _turn = turn;
            audit::write_csv(conn, person.mission, &filter, out).map(drop)
        },
    )
    .await
}
