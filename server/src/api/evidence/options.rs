//! `OPTIONS /v1/evidence/{sha256}`: what of tus is spoken here.

use actix_web::{
    HttpResponse,
    http::header::{self, HeaderValue},
};
use protocol::{codes::Code, evidence as tus, limits};

use super::{TUS_MAX_SIZE, TUS_RESUMABLE, TUS_VERSION};

pub(in crate::api) const ERRORS: &[Code] = &[];

/// Ask which versions and extensions of tus are spoken: 1.0.0, and none.
#[utoipa::path(options, path = "/v1/evidence/{sha256}", tag = "evidence",
    params(("sha256" = String, Path, description = "Any file")),
    responses((status = 204, description = "`Tus-Version` and `Tus-Max-Size`")))]
pub(in crate::api) async fn describe_uploads() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((TUS_RESUMABLE, HeaderValue::from_static(tus::TUS_VERSION)))
        .insert_header((TUS_VERSION, HeaderValue::from_static(tus::TUS_VERSION)))
        .insert_header((TUS_MAX_SIZE, HeaderValue::from(limits::EVIDENCE_BYTES)))
        .insert_header((header::ALLOW, "OPTIONS, HEAD, PATCH, GET"))
        .finish()
}
