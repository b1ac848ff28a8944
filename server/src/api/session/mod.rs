//! Sessions of people at the console: begun, looked at, kept and ended.

pub(super) mod begin;
pub(super) mod end;
pub(super) mod renew;
pub(super) mod show;

use protocol::enrolment::Mission;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    app::App,
    auth::Role,
    clock::Micros,
    domain::sessions::Limits,
    error::{Error, Result},
    store::{
        Conn, missions, second_factors,
        sessions::SessionRow,
        users::{self, SERVER},
    },
};

/// Who is signed in, and until when.
#[derive(Serialize, ToSchema)]
pub(super) struct Session {
    /// The account's id, as it stands in decisions.
    user: Uuid,
    /// Its address.
    email: String,
    /// The mission; `null` for operators.
    mission: Option<Mission>,
    /// Roles in it.
    roles: Vec<Role>,
    /// Whether a second factor was shown. Without one the session opens nothing but
    /// setting one up.
    proven: bool,
    /// How many recovery codes are left.
    recovery_codes: i64,
    /// When it ends if nobody uses it (RFC 3339).
    ends_at: String,
    /// When it ends in any case (RFC 3339).
    ends_at_last: String,
    /// The server's time (RFC 3339).
    server_time: String,
}

impl Session {
    /// What a session's row says to its owner.
    fn describe(app: &App, conn: &mut Conn, row: &SessionRow) -> Result<Self> {
        let user = row.user()?;
        let gone = || Error::Internal("a session without its account".into());
        let account = users::by_id(conn, user)?.ok_or_else(gone)?;
        let roles = users::active_roles(conn, user, row.mission)?.ok_or_else(gone)?;
        let mission = missions::list(conn)?
            .into_iter()
            .find(|mission| row.mission != SERVER && mission.reference.no == row.mission);
        Ok(Self {
            user: user.0,
            email: account.email,
            mission: mission.map(|mission| Mission {
                id: mission.reference.id,
                name: mission.name,
                election: mission.election,
                timezone: mission.timezone,
            }),
            roles,
            proven: row.proven,
            recovery_codes: second_factors::codes_left(conn, user)?,
            ends_at: Micros(row.ends_at).rfc3339(),
            ends_at_last: Limits::of(&app.config).last(Micros(row.began_at)).rfc3339(),
            server_time: app.host.now().rfc3339(),
        })
    }
}
