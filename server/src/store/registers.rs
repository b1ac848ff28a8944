//! Registers: what people import. Rows are added and changed here, never
//! deleted: reports refer to them.

use std::collections::HashMap;

use diesel::{dsl, prelude::*, upsert::excluded};

use super::{
    conn::{Conn, on_backend},
    schema::{accreditations, categories, locations, registers, stations},
};
use crate::{clock::Micros, error::Result};

/// Rows of one statement: SQLite takes 32,766 variables, PostgreSQL 65,535.
const CHUNK: usize = 500;

/// A polling station.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = stations, treat_none_as_default_value = false)]
pub struct Station {
    /// The mission's short key.
    pub mission: i32,
    /// Unique in the mission.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Code of the level just above.
    pub constituency: Option<String>,
    /// Latitude.
    pub lat: Option<f64>,
    /// Longitude.
    pub lon: Option<f64>,
    /// Registered voters.
    pub registered_voters: Option<i64>,
    /// Made up for a demonstration, not from a real register.
    pub generated: bool,
}

/// A location above the stations.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = locations, treat_none_as_default_value = false)]
pub struct Location {
    /// The mission's short key.
    pub mission: i32,
    /// Which level.
    pub level: String,
    /// Unique in its level.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Code of the location above it.
    pub parent: Option<String>,
}

/// A category.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = categories, treat_none_as_default_value = false)]
pub struct Category {
    /// The mission's short key.
    pub mission: i32,
    /// Unique in the mission.
    pub code: String,
    /// Stage of the day.
    pub stage: String,
    /// What it means.
    pub definition: String,
    /// Default severity.
    pub severity: Option<String>,
    /// Labels by language, a JSON object.
    pub labels: String,
}

/// An accreditation.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = accreditations, treat_none_as_default_value = false)]
pub struct Accreditation {
    /// The mission's short key.
    pub mission: i32,
    /// Random; names nobody.
    pub id: Vec<u8>,
    /// As printed on the card; unique in the mission.
    pub number: String,
    /// The observer.
    pub name: String,
    /// `domestic` or `international`.
    pub kind: String,
    /// Who sends the observer.
    pub institution: String,
    /// The observer's country.
    pub country: String,
    /// Codes of the stations assigned, a JSON list.
    pub stations: String,
    /// The name in exports.
    pub pseudonym: String,
}

/// The mission's stations by code.
///
/// # Errors
/// The database's.
pub fn stations(conn: &mut Conn, mission: i32) -> Result<HashMap<String, Station>> {
    let rows: Vec<Station> = stations::table
        .filter(stations::mission.eq(mission))
        .select(Station::as_select())
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| (row.code.clone(), row))
        .collect())
}

/// One station.
///
/// # Errors
/// The database's.
pub fn station(conn: &mut Conn, mission: i32, code: &str) -> Result<Option<Station>> {
    Ok(stations::table
        .find((mission, code))
        .select(Station::as_select())
        .first(conn)
        .optional()?)
}

/// The codes of the mission's stations.
///
/// # Errors
/// The database's.
pub fn station_codes(conn: &mut Conn, mission: i32) -> Result<std::collections::HashSet<String>> {
    let codes: Vec<String> = stations::table
        .filter(stations::mission.eq(mission))
        .select(stations::code)
        .load(conn)?;
    Ok(codes.into_iter().collect())
}

/// The mission's locations by level and code.
///
/// # Errors
/// The database's.
pub fn locations(conn: &mut Conn, mission: i32) -> Result<HashMap<(String, String), Location>> {
    let rows: Vec<Location> = locations::table
        .filter(locations::mission.eq(mission))
        .select(Location::as_select())
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| ((row.level.clone(), row.code.clone()), row))
        .collect())
}

/// The mission's categories by code.
///
/// # Errors
/// The database's.
pub fn categories(conn: &mut Conn, mission: i32) -> Result<HashMap<String, Category>> {
    let rows: Vec<Category> = categories::table
        .filter(categories::mission.eq(mission))
        .select(Category::as_select())
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| (row.code.clone(), row))
        .collect())
}

/// The mission's accreditations by number.
///
/// # Errors
/// The database's.
pub fn accreditations(conn: &mut Conn, mission: i32) -> Result<HashMap<String, Accreditation>> {
    let rows: Vec<Accreditation> = accreditations::table
        .filter(accreditations::mission.eq(mission))
        .select(Accreditation::as_select())
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|row| (row.number.clone(), row))
        .collect())
}

/// Adds stations, or replaces those of the same code. Answers how many rows
/// were written, as do the others.
///
/// # Errors
/// The database's.
pub fn put_stations(conn: &mut Conn, rows: &[Station]) -> Result<usize> {
    let mut written = 0;
    for chunk in rows.chunks(CHUNK) {
        written += on_backend!(conn, |inner| diesel::insert_into(stations::table)
            .values(chunk)
            .on_conflict((stations::mission, stations::code))
            .do_update()
            .set((
                stations::name.eq(excluded(stations::name)),
                stations::constituency.eq(excluded(stations::constituency)),
                stations::lat.eq(excluded(stations::lat)),
                stations::lon.eq(excluded(stations::lon)),
                stations::registered_voters.eq(excluded(stations::registered_voters)),
                stations::generated.eq(excluded(stations::generated)),
            ))
            .execute(inner))?;
    }
    Ok(written)
}

/// Adds locations, or replaces those of the same level and code.
///
/// # Errors
/// The database's.
pub fn put_locations(conn: &mut Conn, rows: &[Location]) -> Result<usize> {
    let mut written = 0;
    for chunk in rows.chunks(CHUNK) {
        written += on_backend!(conn, |inner| diesel::insert_into(locations::table)
            .values(chunk)
            .on_conflict((locations::mission, locations::level, locations::code))
            .do_update()
            .set((
                locations::name.eq(excluded(locations::name)),
                locations::parent.eq(excluded(locations::parent)),
            ))
            .execute(inner))?;
    }
    Ok(written)
}

/// Adds categories, or replaces those of the same code.
///
/// # Errors
/// The database's.
pub fn put_categories(conn: &mut Conn, rows: &[Category]) -> Result<usize> {
    let mut written = 0;
    for chunk in rows.chunks(CHUNK) {
        written += on_backend!(conn, |inner| diesel::insert_into(categories::table)
            .values(chunk)
            .on_conflict((categories::mission, categories::code))
            .do_update()
            .set((
                categories::stage.eq(excluded(categories::stage)),
                categories::definition.eq(excluded(categories::definition)),
                categories::severity.eq(excluded(categories::severity)),
                categories::labels.eq(excluded(categories::labels)),
            ))
            .execute(inner))?;
    }
    Ok(written)
}

/// Adds accreditations, or replaces those of the same number; their id stays.
///
/// # Errors
/// The database's.
pub fn put_accreditations(
    conn: &mut Conn,
    rows: &[Accreditation],
    mut progress: impl FnMut(usize),
) -> Result<usize> {
    let mut written = 0;
    for chunk in rows.chunks(CHUNK) {
        written += on_backend!(conn, |inner| diesel::insert_into(accreditations::table)
            .values(chunk)
            .on_conflict((accreditations::mission, accreditations::number))
            .do_update()
            .set((
                accreditations::name.eq(excluded(accreditations::name)),
                accreditations::kind.eq(excluded(accreditations::kind)),
                accreditations::institution.eq(excluded(accreditations::institution)),
                accreditations::country.eq(excluded(accreditations::country)),
                accreditations::stations.eq(excluded(accreditations::stations)),
            ))
            .execute(inner))?;
        progress(chunk.len());
    }
    Ok(written)
}

/// The newest version of a register, and the SHA-256 of its file.
///
/// # Errors
/// The database's.
pub fn newest_version(conn: &mut Conn, mission: i32, kind: &str) -> Result<Option<(i64, Vec<u8>)>> {
    Ok(registers::table
        .filter(registers::mission.eq(mission).and(registers::kind.eq(kind)))
        .order(registers::version.desc())
        .select((registers::version, registers::sha256))
        .first(conn)
        .optional()?)
}

/// Writes down that a register has a new version; answers it.
///
/// # Errors
/// The database's.
pub fn record_version(
    conn: &mut Conn,
    mission: i32,
    kind: &str,
    sha256: [u8; 32],
    now: Micros,
) -> Result<i64> {
    let last: Option<i64> = registers::table
        .filter(registers::mission.eq(mission).and(registers::kind.eq(kind)))
        .select(dsl::max(registers::version))
        .first(conn)?;
    let version = last.unwrap_or(0) + 1;
    diesel::insert_into(registers::table)
        .values((
            registers::mission.eq(mission),
            registers::kind.eq(kind),
            registers::version.eq(version),
            registers::sha256.eq(sha256.as_slice()),
            registers::imported_at.eq(now.0),
        ))
        .execute(conn)?;
    Ok(version)
}
