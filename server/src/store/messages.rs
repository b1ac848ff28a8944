//! Messages to observers, and who they were sent to.

use diesel::prelude::*;

use super::{
    Conn,
    ledger::{EntryRow, ensure_one},
    schema::{entries, message_audiences},
};
use crate::error::Result;

/// The accreditations that a message was sent to: their ids, 16 bytes each.
///
/// # Errors
/// The database's.
pub fn recipients(conn: &mut Conn, mission: i32, hash: &[u8]) -> Result<Option<Vec<u8>>> {
    Ok(message_audiences::table
        .find((mission, hash))
        .select(message_audiences::recipients)
        .first(conn)
        .optional()?)
}

/// Writes them down, once and for ever.
///
/// # Errors
/// The database's.
pub fn fix_recipients(conn: &mut Conn, mission: i32, hash: &[u8], ids: &[u8]) -> Result<()> {
    let added = diesel::insert_into(message_audiences::table)
        .values((
            message_audiences::mission.eq(mission),
            message_audiences::hash.eq(hash),
            message_audiences::recipients.eq(ids),
        ))
        .execute(conn)?;
    ensure_one(added)
}

/// Messages that count, before a ledger number, the newest first.
///
/// # Errors
/// The database's.
pub fn page(
    conn: &mut Conn,
    mission: i32,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<EntryRow>> {
    // `kind = 'message'` is what the partial index covers; as a parameter no planner
    // sees that.
    let is_message = diesel::dsl::sql::<diesel::sql_types::Bool>("kind = 'message'");
    let mut query = entries::table
        .filter(entries::mission.eq(mission))
        .filter(is_message)
        .filter(entries::standing.eq("applied"))
        .order(entries::number.desc())
        .limit(limit)
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(entries::number.lt(before));
    }
    Ok(query.load::<EntryRow>(conn)?)
}
