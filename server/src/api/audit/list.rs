//! `GET /v1/audit`: who did what, when.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::set;
use crate::{
    api::{error::ApiError, guard::Person, query, work},
    app::App,
    domain::audit::{self, AuditItem},
    store::audit::{AuditFilter, Mark},
};

pub(in crate::api) const ERRORS: &[Code] = &[Code::MalformedQuery, Code::InvalidCursor];

/// An account that an act names.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct NamedPerson {
    /// Its id.
    id: Uuid,
    /// Its address.
    email: String,
}

/// One page of the audit trail.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct AuditPage {
    /// Newest first.
    items: Vec<AuditItem>,
    /// The accounts that the page names.
    people: Vec<NamedPerson>,
    /// Cursor of the next page; `null` at the end.
    next: Option<String>,
}

/// List who did what, when.
///
/// What the office wrote into the ledger, and what is no entry of it: accounts, sign-ins,
/// imports, exports, enrolment codes, work at the server's command line.
#[utoipa::path(get, path = "/v1/audit", tag = "audit",
    params(("person" = Option<String>, Query, description = "Done by this account, or to it"),
           ("act" = Option<String>, Query, description = "Any of these acts, or kinds of entries; repeat it"),
           ("since" = Option<String>, Query, description = "Not before (RFC 3339)"),
           ("until" = Option<String>, Query, description = "Before (RFC 3339)"),
           ("limit" = Option<u32>, Query, description = "1 to 200; 50 if not given"),
           ("cursor" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, description = "One page", body = AuditPage)))]
pub(in crate::api) async fn list_audit(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut filter = AuditFilter::default();
    let page = query::page(&req, |name, value| set(&mut filter, name, value))?;
    let mark = query::fingerprint("audit", person.mission.id, &filter);
    let from: Option<Mark> = query::decode(page.cursor.as_deref(), &mark)?;
    let from = from.unwrap_or_default();
    let answer = work::read(&app, move |_, conn| {
        let (items, next) = audit::list(conn, person.mission, &filter, from, page.limit)?;
        let named: Vec<Uuid> = items.iter().flat_map(AuditItem::accounts).collect();
        let people = audit::people(conn, &named)?;
        Ok(AuditPage {
            items,
            people: people
                .into_iter()
                .map(|(id, email)| NamedPerson { id, email })
                .collect(),
            next: next.map(|next| query::encode(next, &mark)),
        })
    })
    .await?;
    Ok(HttpResponse::Ok().json(answer))
}
