//! A register as the CSV file that an import reads: taken away, edited, imported again.

use std::{collections::BTreeSet, io::Write};

use super::{Register, accreditations, categories, preview::Values, stations};
use crate::{
    domain::{export::push_text, missions::Mission},
    error::{Error, Result},
    store::{Conn, registers},
};

/// Writes the newest version of a register, in the order of its codes or numbers.
/// Answers how many rows.
///
/// # Errors
/// The database's, or the file's.
pub fn save(
    conn: &mut Conn,
    mission: &Mission,
    register: Register,
    out: &mut dyn Write,
) -> Result<u64> {
    let no = mission.reference.no;
    match register {
        Register::Stations => {
            let above = registers::locations(conn, no)?;
            let rows = sorted(registers::stations(conn, no)?);
            let header = stations::fields(mission)
                .into_iter()
                .map(|field| field.name);
            let rows = rows
                .iter()
                .map(|row| stations::whole_values(mission, &above, row));
            write(header.collect(), rows, out)
        }
        Register::Accreditations => {
            let rows = sorted(registers::accreditations(conn, no)?);
            let header = accreditations::fields().into_iter().map(|field| field.name);
            write(
                header.collect(),
                rows.iter().map(accreditations::values),
                out,
            )
        }
        Register::Categories => {
            let rows = sorted(registers::categories(conn, no)?);
            let own = categories::fields().into_iter().map(|field| field.name);
            let mut header: Vec<String> = own.collect();
            let labels: BTreeSet<String> = rows
                .iter()
                .flat_map(categories::values)
                .map(|(name, _)| name)
                .filter(|name| !header.contains(name))
                .collect();
            header.extend(labels);
            write(header, rows.iter().map(categories::values), out)
        }
    }
}

fn sorted<T>(rows: std::collections::HashMap<String, T>) -> Vec<T> {
    let mut rows: Vec<(String, T)> = rows.into_iter().collect();
    rows.sort_by(|(a, _), (b, _)| a.cmp(b));
    rows.into_iter().map(|(_, row)| row).collect()
}

/// Spreadsheets need the byte order mark, and the import skips it.
fn write(
    header: Vec<String>,
    rows: impl Iterator<Item = Values>,
    out: &mut dyn Write,
) -> Result<u64> {
    let mut put = |line: &str| {
        out.write_all(line.as_bytes())
            .map_err(|error| Error::Io("the register".into(), error))
    };
    put(&format!("\u{feff}{}\r\n", header.join(",")))?;
    let mut count = 0;
    let mut line = String::new();
    for values in rows {
        line.clear();
        for (at, name) in header.iter().enumerate() {
            if at > 0 {
                line.push(',');
            }
            let value = values.iter().find(|(own, _)| own == name);
            push_cell(&mut line, name, value.map_or("", |(_, value)| value));
        }
        line.push_str("\r\n");
        put(&line)?;
        count += 1;
    }
    Ok(count)
}

/// Coordinates are numbers, and stay so when they begin with a minus.
fn push_cell(line: &mut String, column: &str, value: &str) {
    if matches!(column, "lat" | "lon") {
        line.push_str(value);
    } else {
        push_text(line, value);
    }
}
