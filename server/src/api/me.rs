//! `GET /v1/me`: whom the token speaks for.

use actix_web::{HttpResponse, web};
use protocol::{codes::Code, enrolment::Mission};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{error::ApiError, work};
use crate::{
    app::App,
    auth::{Caller, Role, Subject},
    store::{missions, users},
};

pub(super) const ERRORS: &[Code] = &[];

/// Whether a person or a phone.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum SubjectKind {
    /// A person with an account.
    User,
    /// An enrolled phone.
    Device,
}

/// Whom the token speaks for.
#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    /// A person or a phone.
    kind: SubjectKind,
    /// Account or device.
    id: Uuid,
    /// A person's own address.
    email: Option<String>,
    /// What it allows.
    roles: Vec<Role>,
    /// The mission that it opens; `null` for operators.
    mission: Option<Mission>,
}

/// Who am I?
#[utoipa::path(get, path = "/v1/me", tag = "sign-in", responses((status = 200, description = "You", body = Me)))]
pub(super) async fn me(app: web::Data<App>, caller: Caller) -> Result<HttpResponse, ApiError> {
    let (kind, id) = match caller.subject {
        Subject::User(user) => (SubjectKind::User, user.0),
        Subject::Device { device, .. } => (SubjectKind::Device, device.0),
    };
    let (subject, scope) = (caller.subject, caller.scope);
    let (email, mission) = work::read(&app, move |_, conn| {
        let email = match subject {
            Subject::User(user) => users::by_id(conn, user)?.map(|row| row.email),
            Subject::Device { .. } => None,
        };
        let mission = scope
            .map(|scope| missions::find(conn, scope.id))
            .transpose()?
            .flatten();
        Ok((email, mission))
    })
    .await?;
    let mission = mission.map(|mission| Mission {
        id: mission.reference.id,
        name: mission.name,
        election: mission.election,
        timezone: mission.timezone,
    });
    Ok(HttpResponse::Ok().json(Me {
        kind,
        id,
        email,
        roles: caller.roles,
        mission,
    }))
}
