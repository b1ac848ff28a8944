//! What the wall of the room shows: what comes in, what nobody has looked at, where
//! observers are and who went silent.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use uuid::Uuid;

use crate::{
    clock::Micros,
    domain::acts::MissionRef,
    error::{Error, Result},
    store::{
        Conn, missions, registers,
        room::{self, Outline, Silence, SilentRow, UntouchedRow},
    },
};

/// Seconds without an exchange after which an observer counts as silent, unless the
/// mission sets another.
pub const SILENT_AFTER: i64 = 3 * 3600;
/// Seconds after which a critical report that nobody touched raises an alarm, unless the
/// mission sets another.
pub const UNTOUCHED_AFTER: i64 = 600;
/// Seconds that a mission may set: up to a week.
pub const LIMITS: std::ops::RangeInclusive<i64> = 1..=7 * 24 * 3600;
/// Seconds for which somebody who never checked in is expected to be heard of again.
const A_DAY: i64 = 24 * 3600;
/// Minutes of the curve.
const MINUTES: usize = 60;
/// Untouched reports that are told one by one.
const OLDEST: i64 = 50;
/// A severity that nobody has given.
const NONE: &str = "none";

/// The mission's limits, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Limits {
    /// After which an observer of whom nothing is heard counts as silent.
    pub silent_after: i64,
    /// After which a critical report that nobody has touched raises an alarm.
    pub untouched_after: i64,
}

/// The limits in force.
///
/// # Errors
/// The database's.
pub fn limits(conn: &mut Conn, mission: MissionRef) -> Result<Limits> {
    let (silent, untouched) = room::limits(conn, mission.no)?;
    Ok(Limits {
        silent_after: silent.unwrap_or(SILENT_AFTER),
        untouched_after: untouched.unwrap_or(UNTOUCHED_AFTER),
    })
}

/// Sets those that are given. Runs inside `Store::write`.
///
/// # Errors
/// The database's.
pub fn set_limits(
    conn: &mut Conn,
    mission: MissionRef,
    silent_after: Option<i64>,
    untouched_after: Option<i64>,
) -> Result<Limits> {
    room::set_limits(conn, mission.no, silent_after, untouched_after)?;
    limits(conn, mission)
}

/// The figures of one moment.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Room {
    /// When they were taken, by the server's clock.
    pub at: String,
    /// The mission's limits.
    pub limits: Limits,
    /// What came in.
    pub incoming: Incoming,
    /// What there is.
    pub reports: Counts,
    /// Critical reports that nobody has touched.
    pub untouched: Untouched,
    /// Where observers are, and from where reports came.
    pub coverage: Coverage,
    /// Observers.
    pub observers: Observers,
}

/// New reports by the minute in which the server received them, withdrawn ones too.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Incoming {
    /// When the first minute began.
    pub from: String,
    /// How many came in each of 60 minutes of the clock; the last is not over yet.
    pub minutes: Vec<i64>,
}

/// Reports that were not withdrawn, erased ones among them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Counts {
    /// All of them.
    pub total: i64,
    /// Those that their observers took back; counted here alone.
    pub withdrawn: i64,
    /// By status; a status that no report has is left out.
    pub by_status: BTreeMap<String, i64>,
    /// By severity; `none` stands for those without.
    pub by_severity: BTreeMap<String, i64>,
    /// By category and severity, the most first.
    pub by_category: Vec<CategoryCounts>,
}

/// The reports of one category.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CategoryCounts {
    /// Its code.
    pub category: String,
    /// All of them.
    pub total: i64,
    /// By severity; `none` stands for those without.
    pub by_severity: BTreeMap<String, i64>,
}

/// Critical reports of status `received` that nobody has assigned, ranked or written a
/// note on, and that were neither withdrawn nor erased.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Untouched {
    /// All of them.
    pub count: i64,
    /// Those for longer than the mission's limit.
    pub due: i64,
    /// When the last of those passed the limit.
    pub last_due_at: Option<String>,
    /// The oldest, at most 50.
    pub oldest: Vec<UntouchedReport>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct UntouchedReport {
    /// The report.
    pub id: Uuid,
    /// Ledger number of its first entry.
    pub number: i64,
    /// Category code.
    pub category: String,
    /// Station code, as the observer gave it.
    pub station: Option<String>,
    /// When the server received it.
    pub received_at: String,
}

/// How far observers reach.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Coverage {
    /// Stations of the register.
    pub stations: usize,
    /// Of these, where an observer is: one whose last check-in is an arrival there, and
    /// whose accreditation stands.
    pub covered: usize,
    /// Of these, which a report names that was not withdrawn.
    pub reported: usize,
    /// The same for each constituency, by code; stations without one stand last.
    pub constituencies: Vec<ConstituencyCoverage>,
}

/// How far observers reach in one constituency.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ConstituencyCoverage {
    /// Its code; `null` for stations without one.
    pub code: Option<String>,
    /// Its name, if the register has one.
    pub name: Option<String>,
    /// Its stations.
    pub stations: usize,
    /// Of these, where an observer is.
    pub covered: usize,
    /// Of these, which a report names.
    pub reported: usize,
    /// Those reports.
    pub reports: i64,
    /// The critical ones among them.
    pub critical: i64,
}

/// Observers whose accreditations stand.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Observers {
    /// All accreditations.
    pub registered: i64,
    /// Those with a phone that may file.
    pub enrolled: i64,
    /// Of these, whose last check-in is an arrival.
    pub present: i64,
    /// Of these, whose last check-in is a departure.
    pub departed: i64,
    /// Of these, who never checked in.
    pub never_came: i64,
    /// Of these, who went silent: their phones exchanged nothing for longer than the
    /// mission's limit, though they are at a station by their last check-in, or never
    /// checked in and were heard of within 24 hours.
    pub silent: i64,
    /// When the last of the silent passed the limit.
    pub last_silent_at: Option<String>,
}

/// Takes the figures.
///
/// # Errors
/// The database's.
pub fn figures(conn: &mut Conn, mission: MissionRef, now: Micros) -> Result<Room> {
    let limits = limits(conn, mission)?;
    let mut tally = Tally::new(first_minute(now));
    room::each_report(conn, mission.no, &mut |report| tally.add(report))?;
    let coverage = coverage(conn, mission, &tally.stations)?;
    let (incoming, reports) = tally.told();
    Ok(Room {
        at: now.rfc3339(),
        limits,
        incoming,
        reports,
        untouched: untouched(conn, mission, now, limits)?,
        coverage,
        observers: observers(conn, mission, now, limits)?,
    })
}

/// When the curve begins: on a full minute, so that it moves once a minute.
fn first_minute(now: Micros) -> Micros {
    let minutes = i64::try_from(MINUTES).unwrap_or_default();
    Micros((now.seconds().div_euclid(60) - (minutes - 1)) * 60_000_000)
}

/// Reports as they are counted, one after the other.
struct Tally {
    first: Micros,
    minutes: Vec<i64>,
    counts: Counts,
    categories: HashMap<String, BTreeMap<String, i64>>,
    /// Of each station that reports name: all of them, and the critical ones.
    stations: HashMap<String, (i64, i64)>,
}

impl Tally {
    fn new(first: Micros) -> Self {
        Self {
            first,
            minutes: vec![0; MINUTES],
            counts: Counts::default(),
            categories: HashMap::new(),
            stations: HashMap::new(),
        }
    }

    fn add(&mut self, report: &Outline) {
        let minute = (report.received_at - self.first.0).div_euclid(60_000_000);
        // What another server's clock put into the next minute is of this one.
        if let Ok(minute) = usize::try_from(minute) {
            self.minutes[minute.min(MINUTES - 1)] += 1;
        }
        if report.withdrawn {
            self.counts.withdrawn += 1;
            return;
        }
        let severity = report.severity.as_deref().unwrap_or(NONE);
        self.counts.total += 1;
        bump(&mut self.counts.by_status, &report.status);
        bump(&mut self.counts.by_severity, severity);
        if let Some(category) = self.categories.get_mut(&report.category) {
            bump(category, severity);
        } else {
            let begun = BTreeMap::from([(severity.to_owned(), 1)]);
            self.categories.insert(report.category.clone(), begun);
        }
        let Some(station) = &report.station else {
            return;
        };
        let critical = i64::from(severity == "critical");
        if let Some(counts) = self.stations.get_mut(station) {
            counts.0 += 1;
            counts.1 += critical;
        } else {
            self.stations.insert(station.clone(), (1, critical));
        }
    }

    fn told(self) -> (Incoming, Counts) {
        let mut by_category: Vec<_> = self
            .categories
            .into_iter()
            .map(|(category, by_severity)| CategoryCounts {
                category,
                total: by_severity.values().sum(),
                by_severity,
            })
            .collect();
        by_category.sort_by(|a, b| {
            b.total
                .cmp(&a.total)
                .then_with(|| a.category.cmp(&b.category))
        });
        let incoming = Incoming {
            from: self.first.rfc3339(),
            minutes: self.minutes,
        };
        let counts = Counts {
            by_category,
            ..self.counts
        };
        (incoming, counts)
    }
}

/// One more of a word; the word is copied when it is new, not for each report.
fn bump(counts: &mut BTreeMap<String, i64>, word: &str) {
    if let Some(count) = counts.get_mut(word) {
        *count += 1;
    } else {
        counts.insert(word.to_owned(), 1);
    }
}

fn untouched(
    conn: &mut Conn,
    mission: MissionRef,
    now: Micros,
    limits: Limits,
) -> Result<Untouched> {
    let passed = now.plus_seconds(-limits.untouched_after);
    let (count, due, last) = room::count_untouched(conn, mission.no, passed)?;
    let oldest = room::oldest_untouched(conn, mission.no, OLDEST)?
        .into_iter()
        .map(untouched_report)
        .collect::<Result<_>>()?;
    Ok(Untouched {
        count,
        due,
        last_due_at: last.map(|at| Micros(at).plus_seconds(limits.untouched_after).rfc3339()),
        oldest,
    })
}

fn untouched_report(row: UntouchedRow) -> Result<UntouchedReport> {
    Ok(UntouchedReport {
        id: Uuid::from_slice(&row.id).map_err(|_| Error::Internal("a report's id".into()))?,
        number: row.number,
        category: row.category,
        station: row.station,
        received_at: Micros(row.received_at).rfc3339(),
    })
}

fn coverage(
    conn: &mut Conn,
    mission: MissionRef,
    reports: &HashMap<String, (i64, i64)>,
) -> Result<Coverage> {
    let covered: HashSet<String> = room::present(conn, mission.no)?
        .into_iter()
        .map(|present| present.station)
        .collect();
    // Stations without a constituency stand last: `false` comes first.
    let mut parts: BTreeMap<(bool, Option<String>), ConstituencyCoverage> = BTreeMap::new();
    for station in registers::stations(conn, mission.no)?.into_values() {
        let key = (station.constituency.is_none(), station.constituency);
        let part = parts.entry(key).or_default();
        part.stations += 1;
        part.covered += usize::from(covered.contains(&station.code));
        if let Some((all, critical)) = reports.get(&station.code) {
            part.reported += 1;
            part.reports += all;
            part.critical += critical;
        }
    }
    let names = constituencies(conn, mission)?;
    let constituencies: Vec<_> = parts
        .into_iter()
        .map(|((_, code), part)| ConstituencyCoverage {
            name: code.as_ref().and_then(|code| names.get(code).cloned()),
            code,
            ..part
        })
        .collect();
    let sum = |of: fn(&ConstituencyCoverage) -> usize| constituencies.iter().map(of).sum();
    Ok(Coverage {
        stations: sum(|part| part.stations),
        covered: sum(|part| part.covered),
        reported: sum(|part| part.reported),
        constituencies,
    })
}

/// Names of the level above the stations, by code.
///
/// # Errors
/// The database's.
pub fn constituencies(conn: &mut Conn, mission: MissionRef) -> Result<HashMap<String, String>> {
    let level = missions::find(conn, mission.id)?
        .and_then(|mission| mission.levels.into_iter().rev().nth(1));
    Ok(registers::locations(conn, mission.no)?
        .into_values()
        .filter(|location| Some(&location.level) == level.as_ref())
        .map(|location| (location.code, location.name))
        .collect())
}

fn observers(
    conn: &mut Conn,
    mission: MissionRef,
    now: Micros,
    limits: Limits,
) -> Result<Observers> {
    let silence = silence(now, limits);
    let people = room::people(conn, mission.no, silence)?;
    let passed = |at: i64| Micros(at).plus_seconds(limits.silent_after).rfc3339();
    Ok(Observers {
        registered: room::registered(conn, mission.no)?,
        enrolled: people.enrolled,
        present: people.present,
        departed: people.departed,
        never_came: people.enrolled - people.present - people.departed,
        silent: people.silent,
        last_silent_at: people.last_heard_at.map(passed),
    })
}

fn silence(now: Micros, limits: Limits) -> Silence {
    Silence {
        since: now.plus_seconds(-limits.silent_after),
        seen_since: now.plus_seconds(-A_DAY.max(2 * limits.silent_after)),
    }
}

/// Where a page of silent observers ended: when somebody was heard of, and their number.
pub type Place = (i64, String);

/// Observers who went silent, those who have been so for longest first.
///
/// # Errors
/// The database's.
pub fn silent(
    conn: &mut Conn,
    mission: MissionRef,
    now: Micros,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<SilentRow>> {
    let silence = silence(now, limits(conn, mission)?);
    room::silent(conn, mission.no, silence, after, limit)
}
