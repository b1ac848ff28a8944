//! The phones: real engines, driven through virtual time.

use std::{
    cell::{Cell, RefCell},
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    rc::Rc,
};

use protocol::{
    codes::Code,
    enrolment::{Invitation, Mission, Response as Enrolled},
    entry::{ReportFields, SdJwt, Severity},
    exchange::{self, Lane, OutcomeKind},
    ids::{DeviceId, EntryHash, EpochId, MissionId},
    jose::{PublicKey, Signer as _, SoftwareKey},
    receipt::{Head, Held, Receipt},
};
use scrutineer::{clock::Micros, domain::admission::Admission};
use sync_core::{
    engine::{
        Change, Command, Engine, Event, Failure, Identity, Snapshot, SyncReport, SyncState,
        TokenGrant,
    },
    host::{Environment, Now},
    journal::{
        Entry,
        delivery::{Deliveries, Standing},
        files::Uploads,
        reference::References,
    },
    transport::{HttpOptions, wire},
};
use uuid::Uuid;

use super::{
    Options,
    server::{Answered, Asked, Server, TICK},
};
use crate::{
    chance::Chance,
    phone::{Phone as Signing, report},
};

/// 2024-09-01T08:00:00Z, in microseconds.
const START: i64 = 1_725_177_600_000_000;
/// A round trip, in microseconds.
const ROUND_TRIP: i64 = 200_000;
/// How long all of it may take: two hours.
const LONGEST: i64 = 2 * 3600 * 1_000_000;
/// When an app asks again for what is new, if nobody told it: 15 minutes.
const ASKS_AGAIN: i64 = 15 * 60 * 1_000_000;

/// Waits in seconds, sorted.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    /// From a phone's return to what it waited for.
    waits: Vec<f64>,
    /// When each was over, since the first phone came back; sorted too.
    pub(super) ends: Vec<f64>,
}

impl Waits {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waits.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waits.is_empty()
    }

    /// The wait that this share of them does not exceed.
    #[must_use]
    pub fn at(&self, share: f64) -> f64 {
        let last = self.waits.len().saturating_sub(1);
        // A share of a length is a small number that is not negative.
        #[expect(clippy::cast_possible_truncation, reason = "an index")]
        let at = (last as f64 * share).round() as usize;
        self.waits.get(at).copied().unwrap_or_default()
    }

    fn add(&mut self, since: i64, until: i64) {
        self.waits.push((until - since) as f64 / 1e6);
        self.ends.push((until - START) as f64 / 1e6);
    }

    fn sort(&mut self) {
        self.waits.sort_by(f64::total_cmp);
        self.ends.sort_by(f64::total_cmp);
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Critical reports.
    pub critical: Waits,
    /// Other reports.
    pub text: Waits,
    /// Phones that have read what is new.
    pub news: Waits,
    /// Phones.
    pub phones: usize,
    /// Requests by second and lane.
    pub by_lane: Vec<[u32; 4]>,
    /// Requests served, by second.
    pub served: Vec<u32>,
    /// Requests that got a time to come back at.
    pub turned_away: u32,
    /// Tries that ended before the server had connected.
    pub gave_up: u32,
}

impl Outcome {
    /// Phones that did not get all they waited for.
    #[must_use]
    pub fn starved(&self) -> usize {
        let delivered = self.critical.len() + self.text.len();
        self.phones * 2 - delivered - self.news.len()
    }

    /// Requests that reached the server, by second.
    #[must_use]
    pub fn offered(&self) -> Vec<u32> {
        self.by_lane
            .iter()
            .map(|lanes| lanes.iter().sum())
            .collect()
    }

    /// When the last one was done, in seconds since the first phone came back.
    #[must_use]
    pub fn last(&self, waits: &Waits) -> f64 {
        waits.ends.last().copied().unwrap_or_default()
    }
}

/// The clock that all share, and chance.
struct World {
    now: Cell<i64>,
    chance: RefCell<Chance>,
}

impl Environment for World {
    fn now(&self) -> Now {
        Now {
            wall: self.now.get(),
            uptime: u64::try_from(self.now.get() / 1000).ok(),
            boot: Some(Uuid::from_u128(7)),
        }
    }

    fn random(&self, bytes: &mut [u8]) {
        let mut chance = self.chance.borrow_mut();
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&chance.bytes::<8>()[..part.len()]);
        }
    }
}

/// What a phone has asked for.
enum Pending {
    /// With its entry, or for what is new alone.
    Exchange(Option<EntryHash>),
    Token,
}

struct Phone {
    engine: Engine,
    entry: EntryHash,
    critical: bool,
    returned: i64,
    delivered: bool,
    read: bool,
    /// The request under way.
    pending: Option<Pending>,
    attempt: u32,
    connected: bool,
    waits_for_connection: bool,
}

enum What {
    /// The network is back.
    Returns,
    /// A wait of the engine's may be over.
    Wakes,
    /// The app asks for what is new.
    Asks,
    /// A request reaches the server.
    Arrives(Asked),
    /// Nobody has answered the connection for too long.
    GivesUp(u32),
    Hears(u32, Box<Event>),
}

/// What the server would have signed for the reports.
struct Signed {
    epoch: EpochId,
    receipts: BTreeMap<EntryHash, String>,
}

/// See the module.
struct Storm<'a> {
    world: &'a World,
    phones: Vec<Phone>,
    agenda: BinaryHeap<Reverse<(i64, u64)>>,
    /// What is on the agenda, by its number.
    due: BTreeMap<u64, (usize, What)>,
    number: u64,
    server: Server<'a>,
    signed: Signed,
    /// By whether the report is critical, and whether nothing is sent.
    lanes: BTreeMap<(bool, bool), Lane>,
    patience: i64,
    outcome: Outcome,
}

/// Runs it.
///
/// # Panics
/// When a report or a receipt cannot be signed.
#[must_use]
pub fn run(options: &Options) -> Outcome {
    let world = World {
        now: Cell::new(START),
        chance: RefCell::new(Chance::seeded(options.seed)),
    };
    let admission = Admission::new(options.places);
    let (phones, signed) = make(options, &world);
    let patience = HttpOptions::default().connect.as_micros();
    let mut storm = Storm {
        world: &world,
        phones,
        agenda: BinaryHeap::new(),
        due: BTreeMap::new(),
        number: 0,
        server: Server::new(&admission, options.rate, options.connection),
        signed,
        lanes: BTreeMap::new(),
        patience: i64::try_from(patience).unwrap_or(i64::MAX),
        outcome: Outcome {
            phones: options.phones,
            ..Outcome::default()
        },
    };
    for at in 0..storm.phones.len() {
        let returned = storm.phones[at].returned;
        storm.put(returned, at, What::Returns);
    }
    while storm.goes_on() {
        storm.tick();
    }
    let mut outcome = storm.outcome;
    for waits in [&mut outcome.critical, &mut outcome.text, &mut outcome.news] {
        waits.sort();
    }
    outcome
}

/// All phones with what they start from. Two reports are signed, which they share,
/// and a receipt for each: every phone verifies it itself.
fn make(options: &Options, world: &World) -> (Vec<Phone>, Signed) {
    let mut chance = world.chance.borrow_mut();
    let receipt_key = SoftwareKey::ed25519(&chance.bytes());
    let invitation = Invitation {
        origin: "http://127.0.0.1:9".into(),
        code: "ABCDEFGHJKMNPQRSTVWXYZ2345".into(),
        mission: MissionId(chance.uuid()),
        key: receipt_key.public().thumbprint(),
    };
    let epoch = EpochId(chance.uuid());
    let mut signing = Signing::new(&invitation.to_url(), Chance::seeded(options.seed));
    let reports = [Severity::Critical, Severity::High].map(|severity| {
        let fields = ReportFields {
            severity: Some(severity),
            ..report("What was seen while there was no network.")
        };
        entry(&mut signing, &fields)
    });
    let receipts = reports.iter().map(|entry| {
        let text = receipt(entry.hash, &invitation, epoch, &receipt_key);
        (entry.hash, text)
    });
    let signed = Signed {
        epoch,
        receipts: receipts.collect(),
    };
    let identity = identity(&invitation, epoch, &receipt_key.public());
    let signer = Rc::new(signing.key.clone());
    let phones = (0..options.phones).map(|_| {
        let critical = chance.below(100) < options.critical;
        let entry = reports[usize::from(!critical)].clone();
        let within = i64::try_from(chance.below(options.within * 1_000_000)).unwrap_or_default();
        Phone {
            entry: entry.hash,
            engine: Engine::new(snapshot(&identity, &entry, epoch), signer.clone()),
            critical,
            returned: START + within,
            delivered: false,
            read: false,
            pending: None,
            attempt: 0,
            connected: false,
            waits_for_connection: false,
        }
    });
    (phones.collect(), signed)
}

fn entry(signing: &mut Signing, fields: &ReportFields) -> Rc<Entry> {
    let sd: SdJwt = signing.file(fields);
    Rc::new(Entry {
        position: 1,
        journal: signing.journal,
        seq: signing.seq,
        hash: sd.hash(),
        read: sd.read().expect("a readable entry"),
        sd,
    })
}

fn receipt(hash: EntryHash, invitation: &Invitation, epoch: EpochId, key: &SoftwareKey) -> String {
    let receipt = Receipt {
        v: 1,
        mission: invitation.mission,
        epoch,
        at: Micros(START).rfc3339(),
        head: Head {
            number: 1,
            chain: hash,
        },
        entries: vec![Held { hash, number: 1 }],
        news: None,
    };
    receipt.sign(key).expect("a software key signs")
}

fn identity(invitation: &Invitation, epoch: EpochId, key: &PublicKey) -> Identity {
    Identity {
        link: invitation.to_url(),
        enrolled: Some(Enrolled {
            device: DeviceId(Uuid::from_u128(1)),
            mission: Mission {
                id: invitation.mission,
                name: String::new(),
                election: String::new(),
                timezone: "Asia/Baku".into(),
            },
            accreditation: "D-1".into(),
            receipt_key: key.to_jwk(),
            sealing_key: String::new(),
            epoch,
            server_time: Micros(START).rfc3339(),
            entry: None,
            number: None,
        }),
        refused: None,
    }
}

fn snapshot(identity: &Identity, entry: &Rc<Entry>, epoch: EpochId) -> Snapshot {
    Snapshot {
        identity: identity.clone(),
        entries: vec![entry.clone()],
        heads: BTreeMap::from([(entry.journal, entry.seq)]),
        deliveries: Deliveries {
            by_hash: BTreeMap::new(),
            epoch: Some(epoch),
        },
        uploads: Uploads::default(),
        here: BTreeSet::new(),
        send_files: true,
        drop_bytes: false,
        items: BTreeMap::new(),
        references: References::default(),
        receipts: BTreeMap::new(),
        current_journal: Some(entry.journal),
        sync: SyncState {
            epoch: Some(epoch),
            ..SyncState::default()
        },
        app: "observer/storm".into(),
    }
}

impl Storm<'_> {
    fn now(&self) -> i64 {
        self.world.now.get()
    }

    fn goes_on(&self) -> bool {
        let idle = self.agenda.is_empty() && self.server.is_idle();
        !idle && self.now() < START + LONGEST && self.outcome.starved() > 0
    }

    fn put(&mut self, at: i64, phone: usize, what: What) {
        self.number += 1;
        self.agenda.push(Reverse((at, self.number)));
        self.due.insert(self.number, (phone, what));
    }

    /// Everything until the next tick, then the server's share of it.
    fn tick(&mut self) {
        let end = self.now() + TICK;
        while let Some(Reverse((at, number))) = self.agenda.peek().copied()
            && at <= end
        {
            self.agenda.pop();
            // An answer may be put in the past of a tick.
            self.world.now.set(at.max(self.now()));
            if let Some((phone, what)) = self.due.remove(&number) {
                self.happens(phone, what);
            }
        }
        self.world.now.set(end);
        let mut answers = Vec::new();
        let phones = &self.phones;
        self.server.work(
            Micros(end),
            |asked| phones[asked.phone].attempt != asked.attempt,
            &mut answers,
        );
        for answer in answers {
            self.answer(answer);
        }
    }

    fn second(&self) -> usize {
        usize::try_from((self.now() - START) / 1_000_000).unwrap_or_default()
    }

    fn happens(&mut self, phone: usize, what: What) {
        match what {
            What::Returns | What::Wakes => {}
            What::Asks => self.tell(phone, Event::SyncRequested),
            What::Arrives(asked) => {
                let second = self.second();
                count_at(&mut self.outcome.by_lane, second)[asked.lane as usize] += 1;
                return self.server.ask(asked);
            }
            What::GivesUp(attempt) => {
                let one = &self.phones[phone];
                if one.attempt != attempt || !one.waits_for_connection {
                    return;
                }
                self.outcome.gave_up += 1;
                self.hears(phone, Err(timed_out()));
            }
            What::Hears(attempt, event) => {
                if self.phones[phone].attempt != attempt {
                    return;
                }
                self.phones[phone].pending = None;
                self.tell(phone, *event);
            }
        }
        self.drive(phone);
    }

    fn tell(&mut self, phone: usize, event: Event) {
        self.phones[phone].engine.on(event, self.world);
    }

    /// A request ends without an answer of the server's to it.
    fn hears(&mut self, phone: usize, failure: Result<(), Failure>) {
        let one = &mut self.phones[phone];
        one.waits_for_connection = false;
        let (Some(pending), Err(failure)) = (one.pending.take(), failure) else {
            return;
        };
        one.attempt += 1;
        let event = match pending {
            Pending::Exchange(_) => Event::Exchange(Err(failure)),
            Pending::Token => Event::Token(Err(failure)),
        };
        self.tell(phone, event);
    }

    /// Does what the engine wants, until it waits.
    fn drive(&mut self, phone: usize) {
        loop {
            let commands = self.phones[phone].engine.poll(self.world);
            let mut again = false;
            for command in commands {
                match command {
                    Command::Apply(changes) => self.note(phone, &changes),
                    Command::SendExchange { request, token } => {
                        let lane = self.lane(phone, &request, token.as_deref());
                        // A phone has one entry.
                        let sends = !request.entries.is_empty();
                        let hashes = sends.then_some(self.phones[phone].entry);
                        self.ask(phone, Pending::Exchange(hashes), lane);
                    }
                    Command::SendToken { assertion } => {
                        let lane = lane_of(&wire::token("", &assertion));
                        self.ask(phone, Pending::Token, lane);
                    }
                    Command::WakeAfter(millis) => {
                        let wait = i64::try_from(millis).unwrap_or(i64::MAX / 1000) * 1000;
                        self.put(self.now() + wait, phone, What::Wakes);
                    }
                    Command::Finished(report) => {
                        again = true;
                        self.finished(phone, &report);
                    }
                    other => panic!("a phone without files wants {other:?}"),
                }
            }
            if !again {
                return;
            }
        }
    }

    fn note(&mut self, phone: usize, changes: &[Change]) {
        let delivered = changes.iter().any(|change| {
            matches!(change, Change::Delivery(_, delivery) if delivery.standing == Standing::Delivered)
        });
        let now = self.now();
        let one = &mut self.phones[phone];
        if delivered && !one.delivered {
            one.delivered = true;
            let waits = if one.critical {
                &mut self.outcome.critical
            } else {
                &mut self.outcome.text
            };
            waits.add(one.returned, now);
        }
    }

    /// A run is over: the connection is closed, and what was not read is asked for
    /// once the server wants it, as an app does in the background.
    fn finished(&mut self, phone: usize, report: &SyncReport) {
        let now = self.now();
        let one = &mut self.phones[phone];
        one.connected = false;
        if one.delivered && report.ended.is_none() && report.reading.is_none() && !one.read {
            one.read = true;
            self.outcome.news.add(one.returned, now);
        } else if one.delivered && !one.read {
            let wait = report.wait_ms.and_then(|millis| i64::try_from(millis).ok());
            let wait = wait.map_or(ASKS_AGAIN, |millis| millis * 1000);
            self.put(now + wait, phone, What::Asks);
        }
    }

    /// What the transport says of such a request, which is asked once: to write out
    /// a hundred thousand bodies that nobody reads would take minutes.
    fn lane(&mut self, phone: usize, request: &exchange::Request, token: Option<&str>) -> Lane {
        let kind = (self.phones[phone].critical, request.entries.is_empty());
        *self
            .lanes
            .entry(kind)
            .or_insert_with(|| lane_of(&wire::exchange("", request, token)))
    }

    fn ask(&mut self, phone: usize, pending: Pending, lane: Lane) {
        let now = self.now();
        let one = &mut self.phones[phone];
        one.attempt += 1;
        one.pending = Some(pending);
        let asked = Asked {
            phone,
            attempt: one.attempt,
            lane,
            connected: one.connected,
        };
        one.waits_for_connection = !one.connected;
        if one.waits_for_connection {
            self.put(now + self.patience, phone, What::GivesUp(asked.attempt));
        }
        self.put(now + ROUND_TRIP / 2, phone, What::Arrives(asked));
    }

    fn answer(&mut self, answer: Answered) {
        let (asked, later) = match answer {
            Answered::LetIn(asked) => {
                // From here on only silence would end it, after a minute: the places
                // of a server are through sooner.
                self.phones[asked.phone].waits_for_connection = false;
                return;
            }
            Answered::Served(asked) => (asked, None),
            Answered::TurnedAway(asked, later) => (asked, Some(later)),
        };
        let second = self.second();
        if later.is_none() {
            *count_at(&mut self.outcome.served, second) += 1;
        } else {
            self.outcome.turned_away += 1;
        }
        let one = &mut self.phones[asked.phone];
        one.connected = true;
        one.waits_for_connection = false;
        let failure = later.map(|later| Failure::Problem {
            status: 503,
            code: Code::Overloaded,
            detail: String::new(),
            retry_after: Some(later.0),
        });
        let event = match (&one.pending, failure) {
            (Some(Pending::Exchange(_)), Some(failure)) => Event::Exchange(Err(failure)),
            (Some(Pending::Exchange(sent)), None) => {
                let sent = *sent;
                Event::Exchange(Ok(self.response(sent)))
            }
            (Some(Pending::Token), Some(failure)) => Event::Token(Err(failure)),
            (Some(Pending::Token), None) => Event::Token(Ok(TokenGrant {
                access_token: "a-token".into(),
                expires_in: 900,
            })),
            (None, _) => return,
        };
        let heard = What::Hears(asked.attempt, Box::new(event));
        self.put(self.now() + ROUND_TRIP / 2, asked.phone, heard);
    }

    /// As `server/src/api/exchange.rs` answers.
    fn response(&self, sent: Option<EntryHash>) -> exchange::Response {
        let now = Micros(self.now());
        let pressed = self.server.is_pressed();
        let outcomes = sent.iter().map(|hash| exchange::Outcome {
            hash: *hash,
            outcome: OutcomeKind::Stored,
            number: Some(1),
            code: None,
            fork: false,
        });
        exchange::Response {
            protocol: protocol::PROTOCOL_VERSION,
            epoch: self.signed.epoch,
            server_time: now.rfc3339(),
            outcomes: outcomes.collect(),
            receipt: sent.map(|hash| self.signed.receipts[&hash].clone()),
            items: Vec::new(),
            cursor: None,
            more: false,
            directives: exchange::Directives {
                retry_after: pressed.then(|| self.server.later(now).0),
                spread: None,
            },
            token: None,
            receipt_wanted: false,
            reference: Vec::new(),
        }
    }
}

/// As the server reads it from a request's head.
fn lane_of(call: &sync_core::transport::Call) -> Lane {
    let named = call.headers.iter().find(|(name, _)| *name == Lane::HEADER);
    named
        .and_then(|(_, value)| Lane::from_name(value))
        .unwrap_or(Lane::Text)
}

fn timed_out() -> Failure {
    Failure::Network {
        message: "the server did not answer in time".into(),
        connected: false,
        status: None,
    }
}

fn count_at<T: Clone + Default>(counts: &mut Vec<T>, second: usize) -> &mut T {
    if counts.len() <= second {
        counts.resize(second + 1, T::default());
    }
    &mut counts[second]
}
