//! Asks of every request whether its route's policy lets it in.

use std::{future::Future, panic::AssertUnwindSafe, pin::Pin};

use actix_web::{
    FromRequest, HttpMessage as _, HttpRequest, HttpResponse,
    body::BoxBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
    web,
};
use futures_util::FutureExt as _;
use protocol::{codes::Code, ids::UserId};

use super::{
    cookie,
    error::ApiError,
    routes::{Policy, Route},
    work,
};
use crate::{
    app::App,
    auth::{self, Caller, Role, Subject},
    domain::acts::MissionRef,
    store::sessions::SessionRow,
};

/// The text of the bearer token, if the request has one.
///
/// # Errors
/// `token_invalid` for two of them, or another scheme.
pub fn bearer(req: &HttpRequest) -> Result<Option<&str>, ApiError> {
    let invalid = || ApiError::new(Code::TokenInvalid, "");
    let mut values = req.headers().get_all(header::AUTHORIZATION);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(invalid());
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .ok_or_else(invalid)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(Some(token.trim()))
    } else {
        Err(invalid())
    }
}

/// Who is asking, by a token that verified or a session, and a subject who still
/// may act; `None` without either.
///
/// # Errors
/// `token_invalid`, `token_expired`, `token_revoked`, `session_ended`, `cross_site`,
/// or the database's.
pub async fn caller(app: &App, req: &HttpRequest) -> Result<Option<Caller>, ApiError> {
    if let Some(token) = bearer(req)?.map(str::to_owned) {
        let now = app.host.now();
        return work::read(app, move |app, conn| {
            auth::authenticate(conn, &app.keys, now, &token)
        })
        .await
        .map(Some);
    }
    let Some(token) = cookie::read(req) else {
        return Ok(None);
    };
    cookie::refuse_other_sites(req)?;
    let now = app.host.now();
    work::read(app, move |_, conn| {
        auth::authenticate_session(conn, now, &token)
    })
    .await
    .map(Some)
}

/// Runs the handler if the route's policy lets the caller in. A panic behind
/// it costs this request alone.
pub(super) async fn pass(
    route: &'static Route,
    req: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let http = req.request().clone();
    if let Err(error) = admit(&route.policy, &http).await {
        return Ok(req.into_response(HttpResponse::from_error(error)));
    }
    let answer = AssertUnwindSafe(next.call(req)).catch_unwind().await;
    Ok(match answer {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => ServiceResponse::new(http, HttpResponse::from_error(error)),
        Err(_) => {
            let error = ApiError::internal(format!(
                "the handler of {} {} panicked",
                route.method, route.path
            ));
            ServiceResponse::new(http, HttpResponse::from_error(error))
        }
    })
}

async fn admit(policy: &Policy, http: &HttpRequest) -> Result<(), ApiError> {
    let roles = match policy {
        Policy::Public => return Ok(()),
        Policy::LocalOr(_) if is_local(http) => return Ok(()),
        Policy::LocalOr(roles) | Policy::Roles(roles) => *roles,
        Policy::Session => &Role::ALL,
    };
    let app = http
        .app_data::<web::Data<App>>()
        .ok_or_else(|| ApiError::internal("no App"))?;
    let caller = caller(app, http)
        .await?
        .ok_or_else(|| ApiError::new(Code::TokenMissing, ""))?;
    let own = matches!(policy, Policy::Session);
    match &caller.session {
        None if own => return Err(ApiError::new(Code::SessionEnded, "")),
        Some(session) if !session.proven && !own => {
            return Err(ApiError::new(Code::SecondFactorMissing, ""));
        }
        _ => {}
    }
    if !caller.has_any(roles) {
        return Err(ApiError::new(Code::Forbidden, ""));
    }
    http.extensions_mut().insert(caller);
    Ok(())
}

/// Somebody on this very machine, not by way of a proxy.
fn is_local(http: &HttpRequest) -> bool {
    const PROXIED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
    http.peer_addr().is_some_and(|peer| peer.ip().is_loopback())
        && !PROXIED
            .iter()
            .any(|name| http.headers().contains_key(*name))
}

type Ready<T> = Pin<Box<dyn Future<Output = Result<T, ApiError>>>>;

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Self>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = req.extensions().get::<Self>().cloned();
        Box::pin(async move {
            caller.ok_or_else(|| ApiError::internal("a route without a policy asks who calls"))
        })
    }
}

/// A person in the one mission that their token opens.
#[derive(Clone, Debug)]
pub(super) struct Person {
    /// The account.
    pub(super) user: UserId,
    /// The mission. Never taken from the request.
    pub(super) mission: MissionRef,
    /// Their roles in it.
    pub(super) roles: Vec<Role>,
}

impl Person {
    /// Whether a role is held.
    pub(super) fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

impl FromRequest for Person {
    type Error = ApiError;
    type Future = Ready<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::from_request(req, payload);
        Box::pin(async move {
            let caller = caller.await?;
            match (caller.subject, caller.scope) {
                (Subject::User(user), Some(mission)) => Ok(Self {
                    user,
                    mission,
                    roles: caller.roles,
                }),
                _ => Err(ApiError::new(Code::Forbidden, "")),
            }
        })
    }
}

/// Somebody at the console: a session, whatever it opens.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    /// The session.
    pub(super) session: SessionRow,
}

impl FromRequest for Desk {
    type Error = ApiError;
    type Future = Ready<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::from_request(req, payload);
        Box::pin(async move {
            let session = caller.await?.session;
            session
                .map(|session| Self { session })
                .ok_or_else(|| ApiError::new(Code::SessionEnded, ""))
        })
    }
}
