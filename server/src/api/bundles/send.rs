//! `PATCH /v1/bundles/{sha256}`: bytes of a bundle, as those of evidence are sent.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use protocol::{
    bundle::{Request, State},
    codes::Code,
    evidence as tus,
};
use tokio::sync::mpsc;

use super::limit;
use crate::{
    api::{
        Api,
        error::ApiError,
        evidence::{UPLOAD_LENGTH, UPLOAD_OFFSET, patch},
    },
    app::App,
    error::Error,
};

pub(in crate::api) const ERRORS: &[Code] = &[
    Code::BundleUnknown,
    Code::OffsetMismatch,
    Code::FileMismatch,
    Code::UnsupportedMediaType,
    Code::InvalidValue,
    Code::BodyTooLarge,
    Code::TooManyAttempts,
    Code::BundlesFull,
    Code::EvidenceUnavailable,
];

/// Send bytes of a bundle, from `Upload-Offset` on.
///
/// What comes is stored, also when the connection breaks off: ask with `POST
/// /v1/bundles` where to go on. With the last byte the whole is verified; if its
/// SHA-256 is another, all of it is discarded (460). Then it is imported, if the
/// mission's key is on the server, and otherwise kept for whoever holds it.
#[utoipa::path(patch, path = "/v1/bundles/{sha256}", tag = "phones",
    params(("sha256" = String, Path, description = "SHA-256 of the bundle, base64url"),
           ("Upload-Offset" = u64, Header, description = "Where these bytes begin"),
           ("Upload-Length" = u64, Header, description = "Bytes of the whole bundle")),
    request_body(content = Vec<u8>, content_type = "application/offset+octet-stream"),
    responses((status = 200, description = "Where it stands", body = State)))]
pub(in crate::api) async fn send_bundle(
    app: web::Data<App>,
    api: web::Data<Api>,
    req: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    limit(&api, &req)?;
    let bundle = req.match_info().query("sha256").parse();
    let bundle = bundle.map_err(|_| ApiError::new(Code::BundleUnknown, ""))?;
    let media_type = req.headers().get(header::CONTENT_TYPE);
    if media_type.is_none_or(|media_type| media_type != tus::MEDIA_TYPE)
        || req.headers().contains_key(header::CONTENT_ENCODING)
    {
        let why = format!("send `Content-Type: {}`, not compressed", tus::MEDIA_TYPE);
        return Err(ApiError::new(Code::UnsupportedMediaType, why));
    }
    let number = |name| {
        patch::number(&req, &name).ok_or_else(|| {
            let why = "`Upload-Offset` and `Upload-Length` are numbers of bytes, once each";
            ApiError::new(Code::InvalidValue, why)
        })
    };
    let (offset, size) = (number(UPLOAD_OFFSET)?, number(UPLOAD_LENGTH)?);
    let announced = patch::number(&req, &header::CONTENT_LENGTH);
    let (hand_on, chunks) = mpsc::channel(patch::WAITING);
    let storing = app
        .bundles
        .receive(Request { bundle, size }, offset, announced, chunks)
        .await?;
    patch::hand_on(body, hand_on).await;
    let stored = storing
        .await
        .map_err(|_| Error::Internal("a bundle's task panicked or was cancelled".into()))?;
    let state: State = stored?;
    Ok(HttpResponse::Ok().json(state))
}
