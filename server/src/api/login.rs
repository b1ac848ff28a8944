//! `POST /v1/login`: a person gets a token with a password.

use actix_web::{HttpResponse, web};
use protocol::{codes::Code, ids::MissionId};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Api,
    body::Body,
    error::ApiError,
    sign_in::{self, LoginRequest},
};
use crate::{
    app::App,
    auth::{
        Role,
        token::{self, Bearer},
    },
};

pub(super) const ERRORS: &[Code] = sign_in::ERRORS;

/// An access token.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenResponse {
    /// A JWT; send it as `Authorization: Bearer …`.
    pub(super) access_token: String,
    /// Always `Bearer`.
    pub(super) token_type: &'static str,
    /// Seconds.
    pub(super) expires_in: i64,
    /// What it allows.
    pub(super) roles: Vec<Role>,
    /// The one mission that it opens; `null` for operators.
    pub(super) mission: Option<MissionId>,
    /// The server's time, RFC 3339.
    pub(super) server_time: String,
}

/// Get a token with e-mail address and password.
///
/// A token opens one mission. An account with several gets 409 with
/// `missions`, and names one. One with a second factor gets 401 with
/// `second_factor_needed`, and sends a `code`.
#[utoipa::path(post, path = "/v1/login", tag = "sign-in", request_body = LoginRequest,
    responses((status = 200, description = "Signed in", body = TokenResponse)))]
pub(super) async fn login(
    app: web::Data<App>,
    api: web::Data<Api>,
    body: Body<LoginRequest>,
) -> Result<HttpResponse, ApiError> {
    let known = sign_in::check(&app, &api, body.0).await?;
    let user = known.user;
    let choice = known
        .sign_in(&app, |_, _, choice, _| Ok(choice.clone()))
        .await?;
    let mission = choice.mission.map(|mission| mission.reference.id);
    let bearer = Bearer {
        aud: token::CONSOLE,
        sub: user.0,
        mission,
        roles: choice.roles.clone(),
    };
    let seconds = app.config.token_seconds;
    Ok(HttpResponse::Ok().json(TokenResponse {
        access_token: token::issue(&app.keys, &app.host, bearer, seconds)?,
        token_type: "Bearer",
        expires_in: seconds,
        roles: choice.roles,
        mission,
        server_time: app.host.now().rfc3339(),
    }))
}
