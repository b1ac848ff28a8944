//! The coordinators' side of a report beside its status: who looks after it, how soon,
//! and notes among colleagues. Each is an entry of the ledger; none touches what the
//! observer said, so a decision stands whoever was assigned meanwhile.

use protocol::{
    codes::Code,
    entry::{Kind, Read},
    ids::{SubjectId, UserId},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::acts::{Act, MissionRef, Office, needed, report_row};
use crate::{
    auth::Role,
    error::{Error, Result},
    store::{
        Conn, ledger,
        triage::{self as store, TriageRow},
        users,
    },
};

/// How soon a report is to be looked at. Not how bad it is: that is its severity.
pub const PRIORITIES: [&str; 4] = ["low", "normal", "high", "urgent"];

/// Gives a report to somebody, or to nobody. `was` is who had it when the person looked.
/// Answers the entry's number.
///
/// # Errors
/// `report_unknown`; `invalid_value` for somebody who reviews nothing in the mission;
/// `assigned_otherwise` with `assignee` if another was faster.
pub fn assign(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    actor: UserId,
    report: Uuid,
    (was, to): (Option<UserId>, Option<UserId>),
) -> Result<i64> {
    ledger::lock_head(conn, mission.no)?;
    report_row(conn, mission, report)?;
    let now = store::find(conn, mission.no, report.as_bytes())?.and_then(|row| assignee(&row));
    if now != was {
        return Err(Error::refused(Code::AssignedOtherwise, "").with("assignee", json!(now)));
    }
    if let Some(user) = to {
        let roles = users::active_roles(conn, user, mission.no)?.unwrap_or_default();
        if !roles
            .iter()
            .any(|role| matches!(role, Role::Coordinator | Role::Lead))
        {
            return Err(Error::refused(
                Code::InvalidValue,
                "`assignee` is nobody who reviews reports in this mission",
            ));
        }
    }
    let mut act = Act::new(Kind::Assign, SubjectId(report));
    act.body.insert("assignee".into(), json!(to));
    Ok(act.append(conn, office, mission, actor)?.0)
}

/// Says how soon a report is to be looked at. Answers the entry's number.
///
/// # Errors
/// `report_unknown`, `invalid_value`.
pub fn prioritise(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    actor: UserId,
    report: Uuid,
    priority: &str,
) -> Result<i64> {
    ledger::lock_head(conn, mission.no)?;
    report_row(conn, mission, report)?;
    if !PRIORITIES.contains(&priority) {
        return Err(Error::refused(
            Code::InvalidValue,
            format!("`priority` is one of {}", PRIORITIES.join(", ")),
        ));
    }
    let mut act = Act::new(Kind::Prioritise, SubjectId(report));
    act.body.insert("priority".into(), json!(priority));
    Ok(act.append(conn, office, mission, actor)?.0)
}

/// Writes a note, which colleagues alone read. Answers the entry's number.
///
/// # Errors
/// `report_unknown`, `reason_needed` for an empty one, `too_long`.
pub fn note(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    actor: UserId,
    report: Uuid,
    text: &str,
) -> Result<i64> {
    ledger::lock_head(conn, mission.no)?;
    report_row(conn, mission, report)?;
    let mut act = Act::new(Kind::Note, SubjectId(report));
    act.disclosed.push(("text", json!(needed("text", text)?)));
    Ok(act.append(conn, office, mission, actor)?.0)
}

/// Who looks after it.
#[must_use]
pub fn assignee(row: &TriageRow) -> Option<UserId> {
    let bytes = row.assignee.as_deref()?;
    Uuid::from_slice(bytes).ok().map(UserId)
}

/// Projects one of these entries; `false` if it cannot be read.
///
/// # Errors
/// The database's.
pub(super) fn project(
    conn: &mut Conn,
    mission: MissionRef,
    (number, at): (i64, i64),
    read: &Read,
) -> Result<bool> {
    let report = read.payload.subject.0.as_bytes().to_vec();
    let mut row = store::find(conn, mission.no, &report)?
        .unwrap_or_else(|| TriageRow::new(mission.no, report));
    let member = |name: &str| read.body.get(name);
    match &read.payload.kind {
        Kind::Assign => match member("assignee") {
            Some(Value::Null) => row.assignee = None,
            Some(Value::String(id)) => match Uuid::parse_str(id) {
                Ok(id) => row.assignee = Some(id.as_bytes().to_vec()),
                Err(_) => return Ok(false),
            },
            _ => return Ok(false),
        },
        Kind::Prioritise => match member("priority").and_then(Value::as_str) {
            Some(priority) if PRIORITIES.contains(&priority) => {
                row.priority = Some(priority.to_owned());
            }
            _ => return Ok(false),
        },
        _ => row.notes = row.notes.saturating_add(1),
    }
    (row.number, row.touched_at) = (number, at);
    store::put(conn, &row)?;
    Ok(true)
}
