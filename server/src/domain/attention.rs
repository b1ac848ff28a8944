//! Who looks at which report, and who is deciding on it: shown to colleagues so that two
//! do not do one work. It locks nothing; a decision on what has changed is refused anyway.

use protocol::ids::UserId;
use serde::Serialize;
use uuid::Uuid;

use super::acts::MissionRef;
use crate::{
    clock::Micros,
    error::{Error, Result},
    store::{
        Conn,
        attention::{self, AttentionRow},
    },
};

/// Seconds that it counts without being said again.
pub const SECONDS: i64 = 60;

/// Somebody at a desk, and the report that they have open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Attention {
    /// The account.
    pub user: Uuid,
    /// The report.
    pub report: Uuid,
    /// Whether they are writing a decision.
    pub deciding: bool,
}

/// Everybody who looks at something now.
///
/// # Errors
/// The database's.
pub fn now(conn: &mut Conn, mission: MissionRef, now: Micros) -> Result<Vec<Attention>> {
    let id = |bytes: &[u8]| {
        Uuid::from_slice(bytes).map_err(|_| Error::Internal("an id in `attention`".into()))
    };
    attention::now(conn, mission.no, now)?
        .iter()
        .map(|row| {
            Ok(Attention {
                user: id(&row.user_id)?,
                report: id(&row.report)?,
                deciding: row.deciding,
            })
        })
        .collect()
}

/// Says what somebody looks at; `None` for nothing. Runs inside `Store::write`.
///
/// # Errors
/// The database's.
pub fn look(
    conn: &mut Conn,
    mission: MissionRef,
    user: UserId,
    now: Micros,
    report: Option<Uuid>,
    deciding: bool,
) -> Result<()> {
    let user_id = user.0.as_bytes().to_vec();
    let Some(report) = report else {
        return attention::remove(conn, mission.no, &user_id);
    };
    let row = AttentionRow {
        mission: mission.no,
        user_id,
        report: report.as_bytes().to_vec(),
        deciding,
        until: now.plus_seconds(SECONDS).0,
    };
    attention::put(conn, &row, now)
}
