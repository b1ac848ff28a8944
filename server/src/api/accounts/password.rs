//! `POST /v1/accounts/{id}/password-reset`: somebody forgot a password.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;

use super::{CHANGE_ERRORS, NewPassword, change, fresh};
use crate::{
    api::{body::Body, erasures::Reason, error::ApiError, guard::Person},
    app::App,
    domain::staff,
};

pub(in crate::api) const ERRORS: &[Code] = CHANGE_ERRORS;

/// Set a password that the server makes. Its owner is signed out; the second factor stays.
#[utoipa::path(post, path = "/v1/accounts/{id}/password-reset", tag = "accounts", request_body = Reason,
    params(("id" = String, Path, description = "The account's id")),
    responses((status = 200, description = "Set", body = NewPassword)))]
pub(in crate::api) async fn reset_password(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
    body: Body<Reason>,
) -> Result<HttpResponse, ApiError> {
    let fresh = fresh(&app).await?;
    let password = Some(fresh.secret.to_string());
    let account = change(&app, person, &req, move |conn, desk, user| {
        staff::reset_password(conn, desk, user, &fresh, &body.0.reason)
    })
    .await?;
    let account = account.ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(NewPassword { password, account }))
}
