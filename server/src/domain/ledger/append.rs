//! Numbers, chain and rows.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use protocol::{
    codes::Code,
    entry::{Attach, Kind, Read, SdJwt},
    exchange::OutcomeKind,
    ids::EntryHash,
    ledger::{Chain, extend},
    limits,
    planted::{Fault, is as planted},
};
use uuid::Uuid;

use super::{
    gaps::{self, Contacted},
    project::{Base, Effect, Projector, Subject},
    registers::Registers,
};
use crate::{
    clock::Micros,
    domain::acts::MissionRef,
    error::{Error, Result},
    store::{
        Conn,
        bulk::{self, Known},
        evidence,
        ledger::{self, EntryRow, Head},
        savepoint,
    },
};

/// Who signed an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An enrolled device.
    Device {
        /// The device.
        device: Uuid,
        /// Whose it is.
        accreditation: Uuid,
    },
    /// The server, for this account.
    Office(Uuid),
}

/// An entry whose signature has been verified, about to be appended.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Its name.
    pub hash: EntryHash,
    /// Its exact bytes.
    pub sd_jwt: SdJwt,
    /// What it says, as far as it can be read.
    pub read: Option<Read>,
    /// Why it must wait in quarantine, whatever it says.
    pub verdict: Option<Code>,
    /// Who signed it.
    pub origin: Origin,
    /// How far the sender's clock was off at the exchange, in microseconds.
    pub clock_skew: Option<i64>,
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// What to say of it.
    pub outcome: OutcomeKind,
    /// Its number.
    pub number: i64,
    /// Why it is quarantined.
    pub code: Option<Code>,
    /// Another entry has its place in the journal.
    pub fork: bool,
}

/// What an append left.
#[derive(Debug)]
pub struct Outcome {
    /// One for each entry, in order.
    pub appended: Vec<Appended>,
    /// The last number of the ledger.
    pub number: i64,
    /// The chain after it.
    pub chain: Chain,
}

/// Appends entries and projects them, all in the running transaction.
/// `registers` are kept from one batch to the next; `None` will do. `quota` is how
/// many bytes of evidence an accreditation may announce.
///
/// # Errors
/// The database's; then nothing of it may be committed.
pub fn append(
    conn: &mut Conn,
    registers: &mut Option<Registers>,
    mission: MissionRef,
    entries: &[Incoming],
    contacts: &[Contacted],
    quota: u64,
    now: Micros,
) -> Result<Outcome> {
    let mut run = Run::start(conn, registers.take(), mission, entries, quota, now)?;
    let mut appended = Vec::with_capacity(entries.len());
    for entry in entries {
        appended.push(run.one(conn, entry)?);
    }
    let (outcome, kept) = run.finish(conn, contacts, appended)?;
    *registers = Some(kept);
    Ok(outcome)
}

/// As [`append`], for a batch that failed: bisects it under savepoints until
/// the entries that cannot be processed stand alone, and keeps those in
/// quarantine. Nobody's entry waits for another's.
///
/// # Errors
/// As [`append`], when even a bare row cannot be written, or the database is
/// not available.
pub fn append_carefully(
    conn: &mut Conn,
    registers: &mut Option<Registers>,
    mission: MissionRef,
    entries: &[Incoming],
    contacts: &[Contacted],
    quota: u64,
    now: Micros,
) -> Result<Outcome> {
    match savepoint(conn, |conn| {
        append(conn, registers, mission, entries, contacts, quota, now)
    }) {
        Err(Error::Database(error)) if !crate::error::is_unavailable(&error) => {
            if let [entry] = entries {
                let mut bare = entry.clone();
                bare.read = None;
                bare.verdict = Some(Code::NotProcessable);
                tracing::error!(entry = %entry.hash, %error, "an entry cannot be processed; kept in quarantine");
                return savepoint(conn, |conn| {
                    append(conn, registers, mission, &[bare], &[], quota, now)
                });
            }
            if entries.is_empty() {
                return Err(error.into());
            }
            let (first, second) = entries.split_at(entries.len() / 2);
            let mut left = append_carefully(conn, registers, mission, first, &[], quota, now)?;
            let right = append_carefully(conn, registers, mission, second, contacts, quota, now)?;
            left.appended.extend(right.appended);
            Ok(Outcome {
                appended: left.appended,
                ..right
            })
        }
        other => other,
    }
}

struct Run {
    mission: MissionRef,
    now: Micros,
    /// Bytes of evidence that an accreditation may announce.
    quota: u64,
    /// What the accreditations of this batch's attach entries have announced.
    announced: HashMap<Uuid, Originals>,
    number: i64,
    chain: Chain,
    known: HashMap<EntryHash, Status>,
    revoked: HashSet<Vec<u8>>,
    places: HashMap<Place, Vec<Uuid>>,
    rows: Vec<EntryRow>,
    projector: Projector,
    /// The journals of the batch, and what it adds to them.
    brought: HashMap<Uuid, Vec<i64>>,
}

/// What is known of an entry.
#[derive(Clone, Copy)]
struct Status {
    number: i64,
    standing: &'static str,
    code: Option<Code>,
}

/// What a batch names, to be looked up at once.
#[derive(Default)]
struct Names {
    hashes: Vec<Vec<u8>>,
    subjects: HashSet<Uuid>,
    devices: HashSet<Uuid>,
    /// The places that the batch brings, by journal.
    seqs: HashMap<Uuid, Vec<i64>>,
}

impl Names {
    fn of(entries: &[Incoming]) -> Self {
        let mut names = Self::default();
        names.hashes.reserve(entries.len());
        for entry in entries {
            names.hashes.push(entry.hash.0.to_vec());
            if let Origin::Device { device, .. } = entry.origin {
                names.devices.insert(device);
            }
            let Some(read) = &entry.read else { continue };
            names.subjects.insert(read.payload.subject.0);
            names
                .hashes
                .extend(read.payload.base.map(|base| base.0.to_vec()));
            if let Some((journal, seq)) = place_of(read) {
                names.seqs.entry(journal).or_default().push(seq);
            }
        }
        // In order, neighbours in an index are looked up one after the other.
        names.hashes.sort_unstable();
        names.hashes.dedup();
        names
    }

    fn devices(&self) -> Vec<Vec<u8>> {
        self.devices
            .iter()
            .map(|id| id.as_bytes().to_vec())
            .collect()
    }

    /// Each journal and the first place that the batch brings of it.
    fn journals(&self) -> Vec<(Vec<u8>, i64)> {
        self.seqs
            .iter()
            .filter_map(|(journal, seqs)| Some((journal.as_bytes().to_vec(), *seqs.iter().min()?)))
            .collect()
    }
}

impl Run {
    fn start(
        conn: &mut Conn,
        registers: Option<Registers>,
        mission: MissionRef,
        entries: &[Incoming],
        quota: u64,
        now: Micros,
    ) -> Result<Self> {
        let head = ledger::lock_head(conn, mission.no)?;
        let names = Names::of(entries);
        let known = bulk::known(conn, mission.no, &names.hashes)?
            .into_iter()
            .map(|known| Ok((hash_of(&known.hash)?, status_of(&known)?)))
            .collect::<Result<_>>()?;
        let revoked = bulk::revoked(conn, mission.no, &names.devices())?;
        let places = taken_places(conn, mission, &names.journals())?;
        let mut projector = Projector::load(conn, mission, registers, head.held)?;
        let bodies = || entries.iter().filter_map(|entry| entry.read.as_ref());
        let member = |name: &'static str| bodies().filter_map(|read| read.body.get(name)?.as_str());
        projector.prepare(conn, &names.hashes, member("station"), member("category"))?;
        let subjects: Vec<Uuid> = names.subjects.into_iter().collect();
        projector.fetch(conn, &subjects)?;
        Ok(Self {
            mission,
            now,
            quota,
            announced: HashMap::new(),
            number: head.number,
            chain: head
                .chain
                .try_into()
                .map_err(|_| Error::Internal("a chain value is not 32 bytes".into()))?,
            known,
            revoked: revoked.into_iter().collect(),
            places,
            rows: Vec::with_capacity(entries.len()),
            projector,
            brought: names
                .seqs
                .into_keys()
                .map(|journal| (journal, Vec::new()))
                .collect(),
        })
    }

    fn one(&mut self, conn: &mut Conn, entry: &Incoming) -> Result<Appended> {
        if let Some(known) = self.known.get(&entry.hash).copied()
            && !planted(Fault::DuplicateNotLookedUp)
        {
            return self.again(conn, entry, known);
        }
        let number = self.number + 1;
        let chain = extend(
            &self.chain,
            u64::try_from(number).unwrap_or_default(),
            &entry.hash,
        );
        let quarantine = match self.quarantine(entry) {
            None if self.is_over_quota(conn, entry)? => Some(Code::OverQuota),
            other => other,
        };
        let fork = self.claim_place(entry);
        let (standing, code) = match (&entry.read, quarantine) {
            (read, Some(code)) => {
                if let (Some(read), Origin::Device { accreditation, .. }) = (read, entry.origin) {
                    self.projector.announce_waiting(number, accreditation, read);
                }
                ("quarantined", Some(code))
            }
            (None, None) => ("quarantined", Some(Code::Unreadable)),
            (Some(read), None) => {
                let base = read
                    .payload
                    .base
                    .and_then(|base| self.known.get(&base))
                    .map_or(Base::Absent, |known| Base::of(known.standing));
                let subject = Subject {
                    number,
                    hash: entry.hash,
                    origin: entry.origin,
                    received_at: self.now.0,
                    processed: number,
                    processed_at: self.now.0,
                    clock_skew: entry.clock_skew,
                    base,
                };
                match self.projector.apply(conn, &subject, read)? {
                    Effect::Applied => ("applied", None),
                    Effect::Held => ("held", None),
                    Effect::Quarantined(code) => ("quarantined", Some(code)),
                }
            }
        };
        if planted(Fault::QuarantinedNotStored) && standing == "quarantined" {
            return Ok(Appended {
                outcome: OutcomeKind::Quarantined,
                number,
                code,
                fork,
            });
        }
        self.number = number;
        if !(planted(Fault::ChainSkipsQuarantine) && standing == "quarantined") {
            self.chain = chain;
        }
        if standing != "quarantined" {
            self.count_announced(entry);
        }
        if let Some((journal, seq)) = entry.read.as_ref().and_then(place_of) {
            self.brought.entry(journal).or_default().push(seq);
        }
        self.rows.push(row(
            self.mission,
            entry,
            number,
            &chain,
            self.now,
            standing,
            code,
        ));
        self.known.insert(
            entry.hash,
            Status {
                number,
                standing,
                code,
            },
        );
        if fork {
            self.flag_fork(conn, entry)?;
        }
        if standing == "held" {
            let base = entry.read.as_ref().and_then(|read| read.payload.base);
            self.projector.note_held(base);
        }
        let settled = standing == "applied" || code == Some(Code::Overtaken);
        if !planted(Fault::HeldNotReleased) && settled && self.projector.is_awaited(&entry.hash) {
            self.release(conn, entry.hash, Base::of(standing))?;
        }
        let outcome = match standing {
            "held" => OutcomeKind::Held,
            "quarantined" => OutcomeKind::Quarantined,
            _ => OutcomeKind::Stored,
        };
        Ok(Appended {
            outcome,
            number,
            code,
            fork,
        })
    }

    /// An entry that the ledger holds. One that had come without some of its
    /// disclosures is completed by a copy that has them all.
    fn again(&mut self, conn: &mut Conn, entry: &Incoming, known: Status) -> Result<Appended> {
        let completes = match entry.origin {
            Origin::Office(_) => self.has_more(conn, entry)?,
            Origin::Device { .. } => {
                known.code == Some(Code::DisclosureMissing)
                    && known.standing == "quarantined"
                    && entry.read.as_ref().is_some_and(|read| read.withheld == 0)
            }
        };
        if completes {
            match self.rows.iter_mut().find(|row| row.number == known.number) {
                Some(row) => row.sd_jwt = entry.sd_jwt.compact().as_bytes().to_vec(),
                None => ledger::set_bytes(
                    conn,
                    self.mission.no,
                    known.number,
                    entry.sd_jwt.compact().as_bytes(),
                )?,
            }
        }
        Ok(Appended {
            outcome: OutcomeKind::AlreadyStored,
            number: known.number,
            code: known.code,
            fork: false,
        })
    }

    /// Whether a decision handed back says what its stored copy was handed back
    /// without. What an erasure took stays away.
    fn has_more(&mut self, conn: &mut Conn, entry: &Incoming) -> Result<bool> {
        let Some(read) = &entry.read else {
            return Ok(false);
        };
        let Some(row) = ledger::by_hash(conn, self.mission.no, &entry.hash.0)? else {
            return Ok(false);
        };
        let subject = read.payload.subject.0;
        self.projector.fetch(conn, &[subject])?;
        let erased = self.projector.report(subject).is_some_and(|row| row.erased);
        let stored = super::late::parse_row(&row)?.disclosure_count();
        Ok(!erased && stored < entry.sd_jwt.disclosure_count())
    }

    /// What keeps an entry apart whatever it says.
    fn quarantine(&self, entry: &Incoming) -> Option<Code> {
        if entry.verdict.is_some() {
            return entry.verdict;
        }
        let read = entry.read.as_ref()?;
        if read.payload.mission != self.mission.id {
            return Some(Code::WrongMission);
        }
        match entry.origin {
            Origin::Office(_) => None,
            Origin::Device { device, .. }
                if self.revoked.contains(device.as_bytes().as_slice()) =>
            {
                Some(Code::RevokedDevice)
            }
            Origin::Device { .. } => over_limit(read).then_some(Code::OverLimit),
        }
    }

    /// Whether an entry announces more than its accreditation may send. Judged once,
    /// when it comes: a rebuild takes the verdict from the ledger's row.
    fn is_over_quota(&mut self, conn: &mut Conn, entry: &Incoming) -> Result<bool> {
        let Some((accreditation, attach)) = attach_of(entry) else {
            return Ok(false);
        };
        let preview = attach.preview.as_ref().map_or(0, |preview| preview.size);
        if attach.file.size > limits::EVIDENCE_BYTES || preview > limits::PREVIEW_BYTES {
            return Ok(true);
        }
        let announced = match self.announced.entry(accreditation) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let mut originals = Originals::default();
                let id = accreditation.as_bytes();
                for (file, size) in evidence::originals(conn, self.mission.no, id)? {
                    originals.add(file, u64::try_from(size).unwrap_or(0));
                }
                place.insert(originals)
            }
        };
        Ok(announced.with(&attach.file.sha256.0, attach.file.size) > self.quota)
    }

    fn count_announced(&mut self, entry: &Incoming) {
        if let Some((accreditation, attach)) = attach_of(entry)
            && let Some(announced) = self.announced.get_mut(&accreditation)
        {
            announced.add(attach.file.sha256.0.to_vec(), attach.file.size);
        }
    }

    /// Takes the entry's place in its journal; `true` if another has it.
    fn claim_place(&mut self, entry: &Incoming) -> bool {
        let Some((place, read)) = claim(entry).zip(entry.read.as_ref()) else {
            return false;
        };
        let claims = self.places.entry(place).or_default();
        claims.push(read.payload.subject.0);
        claims.len() > 1 && !planted(Fault::ForkNotTold)
    }

    fn flag_fork(&mut self, conn: &mut Conn, entry: &Incoming) -> Result<()> {
        let subjects = claim(entry)
            .and_then(|place| self.places.get(&place))
            .cloned()
            .unwrap_or_default();
        self.projector
            .flag(conn, &subjects, crate::domain::flags::FORK, true)
    }

    /// Applies what waited for this entry, and what waited for that in turn.
    fn release(&mut self, conn: &mut Conn, hash: EntryHash, base: Base) -> Result<()> {
        let released =
            self.projector
                .release(conn, &mut self.rows, (hash, base), self.number, self.now)?;
        for (hash, standing) in released {
            if let Some(known) = self.known.get_mut(&hash) {
                known.standing = standing;
            }
        }
        Ok(())
    }

    fn finish(
        self,
        conn: &mut Conn,
        contacts: &[Contacted],
        appended: Vec<Appended>,
    ) -> Result<(Outcome, Registers)> {
        bulk::insert_entries(conn, &self.rows)?;
        let mut projector = self.projector;
        projector.save(conn)?;
        gaps::update(
            conn,
            self.mission,
            contacts,
            &self.brought,
            &mut projector,
            self.now,
        )?;
        projector.save(conn)?;
        let (registers, held) = projector.into_parts();
        if !self.rows.is_empty() {
            let head = Head {
                number: self.number,
                chain: self.chain.to_vec(),
                held,
            };
            ledger::set_head(conn, self.mission.no, &head)?;
        }
        let outcome = Outcome {
            appended,
            number: self.number,
            chain: self.chain,
        };
        Ok((outcome, registers))
    }
}

/// The originals of one accreditation: a file counts once, however often it is
/// announced, and as the largest size that was said of it.
#[derive(Default)]
struct Originals {
    sizes: HashMap<Vec<u8>, u64>,
    total: u64,
}

impl Originals {
    fn add(&mut self, file: Vec<u8>, size: u64) {
        self.total = self.with(&file, size);
        let known = self.sizes.entry(file).or_insert(0);
        *known = size.max(*known);
    }

    /// The bytes of all, with this one.
    fn with(&self, file: &[u8], size: u64) -> u64 {
        let known = self.sizes.get(file).copied().unwrap_or(0);
        self.total.saturating_add(size.saturating_sub(known))
    }
}

/// What an observer's attach entry announces, and whose it is.
fn attach_of(entry: &Incoming) -> Option<(Uuid, Attach)> {
    let Origin::Device { accreditation, .. } = entry.origin else {
        return None;
    };
    Some((accreditation, entry.attach()?))
}

impl Incoming {
    /// What it announces, if it attaches a file.
    #[must_use]
    pub fn attach(&self) -> Option<Attach> {
        let read = self.read.as_ref()?;
        if read.payload.kind != Kind::Attach {
            return None;
        }
        Attach::from_body(&read.body).ok()
    }
}

/// The places of these journals that are taken, and by entries about what.
fn taken_places(
    conn: &mut Conn,
    mission: MissionRef,
    journals: &[(Vec<u8>, i64)],
) -> Result<HashMap<Place, Vec<Uuid>>> {
    let mut places: HashMap<Place, Vec<Uuid>> = HashMap::new();
    for place in bulk::places(conn, mission.no, journals)? {
        let id = |bytes: &Option<Vec<u8>>| bytes.as_deref().and_then(uuid_of);
        if let (Some(device), Some(journal), Some(seq)) =
            (id(&place.device), id(&place.journal), place.seq)
        {
            let subject = id(&place.subject).unwrap_or_default();
            places
                .entry((device, journal, seq))
                .or_default()
                .push(subject);
        }
    }
    Ok(places)
}

fn status_of(known: &Known) -> Result<Status> {
    let standing = ["applied", "held", "quarantined"]
        .into_iter()
        .find(|standing| *standing == known.standing)
        .ok_or_else(|| {
            Error::Internal(format!("ledger number {} has no standing", known.number))
        })?;
    Ok(Status {
        number: known.number,
        standing,
        code: known.quarantine.as_deref().and_then(Code::from_name),
    })
}

fn row(
    mission: MissionRef,
    entry: &Incoming,
    number: i64,
    chain: &Chain,
    now: Micros,
    standing: &str,
    code: Option<Code>,
) -> EntryRow {
    let payload = entry.read.as_ref().map(|read| &read.payload);
    let (device, actor) = match entry.origin {
        Origin::Device { device, .. } => (Some(device.as_bytes().to_vec()), None),
        Origin::Office(actor) => (None, Some(actor.as_bytes().to_vec())),
    };
    let place = entry.read.as_ref().and_then(place_of);
    EntryRow {
        mission: mission.no,
        number,
        hash: entry.hash.0.to_vec(),
        chain: chain.to_vec(),
        kind: payload
            .map_or("unreadable", |payload| payload.kind.name())
            .replace('\0', "\u{fffd}"),
        subject: payload.map(|payload| payload.subject.0.as_bytes().to_vec()),
        journal: place.map(|(journal, _)| journal.as_bytes().to_vec()),
        seq: place.map(|(_, seq)| seq),
        base: payload
            .and_then(|payload| payload.base)
            .map(|base| base.0.to_vec()),
        device,
        actor,
        received_at: now.0,
        clock_skew: entry.clock_skew,
        quarantine: code.map(|code| code.name().to_owned()),
        standing: standing.to_owned(),
        sd_jwt: entry.sd_jwt.compact().as_bytes().to_vec(),
    }
}

/// A place in a journal, as one device claims it: nobody can make another's
/// journal look forked.
type Place = (Uuid, Uuid, i64);

fn claim(entry: &Incoming) -> Option<Place> {
    let Origin::Device { device, .. } = entry.origin else {
        return None;
    };
    let (journal, seq) = entry.read.as_ref().and_then(place_of)?;
    Some((device, journal, seq))
}

/// An entry's journal and its place there.
pub(super) fn place_of(read: &Read) -> Option<(Uuid, i64)> {
    Some((
        read.payload.journal?.0,
        i64::try_from(read.payload.seq?).ok()?,
    ))
}

pub(super) fn uuid_of(bytes: &[u8]) -> Option<Uuid> {
    Uuid::from_slice(bytes).ok()
}

pub(super) fn hash_of(bytes: &[u8]) -> Result<EntryHash> {
    bytes
        .try_into()
        .map(EntryHash)
        .map_err(|_| Error::Internal("an entry hash is not 32 bytes".into()))
}

fn over_limit(read: &Read) -> bool {
    let long = |name: &str, chars: usize| {
        read.body
            .get(name)
            .and_then(serde_json::Value::as_str)
            .is_some_and(|text| text.len() > chars && text.chars().count() > chars)
    };
    ["text", "reason"]
        .iter()
        .any(|name| long(name, limits::TEXT_CHARS))
        || ["category", "station", "severity", "observed_at", "taken_at"]
            .iter()
            .any(|name| long(name, limits::CODE_BYTES))
        || ["file", "preview"].into_iter().any(|name| {
            read.body
                .get(name)
                .and_then(|file| file.get("media_type")?.as_str())
                .is_some_and(|media_type| media_type.len() > limits::CODE_BYTES)
        })
        || matches!(&read.payload.kind, Kind::Unknown(name) if name.len() > limits::CODE_BYTES)
}
