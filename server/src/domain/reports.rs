//! Reading reports: the filter that the list and the exports share, and what a
//! reader gets to see.

use std::collections::HashMap;

use protocol::{
    codes::Code,
    encoding::b64,
    entry::{At, Place, SdJwt, Severity, WireEntry},
    ids::MissionId,
    jose::Jwk,
};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    clock::Micros,
    domain::{
        acts::MissionRef,
        cases::{self, Corroboration},
        flags, status,
    },
    error::{Error, Result},
    keys::Keys,
    store::{
        Conn, bulk, devices,
        ledger::{self, EntryRow},
        projections::ReportRow,
        reports_query::{self, Observer, Signer},
        telephone,
        triage::{self, TriageRow},
    },
};

/// Values that one parameter may name.
const VALUES: usize = 100;
/// Bytes of one value.
const VALUE_BYTES: usize = 200;
/// Characters of a text that is searched for.
const SEARCH_CHARS: usize = 200;

/// The parameters of a [`Filter`], with what they mean: for usage texts and
/// for the OpenAPI document.
pub const PARAMETERS: &[(&str, &str)] = &[
    (
        "status",
        "Any of these statuses; repeat it or separate by commas.",
    ),
    (
        "severity",
        "Any of `low`, `medium`, `high`, `critical`, or `none`.",
    ),
    ("category", "Any of these category codes."),
    ("station", "Any of these station codes."),
    ("constituency", "Any of these constituency codes."),
    ("observer", "Any of these observers, by pseudonym."),
    (
        "assignee",
        "Looked after by any of these accounts, by id; or `none`.",
    ),
    ("case", "In any of these cases, by id."),
    (
        "received_from",
        "Received by the server at this time or later (RFC 3339).",
    ),
    (
        "received_to",
        "Received by the server before this time (RFC 3339).",
    ),
    (
        "observed_from",
        "Observed, as the observer says, at this time or later (RFC 3339).",
    ),
    (
        "observed_to",
        "Observed, as the observer says, before this time (RFC 3339).",
    ),
    (
        "text",
        "The report's text contains this; case, and letters that writers of one word write differently, do not matter.",
    ),
    ("flag", "Any of these flags."),
    (
        "bbox",
        "The place lies in this box: `minlon,minlat,maxlon,maxlat` in degrees; minlon may be greater than maxlon (antimeridian).",
    ),
    (
        "withdrawn",
        "`true`: only withdrawn reports; `false`: only the others.",
    ),
    (
        "evidence",
        "`true`: only reports that a file was announced for; `false`: only the others.",
    ),
    (
        "merged",
        "`true`: only reports by telephone that were merged into another; `false`: only the others; `any`: all. Lists leave them out unless told otherwise, exports hold them.",
    ),
];

/// A box on the globe; `min_lon > max_lon` means that it crosses the
/// antimeridian.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bbox {
    /// West.
    pub min_lon: f64,
    /// South.
    pub min_lat: f64,
    /// East.
    pub max_lon: f64,
    /// North.
    pub max_lat: f64,
}

/// Which reports are asked for. Empty means all; the members are joined by
/// "and", the values of one member by "or". `store::reports_query::filtered`
/// applies it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Filter {
    /// Names of [`status::ALL`].
    pub status: Vec<String>,
    /// Severities; `None` is "no severity given".
    pub severity: Vec<Option<Severity>>,
    /// Category codes.
    pub category: Vec<String>,
    /// Station codes.
    pub station: Vec<String>,
    /// Constituency codes.
    pub constituency: Vec<String>,
    /// Pseudonyms.
    pub observer: Vec<String>,
    /// Accounts that look after it; `None` is "nobody".
    pub assignee: Vec<Option<Uuid>>,
    /// Cases.
    pub case: Vec<Uuid>,
    /// Received at or after.
    #[serde(serialize_with = "micros")]
    pub received_from: Option<Micros>,
    /// Received before.
    #[serde(serialize_with = "micros")]
    pub received_to: Option<Micros>,
    /// Observed at or after.
    #[serde(serialize_with = "micros")]
    pub observed_from: Option<Micros>,
    /// Observed before.
    #[serde(serialize_with = "micros")]
    pub observed_to: Option<Micros>,
    /// Part of the text, as typed.
    pub text: Option<String>,
    /// Bits of [`flags`], any of which must be set; 0 asks for nothing.
    pub flags: i32,
    /// Where.
    pub bbox: Option<Bbox>,
    /// Withdrawn ones only, or the others only.
    pub withdrawn: Option<bool>,
    /// With files only, or without only.
    pub evidence: Option<bool>,
    /// What of those that were merged into another; not given, the reader decides.
    pub merged: Option<Merged>,
}

impl Filter {
    /// Takes one parameter; `false` if there is none of this name.
    ///
    /// # Errors
    /// `malformed_query` for a value that cannot be read, or a single value
    /// given twice.
    pub fn set(&mut self, name: &str, value: &str) -> Result<bool> {
        match name {
            "status" => extend(name, &mut self.status, value, |name| {
                status::ALL.contains(&name).then(|| name.to_owned())
            })?,
            "severity" => extend(name, &mut self.severity, value, |severity| match severity {
                "none" => Some(None),
                _ => severity.parse().ok().map(Some),
            })?,
            "category" => extend(name, &mut self.category, value, code)?,
            "station" => extend(name, &mut self.station, value, code)?,
            "constituency" => extend(name, &mut self.constituency, value, code)?,
            "observer" => extend(name, &mut self.observer, value, code)?,
            "assignee" => extend(name, &mut self.assignee, value, |id| match id {
                "none" => Some(None),
                _ => id.parse().ok().map(Some),
            })?,
            "case" => extend(name, &mut self.case, value, |id| id.parse().ok())?,
            "flag" => {
                let mut bits = Vec::new();
                extend(name, &mut bits, value, flags::from_name)?;
                self.flags |= bits.into_iter().fold(0, |all, bit| all | bit);
            }
            "received_from" => once(name, &mut self.received_from, Micros::parse(value))?,
            "received_to" => once(name, &mut self.received_to, Micros::parse(value))?,
            "observed_from" => once(name, &mut self.observed_from, Micros::parse(value))?,
            "observed_to" => once(name, &mut self.observed_to, Micros::parse(value))?,
            "text" => {
                let text = Some(value.to_owned());
                once(
                    name,
                    &mut self.text,
                    text.filter(|text| text.chars().count() <= SEARCH_CHARS),
                )?;
            }
            "bbox" => once(name, &mut self.bbox, bbox(value))?,
            "withdrawn" => once(name, &mut self.withdrawn, value.parse().ok())?,
            "evidence" => once(name, &mut self.evidence, value.parse().ok())?,
            "merged" => once(name, &mut self.merged, value.parse().ok())?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// As lists take it: what was merged into another is not shown beside it.
    #[must_use]
    pub fn for_lists(mut self) -> Self {
        self.merged.get_or_insert(Merged::Without);
        self
    }

    /// Names this filter in this mission: a cursor made for another is refused.
    #[must_use]
    pub fn fingerprint(&self, mission: MissionId) -> [u8; 12] {
        let text = serde_json::to_string(self).unwrap_or_default();
        let hash: [u8; 32] = Sha256::new()
            .chain_update(mission.0.as_bytes())
            .chain_update(text)
            .finalize()
            .into();
        let mut out = [0; 12];
        out.copy_from_slice(&hash[..12]);
        out
    }
}

/// The refusal of a query parameter.
pub(crate) fn malformed(name: &str, why: &str) -> Error {
    Error::refused(Code::MalformedQuery, format!("`{name}` {why}"))
}

fn extend<T>(
    name: &str,
    out: &mut Vec<T>,
    value: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<()> {
    for part in value.split(',') {
        out.push(
            read(part)
                .ok_or_else(|| malformed(name, "has a value that is not known or too long"))?,
        );
    }
    if out.len() > VALUES {
        return Err(malformed(name, "has too many values"));
    }
    Ok(())
}

fn once<T>(name: &str, out: &mut Option<T>, value: Option<T>) -> Result<()> {
    if out.is_some() {
        return Err(malformed(name, "stands twice"));
    }
    *out = Some(value.ok_or_else(|| malformed(name, "has a value that cannot be read"))?);
    Ok(())
}

/// A code of some register. U+0000 cannot stand in one.
fn code(text: &str) -> Option<String> {
    (!text.is_empty() && text.len() <= VALUE_BYTES && !text.contains('\0')).then(|| text.to_owned())
}

fn bbox(text: &str) -> Option<Bbox> {
    let numbers: Vec<f64> = text
        .split(',')
        .map(|part| part.trim().parse().ok())
        .collect::<Option<_>>()?;
    let &[min_lon, min_lat, max_lon, max_lat] = numbers.as_slice() else {
        return None;
    };
    let longitudes = [min_lon, max_lon]
        .iter()
        .all(|lon| (-180.0..=180.0).contains(lon));
    let latitudes = -90.0 <= min_lat && min_lat <= max_lat && max_lat <= 90.0;
    (longitudes && latitudes).then_some(Bbox {
        min_lon,
        min_lat,
        max_lon,
        max_lat,
    })
}

fn micros<S: Serializer>(
    time: &Option<Micros>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    time.map(|time| time.0).serialize(serializer)
}

/// A report as readers see it. It never holds a person's name.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Report {
    /// Its id, made on the phone, or at the desk that entered it.
    pub id: Uuid,
    /// Ledger number of its first entry: the order of the list.
    pub number: i64,
    /// Ledger number of the last entry that changed it; a decision names the one it was taken on.
    pub version: i64,
    /// `received`, `in_review`, `needs_info`, `verified`, `not_verified`, `dismissed` or `reopened`.
    pub status: String,
    /// `low`, `medium`, `high` or `critical`, as the observer sees it.
    pub severity: Option<String>,
    /// Category code.
    pub category: String,
    /// The observer's words; `null` once erased.
    pub text: Option<String>,
    /// Station code, as the observer gave it.
    pub station: Option<String>,
    /// The station's constituency.
    pub constituency: Option<String>,
    /// Where the device was.
    pub place: Option<Place>,
    /// When it happened, as the observer says.
    pub observed_at: Option<String>,
    /// When it was filed, by the device's clock.
    pub filed_at: Option<String>,
    /// When the server received it.
    pub received_at: String,
    /// When it last changed, by the server's clock.
    pub updated_at: String,
    /// What the server noticed.
    #[schema(value_type = Vec<String>)]
    pub flags: Vec<&'static str>,
    /// The observer took it back.
    pub withdrawn: bool,
    /// Its words were erased.
    pub erased: bool,
    /// How many times the observer has stated it: 1 and the amendments.
    pub revisions: i32,
    /// The observer's pseudonym; empty for a citizen, who called.
    pub observer: String,
    /// The observer's institution.
    pub institution: Option<String>,
    /// The account that looks after it.
    pub assignee: Option<Uuid>,
    /// How soon it is to be looked at: `low`, `normal`, `high` or `urgent`.
    pub priority: String,
    /// How many notes colleagues have written.
    pub notes: i32,
    /// What stands behind the case that it is in; `null` if it is in none.
    pub corroboration: Option<Corroboration>,
    /// Of a report by telephone: who called, and what became of it.
    pub telephone: Option<Telephone>,
    /// The reports by telephone that tell the same, as a person has said.
    pub merged: Vec<Uuid>,
}

/// What a report by telephone has beside the others.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Telephone {
    /// `observer` or `citizen`.
    pub caller: &'static str,
    /// The account that listened.
    pub entered_by: Uuid,
    /// The report that tells the same: there it is decided on.
    pub merged_into: Option<Uuid>,
}

/// Which reports by telephone a list holds, of those that were merged into another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Merged {
    /// Only those.
    Only,
    /// Only the others.
    Without,
    /// All.
    Any,
}

impl std::str::FromStr for Merged {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        match text {
            "true" => Ok(Self::Only),
            "false" => Ok(Self::Without),
            "any" => Ok(Self::Any),
            _ => Err(()),
        }
    }
}

/// One entry about a report.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct HistoryEntry {
    /// Ledger number.
    pub number: i64,
    /// What it does: `file`, `amend`, `withdraw`, `answer`, `decide`, `admit`, `erase`.
    pub kind: String,
    /// Its hash, base64url.
    pub hash: String,
    /// When the server received it.
    pub received_at: String,
    /// The signer's clocks, unless erased.
    pub at: Option<At>,
    /// Who: an observer's pseudonym, or the id of a coordinator's account.
    pub by: Option<String>,
    /// `applied`, `held` (waits for the entry before it) or `quarantined`.
    pub standing: String,
    /// Why it was quarantined, also once it has been admitted.
    pub quarantine: Option<String>,
    /// What it says, with its disclosures in place; `null` if it cannot be read.
    pub body: Option<Map<String, Value>>,
    /// The very texts that were signed; `null` if it is not even an entry.
    #[schema(value_type = Option<WireEntry>)]
    pub entry: Option<WireEntry>,
    /// The public key to verify it with.
    #[schema(value_type = Option<Jwk>)]
    pub signer: Option<Jwk>,
}

/// Reports that fit, newest first: those before a number, at most `limit`.
///
/// # Errors
/// The database's.
pub fn list(
    conn: &mut Conn,
    mission: MissionRef,
    filter: &Filter,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Report>> {
    let rows = reports_query::page(conn, mission.no, filter, before, limit)?;
    described(conn, mission, rows)
}

/// Rows as readers see them.
///
/// # Errors
/// The database's.
pub fn described(
    conn: &mut Conn,
    mission: MissionRef,
    rows: Vec<ReportRow>,
) -> Result<Vec<Report>> {
    let mut ids: Vec<Vec<u8>> = rows
        .iter()
        .filter_map(|row| row.accreditation.clone())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let observers: HashMap<Vec<u8>, Observer> = reports_query::observers(conn, mission.no, &ids)?
        .into_iter()
        .map(|observer| (observer.accreditation.clone(), observer))
        .collect();
    let reports: Vec<Vec<u8>> = rows.iter().map(|row| row.id.clone()).collect();
    let mut touched: HashMap<Vec<u8>, TriageRow> = triage::of_reports(conn, mission.no, &reports)?
        .into_iter()
        .map(|row| (row.report.clone(), row))
        .collect();
    let mut corroborated = cases::corroborations(conn, mission, &reports)?;
    let mut merged = merged(conn, mission, &reports)?;
    rows.into_iter()
        .map(|row| {
            let touched = touched.remove(&row.id);
            let case = corroborated.remove(&row.id).map(|(case, _)| case);
            let merged = merged.remove(&row.id).unwrap_or_default();
            let observer = row.accreditation.as_ref().and_then(|id| observers.get(id));
            Report::new(observer, touched.as_ref(), (case, merged), row)
        })
        .collect()
}

/// Which reports by telephone tell the same as these.
fn merged(
    conn: &mut Conn,
    mission: MissionRef,
    reports: &[Vec<u8>],
) -> Result<HashMap<Vec<u8>, Vec<Uuid>>> {
    let mut out: HashMap<Vec<u8>, Vec<Uuid>> = HashMap::new();
    for (into, id) in telephone::merged(conn, mission.no, reports)? {
        out.entry(into).or_default().push(devices::read_id(&id)?);
    }
    Ok(out)
}

/// One report with all its entries, in the ledger's order; `None` if the
/// mission has none of this id. `contact` is for those who may call a citizen back.
///
/// # Errors
/// The database's.
pub fn show(
    conn: &mut Conn,
    keys: &Keys,
    mission: MissionRef,
    id: Uuid,
    contact: bool,
) -> Result<Option<(Report, Vec<HistoryEntry>)>> {
    let bytes = id.as_bytes().to_vec();
    let Some(row) = bulk::reports_by_id(conn, mission.no, std::slice::from_ref(&bytes))?.pop()
    else {
        return Ok(None);
    };
    let entries = ledger::of_subject(conn, mission.no, &bytes)?;
    let history = describe(conn, keys, mission, entries, contact)?;
    let report = described(conn, mission, vec![row])?.pop();
    Ok(report.map(|report| (report, history)))
}

/// Entries as readers see them.
///
/// # Errors
/// The database's.
pub fn describe(
    conn: &mut Conn,
    keys: &Keys,
    mission: MissionRef,
    entries: Vec<EntryRow>,
    contact: bool,
) -> Result<Vec<HistoryEntry>> {
    let mut devices: Vec<Vec<u8>> = entries
        .iter()
        .filter_map(|entry| entry.device.clone())
        .collect();
    devices.sort_unstable();
    devices.dedup();
    let signers: HashMap<Vec<u8>, Signer> = reports_query::signers(conn, mission.no, &devices)?
        .into_iter()
        .map(|signer| (signer.device.clone(), signer))
        .collect();
    Ok(entries
        .into_iter()
        .map(|entry| HistoryEntry::new(keys, &signers, entry, contact))
        .collect())
}

impl Report {
    fn new(
        observer: Option<&Observer>,
        touched: Option<&TriageRow>,
        (corroboration, merged): (Option<Corroboration>, Vec<Uuid>),
        row: ReportRow,
    ) -> Result<Self> {
        let time = |micros: i64| Micros(micros).rfc3339();
        let telephone = Telephone::of(&row)?;
        Ok(Self {
            id: devices::read_id(&row.id)?,
            number: row.first_number,
            version: row.version,
            status: row.status,
            severity: row.severity,
            category: row.category,
            text: row.text,
            station: row.station,
            constituency: row.constituency,
            place: row.lat.zip(row.lon).map(|(lat, lon)| Place {
                lat,
                lon,
                accuracy: row.accuracy,
            }),
            observed_at: row.observed_at.map(time),
            filed_at: row.filed_at.map(time),
            received_at: time(row.received_at),
            updated_at: time(row.updated_at),
            flags: flags::names(row.flags),
            withdrawn: row.withdrawn,
            erased: row.erased,
            revisions: row.revisions,
            observer: observer
                .map(|observer| observer.pseudonym.clone())
                .unwrap_or_default(),
            institution: observer
                .map(|o| o.institution.clone())
                .filter(|name| !name.is_empty()),
            assignee: touched.and_then(super::triage::assignee).map(|user| user.0),
            priority: touched
                .and_then(|row| row.priority.clone())
                .unwrap_or_else(|| "normal".into()),
            notes: touched.map_or(0, |row| row.notes),
            corroboration,
            telephone,
            merged,
        })
    }
}

impl Telephone {
    fn of(row: &ReportRow) -> Result<Option<Self>> {
        let Some(entered_by) = row.entered_by.as_deref() else {
            return Ok(None);
        };
        Ok(Some(Self {
            caller: caller(row),
            entered_by: devices::read_id(entered_by)?,
            merged_into: row
                .merged_into
                .as_deref()
                .map(devices::read_id)
                .transpose()?,
        }))
    }
}

/// Who called.
pub(super) fn caller(row: &ReportRow) -> &'static str {
    match row.accreditation {
        Some(_) => "observer",
        None => "citizen",
    }
}

impl HistoryEntry {
    fn new(keys: &Keys, signers: &HashMap<Vec<u8>, Signer>, row: EntryRow, contact: bool) -> Self {
        let entry = str::from_utf8(&row.sd_jwt)
            .ok()
            .and_then(|compact| SdJwt::parse(compact).ok())
            .map(|entry| match contact {
                true => entry,
                false => super::telephone::without_contact(&entry),
            });
        let read = entry.as_ref().and_then(|entry| entry.read().ok());
        let (at, body) = read.map_or((None, None), |read| (read.at, Some(read.body)));
        let signer = row.device.as_ref().and_then(|device| signers.get(device));
        let (by, jwk) = match (&row.device, &row.actor) {
            (Some(_), _) => (
                signer.map(|signer| signer.pseudonym.clone()),
                signer.and_then(|signer| serde_json::from_str(&signer.jwk).ok()),
            ),
            (None, actor) => (
                actor
                    .as_ref()
                    .and_then(|id| Uuid::from_slice(id).ok())
                    .map(|id| id.to_string()),
                Some(keys.receipt_public.to_jwk()),
            ),
        };
        Self {
            number: row.number,
            kind: row.kind,
            hash: b64(&row.hash),
            received_at: Micros(row.received_at).rfc3339(),
            at,
            by,
            standing: row.standing,
            quarantine: row.quarantine,
            body,
            entry: entry.map(|entry| entry.to_wire()),
            signer: jwk,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(pairs: &[(&str, &str)]) -> Result<Filter> {
        let mut filter = Filter::default();
        for (name, value) in pairs {
            assert!(filter.set(name, value)?, "{name}");
        }
        Ok(filter)
    }

    #[test]
    fn lists_repeat_or_take_commas() {
        let one = filter(&[
            ("status", "received,in_review"),
            ("severity", "none,critical"),
        ])
        .unwrap();
        let two = filter(&[
            ("status", "received"),
            ("status", "in_review"),
            ("severity", "none"),
            ("severity", "critical"),
        ]);
        assert_eq!(one, two.unwrap());
        assert_eq!(one.severity, [None, Some(Severity::Critical)]);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for (name, value) in [
            ("status", "open"),
            ("status", ""),
            ("severity", "Critical"),
            ("station", "a\0"),
            ("flag", "odd"),
            ("received_from", "yesterday"),
            ("bbox", "1,2,3"),
            ("bbox", "49,41,50,40"),
            ("bbox", "NaN,40,50,41"),
            ("bbox", "-181,40,50,41"),
            ("withdrawn", "yes"),
            ("evidence", "yes"),
            ("merged", "yes"),
        ] {
            let error = filter(&[(name, value)]).unwrap_err();
            assert_eq!(error.code(), Code::MalformedQuery, "{name}={value}");
        }
        assert!(filter(&[("text", "a"), ("text", "b")]).is_err());
        assert!(!Filter::default().set("mission", "x").unwrap());
    }

    #[test]
    fn a_box_may_cross_the_antimeridian() {
        let crossing = filter(&[("bbox", "170,-20,-170,20")])
            .unwrap()
            .bbox
            .unwrap();
        assert!(crossing.min_lon > crossing.max_lon);
    }

    #[test]
    fn fingerprints_tell_filters_and_missions_apart() {
        let (one, two) = (MissionId(uuid::Uuid::nil()), MissionId(uuid::Uuid::max()));
        let all = Filter::default();
        let some = filter(&[("withdrawn", "true")]).unwrap();
        assert_ne!(all.fingerprint(one), all.fingerprint(two));
        assert_ne!(all.fingerprint(one), some.fingerprint(one));
        assert_eq!(some.fingerprint(one), some.clone().fingerprint(one));
    }

    #[test]
    fn every_parameter_is_documented_and_taken() {
        for (name, _) in PARAMETERS {
            let taken = Filter::default()
                .set(name, "\u{1}")
                .map_or(true, |known| known);
            assert!(taken, "{name}");
        }
    }
}
