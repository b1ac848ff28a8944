//! Importing: twice through the bundle, first to see that it is whole.

use std::{
    collections::BTreeSet,
    io::{BufReader, Read},
};

use bytes::Bytes;
use protocol::{
    codes::Code,
    entry::{SdJwt, WireEntry},
    exchange::OutcomeKind,
    ids::{EntryHash, FileHash, MissionId},
    jose::PublicKey,
};
use sealed::{
    Key, Row,
    bundle::{ReadError, Reader, Record},
    file::{HEADER, Opener},
    rescue::{self, Owner},
};
use serde::Serialize;
use tokio::{runtime::Handle, sync::mpsc};
use uuid::Uuid;

use super::open::{Holder, Holders, invalid};
use crate::{
    clock::Host,
    domain::{
        evidence::{Evidence, Sent},
        ingest::{Batch, Batcher, Checked, Committed, DeviceKeys, Returned, check_returned},
        ledger::Incoming,
        missions::Mission,
    },
    error::{Error, Result},
    store::{
        Store,
        evidence::{self as evidence_store, AnnouncedRow},
        missions as mission_store,
    },
};

/// Entries, and about so many bytes of them, that are handed on at once.
const ENTRIES: usize = 200;
const ENTRIES_BYTES: usize = 1024 * 1024;
/// Bytes of a file that are handed on at once.
const PART: usize = 256 * 1024;
/// Parts of a file that wait to be stored.
const WAITING: usize = 4;
/// Refusals that are told one by one; the rest is counted.
const TOLD: usize = 1_000;
/// Bytes of a wrapped key's inside, at most.
const KEY_BYTES: u64 = 16 * 1024;

/// Where a bundle is. It is read three times.
pub trait Source: Send + Sync {
    /// Begins at its beginning.
    ///
    /// # Errors
    /// The file system's, or the store's.
    fn open(&self) -> Result<Box<dyn Read + '_>>;
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The mission whose key opened it.
    pub mission: Option<MissionId>,
    /// The program that wrote it.
    pub app: String,
    /// Whether it came from a phone that had lost its keys.
    pub without_keys: bool,
    /// Entries in it.
    pub read: usize,
    /// New, and durable now.
    pub stored: usize,
    /// The ledger held them before.
    pub already_stored: usize,
    /// Durable; wait for the entry they were written on.
    pub held: usize,
    /// Durable; a coordinator decides whether they count.
    pub quarantined: usize,
    /// Not stored.
    pub refused: usize,
    /// Files in it.
    pub files_read: usize,
    /// New, complete and verified now.
    pub files_stored: usize,
    /// The server had them before.
    pub files_already: usize,
    /// Not stored.
    pub files_refused: usize,
    /// Records of a later version, left alone.
    pub unknown: usize,
    /// What was quarantined or refused, and why; the first of them.
    pub reasons: Vec<Refusal>,
}

/// Why an entry or a file does not simply count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryHash>,
    /// The file; none for one whose name cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileHash>,
    /// Why.
    pub code: Code,
}

/// Hands what is in bundles to ingest and evidence. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Importer {
    /// The database.
    pub store: Store,
    /// Time and randomness.
    pub host: Host,
    /// Devices' keys.
    pub device_keys: DeviceKeys,
    /// The server's own key: what it signed may come back.
    pub server_key: PublicKey,
    /// Commits entries.
    pub batcher: Batcher,
    /// Takes files.
    pub evidence: Evidence,
}

impl Importer {
    /// Imports a bundle. Blocking: on a thread that may block, with a runtime that
    /// others drive.
    ///
    /// # Errors
    /// `bundle_invalid`, `bundle_wrong_key`, `bundle_wrong_mission`: nothing was
    /// imported. Anything else, such as a database that cannot be reached: what was
    /// imported before stays, and importing again does no harm.
    pub fn import(&self, source: &dyn Source, holders: &Holders) -> Result<Imported> {
        let holder = holders.who_opens(source.open()?)?;
        let mission = self.mission(&holder.recipient)?;
        check(source, holder, mission.reference.id)?;
        let mut reader = reader(source, holder)?;
        let mut run = Run {
            importer: self,
            holder,
            runtime: Handle::current(),
            done: Imported {
                mission: Some(mission.reference.id),
                app: reader.head.app.clone(),
                ..Imported::default()
            },
            mission,
            key: None,
            entries: Vec::new(),
            bytes: 0,
            announced: BTreeSet::new(),
            device: self.host.uuid(),
        };
        while let Some(record) = reader.next().map_err(unreadable)? {
            run.take(record, &mut reader)?;
        }
        run.flush()?;
        run.find_files()?;
        Ok(run.done)
    }

    fn mission(&self, recipient: &str) -> Result<Mission> {
        let missions = self.store.read(mission_store::list)?;
        let mission = missions
            .into_iter()
            .find(|mission| mission.sealing_key == recipient);
        mission.ok_or_else(|| {
            Error::refused(
                Code::BundleWrongMission,
                "the key that opens it is of no mission on this server",
            )
        })
    }
}

type Inside<'a> = Reader<BufReader<Box<dyn Read + 'a>>>;

fn reader<'a>(source: &'a dyn Source, holder: &Holder) -> Result<Inside<'a>> {
    let plain = holder.open(source.open()?)?;
    Reader::new(BufReader::with_capacity(PART, plain)).map_err(unreadable)
}

/// Reads the whole bundle and believes nothing of it.
fn check(source: &dyn Source, holder: &Holder, mission: MissionId) -> Result<()> {
    let mut reader = reader(source, holder)?;
    if reader.head.mission.is_some_and(|named| named != mission) {
        return Err(wrong_mission());
    }
    let mut has_key = false;
    while let Some(record) = reader.next().map_err(unreadable)? {
        match record {
            Record::Key(wrapped) => {
                data_key(holder, &wrapped, mission)?;
                has_key = true;
            }
            Record::Row(_) | Record::Sealed(..) if !has_key => {
                return Err(invalid("it has sealed parts, and no key before them"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The data key of a phone that lost it, and whose it is.
fn data_key(holder: &Holder, wrapped: &[u8], mission: MissionId) -> Result<(Owner, Key)> {
    let mut plain = zeroize::Zeroizing::new(Vec::new());
    holder
        .open(wrapped)?
        .take(KEY_BYTES)
        .read_to_end(&mut plain)
        .map_err(|_| invalid("the phone's key in it was changed"))?;
    let (owner, key) =
        rescue::open(&plain).ok_or_else(|| invalid("the phone's key in it cannot be read"))?;
    if owner.mission == mission {
        Ok((owner, key))
    } else {
        Err(wrong_mission())
    }
}

fn wrong_mission() -> Error {
    Error::refused(
        Code::BundleWrongMission,
        "it says another mission than the one whose key opens it",
    )
}

fn unreadable(error: ReadError) -> Error {
    match error {
        ReadError::Invalid(why) => invalid(why),
        ReadError::Io(error) => Error::io("the bundle")(error),
    }
}

/// One import.
struct Run<'a> {
    importer: &'a Importer,
    holder: &'a Holder,
    runtime: Handle,
    mission: Mission,
    done: Imported,
    key: Option<Key>,
    entries: Vec<WireEntry>,
    bytes: usize,
    /// Files that entries announce, and that did not come with them.
    announced: BTreeSet<FileHash>,
    /// Owns the uploads of this import.
    device: Uuid,
}

impl Run<'_> {
    fn take(&mut self, record: Record, reader: &mut Inside<'_>) -> Result<()> {
        match record {
            Record::Returned(entry) => self.returned(entry)?,
            Record::Entry(entry) => self.entry(entry)?,
            Record::Key(wrapped) => {
                let (owner, key) = data_key(self.holder, &wrapped, self.mission.reference.id)?;
                self.key = Some(key);
                self.done.without_keys = true;
                if let Some(enrolment) = owner.enrolment {
                    self.returned(enrolment)?;
                }
            }
            Record::Row(row) => self.row(&row)?,
            Record::File(file, size) => {
                self.flush()?;
                self.done.files_read += 1;
                self.file(file, size, &mut |into| {
                    let mut part = vec![0; PART];
                    let read = reader.part(&mut part).map_err(unreadable)?;
                    into.extend_from_slice(&part[..read]);
                    Ok(read > 0)
                })?;
            }
            Record::Sealed(trailer, size) => {
                self.flush()?;
                self.done.files_read += 1;
                self.sealed(&trailer, size, reader)?;
            }
            Record::Unknown => self.done.unknown += 1,
        }
        Ok(())
    }

    /// What the server signed, and may have lost since.
    fn returned(&mut self, entry: WireEntry) -> Result<()> {
        let importer = self.importer;
        for one in check_returned(&importer.server_key, &importer.store, &[entry])? {
            match one {
                Returned::Own(mission, entry) if mission.no == self.mission.reference.no => {
                    self.commit(vec![*entry])?;
                }
                Returned::Own(_, entry) => {
                    self.tell(Some(entry.hash), None, Code::BundleWrongMission);
                }
                Returned::Refused(hash, code) => self.tell(Some(hash), None, code),
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: WireEntry) -> Result<()> {
        self.done.read += 1;
        self.bytes +=
            entry.payload.len() + entry.disclosures.iter().map(String::len).sum::<usize>();
        self.entries.push(entry);
        if self.entries.len() >= ENTRIES || self.bytes >= ENTRIES_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// A row as it lay on the phone.
    fn row(&mut self, row: &Row) -> Result<()> {
        let opened = self.key.as_ref().and_then(|key| key.open_row(row));
        let text = opened
            .as_ref()
            .and_then(|plain| std::str::from_utf8(plain).ok());
        match text.and_then(|text| SdJwt::parse(text).ok()) {
            Some(entry) => self.entry(entry.to_wire()),
            None => {
                self.done.read += 1;
                self.done.refused += 1;
                self.tell(Some(row.hash), None, Code::MalformedEntry);
                Ok(())
            }
        }
    }

    /// Hands the entries on: verified, then into the ledger.
    fn flush(&mut self) -> Result<()> {
        let entries = std::mem::take(&mut self.entries);
        self.bytes = 0;
        if entries.is_empty() {
            return Ok(());
        }
        let importer = self.importer;
        let mut ours: Vec<Incoming> = Vec::with_capacity(entries.len());
        for checked in importer
            .device_keys
            .check(&importer.store, &entries, None)?
        {
            match checked {
                Checked::Refused(hash, code) => self.refuse(hash, code),
                Checked::Signed(key, entry) if key.mission.no == self.mission.reference.no => {
                    ours.push(*entry);
                }
                Checked::Signed(_, entry) => self.refuse(entry.hash, Code::BundleWrongMission),
            }
        }
        if ours.is_empty() {
            return Ok(());
        }
        for attach in ours.iter().filter_map(Incoming::attach) {
            let files = std::iter::once(attach.file).chain(attach.preview);
            self.announced.extend(files.map(|file| file.sha256));
        }
        let hashes: Vec<EntryHash> = ours.iter().map(|entry| entry.hash).collect();
        let committed = self.commit(ours)?;
        for (hash, appended) in hashes.into_iter().zip(committed.appended) {
            match appended.outcome {
                OutcomeKind::Stored => self.done.stored += 1,
                OutcomeKind::AlreadyStored => self.done.already_stored += 1,
                OutcomeKind::Held => self.done.held += 1,
                OutcomeKind::Quarantined => self.done.quarantined += 1,
                OutcomeKind::Refused => self.done.refused += 1,
            }
            if let Some(code) = appended.code {
                self.tell(Some(hash), None, code);
            }
        }
        Ok(())
    }

    /// Puts entries into the ledger; durable when this returns.
    fn commit(&self, entries: Vec<Incoming>) -> Result<Committed> {
        let batch = Batch {
            entries,
            contacts: Vec::new(),
            former: Vec::new(),
        };
        let committed = self
            .importer
            .batcher
            .submit(self.mission.reference, batch)?
            .blocking_recv()
            .map_err(|_| Error::Internal("the committing thread is gone".into()))??;
        self.importer.device_keys.enter(committed.epoch);
        Ok(committed)
    }

    fn refuse(&mut self, hash: EntryHash, code: Code) {
        self.done.refused += 1;
        self.tell(Some(hash), None, code);
    }

    fn refuse_file(&mut self, file: Option<FileHash>, code: Code) {
        self.done.files_refused += 1;
        self.tell(None, file, code);
    }

    fn tell(&mut self, entry: Option<EntryHash>, file: Option<FileHash>, code: Code) {
        if self.done.reasons.len() < TOLD {
            self.done.reasons.push(Refusal { entry, file, code });
        }
    }

    /// A file that is sealed as it lay on the phone.
    fn sealed(&mut self, trailer: &[u8], size: u64, reader: &mut Inside<'_>) -> Result<()> {
        let mut header = [0; HEADER];
        let found = fill(reader, &mut header)?;
        let key = self.key.clone();
        let opener = key.and_then(|key| Opener::new(&key, &header[..found], trailer, size));
        let Some(opener) = opener else {
            self.refuse_file(None, Code::FileUnreadable);
            return Ok(());
        };
        let mut number = 0;
        self.file(opener.file(), opener.size(), &mut |into| {
            if number == opener.chunks() {
                return Ok(false);
            }
            let mut sealed = vec![0; opener.place(number).1];
            let found = fill(reader, &mut sealed)?;
            let plain = opener.chunk(number, &sealed[..found]);
            // A copy that was damaged on the phone: what is known of it does not fit.
            let plain = plain.ok_or_else(|| Error::refused(Code::FileMismatch, ""))?;
            into.extend_from_slice(&plain);
            number += 1;
            Ok(true)
        })
    }

    /// The phone may have let go of files because the server had them. If the database
    /// is from before that, they lie in the store, and no phone will ask after them.
    fn find_files(&mut self) -> Result<()> {
        for file in std::mem::take(&mut self.announced) {
            let found = self.sender(file).and_then(|sent| {
                let evidence = &self.importer.evidence;
                self.runtime.block_on(evidence.progress(sent))
            });
            match found {
                Err(Error::Refused { code, .. }) if is_about_the_file(code) => {}
                other => drop(other?),
            }
        }
        Ok(())
    }

    /// Hands a file on, as if a device sent it. `next` adds bytes, and answers
    /// whether there were any.
    fn file(
        &mut self,
        file: FileHash,
        size: u64,
        next: &mut dyn FnMut(&mut Vec<u8>) -> Result<bool>,
    ) -> Result<()> {
        self.announced.remove(&file);
        match self.send(file, size, next) {
            Ok(true) => self.done.files_stored += 1,
            Ok(false) => self.done.files_already += 1,
            Err(Error::Refused { code, .. }) if is_about_the_file(code) => {
                self.refuse_file(Some(file), code);
            }
            Err(other) => return Err(other),
        }
        Ok(())
    }

    /// `false` if the server has the file.
    fn send(
        &self,
        file: FileHash,
        size: u64,
        next: &mut dyn FnMut(&mut Vec<u8>) -> Result<bool>,
    ) -> Result<bool> {
        let evidence = &self.importer.evidence;
        let sent = self.sender(file)?;
        let progress = self.runtime.block_on(evidence.progress(sent))?;
        if progress.complete {
            return Ok(false);
        }
        if progress.size != size {
            return Err(Error::refused(Code::FileMismatch, ""));
        }
        let (hand_on, chunks) = mpsc::channel(WAITING);
        let storing =
            self.runtime
                .block_on(evidence.receive(sent, progress.offset, Some(size), chunks))?;
        let mut part = Vec::with_capacity(PART);
        let mut broken = None;
        loop {
            match next(&mut part) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
            if part.len() >= PART {
                let full = std::mem::replace(&mut part, Vec::with_capacity(PART));
                // Nobody takes it any more: the task says why.
                if hand_on.blocking_send(Bytes::from(full)).is_err() {
                    break;
                }
            }
        }
        if broken.is_none() && !part.is_empty() {
            hand_on.blocking_send(Bytes::from(part)).ok();
        }
        drop(hand_on);
        let stored = self.runtime.block_on(storing);
        let stored = stored
            .map_err(|_| Error::Internal("an upload's task panicked or was cancelled".into()))?;
        if let Some(error) = broken {
            return Err(error);
        }
        if stored?.complete {
            Ok(true)
        } else {
            Err(Error::refused(Code::FileMismatch, ""))
        }
    }

    /// Who announced the file, and may send it: somebody of this mission.
    fn sender(&self, file: FileHash) -> Result<Sent> {
        let mission = self.mission.reference;
        let rows = self
            .importer
            .store
            .read(|conn| evidence_store::announcements(conn, mission.no, &file.0))?;
        if rows.is_empty() {
            return Err(Error::refused(Code::EvidenceUnknown, ""));
        }
        let row = rows.into_iter().rfind(AnnouncedRow::is_accepted);
        let row = row.ok_or_else(|| Error::refused(Code::EvidenceWaits, ""))?;
        Ok(Sent {
            mission,
            device: self.device,
            accreditation: Uuid::from_slice(&row.accreditation)
                .map_err(|_| Error::Internal("an announcement names no accreditation".into()))?,
            file,
        })
    }
}

/// What concerns one file, and none of the others.
fn is_about_the_file(code: Code) -> bool {
    matches!(
        code,
        Code::EvidenceUnknown
            | Code::EvidenceWaits
            | Code::FileMismatch
            | Code::FileUnreadable
            | Code::BodyTooLarge
    )
}

/// Reads until a buffer is full, or the record ends.
fn fill(reader: &mut Inside<'_>, into: &mut [u8]) -> Result<usize> {
    let mut found = 0;
    while found < into.len() {
        match reader.part(&mut into[found..]).map_err(unreadable)? {
            0 => break,
            read => found += read,
        }
    }
    Ok(found)
}
