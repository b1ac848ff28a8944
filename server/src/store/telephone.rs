//! Reports by telephone as they are asked for. Every function takes the caller's mission.

use diesel::prelude::*;

use super::{Conn, projections::ReportRow, schema::reports};
use crate::error::Result;

/// Reports compared with one at a time, at most.
const COMPARED: i64 = 500;

/// Which reports were merged into these: pairs of the one that it was merged into, and
/// itself, in the ledger's order.
///
/// # Errors
/// The database's.
pub fn merged(conn: &mut Conn, mission: i32, into: &[Vec<u8>]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    Ok(reports::table
        .filter(reports::mission.eq(mission))
        .filter(reports::merged_into.eq_any(into).assume_not_null())
        .order(reports::first_number)
        .select((reports::merged_into.assume_not_null(), reports::id))
        .load(conn)?)
}

/// Reports that came near a time: `(from, to)`.
#[derive(Clone, Copy, Debug)]
pub struct Near(pub i64, pub i64);

type Query = reports::BoxedQuery<'static, <Conn as Connection>::Backend>;

fn near(mission: i32, near: Near) -> Query {
    reports::table
        .filter(reports::mission.eq(mission))
        .filter(reports::received_at.between(near.0, near.1))
        .filter(reports::merged_into.is_null())
        .order(reports::first_number.desc())
        .limit(COMPARED)
        .into_boxed()
}

/// An observer's reports near a time.
///
/// # Errors
/// The database's.
pub fn of_observer(
    conn: &mut Conn,
    mission: i32,
    time: Near,
    accreditation: &[u8],
) -> Result<Vec<ReportRow>> {
    let theirs = reports::accreditation.eq(accreditation.to_vec());
    Ok(near(mission, time)
        .filter(theirs.assume_not_null())
        .load::<ReportRow>(conn)?)
}

/// Reports of a station near a time; without one, those of a category that name none.
///
/// # Errors
/// The database's.
pub fn of_place(
    conn: &mut Conn,
    mission: i32,
    time: Near,
    station: Option<&str>,
    category: &str,
) -> Result<Vec<ReportRow>> {
    let query = near(mission, time);
    let query = match station {
        Some(station) => {
            let there = reports::station.eq(station.to_owned());
            query.filter(there.assume_not_null())
        }
        None => query
            .filter(reports::station.is_null())
            .filter(reports::category.eq(category.to_owned())),
    };
    Ok(query.load::<ReportRow>(conn)?)
}

/// Reports by telephone near a time.
///
/// # Errors
/// The database's.
pub fn by_telephone(conn: &mut Conn, mission: i32, time: Near) -> Result<Vec<ReportRow>> {
    Ok(near(mission, time)
        .filter(reports::entered_by.is_not_null())
        .load::<ReportRow>(conn)?)
}
