//! Which reports coordinators count to one event, and which pairs they keep apart.

use diesel::{dsl, prelude::*};

use super::{
    Conn,
    ledger::{CHUNK, ensure_one},
    projections::ReportRow,
    schema::{accreditations, case_members, kept_apart, reports},
};
use crate::error::Result;

/// A report in its case.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = case_members)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct Member {
    pub mission: i32,
    pub report: Vec<u8>,
    pub case_id: Vec<u8>,
    pub stance: String,
    pub number: i64,
}

/// A member of a case with what its corroboration is counted from.
#[derive(Clone, Debug, Queryable)]
pub struct Account {
    /// The case.
    pub case_id: Vec<u8>,
    /// The report.
    pub report: Vec<u8>,
    /// `agrees` or `contradicts`.
    pub stance: String,
    /// Whose report it is; `None` for a citizen's by telephone.
    pub accreditation: Option<Vec<u8>>,
    /// Who sends the observer; `None` if the register knows nobody.
    pub institution: Option<String>,
    /// The report's status.
    pub status: String,
    /// Whether the observer took it back.
    pub withdrawn: bool,
    /// The report that tells the same, if somebody said so.
    pub merged_into: Option<Vec<u8>>,
}

/// The case of a report, be it alone in it.
///
/// # Errors
/// The database's.
pub fn of_report(conn: &mut Conn, mission: i32, report: &[u8]) -> Result<Option<Member>> {
    Ok(case_members::table
        .find((report, mission))
        .first(conn)
        .optional()?)
}

/// The cases of these reports, as far as they are in one.
///
/// # Errors
/// The database's.
pub fn of_reports(conn: &mut Conn, mission: i32, all: &[Vec<u8>]) -> Result<Vec<Member>> {
    let mut found = Vec::new();
    for chunk in all.chunks(CHUNK) {
        found.extend(
            case_members::table
                .filter(case_members::report.eq_any(chunk.to_vec()))
                .filter((case_members::mission + 0).eq(mission))
                .load::<Member>(conn)?,
        );
    }
    Ok(found)
}

/// The reports of a case, in the order in which they came in.
///
/// # Errors
/// The database's.
pub fn members(conn: &mut Conn, mission: i32, case: &[u8]) -> Result<Vec<(Member, ReportRow)>> {
    Ok(case_members::table
        .inner_join(
            reports::table.on(reports::mission
                .eq(case_members::mission)
                .and(reports::id.eq(case_members::report))),
        )
        .filter(case_members::mission.eq(mission))
        .filter(case_members::case_id.eq(case))
        .order(reports::first_number)
        .load(conn)?)
}

/// The members of these cases, with what is counted.
///
/// # Errors
/// The database's.
pub fn accounts(conn: &mut Conn, mission: i32, cases: &[Vec<u8>]) -> Result<Vec<Account>> {
    let mut found = Vec::new();
    for chunk in cases.chunks(CHUNK) {
        found.extend(
            case_members::table
                .inner_join(
                    reports::table.on(reports::mission
                        .eq(case_members::mission)
                        .and(reports::id.eq(case_members::report))),
                )
                .left_join(
                    accreditations::table.on(accreditations::mission
                        .eq(reports::mission)
                        .and(accreditations::id.eq(reports::accreditation.assume_not_null()))),
                )
                .filter(case_members::mission.eq(mission))
                .filter(case_members::case_id.eq_any(chunk.to_vec()))
                .order(reports::first_number)
                .select((
                    case_members::case_id,
                    case_members::report,
                    case_members::stance,
                    reports::accreditation,
                    accreditations::institution.nullable(),
                    reports::status,
                    reports::withdrawn,
                    reports::merged_into,
                ))
                .load::<Account>(conn)?,
        );
    }
    Ok(found)
}

/// Cases of two reports or more by their latest entry, the newest first: those before a
/// number.
///
/// # Errors
/// The database's.
pub fn page(
    conn: &mut Conn,
    mission: i32,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<(Vec<u8>, i64)>> {
    let latest = dsl::max(case_members::number).assume_not_null();
    Ok(case_members::table
        .filter(case_members::mission.eq(mission))
        .group_by(case_members::case_id)
        .having(latest.lt(before.unwrap_or(i64::MAX)))
        .having(dsl::count_star().gt(1))
        .select((case_members::case_id, latest))
        .order((latest.desc(), case_members::case_id))
        .limit(limit)
        .load(conn)?)
}

/// Puts a report in a case, whatever case it was in.
///
/// # Errors
/// The database's.
pub fn put(conn: &mut Conn, member: &Member) -> Result<()> {
    remove(conn, member.mission, &member.report)?;
    ensure_one(
        diesel::insert_into(case_members::table)
            .values(member)
            .execute(conn)?,
    )
}

/// Takes a report out of its case, if it is in one.
///
/// # Errors
/// The database's.
pub fn remove(conn: &mut Conn, mission: i32, report: &[u8]) -> Result<()> {
    diesel::delete(case_members::table.find((report, mission))).execute(conn)?;
    Ok(())
}

/// Keeps two reports apart.
///
/// # Errors
/// The database's.
pub fn keep_apart(
    conn: &mut Conn,
    mission: i32,
    (one, other): (&[u8], &[u8]),
    number: i64,
) -> Result<()> {
    join_again(conn, mission, (one, other))?;
    for (report, other) in [(one, other), (other, one)] {
        diesel::insert_into(kept_apart::table)
            .values((
                kept_apart::mission.eq(mission),
                kept_apart::report.eq(report),
                kept_apart::other.eq(other),
                kept_apart::number.eq(number),
            ))
            .execute(conn)?;
    }
    Ok(())
}

/// Forgets that two reports are kept apart.
///
/// # Errors
/// The database's.
pub fn join_again(conn: &mut Conn, mission: i32, (one, other): (&[u8], &[u8])) -> Result<()> {
    for (report, other) in [(one, other), (other, one)] {
        diesel::delete(kept_apart::table.find((report, other, mission))).execute(conn)?;
    }
    Ok(())
}

/// The reports that are kept apart from one.
///
/// # Errors
/// The database's.
pub fn apart_from(conn: &mut Conn, mission: i32, report: &[u8]) -> Result<Vec<Vec<u8>>> {
    Ok(kept_apart::table
        .filter(kept_apart::report.eq(report))
        .filter((kept_apart::mission + 0).eq(mission))
        .order(kept_apart::number)
        .select(kept_apart::other)
        .load(conn)?)
}

/// Where reports like one are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The report itself.
    pub first_number: i64,
    /// Received at or after, in microseconds.
    pub from: i64,
    /// Received at or before.
    pub to: i64,
    /// Its station and those nearby.
    pub stations: &'a [String],
    /// Its category.
    pub category: &'a str,
    /// How many of each kind, before it and after it.
    pub limit: i64,
}

/// Reports that came in near one and name a station near it, or have its category: the
/// nearest in the ledger first.
///
/// # Errors
/// The database's.
pub fn around(conn: &mut Conn, mission: i32, near: &Around<'_>) -> Result<Vec<ReportRow>> {
    let mut found = Vec::new();
    let all = || {
        reports::table
            .into_boxed()
            .filter(reports::mission.eq(mission))
            .filter(reports::received_at.between(near.from, near.to))
            .filter(reports::erased.eq(false))
            .filter(reports::withdrawn.eq(false))
            .filter(reports::merged_into.is_null())
            .limit(near.limit)
    };
    for earlier in [true, false] {
        let side = |query: super::reports_query::Filtered| {
            if earlier {
                query
                    .filter(reports::first_number.lt(near.first_number))
                    .order(reports::first_number.desc())
            } else {
                query
                    .filter(reports::first_number.gt(near.first_number))
                    .order(reports::first_number.asc())
            }
        };
        let alike = side(all().filter(reports::category.eq(near.category.to_owned())));
        found.extend(alike.load::<ReportRow>(conn)?);
        // One station at a time: each walks its own stretch of the index.
        for station in near.stations {
            let there = side(all().filter(reports::station.eq(station.clone())));
            found.extend(there.load::<ReportRow>(conn)?);
        }
    }
    found.sort_by_key(|row| {
        let away = (row.first_number - near.first_number).abs();
        (away, row.first_number)
    });
    found.dedup_by_key(|row| row.first_number);
    Ok(found)
}

/// Empties what a rebuild fills again.
pub(super) fn clear(conn: &mut Conn, mission: i32) -> Result<()> {
    diesel::delete(case_members::table.filter(case_members::mission.eq(mission))).execute(conn)?;
    diesel::delete(kept_apart::table.filter(kept_apart::mission.eq(mission))).execute(conn)?;
    Ok(())
}

/// What a rebuild must reproduce.
#[cfg(test)]
pub(super) fn dump(conn: &mut Conn) -> Result<Vec<String>> {
    let members = case_members::table
        .order((case_members::mission, case_members::report))
        .load::<Member>(conn)?;
    let apart = kept_apart::table
        .order((kept_apart::mission, kept_apart::report, kept_apart::other))
        .load::<(i32, Vec<u8>, Vec<u8>, i64)>(conn)?;
    Ok(members
        .iter()
        .map(|row| format!("{row:?}"))
        .chain(apart.iter().map(|row| format!("apart {row:?}")))
        .collect())
}
