//! Figures of a mission for the room's wall: each is one statement over what is there.

use diesel::{
    connection::DefaultLoadingMode,
    dsl::{count_star, exists, max, not},
    prelude::*,
    sql_query,
    sql_types::{BigInt, Integer, Nullable, Text},
};

use super::{
    Conn,
    conn::on_backend,
    ledger::ensure_one,
    schema::{accreditations, missions, reports, triage},
};
use crate::{clock::Micros, domain::status, error::Result};

/// Seconds that a mission has set: silent, untouched.
///
/// # Errors
/// The database's.
pub fn limits(conn: &mut Conn, mission: i32) -> Result<(Option<i64>, Option<i64>)> {
    Ok(missions::table
        .find(mission)
        .select((missions::silent_after, missions::untouched_after))
        .first(conn)?)
}

/// Sets those that are given, at least one.
///
/// # Errors
/// The database's.
pub fn set_limits(
    conn: &mut Conn,
    mission: i32,
    silent: Option<i64>,
    untouched: Option<i64>,
) -> Result<()> {
    let changed = diesel::update(missions::table.find(mission))
        .set((
            silent.map(|seconds| missions::silent_after.eq(seconds)),
            untouched.map(|seconds| missions::untouched_after.eq(seconds)),
        ))
        .execute(conn)?;
    ensure_one(changed)
}

/// What is counted of a report.
#[derive(Debug, Queryable)]
#[expect(missing_docs, reason = "as in `reports`")]
pub struct Outline {
    pub category: String,
    pub severity: Option<String>,
    pub status: String,
    pub station: Option<String>,
    pub withdrawn: bool,
    pub received_at: i64,
}

/// Hands out every report that was not merged into another, in one pass and without holding them all: a group for each
/// figure would read the table as often.
///
/// # Errors
/// The database's.
pub fn each_report(conn: &mut Conn, mission: i32, take: &mut dyn FnMut(&Outline)) -> Result<()> {
    let query = reports::table
        .filter(reports::mission.eq(mission))
        .filter(reports::merged_into.is_null())
        .select((
            reports::category,
            reports::severity,
            reports::status,
            reports::station,
            reports::withdrawn,
            reports::received_at,
        ));
    on_backend!(conn, |inner| {
        for row in query.load_iter::<Outline, DefaultLoadingMode>(inner)? {
            take(&row?);
        }
    });
    Ok(())
}

/// Reports of one station and severity.
#[derive(Debug, QueryableByName)]
pub struct AtStation {
    /// Station code, as observers gave it.
    #[diesel(sql_type = Text)]
    pub station: String,
    /// Severity, if one is known.
    #[diesel(sql_type = Nullable<Text>)]
    pub severity: Option<String>,
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub reports: i64,
}

/// Reports that name a station and were not withdrawn.
///
/// # Errors
/// The database's.
pub fn at_stations(conn: &mut Conn, mission: i32) -> Result<Vec<AtStation>> {
    const SQL: &str = "SELECT station, severity, count(*) AS reports FROM reports \
        WHERE mission = $1 AND NOT withdrawn AND merged_into IS NULL AND station IS NOT NULL GROUP BY station, severity";
    Ok(on_backend!(conn, |inner| sql_query(SQL)
        .bind::<Integer, _>(mission)
        .load(inner))?)
}

/// A critical report that nobody has touched.
#[derive(Clone, Debug, Queryable)]
#[expect(missing_docs, reason = "as in `reports`")]
pub struct UntouchedRow {
    pub id: Vec<u8>,
    pub number: i64,
    pub category: String,
    pub station: Option<String>,
    pub received_at: i64,
}

/// Critical reports as they came: neither decided on nor assigned, ranked, noted on,
/// withdrawn or erased.
macro_rules! untouched {
    ($mission:expr) => {
        reports::table
            .filter(reports::mission.eq($mission))
            .filter(reports::status.eq(status::RECEIVED))
            .filter(reports::severity.eq("critical"))
            .filter(reports::withdrawn.eq(false))
            .filter(reports::erased.eq(false))
            .filter(reports::merged_into.is_null())
            .filter(not(exists(
                triage::table
                    .filter(triage::report.eq(reports::id))
                    .filter((triage::mission + 0).eq($mission)),
            )))
    };
}

/// How many there are; of those that came in at a time or before, how many, and when the
/// last did.
///
/// # Errors
/// The database's.
pub fn count_untouched(
    conn: &mut Conn,
    mission: i32,
    until: Micros,
) -> Result<(i64, i64, Option<i64>)> {
    let all: i64 = untouched!(mission).select(count_star()).first(conn)?;
    if all == 0 {
        return Ok((0, 0, None));
    }
    let (due, last) = untouched!(mission)
        .filter(reports::received_at.le(until.0))
        .select((count_star(), max(reports::received_at)))
        .first(conn)?;
    Ok((all, due, last))
}

/// The oldest of them.
///
/// # Errors
/// The database's.
pub fn oldest_untouched(conn: &mut Conn, mission: i32, limit: i64) -> Result<Vec<UntouchedRow>> {
    Ok(untouched!(mission)
        .order(reports::first_number)
        .limit(limit)
        .select((
            reports::id,
            reports::first_number,
            reports::category,
            reports::station,
            reports::received_at,
        ))
        .load(conn)?)
}

/// Every observer who has a phone that may file: where they went last, and when
/// anything was last heard of them.
const PEOPLE: &str = "WITH last AS (SELECT accreditation, max(number) AS number FROM check_ins \
        WHERE mission = $1 GROUP BY accreditation), \
    phones AS (SELECT devices.accreditation, max(heard_at) AS heard_at FROM devices \
        LEFT JOIN device_contacts ON device_contacts.device = devices.id \
            AND device_contacts.mission = devices.mission \
        WHERE devices.mission = $1 AND revoked_number IS NULL GROUP BY devices.accreditation), \
    people AS (SELECT phones.accreditation, check_ins.station, check_ins.event, \
        CASE WHEN phones.heard_at IS NULL OR phones.heard_at < check_ins.received_at \
            THEN check_ins.received_at ELSE phones.heard_at END AS heard_at FROM phones \
        LEFT JOIN last ON last.accreditation = phones.accreditation \
        LEFT JOIN check_ins ON check_ins.mission = $1 AND check_ins.number = last.number \
        WHERE NOT EXISTS (SELECT 1 FROM revoked_accreditations gone \
            WHERE gone.mission = $1 AND gone.accreditation = phones.accreditation)) ";

/// Whether somebody of [`PEOPLE`] went silent: at a station, or heard of since `$3`
/// without having gone home, and nothing since `$2`.
const SILENT: &str = "heard_at <= $2 AND (event = 'arrived' OR (event IS NULL AND heard_at >= $3))";

/// Observers who have a phone.
#[derive(Debug, QueryableByName)]
pub struct People {
    /// All of them.
    #[diesel(sql_type = BigInt)]
    pub enrolled: i64,
    /// Whose last check-in is an arrival.
    #[diesel(sql_type = BigInt)]
    pub present: i64,
    /// Whose last check-in is a departure.
    #[diesel(sql_type = BigInt)]
    pub departed: i64,
    /// Who went silent.
    #[diesel(sql_type = BigInt)]
    pub silent: i64,
    /// When the one who went silent last was last heard of.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub last_heard_at: Option<i64>,
}

/// Which silence is meant.
#[derive(Clone, Copy, Debug)]
pub struct Silence {
    /// Nothing was heard since.
    pub since: Micros,
    /// Who never checked in counts if something was heard since then.
    pub seen_since: Micros,
}

/// Counts the observers who have a phone.
///
/// # Errors
/// The database's.
pub fn people(conn: &mut Conn, mission: i32, silence: Silence) -> Result<People> {
    let sql = format!(
        "{PEOPLE} SELECT count(*) AS enrolled, \
        count(CASE WHEN {SILENT} THEN 1 END) AS silent, \
        max(CASE WHEN {SILENT} THEN heard_at END) AS last_heard_at, \
        count(CASE WHEN event = 'arrived' THEN 1 END) AS present, \
        count(CASE WHEN event = 'left' THEN 1 END) AS departed FROM people"
    );
    Ok(on_backend!(conn, |inner| sql_query(sql)
        .bind::<Integer, _>(mission)
        .bind::<BigInt, _>(silence.since.0)
        .bind::<BigInt, _>(silence.seen_since.0)
        .get_result(inner))?)
}

/// An observer who went silent.
#[derive(Clone, Debug, QueryableByName)]
pub struct SilentRow {
    /// The number of the accreditation.
    #[diesel(sql_type = Text)]
    pub number: String,
    /// The person's name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// The pseudonym.
    #[diesel(sql_type = Text)]
    pub pseudonym: String,
    /// The institution; may be empty.
    #[diesel(sql_type = Text)]
    pub institution: String,
    /// Where they arrived last, if they did.
    #[diesel(sql_type = Nullable<Text>)]
    pub station: Option<String>,
    /// Its name in the register.
    #[diesel(sql_type = Nullable<Text>)]
    pub station_name: Option<String>,
    /// When anything was last heard of them.
    #[diesel(sql_type = BigInt)]
    pub heard_at: i64,
}

/// Observers who went silent, those who have been so for longest first: those behind a
/// time and a number.
///
/// # Errors
/// The database's.
pub fn silent(
    conn: &mut Conn,
    mission: i32,
    silence: Silence,
    after: Option<(i64, String)>,
    limit: i64,
) -> Result<Vec<SilentRow>> {
    let (heard_at, number) = after.unwrap_or((i64::MIN, String::new()));
    let sql = format!(
        "{PEOPLE} SELECT a.number, a.name, a.pseudonym, a.institution, people.station, \
        stations.name AS station_name, people.heard_at FROM people \
        JOIN accreditations a ON a.mission = $1 AND a.id = people.accreditation \
        LEFT JOIN stations ON stations.mission = $1 AND stations.code = people.station \
        WHERE {SILENT} AND (heard_at > $4 OR (heard_at = $4 AND a.number > $5)) \
        ORDER BY people.heard_at, a.number LIMIT $6"
    );
    Ok(on_backend!(conn, |inner| sql_query(sql)
        .bind::<Integer, _>(mission)
        .bind::<BigInt, _>(silence.since.0)
        .bind::<BigInt, _>(silence.seen_since.0)
        .bind::<BigInt, _>(heard_at)
        .bind::<Text, _>(number)
        .bind::<BigInt, _>(limit)
        .load(inner))?)
}

/// Where observers are.
#[derive(Debug, QueryableByName)]
pub struct Present {
    /// Station code.
    #[diesel(sql_type = Text)]
    pub station: String,
    /// How many observers arrived there last.
    #[diesel(sql_type = BigInt)]
    pub observers: i64,
}

/// Stations that somebody is at: whose last check-in is an arrival there, and whose
/// accreditation stands.
///
/// # Errors
/// The database's.
pub fn present(conn: &mut Conn, mission: i32) -> Result<Vec<Present>> {
    const SQL: &str = "SELECT station, count(*) AS observers FROM check_ins \
        JOIN (SELECT accreditation AS who, max(number) AS latest FROM check_ins \
            WHERE mission = $1 GROUP BY accreditation) last ON last.latest = number \
        WHERE mission = $1 AND event = 'arrived' AND NOT EXISTS (\
            SELECT 1 FROM revoked_accreditations gone \
            WHERE gone.mission = $1 AND gone.accreditation = who) GROUP BY station";
    Ok(on_backend!(conn, |inner| sql_query(SQL)
        .bind::<Integer, _>(mission)
        .load(inner))?)
}

/// Accreditations that stand.
///
/// # Errors
/// The database's.
pub fn registered(conn: &mut Conn, mission: i32) -> Result<i64> {
    use super::schema::revoked_accreditations as gone;
    let all: i64 = accreditations::table
        .filter(accreditations::mission.eq(mission))
        .select(count_star())
        .first(conn)?;
    let revoked: i64 = gone::table
        .filter(gone::mission.eq(mission))
        .select(count_star())
        .first(conn)?;
    Ok(all - revoked)
}
