//! Entries that wait: quarantined ones, and held ones whose base has not come.

use diesel::prelude::*;

use super::{Conn, ledger::EntryRow, schema::entries};
use crate::error::Result;

/// Waiting entries, the newest first: those before a ledger number, of one
/// standing if given.
///
/// # Errors
/// The database's.
pub fn page(
    conn: &mut Conn,
    mission: i32,
    standing: Option<&str>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<EntryRow>> {
    // `standing <> 'applied'` is what the partial index covers.
    let mut query = entries::table
        .filter(entries::mission.eq(mission))
        .filter(entries::standing.ne("applied"))
        .order(entries::number.desc())
        .limit(limit)
        .into_boxed();
    if let Some(standing) = standing {
        query = query.filter(entries::standing.eq(standing.to_owned()));
    }
    if let Some(before) = before {
        query = query.filter(entries::number.lt(before));
    }
    Ok(query.load::<EntryRow>(conn)?)
}
