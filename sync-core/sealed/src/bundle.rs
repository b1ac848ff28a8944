//! The courier's bundle: what a phone could not deliver itself, in one file that
//! anybody may carry. Outside it is an age file to the mission's sealing key; this
//! is the inside, and `docs/protocol.md` describes it for others.
//!
//! ```text
//! scrutineer-bundle/1
//! {"v":1,"mission":"…","app":"observer/0.1.0"}
//! {"returned":{"header":…,"payload":…,"disclosures":[…],"signature":…}}
//! {"entry":{"header":…,"payload":…,"disclosures":[…],"signature":…}}
//! {"file":{"sha256":"…"},"bytes":5}
//! hello{"end":{"records":3,"sha256":"…"}}
//! ```
//!
//! A record is one line of JSON, and so many bytes behind it as its `bytes` says.
//! A phone without keys writes `key`, `row` and `sealed` instead of `entry` and
//! `file`: its data key for the mission, and everything as it lies. What the server
//! signed stands before the entries, files behind them. The last line has the number
//! of records and the SHA-256 of everything before it, and nothing follows.

use std::io::{self, BufRead, Read as _, Write};

use protocol::{
    encoding::{b64, unb64},
    entry::WireEntry,
    ids::{EntryHash, FileHash, JournalId, MissionId},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    age::{self, Recipient, Secrets},
    key::Row,
};

/// The first line.
pub const MAGIC: &str = "scrutineer-bundle/1";
/// Bytes of one line, at most: an entry is far below.
pub const LINE_BYTES: u64 = 512 * 1024;

/// The second line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// 1.
    pub v: u32,
    /// The mission; a phone without keys does not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mission: Option<MissionId>,
    /// Name and version of the program that wrote it.
    #[serde(default)]
    pub app: String,
}

/// A line of the bundle.
#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    returned: Option<WireEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entry: Option<WireEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<FileLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    row: Option<RowLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<SealedLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<End>,
    /// Bytes that follow the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

impl Line {
    const EMPTY: Self = Self {
        returned: None,
        entry: None,
        file: None,
        key: None,
        row: None,
        sealed: None,
        end: None,
        bytes: None,
    };
}

#[derive(Serialize, Deserialize)]
struct FileLine {
    sha256: FileHash,
}

#[derive(Serialize, Deserialize)]
struct RowLine {
    journal: JournalId,
    seq: u64,
    hash: EntryHash,
    suite: u8,
    nonce: String,
    sealed: String,
}

#[derive(Serialize, Deserialize)]
struct SealedLine {
    /// The sealed file's last bytes, so that it can be opened as it comes.
    trailer: String,
}

#[derive(Serialize, Deserialize)]
struct End {
    records: u64,
    sha256: FileHash,
}

/// One record. The bytes of a file are read with [`Reader::part`].
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// What the server signed, for one that may have lost it: the device's enrolment.
    Returned(WireEntry),
    /// An entry as it goes over the wire.
    Entry(WireEntry),
    /// A file, and its size.
    File(FileHash, u64),
    /// The data key, as an age file to the mission.
    Key(Vec<u8>),
    /// A row as it lies.
    Row(Row),
    /// A sealed file as it lies: its last bytes, and its sealed size.
    Sealed(Vec<u8>, u64),
    /// Of a later version; leave it.
    Unknown,
}

/// Writes a bundle. Memory does not grow with it.
pub struct Writer<W: Write> {
    out: age::Writer<W>,
    sha256: Sha256,
    records: u64,
    /// Bytes of a file still to come.
    left: u64,
}

impl<W: Write> Writer<W> {
    /// Begins.
    ///
    /// # Errors
    /// What `out` returns.
    pub fn new(out: W, to: &Recipient, secrets: &Secrets, head: &Head) -> io::Result<Self> {
        let mut writer = Self {
            out: age::Writer::new(out, to, secrets)?,
            sha256: Sha256::new(),
            records: 0,
            left: 0,
        };
        writer.put(format!("{MAGIC}\n").as_bytes())?;
        writer.line(head)?;
        Ok(writer)
    }

    /// Writes an entry that the server signed, such as the device's enrolment.
    ///
    /// # Errors
    /// What the output returns.
    pub fn returned(&mut self, entry: WireEntry) -> io::Result<()> {
        self.record(&Line {
            returned: Some(entry),
            ..Line::EMPTY
        })
    }

    /// Writes an entry.
    ///
    /// # Errors
    /// What the output returns.
    pub fn entry(&mut self, entry: WireEntry) -> io::Result<()> {
        self.record(&Line {
            entry: Some(entry),
            ..Line::EMPTY
        })
    }

    /// Writes the data key, as an age file to the mission.
    ///
    /// # Errors
    /// What the output returns.
    pub fn key(&mut self, wrapped: &[u8]) -> io::Result<()> {
        self.record(&Line {
            key: Some(b64(wrapped)),
            ..Line::EMPTY
        })
    }

    /// Writes a row as it lies.
    ///
    /// # Errors
    /// What the output returns.
    pub fn row(&mut self, row: &Row) -> io::Result<()> {
        let line = RowLine {
            journal: row.journal,
            seq: row.seq,
            hash: row.hash,
            suite: row.suite,
            nonce: b64(&row.nonce),
            sealed: b64(&row.sealed),
        };
        self.record(&Line {
            row: Some(line),
            ..Line::EMPTY
        })
    }

    /// Begins a file; its bytes follow by [`Self::part`].
    ///
    /// # Errors
    /// What the output returns.
    pub fn file(&mut self, sha256: FileHash, size: u64) -> io::Result<()> {
        self.record(&Line {
            file: Some(FileLine { sha256 }),
            bytes: Some(size),
            ..Line::EMPTY
        })?;
        self.left = size;
        Ok(())
    }

    /// Begins a sealed file as it lies; its bytes follow by [`Self::part`].
    ///
    /// # Errors
    /// What the output returns.
    pub fn sealed(&mut self, trailer: &[u8], size: u64) -> io::Result<()> {
        self.record(&Line {
            sealed: Some(SealedLine {
                trailer: b64(trailer),
            }),
            bytes: Some(size),
            ..Line::EMPTY
        })?;
        self.left = size;
        Ok(())
    }

    /// Writes bytes of the file that was begun.
    ///
    /// # Errors
    /// More than were announced; what the output returns.
    pub fn part(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| io::Error::other("a file grew while it was packed"))?;
        self.put(bytes)
    }

    /// Writes the end, and hands back what was written to.
    ///
    /// # Errors
    /// A file that was not written whole; what the output returns.
    pub fn finish(mut self) -> io::Result<W> {
        self.check_whole()?;
        let end = End {
            records: self.records,
            sha256: FileHash(self.sha256.clone().finalize().into()),
        };
        self.line(&Line {
            end: Some(end),
            ..Line::EMPTY
        })?;
        self.out.finish()
    }

    fn record(&mut self, line: &Line) -> io::Result<()> {
        self.check_whole()?;
        self.records += 1;
        self.line(line)
    }

    fn check_whole(&self) -> io::Result<()> {
        match self.left {
            0 => Ok(()),
            _ => Err(io::Error::other("a file shrank while it was packed")),
        }
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.put(&text)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sha256.update(bytes);
        self.out.write_all(bytes)
    }
}

/// Why a bundle cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not one, or not whole.
    #[error("{0}")]
    Invalid(String),
    /// The file itself cannot be read.
    #[error("{0}")]
    Io(io::Error),
}

impl From<io::Error> for ReadError {
    /// What the decrypting reader says of changed or missing bytes.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                Self::Invalid("it is cut off or was changed".into())
            }
            _ => Self::Io(error),
        }
    }
}

fn invalid(why: impl Into<String>) -> ReadError {
    ReadError::Invalid(why.into())
}

/// Reads the inside of a bundle. What it hands out is to be believed once
/// [`Self::next`] has answered `None`: then the end was there, and right.
pub struct Reader<R> {
    input: R,
    /// The second line.
    pub head: Head,
    sha256: Sha256,
    records: u64,
    left: u64,
    ended: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads the first two lines.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn new(input: R) -> Result<Self, ReadError> {
        let mut reader = Self {
            input,
            head: Head {
                v: 1,
                mission: None,
                app: String::new(),
            },
            sha256: Sha256::new(),
            records: 0,
            left: 0,
            ended: false,
        };
        let first = reader.line()?;
        if first != MAGIC.as_bytes() {
            return Err(invalid(format!("it does not begin with {MAGIC}")));
        }
        reader.hash_line(&first);
        let second = reader.line()?;
        reader.head =
            serde_json::from_slice(&second).map_err(|error| invalid(error.to_string()))?;
        if reader.head.v != 1 {
            return Err(invalid("it was written by a newer version"));
        }
        reader.hash_line(&second);
        Ok(reader)
    }

    /// The next record; bytes of the one before that were not read are passed
    /// over. `None` behind the last, once the end has been found right.
    ///
    /// # Errors
    /// [`ReadError`].
    #[expect(
        clippy::should_implement_trait,
        reason = "a record borrows nothing, but fails"
    )]
    pub fn next(&mut self) -> Result<Option<Record>, ReadError> {
        let mut rest = [0; 16 * 1024];
        while self.part(&mut rest)? > 0 {}
        if self.ended {
            return Ok(None);
        }
        let text = self.line()?;
        let line: Line =
            serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))?;
        if let Some(end) = line.end {
            return self.check_end(&end).map(|()| None);
        }
        self.hash_line(&text);
        self.records += 1;
        self.left = line.bytes.unwrap_or(0);
        record(line).map(Some)
    }

    /// Reads bytes of the record that was handed out last; 0 at their end.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn part(&mut self, into: &mut [u8]) -> Result<usize, ReadError> {
        let most = usize::try_from(self.left).map_or(into.len(), |left| left.min(into.len()));
        if most == 0 {
            return Ok(0);
        }
        let read = loop {
            match self.input.read(&mut into[..most]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if read == 0 {
            return Err(invalid("it is cut off"));
        }
        self.sha256.update(&into[..read]);
        self.left -= read as u64;
        Ok(read)
    }

    fn check_end(&mut self, end: &End) -> Result<(), ReadError> {
        let sha256: [u8; 32] = self.sha256.clone().finalize().into();
        if end.records != self.records || end.sha256.0 != sha256 {
            return Err(invalid("its end does not fit what stands before it"));
        }
        // The decrypting reader checks its own end by this.
        if self.input.read(&mut [0])? != 0 {
            return Err(invalid("something follows its end"));
        }
        self.ended = true;
        Ok(())
    }

    /// A line without its end.
    fn line(&mut self) -> Result<Vec<u8>, ReadError> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.input).take(LINE_BYTES);
        bounded.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(invalid("it is cut off, or a line is too long"));
        }
        Ok(line)
    }

    fn hash_line(&mut self, line: &[u8]) {
        self.sha256.update(line);
        self.sha256.update(b"\n");
    }
}

fn record(line: Line) -> Result<Record, ReadError> {
    let bytes = line.bytes;
    let decoded = |text: &str| unb64(text).ok_or_else(|| invalid("base64url expected"));
    let sized = || bytes.ok_or_else(|| invalid("a file without its size"));
    Ok(match line {
        Line {
            returned: Some(entry),
            ..
        } => Record::Returned(entry),
        Line {
            entry: Some(entry), ..
        } => Record::Entry(entry),
        Line {
            file: Some(file), ..
        } => Record::File(file.sha256, sized()?),
        Line { key: Some(key), .. } => Record::Key(decoded(&key)?),
        Line { row: Some(row), .. } => Record::Row(Row {
            journal: row.journal,
            seq: row.seq,
            hash: row.hash,
            suite: row.suite,
            nonce: decoded(&row.nonce)?,
            sealed: decoded(&row.sealed)?,
        }),
        Line {
            sealed: Some(sealed),
            ..
        } => Record::Sealed(decoded(&sealed.trailer)?, sized()?),
        _ => Record::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::*;

    fn secrets() -> Secrets {
        Secrets {
            ephemeral: Zeroizing::new([1; 32]),
            file_key: Zeroizing::new([2; 16]),
            nonce: [3; 16],
        }
    }

    fn entry() -> WireEntry {
        WireEntry {
            header: r#"{"alg":"EdDSA"}"#.into(),
            payload: r#"{"v":1}"#.into(),
            disclosures: vec![r#"["salt","text","Ölfleck\n"]"#.into()],
            signature: "c2ln".into(),
        }
    }

    fn row() -> Row {
        Row {
            journal: JournalId(uuid::Uuid::from_bytes([4; 16])),
            seq: 7,
            hash: EntryHash([5; 32]),
            suite: 1,
            nonce: vec![6; 24],
            sealed: vec![7; 40],
        }
    }

    /// The inside of a bundle with one of everything.
    fn inside() -> Vec<u8> {
        use std::io::Read as _;
        let identity = ::age::x25519::Identity::generate();
        let to = Recipient::parse(&identity.to_public().to_string()).expect("a recipient");
        let head = Head {
            v: 1,
            mission: Some(MissionId(uuid::Uuid::from_bytes([1; 16]))),
            app: "test/1".into(),
        };
        let mut writer = Writer::new(Vec::new(), &to, &secrets(), &head).expect("begins");
        writer.entry(entry()).expect("writes");
        writer.key(b"an age file").expect("writes");
        writer.row(&row()).expect("writes");
        writer.file(FileHash([8; 32]), 6).expect("writes");
        writer.part(b"two\n").expect("writes");
        writer.part(b"13").expect("writes");
        writer.sealed(b"tail", 4).expect("writes");
        assert!(writer.part(b"more than four").is_err());
        writer.left = 4;
        writer.part(b"tail").expect("writes");
        let sealed = writer.finish().expect("ends");
        let mut plain = Vec::new();
        ::age::Decryptor::new_buffered(sealed.as_slice())
            .expect("a header")
            .decrypt(std::iter::once(&identity as &dyn ::age::Identity))
            .expect("opens")
            .read_to_end(&mut plain)
            .expect("reads");
        plain
    }

    fn read(plain: &[u8]) -> Result<Vec<(Record, Vec<u8>)>, ReadError> {
        let mut reader = Reader::new(plain)?;
        let mut found = Vec::new();
        while let Some(record) = reader.next()? {
            let (mut bytes, mut part) = (Vec::new(), [0; 3]);
            loop {
                match reader.part(&mut part)? {
                    0 => break,
                    read => bytes.extend_from_slice(&part[..read]),
                }
            }
            found.push((record, bytes));
        }
        Ok(found)
    }

    /// Couriers carry such files.
    #[test]
    fn the_form_is_stable() {
        let plain = String::from_utf8(inside()).expect("text here");
        insta::assert_snapshot!(plain);
    }

    #[test]
    fn what_was_written_is_read() {
        let found = read(&inside()).expect("reads");
        let expected = [
            (Record::Entry(entry()), Vec::new()),
            (Record::Key(b"an age file".to_vec()), Vec::new()),
            (Record::Row(row()), Vec::new()),
            (Record::File(FileHash([8; 32]), 6), b"two\n13".to_vec()),
            (Record::Sealed(b"tail".to_vec(), 4), b"tail".to_vec()),
        ];
        assert_eq!(found, expected);
        let plain = inside();
        let mut reader = Reader::new(&*plain).expect("reads").into_skipped();
        assert_eq!(reader.next().expect("passes over"), None);
    }

    impl<R: BufRead> Reader<R> {
        /// Reads the records without their bytes.
        fn into_skipped(mut self) -> Self {
            while self.next().expect("reads").is_some() {}
            self
        }
    }

    #[test]
    fn records_of_later_versions_are_passed_over() {
        let mut plain =
            format!("{MAGIC}\n{{\"v\":1,\"later\":1}}\n{{\"photo\":{{}},\"bytes\":3}}\nabc")
                .into_bytes();
        let sha256 = FileHash(Sha256::digest(&plain).into());
        plain.extend(format!("{{\"end\":{{\"records\":1,\"sha256\":\"{sha256}\"}}}}\n").bytes());
        let found = read(&plain).expect("reads");
        assert_eq!(found, [(Record::Unknown, b"abc".to_vec())]);
        let newer = String::from_utf8(plain)
            .expect("text")
            .replace("\"v\":1", "\"v\":2");
        assert!(read(newer.as_bytes()).is_err());
    }

    #[test]
    fn every_cut_and_every_addition_is_noticed() {
        let plain = inside();
        for end in 0..plain.len() {
            assert!(read(&plain[..end]).is_err(), "cut at {end}");
        }
        assert!(read(&[plain.as_slice(), b"\n"].concat()).is_err());
    }

    #[test]
    fn a_line_without_end_costs_no_memory() {
        let endless = [b"scrutineer-bundle/1\n".as_slice(), &vec![b'{'; 1 << 21]].concat();
        assert!(matches!(Reader::new(&*endless), Err(ReadError::Invalid(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

        #[test]
        fn a_flipped_bit_is_noticed(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let mut plain = inside();
            let at = at.index(plain.len());
            plain[at] ^= 1 << bit;
            prop_assert!(read(&plain).is_err());
        }
    }
}
