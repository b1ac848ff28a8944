//! Accreditations: `number,name,kind,institution,country,stations`.

use std::collections::HashSet;

use protocol::codes::Code;

use super::{
    Columns, Desk, Field, Progress, Reading, Step, Table, Tally,
    preview::Values,
    take_key,
    value::{NAME_CHARS, Reader},
};
use crate::{
    domain::missions::Mission,
    error::{Error, Result},
    store::{Conn, registers, registers::Accreditation},
};

/// The kinds of observers.
const KINDS: [&str; 2] = ["domestic", "international"];
/// Stations that one accreditation may name.
const STATIONS: usize = 1_000;
/// Characters of a country.
const COUNTRY_CHARS: usize = 100;

pub(super) fn fields() -> Vec<Field> {
    vec![
        Field::new("number", true),
        Field::new("name", true),
        Field::new("kind", true),
        Field::new("institution", false),
        Field::new("country", false),
        Field::new("stations", false),
    ]
}

/// One row; the rest of an [`Accreditation`] comes when it is written.
pub(super) struct Parsed {
    line: u64,
    number: String,
    name: String,
    kind: &'static str,
    institution: String,
    country: String,
    stations: String,
}

pub(super) fn parse(
    table: &mut Table<'_>,
    columns: &Columns,
    known_stations: &HashSet<String>,
    file: &mut Reading<'_>,
) -> Vec<Parsed> {
    let mut keys = std::mem::take(&mut file.keys);
    file.rows(table, |row, errors| {
        let mut cells = Reader { row, errors };
        let number = cells.needed_code(columns.of("number"), "number").to_owned();
        let name = cells.needed(columns.of("name"), "name", NAME_CHARS);
        let kind_column = columns.of("kind");
        if cells.row.cell(kind_column).is_empty() {
            cells.needed_code(kind_column, "kind");
        }
        let kind = cells
            .choice(kind_column, "kind", &KINDS)
            .unwrap_or_default();
        let institution = cells.text(columns.of("institution"), "institution", NAME_CHARS);
        let country = cells.text(columns.of("country"), "country", COUNTRY_CHARS);
        let column = columns.of("stations");
        let codes: Vec<&str> = row
            .cell(column)
            .split(';')
            .map(str::trim)
            .filter(|code| !code.is_empty())
            .collect();
        if codes.len() > STATIONS {
            let message = format!("more than {STATIONS} stations");
            cells.errors.push(row.error(column, Code::TooLong, message));
        }
        for code in codes.iter().take(STATIONS) {
            if !known_stations.contains(*code) {
                let message = format!("the mission has no station `{code}`; import stations first");
                cells
                    .errors
                    .push(row.error(column, Code::StationUnknown, message));
            }
        }
        if !number.is_empty() {
            take_key(&mut keys, row, columns.of("number"), &number, cells.errors);
        }
        let stations = serde_json::Value::from(codes).to_string();
        Some(Parsed {
            line: row.line,
            number,
            name,
            kind,
            institution,
            country,
            stations,
        })
    })
}

/// The rows to write.
pub(super) fn plan(
    conn: &mut Conn,
    desk: Desk<'_>,
    mission: &Mission,
    columns: &Columns,
    parsed: Vec<Parsed>,
    tally: &mut Tally,
) -> Result<Vec<Accreditation>> {
    let mut known = registers::accreditations(conn, mission.reference.no)?;
    let mut put = Vec::new();
    for row in parsed {
        let old = known.remove(&row.number);
        let mut new = Accreditation {
            mission: mission.reference.no,
            id: Vec::new(),
            pseudonym: String::new(),
            number: row.number,
            name: row.name,
            kind: row.kind.to_owned(),
            institution: row.institution,
            country: row.country,
            stations: row.stations,
        };
        match &old {
            Some(old) => {
                new.id.clone_from(&old.id);
                new.pseudonym.clone_from(&old.pseudonym);
                if columns.of("institution").is_none() {
                    new.institution.clone_from(&old.institution);
                }
                if columns.of("country").is_none() {
                    new.country.clone_from(&old.country);
                }
                if columns.of("stations").is_none() {
                    new.stations.clone_from(&old.stations);
                }
            }
            None => {
                new.id = desk.host.uuid().as_bytes().to_vec();
                new.pseudonym = desk.keys.pseudonym(mission.reference.id, &new.number);
                if new.pseudonym.is_empty() {
                    return Err(Error::Internal("no pseudonym could be made".into()));
                }
            }
        }
        let place = (row.line, new.number.as_str());
        if tally.count(place, old.as_ref(), &new, values) {
            put.push(new);
        }
    }
    tally.note_missing(known.keys());
    Ok(put)
}

/// A row as its file says it.
pub(in crate::domain) fn values(row: &Accreditation) -> Values {
    let stations: Vec<String> = serde_json::from_str(&row.stations).unwrap_or_default();
    [
        ("number", row.number.clone()),
        ("name", row.name.clone()),
        ("kind", row.kind.clone()),
        ("institution", row.institution.clone()),
        ("country", row.country.clone()),
        ("stations", stations.join(";")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

pub(super) fn put(conn: &mut Conn, put: Vec<Accreditation>, progress: Progress<'_>) -> Result<()> {
    let total = u64::try_from(put.len()).unwrap_or(u64::MAX);
    let mut done = 0;
    registers::put_accreditations(conn, &put, |rows| {
        done += u64::try_from(rows).unwrap_or(0);
        progress(Step::Writing(done, total));
    })?;
    Ok(())
}
