//! `GET /v1/quarantine`: entries that wait.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    api::{error::ApiError, guard::Person, query, work},
    app::App,
    domain::reports::{self, HistoryEntry, malformed},
    store::quarantine,
};

pub(in crate::api) const ERRORS: &[Code] = &[Code::MalformedQuery, Code::InvalidCursor];

/// An entry that waits.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Waiting {
    /// The report it is about.
    report: Option<Uuid>,
    /// The entry.
    #[serde(flatten)]
    entry: HistoryEntry,
}

/// One page of waiting entries.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct QuarantinePage {
    /// Newest first.
    entries: Vec<Waiting>,
    /// Cursor of the next page; `null` at the end.
    next: Option<String>,
}

/// List entries that wait: quarantined ones, and held ones whose base has not come.
#[utoipa::path(get, path = "/v1/quarantine", tag = "quarantine",
    params(("standing" = Option<String>, Query, description = "`quarantined` or `held`; both if not given"),
           ("limit" = Option<u32>, Query, description = "1 to 200; 50 if not given"),
           ("cursor" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, description = "One page", body = QuarantinePage)))]
pub(in crate::api) async fn list_quarantine(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut standing: Option<String> = None;
    let page = query::page(&req, |name, value| match (name, value) {
        ("standing", "quarantined" | "held") if standing.is_none() => {
            standing = Some(value.to_owned());
            Ok(true)
        }
        ("standing", _) => Err(malformed(name, "is `quarantined` or `held`, once")),
        _ => Ok(false),
    })?;
    let mark = query::fingerprint("quarantine", person.mission.id, &standing);
    let before: Option<i64> = query::decode(page.cursor.as_deref(), &mark)?;
    let (entries, next) = work::read(&app, move |app, conn| {
        let mut rows = quarantine::page(
            conn,
            person.mission.no,
            standing.as_deref(),
            before,
            page.limit + 1,
        )?;
        let next = query::cut(&mut rows, page.limit, &mark, |row| row.number);
        let subjects: Vec<_> = rows
            .iter()
            .map(|row| {
                row.subject
                    .as_deref()
                    .and_then(|id| Uuid::from_slice(id).ok())
            })
            .collect();
        let entries = reports::describe(conn, &app.keys, person.mission, rows, false)?;
        let entries = subjects
            .into_iter()
            .zip(entries)
            .map(|(report, entry)| Waiting { report, entry });
        Ok((entries.collect(), next))
    })
    .await?;
    Ok(HttpResponse::Ok().json(QuarantinePage { entries, next }))
}
