//! Which reports may tell the same as one by telephone: a proposal, ordered by likeness.
//! A person reads both and says so; nothing is ever merged by itself.

use std::collections::HashSet;

use serde::Serialize;
use uuid::Uuid;

use super::{
    acts::MissionRef,
    reports::{self, Report},
};
use crate::{
    error::Result,
    store::{
        Conn, bulk,
        projections::ReportRow,
        telephone::{self as store, Near},
    },
};

const HOUR: i64 = 3_600_000_000;
/// An observer may come under a network days after the call.
const OBSERVERS_WINDOW: i64 = 72 * HOUR;
/// Others who tell of the same place.
const CITIZENS_WINDOW: i64 = 24 * HOUR;
/// Proposals, at most.
const PROPOSED: usize = 8;

/// Another report that may tell the same.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Counterpart {
    /// It.
    pub report: Report,
    /// From 0 to 100.
    pub likeness: u32,
    /// What is alike: `observer`, `station`, `category`, `time`, `words`.
    #[schema(value_type = Vec<String>)]
    pub alike: Vec<&'static str>,
}

/// For a report by telephone the others that may tell the same; for any other those by
/// telephone. The likest first. `None` if there is no such report.
///
/// # Errors
/// The database's.
pub fn counterparts(
    conn: &mut Conn,
    mission: MissionRef,
    report: Uuid,
) -> Result<Option<Vec<Counterpart>>> {
    let id = report.as_bytes().to_vec();
    let Some(row) = bulk::reports_by_id(conn, mission.no, &[id])?.pop() else {
        return Ok(None);
    };
    let mut found: Vec<(u32, Vec<&'static str>, ReportRow)> = candidates(conn, mission, &row)?
        .into_iter()
        .filter(|other| other.id != row.id && !other.erased)
        .map(|other| {
            let (likeness, alike) = likeness(&row, &other);
            (likeness, alike, other)
        })
        .collect();
    found.sort_by_key(|(likeness, _, other)| (std::cmp::Reverse(*likeness), other.first_number));
    found.truncate(PROPOSED);
    let rows = found.iter().map(|(_, _, row)| row.clone()).collect();
    let reports = reports::described(conn, mission, rows)?;
    Ok(Some(
        found
            .into_iter()
            .zip(reports)
            .map(|((likeness, alike, _), report)| Counterpart {
                report,
                likeness,
                alike,
            })
            .collect(),
    ))
}

fn candidates(conn: &mut Conn, mission: MissionRef, row: &ReportRow) -> Result<Vec<ReportRow>> {
    let around = |window: i64| {
        Near(
            row.received_at.saturating_sub(window),
            row.received_at.saturating_add(window),
        )
    };
    if row.merged_into.is_some() || row.erased {
        return Ok(Vec::new());
    }
    if row.entered_by.is_none() {
        let all = store::by_telephone(conn, mission.no, around(OBSERVERS_WINDOW))?;
        return Ok(all.into_iter().filter(|other| fits(other, row)).collect());
    }
    match row.accreditation.as_deref() {
        Some(observer) => store::of_observer(conn, mission.no, around(OBSERVERS_WINDOW), observer),
        None => {
            let station = row.station.as_deref();
            let near = around(CITIZENS_WINDOW);
            store::of_place(conn, mission.no, near, station, &row.category)
        }
    }
}

/// Whether one by telephone may tell what a phone's report does: it is the same
/// observer's, or a citizen's from the same place and day.
fn fits(telephone: &ReportRow, own: &ReportRow) -> bool {
    if telephone.accreditation.is_some() {
        return telephone.accreditation == own.accreditation;
    }
    let apart = telephone.received_at.abs_diff(own.received_at);
    let near = apart <= CITIZENS_WINDOW.unsigned_abs();
    near && telephone.station == own.station
        && (own.station.is_some() || telephone.category == own.category)
}

/// How alike two reports are, and in what.
fn likeness(one: &ReportRow, other: &ReportRow) -> (u32, Vec<&'static str>) {
    let mut alike = Vec::new();
    let mut sum = 0;
    let mut add = |points: u32, what: &'static str| {
        sum += points;
        alike.push(what);
    };
    if one.accreditation.is_some() && one.accreditation == other.accreditation {
        add(25, "observer");
    }
    if one.station.is_some() && one.station == other.station {
        add(25, "station");
    }
    if one.category == other.category {
        add(15, "category");
    }
    let time = |row: &ReportRow| row.observed_at.unwrap_or(row.received_at);
    match time(one).abs_diff(time(other)) / HOUR.unsigned_abs() {
        0 => add(15, "time"),
        1..4 => add(8, "time"),
        _ => {}
    }
    let shared = shared_words(one.folded.as_deref(), other.folded.as_deref());
    if shared > 0 {
        add(shared.div_ceil(5), "words");
    }
    (sum, alike)
}

/// Which part of all words both texts have, in hundredths; a text of few words is soon
/// alike by chance, so words of one or two letters do not count.
fn shared_words(one: Option<&str>, other: Option<&str>) -> u32 {
    let words = |text: Option<&str>| -> HashSet<String> {
        text.unwrap_or_default()
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| word.chars().count() > 2)
            .map(str::to_owned)
            .collect()
    };
    let (one, other) = (words(one), words(other));
    let both = one.intersection(&other).count();
    let all = one.union(&other).count().max(1);
    u32::try_from(both * 100 / all).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_shared_by_hundredths() {
        let one = Some("the ballot box was open");
        assert_eq!(shared_words(one, one), 100);
        assert_eq!(shared_words(one, Some("the seals were broken")), 12);
        assert_eq!(shared_words(one, Some("of it")), 0);
        assert_eq!(shared_words(None, None), 0);
        assert_eq!(
            shared_words(Some("səs qutusu açıq idi"), Some("qutusu açıq")),
            50
        );
    }
}
