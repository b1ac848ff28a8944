//! `POST /v1/login`: a person signs in with a password.

use actix_web::{HttpResponse, web};
use protocol::{codes::Code, ids::MissionId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{Api, body::Body, error::ApiError, work};
use crate::{
    app::App,
    auth::{
        Role, password,
        token::{self, Bearer},
    },
    domain::accounts::{self, Choice},
};

pub(super) const ERRORS: &[Code] = &[
    Code::MalformedJson,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidValue,
    Code::LoginFailed,
    Code::TooManyAttempts,
    Code::MissionChoiceNeeded,
    Code::MissionUnknown,
];

/// Says the server itself instead of a mission: operators.
const SERVER: &str = "server";

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginRequest {
    /// The account's e-mail address.
    email: String,
    /// At most 1024 bytes.
    password: String,
    /// The mission to open, for accounts that belong to several; `server` for operators.
    #[serde(default)]
    mission: Option<String>,
}

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

/// Sign in with e-mail address and password.
///
/// A token opens one mission. An account with several gets 409 with
/// `missions`, and names one.
#[utoipa::path(post, path = "/v1/login", tag = "sign-in", request_body = LoginRequest,
    responses((status = 200, description = "Signed in", body = TokenResponse)))]
pub(super) async fn login(
    app: web::Data<App>,
    api: web::Data<Api>,
    body: Body<LoginRequest>,
) -> Result<HttpResponse, ApiError> {
    let LoginRequest {
        email,
        password,
        mission,
    } = body.0;
    if password.len() > password::MAX_BYTES {
        return Err(ApiError::new(
            Code::InvalidValue,
            "a password has at most 1024 bytes",
        ));
    }
    let email = email.trim().to_lowercase();
    api.limiter().attempt(&email).map_err(|seconds| {
        ApiError::new(Code::TooManyAttempts, format!("wait {seconds} s")).retry_after(seconds)
    })?;
    let credentials = work::read(&app, move |_, conn| accounts::credentials(conn, &email)).await?;
    let (user, hash) = credentials.unzip();
    // Argon2 takes 19 MiB: few at once, however many ask.
    let permit = api
        .argon()
        .acquire()
        .await
        .map_err(|error| ApiError::internal(error.to_string()))?;
    let right = web::block(move || password::verify(&password, hash.as_deref())).await?;
    drop(permit);
    let user = user
        .filter(|_| right)
        .ok_or_else(|| ApiError::new(Code::LoginFailed, ""))?;
    let choices = work::read(&app, move |_, conn| accounts::choices(conn, user)).await?;
    let choice = choose(choices, mission.as_deref())?;
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

fn choose(mut choices: Vec<Choice>, wanted: Option<&str>) -> Result<Choice, ApiError> {
    let name = |choice: &Choice| {
        choice.mission.as_ref().map_or_else(
            || SERVER.to_owned(),
            |mission| mission.reference.id.to_string(),
        )
    };
    match wanted {
        Some(wanted) => choices
            .into_iter()
            .find(|choice| name(choice).eq_ignore_ascii_case(wanted))
            .ok_or_else(|| ApiError::new(Code::MissionUnknown, "the account has no role there")),
        None if choices.len() > 1 => {
            let list: Vec<_> = choices
                .iter()
                .map(|choice| {
                    json!({
                        "id": name(choice),
                        "name": choice.mission.as_ref().map_or("the server itself", |m| &m.name),
                        "election": choice.mission.as_ref().map(|m| &m.election),
                        "roles": choice.roles,
                    })
                })
                .collect();
            Err(ApiError::new(Code::MissionChoiceNeeded, "").with("missions", list))
        }
        // An account whose roles were all taken away is nobody's.
        None => choices
            .pop()
            .ok_or_else(|| ApiError::new(Code::LoginFailed, "")),
    }
}
