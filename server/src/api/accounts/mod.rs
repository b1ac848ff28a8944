//! The mission's accounts, as its leads manage them.

pub(super) mod add;
pub(super) mod list;
pub(super) mod password;
pub(super) mod roles;
pub(super) mod second_factor;
pub(super) mod standing;

use actix_web::{HttpRequest, web};
use protocol::{codes::Code, ids::UserId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{error::ApiError, guard::Person, query, work};
use crate::{
    app::App,
    auth::Role,
    domain::staff::{self, Desk, Fresh, Member},
    error::Result,
    store::Conn,
};

/// What every change of an account may refuse.
pub(super) const CHANGE_ERRORS: &[Code] = &[
    Code::MalformedJson,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidValue,
    Code::TooLong,
    Code::ReasonNeeded,
    Code::NotFound,
    Code::AlreadyDone,
    Code::OwnAccount,
    Code::AccountElsewhere,
];

/// An account with a role in the mission.
#[derive(Serialize, ToSchema)]
pub(super) struct Account {
    /// Its id, as it stands in decisions.
    id: Uuid,
    /// Its address.
    email: String,
    /// Its roles in this mission.
    roles: Vec<Role>,
    /// Whether it may sign in.
    enabled: bool,
    /// Whether it has a second factor.
    second_factor: bool,
    /// Whether it has roles elsewhere on this server. Then leads change its roles here,
    /// and nothing else.
    elsewhere: bool,
    /// When it was made (RFC 3339).
    created_at: String,
    /// When it last signed in to this mission (RFC 3339); `null` if never, or before
    /// sign-ins were kept.
    last_sign_in: Option<String>,
}

/// A password that the server made. It is shown this once and kept by nobody.
#[derive(Serialize, ToSchema)]
pub(super) struct NewPassword {
    /// Give it to its owner alone; `null` if the account has one of its own already.
    password: Option<String>,
    /// The account as it is now.
    account: Account,
}

impl From<Member> for Account {
    fn from(member: Member) -> Self {
        Self {
            id: member.id.0,
            email: member.email,
            roles: member.roles,
            enabled: member.enabled,
            second_factor: member.second_factor,
            elsewhere: member.elsewhere,
            created_at: member.created_at.rfc3339(),
            last_sign_in: member.last_sign_in.map(|time| time.rfc3339()),
        }
    }
}

/// Makes a password, off the async threads and outside any transaction.
async fn fresh(app: &App) -> std::result::Result<Fresh, ApiError> {
    let host = app.host.clone();
    Ok(web::block(move || Fresh::new(&host)).await??)
}

/// Does something to the account in the path.
async fn change(
    app: &App,
    person: Person,
    req: &HttpRequest,
    act: impl FnOnce(&mut Conn, Desk<'_>, UserId) -> Result<()> + Send + 'static,
) -> std::result::Result<Option<Account>, ApiError> {
    let user = UserId(query::id(req, "id")?);
    let member = work::write(app, move |app, conn| {
        let desk = Desk {
            host: &app.host,
            mission: person.mission,
            lead: person.user,
        };
        act(conn, desk, user)?;
        let members = staff::list(conn, person.mission)?;
        Ok(members.into_iter().find(|member| member.id == user))
    })
    .await
    .map_err(ApiError::hide_unknown)?;
    Ok(member.map(Into::into))
}
