//! A phone: the production client on simulated parts, and an executor that polls
//! what it does until it waits for the network.

use std::{cell::Cell, future::Future, pin::Pin, rc::Rc, task::Context, task::Poll, task::Waker};

use protocol::{
    codes::Code,
    ids::{EntryHash, SubjectId},
};
use sync_core::{
    Client, Error,
    client::{Attached, Filed, Parts, Report, SyncError, SyncReport},
    engine::{self, Identity},
    seal::Place,
    store::Space,
    transport::Call,
};

use super::{
    bytes,
    clock::{PhoneClock, Time},
    disk::Disk,
    files::SimFiles,
    fuse::{Cut, Fuse},
    line::Line,
    lost,
    old::{OldLine, OldStore, OldVault},
    pocket::Pocket,
    script::Fate,
};
use crate::chance::Chance;

/// What a piece of work left.
pub enum Done {
    /// The program started.
    Opened(Result<Client, Error>),
    /// The link was used, or not.
    Enrolled(bool),
    /// The observer has arrived somewhere.
    CheckedIn(Filed),
    /// An entry is durable, or not.
    Filed(Result<Filed, Error>),
    /// A file is attached, or not.
    Attached(Result<Attached, Error>),
    /// A sync ended; and how the phone sees its reports then.
    Synced(
        Box<Result<Option<SyncReport>, SyncError>>,
        Option<Vec<Report>>,
    ),
    /// A setting was changed.
    Set,
}

/// What a piece of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Starting.
    Open,
    /// A sync that somebody asked for, or the enrolment.
    Asked,
    /// A sync on the phone's own accord.
    Background,
    /// Anything that needs no network.
    Local,
}

type Job = Pin<Box<dyn Future<Output = Done>>>;

/// See the module.
pub struct Phone {
    /// Which.
    pub id: usize,
    /// Whose: the number of the accreditation.
    pub observer: usize,
    /// The link.
    pub link: String,
    /// Its journal and records.
    pub disk: Disk,
    /// Its files.
    pub files: SimFiles,
    /// Its secrets.
    pub pocket: Pocket,
    /// Its clocks.
    pub clock: Rc<PhoneClock>,
    /// Where it may die.
    pub fuse: Rc<Fuse>,
    /// Its network.
    pub line: Line,
    /// What becomes of its next calls.
    pub fates: std::collections::VecDeque<Fate>,
    /// What becomes of the next parts of files.
    pub part_fates: std::collections::VecDeque<Fate>,
    /// What its next requests that hand something back are answered, and how many.
    pub refused_returns: (u16, u32),
    /// Bits to be changed in the next news.
    pub news_flips: std::collections::VecDeque<u32>,
    /// How long things take.
    pub chance: Chance,
    /// The program, while it runs.
    pub client: Option<Rc<Client>>,
    /// Counts starts: an answer for one before is for nobody.
    pub incarnation: u64,
    /// The reports filed on it, as far as it said so.
    pub reports: Vec<SubjectId>,
    /// The link was used.
    pub invited: bool,
    /// An earlier version of the program runs on it.
    pub old: bool,
    /// What it had before it lost its keys.
    aside: Vec<Disk>,
    jobs: Vec<(Work, Job)>,
}

/// What came of polling a phone.
#[derive(Default)]
pub struct Polled {
    /// What ended.
    pub done: Vec<(Work, Done)>,
    /// It died.
    pub died: Option<Cut>,
}

impl Phone {
    pub(super) fn new(
        id: usize,
        observer: usize,
        link: String,
        seed: u64,
        now: &Rc<Cell<Time>>,
    ) -> Self {
        let own = seed
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(id as u64);
        let fuse = Rc::new(Fuse::default());
        let mut chance = Chance::seeded(own);
        Self {
            id,
            observer,
            link,
            disk: Disk::new(super::disk::Content::default(), fuse.clone()),
            files: SimFiles::new(super::files::Folder::default(), fuse.clone()),
            pocket: Pocket::new(chance.bytes()),
            clock: Rc::new(PhoneClock::new(now.clone(), own ^ 1)),
            fuse,
            line: Line::default(),
            fates: std::collections::VecDeque::new(),
            part_fates: std::collections::VecDeque::new(),
            refused_returns: (0, 0),
            news_flips: std::collections::VecDeque::new(),
            chance,
            client: None,
            incarnation: 0,
            reports: Vec::new(),
            invited: false,
            old: false,
            aside: Vec::new(),
            jobs: Vec::new(),
        }
    }

    /// Another phone with a copy of everything on this one.
    pub(super) fn copy(&self, id: usize, seed: u64, now: &Rc<Cell<Time>>) -> Self {
        let mut copy = Self::new(id, self.observer, self.link.clone(), seed, now);
        copy.disk = Disk::new(self.disk.copy(), copy.fuse.clone());
        copy.files = SimFiles::new(self.files.copy(), copy.fuse.clone());
        copy.pocket = self.pocket.copy();
        copy.reports.clone_from(&self.reports);
        copy.invited = self.invited;
        copy.old = self.old;
        copy
    }

    /// What becomes of a call, if the server stumbles over what it hands back.
    pub(super) fn refused(&mut self, call: &Call) -> Option<Fate> {
        let (status, times) = self.refused_returns;
        if times == 0 || !bytes::hands_back(call) {
            return None;
        }
        self.refused_returns.1 -= 1;
        Some(Fate::Problem(status))
    }

    /// Starts the program.
    pub(super) fn open(&mut self) {
        let parts = if self.old {
            self.old_parts()
        } else {
            self.parts()
        };
        self.start(Work::Open, async move {
            Done::Opened(Client::open(parts).await)
        });
    }

    fn parts(&self) -> Parts {
        Parts {
            store: Box::new(self.disk.clone()),
            files: Box::new(self.files.clone()),
            transport: Box::new(self.line.clone()),
            vault: Box::new(self.pocket.clone()),
            environment: self.clock.clone(),
            app: "sim/1".into(),
        }
    }

    /// As an earlier version has them, which knows of no files.
    fn old_parts(&self) -> Parts {
        let (disk, clock) = (self.disk.clone(), self.clock.clone());
        let none = SimFiles::new(super::files::Folder::default(), self.fuse.clone());
        Parts {
            store: Box::new(OldStore::new(disk, self.pocket.data(), clock.clone())),
            files: Box::new(none),
            transport: Box::new(OldLine(self.line.clone())),
            vault: Box::new(OldVault::new(self.pocket.clone(), clock)),
            environment: self.clock.clone(),
            app: "sim/0.1.0".into(),
        }
    }

    pub(super) fn start(&mut self, work: Work, job: impl Future<Output = Done> + 'static) {
        self.jobs.push((work, Box::pin(job)));
    }

    /// Starts a piece of work on the program, if it runs.
    pub(super) fn with<F: Future<Output = Done> + 'static>(
        &mut self,
        work: Work,
        job: impl FnOnce(Rc<Client>) -> F,
    ) {
        if let Some(client) = self.client.clone() {
            let job = job(client);
            self.start(work, job);
        }
    }

    /// Whether a sync, or the start, is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.jobs.iter().any(|(work, _)| *work != Work::Local)
    }

    /// What is under way.
    pub(super) fn at_work(&self) -> Option<Work> {
        let mut syncs = self.jobs.iter().map(|(work, _)| *work);
        syncs.find(|work| *work != Work::Local)
    }

    /// Polls everything until all of it waits for the network, or the phone dies.
    pub(super) fn poll(&mut self) -> Polled {
        let mut polled = Polled::default();
        let mut context = Context::from_waker(Waker::noop());
        loop {
            let mut at = 0;
            while at < self.jobs.len() {
                let ready = self.jobs[at].1.as_mut().poll(&mut context);
                if let Some(cut) = self.fuse.take_blown() {
                    self.die(cut);
                    polled.died = Some(cut);
                    return polled;
                }
                match ready {
                    Poll::Ready(done) => {
                        let (work, _) = self.jobs.remove(at);
                        polled.done.push((work, done));
                    }
                    Poll::Pending => at += 1,
                }
            }
            if !self.fuse.take_yielded() {
                return polled;
            }
        }
    }

    /// The program ends where it stands.
    pub(super) fn die(&mut self, cut: Cut) {
        self.jobs.clear();
        self.client = None;
        self.incarnation += 1;
        self.line.die();
        self.files.die(cut);
        self.fuse.take_blown();
        self.fuse.slow(false);
    }

    /// The thumbprint of its key.
    pub(super) fn device_key(&self) -> String {
        self.pocket.thumbprint()
    }

    /// Whether the server has answered its link, as its store says.
    pub(super) fn is_enrolled(&self) -> bool {
        self.identity()
            .is_some_and(|identity| identity.enrolled.is_some())
    }

    /// Whether the server knows nothing of its link, as its store says.
    pub(super) fn is_unknown(&self) -> bool {
        self.identity()
            .is_some_and(|identity| identity.refused == Some(Code::EnrolmentCodeUnknown))
    }

    fn identity(&self) -> Option<Identity> {
        let key = engine::keys::IDENTITY;
        let place = Place::Record(Space::State, key.to_vec());
        let record = self.disk.lies(Space::State, key)?;
        let plain = self.pocket.data().open(&place, &record.sealed)?;
        serde_json::from_slice(&plain).ok()
    }

    /// Whether this entry is on the phone.
    pub(super) fn holds(&self, hash: &EntryHash) -> bool {
        let mut disks = std::iter::once(&self.disk).chain(&self.aside);
        disks.any(|disk| disk.holds(hash))
    }

    /// Its keys are gone. What it has is packed as it lies and moved aside, and it
    /// begins anew with another link. `None` if the mission has no copy of the data
    /// key: then nobody could open the bundle, and nothing is done.
    pub(super) fn lose_keys(&mut self, link: impl FnOnce() -> String) -> Option<Vec<u8>> {
        let copy = self.pocket.for_mission()?;
        self.die(Cut {
            done: false,
            power: false,
        });
        let bundle = lost::pack(&copy, &self.disk, &self.files, self.chance.bytes())?;
        let disk = Disk::new(super::disk::Content::default(), self.fuse.clone());
        self.aside.push(std::mem::replace(&mut self.disk, disk));
        self.files = SimFiles::new(super::files::Folder::default(), self.fuse.clone());
        self.pocket = Pocket::new(self.chance.bytes());
        self.link = link();
        self.invited = false;
        self.reports.clear();
        Some(bundle)
    }
}
