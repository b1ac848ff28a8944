//! Erasing a report's words: a legal duty, done by two people with a reason.

use protocol::{codes::Code, ids::UserId};
use serde_json::json;
use uuid::Uuid;

use crate::{
    domain::{
        acts::{self, MissionRef, Office},
        audit::{Act, By, Deed},
        words,
    },
    error::{Error, Result},
    store::{
        Conn, bulk, devices,
        erasures::{self as store, ErasureRow},
    },
};

/// Asks for an erasure; a second person must approve it. Runs inside
/// `Store::write`.
///
/// # Errors
/// `report_unknown`, `already_done`, `reason_needed`, or the database's.
pub fn request(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    actor: UserId,
    report: Uuid,
    reason: &str,
) -> Result<ErasureRow> {
    let reason = words::reason(reason)?;
    let id = report.as_bytes().to_vec();
    let row = bulk::reports_by_id(conn, mission.no, std::slice::from_ref(&id))?
        .pop()
        .ok_or_else(|| Error::refused(Code::ReportUnknown, "there is no such report"))?;
    if row.erased {
        return Err(Error::refused(
            Code::AlreadyDone,
            "the report is erased already",
        ));
    }
    if store::is_requested(conn, mission.no, &id)? {
        return Err(Error::refused(
            Code::AlreadyDone,
            "its erasure has been asked for and waits for approval",
        ));
    }
    let row = ErasureRow {
        id: office.host.uuid().as_bytes().to_vec(),
        mission: mission.no,
        report: id,
        reason,
        requested_by: actor.0.as_bytes().to_vec(),
        requested_at: office.host.now().0,
        approved_by: None,
        approved_at: None,
    };
    store::insert(conn, &row)?;
    let details = json!({ "report": report, "reason": row.reason });
    Deed::new(
        office.host,
        By::Person(actor),
        Act::ErasureRequested,
        details,
    )
    .note(conn, mission.no)?;
    Ok(row)
}

/// Approves an erasure and does it. Runs inside `Store::write`.
///
/// # Errors
/// `not_found`, `same_person`, `already_done`, or the database's.
pub fn approve(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    actor: UserId,
    erasure: Uuid,
) -> Result<(ErasureRow, i64)> {
    let id = erasure.as_bytes().to_vec();
    let mut row = store::find(conn, mission.no, &id)?
        .ok_or_else(|| Error::refused(Code::NotFound, "there is no such request"))?;
    if row.requested_by == actor.0.as_bytes() {
        return Err(Error::refused(
            Code::SamePerson,
            "another lead must approve what you asked for",
        ));
    }
    let now = office.host.now();
    if !store::approve(conn, mission.no, &id, actor.0.as_bytes(), now)? {
        return Err(Error::refused(
            Code::AlreadyDone,
            "it has been approved and done already",
        ));
    }
    let requested_by = UserId(devices::read_id(&row.requested_by)?);
    let report = devices::read_id(&row.report)?;
    let number = acts::erase(
        conn,
        office,
        mission,
        requested_by,
        actor,
        report,
        &row.reason,
    )?;
    row.approved_by = Some(actor.0.as_bytes().to_vec());
    row.approved_at = Some(now.0);
    Ok((row, number))
}
