//! Who has which report open at a desk.

use diesel::prelude::*;

use super::{Conn, ledger::ensure_one, schema::attention};
use crate::{clock::Micros, error::Result};

/// Somebody who looks at a report.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = attention)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct AttentionRow {
    pub mission: i32,
    pub user_id: Vec<u8>,
    pub report: Vec<u8>,
    pub deciding: bool,
    pub until: i64,
}

/// Everybody in a mission who looks at something now.
///
/// # Errors
/// The database's.
pub fn now(conn: &mut Conn, mission: i32, now: Micros) -> Result<Vec<AttentionRow>> {
    Ok(attention::table
        .filter(attention::mission.eq(mission))
        .filter(attention::until.gt(now.0))
        .order(attention::user_id)
        .load(conn)?)
}

/// Notes what somebody looks at, in place of what that was, and forgets those who went
/// silent.
///
/// # Errors
/// The database's.
pub fn put(conn: &mut Conn, row: &AttentionRow, now: Micros) -> Result<()> {
    diesel::delete(attention::table.filter(attention::until.le(now.0))).execute(conn)?;
    let changed = diesel::update(attention::table.find((row.mission, &row.user_id)))
        .set(row)
        .execute(conn)?;
    if changed == 1 {
        return Ok(());
    }
    ensure_one(
        diesel::insert_into(attention::table)
            .values(row)
            .execute(conn)?,
    )
}

/// Somebody looks at nothing.
///
/// # Errors
/// The database's.
pub fn remove(conn: &mut Conn, mission: i32, user: &[u8]) -> Result<()> {
    diesel::delete(attention::table.find((mission, user))).execute(conn)?;
    Ok(())
}
