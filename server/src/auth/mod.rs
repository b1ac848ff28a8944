//! Who is asking: roles, tokens, passwords. Knows no HTTP; `api::guard` asks
//! it about every request.
//!
//! A token only says who somebody *was*. Whether they still may is read from
//! the database each time, so that a revocation counts from the next request.

mod limiter;
pub mod password;
pub mod token;

pub use limiter::Limiter;

use protocol::{
    assertion::Assertion,
    codes::Code,
    ids::{AccreditationId, DeviceId, UserId},
    jose::{Jwk, Jws, PublicKey},
    limits,
};
use serde::{Deserialize, Serialize};

use crate::{
    clock::Micros,
    domain::{acts::MissionRef, sessions},
    error::{Error, Result},
    keys::Keys,
    store::{
        Conn, devices, missions, projections,
        sessions::{self as store_sessions, SessionRow},
        users,
    },
};

/// What somebody may do.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A phone: files reports and reads what concerns them.
    Observer,
    /// Reviews reports, issues enrolment codes.
    Coordinator,
    /// What a coordinator may, and revokes, erases and sees names.
    Lead,
    /// Reads and exports reports.
    Analyst,
    /// Reads everything but names; decides nothing.
    Auditor,
    /// Runs the server: missions and metrics, no reports.
    Operator,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Observer,
        Self::Coordinator,
        Self::Lead,
        Self::Analyst,
        Self::Auditor,
        Self::Operator,
    ];

    /// The name in tokens, tables and commands.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Observer => "observer",
            Self::Coordinator => "coordinator",
            Self::Lead => "lead",
            Self::Analyst => "analyst",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or_else(|| {
                format!(
                    "`{text}` is not one of observer, coordinator, lead, analyst, auditor, operator"
                )
            })
    }
}

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A person with an account.
    User(UserId),
    /// A phone.
    Device {
        /// Which.
        device: DeviceId,
        /// Whose.
        accreditation: AccreditationId,
    },
}

/// Somebody whose token verified and who still may act.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub subject: Subject,
    /// Roles in the scope; never empty.
    pub roles: Vec<Role>,
    /// The one mission that the token opens. Operators have none.
    pub scope: Option<MissionRef>,
    /// The session, if a browser holds one; a token has none.
    pub session: Option<SessionRow>,
}

impl Caller {
    /// Whether one of these roles is held.
    #[must_use]
    pub fn has_any(&self, roles: &[Role]) -> bool {
        self.roles.iter().any(|role| roles.contains(role))
    }
}

/// Turns a session's token into a caller, who may act as long as account and roles
/// are there.
///
/// # Errors
/// `session_ended`, or the database's.
pub fn authenticate_session(conn: &mut Conn, now: Micros, token: &str) -> Result<Caller> {
    let ended = || Error::refused(Code::SessionEnded, "");
    let row = store_sessions::find(conn, &sessions::hash(token), now)?.ok_or_else(ended)?;
    let user = row.user()?;
    let roles = users::active_roles(conn, user, row.mission)?.ok_or_else(ended)?;
    if roles.is_empty() {
        return Err(ended());
    }
    let scope = missions::list(conn)?
        .into_iter()
        .map(|mission| mission.reference)
        .find(|mission| mission.no == row.mission);
    if scope.is_none() && row.mission != users::SERVER {
        return Err(ended());
    }
    Ok(Caller {
        subject: Subject::User(user),
        roles,
        scope,
        session: Some(row),
    })
}

/// Turns a bearer token into a caller: verifies it, then reads from the
/// database whether account or device may still act.
///
/// # Errors
/// `token_invalid`, `token_expired`, `token_revoked`, or the database's.
pub fn authenticate(conn: &mut Conn, keys: &Keys, now: Micros, bearer: &str) -> Result<Caller> {
    let claims = token::verify(keys, now, bearer)?;
    let revoked = || Error::refused(Code::TokenRevoked, "");
    let scope = match claims.mission {
        None => None,
        Some(id) => Some(missions::find(conn, id)?.ok_or_else(revoked)?.reference),
    };
    match claims.aud.as_str() {
        token::CONSOLE => {
            let user = UserId(claims.sub);
            let mission = scope.map_or(users::SERVER, |mission| mission.no);
            let held = users::active_roles(conn, user, mission)?.ok_or_else(revoked)?;
            if claims.roles.is_empty() || claims.roles.iter().any(|role| !held.contains(role)) {
                return Err(revoked());
            }
            Ok(Caller {
                subject: Subject::User(user),
                roles: claims.roles,
                scope,
                session: None,
            })
        }
        _ => {
            let mission = scope.ok_or_else(|| Error::refused(Code::TokenInvalid, ""))?;
            let device = DeviceId(claims.sub);
            let state = devices::state(conn, mission.no, device)?.ok_or_else(revoked)?;
            if state.revoked {
                return Err(revoked());
            }
            Ok(Caller {
                subject: Subject::Device {
                    device,
                    accreditation: state.accreditation,
                },
                roles: vec![Role::Observer],
                scope,
                session: None,
            })
        }
    }
}

/// A device that proved to hold its key.
#[derive(Clone, Copy, Debug)]
pub struct Proven {
    /// The device.
    pub device: DeviceId,
    /// Its mission.
    pub mission: MissionRef,
}

/// Checks a device's assertion (RFC 7523).
///
/// # Errors
/// `invalid_grant`, the same for every reason but the time, so that it tells
/// nobody which keys are enrolled; or the database's.
pub fn check_assertion(conn: &mut Conn, keys: &Keys, now: Micros, compact: &str) -> Result<Proven> {
    let refused = |detail: &str| Error::refused(Code::InvalidGrant, detail);
    const NO: &str = "The assertion does not prove an enrolled device that may act.";
    if compact.len() > limits::TOKEN_BYTES {
        return Err(refused(NO));
    }
    let jws = Jws::parse(compact).map_err(|_| refused(NO))?;
    if jws.header.kid.len() > 64 || jws.header.kid.contains('\0') {
        return Err(refused(NO));
    }
    let row = projections::device_by_kid(conn, &jws.header.kid)?.ok_or_else(|| refused(NO))?;
    let jwk: Jwk =
        serde_json::from_str(&row.jwk).map_err(|_| Error::Internal("a device's key".into()))?;
    let key = PublicKey::from_jwk(&jwk).map_err(|_| Error::Internal("a device's key".into()))?;
    let audience = protocol::assertion::audience(&keys.receipt_kid);
    Assertion::verify(&jws, &key, &audience, now.seconds()).map_err(|error| match error {
        protocol::assertion::AssertionError::Time => {
            refused("The assertion is not valid at this time; make one by `server_time`.")
        }
        _ => refused(NO),
    })?;
    let device = devices::read_id(&row.id).map(DeviceId)?;
    let state = devices::state(conn, row.mission, device)?.ok_or_else(|| refused(NO))?;
    if state.revoked {
        return Err(refused(NO));
    }
    let id = missions::list(conn)?
        .into_iter()
        .find(|mission| mission.reference.no == row.mission);
    let mission = id
        .ok_or_else(|| Error::Internal("a device's mission".into()))?
        .reference;
    Ok(Proven { device, mission })
}
