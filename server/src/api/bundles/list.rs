//! `GET /v1/bundles`: those that wait for their key, for operators.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::{codes::Code, ids::FileHash};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{error::ApiError, query, work},
    app::App,
    clock::Micros,
    store::bundles,
};

pub(in crate::api) const ERRORS: &[Code] = &[Code::MalformedQuery];

/// A bundle that waits. Whose it is cannot be told without its key.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct WaitingBundle {
    /// SHA-256 of the whole file, base64url.
    bundle: String,
    /// Its bytes.
    size: i64,
    /// When the last of it came.
    received_at: String,
}

/// Bundles that wait.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct BundleList {
    /// Oldest first.
    bundles: Vec<WaitingBundle>,
}

/// List the bundles that wait for their mission's key.
///
/// Who holds it imports them on the server: `scrutineer bundles import`.
#[utoipa::path(get, path = "/v1/bundles", tag = "operation",
    responses((status = 200, description = "Those that wait", body = BundleList)))]
pub(in crate::api) async fn list_bundles(
    app: web::Data<App>,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    query::all(&req, |_, _| Ok(false))?;
    let rows = work::read(&app, |_, conn| bundles::waiting(conn)).await?;
    let waiting = rows.into_iter().filter_map(|row| {
        Some(WaitingBundle {
            bundle: FileHash(row.sha256.try_into().ok()?).to_string(),
            size: row.size,
            received_at: Micros(row.received_at).rfc3339(),
        })
    });
    Ok(HttpResponse::Ok().json(BundleList {
        bundles: waiting.collect(),
    }))
}
