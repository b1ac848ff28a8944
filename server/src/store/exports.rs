//! What exports read: reports in ledger order, a chunk at a time, and what
//! their codes stand for.

use std::collections::HashMap;

use diesel::{dsl, prelude::*};

use super::{
    Conn,
    ledger::EntryRow,
    projections::ReportRow,
    reports_query::filtered,
    schema::{accreditations, entries, locations, reports, stations},
};
use crate::{domain::reports::Filter, error::Result};

/// Reports that fit and come after a number, the oldest first.
///
/// # Errors
/// The database's.
pub fn reports(
    conn: &mut Conn,
    mission: i32,
    filter: &Filter,
    after: i64,
    limit: i64,
) -> Result<Vec<ReportRow>> {
    Ok(filtered(conn, mission, filter)?
        .filter(reports::first_number.gt(after))
        .order(reports::first_number.asc())
        .limit(limit)
        .load(conn)?)
}

/// An observer, with what only some may see.
#[derive(Clone, Debug, Queryable)]
pub struct Observer {
    /// Which accreditation.
    pub id: Vec<u8>,
    /// Its number.
    pub number: String,
    /// The observer's name.
    pub name: String,
    /// `domestic` or `international`.
    pub kind: String,
    /// Who sends the observer.
    pub institution: String,
    /// The name in exports.
    pub pseudonym: String,
}

/// The observers behind these accreditations.
///
/// # Errors
/// The database's.
pub fn observers(conn: &mut Conn, mission: i32, ids: &[&[u8]]) -> Result<Vec<Observer>> {
    Ok(accreditations::table
        .filter(accreditations::mission.eq(mission))
        .filter(accreditations::id.eq_any(ids))
        .select((
            accreditations::id,
            accreditations::number,
            accreditations::name,
            accreditations::kind,
            accreditations::institution,
            accreditations::pseudonym,
        ))
        .load(conn)?)
}

/// Names of the mission's stations by code.
///
/// # Errors
/// The database's.
pub fn station_names(conn: &mut Conn, mission: i32) -> Result<HashMap<String, String>> {
    let names: Vec<(String, String)> = stations::table
        .filter(stations::mission.eq(mission))
        .select((stations::code, stations::name))
        .load(conn)?;
    Ok(names.into_iter().collect())
}

/// Names of the locations of one level by code.
///
/// # Errors
/// The database's.
pub fn location_names(
    conn: &mut Conn,
    mission: i32,
    level: &str,
) -> Result<HashMap<String, String>> {
    let names: Vec<(String, String)> = locations::table
        .filter(
            locations::mission
                .eq(mission)
                .and(locations::level.eq(level)),
        )
        .select((locations::code, locations::name))
        .load(conn)?;
    Ok(names.into_iter().collect())
}

/// A subject, and a signed entry about it.
pub type About = (Option<Vec<u8>>, Vec<u8>);

/// The decisions on these reports that count, in ledger order.
///
/// # Errors
/// The database's.
pub fn decisions(conn: &mut Conn, mission: i32, subjects: &[&[u8]]) -> Result<Vec<About>> {
    let mut found: Vec<(i64, About)> = entries::table
        .filter(entries::subject.eq_any(subjects))
        .filter((entries::mission + 0).eq(mission))
        .filter(entries::kind.eq("decide"))
        .filter(entries::standing.eq("applied"))
        .select((entries::number, (entries::subject, entries::sd_jwt)))
        .load(conn)?;
    found.sort_by_key(|(number, _)| *number);
    Ok(found.into_iter().map(|(_, about)| about).collect())
}

/// How many entries there are about each of these reports.
///
/// # Errors
/// The database's.
pub fn entry_counts(
    conn: &mut Conn,
    mission: i32,
    subjects: &[&[u8]],
) -> Result<HashMap<Vec<u8>, i64>> {
    let counts: Vec<(Option<Vec<u8>>, i64)> = entries::table
        .filter(entries::subject.eq_any(subjects))
        .filter((entries::mission + 0).eq(mission))
        .group_by(entries::subject)
        .select((entries::subject, dsl::count_star()))
        .load(conn)?;
    Ok(counts
        .into_iter()
        .filter_map(|(subject, count)| Some((subject?, count)))
        .collect())
}

/// All entries about these reports, in ledger order. The caller keeps the
/// number of entries small. Sorted here: a database asked for ledger order may
/// read the whole ledger to find it.
///
/// # Errors
/// The database's.
pub fn entries_of(conn: &mut Conn, mission: i32, subjects: &[&[u8]]) -> Result<Vec<EntryRow>> {
    let mut found: Vec<EntryRow> = entries::table
        .filter(entries::subject.eq_any(subjects))
        .filter((entries::mission + 0).eq(mission))
        .load(conn)?;
    found.sort_by_key(|entry| entry.number);
    Ok(found)
}

/// Entries about one report that come after a number, in ledger order.
///
/// # Errors
/// The database's.
pub fn entries_after(
    conn: &mut Conn,
    mission: i32,
    subject: &[u8],
    after: i64,
    limit: i64,
) -> Result<Vec<EntryRow>> {
    Ok(entries::table
        .filter(entries::subject.eq(subject))
        .filter((entries::mission + 0).eq(mission))
        .filter(entries::number.gt(after))
        .order(entries::number.asc())
        .limit(limit)
        .load(conn)?)
}
