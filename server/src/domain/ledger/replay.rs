//! Replaying one row of the ledger, as a rebuild does.

use protocol::{codes::Code, entry::Kind};
use uuid::Uuid;

use super::{
    append::{Origin, hash_of, uuid_of},
    late::{base_at, read_row, standing_of, subject_of},
    project::{Base, Projector},
};
use crate::{
    clock::Micros,
    domain::{acts::MissionRef, flags},
    error::Result,
    store::{
        Conn,
        ledger::{self, EntryRow},
    },
};

/// Projects a row as its append did. What it was quarantined for when it came
/// stands in the row; everything else follows from the order.
///
/// # Errors
/// The database's; a damaged row is named.
pub fn replay(
    conn: &mut Conn,
    mission: MissionRef,
    projector: &mut Projector,
    row: &EntryRow,
) -> Result<()> {
    if let Some(code) = &row.quarantine {
        announce_waiting(conn, mission, projector, row)?;
        if code == Code::Overtaken.name() {
            let settled = (hash_of(&row.hash)?, Base::SetAside);
            projector.release(conn, &mut [], settled, row.number, Micros(row.received_at))?;
        }
        return flag_fork(conn, mission, projector, row);
    }
    let read = read_row(row)?;
    projector.fetch(conn, &[read.payload.subject.0])?;
    let mut subject = subject_of(conn, mission, row)?;
    subject.base = base_at(conn, mission, &read, row.number)?;
    let standing = standing_of(projector.apply(conn, &subject, &read)?);
    flag_fork(conn, mission, projector, row)?;
    if standing != "applied" {
        ledger::set_standing(conn, mission.no, row.number, standing)?;
    }
    match standing {
        "held" => projector.note_held(read.payload.base),
        "applied" => {
            projector.release(
                conn,
                &mut [],
                (hash_of(&row.hash)?, Base::Applied),
                row.number,
                Micros(row.received_at),
            )?;
        }
        _ => {}
    }
    Ok(())
}

/// The files of a quarantined attach entry, as far as it can be read.
fn announce_waiting(
    conn: &mut Conn,
    mission: MissionRef,
    projector: &mut Projector,
    row: &EntryRow,
) -> Result<()> {
    if row.kind != Kind::Attach.name() {
        return Ok(());
    }
    let Origin::Device { accreditation, .. } = subject_of(conn, mission, row)?.origin else {
        return Ok(());
    };
    if let Ok(read) = read_row(row) {
        projector.announce_waiting(row.number, accreditation, &read);
    }
    Ok(())
}

/// The claims on this row's place in its journal, by the rows up to it.
fn flag_fork(
    conn: &mut Conn,
    mission: MissionRef,
    projector: &mut Projector,
    row: &EntryRow,
) -> Result<()> {
    let (Some(device), Some(journal), Some(seq)) = (&row.device, &row.journal, row.seq) else {
        return Ok(());
    };
    let claims = ledger::claims(conn, mission.no, device, journal, seq, row.number)?;
    if claims.len() < 2 {
        return Ok(());
    }
    let subjects: Vec<Uuid> = claims
        .iter()
        .filter_map(|subject| subject.as_deref().and_then(uuid_of))
        .collect();
    projector.flag(conn, &subjects, flags::FORK, true)
}
