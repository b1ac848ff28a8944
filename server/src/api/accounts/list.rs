//! `GET /v1/accounts`: who works in the mission, in full.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Serialize;
use utoipa::ToSchema;

use super::Account;
use crate::{
    api::{error::ApiError, guard::Person, query, work},
    app::App,
    domain::staff,
};

pub(in crate::api) const ERRORS: &[Code] = &[Code::MalformedQuery];

/// The mission's accounts.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Accounts {
    /// By address.
    accounts: Vec<Account>,
}

/// List the mission's accounts.
#[utoipa::path(get, path = "/v1/accounts", tag = "accounts",
    responses((status = 200, description = "All of them", body = Accounts)))]
pub(in crate::api) async fn list_accounts(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    query::all(&req, |_, _| Ok(false))?;
    let members = work::read(&app, move |_, conn| staff::list(conn, person.mission)).await?;
    let accounts = members.into_iter().map(Into::into).collect();
    Ok(HttpResponse::Ok().json(Accounts { accounts }))
}
