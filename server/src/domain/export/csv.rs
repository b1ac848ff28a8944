//! CSV (RFC 4180) that spreadsheets show and never run.
//!
//! UTF-8 with a byte order mark: Excel needs it, LibreOffice, pandas and R's
//! readr skip it. Rows end with CRLF.

use std::io::Write;

use super::{
    Export, put,
    record::{Cell, columns},
};
use crate::{error::Result, store::Conn};

pub(super) fn write(conn: &mut Conn, export: &mut Export<'_>, out: &mut dyn Write) -> Result<u64> {
    let names = export.options.names;
    let header: Vec<&str> = columns(names).map(|column| column.name).collect();
    put(out, format!("\u{feff}{}\r\n", header.join(",")).as_bytes())?;
    let mut line = String::new();
    loop {
        let records = export.next(conn)?;
        if records.is_empty() {
            return Ok(export.count);
        }
        for record in &records {
            line.clear();
            for (index, (_, cell)) in record.cells(names).enumerate() {
                if index > 0 {
                    line.push(',');
                }
                push(&mut line, cell);
            }
            line.push_str("\r\n");
            put(out, line.as_bytes())?;
        }
    }
}

/// Numbers are made by us and stay numbers, a negative longitude too; whatever
/// else is text.
fn push(line: &mut String, cell: Cell) {
    match cell {
        Cell::Text(None) | Cell::Real(None) => {}
        Cell::Text(Some(text)) => push_text(line, &text),
        Cell::Whole(number) => line.push_str(&number.to_string()),
        Cell::Real(Some(number)) => line.push_str(&number.to_string()),
        Cell::Flag(flag) => line.push_str(if flag { "true" } else { "false" }),
        Cell::List(names) => push_text(line, &names.join(";")),
    }
}

/// A cell of text, which a spreadsheet does not take for a formula.
pub(in crate::domain) fn push_text(line: &mut String, text: &str) {
    let apostrophe = if is_formula(text) { "'" } else { "" };
    if !text.contains([',', '"', '\r', '\n']) {
        line.push_str(apostrophe);
        line.push_str(text);
        return;
    }
    line.push('"');
    line.push_str(apostrophe);
    line.push_str(&text.replace('"', "\"\""));
    line.push('"');
}

/// Whether a spreadsheet might take the text for a formula. What begins with
/// apostrophes and then with a formula counts too, so that taking one
/// apostrophe away always gives the text back.
pub(in crate::domain) fn is_formula(text: &str) -> bool {
    let text = text.trim_start_matches('\'');
    if text.starts_with(['\t', '\r', '\n']) {
        return true;
    }
    // Some programs skip what does not show before they look; and full-width
    // signs are signs in East Asian editions.
    let shown = text.trim_start_matches(|char: char| {
        char.is_whitespace()
            || char.is_control()
            || matches!(char, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}')
    });
    shown.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cell(text: &str) -> String {
        let mut line = String::new();
        push_text(&mut line, text);
        line
    }

    /// Reads one cell as any CSV reader does.
    fn read(cell: &str) -> String {
        let mut reader = ::csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(cell.as_bytes());
        let mut record = ::csv::StringRecord::new();
        reader.read_record(&mut record).unwrap();
        assert!(record.len() <= 1, "{cell:?}");
        record.get(0).unwrap_or_default().to_owned()
    }

    #[test]
    fn formulas_become_text() {
        for (text, want) in [
            ("=1+1", "'=1+1"),
            ("+49 30", "'+49 30"),
            ("-2", "'-2"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("  =1", "'  =1"),
            ("\u{feff}=1", "'\u{feff}=1"),
            ("＝1", "'＝1"),
            (
                "=HYPERLINK(\"http://x\",\"y\")",
                "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"",
            ),
            ("'=1", "''=1"),
            ("'tis", "'tis"),
            ("a=1", "a=1"),
            ("", ""),
            ("8-12", "8-12"),
        ] {
            assert_eq!(cell(text), want);
        }
    }

    #[test]
    fn numbers_stay_numbers() {
        let of = |value| {
            let mut line = String::new();
            push(&mut line, value);
            line
        };
        assert_eq!(of(Cell::Real(Some(-49.8259))), "-49.8259");
        assert_eq!(of(Cell::Real(Some(1e-7))), "0.0000001");
        assert_eq!(of(Cell::Whole(-3)), "-3");
        assert_eq!(of(Cell::Real(None)), "");
    }

    proptest! {
        #[test]
        fn no_text_cell_begins_a_formula(text in "[\\PC\\t\\r\\n =+@'\"-]{0,12}") {
            let stored = read(&cell(&text));
            prop_assert!(!stored.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{:?}", stored);
            prop_assert!(!stored.trim_start().starts_with(['=', '+', '-', '@']), "{:?}", stored);
        }

        #[test]
        fn taking_the_apostrophe_away_gives_the_text_back(text in "[a='\"+, \\r\\n]{0,8}") {
            let stored = read(&cell(&text));
            let back = match stored.strip_prefix('\'') {
                Some(rest) if is_formula(rest) => rest.to_owned(),
                _ => stored,
            };
            prop_assert_eq!(back, text);
        }
    }
}
