//! `POST /v1/bundles`: where a bundle stands, and where it goes on.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::{
    bundle::{Request, State},
    codes::Code,
};

use super::limit;
use crate::{
    api::{Api, body::Body, error::ApiError},
    app::App,
};

pub(in crate::api) const ERRORS: &[Code] = &[
    Code::MalformedJson,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidValue,
    Code::TooManyAttempts,
    Code::FileMismatch,
    Code::BundlesFull,
    Code::EvidenceUnavailable,
];

/// Ask where a bundle stands.
///
/// To be asked before the first byte is sent, whenever a connection broke off, and
/// afterwards. A request that is still sending it is ended.
#[utoipa::path(post, path = "/v1/bundles", tag = "phones", request_body = Request,
    responses((status = 200, description = "Where it stands", body = State)))]
pub(in crate::api) async fn ask_bundle(
    app: web::Data<App>,
    api: web::Data<Api>,
    req: HttpRequest,
    body: Body<Request>,
) -> Result<HttpResponse, ApiError> {
    limit(&api, &req)?;
    let state: State = app.bundles.ask(body.0).await?;
    Ok(HttpResponse::Ok().json(state))
}
