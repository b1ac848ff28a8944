//! How bytes lie on the disk: sealed or not, counted and hashed.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use age::stream::{StreamReader, StreamWriter};
use protocol::codes::Code;
use sha2::{Digest as _, Sha256};

use super::{hex, invalid};
use crate::error::{Error, Result};

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

    /// Reads through a seal. What comes is not all right before its end was
    /// reached: a file that is cut off says so there.
    ///
    /// # Errors
    /// `backup_invalid`: not sealed to any of these, or damaged.
    pub(super) fn open<R: Read>(&self, name: &str, sealed: R) -> Result<Opening<R>> {
        let identities = self.0.iter().map(|one| one as &dyn age::Identity);
        // A buffer of our own: a hash must cover exactly what was read.
        age::Decryptor::new_buffered(BufReader::new(sealed))
            .and_then(|decryptor| decryptor.decrypt(identities))
            .map_err(|error| invalid(name, error))
    }
}

/// Counts and hashes what goes through.
pub(super) struct Tally<T> {
    inner: T,
    size: u64,
    sha256: Sha256,
}

impl<T> Tally<T> {
    pub(super) fn new(inner: T) -> Self {
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

    /// What went through: how many bytes, and their SHA-256 in hexadecimal.
    pub(super) fn sums(self) -> (u64, String) {
        (self.size, hex(&self.sha256.finalize()))
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

pub(super) type Disk = BufWriter<Tally<File>>;

/// What a seal is read through.
pub(super) type Opening<R> = StreamReader<BufReader<R>>;

/// A file that is being written, sealed or not. Only its owner may read it.
pub(super) enum Layer {
    /// Not.
    Plain(Disk),
    /// To whoever the backup is sealed to.
    Sealed(Box<StreamWriter<Disk>>),
}

impl Layer {
    /// Makes a file that is not there yet.
    pub(super) fn create(path: &Path, recipients: &Recipients) -> Result<Self> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let disk = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(Error::io(path))?;
        let disk = BufWriter::new(Tally::new(disk));
        if recipients.is_empty() {
            return Ok(Self::Plain(disk));
        }
        let whom = recipients.0.iter().map(|one| one as &dyn age::Recipient);
        let stream = age::Encryptor::with_recipients(whom)
            .map_err(|error| Error::Internal(error.to_string()))?
            .wrap_output(disk)
            .map_err(Error::io(path))?;
        Ok(Self::Sealed(Box::new(stream)))
    }

    /// Ends the file: durable when this returns. Answers its bytes and their
    /// SHA-256 as they lie on the disk.
    pub(super) fn finish(self, path: &Path) -> Result<(u64, String)> {
        let disk = match self {
            Self::Plain(disk) => disk,
            Self::Sealed(stream) => stream.finish().map_err(Error::io(path))?,
        };
        let tally = disk
            .into_inner()
            .map_err(|error| Error::io(path)(error.into_error()))?;
        tally.inner.sync_all().map_err(Error::io(path))?;
        Ok(tally.sums())
    }
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
