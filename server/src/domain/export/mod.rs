//! Exports: reports as CSV, GeoJSON or JSON Lines, streamed with flat memory
//! and the same bytes for the same data.

mod csv;
mod record;

use std::{borrow::Cow, collections::HashMap, io::Write};

use protocol::{
    encoding::b64,
    entry::SdJwt,
    jose::{Jwk, Signer as _},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    clock::Micros,
    domain::{acts::Office, cases, missions::Mission, reports::Filter, telephone},
    error::{Error, Result},
    store::{
        Conn, bulk, evidence, exports as store, ledger::EntryRow, projections::ReportRow,
        reports_query,
    },
};

pub(in crate::domain) use csv::{is_formula, push_text};
use record::Registers;
pub use record::{COLUMNS, Cell, Column, Record};

/// Reports read at once; few in tests, so that they see the seams.
const CHUNK: i64 = if cfg!(test) { 2 } else { 1_000 };
/// Entries held in memory at once; one is at most 64 KiB.
const ENTRIES: i64 = if cfg!(test) { 3 } else { 500 };

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table for spreadsheets and statistics.
    Csv,
    /// Places for maps (RFC 7946).
    GeoJson,
    /// One report a line, with its history and the signed entries.
    JsonLines,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Csv, Self::GeoJson, Self::JsonLines];

    /// The name on the command line and over HTTP.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::GeoJson => "geojson",
            Self::JsonLines => "jsonl",
        }
    }

    /// The media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::GeoJson => "application/geo+json",
            Self::JsonLines => "application/jsonl",
        }
    }
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| format!("`{text}` is not one of csv, geojson, jsonl"))
    }
}

/// What an export holds.
#[derive(Clone, Debug)]
pub struct Options {
    /// In which form.
    pub format: Format,
    /// Which reports.
    pub filter: Filter,
    /// Also names and accreditation numbers: only for those who may see them.
    pub names: bool,
    /// The language of category labels; English, or any, where it is missing.
    pub language: String,
}

impl Options {
    /// Every report, without names, labels in English.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self {
            format,
            filter: Filter::default(),
            names: false,
            language: "en".into(),
        }
    }

    /// For the audit trail: what was asked for, without what was left open.
    ///
    /// # Errors
    /// None in practice.
    pub fn told(&self) -> Result<Value> {
        let mut told = json!({
            "format": self.format.name(),
            "names": self.names,
            "language": self.language,
        });
        let filter = serde_json::to_value(&self.filter)
            .map_err(|error| Error::Internal(error.to_string()))?;
        for (name, value) in filter.as_object().into_iter().flatten() {
            let open = match value {
                Value::Null => true,
                Value::Array(list) => list.is_empty(),
                _ => false,
            };
            if !open {
                told[name.as_str()] = value.clone();
            }
        }
        Ok(told)
    }
}

/// Writes an export; answers how many reports it holds. Runs inside
/// `Store::read`, so that it shows one moment. `office` names the server's own
/// key, under which decisions verify.
///
/// # Errors
/// The database's, or the writer's.
pub fn write(
    conn: &mut Conn,
    office: Office<'_>,
    mission: &Mission,
    options: &Options,
    out: &mut dyn Write,
) -> Result<u64> {
    let mut export = Export::open(conn, office, mission, options)?;
    match options.format {
        Format::Csv => csv::write(conn, &mut export, out),
        Format::GeoJson => geojson(conn, &mut export, out),
        Format::JsonLines => json_lines(conn, &mut export, out),
    }
}

/// A page of records, the newest first: those before a number.
///
/// # Errors
/// The database's.
pub fn page(
    conn: &mut Conn,
    office: Office<'_>,
    mission: &Mission,
    options: &Options,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Record>> {
    let mut export = Export::open(conn, office, mission, options)?;
    let rows = reports_query::page(conn, mission.reference.no, &options.filter, before, limit)?;
    export.records(conn, rows)
}

/// One report with its history, as a line of JSON Lines holds it; `None` if
/// there is no such report.
///
/// # Errors
/// The database's.
pub fn one(
    conn: &mut Conn,
    office: Office<'_>,
    mission: &Mission,
    report: uuid::Uuid,
    names: bool,
) -> Result<Option<Value>> {
    let ids = [report.as_bytes().to_vec()];
    let row = bulk::reports_by_id(conn, mission.reference.no, &ids)?.pop();
    let Some(row) = row else { return Ok(None) };
    let options = Options {
        names,
        ..Options::new(Format::JsonLines)
    };
    let mut export = Export::open(conn, office, mission, &options)?;
    let mut bytes = Vec::new();
    let records = export.records(conn, vec![row])?;
    export.lines(conn, &records, &mut bytes)?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Error::Internal(error.to_string()))
}

/// An export under way.
struct Export<'a> {
    mission: &'a Mission,
    options: &'a Options,
    registers: Registers,
    office_kid: String,
    office_jwk: Jwk,
    /// Keys of devices that have been looked up.
    devices: HashMap<Vec<u8>, Option<Jwk>>,
    after: i64,
    count: u64,
}

impl<'a> Export<'a> {
    fn open(
        conn: &mut Conn,
        office: Office<'_>,
        mission: &'a Mission,
        options: &'a Options,
    ) -> Result<Self> {
        let public = office.key.public();
        Ok(Self {
            mission,
            options,
            registers: Registers::load(conn, mission, &options.language)?,
            office_kid: public.thumbprint(),
            office_jwk: public.to_jwk(),
            devices: HashMap::new(),
            after: 0,
            count: 0,
        })
    }

    /// The next records in ledger order; empty at the end.
    fn next(&mut self, conn: &mut Conn) -> Result<Vec<Record>> {
        let rows = store::reports(conn, self.no(), &self.options.filter, self.after, CHUNK)?;
        if let Some(last) = rows.last() {
            self.after = last.first_number;
        }
        self.count += u64::try_from(rows.len()).unwrap_or(0);
        self.records(conn, rows)
    }

    fn records(&mut self, conn: &mut Conn, rows: Vec<ReportRow>) -> Result<Vec<Record>> {
        self.registers.look_up(conn, self.no(), &rows)?;
        let reasons = reasons(conn, self.no(), &rows)?;
        let ids: Vec<&[u8]> = rows.iter().map(|row| row.id.as_slice()).collect();
        let files = evidence::counts(conn, self.no(), &ids)?;
        let ids: Vec<Vec<u8>> = rows.iter().map(|row| row.id.clone()).collect();
        let mut cases = cases::corroborations(conn, self.mission.reference, &ids)?;
        rows.into_iter()
            .map(|row| {
                let reason = reasons.get(&row.id).cloned();
                let case = cases.remove(&row.id);
                let files = files.get(&row.id).copied().unwrap_or(0);
                self.registers
                    .record(row, reason, case, files, self.options.names)
            })
            .collect()
    }

    fn no(&self) -> i32 {
        self.mission.reference.no
    }

    /// Writes reports with their entries, one a line.
    fn lines(&mut self, conn: &mut Conn, records: &[Record], out: &mut dyn Write) -> Result<()> {
        let ids: Vec<&[u8]> = records.iter().map(Record::id).collect();
        let counts = store::entry_counts(conn, self.no(), &ids)?;
        let mut rest = records;
        while !rest.is_empty() {
            // As many reports as have few enough entries together; one that has
            // more than that goes alone, a page of entries at a time.
            let mut entries = 0;
            let fit = rest
                .iter()
                .take_while(|record| {
                    entries += counts.get(record.id()).copied().unwrap_or(0);
                    entries <= ENTRIES
                })
                .count();
            let (group, later) = rest.split_at(fit.max(1));
            rest = later;
            if fit == 0 {
                self.long_line(conn, &group[0], out)?;
                continue;
            }
            let ids: Vec<&[u8]> = group.iter().map(Record::id).collect();
            let mut histories: HashMap<Vec<u8>, Vec<EntryRow>> = HashMap::new();
            let entries = store::entries_of(conn, self.no(), &ids)?;
            self.look_up_devices(conn, &entries)?;
            for entry in entries {
                if let Some(subject) = entry.subject.clone() {
                    histories.entry(subject).or_default().push(entry);
                }
            }
            for record in group {
                let history = histories.remove(record.id()).unwrap_or_default();
                self.begin_line(record, out)?;
                let mut first = true;
                self.entries(&history, &mut first, out)?;
                put(out, b"]}\n")?;
            }
        }
        Ok(())
    }

    fn long_line(&mut self, conn: &mut Conn, record: &Record, out: &mut dyn Write) -> Result<()> {
        self.begin_line(record, out)?;
        let (mut after, mut first) = (0, true);
        loop {
            let page = store::entries_after(conn, self.no(), record.id(), after, ENTRIES)?;
            let Some(last) = page.last() else { break };
            after = last.number;
            self.look_up_devices(conn, &page)?;
            self.entries(&page, &mut first, out)?;
        }
        put(out, b"]}\n")
    }

    /// `{…report…,"entries":[`
    fn begin_line(&self, record: &Record, out: &mut dyn Write) -> Result<()> {
        let mut members = record.to_json(self.options.names);
        members.insert("mission".into(), json!(self.mission.reference.id));
        let mut text = Value::Object(members).to_string();
        text.pop();
        text.push_str(",\"entries\":[");
        put(out, text.as_bytes())
    }

    /// Finds the keys of the devices behind these entries, all at once. One that
    /// is not found is remembered too.
    fn look_up_devices(&mut self, conn: &mut Conn, entries: &[EntryRow]) -> Result<()> {
        if self.devices.len() > 10_000 {
            self.devices.clear();
        }
        let mut unknown: Vec<Vec<u8>> = entries
            .iter()
            .filter_map(|entry| entry.device.clone())
            .filter(|device| !self.devices.contains_key(device))
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        if unknown.is_empty() {
            return Ok(());
        }
        for signer in reports_query::signers(conn, self.no(), &unknown)? {
            let jwk = serde_json::from_str(&signer.jwk)
                .map_err(|_| Error::Internal("a device's key cannot be read".into()))?;
            self.devices.insert(signer.device, Some(jwk));
        }
        for device in unknown {
            self.devices.entry(device).or_insert(None);
        }
        Ok(())
    }

    fn entries(&self, entries: &[EntryRow], first: &mut bool, out: &mut dyn Write) -> Result<()> {
        for entry in entries {
            if !std::mem::take(first) {
                put(out, b",")?;
            }
            let line = self.entry(entry)?;
            serde_json::to_writer(&mut *out, &line)
                .map_err(|error| Error::Io("the export".into(), error.into()))?;
        }
        Ok(())
    }

    /// An entry with what this export discloses: how to reach a citizen who called is
    /// among the names.
    fn disclosed<'e>(&self, row: &'e EntryRow) -> Result<Cow<'e, str>> {
        let text = std::str::from_utf8(&row.sd_jwt)
            .map_err(|_| Error::Internal(format!("entry {} is not text", row.number)))?;
        if self.options.names || row.device.is_some() {
            return Ok(Cow::Borrowed(text));
        }
        let entry = SdJwt::parse(text)
            .map_err(|error| Error::Internal(format!("entry {}: {error}", row.number)))?;
        Ok(Cow::Owned(
            telephone::without_contact(&entry).compact().to_owned(),
        ))
    }

    fn entry<'e>(&self, row: &'e EntryRow) -> Result<Entry<'e>> {
        let sd_jwt = self.disclosed(row)?;
        let jwk = match &row.device {
            Some(device) => self.devices.get(device).cloned().flatten(),
            None => Some(self.office_jwk.clone()),
        };
        let kid = jwk
            .as_ref()
            .map_or_else(|| self.office_kid.clone(), Jwk::thumbprint);
        Ok(Entry {
            number: row.number,
            hash: b64(&row.hash),
            chain: b64(&row.chain),
            kind: &row.kind,
            standing: &row.standing,
            quarantine: row.quarantine.as_deref(),
            received_at: Micros(row.received_at).rfc3339(),
            signer: Signer { kid, jwk },
            sd_jwt,
        })
    }
}

/// One entry in a line of JSON Lines.
#[derive(Serialize)]
struct Entry<'a> {
    number: i64,
    hash: String,
    chain: String,
    kind: &'a str,
    standing: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantine: Option<&'a str>,
    received_at: String,
    signer: Signer,
    sd_jwt: Cow<'a, str>,
}

#[derive(Serialize)]
struct Signer {
    kid: String,
    jwk: Option<Jwk>,
}

/// The reason of the last decision on each report that had one.
fn reasons(conn: &mut Conn, mission: i32, rows: &[ReportRow]) -> Result<HashMap<Vec<u8>, String>> {
    let decided: Vec<&[u8]> = rows
        .iter()
        .filter(|row| row.status != crate::domain::status::RECEIVED)
        .map(|row| row.id.as_slice())
        .collect();
    let mut out = HashMap::new();
    if decided.is_empty() {
        return Ok(out);
    }
    for (subject, sd_jwt) in store::decisions(conn, mission, &decided)? {
        let Some(subject) = subject else { continue };
        let body = std::str::from_utf8(&sd_jwt)
            .ok()
            .and_then(|text| SdJwt::parse(text).ok())
            .and_then(|entry| entry.read().ok())
            .map(|read| read.body);
        match body
            .as_ref()
            .and_then(|body| body.get("reason"))
            .and_then(Value::as_str)
        {
            Some(reason) => out.insert(subject, reason.to_owned()),
            None => out.remove(&subject),
        };
    }
    Ok(out)
}

fn geojson(conn: &mut Conn, export: &mut Export<'_>, out: &mut dyn Write) -> Result<u64> {
    put(out, b"{\"type\":\"FeatureCollection\",\"features\":[")?;
    let mut first = true;
    loop {
        let records = export.next(conn)?;
        if records.is_empty() {
            break;
        }
        for record in &records {
            put(
                out,
                if std::mem::take(&mut first) {
                    b"\n"
                } else {
                    b",\n"
                },
            )?;
            let feature = json!({
                "type": "Feature",
                "id": record.report,
                // RFC 7946 §3.1.1: longitude first.
                "geometry": record.point().map(|(lon, lat)| json!({"type": "Point", "coordinates": [lon, lat]})),
                "properties": record.to_json(export.options.names),
            });
            put(out, feature.to_string().as_bytes())?;
        }
    }
    put(out, b"\n]}\n")?;
    Ok(export.count)
}

fn json_lines(conn: &mut Conn, export: &mut Export<'_>, out: &mut dyn Write) -> Result<u64> {
    loop {
        let records = export.next(conn)?;
        if records.is_empty() {
            return Ok(export.count);
        }
        export.lines(conn, &records, out)?;
    }
}

fn put(out: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes)
        .map_err(|error| Error::Io("the export".into(), error))
}

#[cfg(test)]
mod tests;
