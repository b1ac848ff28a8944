//! The journal: what the observer did, signed and linked, in the order it was
//! done.
//!
//! [`Book`] is the journal read back; [`mod@write`] checks and signs new entries;
//! [`course`] orders what was done about a report; [`report`] tells what the entries, their deliveries and the coordinators'
//! decisions add up to, in the words of [`status`].

pub mod course;
pub mod delivery;
pub mod files;
pub mod message;
pub mod reference;
pub mod report;
pub mod status;
pub mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use protocol::{
    entry::{Attach, Kind, Read, ReportFields, SdJwt, Severity},
    ids::{EntryHash, FileHash, JournalId, SubjectId},
};

use crate::{
    seal::{DataKey, Place},
    store::Row,
};

/// One of the device's own entries, opened and read.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place in the store: the order of filing.
    pub position: i64,
    /// Its journal.
    pub journal: JournalId,
    /// Its place in the journal.
    pub seq: u64,
    /// Its name.
    pub hash: EntryHash,
    /// The signed bytes.
    pub sd: SdJwt,
    /// What they say.
    pub read: Read,
}

impl Entry {
    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> SubjectId {
        self.read.payload.subject
    }

    /// What it does.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.read.payload.kind
    }

    /// The report's fields, for what files or amends one.
    #[must_use]
    pub fn fields(&self) -> Option<ReportFields> {
        matches!(self.kind(), Kind::File | Kind::Amend)
            .then(|| ReportFields::from_body(&self.read.body).ok())
            .flatten()
    }

    /// The file that it attaches, for what attaches one.
    #[must_use]
    pub fn attach(&self) -> Option<Attach> {
        (*self.kind() == Kind::Attach)
            .then(|| Attach::from_body(&self.read.body).ok())
            .flatten()
    }

    /// The severity it gives its report.
    #[must_use]
    pub fn severity(&self) -> Option<Severity> {
        self.fields().and_then(|fields| fields.severity)
    }
}

/// The journal, read back. Rows that cannot be opened (another data key, a
/// damaged row) are counted and keep their place.
#[derive(Clone, Debug, Default)]
pub struct Book {
    entries: Vec<Rc<Entry>>,
    heads: BTreeMap<JournalId, (u64, EntryHash)>,
    unreadable: usize,
    position: i64,
}

impl Book {
    /// Takes in one more row.
    pub fn absorb(&mut self, row: &Row, key: &DataKey) {
        self.position = self.position.max(row.position);
        let Row { position, row } = row;
        let head = self.heads.entry(row.journal).or_insert((row.seq, row.hash));
        if row.seq > head.0 {
            *head = (row.seq, row.hash);
        }
        match open(row.journal, row.seq, row.hash, &row.sealed, key) {
            None => self.unreadable += 1,
            Some((sd, read)) => self.entries.push(Rc::new(Entry {
                position: *position,
                journal: row.journal,
                seq: row.seq,
                hash: row.hash,
                sd,
                read,
            })),
        }
    }

    /// The last position taken in.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.position
    }

    /// All entries in order of filing.
    #[must_use]
    pub fn entries(&self) -> &[Rc<Entry>] {
        &self.entries
    }

    /// Rows that could not be opened. They are kept.
    #[must_use]
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// The last place of a journal and the entry there.
    #[must_use]
    pub fn head(&self, journal: JournalId) -> Option<(u64, EntryHash)> {
        self.heads.get(&journal).copied()
    }

    /// The last place of each journal.
    #[must_use]
    pub fn heads(&self) -> BTreeMap<JournalId, u64> {
        self.heads
            .iter()
            .map(|(journal, (seq, _))| (*journal, *seq))
            .collect()
    }

    /// Every file that an entry announces, previews included.
    #[must_use]
    pub fn files(&self) -> BTreeSet<FileHash> {
        let attached = self.entries.iter().filter_map(|entry| entry.attach());
        attached
            .flat_map(|attach| std::iter::once(attach.file).chain(attach.preview))
            .map(|file| file.sha256)
            .collect()
    }

    /// The entries about one subject, in order of filing.
    pub fn of(&self, subject: SubjectId) -> impl DoubleEndedIterator<Item = &Rc<Entry>> {
        self.entries
            .iter()
            .filter(move |entry| entry.subject() == subject)
    }
}

fn open(
    journal: JournalId,
    seq: u64,
    hash: EntryHash,
    sealed: &crate::seal::Sealed,
    key: &DataKey,
) -> Option<(SdJwt, Read)> {
    let plain = key.open(&Place::Row(journal, seq, hash), sealed)?;
    let sd = SdJwt::parse(std::str::from_utf8(&plain).ok()?).ok()?;
    let read = sd.read().ok()?;
    Some((sd, read))
}
