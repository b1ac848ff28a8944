//! The projections' rows: what the ledger adds up to.

use std::collections::BTreeMap;

use diesel::prelude::*;

use super::{
    conn::{Conn, on_backend},
    ledger::{CHUNK, ensure_one},
    schema::{
        categories, check_ins, devices, evidence, inbox, missions, registers, reports,
        revoked_accreditations, stations, triage,
    },
};
use crate::error::Result;

/// A report as it stands.
#[derive(Clone, Debug, PartialEq, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = reports, treat_none_as_null = true, treat_none_as_default_value = false)]
#[diesel(primary_key(mission, first_number))]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct ReportRow {
    pub mission: i32,
    pub first_number: i64,
    pub id: Vec<u8>,
    pub version: i64,
    pub head: Vec<u8>,
    pub revisions: i32,
    pub accreditation: Option<Vec<u8>>,
    pub device: Option<Vec<u8>>,
    pub category: String,
    pub severity: Option<String>,
    pub own_severity: bool,
    pub text: Option<String>,
    pub folded: Option<String>,
    pub station: Option<String>,
    pub constituency: Option<String>,
    pub lat: Option<f64>,
    pub lon: Option<f64>,
    pub accuracy: Option<f64>,
    pub observed_at: Option<i64>,
    pub filed_at: Option<i64>,
    pub received_at: i64,
    pub updated_at: i64,
    pub status: String,
    pub withdrawn: bool,
    pub erased: bool,
    pub flags: i32,
    pub entered_by: Option<Vec<u8>>,
    pub merged_into: Option<Vec<u8>>,
}

/// An arrival or a departure.
#[derive(Clone, Debug, PartialEq, Queryable, Insertable)]
#[diesel(table_name = check_ins, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct CheckInRow {
    pub mission: i32,
    pub number: i64,
    pub accreditation: Vec<u8>,
    pub device: Vec<u8>,
    pub station: String,
    pub event: String,
    pub at: Option<i64>,
    pub received_at: i64,
}

/// An enrolled device.
#[derive(Clone, Debug, PartialEq, Queryable, Insertable)]
#[diesel(table_name = devices, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct NewDevice {
    pub mission: i32,
    pub id: Vec<u8>,
    pub kid: String,
    pub jwk: String,
    pub accreditation: Vec<u8>,
    pub enrolled_number: i64,
    pub revoked_number: Option<i64>,
}

/// Reports with a station or a place, after a number.
///
/// # Errors
/// The database's.
pub fn placed_reports(
    conn: &mut Conn,
    mission: i32,
    after: i64,
    limit: i64,
) -> Result<Vec<ReportRow>> {
    Ok(reports::table
        .filter(
            reports::mission
                .eq(mission)
                .and(reports::first_number.gt(after)),
        )
        .filter(
            reports::station
                .is_not_null()
                .or(reports::lat.is_not_null()),
        )
        .order(reports::first_number)
        .limit(limit)
        .load::<ReportRow>(conn)?)
}

/// The default severities of these categories.
///
/// # Errors
/// The database's.
pub fn default_severities(
    conn: &mut Conn,
    mission: i32,
    codes: &[&str],
) -> Result<Vec<(String, Option<String>)>> {
    let mut found = Vec::new();
    for chunk in codes.chunks(CHUNK) {
        found.extend(
            categories::table
                .filter(
                    categories::mission
                        .eq(mission)
                        .and(categories::code.eq_any(chunk)),
                )
                .select((categories::code, categories::severity))
                .load::<(String, Option<String>)>(conn)?,
        );
    }
    Ok(found)
}

/// Gives every report without a severity of its own its category's default,
/// after the register changed.
///
/// # Errors
/// The database's.
pub fn reproject_severities(conn: &mut Conn, mission: i32) -> Result<()> {
    let all: Vec<(String, Option<String>)> = categories::table
        .filter(categories::mission.eq(mission))
        .select((categories::code, categories::severity))
        .load(conn)?;
    for (code, severity) in all {
        diesel::update(reports::table)
            .filter(reports::mission.eq(mission).and(reports::category.eq(code)))
            .filter(reports::own_severity.eq(false))
            .set(reports::severity.eq(severity))
            .execute(conn)?;
    }
    Ok(())
}

/// Writes a report again.
///
/// # Errors
/// The database's.
pub fn update_report(conn: &mut Conn, row: &ReportRow) -> Result<()> {
    let changed = diesel::update(reports::table.find((row.mission, row.first_number)))
        .set(row)
        .execute(conn)?;
    ensure_one(changed)
}

/// Adds check-ins.
///
/// # Errors
/// The database's.
pub fn insert_check_ins(conn: &mut Conn, rows: &[CheckInRow]) -> Result<()> {
    for chunk in rows.chunks(CHUNK) {
        on_backend!(conn, |inner| diesel::insert_into(check_ins::table)
            .values(chunk)
            .execute(inner))?;
    }
    Ok(())
}

/// Adds a device.
///
/// # Errors
/// The database's; a key that is enrolled already violates `devices.kid`.
pub fn insert_device(conn: &mut Conn, row: &NewDevice) -> Result<()> {
    ensure_one(
        diesel::insert_into(devices::table)
            .values(row)
            .execute(conn)?,
    )
}

/// Marks a device as revoked by a ledger entry; `false` if it was already.
///
/// # Errors
/// The database's.
pub fn revoke_device(conn: &mut Conn, mission: i32, id: &[u8], number: i64) -> Result<bool> {
    let changed = diesel::update(devices::table.find((mission, id)))
        .filter(devices::revoked_number.is_null())
        .set(devices::revoked_number.eq(number))
        .execute(conn)?;
    Ok(changed == 1)
}

/// A device by its id.
///
/// # Errors
/// The database's.
pub fn device(conn: &mut Conn, mission: i32, id: &[u8]) -> Result<Option<NewDevice>> {
    Ok(devices::table
        .filter(devices::id.eq(id))
        .filter((devices::mission + 0).eq(mission))
        .first::<NewDevice>(conn)
        .optional()?)
}

/// A device by its key, in any mission.
///
/// # Errors
/// The database's.
pub fn device_by_kid(conn: &mut Conn, kid: &str) -> Result<Option<NewDevice>> {
    Ok(devices::table
        .filter(devices::kid.eq(kid))
        .first::<NewDevice>(conn)
        .optional()?)
}

/// Marks an accreditation as revoked by a ledger entry.
///
/// # Errors
/// The database's.
pub fn revoke_accreditation(conn: &mut Conn, mission: i32, id: &[u8], number: i64) -> Result<()> {
    ensure_one(
        diesel::insert_into(revoked_accreditations::table)
            .values((
                revoked_accreditations::mission.eq(mission),
                revoked_accreditations::accreditation.eq(id),
                revoked_accreditations::number.eq(number),
            ))
            .execute(conn)?,
    )
}

/// Whether an accreditation is revoked.
///
/// # Errors
/// The database's.
pub fn is_accreditation_revoked(conn: &mut Conn, mission: i32, id: &[u8]) -> Result<bool> {
    Ok(diesel::select(diesel::dsl::exists(
        revoked_accreditations::table.find((mission, id)),
    ))
    .get_result(conn)?)
}

/// A station as the flags need it.
#[derive(Clone, Debug, PartialEq, Queryable)]
pub struct StationPoint {
    /// Its code.
    pub code: String,
    /// The location above it.
    pub constituency: Option<String>,
    /// Degrees, where known.
    pub lat: Option<f64>,
    /// Degrees, where known.
    pub lon: Option<f64>,
}

/// The version of each register of a mission that has been imported.
///
/// # Errors
/// The database's.
pub fn register_versions(conn: &mut Conn, mission: i32) -> Result<BTreeMap<String, i64>> {
    let versions: Vec<(String, Option<i64>)> = on_backend!(conn, |inner| registers::table
        .filter(registers::mission.eq(mission))
        .group_by(registers::kind)
        .select((registers::kind, diesel::dsl::max(registers::version)))
        .load(inner))?;
    Ok(versions
        .into_iter()
        .filter_map(|(kind, version)| Some((kind, version?)))
        .collect())
}

/// The stations with these codes.
///
/// # Errors
/// The database's.
pub fn station_points(conn: &mut Conn, mission: i32, codes: &[&str]) -> Result<Vec<StationPoint>> {
    let mut found = Vec::new();
    for chunk in codes.chunks(CHUNK) {
        found.extend(
            stations::table
                .filter(
                    stations::mission
                        .eq(mission)
                        .and(stations::code.eq_any(chunk)),
                )
                .select((
                    stations::code,
                    stations::constituency,
                    stations::lat,
                    stations::lon,
                ))
                .load::<StationPoint>(conn)?,
        );
    }
    Ok(found)
}

/// The box of a mission's stations: south, north, west, east.
///
/// # Errors
/// The database's.
pub fn station_box(conn: &mut Conn, mission: i32) -> Result<Option<[f64; 4]>> {
    let (south, north, west, east): (Option<f64>, Option<f64>, Option<f64>, Option<f64>) =
        missions::table
            .find(mission)
            .select((
                missions::min_lat,
                missions::max_lat,
                missions::min_lon,
                missions::max_lon,
            ))
            .first(conn)?;
    Ok(south
        .zip(north)
        .zip(west.zip(east))
        .map(|((south, north), (west, east))| [south, north, west, east]))
}

/// Every mission: short key and id.
///
/// # Errors
/// The database's.
pub fn mission_keys(conn: &mut Conn) -> Result<Vec<(i32, Vec<u8>)>> {
    Ok(missions::table
        .select((missions::no, missions::id))
        .order(missions::no)
        .load(conn)?)
}

/// Empties what [`crate::domain::rebuild`] fills again.
///
/// # Errors
/// The database's.
pub fn clear(conn: &mut Conn, mission: i32) -> Result<()> {
    diesel::delete(reports::table.filter(reports::mission.eq(mission))).execute(conn)?;
    diesel::delete(check_ins::table.filter(check_ins::mission.eq(mission))).execute(conn)?;
    diesel::delete(devices::table.filter(devices::mission.eq(mission))).execute(conn)?;
    diesel::delete(
        revoked_accreditations::table.filter(revoked_accreditations::mission.eq(mission)),
    )
    .execute(conn)?;
    diesel::delete(inbox::table.filter(inbox::mission.eq(mission))).execute(conn)?;
    diesel::delete(triage::table.filter(triage::mission.eq(mission))).execute(conn)?;
    super::cases::clear(conn, mission)?;
    super::search::clear(conn, mission)?;
    diesel::delete(evidence::table.filter(evidence::mission.eq(mission))).execute(conn)?;
    Ok(())
}

/// Everything that a rebuild must reproduce, as text to compare.
#[cfg(test)]
pub fn dump(conn: &mut Conn, mission: i32) -> Result<Vec<String>> {
    use super::{bulk::Contact, schema::entries, schema::journal_contacts};
    let mut lines = Vec::new();
    let mut add = |rows: Vec<String>| lines.extend(rows);
    add(vec![format!("{:?}", super::ledger::head(conn, mission)?)]);
    add(reports::table
        .filter(reports::mission.eq(mission))
        .order(reports::first_number)
        .load::<ReportRow>(conn)?
        .iter()
        .map(|row| format!("{row:?}"))
        .collect());
    add(check_ins::table
        .order(check_ins::number)
        .load::<CheckInRow>(conn)?
        .iter()
        .map(|r| format!("{r:?}"))
        .collect());
    add(devices::table
        .order(devices::enrolled_number)
        .load::<NewDevice>(conn)?
        .iter()
        .map(|r| format!("{r:?}"))
        .collect());
    add(revoked_accreditations::table
        .order(revoked_accreditations::number)
        .load::<(i32, Vec<u8>, i64)>(conn)?
        .iter()
        .map(|row| format!("revoked {row:?}"))
        .collect());
    add(inbox::table
        .order(inbox::number)
        .load::<(i32, Vec<u8>, i64, Option<i64>)>(conn)?
        .iter()
        .map(|r| format!("inbox {r:?}"))
        .collect());
    add(triage::table
        .order(triage::report)
        .load::<super::triage::TriageRow>(conn)?
        .iter()
        .map(|row| format!("{row:?}"))
        .collect());
    add(super::cases::dump(conn)?);
    add(evidence::table
        .order((evidence::number, evidence::preview))
        .load::<super::evidence::AnnouncedRow>(conn)?
        .iter()
        .map(|row| format!("{row:?}"))
        .collect());
    add(entries::table
        .order(entries::number)
        .select((entries::number, entries::standing))
        .load::<(i64, String)>(conn)?
        .iter()
        .map(|row| format!("standing {row:?}"))
        .collect());
    add(journal_contacts::table
        .order(journal_contacts::journal)
        .load::<Contact>(conn)?
        .iter()
        .map(|row| format!("{row:?}"))
        .collect());
    Ok(lines)
}
