//! `POST /v1/exchange`: entries up, outcomes and news down.
//!
//! The entries' own signatures let them in; a token only opens the way down,
//! and one that cannot be used is named in the answer instead of costing the
//! entries their delivery.

use std::{cell::RefCell, io::Read as _};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE},
    web,
};
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt as _;
use protocol::{
    codes::Code,
    entry::Seen,
    exchange::{Lane, Request, Response},
    limits,
    problem::Problem,
    reference::Holding,
};
use tokio::sync::OwnedSemaphorePermit;

use super::{Api, error::ApiError};
use crate::{
    app::App,
    auth::{self, Caller, Subject},
    domain::{
        acts::MissionRef,
        admission::Later,
        epoch,
        ingest::{self, Committed},
    },
    error::{Error, Result},
};

/// Exchanges entries and news with a phone.
#[utoipa::path(
    post,
    path = "/v1/exchange",
    tag = "phones",
    request_body = Request,
    responses(
        (status = 200, description = "What became of each entry", body = Response),
        (status = 400, description = "`malformed_json`, `unsupported_protocol`", body = Problem),
        (status = 413, description = "`body_too_large`, `too_many_entries`", body = Problem),
        (status = 415, description = "`unsupported_media_type`", body = Problem),
        (status = 503, description = "`overloaded`, `database_unavailable`", body = Problem),
    ),
    security((), ("bearer" = [])),
)]
pub(crate) async fn exchange(
    app: web::Data<App>,
    api: web::Data<Api>,
    request: HttpRequest,
    payload: web::Payload,
) -> std::result::Result<HttpResponse, ApiError> {
    let gzip = check_form(&request)?;
    let body = read_bounded(payload).await?;
    let turn = app
        .verifying
        .clone()
        .acquire_owned()
        .await
        .map_err(|_| Error::refused(Code::Overloaded, "the server is stopping"))?;
    let shared = app.clone();
    let ready = web::block(move || {
        let request = parse(&body, gzip)?;
        ingest::check_form(&request)?;
        let (keys, store) = (&shared.keys, &shared.store);
        if let Some(receipt) = &request.receipt {
            epoch::hear(store, &shared.host, &keys.receipt_public, receipt)?;
        }
        let returned = ingest::check_returned(&keys.receipt_public, store, &request.returned)?;
        if returned.iter().any(ingest::Returned::is_enrolment) {
            return Ok(Ready::Enrol(Box::new(request), returned, turn));
        }
        verify(&shared, request, returned)
    })
    .await
    .map_err(|_| Error::Internal("verifying was cancelled".into()))??;
    let (prepared, wish) = match ready {
        Ready::Commit(prepared, wish) => (*prepared, wish),
        Ready::Enrol(request, returned, turn) => {
            enrol_again(&app, &returned).await?;
            let shared = app.clone();
            let ready = web::block(move || {
                let _turn = turn;
                verify(&shared, *request, returned)
            })
            .await
            .map_err(|_| Error::Internal("verifying was cancelled".into()))??;
            let Ready::Commit(prepared, wish) = ready else {
                return Err(Error::Internal("an exchange was not verified".into()).into());
            };
            (*prepared, wish)
        }
    };
    let (mission, batch, order, known) = prepared.into_parts();
    let senders = batch.senders();
    let committed: Option<Committed> = match mission {
        Some(mission) if !batch.entries.is_empty() => Some(commit(&app, mission, batch).await?),
        _ => None,
    };
    let now = app.host.now();
    for device in senders {
        mission.inspect(|mission| app.heard.note(mission.no, device, now));
    }
    let mut answered = ingest::answer(order, mission, committed, known, now)?;
    if let Some(header) = request.headers().get(AUTHORIZATION) {
        let bearer = header
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix("Bearer "))
            .map(str::to_owned);
        answered = add_news(&app, bearer, wish, answered).await?;
    }
    let mut response = answered.seal(&app.keys.receipt)?;
    if api.admission().is_pressed() {
        let Later(seconds) = api.admission().later(Lane::News, app.host.now());
        response.directives.retry_after = Some(seconds);
    }
    Ok(HttpResponse::Ok().json(response))
}

/// How far a request is.
enum Ready {
    /// Enrolments that it hands back come first.
    Enrol(Box<Request>, Vec<ingest::Returned>, OwnedSemaphorePermit),
    /// Verified; and what the phone wants to read.
    Commit(Box<ingest::Prepared>, Wish),
}

/// What a request says for those who may read.
struct Wish {
    cursor: Option<String>,
    seen: Option<Seen>,
    reference: Vec<Holding>,
}

fn verify(app: &App, request: Request, returned: Vec<ingest::Returned>) -> Result<Ready> {
    let now = app.host.now();
    let prepared = ingest::prepare(&app.device_keys, &app.store, &request, returned, now)?;
    let wish = Wish {
        cursor: request.cursor,
        seen: request.seen,
        reference: request.reference,
    };
    Ok(Ready::Commit(Box::new(prepared), wish))
}

/// Puts enrolments that were handed back into the ledger, so that the entries
/// beside them find their key.
async fn enrol_again(app: &web::Data<App>, returned: &[ingest::Returned]) -> Result<()> {
    for one in returned.iter().filter(|one| one.is_enrolment()) {
        if let ingest::Returned::Own(mission, entry) = one {
            let batch = ingest::Batch {
                entries: vec![(**entry).clone()],
                contacts: Vec::new(),
                former: Vec::new(),
            };
            commit(app, *mission, batch).await?;
        }
    }
    Ok(())
}

async fn commit(
    app: &web::Data<App>,
    mission: MissionRef,
    batch: ingest::Batch,
) -> Result<Committed> {
    app.batcher
        .submit(mission, batch)?
        .await
        .map_err(|_| Error::Internal("the committing thread is gone".into()))?
}

/// Adds what waits for the caller, or says why the token does not open it.
async fn add_news(
    app: &web::Data<App>,
    bearer: Option<String>,
    wish: Wish,
    mut answered: ingest::Answered,
) -> Result<ingest::Answered> {
    let Some(bearer) = bearer else {
        answered.response.token = Some(Code::TokenInvalid);
        return Ok(answered);
    };
    let app = app.clone();
    web::block(move || {
        app.store.read(|conn| {
            match auth::authenticate(conn, &app.keys, app.host.now(), &bearer) {
                Ok(Caller {
                    subject:
                        Subject::Device {
                            device,
                            accreditation,
                        },
                    scope: Some(scope),
                    ..
                }) => {
                    app.heard.note(scope.no, device.0, app.host.now());
                    let response = &mut answered.response;
                    if let Some(seen) = &wish.seen {
                        response.receipt_wanted |=
                            !epoch::confirms(conn, scope, response.epoch, seen)?;
                    }
                    response.reference = app.reference.offers(conn, scope, &wish.reference)?;
                    let cursor = wish.cursor.as_deref();
                    ingest::add_news(conn, scope, accreditation.0, cursor, &mut answered)?;
                }
                Ok(_) => answered.response.token = Some(Code::Forbidden),
                Err(error @ Error::Refused { .. }) => answered.response.token = Some(error.code()),
                Err(error) => return Err(error),
            }
            Ok(answered)
        })
    })
    .await
    .map_err(|_| Error::Internal("reading was cancelled".into()))?
}

/// Whether the body is gzip; an error for anything but plain or gzip JSON.
fn check_form(request: &HttpRequest) -> Result<bool> {
    let header = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .trim()
    };
    let media = header(CONTENT_TYPE)
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if !media.eq_ignore_ascii_case(protocol::exchange::MEDIA_TYPE) {
        return Err(Error::refused(
            Code::UnsupportedMediaType,
            "send application/json",
        ));
    }
    match header(CONTENT_ENCODING).to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(false),
        "gzip" => Ok(true),
        other => Err(Error::refused(
            Code::UnsupportedMediaType,
            format!("content encoding `{other}`; send gzip or none"),
        )),
    }
}

/// Reads the body as it came, no more than the limit.
async fn read_bounded(mut payload: web::Payload) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| {
            Error::refused(Code::MalformedJson, format!("the body broke off: {error}"))
        })?;
        if body.len() + chunk.len() > limits::EXCHANGE_BYTES {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Unpacks to no more than the limit, whatever the packed bytes promise.
fn parse(body: &[u8], gzip: bool) -> Result<Request> {
    let malformed =
        |error: &dyn std::fmt::Display| Error::refused(Code::MalformedJson, error.to_string());
    if !gzip {
        return serde_json::from_slice(body).map_err(|error| malformed(&error));
    }
    let bound = u64::try_from(limits::EXCHANGE_BYTES).unwrap_or(u64::MAX);
    UNPACKED.with_borrow_mut(|unpacked| {
        unpacked.clear();
        MultiGzDecoder::new(body)
            .take(bound + 1)
            .read_to_end(unpacked)
            .map_err(|error| malformed(&error))?;
        if unpacked.len() > limits::EXCHANGE_BYTES {
            return Err(too_large());
        }
        serde_json::from_slice(unpacked).map_err(|error| malformed(&error))
    })
}

thread_local! {
    /// Kept from one request to the next, at most [`limits::EXCHANGE_BYTES`] and a
    /// byte: an unpacked body is too large to ask the allocator for each time.
    static UNPACKED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn too_large() -> Error {
    Error::refused(
        Code::BodyTooLarge,
        format!("at most {} bytes, unpacked", limits::EXCHANGE_BYTES),
    )
}
