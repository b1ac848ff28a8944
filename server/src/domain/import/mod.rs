//! Imports: stations, accreditations and categories from CSV files.
//!
//! A file is checked as a whole before anything is written, and written in one
//! transaction. What the new file lacks is told and kept: reports refer to it.

mod accreditations;
mod categories;
mod preview;
mod save;
mod stations;
mod table;
mod value;

use std::collections::{BTreeMap, HashMap};

use protocol::{codes::Code, encoding::b64};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{
    clock::Host,
    domain::{
        audit::{Act, By, Deed},
        flags,
        missions::Mission,
        reference,
    },
    error::{Error, Result},
    keys::Keys,
    store::{Conn, Store, ledger, missions, projections, registers},
};

use preview::Tally;
pub use preview::{Changed, Changes, FieldChange, New, Outcome, Seen, Task, Window};
pub use save::save;
pub use stations::path;
use table::{Columns, Field, Row, Table};

/// Bytes of a file.
pub const FILE_BYTES: u64 = 256 * 1024 * 1024;

/// Which register a file fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// Polling stations and the locations above them.
    Stations,
    /// Accreditations of observers.
    Accreditations,
    /// The taxonomy of reports.
    Categories,
}

impl Register {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Stations, Self::Accreditations, Self::Categories];

    /// The register of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|register| register.name() == name)
    }

    /// The name in the database and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stations => "stations",
            Self::Accreditations => "accreditations",
            Self::Categories => "categories",
        }
    }
}

/// How decimal numbers are written in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decimal {
    /// `40.4`
    #[default]
    Point,
    /// `40,4`
    Comma,
}

/// How the file is to be read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which column holds a field, where they are not called alike.
    pub map: BTreeMap<String, String>,
    /// How decimal numbers are written.
    pub decimal: Decimal,
    /// What stands between fields; found from the header when not given.
    pub delimiter: Option<u8>,
}

/// One thing that is wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowError {
    /// The line of the file on which the row begins, from 1.
    pub line: u64,
    /// The column, as the header names it.
    pub column: Option<String>,
    /// The stable code.
    pub code: Code,
    /// For a person.
    pub message: String,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Rows read, the bad ones too.
    pub read: u64,
    /// Rows that were new.
    pub created: u64,
    /// Rows that said something new.
    pub updated: u64,
    /// Rows that said what was known.
    pub unchanged: u64,
    /// What is wrong with the file; if anything is, nothing was written.
    pub errors: Vec<RowError>,
    /// Codes or numbers that are known and not in this file; they are kept.
    /// The first hundred.
    pub missing: Vec<String>,
    /// How many are known and not in this file.
    pub missing_count: u64,
}

/// How far an import is.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Bytes of the file read, and how many there are.
    Reading(u64, u64),
    /// Rows written, and how many there are.
    Writing(u64, u64),
}

/// Hears how far an import is.
pub type Progress<'a> = &'a mut dyn FnMut(Step);

/// What an import works with.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// The database.
    pub store: &'a Store,
    /// Makes pseudonyms.
    pub keys: &'a Keys,
    /// Time and randomness.
    pub host: &'a Host,
    /// Who imports.
    pub by: By,
}

/// Imports a file.
///
/// # Errors
/// `usage` for a mapping of a field that the register does not have,
/// `body_too_large`, or the database's. What is wrong with rows stands in the
/// report instead.
pub fn run(
    desk: Desk<'_>,
    mission: &Mission,
    register: Register,
    bytes: &[u8],
    options: &Options,
    progress: Progress<'_>,
) -> Result<Report> {
    let task = Task::Apply { seen: None };
    Ok(perform(desk, mission, register, bytes, options, task, progress)?.report)
}

/// Imports a file as it was previewed, or tells what an import would change.
///
/// # Errors
/// As [`run`]; `preview_stale` if file or register are not those of the preview.
pub fn perform(
    desk: Desk<'_>,
    mission: &Mission,
    register: Register,
    bytes: &[u8],
    options: &Options,
    task: Task<'_>,
    progress: Progress<'_>,
) -> Result<Outcome> {
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES) {
        return Err(too_large());
    }
    let file = Reading::new(bytes, task, progress)?;
    let fields = match register {
        Register::Stations => stations::fields(mission),
        Register::Accreditations => accreditations::fields(),
        Register::Categories => categories::fields(),
    };
    check_map(register, &fields, &options.map)?;
    let mut table = match Table::open(bytes, options.delimiter) {
        Ok(table) => table,
        Err(error) => return Ok(file.refuse(vec![error])),
    };
    let mut fields = fields;
    if register == Register::Categories {
        fields.extend(categories::label_fields(table.header(), &options.map));
    }
    let columns = match table.columns(&fields, &options.map) {
        Ok(columns) => columns,
        Err(errors) => return Ok(file.refuse(errors)),
    };
    let mut file = file;
    match register {
        Register::Stations => {
            let parsed = stations::parse(&mut table, &columns, mission, options, &mut file);
            file.finish(
                desk,
                mission,
                register,
                |conn, tally| stations::plan(conn, mission, &columns, parsed, tally),
                stations::put,
            )
        }
        Register::Accreditations => {
            let known = desk
                .store
                .read(|conn| registers::station_codes(conn, mission.reference.no))?;
            let parsed = accreditations::parse(&mut table, &columns, &known, &mut file);
            file.finish(
                desk,
                mission,
                register,
                |conn, tally| accreditations::plan(conn, desk, mission, &columns, parsed, tally),
                accreditations::put,
            )
        }
        Register::Categories => {
            let parsed = categories::parse(&mut table, &columns, &fields, &mut file);
            file.finish(
                desk,
                mission,
                register,
                |conn, tally| categories::plan(conn, mission, &columns, parsed, tally),
                categories::put,
            )
        }
    }
}

/// The refusal of a file that is larger than [`FILE_BYTES`].
#[must_use]
pub fn too_large() -> Error {
    Error::refused(
        Code::BodyTooLarge,
        format!(
            "the file is larger than {} MiB; split it",
            FILE_BYTES / 1024 / 1024
        ),
    )
}

fn check_map(register: Register, fields: &[Field], map: &BTreeMap<String, String>) -> Result<()> {
    let is_known = |name: &str| {
        fields.iter().any(|field| field.name == name)
            || (register == Register::Categories && categories::is_label(name))
    };
    match map.keys().find(|name| !is_known(name)) {
        None => Ok(()),
        Some(name) => {
            let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
            Err(Error::refused(
                Code::Usage,
                format!(
                    "--map {name}=…: {} have no field `{name}`; they have {}",
                    register.name(),
                    names.join(", ")
                ),
            ))
        }
    }
}

/// A file being read: its rows are counted, its errors collected, its keys kept
/// apart.
struct Reading<'a> {
    bytes: &'a [u8],
    sha256: [u8; 32],
    task: Task<'a>,
    progress: Progress<'a>,
    report: Report,
    /// Line of each key (code or number) seen.
    keys: HashMap<String, u64>,
}

impl<'a> Reading<'a> {
    fn new(bytes: &'a [u8], task: Task<'a>, progress: Progress<'a>) -> Result<Self> {
        let sha256: [u8; 32] = Sha256::digest(bytes).into();
        if matches!(task, Task::Apply { seen: Some(seen) } if seen.sha256 != b64(sha256)) {
            return Err(stale("the file is another one"));
        }
        Ok(Self {
            bytes,
            sha256,
            task,
            progress,
            report: Report::default(),
            keys: HashMap::new(),
        })
    }

    /// Calls `take` with every well-formed row, and keeps what it returns.
    fn rows<T>(
        &mut self,
        table: &mut Table<'_>,
        mut take: impl FnMut(&Row<'_>, &mut Vec<RowError>) -> Option<T>,
    ) -> Vec<T> {
        let mut out = Vec::new();
        let total = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        loop {
            match table.next() {
                None => break,
                Some(Err(error)) => {
                    self.report.read += 1;
                    self.report.errors.push(error);
                }
                Some(Ok(row)) => {
                    self.report.read += 1;
                    let before = self.report.errors.len();
                    let taken = take(&row, &mut self.report.errors);
                    if self.report.errors.len() == before {
                        out.extend(taken);
                    }
                }
            }
            if self.report.read.is_multiple_of(4096) {
                (self.progress)(Step::Reading(table.position(), total));
            }
        }
        (self.progress)(Step::Reading(total, total));
        out
    }

    /// Ends with what is wrong with the file.
    fn refuse(mut self, errors: Vec<RowError>) -> Outcome {
        self.report.errors.extend(errors);
        self.report.errors.sort_by_key(|error| error.line);
        Outcome {
            report: self.report,
            changes: Changes::default(),
            seen: Seen {
                sha256: b64(self.sha256),
                register: String::new(),
            },
        }
    }

    /// Finds what would change, and writes it if that is the task; nothing of either if
    /// there are errors.
    fn finish<P>(
        self,
        desk: Desk<'_>,
        mission: &Mission,
        register: Register,
        plan: impl FnOnce(&mut Conn, &mut Tally) -> Result<P>,
        put: impl FnOnce(&mut Conn, P, Progress<'_>) -> Result<()>,
    ) -> Result<Outcome> {
        if !self.report.errors.is_empty() {
            return Ok(self.refuse(Vec::new()));
        }
        let (sha256, progress) = (self.sha256, self.progress);
        let mut tally = Tally::new(self.report, self.task);
        let state = match self.task {
            Task::Preview(_) => desk.store.read(|conn| {
                plan(conn, &mut tally)?;
                state(conn, mission, register)
            })?,
            Task::Apply { seen } => desk.store.write(|conn| {
                // Reports that come meanwhile wait, and are then projected against
                // the new register.
                ledger::lock_head(conn, mission.reference.no)?;
                let state = state(conn, mission, register)?;
                if seen.is_some_and(|seen| seen.register != state) {
                    return Err(stale("the register has changed meanwhile"));
                }
                let planned = plan(conn, &mut tally)?;
                put(conn, planned, progress)?;
                settle(conn, desk, mission, register, sha256, &tally.report)?;
                Ok(state)
            })?,
        };
        Ok(Outcome {
            report: tally.report,
            changes: tally.changes,
            seen: Seen {
                sha256: b64(sha256),
                register: state,
            },
        })
    }
}

/// What follows from a register that has changed.
fn settle(
    conn: &mut Conn,
    desk: Desk<'_>,
    mission: &Mission,
    register: Register,
    sha256: [u8; 32],
    report: &Report,
) -> Result<()> {
    if report.created + report.updated == 0 {
        return Ok(());
    }
    let no = mission.reference.no;
    let now = desk.host.now();
    let version = registers::record_version(conn, no, register.name(), sha256, now)?;
    if register == Register::Stations {
        missions::refresh_box(conn, no)?;
        flags::reproject_places(conn, no)?;
    }
    if register == Register::Categories {
        projections::reproject_severities(conn, no)?;
    }
    reference::catch_up(conn, mission)?;
    let details = json!({
        "register": register.name(),
        "version": version,
        "sha256": b64(sha256),
        "read": report.read,
        "created": report.created,
        "updated": report.updated,
        "missing": report.missing_count,
    });
    Deed::new(desk.host, desk.by, Act::Import, details).note(conn, no)
}

/// Names what a register holds: another import, or a restore, gives another name.
fn state(conn: &mut Conn, mission: &Mission, register: Register) -> Result<String> {
    let newest = registers::newest_version(conn, mission.reference.no, register.name())?;
    Ok(newest.map_or_else(String::new, |(version, sha256)| {
        format!("{version}.{}", b64(sha256))
    }))
}

fn stale(why: &str) -> Error {
    Error::refused(Code::PreviewStale, why)
}

/// Takes a key that must be unique in the file.
fn take_key(
    keys: &mut HashMap<String, u64>,
    row: &Row<'_>,
    column: Option<usize>,
    key: &str,
    errors: &mut Vec<RowError>,
) {
    if let Some(line) = keys.get(key) {
        let message = format!("`{key}` stands already on line {line}");
        errors.push(row.error(column, Code::ValueDuplicate, message));
    } else {
        keys.insert(key.to_owned(), row.line);
    }
}

#[cfg(test)]
mod tests;
