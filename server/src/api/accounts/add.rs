//! `POST /v1/accounts`: somebody new in the mission.

use actix_web::{HttpResponse, web};
use protocol::codes::Code;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{NewPassword, fresh};
use crate::{
    api::{body::Body, error::ApiError, guard::Person, work},
    app::App,
    auth::Role,
    domain::staff::{self, Desk},
};

pub(in crate::api) const ERRORS: &[Code] = &[
    Code::MalformedJson,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidValue,
    Code::AlreadyExists,
];

/// Who, and as what.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct AccountRequest {
    /// The e-mail address.
    email: String,
    /// At least one of `coordinator`, `lead`, `analyst`, `auditor`.
    roles: Vec<Role>,
}

/// Add an account to the mission.
///
/// A new account gets a password that is shown this once. One that has roles elsewhere on
/// the server keeps its own.
#[utoipa::path(post, path = "/v1/accounts", tag = "accounts", request_body = AccountRequest,
    responses((status = 201, description = "Added", body = NewPassword)))]
pub(in crate::api) async fn add_account(
    app: web::Data<App>,
    person: Person,
    body: Body<AccountRequest>,
) -> Result<HttpResponse, ApiError> {
    let fresh = fresh(&app).await?;
    let answer = work::write(&app, move |app, conn| {
        let desk = Desk {
            host: &app.host,
            mission: person.mission,
            lead: person.user,
        };
        let (member, is_new) = staff::add(conn, desk, &body.0.email, &body.0.roles, &fresh)?;
        Ok(NewPassword {
            password: is_new.then(|| fresh.secret.to_string()),
            account: member.into(),
        })
    })
    .await?;
    Ok(HttpResponse::Created().json(answer))
}
