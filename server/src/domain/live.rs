//! What changed in a ledger since a number: for desks that stay open.

use std::collections::BTreeSet;

use serde::Serialize;
use uuid::Uuid;

use crate::{
    domain::{
        acts::MissionRef,
        cases,
        ledger::read_row,
        reports::{self, Report},
    },
    error::Result,
    store::{Conn, bulk, ledger},
};

/// Entries looked at in one go.
const ENTRIES: i64 = 1_000;
/// Entries behind which a desk does better to read its lists anew.
const FAR: i64 = 10_000;

/// What a stretch of the ledger changed.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Changes {
    /// The number up to which this tells.
    pub cursor: i64,
    /// The reports that it changed, as they are now.
    pub reports: Vec<Report>,
    /// The kinds of its entries: what else may have changed.
    #[schema(value_type = Vec<String>)]
    pub kinds: BTreeSet<String>,
    /// Whether entries were set aside for a person to look at.
    pub quarantined: bool,
}

/// What stands between a number and the ledger's end.
#[derive(Debug)]
pub enum Since {
    /// Nothing.
    Nothing,
    /// This, and perhaps more.
    Changes(Changes),
    /// So much that the lists are to be read anew; the ledger's end.
    TooMuch(i64),
}

/// The changes behind a number, as far as one answer holds them. A number beyond the
/// ledger's end is of another history: everything is to be read anew.
///
/// # Errors
/// The database's.
pub fn since(conn: &mut Conn, mission: MissionRef, number: i64) -> Result<Since> {
    let head = ledger::head(conn, mission.no)?.number;
    if number == head {
        return Ok(Since::Nothing);
    }
    if number > head || head - number > FAR {
        return Ok(Since::TooMuch(head));
    }
    let entries = ledger::outlines(conn, mission.no, number, ENTRIES)?;
    let cursor = entries.last().map_or(head, |entry| entry.number);
    let mut subjects = cases::touched(conn, mission, &entries)?;
    let quarantined = entries.iter().any(|entry| entry.quarantine.is_some());
    subjects.extend(counterparts(conn, mission, &entries)?);
    let kinds = entries.into_iter().map(|entry| entry.kind).collect();
    let subjects: Vec<_> = subjects.into_iter().collect();
    let rows = bulk::reports_by_id(conn, mission.no, &subjects)?;
    Ok(Since::Changes(Changes {
        cursor,
        reports: reports::described(conn, mission, rows)?,
        kinds,
        quarantined,
    }))
}

/// The reports that tell the same as one by telephone, which a person said or took back
/// here: they show it too.
fn counterparts(
    conn: &mut Conn,
    mission: MissionRef,
    entries: &[ledger::Outline],
) -> Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for entry in entries {
        let member = match entry.kind.as_str() {
            "merge" => "into",
            "unmerge" => "from",
            _ => continue,
        };
        let row = ledger::after(conn, mission.no, entry.number - 1, 1)?.pop();
        let read = row.as_ref().and_then(|row| read_row(row).ok());
        let other = read
            .as_ref()
            .and_then(|read| read.body.get(member)?.as_str());
        found.extend(other.and_then(|id| Uuid::parse_str(id).ok()));
    }
    Ok(found.iter().map(|id| id.as_bytes().to_vec()).collect())
}
