//! Opening a bundle's age file.

use std::{
    fs,
    io::{self, BufReader, Cursor, Read},
    path::{Path, PathBuf},
};

use protocol::codes::Code;
use sealed::age::MAGIC;

use crate::{
    domain::backup::Unsealer,
    error::{Error, Result},
};

/// Bytes of an age header, at most. Reading one takes more than linear time: 98 KB
/// took ten seconds.
const HEADER_BYTES: usize = 8 * 1024;
/// Stanzas of an age header, at most.
const STANZAS: usize = 20;

/// Somebody who can open what is sealed to a recipient.
pub struct Holder {
    identity: age::x25519::Identity,
    /// To whom, `age1…`.
    pub recipient: String,
}

impl std::fmt::Debug for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Holder({})", self.recipient)
    }
}

/// The missions' keys that are at hand.
#[derive(Debug, Default)]
pub struct Holders(Vec<Holder>);

impl Holders {
    /// Reads age identity files.
    ///
    /// # Errors
    /// `usage`: a file without one; or one that cannot be read.
    pub fn read(files: &[PathBuf]) -> Result<Self> {
        let identities = Unsealer::read(files)?.into_identities();
        let holder = |identity: age::x25519::Identity| Holder {
            recipient: identity.to_public().to_string(),
            identity,
        };
        Ok(Self(identities.into_iter().map(holder).collect()))
    }

    /// Those that were left on the server: `missions/ID.age` in its folder of keys.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn left_in(keys: &Path) -> Result<Self> {
        let folder = keys.join("missions");
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            other => other.map_err(Error::io(&folder))?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(Error::io(&folder))?.path();
            if path.extension().is_some_and(|extension| extension == "age") {
                files.push(path);
            }
        }
        Self::read(&files)
    }

    /// Nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one who can open an age file that begins so.
    ///
    /// # Errors
    /// `bundle_wrong_key` if nobody can; `bundle_invalid` if it is no age file, or
    /// its header is larger than ours ever are.
    pub fn who_opens(&self, input: impl Read) -> Result<&Holder> {
        let header = header(input)?;
        for holder in &self.0 {
            match holder.stream(Cursor::new(&header)) {
                Ok(_) => return Ok(holder),
                Err(age::DecryptError::NoMatchingKeys) => {}
                Err(other) => return Err(invalid(other)),
            }
        }
        Err(Error::refused(
            Code::BundleWrongKey,
            "none of the keys at hand opens it",
        ))
    }
}

impl Holder {
    /// The plaintext of an age file whose header is in bounds. What it hands out may
    /// still turn out to be cut off.
    ///
    /// # Errors
    /// `bundle_wrong_key`, `bundle_invalid`.
    pub fn open<'a>(&self, mut input: impl Read + 'a) -> Result<Box<dyn Read + 'a>> {
        let header = header(&mut input)?;
        let whole = Cursor::new(header).chain(input);
        self.stream(whole).map_err(|error| match error {
            age::DecryptError::NoMatchingKeys => {
                Error::refused(Code::BundleWrongKey, "this key does not open it")
            }
            other => invalid(other),
        })
    }

    fn stream<'a, R: Read + 'a>(
        &self,
        input: R,
    ) -> std::result::Result<Box<dyn Read + 'a>, age::DecryptError> {
        let whole = age::Decryptor::new_buffered(BufReader::new(input))?;
        let plain = whole.decrypt(std::iter::once(&self.identity as &dyn age::Identity))?;
        Ok(Box::new(plain))
    }
}

/// The beginning of an age file up to the end of its header, and what was read
/// beyond that; checked before any of it is parsed.
fn header(mut input: impl Read) -> Result<Vec<u8>> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    (&mut input)
        .take(HEADER_BYTES as u64)
        .read_to_end(&mut header)
        .map_err(Error::io("the bundle"))?;
    if !is_age(&header) {
        return Err(invalid("it is not an age file"));
    }
    let end = header.windows(5).position(|at| at == b"\n--- ");
    let end = end.ok_or_else(|| invalid("its header is too long"))?;
    let stanzas = header[..end].windows(4).filter(|at| at == b"\n-> ").count();
    if stanzas > STANZAS {
        return Err(invalid("its header has too many recipients"));
    }
    Ok(header)
}

/// Whether bytes begin as an age file does.
#[must_use]
pub fn is_age(bytes: &[u8]) -> bool {
    bytes
        .strip_prefix(MAGIC.as_bytes())
        .is_some_and(|rest| rest.starts_with(b"\n"))
}

/// A bundle that cannot be read.
pub(super) fn invalid(why: impl std::fmt::Display) -> Error {
    Error::refused(Code::BundleInvalid, why.to_string())
}
