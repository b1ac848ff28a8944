//! The server, the link and the phones; chaos, and the calm after it.

use std::{
    net::SocketAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use protocol::ids::MissionId;

use super::{
    Options, Tally,
    phone::{Phone, Went},
};
use crate::{
    chance::Chance,
    console::Console,
    database::Kind,
    link::{Answers, Link, Shape},
    site::{Server, Site},
    wait,
};

/// Milliseconds that a server lives at most.
const SERVER_LIVES: u64 = 1_500;
/// Milliseconds for which the link stays as it is, at most.
const LINK_STAYS: u64 = 400;
/// Synchronisations in which everything must arrive once all is well.
const CALM: u32 = 8;

/// See the module.
pub(super) struct World {
    pub(super) site: Site,
    pub(super) mission: MissionId,
    pub(super) lead: Console,
    pub(super) phones: Vec<Phone>,
    link: Link,
    server: Option<Server>,
    chance: Chance,
    /// Files that were compared already.
    pub(super) compared: std::collections::BTreeSet<protocol::ids::FileHash>,
}

impl World {
    pub(super) fn new(kind: Kind, options: &Options) -> Self {
        let chance = Chance::seeded(options.seed);
        let mut site = Site::new(kind);
        let mission = site.small_mission("Crashes");
        let address: SocketAddr = site.origin()["http://".len()..]
            .parse()
            .expect("an address");
        let link = Link::to(address, chance.clone());
        site.set("public_url", &link.origin());
        let server = site.start();
        let lead = site.console(mission, "lead");
        let phones = (0..options.phones)
            .map(|at| {
                let accreditation = format!("D-{}", at % 5 + 1);
                Phone::new(at, &site.invite(mission, &accreditation), options.seed)
            })
            .collect();
        Self {
            site,
            mission,
            lead,
            phones,
            link,
            server: Some(server),
            chance,
            compared: std::collections::BTreeSet::new(),
        }
    }

    /// Goes on until so many more were killed.
    pub(super) fn chaos(&mut self, kills: u64, tally: &mut Tally) {
        let left = AtomicU64::new(kills);
        let shared = Mutex::new(std::mem::take(tally));
        let count = |went: Went| {
            let mut tally = shared.lock().unwrap_or_else(PoisonError::into_inner);
            match went {
                Went::Killed(what) => {
                    *tally.kills.entry(what).or_default() += 1;
                    // Those who strike at the same time may go below zero.
                    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                        Some(left.saturating_sub(1))
                    })
                    .ok();
                }
                Went::Ended(how) => *tally.ends.entry(how).or_default() += 1,
                Went::Wrong(what) => tally.faults.push(what),
            }
        };
        let goes_on = || left.load(Ordering::Relaxed) > 0;
        let (site, link) = (&self.site, &self.link);
        let (mut of_server, mut of_link) = (split(&mut self.chance), split(&mut self.chance));
        let mut server = self.server.take();
        let last = thread::scope(|scope| {
            for phone in &mut self.phones {
                scope.spawn(|| {
                    while goes_on() {
                        count(phone.act());
                    }
                });
            }
            scope.spawn(|| {
                while goes_on() {
                    disturb(link, &mut of_link);
                    wait::pause(Duration::from_millis(of_link.below(LINK_STAYS)));
                }
            });
            let killing = scope.spawn(|| {
                while goes_on() {
                    wait::pause(Duration::from_millis(of_server.below(SERVER_LIVES)));
                    // Killed while it works, or while it starts.
                    if let Some(server) = server.take() {
                        server.kill();
                        count(Went::Killed("server"));
                    }
                    server = Some(site.spawn());
                }
                server
            });
            killing.join().expect("the server's thread")
        });
        self.server = last;
        *tally = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    }

    /// All is well, and everything arrives.
    pub(super) fn calm(&mut self, tally: &mut Tally) {
        self.link.answer(Answers::Server);
        self.link.shape(Shape::default());
        if let Some(server) = &self.server {
            server.wait_ready();
        }
        let mut waiting = Vec::new();
        for _ in 0..CALM {
            waiting = self.phones.iter().filter_map(sync).collect();
            if waiting.is_empty() {
                break;
            }
        }
        tally.faults.extend(waiting);
        tally.cut = self.link.cuts();
        tally.repeated = self.link.repeats();
    }

    /// Stops the server and derives everything anew from the ledger.
    pub(super) fn rebuild(&mut self, tally: &mut Tally) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
        let tables = [
            "reports",
            "devices",
            "entries",
            "evidence",
            "evidence_files",
        ];
        let before = self.site.database.dump(&tables);
        self.site.run(&["rebuild"]).json();
        if self.site.database.dump(&tables) != before {
            tally.faults.push("a rebuild gives something else".into());
        }
    }
}

/// What still waits on this phone, or `None`.
fn sync(phone: &Phone) -> Option<String> {
    let ended = phone.observer.run(&["sync"]);
    if ended.status != Some(0) {
        return Some(format!("after all a sync fails: {ended:?}"));
    }
    let told = ended.json();
    let done = told["pending"] == 0 && told["files_pending"] == 0;
    (!done).then(|| format!("something still waits: {told}"))
}

/// Chance of its own for a thread.
fn split(chance: &mut Chance) -> Chance {
    Chance::seeded(u64::from_le_bytes(chance.bytes()))
}

/// The link becomes another: mostly it works, somehow.
fn disturb(link: &Link, chance: &mut Chance) {
    link.answer(match chance.below(10) {
        0 => Answers::Portal,
        1 => Answers::BadGateway,
        2 => Answers::Nobody,
        _ => Answers::Server,
    });
    link.shape(Shape {
        bits_per_second: (chance.below(4) == 0).then_some(4_000_000),
        delay: Duration::from_millis(chance.below(20)),
        cut_after: Some(200..20_000),
        cuts: u32::try_from(chance.below(4)).unwrap_or_default(),
        repeats: chance.below(3) == 0,
        ..Shape::default()
    });
}
