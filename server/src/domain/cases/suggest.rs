//! Which reports may tell of the same event as one: looked for among those that came within
//! half a day and name a station near it or have its category.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use uuid::Uuid;

use super::likeness::{ENOUGH, Likeness, NEAR, Traits};
use crate::{
    domain::{
        acts::MissionRef,
        flags,
        reports::{self, Report},
    },
    error::Result,
    store::{
        Conn, bulk,
        cases::{self as store, Around},
        projections::ReportRow,
        registers::{self, Station},
    },
};

/// How far apart two reports may have come: longer than a network is away, as a rule.
const WITHIN: i64 = 12 * 60 * 60 * 1_000_000;
/// Reports of one kind that are compared, on each side.
const LOOKED_AT: i64 = 200;
/// Stations nearby that are looked at.
const STATIONS: usize = 10;
/// Suggestions given.
const GIVEN: usize = 8;

/// A report that may tell of the same event.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Suggestion {
    /// It.
    pub report: Report,
    /// Why.
    pub likeness: Likeness,
}

/// The likeliest first; none for a report that was erased or taken back.
///
/// # Errors
/// The database's.
pub fn suggestions(conn: &mut Conn, mission: MissionRef, report: Uuid) -> Result<Vec<Suggestion>> {
    let id = report.as_bytes().to_vec();
    let Some(row) = bulk::reports_by_id(conn, mission.no, std::slice::from_ref(&id))?.pop() else {
        return Ok(Vec::new());
    };
    if row.erased || row.withdrawn {
        return Ok(Vec::new());
    }
    let stations = registers::stations(conn, mission.no)?;
    let stages: HashMap<String, String> = registers::categories(conn, mission.no)?
        .into_iter()
        .map(|(code, category)| (code, category.stage))
        .collect();
    let near = Around {
        first_number: row.first_number,
        from: row.received_at.saturating_sub(WITHIN),
        to: row.received_at.saturating_add(WITHIN),
        stations: &nearby(&row, &stations),
        category: &row.category,
        limit: LOOKED_AT,
    };
    let mut found = store::around(conn, mission.no, &near)?;
    let ruled_out = ruled_out(conn, mission, &id, &found)?;
    found.retain(|other| !ruled_out.contains(&other.id));

    let traits = |row| traits(row, &stations, &stages);
    let own = traits(&row);
    let mut scored: Vec<(Likeness, &ReportRow)> = found
        .iter()
        .map(|other| (own.compare(&traits(other)), other))
        .filter(|(likeness, _)| likeness.score >= ENOUGH)
        .collect();
    scored.sort_by(|(one, _), (two, _)| two.score.total_cmp(&one.score));
    scored.truncate(GIVEN);
    let (likenesses, rows): (Vec<_>, Vec<_>) = scored
        .into_iter()
        .map(|(likeness, row)| (likeness, row.clone()))
        .unzip();
    let described = reports::described(conn, mission, rows)?;
    Ok(described
        .into_iter()
        .zip(likenesses)
        .map(|(report, likeness)| Suggestion { report, likeness })
        .collect())
}

/// Itself, those in its case, and those kept apart from it.
fn ruled_out(
    conn: &mut Conn,
    mission: MissionRef,
    report: &[u8],
    found: &[ReportRow],
) -> Result<HashSet<Vec<u8>>> {
    let mut out: HashSet<Vec<u8>> = store::apart_from(conn, mission.no, report)?
        .into_iter()
        .collect();
    out.insert(report.to_vec());
    if let Some(own) = store::of_report(conn, mission.no, report)? {
        let ids: Vec<Vec<u8>> = found.iter().map(|row| row.id.clone()).collect();
        let others = store::of_reports(conn, mission.no, &ids)?;
        out.extend(
            others
                .into_iter()
                .filter(|other| other.case_id == own.case_id)
                .map(|other| other.report),
        );
    }
    Ok(out)
}

fn point(station: &Station) -> Option<(f64, f64)> {
    station.lat.zip(station.lon)
}

fn traits<'a>(
    row: &'a ReportRow,
    stations: &HashMap<String, Station>,
    stages: &'a HashMap<String, String>,
) -> Traits<'a> {
    let named = row.station.as_ref().and_then(|code| stations.get(code));
    let stage = stages.get(&row.category).map(String::as_str);
    Traits::of(row, named.and_then(point), stage)
}

/// The station that a report names and those near its place, the nearest first.
fn nearby(row: &ReportRow, stations: &HashMap<String, Station>) -> Vec<String> {
    let named = row.station.as_ref();
    let place = row
        .lat
        .zip(row.lon)
        .or_else(|| named.and_then(|code| stations.get(code)).and_then(point));
    let mut near: Vec<(f64, &String)> = Vec::new();
    if let Some((lat, lon)) = place {
        for (code, station) in stations {
            if let Some((lat2, lon2)) = point(station) {
                let metres = flags::metres(lat, lon, lat2, lon2);
                if metres <= NEAR {
                    near.push((metres, code));
                }
            }
        }
    }
    near.sort_by(|one, two| one.0.total_cmp(&two.0).then(one.1.cmp(two.1)));
    let mut codes: Vec<String> = named.into_iter().cloned().collect();
    codes.extend(near.into_iter().map(|(_, code)| code.clone()));
    let mut seen = HashSet::new();
    codes.retain(|code| seen.insert(code.clone()));
    codes.truncate(STATIONS);
    codes
}
