//! Numbers, chain and rows.

use std::collections::{HashMap, HashSet};

use protocol::{
    codes::Code,
    entry::{Kind, Read, SdJwt},
    exchange::OutcomeKind,
    ids::EntryHash,
    ledger::{Chain, extend},
    limits,
};
use uuid::Uuid;

use super::{
    gaps::{self, Contacted},
    project::{Effect, Projector, Subject},
};
use crate::{
    clock::Micros,
    domain::acts::MissionRef,
    error::{Error, Result},
    store::{
        Conn,
        ledger::{self, EntryRow, Known},
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
///
/// # Errors
/// The database's; then nothing of it may be committed.
pub fn append(
    conn: &mut Conn,
    mission: MissionRef,
    entries: &[Incoming],
    contacts: &[Contacted],
    now: Micros,
) -> Result<Outcome> {
    let mut run = Run::start(conn, mission, entries, now)?;
    let mut appended = Vec::with_capacity(entries.len());
    for entry in entries {
        appended.push(run.one(conn, entry)?);
    }
    run.finish(conn, contacts, appended)
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
    mission: MissionRef,
    entries: &[Incoming],
    contacts: &[Contacted],
    now: Micros,
) -> Result<Outcome> {
    match savepoint(conn, |conn| append(conn, mission, entries, contacts, now)) {
        Err(Error::Database(error)) if !crate::error::is_unavailable(&error) => {
            if let [entry] = entries {
                let mut bare = entry.clone();
                bare.read = None;
                bare.verdict = Some(Code::NotProcessable);
                tracing::error!(entry = %entry.hash, %error, "an entry cannot be processed; kept in quarantine");
                return savepoint(conn, |conn| append(conn, mission, &[bare], &[], now));
            }
            if entries.is_empty() {
                return Err(error.into());
            }
            let (first, second) = entries.split_at(entries.len() / 2);
            let mut left = append_carefully(conn, mission, first, &[], now)?;
            let right = append_carefully(conn, mission, second, contacts, now)?;
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
    number: i64,
    chain: Chain,
    known: HashMap<Vec<u8>, Known>,
    revoked: HashSet<Vec<u8>>,
    places: HashMap<Place, Vec<Uuid>>,
    rows: Vec<EntryRow>,
    projector: Projector,
    journals: HashSet<Uuid>,
}

impl Run {
    fn start(
        conn: &mut Conn,
        mission: MissionRef,
        entries: &[Incoming],
        now: Micros,
    ) -> Result<Self> {
        let head = ledger::lock_head(conn, mission.no)?;
        let mut hashes: Vec<Vec<u8>> = Vec::with_capacity(entries.len());
        let mut subjects = HashSet::new();
        let mut devices = HashSet::new();
        let mut first_seq: HashMap<Uuid, i64> = HashMap::new();
        for entry in entries {
            hashes.push(entry.hash.0.to_vec());
            if let Origin::Device { device, .. } = entry.origin {
                devices.insert(device.as_bytes().to_vec());
            }
            if let Some(read) = &entry.read {
                subjects.insert(read.payload.subject.0);
                hashes.extend(read.payload.base.map(|base| base.0.to_vec()));
                if let Some((journal, seq)) = place_of(read) {
                    first_seq
                        .entry(journal)
                        .and_modify(|first| *first = seq.min(*first))
                        .or_insert(seq);
                }
            }
        }
        hashes.sort_unstable();
        hashes.dedup();
        let known = ledger::known(conn, mission.no, &hashes)?
            .into_iter()
            .map(|known| (known.hash.clone(), known))
            .collect();
        let devices: Vec<_> = devices.into_iter().collect();
        let revoked = ledger::revoked(conn, mission.no, &devices)?
            .into_iter()
            .collect();
        let mut places: HashMap<_, Vec<_>> = HashMap::new();
        if let Some(first) = first_seq.values().min() {
            let journals: Vec<_> = first_seq
                .keys()
                .map(|journal| journal.as_bytes().to_vec())
                .collect();
            for place in ledger::places(conn, mission.no, &journals, *first)? {
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
        }
        let subjects: Vec<Uuid> = subjects.into_iter().collect();
        let codes = |name: &'static str| {
            entries
                .iter()
                .filter_map(move |entry| entry.read.as_ref()?.body.get(name)?.as_str())
        };
        let projector = Projector::load(
            conn,
            mission,
            &subjects,
            codes("station"),
            codes("category"),
        )?;
        Ok(Self {
            mission,
            now,
            number: head.number,
            chain: head
                .chain
                .try_into()
                .map_err(|_| Error::Internal("a chain value is not 32 bytes".into()))?,
            known,
            revoked,
            places,
            rows: Vec::with_capacity(entries.len()),
            projector,
            journals: first_seq.into_keys().collect(),
        })
    }

    fn one(&mut self, conn: &mut Conn, entry: &Incoming) -> Result<Appended> {
        if let Some(known) = self.known.get(entry.hash.0.as_slice()).cloned() {
            return self.again(conn, entry, &known);
        }
        let number = self.number + 1;
        let chain = extend(
            &self.chain,
            u64::try_from(number).unwrap_or_default(),
            &entry.hash,
        );
        let quarantine = self.quarantine(entry);
        let fork = self.claim_place(entry);
        let (standing, code) = match (&entry.read, quarantine) {
            (_, Some(code)) => ("quarantined", Some(code)),
            (None, None) => ("quarantined", Some(Code::Unreadable)),
            (Some(read), None) => {
                let base_applied = read.payload.base.and_then(|base| {
                    self.known
                        .get(base.0.as_slice())
                        .map(|known| known.standing == "applied")
                });
                let subject = Subject {
                    number,
                    hash: entry.hash,
                    origin: entry.origin,
                    received_at: self.now.0,
                    processed: number,
                    processed_at: self.now.0,
                    clock_skew: entry.clock_skew,
                    base_applied,
                };
                match self.projector.apply(conn, &subject, read)? {
                    Effect::Applied => ("applied", None),
                    Effect::Held => ("held", None),
                    Effect::Quarantined(code) => ("quarantined", Some(code)),
                }
            }
        };
        self.number = number;
        self.chain = chain;
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
            entry.hash.0.to_vec(),
            Known {
                hash: entry.hash.0.to_vec(),
                number,
                standing: standing.to_owned(),
                quarantine: code.map(|code| code.name().to_owned()),
            },
        );
        if fork {
            self.flag_fork(conn, entry)?;
        }
        if standing == "held" {
            self.projector.note_held();
        }
        if standing == "applied" {
            self.release(conn, entry.hash)?;
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
    fn again(&mut self, conn: &mut Conn, entry: &Incoming, known: &Known) -> Result<Appended> {
        let code = known.quarantine.as_deref().and_then(Code::from_name);
        let completes = code == Some(Code::DisclosureMissing)
            && known.standing == "quarantined"
            && entry.read.as_ref().is_some_and(|read| read.withheld == 0);
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
            code,
            fork: false,
        })
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

    /// Takes the entry's place in its journal; `true` if another has it.
    fn claim_place(&mut self, entry: &Incoming) -> bool {
        let Some((place, read)) = claim(entry).zip(entry.read.as_ref()) else {
            return false;
        };
        let claims = self.places.entry(place).or_default();
        claims.push(read.payload.subject.0);
        claims.len() > 1
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
    fn release(&mut self, conn: &mut Conn, hash: EntryHash) -> Result<()> {
        let released = self
            .projector
            .release(conn, &mut self.rows, hash, self.number, self.now)?;
        for (hash, standing) in released {
            if let Some(known) = self.known.get_mut(hash.0.as_slice()) {
                standing.clone_into(&mut known.standing);
            }
        }
        Ok(())
    }

    fn finish(
        self,
        conn: &mut Conn,
        contacts: &[Contacted],
        appended: Vec<Appended>,
    ) -> Result<Outcome> {
        ledger::insert(conn, &self.rows)?;
        let mut projector = self.projector;
        projector.save(conn)?;
        if !self.rows.is_empty() {
            ledger::set_head(conn, self.mission.no, self.number, &self.chain)?;
        }
        gaps::update(
            conn,
            self.mission,
            contacts,
            &self.journals,
            &mut projector,
            self.now,
        )?;
        projector.save(conn)?;
        Ok(Outcome {
            appended,
            number: self.number,
            chain: self.chain,
        })
    }
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
        || ["category", "station", "severity", "observed_at"]
            .iter()
            .any(|name| long(name, limits::CODE_BYTES))
        || matches!(&read.payload.kind, Kind::Unknown(name) if name.len() > limits::CODE_BYTES)
}
