//! `POST /v1/session`: a person signs in at the console.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;

use super::Session;
use crate::{
    api::{
        Api,
        body::Body,
        cookie,
        error::ApiError,
        sign_in::{self, LoginRequest},
    },
    app::App,
    domain::sessions::{self, Limits},
    store::users::SERVER,
};

pub(in crate::api) const ERRORS: &[Code] = &[
    Code::CrossSite,
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

/// Sign in at the console.
///
/// As `POST /v1/login`, for browsers: the answer sets a cookie that no script can
/// read. What is sent with it must come from a page of this server's own. An account
/// without a second factor gets a session that opens nothing but setting one up.
#[utoipa::path(post, path = "/v1/session", tag = "sign-in", request_body = LoginRequest,
    responses((status = 201, description = "Signed in", body = Session)))]
pub(in crate::api) async fn begin_session(
    app: web::Data<App>,
    api: web::Data<Api>,
    req: HttpRequest,
    body: Body<LoginRequest>,
) -> Result<HttpResponse, ApiError> {
    // Another site must not sign somebody in to an account of its own choice.
    cookie::refuse_other_sites(&req)?;
    let known = sign_in::check(&app, &api, body.0).await?;
    let user = known.user;
    let (token, session) = known
        .sign_in(&app, move |app, conn, choice, proven| {
            let mission = choice.mission.as_ref();
            let mission = mission.map_or(SERVER, |mission| mission.reference.no);
            let limits = Limits::of(&app.config);
            let (token, row) = sessions::begin(conn, &app.host, limits, user, mission, proven)?;
            Ok((token, Session::describe(app, conn, &row)?))
        })
        .await?;
    Ok(HttpResponse::Created()
        .cookie(cookie::holding(&token))
        .json(session))
}
