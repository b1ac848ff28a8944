//! `GET /v1/erasures`: what was asked for and what was done.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Erasure;
use crate::{
    api::{error::ApiError, guard::Person, query, work},
    app::App,
    store::{devices::read_id, erasures},
};

pub(in crate::api) const ERRORS: &[Code] = &[Code::MalformedQuery, Code::InvalidCursor];

/// One page of erasures.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct ErasurePage {
    /// Newest first.
    erasures: Vec<Erasure>,
    /// Cursor of the next page; `null` at the end.
    next: Option<String>,
}

/// List erasures, those that wait and those done.
#[utoipa::path(get, path = "/v1/erasures", tag = "erasure",
    params(("limit" = Option<u32>, Query, description = "1 to 200; 50 if not given"),
           ("cursor" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, description = "One page", body = ErasurePage)))]
pub(in crate::api) async fn list_erasures(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let page = query::page(&req, |_, _| Ok(false))?;
    let mark = query::fingerprint("erasures", person.mission.id, &());
    let before: Option<(i64, Uuid)> = query::decode(page.cursor.as_deref(), &mark)?;
    let before = before.map(|(time, id)| (time, id.as_bytes().to_vec()));
    let mut rows = work::read(&app, move |_, conn| {
        erasures::page(conn, person.mission.no, before, page.limit + 1)
    })
    .await?;
    let next = query::cut(&mut rows, page.limit, &mark, |row| {
        (row.requested_at, read_id(&row.id).unwrap_or_default())
    });
    let erasures = rows
        .into_iter()
        .map(|row| Erasure::new(row, None))
        .collect::<Result<_, _>>()?;
    Ok(HttpResponse::Ok().json(ErasurePage { erasures, next }))
}
