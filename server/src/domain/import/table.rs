//! A CSV file as people save it: any line ends, a byte order mark, quoted
//! fields with newlines, one of three delimiters. Says where each row begins.

use std::collections::{BTreeMap, HashMap};

use protocol::codes::Code;

use super::RowError;
use crate::domain::export::is_formula;

/// The delimiters that are recognised by themselves, the likelier first.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// A file opened for reading, its header read.
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    reader: csv::Reader<&'a [u8]>,
    record: csv::ByteRecord,
    header: Vec<String>,
    header_line: u64,
    lines: Lines<'a>,
}

/// Counts physical lines up to a place that only moves forward. `\r\n`, `\n`
/// and `\r` each end one.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The first line of the record at or after `offset`, which may still
    /// stand before line ends that belong to the record before it.
    fn of_record(&mut self, offset: usize) -> (u64, usize) {
        let mut start = offset;
        while matches!(self.bytes.get(start), Some(b'\r' | b'\n')) {
            start += 1;
        }
        while self.at < start {
            match self.bytes[self.at] {
                b'\n' => self.line += 1,
                b'\r' if self.bytes.get(self.at + 1) != Some(&b'\n') => self.line += 1,
                _ => {}
            }
            self.at += 1;
        }
        (self.line, start)
    }
}

/// One row below the header.
pub(super) struct Row<'a> {
    /// The physical line on which it begins.
    pub(super) line: u64,
    record: &'a csv::ByteRecord,
    header: &'a [String],
}

impl<'a> Row<'a> {
    /// The trimmed cell of a column; empty if the file has no such column. The apostrophe
    /// that our own files put before what looks like a formula is taken away.
    pub(super) fn cell(&self, column: Option<usize>) -> &'a str {
        // `Table::next` let only valid UTF-8 through.
        let cell = column
            .and_then(|index| self.record.get(index))
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .map_or("", str::trim);
        match cell.strip_prefix('\'') {
            Some(text) if is_formula(cell) => text,
            _ => cell,
        }
    }

    /// An error in a column of this row.
    pub(super) fn error(&self, column: Option<usize>, code: Code, message: String) -> RowError {
        let column = column.and_then(|index| self.header.get(index)).cloned();
        RowError {
            line: self.line,
            column,
            code,
            message,
        }
    }
}

impl<'a> Table<'a> {
    /// Opens a file. `delimiter` is found from the header when not given.
    pub(super) fn open(bytes: &'a [u8], delimiter: Option<u8>) -> Result<Self, RowError> {
        let malformed = |message: &str| RowError {
            line: 1,
            column: None,
            code: Code::RowMalformed,
            message: message.into(),
        };
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Err(malformed("the file is in UTF-16; save it as CSV in UTF-8"));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter.unwrap_or_else(|| detect(bytes)))
            .from_reader(bytes);
        let mut table = Self {
            bytes,
            reader,
            record: csv::ByteRecord::new(),
            header: Vec::new(),
            header_line: 1,
            lines: Lines {
                bytes,
                at: 0,
                line: 1,
            },
        };
        match table.read() {
            None => return Err(malformed("the file is empty")),
            Some((line, true)) => table.header_line = line,
            Some((_, false)) => {
                return Err(malformed(
                    "the header has a quotation mark that is not closed",
                ));
            }
        }
        for cell in &table.record {
            let name = std::str::from_utf8(cell).map_err(|_| {
                malformed("the header is not in UTF-8; save the file as CSV in UTF-8")
            })?;
            table.header.push(name.trim().to_owned());
        }
        Ok(table)
    }

    /// Reads the next record; answers its line and whether its quotes close.
    fn read(&mut self) -> Option<(u64, bool)> {
        let offset = usize::try_from(self.reader.position().byte()).unwrap_or(usize::MAX);
        // Reading from memory cannot fail, and `flexible` takes any length.
        if !self
            .reader
            .read_byte_record(&mut self.record)
            .unwrap_or(false)
        {
            return None;
        }
        let end = usize::try_from(self.reader.position().byte()).unwrap_or(usize::MAX);
        let (line, start) = self.lines.of_record(offset);
        let slice = self.bytes.get(start..end).unwrap_or_default();
        let quotes = slice.iter().filter(|byte| **byte == b'"').count();
        Some((line, quotes % 2 == 0))
    }

    /// The next row, or what is wrong with it.
    pub(super) fn next(&mut self) -> Option<Result<Row<'_>, RowError>> {
        loop {
            let (line, closed) = self.read()?;
            // A row of nothing but empty cells is what spreadsheets leave at
            // the end; it says nothing.
            if closed && self.record.iter().all(<[u8]>::is_empty) {
                continue;
            }
            let malformed = |message: String| {
                Some(Err(RowError {
                    line,
                    column: None,
                    code: Code::RowMalformed,
                    message,
                }))
            };
            if !closed {
                return malformed(
                    "a quotation mark is not closed; rows below it may have been read as part of it"
                        .into(),
                );
            }
            if let Some(index) = self
                .record
                .iter()
                .position(|cell| std::str::from_utf8(cell).is_err())
            {
                let column = self.header.get(index).cloned();
                let message = "not in UTF-8; save the file as CSV in UTF-8".into();
                return Some(Err(RowError {
                    line,
                    column,
                    code: Code::RowMalformed,
                    message,
                }));
            }
            if self.record.len() != self.header.len() {
                return malformed(format!(
                    "the row has {} fields and the header {}",
                    self.record.len(),
                    self.header.len()
                ));
            }
            return Some(Ok(Row {
                line,
                record: &self.record,
                header: &self.header,
            }));
        }
    }

    /// How much of the file has been read, in bytes.
    pub(super) fn position(&self) -> u64 {
        self.reader.position().byte()
    }

    /// Finds the columns of the fields. `map` names the column of a field
    /// where it is not called like the field.
    pub(super) fn columns(
        &self,
        fields: &[Field],
        map: &BTreeMap<String, String>,
    ) -> Result<Columns, Vec<RowError>> {
        let mut errors = Vec::new();
        let mut places = HashMap::new();
        let mut find = |field: &str, column: &str, needed: bool| {
            let same = |name: &&String| name.to_lowercase() == column.trim().to_lowercase();
            let mut found = (0..).zip(&self.header).filter(|(_, name)| same(name));
            let error = |code, message: String| RowError {
                line: self.header_line,
                column: Some(column.to_owned()),
                code,
                message,
            };
            match (found.next(), found.next()) {
                (Some((index, _)), None) => {
                    places.insert(field.to_owned(), index);
                }
                (Some(_), Some(_)) => errors.push(error(
                    Code::ValueDuplicate,
                    format!("the header names the column `{column}` twice"),
                )),
                (None, _) if needed => errors.push(error(
                    Code::ColumnMissing,
                    format!(
                        "the file has no column `{column}`; its columns are: {}",
                        self.header.join(", ")
                    ),
                )),
                (None, _) => {}
            }
        };
        for field in fields {
            match map.get(&field.name) {
                Some(column) => find(&field.name, column, true),
                None => find(&field.name, &field.name, field.needed),
            }
        }
        if errors.is_empty() {
            Ok(Columns(places))
        } else {
            Err(errors)
        }
    }

    /// The header's names, as written but for spaces around them.
    pub(super) fn header(&self) -> &[String] {
        &self.header
    }
}

/// A field of a register.
pub(super) struct Field {
    pub(super) name: String,
    pub(super) needed: bool,
}

impl Field {
    pub(super) fn new(name: impl Into<String>, needed: bool) -> Self {
        Self {
            name: name.into(),
            needed,
        }
    }
}

/// Where each field stands in the file.
pub(super) struct Columns(HashMap<String, usize>);

impl Columns {
    pub(super) fn of(&self, field: &str) -> Option<usize> {
        self.0.get(field).copied()
    }
}

/// The delimiter that stands most often in the header, outside quotes.
fn detect(bytes: &[u8]) -> u8 {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut quoted = false;
    for byte in bytes {
        match byte {
            b'"' => quoted = !quoted,
            b'\r' | b'\n' if !quoted => break,
            _ if !quoted => {
                if let Some(index) = DELIMITERS.iter().position(|known| known == byte) {
                    counts[index] += 1;
                }
            }
            _ => {}
        }
    }
    // `max_by_key` takes the last of equals; reversed, that is the likelier.
    let best = (0..DELIMITERS.len())
        .rev()
        .max_by_key(|index| counts[*index])
        .unwrap_or(0);
    DELIMITERS[best]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line and cells, or line and code.
    type Read = Result<(u64, Vec<String>), (u64, Code)>;

    fn read(text: &[u8]) -> Vec<Read> {
        let mut table = Table::open(text, None).unwrap();
        let width = table.header().len();
        let mut out = Vec::new();
        while let Some(row) = table.next() {
            out.push(match row {
                Ok(row) => Ok((
                    row.line,
                    (0..width).map(|i| row.cell(Some(i)).to_owned()).collect(),
                )),
                Err(error) => Err((error.line, error.code)),
            });
        }
        out
    }

    fn row(line: u64, cells: &[&str]) -> Read {
        Ok((line, cells.iter().map(|cell| (*cell).to_owned()).collect()))
    }

    #[test]
    fn line_ends_of_every_kind_count_once() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["a,b", "1,\"x", "y\"", "", "2,z", "3,\"q\"\"q\""].join(end);
            let inner = format!("x{end}y");
            let want = vec![
                row(2, &["1", &inner]),
                row(5, &["2", "z"]),
                row(6, &["3", "q\"q"]),
            ];
            assert_eq!(read(text.as_bytes()), want, "{end:?}");
            assert_eq!(
                read(format!("{text}{end}").as_bytes()),
                want,
                "{end:?} at the end"
            );
            assert_eq!(
                read(format!("\u{feff}{text}").as_bytes()),
                want,
                "{end:?} after a BOM"
            );
        }
    }

    #[test]
    fn leading_blank_lines_are_counted() {
        assert_eq!(read(b"\r\n\r\na,b\r\n\r\n1,2\r\n"), [row(5, &["1", "2"])]);
    }

    #[test]
    fn delimiters_are_found() {
        for text in ["a,b\n1,2", "a;b\n1;2", "a\tb\n1\t2", "\"a,x\";b\n1;2"] {
            assert_eq!(read(text.as_bytes()), [row(2, &["1", "2"])], "{text}");
        }
        assert_eq!(detect(b"one\n1,2;3"), b',');
    }

    #[test]
    fn bad_rows_are_told_with_their_line() {
        let text = b"a,b\n1\n2,3,4\n5,\xff\n6,7\n8,\"open\n9,10\n";
        let malformed = |line| Err((line, Code::RowMalformed));
        assert_eq!(
            read(text),
            [
                malformed(2),
                malformed(3),
                malformed(4),
                row(5, &["6", "7"]),
                malformed(6)
            ]
        );
    }

    #[test]
    fn rows_of_empty_cells_are_skipped() {
        assert_eq!(read(b"a,b\n,\n1,2\n,\n"), [row(3, &["1", "2"])]);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for bytes in [
            &b""[..],
            b"\xef\xbb\xbf",
            b"\n\n",
            b"\xff\xfea\0,\0b\0",
            b"a,\xff\n1,2",
        ] {
            let error = Table::open(bytes, None).err().unwrap();
            assert_eq!(
                (error.line, error.code),
                (1, Code::RowMalformed),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn columns_are_found_by_trimmed_name_in_any_case() {
        let table = Table::open(" Code , NAME,Kod\n".as_bytes(), None).unwrap();
        let fields = [
            Field::new("code", true),
            Field::new("name", true),
            Field::new("lat", false),
        ];
        let plain = table.columns(&fields, &BTreeMap::new()).ok().unwrap();
        assert_eq!(
            (plain.of("code"), plain.of("name"), plain.of("lat")),
            (Some(0), Some(1), None)
        );
        let map = BTreeMap::from([("code".to_owned(), "kod".to_owned())]);
        assert_eq!(
            table.columns(&fields, &map).ok().unwrap().of("code"),
            Some(2)
        );
    }

    #[test]
    fn missing_and_doubled_columns_are_told() {
        let table = Table::open(b"name,name\n", None).unwrap();
        let fields = [Field::new("code", true), Field::new("name", true)];
        let errors = table.columns(&fields, &BTreeMap::new()).err().unwrap();
        let codes: Vec<_> = errors
            .iter()
            .map(|error| (error.line, error.code))
            .collect();
        assert_eq!(codes, [(1, Code::ColumnMissing), (1, Code::ValueDuplicate)]);
        // A mapped column must be there even where its field is optional.
        let map = BTreeMap::from([("lat".to_owned(), "breite".to_owned())]);
        let errors = table
            .columns(&[Field::new("lat", false)], &map)
            .err()
            .unwrap();
        assert_eq!(errors[0].code, Code::ColumnMissing);
        assert_eq!(errors[0].column.as_deref(), Some("breite"));
    }
}
