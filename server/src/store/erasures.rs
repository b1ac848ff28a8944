//! Requests to erase a report's words. Every function takes the caller's mission.

use diesel::prelude::*;

use super::{Conn, schema::erasures};
use crate::{clock::Micros, error::Result};

/// A request and what became of it.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = erasures)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct ErasureRow {
    pub id: Vec<u8>,
    pub mission: i32,
    pub report: Vec<u8>,
    pub reason: String,
    pub requested_by: Vec<u8>,
    pub requested_at: i64,
    pub approved_by: Option<Vec<u8>>,
    pub approved_at: Option<i64>,
}

/// Keeps a request.
///
/// # Errors
/// The database's.
pub fn insert(conn: &mut Conn, row: &ErasureRow) -> Result<()> {
    super::ledger::ensure_one(
        diesel::insert_into(erasures::table)
            .values(row)
            .execute(conn)?,
    )
}

/// One request.
///
/// # Errors
/// The database's.
pub fn find(conn: &mut Conn, mission: i32, id: &[u8]) -> Result<Option<ErasureRow>> {
    Ok(erasures::table
        .filter(erasures::mission.eq(mission).and(erasures::id.eq(id)))
        .first::<ErasureRow>(conn)
        .optional()?)
}

/// Whether a request for this report waits for its second person.
///
/// # Errors
/// The database's.
pub fn is_requested(conn: &mut Conn, mission: i32, report: &[u8]) -> Result<bool> {
    Ok(diesel::select(diesel::dsl::exists(
        erasures::table
            .filter(
                erasures::mission
                    .eq(mission)
                    .and(erasures::report.eq(report)),
            )
            .filter(erasures::approved_at.is_null()),
    ))
    .get_result(conn)?)
}

/// Marks a request as approved; `false` if it was already.
///
/// # Errors
/// The database's.
pub fn approve(conn: &mut Conn, mission: i32, id: &[u8], by: &[u8], now: Micros) -> Result<bool> {
    let approved = diesel::update(erasures::table.find(id))
        .filter(erasures::mission.eq(mission))
        .filter(erasures::approved_at.is_null())
        .set((
            erasures::approved_by.eq(by),
            erasures::approved_at.eq(now.0),
        ))
        .execute(conn)?;
    Ok(approved == 1)
}

/// Requests, the newest first: those before (time, id).
///
/// # Errors
/// The database's.
pub fn page(
    conn: &mut Conn,
    mission: i32,
    before: Option<(i64, Vec<u8>)>,
    limit: i64,
) -> Result<Vec<ErasureRow>> {
    let mut query = erasures::table
        .filter(erasures::mission.eq(mission))
        .order((erasures::requested_at.desc(), erasures::id.desc()))
        .limit(limit)
        .into_boxed();
    if let Some((time, id)) = before {
        query = query.filter(
            erasures::requested_at
                .lt(time)
                .or(erasures::requested_at.eq(time).and(erasures::id.lt(id))),
        );
    }
    Ok(query.load::<ErasureRow>(conn)?)
}
