//! `POST /v1/second-factor/confirmation`: the first code of an offered secret.

use actix_web::{HttpResponse, web};
use protocol::codes::Code;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    api::{Api, body::Body, error::ApiError, guard::Desk, work},
    app::App,
    domain::{
        audit::{Act, By, Deed},
        second_factor,
    },
    store::sessions,
};

pub(in crate::api) const ERRORS: &[Code] = &[
    Code::MalformedJson,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidValue,
    Code::TooManyAttempts,
    Code::SecondFactorNeeded,
    Code::SecondFactorInvalid,
];

/// The first code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct SecondFactorConfirmation {
    /// As it was offered.
    setup: String,
    /// The code that the app shows.
    code: String,
    /// If the account has a second factor that this one replaces: a code of that one.
    #[serde(default)]
    current: Option<String>,
}

/// For whoever loses the app.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct RecoveryCodes {
    /// Each stands in for a code once. Nobody is shown them again.
    recovery_codes: Vec<String>,
}

/// Set up a second factor with its first code.
///
/// The account's other sessions end.
#[utoipa::path(post, path = "/v1/second-factor/confirmation", tag = "sign-in",
    request_body = SecondFactorConfirmation,
    responses((status = 201, description = "Set up", body = RecoveryCodes)))]
pub(in crate::api) async fn confirm_second_factor(
    app: web::Data<App>,
    api: web::Data<Api>,
    desk: Desk,
    body: Body<SecondFactorConfirmation>,
) -> Result<HttpResponse, ApiError> {
    let user = desk.session.user()?;
    api.limiter()
        .attempt(&format!("second factor of {}", user.0))
        .map_err(|seconds| {
            ApiError::new(Code::TooManyAttempts, format!("wait {seconds} s")).retry_after(seconds)
        })?;
    let recovery_codes = work::write(&app, move |app, conn| {
        let body = body.0;
        let now = app.host.now();
        second_factor::take(conn, &app.keys, now, user, body.current.as_deref())?;
        let codes =
            second_factor::confirm(conn, &app.keys, &app.host, user, &body.setup, &body.code)?;
        Deed::new(&app.host, By::Person(user), Act::SecondFactorSet, json!({}))
            .to(user)
            .note_for_account(conn)?;
        sessions::prove(conn, &desk.session.token_hash)?;
        sessions::end_all(conn, user, Some(&desk.session.token_hash))?;
        Ok(codes)
    })
    .await?;
    Ok(HttpResponse::Created().json(RecoveryCodes { recovery_codes }))
}
