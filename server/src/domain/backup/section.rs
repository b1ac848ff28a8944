//! One file of a backup: lines of JSON, packed, sealed if wished, and hashed as
//! they lie on the disk. Memory stays small, however long the file.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use age::stream::StreamWriter;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use protocol::codes::Code;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Section, hex, invalid};
use crate::{
    error::{Error, Result},
    store::archive::Line,
};

/// Bytes of one line, at most: an entry and its columns are far below.
const LINE_BYTES: u64 = 16 * 1024 * 1024;

/// To whom a backup is sealed.
#[derive(Clone, Default)]
pub struct Recipients(Vec<age::x25519::Recipient>);

impl std::fmt::Debug for Recipients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recipients({})", self.0.len())
    }
}

impl Recipients {
    /// Reads age recipients (`age1…`).
    ///
    /// # Errors
    /// `usage`, naming the one that is none.
    pub fn read(texts: &[String]) -> Result<Self> {
        let read = |text: &String| {
            text.trim().parse().map_err(|why: &str| {
                Error::refused(Code::Usage, format!("`{text}` is no age recipient: {why}"))
            })
        };
        texts.iter().map(read).collect::<Result<_>>().map(Self)
    }

    /// Nobody: the backup is not sealed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn texts(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

/// Opens what was sealed.
#[derive(Default)]
pub struct Unsealer(Vec<age::x25519::Identity>);

impl std::fmt::Debug for Unsealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unsealer({})", self.0.len())
    }
}

impl Unsealer {
    /// Reads the lines of age identity files (`AGE-SECRET-KEY-1…`).
    ///
    /// # Errors
    /// `usage`: a file without one; or one that cannot be read.
    pub fn read(files: &[PathBuf]) -> Result<Self> {
        let mut identities = Vec::new();
        for path in files {
            let text = zeroize::Zeroizing::new(fs::read_to_string(path).map_err(Error::io(path))?);
            let before = identities.len();
            let lines = text.lines().map(str::trim);
            for line in lines.filter(|line| line.starts_with("AGE-SECRET-KEY-")) {
                let identity = line.parse().map_err(|why: &str| {
                    Error::refused(Code::Usage, format!("{}: {why}", path.display()))
                })?;
                identities.push(identity);
            }
            if identities.len() == before {
                let why = format!("{} holds no age identity", path.display());
                return Err(Error::refused(Code::Usage, why));
            }
        }
        Ok(Self(identities))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The identities.
    #[must_use]
    pub(crate) fn into_identities(self) -> Vec<age::x25519::Identity> {
        self.0
    }
}

/// Counts and hashes what goes through.
struct Tally<T> {
    inner: T,
    size: u64,
    sha256: Sha256,
}

impl<T> Tally<T> {
    fn new(inner: T) -> Self {
        Self {
            inner,
            size: 0,
            sha256: Sha256::new(),
        }
    }

    fn count(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.sha256.update(bytes);
    }
}

impl<T: Write> Write for Tally<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.count(&bytes[..written]);
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Tally<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.count(&bytes[..read]);
        Ok(read)
    }
}

type Disk = BufWriter<Tally<File>>;

/// Sealed or not.
enum Layer {
    Plain(Disk),
    Sealed(Box<StreamWriter<Disk>>),
}

impl Write for Layer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(disk) => disk.write(bytes),
            Self::Sealed(stream) => stream.write(bytes),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(disk) => disk.flush(),
            Self::Sealed(stream) => stream.flush(),
        }
    }
}

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
        use std::os::unix::fs::OpenOptionsExt as _;
        let ending = if recipients.is_empty() { "" } else { ".age" };
        let file = format!("{name}.jsonl.gz{ending}");
        let path = folder.join(&file);
        let disk = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(Error::io(&path))?;
        let disk = BufWriter::new(Tally::new(disk));
        let layer = if recipients.is_empty() {
            Layer::Plain(disk)
        } else {
            let whom = recipients.0.iter().map(|one| one as &dyn age::Recipient);
            let stream = age::Encryptor::with_recipients(whom)
                .map_err(|error| Error::Internal(error.to_string()))?
                .wrap_output(disk)
                .map_err(Error::io(&path))?;
            Layer::Sealed(Box::new(stream))
        };
        Ok(Self {
            file,
            packed: GzEncoder::new(layer, Compression::fast()),
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
        let path = self.path;
        let disk = match self.packed.finish().map_err(Error::io(&path))? {
            Layer::Plain(disk) => disk,
            Layer::Sealed(stream) => stream.finish().map_err(Error::io(&path))?,
        };
        let tally = disk
            .into_inner()
            .map_err(|error| Error::io(&path)(error.into_error()))?;
        tally.inner.sync_all().map_err(Error::io(&path))?;
        Ok(Section {
            file: self.file,
            size: tally.size,
            sha256: hex(&tally.sha256.finalize()),
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
        let sealed = |error: &dyn std::fmt::Display| invalid(&section.file, error);
        let identities = unsealer.0.iter().map(|one| one as &dyn age::Identity);
        // A buffer of our own: the hash must cover exactly what was read.
        let stream = age::Decryptor::new_buffered(BufReader::new(&mut tally))
            .and_then(|decryptor| decryptor.decrypt(identities))
            .map_err(|error| sealed(&error))?;
        lines(section, stream, sink)?
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
    if tally.size == section.size && hex(&tally.sha256.finalize()) == section.sha256 {
        Ok(())
    } else {
        Err(invalid(
            &section.file,
            "is not the file that the manifest names",
        ))
    }
}
