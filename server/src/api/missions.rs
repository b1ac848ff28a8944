//! `GET /v1/missions`: what runs on this server, for its operators.

use actix_web::{HttpRequest, HttpResponse, web};
use protocol::{codes::Code, ids::MissionId};
use serde::Serialize;
use utoipa::ToSchema;

use super::{error::ApiError, query, work};
use crate::{app::App, store::missions};

pub(super) const ERRORS: &[Code] = &[Code::MalformedQuery];

/// A mission, as its server's operator sees it.
#[derive(Serialize, ToSchema)]
pub(super) struct MissionSummary {
    /// Its id.
    id: MissionId,
    /// Its name.
    name: String,
    /// The election.
    election: String,
    /// IANA time zone.
    timezone: String,
    /// When it was made.
    created_at: String,
}

/// All missions.
#[derive(Serialize, ToSchema)]
pub(super) struct MissionList {
    /// Oldest first.
    missions: Vec<MissionSummary>,
}

/// List the missions on this server. Operators see no reports.
#[utoipa::path(get, path = "/v1/missions", tag = "operation",
    responses((status = 200, description = "The missions", body = MissionList)))]
pub(super) async fn list_missions(
    app: web::Data<App>,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    query::all(&req, |_, _| Ok(false))?;
    let missions = work::read(&app, |_, conn| missions::list(conn)).await?;
    let missions = missions.into_iter().map(|mission| MissionSummary {
        id: mission.reference.id,
        name: mission.name,
        election: mission.election,
        timezone: mission.timezone,
        created_at: mission.created_at.rfc3339(),
    });
    Ok(HttpResponse::Ok().json(MissionList {
        missions: missions.collect(),
    }))
}
