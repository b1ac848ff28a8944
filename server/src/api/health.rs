//! `GET /healthz` and `GET /readyz`: for supervisors and load balancers.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use protocol::codes::Code;
use serde_json::json;

use super::error::ApiError;
use crate::app::App;

pub(super) const HEALTH_ERRORS: &[Code] = &[];
pub(super) const READY_ERRORS: &[Code] = &[Code::DatabaseUnavailable];

/// How long a connection to the database may be waited for.
const WAIT: Duration = Duration::from_secs(1);

/// The process is up.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200, description = "Up")))]
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "up"}))
}

/// The server can answer: the database is reached and a connection is free.
#[utoipa::path(get, path = "/readyz", tag = "operation", responses((status = 200, description = "Ready")))]
pub(super) async fn readyz(app: web::Data<App>) -> Result<HttpResponse, ApiError> {
    let store = app.store.clone();
    // An error of any kind means the same to a load balancer.
    web::block(move || store.check(WAIT))
        .await?
        .map_err(|error| {
            tracing::warn!(%error, "not ready");
            ApiError::new(Code::DatabaseUnavailable, "")
        })?;
    Ok(HttpResponse::Ok().json(json!({"status": "ready"})))
}
