//! The world: a queue of events in virtual time, and what each does.

mod chapters;

use std::{cell::Cell, collections::BTreeMap, rc::Rc, sync::Arc};

use protocol::{
    exchange::Response,
    ids::{DeviceId, EntryHash, FileHash, SubjectId, UserId},
};
use scrutineer::{
    domain::{acts, status},
    store::{bulk, projections},
};
use sha2::{Digest as _, Sha256};
use sync_core::{
    client::{KeepEvidence, NewCheckIn, NewFile, NewReport, Settings, SyncOptions},
    transport::{Answer, Call, Method, Unreachable},
};
use uuid::Uuid;

use super::{
    bytes, checks,
    clock::{HOUR, MINUTE, SECOND, Time},
    fuse::Cut,
    oracle::{Broken, Oracle, broken},
    phone::{Done, Phone, Work},
    script::{Act, Fate, Setting, Step},
    server::{Backup, OBSERVERS, Servers},
};

/// What stands in every report's text, and nowhere on a phone in the clear.
pub const CANARY: &str = "CANARY-plain-words";
/// How often a phone looks by itself whether a sync is due: at least, and at most.
const WAKE: (Time, Time) = (15 * MINUTE, 2 * HOUR);
/// How long a phone waits for an answer.
const PATIENCE: Time = 300 * SECOND;
/// How long a program is down after it died.
const DOWN: Time = 5 * SECOND;
/// Rounds of syncing after the faults ended, and how far apart: the longest
/// wait is a quarter of an hour.
const ROUNDS: usize = 60;
const ROUND: Time = 16 * MINUTE;
/// The round in which a server that could not take an entry is mended.
const MENDED: usize = 14;

/// What happens at a moment.
enum Event {
    Step(Act),
    /// A call reaches the server, or what is in the way.
    Arrive(Arrival),
    /// An answer reaches the phone.
    Reply(Reply),
    /// A phone looks whether a sync is due.
    Wake(usize),
    /// The same, once: something was filed.
    Look(usize),
    /// A program starts.
    Open(usize),
    /// The servers are no longer full.
    Relief,
    /// Somebody hands in a bundle.
    HandIn(usize),
}

struct Arrival {
    phone: usize,
    incarnation: u64,
    /// Nobody waits for the answer to a repeated call.
    ticket: Option<u64>,
    call: Call,
    fate: Fate,
}

struct Reply {
    phone: usize,
    incarnation: u64,
    ticket: u64,
    answer: Result<Answer, Unreachable>,
    /// What the server asked for, if the phone can know: an answer that came whole.
    asked: Asked,
}

/// What a phone heard of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing that says anything about it.
    Nothing,
    /// It may go on.
    GoOn,
    /// To wait so many seconds.
    Wait(u32),
    /// Something that was changed on its way.
    Unknown,
}

/// What was seen in a story, to be counted.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Faults by kind, as they took effect.
    pub faults: BTreeMap<&'static str, u64>,
    /// Requests that a server answered.
    pub requests: u64,
    /// Entries that phones called safe.
    pub promised: u64,
    /// Rows of the ledger at the end.
    pub ledger: u64,
    /// Virtual time that passed.
    pub passed: Time,
    /// SHA-256 of all that went over the network.
    pub trace: [u8; 32],
}

/// What a world notes of a phone's syncing.
#[derive(Clone, Copy, Default)]
struct Syncing {
    /// No sync on its own accord before this.
    not_before: Time,
    heard: Option<Option<Time>>,
    /// The sync under way made a call already.
    called: bool,
}

impl Syncing {
    /// The program died. It may have kept before what it heard.
    fn forget(&mut self) {
        if let Some(heard) = self.heard.take() {
            self.not_before = self.not_before.min(heard.unwrap_or(0));
        }
    }
}

/// See the module.
pub struct World {
    pub(super) setting: Setting,
    now: Rc<Cell<Time>>,
    queue: BTreeMap<(Time, u64), Event>,
    order: u64,
    pub(super) phones: Vec<Phone>,
    syncing: Vec<Syncing>,
    pub(super) revoked: Vec<usize>,
    /// Observers that have several phones with one journal.
    pub(super) cloned: Vec<usize>,
    pub(super) servers: Servers,
    server_offset: i64,
    down_until: Time,
    dies_after_commit: bool,
    backup: Option<Backup>,
    /// The database was put back.
    pub(super) put_back: bool,
    pub(super) oracle: Oracle,
    trace: Sha256,
    tally: Tally,
    /// Whose next entry is poison, and what the server answers to it.
    poisons: BTreeMap<usize, u16>,
    /// Entries that the server answers with a problem.
    pub(super) poison: BTreeMap<EntryHash, u16>,
    /// No larger body gets through.
    limit: Option<u32>,
    /// What phones packed that had lost their keys.
    bundles: Vec<Arc<Vec<u8>>>,
    /// Files in these, and their observers.
    pub(super) brought: Vec<(FileHash, usize)>,
    /// Messages that were sent, and to which observer, if not to everybody.
    pub(super) messages: BTreeMap<EntryHash, Option<usize>>,
    /// Journals that a phone was told are another's too, and since when it knows.
    pub(super) forks: BTreeMap<(usize, Uuid), Time>,
    last_forks: Vec<Uuid>,
    /// The same, as long as the answer is not stored.
    told_forks: Vec<(usize, Uuid)>,
    /// Files of the story's people.
    folder: tempfile::TempDir,
}

impl World {
    /// A world at the beginning of a story.
    #[must_use]
    pub fn new(setting: Setting, steps: &[Step]) -> Self {
        let servers = Servers::new(setting.seed, setting.servers, setting.durable);
        let mut world = Self {
            setting,
            now: Rc::new(Cell::new(0)),
            queue: BTreeMap::new(),
            order: 0,
            phones: Vec::new(),
            syncing: Vec::new(),
            revoked: Vec::new(),
            cloned: Vec::new(),
            servers,
            server_offset: 0,
            down_until: 0,
            dies_after_commit: false,
            backup: None,
            put_back: false,
            oracle: Oracle::default(),
            trace: Sha256::new(),
            tally: Tally::default(),
            poisons: BTreeMap::new(),
            poison: BTreeMap::new(),
            limit: None,
            bundles: Vec::new(),
            brought: Vec::new(),
            messages: BTreeMap::new(),
            forks: BTreeMap::new(),
            last_forks: Vec::new(),
            told_forks: Vec::new(),
            folder: tempfile::Builder::new()
                .prefix("sim-")
                .tempdir_in(if std::path::Path::new("/dev/shm").is_dir() {
                    "/dev/shm".into()
                } else {
                    std::env::temp_dir()
                })
                .expect("a folder"),
        };
        for id in 0..setting.phones {
            let observer = id % OBSERVERS;
            let link = world.servers.invite(observer);
            let phone = Phone::new(id, observer, link, setting.seed, &world.now);
            world.phones.push(phone);
            world.syncing.push(Syncing::default());
            world.at(0, Event::Open(id));
            let spread = world.phones[id].chance.below(30);
            let first = i64::try_from(spread).unwrap_or(0) * SECOND;
            world.at(first, Event::Wake(id));
        }
        // The oldest state that may be put back knows no device yet.
        world.backup = Some(world.servers.backup());
        for step in steps {
            world.at(step.at, Event::Step(step.act));
        }
        world
    }

    fn at(&mut self, time: Time, event: Event) {
        self.order += 1;
        self.queue
            .insert((time.max(self.now.get()), self.order), event);
    }

    fn after(&mut self, wait: Time, event: Event) {
        self.at(self.now.get() + wait, event);
    }

    /// Virtual time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now.get()
    }

    fn count(&mut self, what: &'static str) {
        *self.tally.faults.entry(what).or_default() += 1;
    }

    /// Runs the story to its end.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn run(&mut self) -> Result<Tally, Broken> {
        self.until(self.setting.length)?;
        if self.setting.liveness {
            self.come_to_rest()?;
        }
        checks::always(self)?;
        self.tally.promised = self.oracle.promised.len() as u64;
        self.tally.ledger = self.oracle.rows.len() as u64;
        self.tally.passed = self.now.get();
        self.tally.trace = self.trace.clone().finalize().into();
        Ok(self.tally.clone())
    }

    /// Everything up to a moment.
    fn until(&mut self, end: Time) -> Result<(), Broken> {
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((time, _), event) = entry.remove_entry();
            self.now.set(time);
            self.servers.set_time(time, self.server_offset);
            self.happen(event)?;
        }
        self.now.set(end);
        self.servers.set_time(end, self.server_offset);
        Ok(())
    }

    /// Faults end, and everything must come to rest within a bound.
    fn come_to_rest(&mut self) -> Result<(), Broken> {
        self.down_until = 0;
        self.dies_after_commit = false;
        for phone in &mut self.phones {
            phone.fates.clear();
            phone.part_fates.clear();
            phone.news_flips.clear();
            phone.refused_returns.1 = 0;
            phone.fuse.calm();
        }
        self.upgrade_all();
        self.hand_in_all();
        self.queue
            .retain(|_, event| !matches!(event, Event::Step(_)));
        let mut rest = Err(Broken {
            rule: "I16 convergence",
            what: "nobody looked".into(),
        });
        for round in 0..ROUNDS {
            for id in 0..self.phones.len() {
                self.invite_again(id)?;
                // First as phones do by themselves; then people press the button.
                let work = if round < 2 {
                    Work::Background
                } else {
                    Work::Asked
                };
                self.sync(id, work)?;
            }
            self.until(self.now.get() + ROUND)?;
            if round < 2 {
                continue;
            }
            if !self.poison.is_empty() && round < MENDED {
                continue;
            }
            if !self.poison.is_empty() {
                // By now nothing waits for what the server cannot take. Then it is mended.
                checks::only_poison_waits(self)?;
                self.poison.clear();
                continue;
            }
            rest = checks::at_rest(self);
            if rest.is_ok() {
                break;
            }
        }
        rest
    }

    fn happen(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::Step(act) => self.act(act),
            Event::Arrive(arrival) => self.arrive(arrival),
            Event::Reply(reply) => self.reply(reply),
            Event::Wake(id) => {
                let wake = (self.setting.length / 20).clamp(WAKE.0, WAKE.1);
                self.after(wake, Event::Wake(id));
                self.invite_again(id)?;
                self.sync(id, Work::Background)
            }
            Event::Look(id) => self.sync(id, Work::Background),
            Event::Open(id) => {
                if self.phones[id].client.is_none() && !self.phones[id].is_busy() {
                    self.phones[id].open();
                }
                self.poll(id)
            }
            Event::Relief => {
                self.servers.crash();
                Ok(())
            }
            Event::HandIn(bundle) => self.hand_in(bundle),
        }
    }

    fn sync(&mut self, id: usize, work: Work) -> Result<(), Broken> {
        let phone = &mut self.phones[id];
        if phone.is_busy() {
            return Ok(());
        }
        let explicit = work == Work::Asked;
        phone.with(work, |client| async move {
            let done = if explicit {
                client.sync_with(&SyncOptions::default()).await.map(Some)
            } else {
                client.sync_if_due().await
            };
            let quiet = matches!(done, Ok(None));
            let view = if quiet {
                None
            } else {
                client.list().await.ok()
            };
            Done::Synced(Box::new(done), view)
        });
        self.syncing[id].called = false;
        self.poll(id)
    }

    /// Polls a phone, and takes care of what came of it.
    fn poll(&mut self, id: usize) -> Result<(), Broken> {
        loop {
            let polled = self.phones[id].poll();
            self.look_at_removed(id)?;
            if let Some(cut) = polled.died {
                self.died(id, cut)?;
                return Ok(());
            }
            self.send_calls(id)?;
            if polled.done.is_empty() {
                return Ok(());
            }
            for (work, done) in polled.done {
                self.done(id, work, done)?;
            }
        }
    }

    fn died(&mut self, id: usize, cut: Cut) -> Result<(), Broken> {
        self.count(if cut.power {
            "phone lost power"
        } else {
            "phone killed"
        });
        self.syncing[id].forget();
        self.told_forks.retain(|(phone, _)| *phone != id);
        self.after(DOWN, Event::Open(id));
        checks::nothing_lost(self)
    }

    fn send_calls(&mut self, id: usize) -> Result<(), Broken> {
        for (ticket, call) in self.phones[id].line.take_calls() {
            let work = self.phones[id].at_work();
            let syncing = &mut self.syncing[id];
            let own_accord = work == Some(Work::Background) && !syncing.called;
            // A phone's clock counts milliseconds.
            let early = (syncing.not_before / 1_000).saturating_sub(self.now.get() / 1_000);
            if own_accord && early > 0 {
                return broken(
                    "I12 back-off",
                    format!("phone {id} came {early} ms before its time"),
                );
            }
            syncing.called = true;
            let phone = &mut self.phones[id];
            let mut fate = None;
            if call.method == Method::Patch {
                fate = phone.part_fates.pop_front();
            }
            let fate = fate
                .or_else(|| phone.refused(&call))
                .or_else(|| phone.fates.pop_front())
                .unwrap_or(Fate::Good);
            let way = i64::try_from(40 + phone.chance.below(900)).unwrap_or(0) * 1_000;
            self.trace.update(&call.body);
            checks::critical_first(self, id, &call)?;
            let arrival = Arrival {
                phone: id,
                incarnation: self.phones[id].incarnation,
                ticket: Some(ticket),
                call,
                fate,
            };
            self.after(way, Event::Arrive(arrival));
        }
        Ok(())
    }

    fn done(&mut self, id: usize, work: Work, done: Done) -> Result<(), Broken> {
        match done {
            Done::Opened(Ok(client)) => {
                self.phones[id].client = Some(Rc::new(client));
                if !self.phones[id].invited {
                    self.use_link(id);
                }
                if self.setting.drop_bytes {
                    self.phones[id].with(Work::Local, |client| async move {
                        let keep = Settings {
                            keep_evidence: KeepEvidence::UntilDurable,
                            ..Settings::default()
                        };
                        client.set_settings(&keep).await.ok();
                        Done::Set
                    });
                }
            }
            Done::Opened(Err(_)) => self.after(MINUTE, Event::Open(id)),
            Done::Enrolled(kept) => {
                self.phones[id].invited = kept;
                if !kept {
                    self.after(MINUTE, Event::Open(id));
                    self.phones[id].client = None;
                }
            }
            Done::Filed(Ok(filed)) => {
                if !self.phones[id].reports.contains(&filed.report) {
                    self.phones[id].reports.push(filed.report);
                }
                self.after(SECOND, Event::Look(id));
                self.promise(id, filed.entry)?;
            }
            Done::CheckedIn(filed) => {
                self.promise(id, filed.entry)?;
            }
            Done::Attached(Ok(attached)) => {
                if let Some(entry) = attached.entry {
                    self.promise(id, entry)?;
                }
                self.oracle.files.insert(attached.file.sha256, id);
            }
            Done::Filed(Err(_)) | Done::Attached(Err(_)) | Done::Set => {}
            Done::Synced(done, view) => {
                let _ = work;
                let syncing = &mut self.syncing[id];
                let heard = syncing.heard.take();
                let stored = !matches!(&*done, Err(failed) if matches!(failed.error, sync_core::Error::Device { .. }));
                match heard {
                    _ if !stored => syncing.not_before = 0,
                    Some(Some(until)) => syncing.not_before = until,
                    Some(None) => syncing.not_before = 0,
                    None => {}
                }
                let told = std::mem::take(&mut self.told_forks);
                for (phone, journal) in told {
                    if phone != id {
                        self.told_forks.push((phone, journal));
                    } else if matches!(&*done, Ok(Some(_))) {
                        let now = self.now.get();
                        self.forks.entry((id, journal)).or_insert(now);
                    }
                }
                if let Some(view) = view {
                    checks::honest(self, id, &view)?;
                }
            }
        }
        Ok(())
    }

    fn look_at_removed(&mut self, id: usize) -> Result<(), Broken> {
        for name in self.phones[id].files.take_removed() {
            checks::removed(self, id, &name)?;
        }
        Ok(())
    }

    /// A call reaches the server, or what stands in its way.
    fn arrive(&mut self, arrival: Arrival) -> Result<(), Broken> {
        let Arrival {
            phone,
            incarnation,
            ticket,
            mut call,
            fate,
        } = arrival;
        let way = i64::try_from(40 + self.phones[phone].chance.below(900)).unwrap_or(0) * 1_000;
        let mut wait = way;
        let mut asked = Asked::Nothing;
        if fate != Fate::Good {
            self.count(name(fate));
        }
        let answer = match fate {
            Fate::NoRoute => Err(bytes::silence(false)),
            Fate::RequestLost => {
                wait = 15 * SECOND;
                Err(bytes::silence(true))
            }
            Fate::Impostor if bytes::is_exchange(&call) => {
                asked = Asked::Unknown;
                let epoch = self.servers.epoch();
                Ok(bytes::impostor(&call, self.servers.mission.id, epoch))
            }
            Fate::Impostor | Fate::Portal => Ok(bytes::portal()),
            Fate::Redirect => Ok(bytes::page(302, "")),
            Fate::Proxy(status) => Ok(bytes::page(status, "<html>proxy</html>")),
            Fate::Problem(status) => {
                asked = asked_by(&call, &bytes::problem(status));
                Ok(bytes::problem(status))
            }
            Fate::Late(seconds) => {
                let again = Arrival {
                    phone,
                    incarnation,
                    ticket: None,
                    call: call.clone(),
                    fate: Fate::Good,
                };
                self.after(i64::from(seconds) * SECOND, Event::Arrive(again));
                wait = PATIENCE;
                Err(bytes::silence(true))
            }
            _ if self.now.get() < self.down_until => {
                self.count("server down");
                Err(bytes::silence(false))
            }
            _ if self
                .limit
                .is_some_and(|limit| call.body.len() > limit as usize) =>
            {
                self.count("body too large for a proxy");
                Ok(bytes::page(413, "<html>too large</html>"))
            }
            _ if self.poisoned(&call).is_some() => {
                self.count("server cannot take an entry");
                let status = self.poisoned(&call).unwrap_or(500);
                asked = asked_by(&call, &bytes::problem(status));
                Ok(bytes::problem(status))
            }
            Fate::CutRequest(thousandths) => {
                bytes::cut(&mut call.body, thousandths);
                self.ask(phone, ticket, &call)?;
                Err(bytes::silence(true))
            }
            Fate::FlipRequest(at) => {
                bytes::flip(&mut call.body, at);
                asked = Asked::Unknown;
                Ok(self.ask(phone, ticket, &call)?)
            }
            Fate::FlipAnswer(at) => {
                let mut answer = self.ask(phone, ticket, &call)?;
                bytes::flip(&mut answer.body, at);
                asked = Asked::Unknown;
                Ok(answer)
            }
            Fate::CutAnswer(thousandths) => {
                let mut answer = self.ask(phone, ticket, &call)?;
                bytes::cut(&mut answer.body, thousandths);
                asked = Asked::Unknown;
                Ok(answer)
            }
            Fate::AnswerLost => {
                self.ask(phone, ticket, &call)?;
                wait = 60 * SECOND;
                Err(bytes::silence(true))
            }
            Fate::Good | Fate::Twice(_) => {
                if let Fate::Twice(seconds) = fate {
                    let again = Arrival {
                        phone,
                        incarnation,
                        ticket: None,
                        call: call.clone(),
                        fate: Fate::Good,
                    };
                    self.after(i64::from(seconds) * SECOND, Event::Arrive(again));
                }
                let mut answer = self.ask(phone, ticket, &call)?;
                if self.dies_after_commit && bytes::is_exchange(&call) {
                    self.dies_after_commit = false;
                    self.count("server died after the commit");
                    self.servers.crash();
                    Err(bytes::silence(true))
                } else if ticket.is_some() && self.flip_news(phone, &mut answer) {
                    asked = Asked::Unknown;
                    Ok(answer)
                } else {
                    asked = asked_by(&call, &answer);
                    let told = self.last_forks.iter().map(|journal| (phone, *journal));
                    // Nobody hears the answer to a repeated call.
                    self.told_forks.extend(told.filter(|_| ticket.is_some()));
                    Ok(answer)
                }
            }
        };
        if let Some(ticket) = ticket {
            let reply = Reply {
                phone,
                incarnation,
                ticket,
                answer,
                asked,
            };
            self.after(wait, Event::Reply(reply));
        }
        Ok(())
    }

    /// Changes a bit of the news in an answer, if it brings any and it is time: one
    /// time of four in the word that says where they begin.
    fn flip_news(&mut self, phone: usize, answer: &mut Answer) -> bool {
        const NEWS: &[u8] = b"\"items\":[";
        let Some(begin) = answer
            .body
            .windows(NEWS.len())
            .position(|part| part == NEWS)
        else {
            return false;
        };
        let Some(at) = self.phones[phone].news_flips.pop_front() else {
            return false;
        };
        self.count("bit flipped in news");
        let news = &mut answer.body[begin..];
        let part = if at % 4 == 0 { NEWS.len() } else { news.len() };
        bytes::flip(&mut news[..part], at / 4);
        true
    }

    /// What the server answers to a call because of an entry that it carries.
    fn poisoned(&self, call: &Call) -> Option<u16> {
        if self.poison.is_empty() || !bytes::is_exchange(call) {
            return None;
        }
        let entries = bytes::entries(call);
        entries
            .iter()
            .find_map(|(hash, _)| self.poison.get(hash).copied())
    }

    /// A phone called an entry safe.
    fn promise(&mut self, id: usize, hash: EntryHash) -> Result<(), Broken> {
        let at = self.now.get();
        self.oracle
            .promised
            .insert(hash, super::oracle::Promise { phone: id, at });
        if let Some(status) = self.poisons.remove(&id) {
            self.poison.insert(hash, status);
        }
        checks::kept(self, id, &hash)
    }

    /// A server answers; then its ledger is looked at.
    fn ask(&mut self, phone: usize, ticket: Option<u64>, call: &Call) -> Result<Answer, Broken> {
        let turn = ticket.unwrap_or(0) + phone as u64;
        let server = usize::try_from(turn).unwrap_or(0);
        self.last_forks.clear();
        let answer = self.servers.answer(server, call);
        self.tally.requests += 1;
        self.trace.update(answer.status.to_be_bytes());
        self.trace.update(&answer.body);
        if bytes::is_exchange(call) && answer.status == 200 {
            self.last_forks = checks::answer(self, &answer)?;
        }
        self.oracle.read_ledger(&self.servers)?;
        Ok(answer)
    }

    fn reply(&mut self, reply: Reply) -> Result<(), Broken> {
        let phone = &mut self.phones[reply.phone];
        if phone.incarnation != reply.incarnation {
            return Ok(());
        }
        let now = self.now.get();
        let syncing = &mut self.syncing[reply.phone];
        match reply.asked {
            Asked::Nothing => {}
            Asked::GoOn | Asked::Unknown => syncing.heard = Some(None),
            Asked::Wait(seconds) => {
                syncing.heard = Some(Some(now + i64::from(seconds) * SECOND));
            }
        }
        phone.line.bring(reply.ticket, reply.answer);
        self.poll(reply.phone)
    }

    /// A step of the story.
    fn act(&mut self, act: Act) -> Result<(), Broken> {
        // The step that made this phone was left out.
        if act.phone().is_some_and(|phone| phone >= self.phones.len()) {
            return Ok(());
        }
        match act {
            Act::File {
                phone,
                severity,
                length,
            } => {
                let new = report(&mut self.phones[phone].chance, severity, length);
                self.phones[phone].with(Work::Local, |client| async move {
                    Done::Filed(client.file(new).await)
                });
                self.poll(phone)
            }
            Act::Both { phone } => {
                self.count("two filings at once");
                self.phones[phone].fuse.slow(true);
                for _ in 0..2 {
                    let new = report(&mut self.phones[phone].chance, 1, 40);
                    self.phones[phone].with(Work::Local, |client| async move {
                        Done::Filed(client.file(new).await)
                    });
                }
                self.poll(phone)?;
                self.phones[phone].fuse.slow(false);
                Ok(())
            }
            Act::Amend { phone, nth } => {
                let words = words(&mut self.phones[phone].chance, 60);
                self.on_report(phone, nth, |client, report| async move {
                    let fields = protocol::entry::ReportFields {
                        text: Some(words).into(),
                        ..Default::default()
                    };
                    Done::Filed(client.amend(report, fields).await)
                })
            }
            Act::Withdraw { phone, nth } => {
                self.on_report(phone, nth, |client, report| async move {
                    Done::Filed(client.withdraw(report, "a mistake").await)
                })
            }
            Act::Answer { phone, nth } => self.on_report(phone, nth, |client, report| async move {
                Done::Filed(client.answer(report, "at the door").await)
            }),
            Act::CheckIn { phone } => {
                self.phones[phone].with(Work::Local, |client| async move {
                    let new = NewCheckIn {
                        station: "12-3".into(),
                        event: protocol::entry::Move::Arrived,
                        place: None,
                    };
                    match client.check_in(new).await {
                        Ok(filed) => Done::CheckedIn(filed),
                        Err(error) => Done::Filed(Err(error)),
                    }
                });
                self.poll(phone)
            }
            // An earlier version attaches nothing.
            Act::Attach { phone, .. } if self.phones[phone].old => Ok(()),
            Act::Attach { phone, nth, bytes } => self.attach(phone, nth, bytes),
            Act::Sync { phone } => self.sync(phone, Work::Asked),
            Act::Next { phone, fate } => {
                if matches!(
                    fate,
                    Fate::Problem(_) | Fate::FlipRequest(_) | Fate::FlipAnswer(_)
                ) {
                    // What was set aside, or refused, may come after what was filed later.
                    self.oracle.disordered = true;
                }
                self.phones[phone].fates.push_back(fate);
                Ok(())
            }
            Act::FlipNews { phone, at } => {
                self.oracle.disordered = true;
                self.phones[phone].news_flips.push_back(at);
                Ok(())
            }
            Act::NextPart { phone, fate } => {
                self.phones[phone].part_fates.push_back(fate);
                Ok(())
            }
            Act::Die { phone, calls, cut } => {
                self.phones[phone].fuse.die_after(calls, cut);
                Ok(())
            }
            Act::Fail {
                phone,
                calls,
                trouble,
            } => {
                self.count("phone cannot write");
                self.phones[phone].fuse.fail(calls, trouble);
                Ok(())
            }
            Act::Reboot { phone } => {
                self.count("phone rebooted");
                let cut = Cut {
                    done: false,
                    power: true,
                };
                self.phones[phone].die(cut);
                self.phones[phone].clock.reboot();
                self.syncing[phone] = Syncing::default();
                self.after(DOWN, Event::Open(phone));
                Ok(())
            }
            Act::Jump { phone, seconds } => {
                self.count("phone's clock jumped");
                self.phones[phone].clock.jump(seconds);
                Ok(())
            }
            Act::Clone { phone } => {
                self.count("phone cloned");
                self.oracle.disordered = true;
                let id = self.phones.len();
                let copy = self.phones[phone].copy(id, self.setting.seed, &self.now);
                self.cloned.push(copy.observer);
                self.phones.push(copy);
                self.syncing.push(Syncing::default());
                self.after(SECOND, Event::Open(id));
                self.after(MINUTE, Event::Wake(id));
                Ok(())
            }
            Act::Decide { nth, turn } => self.decide(nth, turn),
            Act::Poison { phone, status } => {
                self.oracle.disordered = true;
                self.poisons.insert(phone, status);
                Ok(())
            }
            Act::Limit(bytes) => {
                self.limit = Some(bytes);
                Ok(())
            }
            Act::Revoke { phone } => self.revoke(phone),
            Act::Crash => {
                self.count("server crashed");
                self.servers.crash();
                self.oracle.read_ledger(&self.servers)
            }
            Act::CrashAfterCommit => {
                self.dies_after_commit = true;
                Ok(())
            }
            Act::Down(seconds) => {
                self.down_until = self.now.get() + i64::from(seconds) * SECOND;
                Ok(())
            }
            Act::Pressed(seconds) => {
                self.count("server full");
                self.servers.fill(usize::from(seconds % 3 == 0));
                self.after(i64::from(seconds) * SECOND, Event::Relief);
                Ok(())
            }
            Act::Backup => {
                self.backup = Some(self.servers.backup());
                Ok(())
            }
            Act::PutBack { renewed } => {
                let Some(backup) = self.backup.clone() else {
                    return Ok(());
                };
                self.count(if renewed {
                    "server restored from a backup"
                } else {
                    "older database put in place"
                });
                self.put_back = true;
                self.servers.put_back(&backup, renewed);
                self.oracle.forget_ledger();
                self.oracle.read_ledger(&self.servers)
            }
            Act::ServerJump(seconds) => {
                self.count("server's clock jumped");
                self.server_offset = seconds * SECOND;
                Ok(())
            }
            Act::LoseKeys { phone } => {
                self.lose_keys(phone);
                Ok(())
            }
            Act::RefuseReturns {
                phone,
                status,
                times,
            } => {
                // What was set aside may come after what was filed later.
                self.oracle.disordered = true;
                self.phones[phone].refused_returns = (status, times);
                Ok(())
            }
            Act::Tell { phone } => self.tell(phone),
            Act::Version { phone, old } => {
                self.put_version(phone, old);
                Ok(())
            }
        }
    }

    fn on_report<F: Future<Output = Done> + 'static>(
        &mut self,
        phone: usize,
        nth: usize,
        job: impl FnOnce(Rc<sync_core::Client>, SubjectId) -> F,
    ) -> Result<(), Broken> {
        let reports = &self.phones[phone].reports;
        if reports.is_empty() {
            return Ok(());
        }
        let report = reports[nth % reports.len()];
        self.phones[phone].with(Work::Local, |client| job(client, report));
        self.poll(phone)
    }

    fn attach(&mut self, phone: usize, nth: usize, bytes: u32) -> Result<(), Broken> {
        let path = self.folder.path().join("attachment");
        let mut content = format!("{CANARY} {}", self.phones[phone].chance.below(u64::MAX));
        while content.len() < usize::try_from(bytes).unwrap_or(0) {
            content.push_str(&content.clone());
        }
        content.truncate(usize::try_from(bytes).unwrap_or(0).max(30));
        std::fs::write(&path, content).expect("a file");
        let new = NewFile {
            path,
            taken_at: None,
        };
        self.on_report(phone, nth, |client, report| async move {
            Done::Attached(client.attach(report, &new).await)
        })
    }

    fn decide(&mut self, nth: usize, turn: usize) -> Result<(), Broken> {
        let reports = self.oracle.reports();
        if reports.is_empty() {
            return Ok(());
        }
        let report = reports[nth % reports.len()];
        let mission = self.servers.mission;
        let office = self.servers.app().office();
        let decided = self.servers.store().write(|conn| {
            let id = vec![report.0.as_bytes().to_vec()];
            let Some(row) = bulk::reports_by_id(conn, mission.no, &id)?.pop() else {
                return Ok(());
            };
            let moves: Vec<_> = status::TRANSITIONS
                .iter()
                .filter(|(from, ..)| *from == row.status)
                .collect();
            let Some((_, to, _)) = moves.get(turn % moves.len().max(1)) else {
                return Ok(());
            };
            let decision = acts::Decision {
                to: (*to).to_owned(),
                version: row.version,
                reason: Some("as it seems".into()),
                question: Some("Which door?".into()),
            };
            let actor = UserId(Uuid::from_u128(7));
            acts::decide(conn, office, mission, actor, report.0, decision).map(drop)
        });
        decided.map_err(|error| Broken {
            rule: "I17 no failure",
            what: format!("a decision failed: {error}"),
        })?;
        self.oracle.read_ledger(&self.servers)
    }

    fn revoke(&mut self, phone: usize) -> Result<(), Broken> {
        let link = self.phones[phone].device_key();
        let mission = self.servers.mission;
        let office = self.servers.app().office();
        let done = self.servers.store().write(|conn| {
            let Some(device) = projections::device_by_kid(conn, &link)? else {
                return Ok(false);
            };
            if device.revoked_number.is_some() {
                return Ok(false);
            }
            let id = DeviceId(Uuid::from_slice(&device.id).unwrap_or_default());
            let actor = UserId(Uuid::from_u128(7));
            acts::revoke_device(conn, office, mission, actor, id, "lost").map(|_| true)
        });
        let done = done.map_err(|error| Broken {
            rule: "I17 no failure",
            what: format!("a revocation failed: {error}"),
        })?;
        if done {
            self.count("device revoked");
            self.revoked.push(self.phones[phone].observer);
        }
        self.oracle.read_ledger(&self.servers)
    }
}

/// What an answer that arrives whole asks of the phone.
fn asked_by(call: &Call, answer: &Answer) -> Asked {
    if bytes::is_file(call) {
        return Asked::Nothing;
    }
    if matches!(answer.status, 429 | 503) {
        return answer
            .retry_after
            .parse()
            .map_or(Asked::Unknown, Asked::Wait);
    }
    if answer.status != 200 {
        return Asked::Nothing;
    }
    if !bytes::is_exchange(call) {
        return Asked::Nothing;
    }
    match serde_json::from_slice::<Response>(&answer.body) {
        Ok(response) => match response.directives.retry_after {
            Some(seconds) if seconds > 0 => Asked::Wait(seconds),
            _ => Asked::GoOn,
        },
        Err(_) => Asked::Unknown,
    }
}

fn words(chance: &mut crate::chance::Chance, length: u32) -> String {
    let mut text = format!("{CANARY} {:x}", chance.below(u64::MAX));
    while text.len() < usize::try_from(length).unwrap_or(0) {
        text.push_str(&format!(" {:x}", chance.below(u64::MAX)));
    }
    text
}

fn report(chance: &mut crate::chance::Chance, severity: u8, length: u32) -> NewReport {
    use protocol::entry::Severity;
    let severities = [
        Severity::Low,
        Severity::Medium,
        Severity::High,
        Severity::Critical,
    ];
    NewReport {
        category: "5.2".into(),
        severity: Some(severities[usize::from(severity) % 4]),
        text: Some(words(chance, length)),
        ..NewReport::default()
    }
}

fn name(fate: Fate) -> &'static str {
    match fate {
        Fate::Good => "none",
        Fate::NoRoute => "no network",
        Fate::RequestLost => "request lost",
        Fate::AnswerLost => "answer lost",
        Fate::Late(_) => "request late",
        Fate::Twice(_) => "request repeated",
        Fate::CutRequest(_) => "request cut short",
        Fate::CutAnswer(_) => "answer cut short",
        Fate::FlipRequest(_) => "bit flipped in a request",
        Fate::FlipAnswer(_) => "bit flipped in an answer",
        Fate::Portal => "captive portal",
        Fate::Impostor => "impostor",
        Fate::Redirect => "redirected",
        Fate::Proxy(_) => "a proxy's page",
        Fate::Problem(_) => "server refused wrongly",
    }
}
