//! What a token and a session ask of a person alike: the right password, the second
//! factor if the account has one, and one mission.

use actix_web::{rt, web};
use protocol::{codes::Code, ids::UserId};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{Api, error::ApiError, work};
use crate::{
    app::App,
    auth::password,
    domain::{
        accounts::{self, Choice},
        audit, second_factor,
    },
    error::{Error, Result},
    store::{Conn, users::SERVER as SERVER_NO},
};

pub(super) const ERRORS: &[Code] = &[
    Code::MalformedJson,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidValue,
    Code::LoginFailed,
    Code::TooManyAttempts,
    Code::SecondFactorNeeded,
    Code::SecondFactorInvalid,
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
    /// A code of the account's app, or a recovery code, if it has a second factor.
    #[serde(default)]
    code: Option<String>,
}

/// Somebody who gave the right password.
pub(super) struct Known {
    /// The account.
    pub(super) user: UserId,
    mission: Option<String>,
    code: Option<String>,
}

/// Checks the password.
///
/// # Errors
/// `login_failed`, `too_many_attempts`, `invalid_value`, or the database's.
pub(super) async fn check(
    app: &App,
    api: &Api,
    body: LoginRequest,
) -> std::result::Result<Known, ApiError> {
    let LoginRequest {
        email,
        password,
        mission,
        code,
    } = body;
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
    let credentials = work::read(app, move |_, conn| accounts::credentials(conn, &email)).await?;
    let (user, hash) = credentials.unzip();
    // Argon2 takes 19 MiB: few at once, however many ask.
    let permit = api
        .argon()
        .acquire()
        .await
        .map_err(|error| ApiError::internal(error.to_string()))?;
    let right = web::block(move || password::verify(&password, hash.as_deref())).await?;
    drop(permit);
    let Some(user) = user.filter(|_| right) else {
        if let Some(user) = user {
            note_failure(app, user, "password");
        }
        return Err(ApiError::new(Code::LoginFailed, ""));
    };
    Ok(Known {
        user,
        mission,
        code,
    })
}

/// Notes a failed sign-in beside the answer, which comes as fast as for an address that
/// nobody has.
fn note_failure(app: &App, user: UserId, what: &'static str) {
    let app = app.clone();
    rt::spawn(async move {
        let noted = work::write(&app, move |app, conn| {
            audit::sign_in_failed(conn, &app.host, user, what)
        });
        if let Err(error) = noted.await {
            tracing::warn!(code = %error.code(), "a failed sign-in was not noted");
        }
    });
}

impl Known {
    /// Signs in: takes the second factor, chooses the mission, has `work` do the rest, and
    /// notes it in the audit trail.
    ///
    /// # Errors
    /// As [`Self::enter`], and what `work` returns.
    pub(super) async fn sign_in<T: Send + 'static>(
        self,
        app: &App,
        begin: impl FnOnce(&App, &mut Conn, &Choice, bool) -> Result<T> + Send + 'static,
    ) -> std::result::Result<T, ApiError> {
        let user = self.user;
        let done = work::write(app, move |app, conn| {
            let (choice, proven) = self.enter(app, conn)?;
            let mission = choice.mission.as_ref();
            let mission = mission.map_or(SERVER_NO, |mission| mission.reference.no);
            audit::signed_in(conn, &app.host, user, mission, proven)?;
            begin(app, conn, &choice, proven)
        })
        .await;
        if matches!(&done, Err(error) if error.code() == Code::SecondFactorInvalid) {
            note_failure(app, user, "second_factor");
        }
        done
    }

    /// Takes the second factor, and chooses the mission. `true` if a factor was shown.
    /// Runs inside `Store::write`.
    ///
    /// # Errors
    /// `second_factor_needed`, `second_factor_invalid`, `mission_choice_needed`,
    /// `mission_unknown`, `login_failed`, or the database's.
    fn enter(&self, app: &App, conn: &mut Conn) -> Result<(Choice, bool)> {
        let now = app.host.now();
        let proven = second_factor::take(conn, &app.keys, now, self.user, self.code.as_deref())?;
        let choices = accounts::choices(conn, self.user)?;
        Ok((choose(choices, self.mission.as_deref())?, proven))
    }
}

fn choose(mut choices: Vec<Choice>, wanted: Option<&str>) -> Result<Choice> {
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
            .ok_or_else(|| Error::refused(Code::MissionUnknown, "the account has no role there")),
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
            Err(Error::refused(Code::MissionChoiceNeeded, "").with("missions", list))
        }
        // An account whose roles were all taken away is nobody's.
        None => choices
            .pop()
            .ok_or_else(|| Error::refused(Code::LoginFailed, "")),
    }
}
