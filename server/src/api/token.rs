//! `POST /v1/token`: a device asks for a token with its key (RFC 7523).

use actix_web::{HttpResponse, web};
use protocol::{assertion::GRANT_TYPE, codes::Code};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{body::Form, error::ApiError, login::TokenResponse, work};
use crate::{
    app::App,
    auth::{
        self, Role,
        token::{self, Bearer},
    },
};

pub(super) const ERRORS: &[Code] = &[
    Code::UnsupportedGrantType,
    Code::InvalidGrant,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
];

/// The form (RFC 7523 §2.1).
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "the schema of a form that is read pair by pair")]
pub(super) struct TokenRequest {
    /// `urn:ietf:params:oauth:grant-type:jwt-bearer`
    grant_type: String,
    /// A compact JWS, signed with the device key.
    assertion: String,
}

/// Get a token for a phone.
///
/// Errors carry `server_time`, so that a phone with a wrong clock can make an
/// assertion that is valid now, and `error` as RFC 6749 §5.2 wants it.
#[utoipa::path(post, path = "/v1/token", tag = "sign-in",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "A token", body = TokenResponse)))]
pub(super) async fn token(
    app: web::Data<App>,
    form: Result<Form, ApiError>,
) -> Result<HttpResponse, ApiError> {
    let time = app.host.now().rfc3339();
    grant(&app, form).await.map_err(|error| {
        let name = error.code().name();
        error.with("error", name).with("server_time", time)
    })
}

async fn grant(app: &App, form: Result<Form, ApiError>) -> Result<HttpResponse, ApiError> {
    let pairs = form?.0;
    let one = |name: &str| {
        let mut values = pairs
            .iter()
            .filter(|(own, _)| own == name)
            .map(|(_, value)| value);
        values.next().filter(|_| values.next().is_none())
    };
    if one("grant_type").is_none_or(|grant| grant != GRANT_TYPE) {
        return Err(ApiError::new(
            Code::UnsupportedGrantType,
            format!("send grant_type={GRANT_TYPE}"),
        ));
    }
    let assertion = one("assertion")
        .cloned()
        .ok_or_else(|| ApiError::new(Code::InvalidGrant, "send one assertion"))?;
    let now = app.host.now();
    let proven = work::read(app, move |app, conn| {
        auth::check_assertion(conn, &app.keys, now, &assertion)
    })
    .await?;
    let roles = vec![Role::Observer];
    let mission = Some(proven.mission.id);
    let bearer = Bearer {
        aud: token::DEVICE,
        sub: proven.device.0,
        mission,
        roles: roles.clone(),
    };
    let seconds = app.config.token_seconds;
    Ok(HttpResponse::Ok().json(TokenResponse {
        access_token: token::issue(&app.keys, &app.host, bearer, seconds)?,
        token_type: "Bearer",
        expires_in: seconds,
        roles,
        mission,
        server_time: now.rfc3339(),
    }))
}
