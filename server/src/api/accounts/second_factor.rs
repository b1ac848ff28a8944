//! `POST /v1/accounts/{id}/second-factor-reset`: somebody lost phone and codes.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;

use super::{CHANGE_ERRORS, change, roles::ChangedAccount};
use crate::{
    api::{body::Body, erasures::Reason, error::ApiError, guard::Person},
    app::App,
    domain::staff,
};

pub(in crate::api) const ERRORS: &[Code] = CHANGE_ERRORS;

/// Take a second factor away. Its owner is signed out and sets up another one.
#[utoipa::path(post, path = "/v1/accounts/{id}/second-factor-reset", tag = "accounts", request_body = Reason,
    params(("id" = String, Path, description = "The account's id")),
    responses((status = 200, description = "Taken away", body = ChangedAccount)))]
pub(in crate::api) async fn reset_second_factor(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
    body: Body<Reason>,
) -> Result<HttpResponse, ApiError> {
    let account = change(&app, person, &req, move |conn, desk, user| {
        staff::reset_second_factor(conn, desk, user, &body.0.reason)
    })
    .await?;
    Ok(HttpResponse::Ok().json(ChangedAccount { account }))
}
