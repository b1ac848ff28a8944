//! A phone's evidence: announcing files and sending their bytes, honestly or not.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
};

use protocol::{
    entry::{Attach, FileRef, Kind, SdJwt},
    ids::{EntryHash, FileHash},
};

use sha2::{Digest as _, Sha256};

use crate::{
    chance::Chance,
    http::{self, Answer},
    phone::{self, Phone},
};

/// A file of random bytes.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How it is announced.
    pub file: FileRef,
}

impl Sample {
    /// A JPEG, as far as its media type says.
    #[must_use]
    pub fn of(size: usize) -> Self {
        let mut chance = Chance::new();
        let mut bytes = Vec::with_capacity(size + 32);
        while bytes.len() < size {
            bytes.extend(chance.bytes::<32>());
        }
        bytes.truncate(size);
        Self::from_bytes(bytes, "image/jpeg")
    }

    /// These bytes.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>, media_type: &str) -> Self {
        let file = FileRef {
            sha256: hash_of(&bytes),
            size: bytes.len() as u64,
            media_type: media_type.to_owned(),
        };
        Self { bytes, file }
    }
}

/// The name of a file with these bytes.
#[must_use]
pub fn hash_of(bytes: &[u8]) -> FileHash {
    FileHash(Sha256::digest(bytes).into())
}

/// Announces a file for a report.
#[track_caller]
pub fn attach(phone: &mut Phone, report: &SdJwt, base: EntryHash, file: &FileRef) -> SdJwt {
    attach_with(phone, report, base, file, None)
}

/// The same with a preview.
#[track_caller]
pub fn attach_with(
    phone: &mut Phone,
    report: &SdJwt,
    base: EntryHash,
    file: &FileRef,
    preview: Option<&FileRef>,
) -> SdJwt {
    let attach = Attach {
        file: file.clone(),
        preview: preview.cloned(),
        taken_at: Some("2024-09-01T12:00:00+04:00".into()),
    };
    let (clear, disclosed) = attach.to_body();
    let subject = phone::subject(report);
    phone.entry(Kind::Attach, subject, Some(base), clear, disclosed)
}

/// Files a report and announces a file for it; both are sent and stored.
///
/// # Panics
/// When they are not.
#[track_caller]
pub fn announced(phone: &mut Phone, file: &FileRef) -> (SdJwt, SdJwt) {
    let report = phone.file_text("With a picture");
    let entry = attach(phone, &report, report.hash(), file);
    let sent = phone.send(&[&report, &entry]);
    assert_eq!(sent.short(&entry), "stored");
    (report, entry)
}

/// One device's way to one file on one server.
#[derive(Clone, Debug)]
pub struct Way {
    origin: String,
    token: String,
    path: String,
}

impl Way {
    /// With a token of the phone's own.
    #[track_caller]
    #[must_use]
    pub fn of(phone: &Phone, file: &FileRef) -> Self {
        Self::with_token(phone.origin(), &phone.token(), &file.sha256)
    }

    /// With any token.
    #[must_use]
    pub fn with_token(origin: &str, token: &str, file: &FileHash) -> Self {
        Self {
            origin: origin.to_owned(),
            token: token.to_owned(),
            path: protocol::evidence::path(file),
        }
    }

    /// The file's address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.origin, self.path)
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Any method, with more headers.
    #[track_caller]
    #[must_use]
    pub fn send(&self, method: &str, headers: &[(&str, &str)], body: Option<Vec<u8>>) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend(headers);
        http::send(method, &format!("{}{}", self.origin, self.path), &all, body)
    }

    /// How far it has come.
    #[track_caller]
    #[must_use]
    pub fn head(&self) -> Answer {
        self.send("HEAD", &[("tus-resumable", "1.0.0")], None)
    }

    /// The offset that the server names.
    ///
    /// # Panics
    /// When it names none.
    #[track_caller]
    #[must_use]
    pub fn offset(&self) -> u64 {
        let answer = self.head();
        assert_eq!(answer.status, 200, "{answer:?}");
        offset_of(&answer)
    }

    /// Sends bytes.
    #[track_caller]
    #[must_use]
    pub fn patch(&self, offset: u64, bytes: &[u8]) -> Answer {
        let offset = offset.to_string();
        let headers = [
            ("tus-resumable", "1.0.0"),
            ("content-type", "application/offset+octet-stream"),
            ("upload-offset", &offset),
        ];
        self.send("PATCH", &headers, Some(bytes.to_vec()))
    }

    /// Reads the file.
    #[track_caller]
    #[must_use]
    pub fn get(&self, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", headers, None)
    }

    /// Begins to send and leaves the connection open: `announced` is the length
    /// that is promised.
    ///
    /// # Panics
    /// When nobody listens.
    #[must_use]
    pub fn begin(&self, offset: u64, announced: usize, bytes: &[u8]) -> TcpStream {
        let host = self.origin.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).expect("the server listens");
        let head = format!(
            "PATCH {} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nTus-Resumable: 1.0.0\r\n\
             Content-Type: application/offset+octet-stream\r\nUpload-Offset: {offset}\r\nContent-Length: {announced}\r\n\r\n",
            self.path, self.token
        );
        stream.write_all(head.as_bytes()).expect("a head");
        // A server that refuses may close before all is sent.
        stream.write_all(bytes).ok();
        stream
    }

    /// Sends some of the promised bytes, and breaks off.
    pub fn cut(&self, offset: u64, announced: usize, bytes: &[u8]) {
        let mut stream = self.begin(offset, announced, bytes);
        stream.shutdown(Shutdown::Write).ok();
        stream.read_to_end(&mut Vec::new()).ok();
    }
}

/// The offset that an answer names.
///
/// # Panics
/// When it names none.
#[track_caller]
#[must_use]
pub fn offset_of(answer: &Answer) -> u64 {
    let text = answer.header("upload-offset");
    text.parse()
        .unwrap_or_else(|_| panic!("no offset in {answer:?}"))
}
