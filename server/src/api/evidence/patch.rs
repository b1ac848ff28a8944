//! `PATCH /v1/evidence/{sha256}`: bytes of a file.
//!
//! The body is handed on as it comes, and stored piece by piece by a task of its
//! own: a connection that dies costs nothing that has come.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderName},
    web,
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use protocol::{codes::Code, evidence as tus};
use tokio::sync::mpsc;

use super::{TUS_RESUMABLE, TUS_VERSION, UPLOAD_OFFSET, file, headers, sent, tus_error};
use crate::{
    api::error::ApiError, app::App, auth::Caller, domain::evidence::Progress, error::Error,
};

pub(in crate::api) const ERRORS: &[Code] = &[
    Code::EvidenceUnknown,
    Code::EvidenceWaits,
    Code::OffsetMismatch,
    Code::FileMismatch,
    Code::TusVersion,
    Code::UnsupportedMediaType,
    Code::InvalidValue,
    Code::BodyTooLarge,
    Code::EvidenceUnavailable,
];

/// Chunks of the body that wait to be stored, so that the connection is read on while
/// a piece is synced. When it breaks off, what was not read from
/// actix's own buffer (up to 128 KiB) is lost, and the phone sends it again.
pub(in crate::api) const WAITING: usize = 4;
/// How long a connection may bring nothing: then it is taken for dead, and what
/// came is stored.
const SILENCE: Duration = Duration::from_secs(60);

/// Send bytes of a file, from `Upload-Offset` on.
///
/// What comes is stored, also when the connection breaks off: ask with `HEAD`
/// where to go on. With the last byte the whole is verified before the answer; if
/// its SHA-256 is another, all of it is discarded (460). A new request for the
/// same upload ends the old one.
#[utoipa::path(patch, path = "/v1/evidence/{sha256}", tag = "evidence",
    params(("sha256" = String, Path, description = "SHA-256 of the file, base64url"),
           ("Tus-Resumable" = String, Header, description = "`1.0.0`"),
           ("Upload-Offset" = u64, Header, description = "Where these bytes begin")),
    request_body(content = Vec<u8>, content_type = "application/offset+octet-stream"),
    responses((status = 204, description = "`Upload-Offset` says how many bytes are stored")))]
pub(in crate::api) async fn send_evidence(
    app: web::Data<App>,
    caller: Caller,
    req: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let progress = receive(&app, &caller, &req, body)
        .await
        .map_err(tus_error)?;
    let mut response = HttpResponse::NoContent();
    for header in headers(&progress) {
        response.insert_header(header);
    }
    Ok(response.finish())
}

async fn receive(
    app: &App,
    caller: &Caller,
    req: &HttpRequest,
    body: web::Payload,
) -> Result<Progress, ApiError> {
    let offset = check(req)?;
    let file = file(req)?;
    let sent = sent(caller, file)?.ok_or_else(|| ApiError::new(Code::Forbidden, ""))?;
    let announced = number(req, &header::CONTENT_LENGTH);
    let (hand_on, chunks) = mpsc::channel(WAITING);
    let storing = app
        .evidence
        .receive(sent, offset, announced, chunks)
        .await?;
    self::hand_on(body, hand_on).await;
    let stored = storing
        .await
        .map_err(|_| Error::Internal("an upload's task panicked or was cancelled".into()))?;
    Ok(stored?)
}

/// Hands a body on as it comes, as far as it comes.
pub(in crate::api) async fn hand_on(mut body: web::Payload, to: mpsc::Sender<Bytes>) {
    while let Ok(Some(Ok(chunk))) = tokio::time::timeout(SILENCE, body.next()).await {
        // Nobody takes it any more: the task says why.
        if to.send(chunk).await.is_err() {
            break;
        }
    }
}

/// The headers that tus asks for. Answers the offset.
fn check(req: &HttpRequest) -> Result<u64, ApiError> {
    let version = req.headers().get(TUS_RESUMABLE);
    if version.is_none_or(|version| version != tus::TUS_VERSION) {
        let spoken = header::HeaderValue::from_static(tus::TUS_VERSION);
        return Err(
            ApiError::new(Code::TusVersion, "send `Tus-Resumable: 1.0.0`")
                .header(TUS_VERSION, spoken),
        );
    }
    let media_type = req.headers().get(header::CONTENT_TYPE);
    if media_type.is_none_or(|media_type| media_type != tus::MEDIA_TYPE)
        || req.headers().contains_key(header::CONTENT_ENCODING)
    {
        return Err(ApiError::new(
            Code::UnsupportedMediaType,
            format!("send `Content-Type: {}`, not compressed", tus::MEDIA_TYPE),
        ));
    }
    number(req, &UPLOAD_OFFSET).ok_or_else(|| {
        ApiError::new(
            Code::InvalidValue,
            "`Upload-Offset` is a number of bytes, once",
        )
    })
}

/// A header that holds digits and nothing else, once.
pub(in crate::api) fn number(req: &HttpRequest, name: &HeaderName) -> Option<u64> {
    let mut values = req.headers().get_all(name);
    let text = values.next()?.to_str().ok()?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && values.next().is_none())
        .then(|| text.parse().ok())
        .flatten()
}
