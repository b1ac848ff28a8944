//! Reports as they are asked for. Every function takes the caller's mission.

use std::collections::HashMap;

use diesel::{
    dsl::{exists, not, sql},
    prelude::*,
    sql_types::{Bool, Integer, Text},
};
use protocol::entry::Severity;

use super::{
    Conn,
    projections::ReportRow,
    schema::{accreditations, case_members, devices, evidence, reports, triage},
    search,
};
use crate::{
    domain::{
        reports::{Filter, Merged},
        text::fold,
    },
    error::Result,
};

/// A query over `reports`, for either database, still without order and limit.
pub type Filtered = reports::BoxedQuery<'static, <Conn as Connection>::Backend>;

/// The reports of one mission that fit the filter.
///
/// # Errors
/// The database's.
pub fn filtered(conn: &mut Conn, mission: i32, filter: &Filter) -> Result<Filtered> {
    let query = compared(mission, filter);
    let Some(text) = &filter.text else {
        return Ok(query);
    };
    Ok(match search::narrowed(conn, mission, &fold(text))? {
        Some(narrowed) => narrowed.of(query),
        None => query,
    })
}

/// The same, without the help of the index over words.
fn compared(mission: i32, filter: &Filter) -> Filtered {
    let mut query = reports::table
        .into_boxed()
        .filter(reports::mission.eq(mission));
    if !filter.status.is_empty() {
        query = query.filter(reports::status.eq_any(filter.status.clone()));
    }
    if !filter.severity.is_empty() {
        let named: Vec<&str> = filter
            .severity
            .iter()
            .flatten()
            .map(|severity: &Severity| severity.name())
            .collect();
        query = if named.len() < filter.severity.len() {
            query.filter(
                reports::severity
                    .is_null()
                    .or(reports::severity.eq_any(named).assume_not_null()),
            )
        } else {
            query.filter(reports::severity.eq_any(named))
        };
    }
    if !filter.category.is_empty() {
        query = query.filter(reports::category.eq_any(filter.category.clone()));
    }
    if !filter.station.is_empty() {
        query = query.filter(reports::station.eq_any(filter.station.clone()));
    }
    if !filter.constituency.is_empty() {
        query = query.filter(reports::constituency.eq_any(filter.constituency.clone()));
    }
    if !filter.observer.is_empty() {
        let observers = accreditations::table
            .filter(accreditations::mission.eq(mission))
            .filter(accreditations::pseudonym.eq_any(filter.observer.clone()))
            .select(accreditations::id.nullable());
        query = query.filter(reports::accreditation.eq_any(observers));
    }
    if !filter.assignee.is_empty() {
        let assigned = || {
            triage::table
                .filter(triage::report.eq(reports::id))
                .filter((triage::mission + 0).eq(mission))
        };
        let people: Vec<Vec<u8>> = filter
            .assignee
            .iter()
            .flatten()
            .map(|id| id.as_bytes().to_vec())
            .collect();
        let theirs = exists(assigned().filter(triage::assignee.eq_any(people.clone())));
        query = if people.len() < filter.assignee.len() {
            let taken = exists(assigned().filter(triage::assignee.is_not_null()));
            query.filter(theirs.or(not(taken)))
        } else {
            query.filter(theirs)
        };
    }
    if !filter.case.is_empty() {
        let cases = filter.case.iter().map(|id| id.as_bytes().to_vec());
        let members = case_members::table
            .filter(case_members::mission.eq(mission))
            .filter(case_members::case_id.eq_any(cases.collect::<Vec<_>>()))
            .select(case_members::report);
        query = query.filter(reports::id.eq_any(members));
    }
    if let Some(time) = filter.received_from {
        query = query.filter(reports::received_at.ge(time.0));
    }
    if let Some(time) = filter.received_to {
        query = query.filter(reports::received_at.lt(time.0));
    }
    if let Some(time) = filter.observed_from {
        query = query.filter(reports::observed_at.ge(time.0));
    }
    if let Some(time) = filter.observed_to {
        query = query.filter(reports::observed_at.lt(time.0));
    }
    if let Some(text) = &filter.text {
        query = query.filter(
            sql::<Bool>("reports.folded LIKE ")
                .bind::<Text, _>(containing(&fold(text)))
                .sql(" ESCAPE '!'"),
        );
    }
    if filter.flags != 0 {
        query = query.filter(
            sql::<Bool>("(reports.flags & ")
                .bind::<Integer, _>(filter.flags)
                .sql(") <> 0"),
        );
    }
    if let Some(place) = filter.bbox {
        query = query.filter(reports::lat.between(place.min_lat, place.max_lat));
        query = if place.min_lon <= place.max_lon {
            query.filter(reports::lon.between(place.min_lon, place.max_lon))
        } else {
            query.filter(
                reports::lon
                    .ge(place.min_lon)
                    .or(reports::lon.le(place.max_lon)),
            )
        };
    }
    if let Some(withdrawn) = filter.withdrawn {
        query = query.filter(reports::withdrawn.eq(withdrawn));
    }
    match filter.merged {
        Some(Merged::Only) => query = query.filter(reports::merged_into.is_not_null()),
        Some(Merged::Without) => query = query.filter(reports::merged_into.is_null()),
        Some(Merged::Any) | None => {}
    }
    if let Some(wanted) = filter.evidence {
        let files = || {
            evidence::table
                .filter(evidence::report.eq(reports::id))
                .filter((evidence::mission + 0).eq(mission))
                .filter(evidence::standing.ne("quarantined"))
        };
        query = if wanted {
            query.filter(exists(files()))
        } else {
            query.filter(not(exists(files())))
        };
    }
    query
}

/// A LIKE pattern for "contains", with `!` as its escape.
fn containing(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for char in text.chars() {
        if matches!(char, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(char);
    }
    pattern.push('%');
    pattern
}

/// Reports that fit, the newest first: those before a number.
///
/// # Errors
/// The database's.
pub fn page(
    conn: &mut Conn,
    mission: i32,
    filter: &Filter,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<ReportRow>> {
    let mut query = filtered(conn, mission, filter)?
        .order(reports::first_number.desc())
        .limit(limit);
    if let Some(before) = before {
        query = query.filter(reports::first_number.lt(before));
    }
    Ok(query.load::<ReportRow>(conn)?)
}

/// Who an accreditation is to readers: a pseudonym and an institution.
#[derive(Clone, Debug, Queryable)]
pub struct Observer {
    /// Which.
    pub accreditation: Vec<u8>,
    /// Its pseudonym.
    pub pseudonym: String,
    /// Its institution; may be empty.
    pub institution: String,
}

/// The observers behind these accreditations.
///
/// # Errors
/// The database's.
pub fn observers(conn: &mut Conn, mission: i32, ids: &[Vec<u8>]) -> Result<Vec<Observer>> {
    Ok(accreditations::table
        .filter(accreditations::mission.eq(mission))
        .filter(accreditations::id.eq_any(ids))
        .select((
            accreditations::id,
            accreditations::pseudonym,
            accreditations::institution,
        ))
        .load::<Observer>(conn)?)
}

/// A device's observer and key.
#[derive(Clone, Debug, Queryable)]
pub struct Signer {
    /// Which device.
    pub device: Vec<u8>,
    /// Its public key, as JSON.
    pub jwk: String,
    /// Its observer's pseudonym.
    pub pseudonym: String,
}

/// Keys and observers of these devices.
///
/// # Errors
/// The database's.
pub fn signers(conn: &mut Conn, mission: i32, ids: &[Vec<u8>]) -> Result<Vec<Signer>> {
    Ok(devices::table
        .inner_join(
            accreditations::table.on(accreditations::mission
                .eq(devices::mission)
                .and(accreditations::id.eq(devices::accreditation))),
        )
        .filter(devices::mission.eq(mission))
        .filter(devices::id.eq_any(ids))
        .select((devices::id, devices::jwk, accreditations::pseudonym))
        .load::<Signer>(conn)?)
}

/// How many reports name each of these stations.
///
/// # Errors
/// The database's.
pub fn by_station(
    conn: &mut Conn,
    mission: i32,
    stations: &[String],
) -> Result<HashMap<String, i64>> {
    let rows: Vec<(Option<String>, i64)> = reports::table
        .filter(reports::mission.eq(mission))
        .filter(reports::station.eq_any(stations))
        .group_by(reports::station)
        .select((reports::station, diesel::dsl::count_star()))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .filter_map(|(station, count)| Some((station?, count)))
        .collect())
}
