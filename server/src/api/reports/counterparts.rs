//! `GET /v1/reports/{id}/counterparts`: which others may tell the same.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::codes::Code;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{error::ApiError, guard::Person, query, work},
    app::App,
    domain::likeness::{self, Counterpart},
};

pub(in crate::api) const ERRORS: &[Code] = &[Code::NotFound];

/// Reports that may tell the same.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Counterparts {
    /// The likest first, at most eight.
    counterparts: Vec<Counterpart>,
}

/// Which reports may tell the same as this one.
///
/// For a report by telephone: the observer's others of three days before and after, or
/// those of a citizen's station (without one, of the category) of a day. For any other:
/// such reports by telephone. What was merged or erased is left out.
#[utoipa::path(get, path = "/v1/reports/{id}/counterparts", tag = "reports",
    params(("id" = String, Path, description = "The report's id")),
    responses((status = 200, description = "The likest first", body = Counterparts)))]
pub(in crate::api) async fn list_counterparts(
    app: web::Data<App>,
    person: Person,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let id = query::id(&req, "id")?;
    let found = work::read(&app, move |_, conn| {
        likeness::counterparts(conn, person.mission, id)
    })
    .await?;
    let counterparts = found.ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok().json(Counterparts { counterparts }))
}
