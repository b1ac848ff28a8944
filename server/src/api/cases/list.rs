//! `GET /v1/cases`: the cases of the caller's mission.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{error::ApiError, guard::Person, query, work},
    app::App,
    domain::cases::{self, Case},
};

pub(in crate::api) const ERRORS: &[Code] = &[Code::MalformedQuery, Code::InvalidCursor];

/// One page of cases.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct CasePage {
    /// The last changed first.
    cases: Vec<Case>,
    /// Cursor of the next page; `null` at the end.
    next: Option<String>,
}

/// List cases with their reports.
#[utoipa::path(get, path = "/v1/cases", tag = "reports",
    params(("limit" = Option<u32>, Query, description = "1 to 200; 50 if not given"),
           ("cursor" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, description = "One page", body = CasePage)))]
pub(in crate::api) async fn list_cases(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let page = query::page(&req, |_, _| Ok(false))?;
    let mark = query::fingerprint("cases", person.mission.id, &());
    let before: Option<i64> = query::decode(page.cursor.as_deref(), &mark)?;
    let (cases, next) = work::read(&app, move |_, conn| {
        let mut found = cases::list(conn, person.mission, before, page.limit + 1)?;
        let next = query::cut(&mut found, page.limit, &mark, |case| case.number);
        Ok((found, next))
    })
    .await?;
    Ok(HttpResponse::Ok().json(CasePage { cases, next }))
}
