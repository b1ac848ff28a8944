//! Who has which report open at a desk.

use diesel::prelude::*;

use super::{
    conn::{Conn, on_backend},
    ledger::ensure_one,
    schema::attention,
};
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
    // At once, not an update and then an insertion: a page that goes from one report to the
    // next may ask twice at a time.
    ensure_one(on_backend!(conn, |inner| diesel::insert_into(
        attention::table
    )
    .values(row)
    .on_conflict((attention::mission, attention::user_id))
    .do_update()
    .set(row)
    .execute(inner))?)
}

/// Somebody looks at nothing.
///
/// # Errors
/// The database's.
pub fn remove(conn: &mut Conn, mission: i32, user: &[u8]) -> Result<()> {
    diesel::delete(attention::table.find((mission, user))).execute(conn)?;
    Ok(())
}
