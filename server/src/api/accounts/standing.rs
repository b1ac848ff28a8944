//! `PUT /v1/accounts/{id}/standing`: whether somebody may sign in.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{CHANGE_ERRORS, change, roles::ChangedAccount};
use crate::{
    api::{body::Body, error::ApiError, guard::Person},
    app::App,
    domain::staff,
};

pub(in crate::api) const ERRORS: &[Code] = CHANGE_ERRORS;

/// Whether it may.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct StandingRequest {
    /// `false` ends its sessions and tokens at once.
    enabled: bool,
    /// In a person's words, at most 10,000 characters.
    reason: String,
}

/// Disable or enable an account of this mission alone.
#[utoipa::path(put, path = "/v1/accounts/{id}/standing", tag = "accounts", request_body = StandingRequest,
    params(("id" = String, Path, description = "The account's id")),
    responses((status = 200, description = "Set", body = ChangedAccount)))]
pub(in crate::api) async fn set_standing(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
    body: Body<StandingRequest>,
) -> Result<HttpResponse, ApiError> {
    let account = change(&app, person, &req, move |conn, desk, user| {
        staff::set_enabled(conn, desk, user, body.0.enabled, &body.0.reason)
    })
    .await?;
    Ok(HttpResponse::Ok().json(ChangedAccount { account }))
}
