//! `PUT /v1/accounts/{id}/roles`: what somebody may do in the mission.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Account, CHANGE_ERRORS, change};
use crate::{
    api::{body::Body, error::ApiError, guard::Person},
    app::App,
    auth::Role,
    domain::staff,
};

pub(in crate::api) const ERRORS: &[Code] = CHANGE_ERRORS;

/// The roles from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct RolesRequest {
    /// Of `coordinator`, `lead`, `analyst`, `auditor`; none takes the account out of the
    /// mission.
    roles: Vec<Role>,
    /// In a person's words, at most 10,000 characters.
    reason: String,
}

/// The account as it is now.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct ChangedAccount {
    /// `null` once it has no role in the mission.
    pub(in crate::api) account: Option<Account>,
}

/// Set somebody's roles in the mission. Whoever lost all is signed out at once.
#[utoipa::path(put, path = "/v1/accounts/{id}/roles", tag = "accounts", request_body = RolesRequest,
    params(("id" = String, Path, description = "The account's id")),
    responses((status = 200, description = "Set", body = ChangedAccount)))]
pub(in crate::api) async fn set_roles(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
    body: Body<RolesRequest>,
) -> Result<HttpResponse, ApiError> {
    let account = change(&app, person, &req, move |conn, desk, user| {
        staff::set_roles(conn, desk, user, &body.0.roles, &body.0.reason)
    })
    .await?;
    Ok(HttpResponse::Ok().json(ChangedAccount { account }))
}
