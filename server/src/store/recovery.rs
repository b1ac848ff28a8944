//! Histories that ended: what was kept of them, and what is known to have been.

use diesel::prelude::*;
use protocol::ids::EpochId;

use super::{
    conn::{Conn, on_backend},
    schema::{ended_histories, entries, former_numbers, ledger_heads, missions, server_state},
};
use crate::error::Result;

/// One mission's history that ended.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = ended_histories, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct EndedRow {
    pub mission: i32,
    pub epoch: Vec<u8>,
    pub ended_at: i64,
    pub reason: String,
    pub backup_at: Option<i64>,
    pub kept: i64,
    pub known: i64,
}

/// Which entry had a number of a history that ended.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = former_numbers)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct FormerRow {
    pub mission: i32,
    pub epoch: Vec<u8>,
    pub number: i64,
    pub hash: Vec<u8>,
}

/// Gives the server's history another name if it still has the old one; answers
/// whether it did. Two servers that find out at once renew it once.
///
/// # Errors
/// The database's.
pub fn replace_epoch(conn: &mut Conn, old: EpochId, new: EpochId) -> Result<bool> {
    let changed = diesel::update(
        server_state::table
            .filter(server_state::name.eq("epoch"))
            .filter(server_state::value.eq(old.to_string())),
    )
    .set(server_state::value.eq(new.to_string()))
    .execute(conn)?;
    Ok(changed == 1)
}

/// Every ledger's mission, in one order.
///
/// # Errors
/// The database's.
pub fn ledgers(conn: &mut Conn) -> Result<Vec<i32>> {
    Ok(ledger_heads::table
        .order(ledger_heads::mission)
        .select(ledger_heads::mission)
        .load(conn)?)
}

/// Notes that a history ended.
///
/// # Errors
/// The database's.
pub fn insert(conn: &mut Conn, row: EndedRow) -> Result<()> {
    let added = on_backend!(conn, |inner| diesel::insert_into(ended_histories::table)
        .values(row)
        .execute(inner))?;
    super::ledger::ensure_one(added)
}

/// The history of a mission that ended under this name.
///
/// # Errors
/// The database's.
pub fn find(conn: &mut Conn, mission: i32, epoch: EpochId) -> Result<Option<EndedRow>> {
    Ok(ended_histories::table
        .find((mission, epoch.0.as_bytes().to_vec()))
        .first(conn)
        .optional()?)
}

/// All histories that ended, the latest first.
///
/// # Errors
/// The database's.
pub fn list(conn: &mut Conn) -> Result<Vec<(EndedRow, Vec<u8>)>> {
    Ok(ended_histories::table
        .inner_join(missions::table.on(missions::no.eq(ended_histories::mission)))
        .order((ended_histories::ended_at.desc(), ended_histories::mission))
        .select((ended_histories::all_columns, missions::id))
        .load(conn)?)
}

/// Raises the highest number known.
///
/// # Errors
/// The database's.
pub fn raise_known(conn: &mut Conn, mission: i32, epoch: EpochId, number: i64) -> Result<()> {
    diesel::update(ended_histories::table.find((mission, epoch.0.as_bytes().to_vec())))
        .filter(ended_histories::known.lt(number))
        .set(ended_histories::known.eq(number))
        .execute(conn)?;
    Ok(())
}

/// Notes numbers; the first word about each stands.
///
/// # Errors
/// The database's.
pub fn note_former(conn: &mut Conn, row: FormerRow) -> Result<()> {
    on_backend!(conn, |inner| diesel::insert_into(former_numbers::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(inner))?;
    Ok(())
}

/// The numbers of a history that ended whose entries the ledger holds again, and
/// the kinds of those, in order.
///
/// # Errors
/// The database's.
pub fn recovered(
    conn: &mut Conn,
    mission: i32,
    epoch: &[u8],
    above: i64,
) -> Result<Vec<(i64, String)>> {
    Ok(former_numbers::table
        .inner_join(
            entries::table.on(entries::hash
                .eq(former_numbers::hash)
                .and(entries::mission.eq(former_numbers::mission))),
        )
        .filter(former_numbers::mission.eq(mission))
        .filter(former_numbers::epoch.eq(epoch))
        .filter(former_numbers::number.gt(above))
        .order(former_numbers::number)
        .select((former_numbers::number, entries::kind))
        .load(conn)?)
}
