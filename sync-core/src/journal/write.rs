//! Checking and signing new entries. What breaks a limit is told before it is
//! signed, so that the server has no reason to set it aside.

use std::collections::BTreeMap;

use protocol::{
    codes::Code,
    entry::{
        Attach, BuildError, CheckIn, Draft, Kind, Link, Move, Patch, Place, ReportFields, SdJwt,
        Seen, Severity,
    },
    ids::{EntryHash, JournalId, MissionId, ReferenceHash, SubjectId},
    jose::Signer,
    limits,
    reference::Register,
};
use serde_json::{Map, Value, json};

use super::{Book, report::Decision};
use crate::{
    error::Error,
    host::{Environment, parse_rfc3339},
    seal::{DataKey, Place as SealPlace},
    store::NewRow,
};

/// A report to file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewReport {
    /// Code of the mission's taxonomy.
    pub category: String,
    /// How grave.
    pub severity: Option<Severity>,
    /// The observer's words.
    pub text: Option<String>,
    /// Station code.
    pub station: Option<String>,
    /// Where the device is.
    pub place: Option<Place>,
    /// When it happened, RFC 3339.
    pub observed_at: Option<String>,
}

/// An arrival or departure to file.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCheckIn {
    /// Station code.
    pub station: String,
    /// Arrived or left.
    pub event: Move,
    /// Where the device is.
    pub place: Option<Place>,
}

/// What an entry will say, checked.
#[derive(Clone, Debug)]
pub struct Act {
    kind: Kind,
    subject: SubjectId,
    base: Option<EntryHash>,
    clear: Map<String, Value>,
    disclosed: Vec<(&'static str, Value)>,
}

impl Act {
    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> SubjectId {
        self.subject
    }

    /// A new report under a fresh random id.
    ///
    /// # Errors
    /// A value outside its limits.
    pub fn file(new: NewReport, subject: SubjectId) -> Result<Self, Error> {
        let fields = ReportFields {
            category: Some(new.category),
            severity: new.severity,
            text: new.text.into(),
            station: new.station.into(),
            place: new.place.into(),
            observed_at: new.observed_at.into(),
        };
        check_fields(&fields)?;
        let (clear, disclosed) = fields.to_body();
        Ok(Self {
            kind: Kind::File,
            subject,
            base: None,
            clear,
            disclosed,
        })
    }

    /// A correction of a report.
    ///
    /// # Errors
    /// A value outside its limits, nothing to change, no such report, or one
    /// that was withdrawn.
    pub fn amend(book: &Book, subject: SubjectId, fields: &ReportFields) -> Result<Self, Error> {
        check_fields(fields)?;
        if *fields == ReportFields::default() {
            return Err(Error::refused(
                Code::InvalidValue,
                "nothing to change was given",
            ));
        }
        let base = Some(latest(book, subject)?);
        let (clear, disclosed) = fields.to_body();
        Ok(Self {
            kind: Kind::Amend,
            subject,
            base,
            clear,
            disclosed,
        })
    }

    /// Names the snapshots of the registers that it was written against.
    pub fn written_against(&mut self, names: &BTreeMap<Register, ReferenceHash>) {
        if !names.is_empty() {
            self.clear.insert("reference".into(), json!(names));
        }
    }

    /// Takes a report back.
    ///
    /// # Errors
    /// No reason or one that is too long; no such report, or withdrawn already.
    pub fn withdraw(book: &Book, subject: SubjectId, reason: &str) -> Result<Self, Error> {
        check_words("reason", reason)?;
        let base = Some(latest(book, subject)?);
        let disclosed = vec![("reason", json!(reason))];
        Ok(Self {
            kind: Kind::Withdraw,
            subject,
            base,
            clear: Map::new(),
            disclosed,
        })
    }

    /// Answers the open question on a report.
    ///
    /// # Errors
    /// No words or too many; no such report, or withdrawn; no open question.
    pub fn answer(
        book: &Book,
        subject: SubjectId,
        question: Option<&Decision>,
        text: &str,
    ) -> Result<Self, Error> {
        check_words("text", text)?;
        let base = Some(latest(book, subject)?);
        let question = question.ok_or_else(|| {
            Error::refused(
                Code::QuestionNone,
                "there is no open question on this report",
            )
        })?;
        let mut clear = Map::new();
        clear.insert("question".into(), json!(question.hash));
        Ok(Self {
            kind: Kind::Answer,
            subject,
            base,
            clear,
            disclosed: vec![("text", json!(text))],
        })
    }

    /// Attaches a file to a report.
    ///
    /// # Errors
    /// A time that is not RFC 3339; no such report, or withdrawn;
    /// [`Code::AlreadyExists`] if the report has the file.
    pub fn attach(book: &Book, subject: SubjectId, attach: &Attach) -> Result<Self, Error> {
        check_time(attach.taken_at.as_deref())?;
        let base = Some(latest(book, subject)?);
        let has = book
            .of(subject)
            .filter_map(|entry| entry.attach())
            .any(|known| known.file.sha256 == attach.file.sha256);
        if has {
            return Err(Error::refused(
                Code::AlreadyExists,
                "this file is attached to this report already",
            ));
        }
        let (clear, disclosed) = attach.to_body();
        Ok(Self {
            kind: Kind::Attach,
            subject,
            base,
            clear,
            disclosed,
        })
    }

    /// Says that the observer arrived at or left a station.
    ///
    /// # Errors
    /// A value outside its limits.
    pub fn check_in(new: NewCheckIn, subject: SubjectId) -> Result<Self, Error> {
        check_code("station", &new.station)?;
        check_place(new.place.as_ref())?;
        let body = CheckIn {
            event: new.event,
            station: new.station,
            place: new.place,
        };
        let (clear, disclosed) = body.to_body();
        Ok(Self {
            kind: Kind::CheckIn,
            subject,
            base: None,
            clear,
            disclosed,
        })
    }

    /// Signs the entry as the journal's next and seals it into a row.
    ///
    /// # Errors
    /// The key store cannot sign, or the entry would be too large.
    pub fn into_row(self, book: &Book, pen: &Pen<'_>) -> Result<(EntryHash, NewRow), Error> {
        let head = book.head(pen.journal);
        let seq = head.map_or(1, |(seq, _)| seq.saturating_add(1));
        let link = Link::Journal {
            journal: pen.journal,
            seq,
            prev: head.map(|(_, hash)| hash),
            seen: pen.seen.clone(),
        };
        let draft = Draft {
            mission: pen.mission,
            subject: self.subject,
            kind: self.kind,
            base: self.base,
            link,
            at: pen.env.now().at(),
            clear: self.clear,
            disclosed: self.disclosed,
        };
        let mut salt = || {
            let mut salt = [0; 16];
            pen.env.random(&mut salt);
            salt
        };
        let sd: SdJwt = draft
            .sign(pen.signer, &mut salt)
            .map_err(|error| match error {
                BuildError::Sign(error) => Error::device(Code::StoreFailed, error.to_string()),
                BuildError::Limit(_) => {
                    Error::refused(Code::TooLong, "the report is larger than an entry may be")
                }
            })?;
        let hash = sd.hash();
        let place = SealPlace::Row(pen.journal, seq, hash);
        let sealed = pen.key.seal(&place, sd.compact().as_bytes(), pen.env)?;
        Ok((
            hash,
            NewRow {
                journal: pen.journal,
                seq,
                hash,
                sealed,
            },
        ))
    }
}

/// What it takes to write into a journal.
pub struct Pen<'a> {
    /// The mission.
    pub mission: MissionId,
    /// The journal.
    pub journal: JournalId,
    /// The device key.
    pub signer: &'a dyn Signer,
    /// The key that seals.
    pub key: &'a DataKey,
    /// The last ledger state known.
    pub seen: Option<Seen>,
    /// Clocks and randomness.
    pub env: &'a dyn Environment,
}

/// The last entry about a report that can still be written on.
fn latest(book: &Book, subject: SubjectId) -> Result<EntryHash, Error> {
    if !book.of(subject).any(|entry| *entry.kind() == Kind::File) {
        return Err(Error::refused(
            Code::ReportUnknown,
            "no report with this id was filed from this device",
        ));
    }
    if book
        .of(subject)
        .any(|entry| *entry.kind() == Kind::Withdraw)
    {
        return Err(Error::refused(
            Code::TransitionNotAllowed,
            "this report has been withdrawn; file a new one",
        ));
    }
    let last = book.of(subject).next_back().map(|entry| entry.hash);
    last.ok_or_else(|| {
        Error::refused(
            Code::ReportUnknown,
            "no report with this id was filed from this device",
        )
    })
}

fn check_fields(fields: &ReportFields) -> Result<(), Error> {
    if let Some(category) = &fields.category {
        check_code("category", category)?;
    }
    if let Patch::Set(text) = &fields.text {
        check_length("text", text)?;
    }
    if let Patch::Set(station) = &fields.station {
        check_code("station", station)?;
    }
    check_place(fields.place.set())?;
    check_time(fields.observed_at.set().map(String::as_str))
}

fn check_time(time: Option<&str>) -> Result<(), Error> {
    match time {
        Some(time) if parse_rfc3339(time).is_none() => Err(Error::refused(
            Code::InvalidValue,
            "the time is not RFC 3339, such as 2024-09-01T08:15:00+04:00",
        )),
        _ => Ok(()),
    }
}

/// Whether a file may be attached now, as far as can be said before reading it.
///
/// # Errors
/// Those of [`Act::attach`], but for [`Code::AlreadyExists`].
pub fn check_attach(book: &Book, subject: SubjectId, taken_at: Option<&str>) -> Result<(), Error> {
    check_time(taken_at)?;
    latest(book, subject).map(|_| ())
}

fn check_code(name: &str, code: &str) -> Result<(), Error> {
    if code.trim().is_empty() {
        return Err(Error::refused(
            Code::InvalidValue,
            format!("the {name} is empty"),
        ));
    }
    if code.len() > limits::CODE_BYTES {
        return Err(Error::refused(
            Code::TooLong,
            format!("the {name} is longer than {} bytes", limits::CODE_BYTES),
        ));
    }
    Ok(())
}

fn check_words(name: &str, words: &str) -> Result<(), Error> {
    if words.trim().is_empty() {
        return Err(Error::refused(
            Code::InvalidValue,
            format!("the {name} is empty"),
        ));
    }
    check_length(name, words)
}

fn check_length(name: &str, text: &str) -> Result<(), Error> {
    // Counting is needed only where the bytes could exceed the characters' limit.
    if text.len() > limits::TEXT_CHARS && text.chars().count() > limits::TEXT_CHARS {
        return Err(Error::refused(
            Code::TooLong,
            format!(
                "the {name} is longer than {} characters",
                limits::TEXT_CHARS
            ),
        ));
    }
    Ok(())
}

fn check_place(place: Option<&Place>) -> Result<(), Error> {
    match place {
        Some(place) if !place.is_valid() => Err(Error::refused(
            Code::CoordinateInvalid,
            "the place is not on the globe: latitude is −90 to 90, longitude −180 to 180, accuracy 0 or more",
        )),
        _ => Ok(()),
    }
}
