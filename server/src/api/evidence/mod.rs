//! Files of evidence: the core protocol of tus 1.0.0, without a step that creates
//! an upload, and reading.

pub(super) mod get;
pub(super) mod head;
pub(super) mod options;
pub(super) mod patch;

use actix_web::{
    HttpRequest,
    http::header::{HeaderName, HeaderValue},
};
use protocol::{codes::Code, evidence as tus, ids::FileHash};

use super::error::ApiError;
use crate::{
    auth::{Caller, Subject},
    domain::{
        acts::MissionRef,
        evidence::{Progress, Reader, Sent},
    },
};

const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
const TUS_MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
pub(super) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(super) const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const DURABLE: HeaderName = HeaderName::from_static(tus::DURABLE);

/// The file that the path names.
fn file(req: &HttpRequest) -> Result<FileHash, ApiError> {
    req.match_info()
        .query("sha256")
        .parse()
        .map_err(|_| ApiError::new(Code::EvidenceUnknown, ""))
}

/// The mission that the token opens, and what of it the caller may know.
fn reader(caller: &Caller) -> Result<(MissionRef, Reader), ApiError> {
    let mission = caller
        .scope
        .ok_or_else(|| ApiError::new(Code::Forbidden, ""))?;
    Ok(match caller.subject {
        Subject::Device { accreditation, .. } => (mission, Reader::Observer(accreditation.0)),
        Subject::User(_) => (mission, Reader::Staff),
    })
}

/// The upload of the device that asks; `None` for a person.
fn sent(caller: &Caller, file: FileHash) -> Result<Option<Sent>, ApiError> {
    let (mission, _) = reader(caller)?;
    Ok(match caller.subject {
        Subject::Device {
            device,
            accreditation,
        } => Some(Sent {
            mission,
            device: device.0,
            accreditation: accreditation.0,
            file,
        }),
        Subject::User(_) => None,
    })
}

/// An error as tus has it: every answer names the version, and one about offsets
/// says where the upload goes on.
fn tus_error(error: impl Into<ApiError>) -> ApiError {
    let error: ApiError = error.into();
    let offset = error.member("offset").and_then(serde_json::Value::as_u64);
    let error = error.header(TUS_RESUMABLE, HeaderValue::from_static(tus::TUS_VERSION));
    match offset {
        Some(offset) => error.header(UPLOAD_OFFSET, HeaderValue::from(offset)),
        None => error,
    }
}

/// Headers of an answer about an upload.
fn headers(progress: &Progress) -> [(HeaderName, HeaderValue); 3] {
    let durable = if progress.durable { "true" } else { "false" };
    [
        (TUS_RESUMABLE, HeaderValue::from_static(tus::TUS_VERSION)),
        (UPLOAD_OFFSET, HeaderValue::from(progress.offset)),
        (DURABLE, HeaderValue::from_static(durable)),
    ]
}
