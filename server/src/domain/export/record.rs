//! One report as exports show it, and the table of its columns.

use std::collections::HashMap;

use protocol::entry::Place;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    clock::Micros,
    domain::{cases::Corroboration, flags, missions::Mission, reports},
    error::{Error, Result},
    store::{Conn, exports as store, projections::ReportRow, registers},
};

/// Observers kept in memory at once.
const OBSERVERS: usize = 10_000;

/// What a column holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Words of people, or codes.
    Text(Option<String>),
    /// A whole number.
    Whole(i64),
    /// A number.
    Real(Option<f64>),
    /// Yes or no.
    Flag(bool),
    /// Names.
    List(Vec<&'static str>),
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The name in the header.
    pub name: &'static str,
    /// Only with names.
    pub named: bool,
    /// What it means.
    pub doc: &'static str,
    read: fn(&Record) -> Cell,
}

macro_rules! columns {
    ($($name:literal, $named:literal, $read:expr, $doc:literal;)*) => {
        /// Every column, in its order.
        pub const COLUMNS: &[Column] =
            &[$(Column { name: $name, named: $named, doc: $doc, read: $read },)*];
    };
}

columns! {
    "report", false, |r| text(r.report.to_string()), "The report's id, a random UUID made on the phone, or at the desk that entered it.";
    "number", false, |r| Cell::Whole(r.number), "Ledger number of the report's first entry. Rows stand in this order.";
    "version", false, |r| Cell::Whole(r.version), "Ledger number of the last entry that changed the report.";
    "status", false, |r| text(&r.status), "`received`, `in_review`, `needs_info`, `verified`, `not_verified`, `dismissed` or `reopened`.";
    "severity", false, |r| Cell::Text(r.severity.clone()), "`low`, `medium`, `high` or `critical`, as the observer says; may be empty.";
    "category", false, |r| text(&r.category), "Code of the mission's list of categories.";
    "category_label", false, |r| Cell::Text(r.category_label.clone()), "What the list calls it, in the language asked for (English unless told otherwise).";
    "station", false, |r| Cell::Text(r.station.clone()), "Station code as the observer gave it; may be empty or not in the list.";
    "station_name", false, |r| Cell::Text(r.station_name.clone()), "The station's name, if it is in the list.";
    "constituency", false, |r| Cell::Text(r.constituency.clone()), "Code of the location just above the station.";
    "constituency_name", false, |r| Cell::Text(r.constituency_name.clone()), "Its name.";
    "text", false, |r| Cell::Text(r.text.clone()), "The observer's words, after all amendments.";
    "lat", false, |r| Cell::Real(r.lat), "Latitude of the device, degrees WGS 84; empty if there is none on the globe.";
    "lon", false, |r| Cell::Real(r.lon), "Longitude of the device, degrees WGS 84; empty if there is none on the globe.";
    "accuracy_m", false, |r| Cell::Real(r.accuracy), "Radius in metres that the device claims for the place.";
    "observed_at", false, |r| time(r.observed_at), "When it happened, as the observer claims.";
    "filed_at", false, |r| time(r.filed_at), "When it was filed, by the device's own clock; one by telephone, by the server's.";
    "received_at", false, |r| text(r.received_at.rfc3339()), "When the server received it, by the server's clock.";
    "updated_at", false, |r| text(r.updated_at.rfc3339()), "When the server last received an entry or a decision about it.";
    "observer", false, |r| Cell::Text(r.observer.clone()), "Pseudonym of the observer's accreditation: the same in all reports of one mission. Empty for a citizen who called.";
    "institution", false, |r| Cell::Text(r.institution.clone()), "Who sends the observer.";
    "observer_kind", false, |r| Cell::Text(r.observer_kind.clone()), "`domestic` or `international`.";
    "flags", false, |r| Cell::List(r.flags.clone()), "What the server noticed: see below. In CSV separated by `;`.";
    "revisions", false, |r| Cell::Whole(r.revisions), "How often the observer added to it after filing it: a change, an answer, a file, taking it back; one by telephone, how often it was corrected.";
    "evidence", false, |r| Cell::Whole(r.evidence), "How many files the observer announced for it, previews not counted.";
    "caller", false, |r| Cell::Text(r.caller.map(str::to_owned)), "Of a report by telephone: `observer` or `citizen`, whose words a coordinator entered; else empty.";
    "merged_into", false, |r| Cell::Text(r.merged_into.map(|id| id.to_string())), "Of a report by telephone: the report that tells the same, as a coordinator said. Leave such rows out where events are counted.";
    "withdrawn", false, |r| Cell::Flag(r.withdrawn), "Whether the observer has taken it back.";
    "erased", false, |r| Cell::Flag(r.erased), "Whether its words were erased, as two people decided.";
    "decision_reason", false, |r| Cell::Text(r.decision_reason.clone()), "Reason of the last decision, if one was given.";
    "case", false, |r| Cell::Text(r.case.as_ref().map(|(case, _)| case.case.to_string())), "Id of the case that it is in: reports that coordinators hold for accounts of one event.";
    "case_stance", false, |r| Cell::Text(r.case.as_ref().map(|(_, stance)| stance.clone())), "`agrees` or `contradicts`: how its account stands to the case's first one.";
    "case_observers", false, |r| Cell::Whole(r.case.as_ref().map_or(0, |(case, _)| count(case.observers))), "Different observers whose accounts in the case agree.";
    "case_organisations", false, |r| Cell::Whole(r.case.as_ref().map_or(0, |(case, _)| count(case.organisations))), "Different institutions that those observers come from.";
    "observer_name", true, |r| Cell::Text(r.observer_name.clone()), "The observer's name. Only with `--names`.";
    "accreditation_number", true, |r| Cell::Text(r.accreditation_number.clone()), "The accreditation's number. Only with `--names`.";
}

fn text(value: impl Into<String>) -> Cell {
    Cell::Text(Some(value.into()))
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn time(value: Option<Micros>) -> Cell {
    Cell::Text(value.map(Micros::rfc3339))
}

/// A report as exports show it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the table of columns says what each means")]
pub struct Record {
    id: Vec<u8>,
    pub report: Uuid,
    pub number: i64,
    pub version: i64,
    pub status: String,
    pub severity: Option<String>,
    pub category: String,
    pub category_label: Option<String>,
    pub station: Option<String>,
    pub station_name: Option<String>,
    pub constituency: Option<String>,
    pub constituency_name: Option<String>,
    pub text: Option<String>,
    pub lat: Option<f64>,
    pub lon: Option<f64>,
    pub accuracy: Option<f64>,
    pub observed_at: Option<Micros>,
    pub filed_at: Option<Micros>,
    pub received_at: Micros,
    pub updated_at: Micros,
    pub observer: Option<String>,
    pub institution: Option<String>,
    pub observer_kind: Option<String>,
    pub flags: Vec<&'static str>,
    pub revisions: i64,
    pub evidence: i64,
    pub caller: Option<&'static str>,
    pub merged_into: Option<Uuid>,
    pub withdrawn: bool,
    pub erased: bool,
    pub decision_reason: Option<String>,
    pub case: Option<(Corroboration, String)>,
    observer_name: Option<String>,
    accreditation_number: Option<String>,
}

impl Record {
    /// The report's id, as stored.
    pub(super) fn id(&self) -> &[u8] {
        &self.id
    }

    /// Longitude and latitude, if the place is on the globe.
    pub(super) fn point(&self) -> Option<(f64, f64)> {
        let (lat, lon) = (self.lat?, self.lon?);
        Place {
            lat,
            lon,
            accuracy: None,
        }
        .is_valid()
        .then_some((lon, lat))
    }

    /// The columns and their cells.
    pub(super) fn cells(&self, names: bool) -> impl Iterator<Item = (&'static str, Cell)> {
        columns(names).map(|column| (column.name, (column.read)(self)))
    }

    /// The columns as members of a JSON object.
    #[must_use]
    pub fn to_json(&self, names: bool) -> Map<String, Value> {
        let value = |cell| match cell {
            Cell::Text(text) => json!(text),
            Cell::Whole(number) => json!(number),
            Cell::Real(number) => json!(number),
            Cell::Flag(flag) => json!(flag),
            Cell::List(names) => json!(names),
        };
        self.cells(names)
            .map(|(name, cell)| (name.to_owned(), value(cell)))
            .collect()
    }
}

/// The columns of an export with or without names.
pub(super) fn columns(names: bool) -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().filter(move |column| names || !column.named)
}

/// What codes stand for.
pub(super) struct Registers {
    categories: HashMap<String, String>,
    stations: HashMap<String, String>,
    constituencies: HashMap<String, String>,
    observers: HashMap<Vec<u8>, store::Observer>,
}

impl Registers {
    pub(super) fn load(conn: &mut Conn, mission: &Mission, language: &str) -> Result<Self> {
        let no = mission.reference.no;
        let mut categories = HashMap::new();
        for (code, category) in registers::categories(conn, no)? {
            let mut labels: std::collections::BTreeMap<String, String> =
                serde_json::from_str(&category.labels).unwrap_or_default();
            let label = labels
                .remove(language)
                .or_else(|| labels.remove("en"))
                .or_else(|| labels.pop_first().map(|(_, label)| label));
            if let Some(label) = label {
                categories.insert(code, label);
            }
        }
        let above = mission.levels.iter().rev().nth(1);
        Ok(Self {
            categories,
            stations: store::station_names(conn, no)?,
            constituencies: match above {
                Some(level) => store::location_names(conn, no, level)?,
                None => HashMap::new(),
            },
            observers: HashMap::new(),
        })
    }

    /// Reads the observers of these reports, those that are not known yet.
    pub(super) fn look_up(
        &mut self,
        conn: &mut Conn,
        mission: i32,
        rows: &[ReportRow],
    ) -> Result<()> {
        if self.observers.len() > OBSERVERS {
            self.observers.clear();
        }
        let mut unknown: Vec<&[u8]> = rows
            .iter()
            .filter_map(|row| row.accreditation.as_deref())
            .filter(|id| !self.observers.contains_key(*id))
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            let found = store::observers(conn, mission, &unknown)?;
            self.observers.extend(
                found
                    .into_iter()
                    .map(|observer| (observer.id.clone(), observer)),
            );
        }
        Ok(())
    }

    pub(super) fn record(
        &self,
        row: ReportRow,
        decision_reason: Option<String>,
        case: Option<(Corroboration, String)>,
        evidence: i64,
        names: bool,
    ) -> Result<Record> {
        let uuid = |id: &[u8]| {
            Uuid::from_slice(id)
                .map_err(|_| Error::Internal(format!("report {} has no UUID", row.first_number)))
        };
        let report = uuid(&row.id)?;
        let merged_into = row.merged_into.as_deref().map(uuid).transpose()?;
        let id = row.accreditation.as_ref();
        let observer = id.and_then(|id| self.observers.get(id));
        let of = |read: fn(&store::Observer) -> &String| {
            observer.map(read).filter(|text| !text.is_empty()).cloned()
        };
        let named = |code: &Option<String>, names: &HashMap<String, String>| {
            code.as_ref().and_then(|code| names.get(code)).cloned()
        };
        Ok(Record {
            report,
            number: row.first_number,
            version: row.version,
            category_label: self.categories.get(&row.category).cloned(),
            station_name: named(&row.station, &self.stations),
            constituency_name: named(&row.constituency, &self.constituencies),
            observed_at: row.observed_at.map(Micros),
            filed_at: row.filed_at.map(Micros),
            received_at: Micros(row.received_at),
            updated_at: Micros(row.updated_at),
            observer: of(|observer| &observer.pseudonym),
            institution: of(|observer| &observer.institution),
            observer_kind: of(|observer| &observer.kind),
            observer_name: if names {
                of(|observer| &observer.name)
            } else {
                None
            },
            accreditation_number: if names {
                of(|observer| &observer.number)
            } else {
                None
            },
            flags: flags::names(row.flags),
            revisions: i64::from(row.revisions),
            decision_reason,
            case,
            evidence,
            caller: row.entered_by.as_ref().map(|_| reports::caller(&row)),
            merged_into,
            id: row.id,
            status: row.status,
            severity: row.severity,
            category: row.category,
            station: row.station,
            constituency: row.constituency,
            text: row.text,
            lat: row.lat,
            lon: row.lon,
            accuracy: row.accuracy,
            withdrawn: row.withdrawn,
            erased: row.erased,
        })
    }
}
