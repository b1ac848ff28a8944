//! One file of a backup: lines of JSON, packed, sealed if wished, and hashed as
//! they lie on the disk. Memory stays small, however long the file.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read, Write as _},
    path::{Path, PathBuf},
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde_json::Value;

use super::{
    Section, invalid,
    layer::{Layer, Recipients, Tally, Unsealer},
};
use crate::{
    error::{Error, Result},
    store::archive::Line,
};

/// Bytes of one line, at most: an entry and its columns are far below.
const LINE_BYTES: u64 = 16 * 1024 * 1024;

/// A section that is being written.
pub(super) struct Writer {
    file: String,
    path: PathBuf,
    packed: GzEncoder<Layer>,
    rows: u64,
}

impl Writer {
    /// Begins the section of this name; a name may hold one folder.
    pub(super) fn create(folder: &Path, name: &str, recipients: &Recipients) -> Result<Self> {
        let ending = if recipients.is_empty() { "" } else { ".age" };
        let file = format!("{name}.jsonl.gz{ending}");
        let path = folder.join(&file);
        Ok(Self {
            file,
            packed: GzEncoder::new(Layer::create(&path, recipients)?, Compression::fast()),
            path,
            rows: 0,
        })
    }

    /// Adds a line.
    pub(super) fn line(&mut self, line: Line) -> Result<()> {
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        self.rows += 1;
        self.packed
            .write_all(text.as_bytes())
            .map_err(Error::io(&self.path))
    }

    /// Ends the section: durable when this returns.
    pub(super) fn finish(self) -> Result<Section> {
        let layer = self.packed.finish().map_err(Error::io(&self.path))?;
        let (size, sha256) = layer.finish(&self.path)?;
        Ok(Section {
            file: self.file,
            size,
            sha256,
            rows: Some(self.rows),
        })
    }
}

/// Checks that a file of the backup is the one that the manifest names.
///
/// # Errors
/// `backup_invalid`, or the file cannot be read.
pub(super) fn check_bytes(folder: &Path, section: &Section) -> Result<()> {
    let mut tally = open(folder, section)?;
    io::copy(&mut tally, &mut io::sink()).map_err(Error::io(&section.file))?;
    compare(tally, section)
}

/// Hands out a section's lines, and checks at its end that every byte was what
/// the manifest says.
///
/// # Errors
/// `backup_invalid`; what `sink` returns.
pub(super) fn read(
    folder: &Path,
    section: &Section,
    unsealer: &Unsealer,
    sink: &mut dyn FnMut(Line) -> Result<()>,
) -> Result<()> {
    let mut tally = open(folder, section)?;
    let rows = if section.file.ends_with(".age") {
        lines(section, unsealer.open(&section.file, &mut tally)?, sink)?
    } else {
        lines(section, &mut tally, sink)?
    };
    if section.rows.is_some_and(|wanted| wanted != rows) {
        return Err(invalid(&section.file, format!("{rows} rows")));
    }
    // What a reader left unread counts too.
    io::copy(&mut tally, &mut io::sink()).map_err(Error::io(&section.file))?;
    compare(tally, section)
}

fn lines(
    section: &Section,
    packed: impl Read,
    sink: &mut dyn FnMut(Line) -> Result<()>,
) -> Result<u64> {
    let mut rows = 0;
    let mut plain = BufReader::new(GzDecoder::new(packed));
    let mut text = Vec::new();
    loop {
        text.clear();
        let read = (&mut plain)
            .take(LINE_BYTES)
            .read_until(b'\n', &mut text)
            .map_err(|error| invalid(&section.file, error))?;
        if read == 0 {
            return Ok(rows);
        }
        let line = serde_json::from_slice(&text)
            .map_err(|error| invalid(&section.file, format!("row {}: {error}", rows + 1)))?;
        rows += 1;
        sink(line)?;
    }
}

fn open(folder: &Path, section: &Section) -> Result<Tally<File>> {
    let path = folder.join(&section.file);
    match File::open(&path) {
        Ok(file) => Ok(Tally::new(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(invalid(&section.file, "is missing"))
        }
        Err(error) => Err(Error::io(&path)(error)),
    }
}

fn compare(tally: Tally<File>, section: &Section) -> Result<()> {
    if tally.sums() == (section.size, section.sha256.clone()) {
        Ok(())
    } else {
        Err(invalid(
            &section.file,
            "is not the file that the manifest names",
        ))
    }
}
