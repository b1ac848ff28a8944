//! `HEAD /v1/evidence/{sha256}`: how far a file has come.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
    web,
};
use protocol::codes::Code;

use super::{UPLOAD_LENGTH, file, headers, reader, sent, tus_error};
use crate::{
    api::{error::ApiError, work},
    app::App,
    auth::Caller,
    domain::{
        acts::MissionRef,
        evidence::{self, Progress, Reader},
    },
};

pub(in crate::api) const ERRORS: &[Code] = &[
    Code::EvidenceUnknown,
    Code::EvidenceWaits,
    Code::EvidenceUnavailable,
];

/// Ask how many bytes of a file are stored.
///
/// For a device: of its own upload, and a request that is still at it is ended.
/// For others: of the device that sent most. Once `Upload-Offset` is
/// `Upload-Length`, the file is complete and verified. `Evidence-Durable` says
/// whether a device may let go of its own copy.
#[utoipa::path(head, path = "/v1/evidence/{sha256}", tag = "evidence",
    params(("sha256" = String, Path, description = "SHA-256 of the file, base64url")),
    responses((status = 200, description = "`Upload-Offset`, `Upload-Length`, `Evidence-Durable`")))]
pub(in crate::api) async fn probe_evidence(
    app: web::Data<App>,
    caller: Caller,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let progress = progress(&app, &caller, &req).await.map_err(tus_error)?;
    let mut response = HttpResponse::Ok();
    for header in headers(&progress) {
        response.insert_header(header);
    }
    Ok(response
        .insert_header((UPLOAD_LENGTH, HeaderValue::from(progress.size)))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish())
}

async fn progress(app: &App, caller: &Caller, req: &HttpRequest) -> Result<Progress, ApiError> {
    let file = file(req)?;
    if let Some(sent) = sent(caller, file)? {
        return Ok(app.evidence.progress(sent).await?);
    }
    let (mission, reader): (MissionRef, Reader) = reader(caller)?;
    let found = work::read(app, move |_, conn| {
        evidence::find(conn, mission, reader, &file)
    })
    .await?;
    let offset = match &found.complete {
        Some(_) => found.size,
        None => {
            let arrived = app.evidence.objects().arrived(mission.id.0, &file);
            // All of it, but not verified yet, is not complete.
            arrived.await?.min(found.size.saturating_sub(1))
        }
    };
    Ok(Progress {
        offset,
        size: found.size,
        complete: found.complete.is_some(),
        durable: found
            .complete
            .is_some_and(|complete| complete.durable_at.is_some()),
    })
}
