//! `GET /v1/colleagues`: who works in the mission.

use actix_web::{HttpResponse, web};
use protocol::codes::Code;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    api::{error::ApiError, guard::Person, work},
    app::App,
    auth::Role,
    domain::accounts,
};

pub(in crate::api) const ERRORS: &[Code] = &[];

/// Somebody who works in the mission.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Colleague {
    /// The account's id, as it stands in decisions.
    id: Uuid,
    /// Its address.
    email: String,
    /// Roles in this mission.
    roles: Vec<Role>,
    /// Whether the account may sign in.
    enabled: bool,
}

/// Who works in the mission.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Colleagues {
    colleagues: Vec<Colleague>,
}

/// List colleagues.
#[utoipa::path(get, path = "/v1/colleagues", tag = "reports",
    responses((status = 200, description = "All of them", body = Colleagues)))]
pub(in crate::api) async fn list_colleagues(
    app: web::Data<App>,
    person: Person,
) -> Result<HttpResponse, ApiError> {
    let mission = person.mission.id;
    let accounts = work::read(&app, move |_, conn| accounts::list(conn)).await?;
    let colleagues = accounts
        .into_iter()
        .map(|account| Colleague {
            id: account.id.0,
            email: account.email,
            roles: account
                .grants
                .iter()
                .filter(|grant| grant.mission == Some(mission))
                .map(|grant| grant.role)
                .collect(),
            enabled: account.enabled,
        })
        .filter(|colleague| !colleague.roles.is_empty())
        .collect();
    Ok(HttpResponse::Ok().json(Colleagues { colleagues }))
}
