//! Rebuilding the projections from the ledger and the registers.

use protocol::ids::MissionId;
use uuid::Uuid;

use super::{
    acts::MissionRef,
    ledger::{Projector, replay, reproject_gaps},
};
use crate::{
    error::Result,
    store::{Conn, ledger, projections},
};

/// Entries read at once.
const CHUNK: i64 = 1_000;

/// Rebuilds every mission; `progress` gets the number of entries done.
/// Answers how many entries were replayed.
///
/// # Errors
/// The database's; a ledger row that is damaged is named.
pub fn run(conn: &mut Conn, progress: &mut dyn FnMut(u64)) -> Result<u64> {
    let mut done = 0;
    for (no, id) in projections::mission_keys(conn)? {
        let mission = MissionRef {
            no,
            id: MissionId(Uuid::from_slice(&id).unwrap_or_default()),
        };
        done += rebuild(conn, mission, &mut |entries| progress(done + entries))?;
    }
    Ok(done)
}

fn rebuild(conn: &mut Conn, mission: MissionRef, progress: &mut dyn FnMut(u64)) -> Result<u64> {
    let mut head = ledger::lock_head(conn, mission.no)?;
    projections::clear(conn, mission.no)?;
    ledger::reset_standings(conn, mission.no)?;
    let mut projector = Projector::load(conn, mission, None, 0)?;
    let (mut after, mut done) = (0, 0);
    loop {
        let rows = ledger::after(conn, mission.no, after, CHUNK)?;
        let Some(last) = rows.last() else { break };
        after = last.number;
        for row in &rows {
            replay(conn, mission, &mut projector, row)?;
            done += 1;
        }
        projector.save(conn)?;
        projector.forget();
        progress(done);
    }
    reproject_gaps(conn, mission, &mut projector)?;
    projector.save(conn)?;
    head.held = projector.into_parts().1;
    ledger::set_head(conn, mission.no, &head)?;
    Ok(done)
}
