//! `GET /v1/map`: what lies under the map.

use actix_web::{HttpResponse, web};
use protocol::codes::Code;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{error::ApiError, guard::Person},
    app::App,
};

pub(in crate::api) const ERRORS: &[Code] = &[];

/// The map's ground.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Ground {
    /// Address of raster tiles with `{z}`, `{x}` and `{y}`, if whoever runs the server has
    /// set one: `map_tiles`. Without, the console draws land and borders of its own.
    tiles: Option<String>,
    /// Whom they are to be credited to: `map_attribution`.
    attribution: Option<String>,
}

/// Read what lies under the map.
#[utoipa::path(get, path = "/v1/map", tag = "room",
    responses((status = 200, description = "The ground", body = Ground)))]
pub(in crate::api) async fn show_map(
    app: web::Data<App>,
    _person: Person,
) -> Result<HttpResponse, ApiError> {
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Ok(HttpResponse::Ok().json(Ground {
        tiles: given(&app.config.map_tiles),
        attribution: given(&app.config.map_attribution),
    }))
}
