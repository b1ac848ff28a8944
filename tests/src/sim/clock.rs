//! Virtual time, and the clocks that people and phones make of it.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use scrutineer::clock::{Clock, Host, Micros, Random};
use sync_core::host::{Environment, Now};
use uuid::Uuid;

/// Microseconds since the story began, or since 1970 where it says so.
pub type Time = i64;

/// When every story begins: 2024-09-01T04:00:00Z, microseconds since 1970.
pub const BEGIN: Time = 1_725_163_200_000_000;
/// A second.
pub const SECOND: Time = 1_000_000;
/// A minute.
pub const MINUTE: Time = 60 * SECOND;
/// An hour.
pub const HOUR: Time = 60 * MINUTE;

/// `1 d 02:03:04.5`, for a story.
#[must_use]
pub fn shown(time: Time) -> String {
    let (days, rest) = (time / (24 * HOUR), time % (24 * HOUR));
    let (hours, minutes) = (rest / HOUR, rest % HOUR / MINUTE);
    let (seconds, tenths) = (rest % MINUTE / SECOND, rest % SECOND / 100_000);
    let clock = format!("{hours:02}:{minutes:02}:{seconds:02}.{tenths}");
    if days == 0 {
        clock
    } else {
        format!("{days} d {clock}")
    }
}

/// A phone's clocks and randomness.
pub struct PhoneClock {
    now: Rc<Cell<Time>>,
    /// What the wall clock is off by, in microseconds.
    offset: Cell<i64>,
    booted: Cell<Time>,
    boot: Cell<Uuid>,
    rng: RefCell<ChaCha8Rng>,
}

impl PhoneClock {
    pub(super) fn new(now: Rc<Cell<Time>>, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let boot = uuid(&mut rng);
        let booted = now.get() - HOUR;
        Self {
            now,
            offset: Cell::new(0),
            booted: Cell::new(booted),
            boot: Cell::new(boot),
            rng: RefCell::new(rng),
        }
    }

    pub(super) fn jump(&self, seconds: i64) {
        let offset = self.offset.get();
        self.offset
            .set(offset.saturating_add(seconds.saturating_mul(SECOND)));
    }

    pub(super) fn reboot(&self) {
        self.booted.set(self.now.get());
        self.boot.set(uuid(&mut self.rng.borrow_mut()));
    }
}

fn uuid(rng: &mut ChaCha8Rng) -> Uuid {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

impl Environment for PhoneClock {
    fn now(&self) -> Now {
        let uptime = (self.now.get() - self.booted.get()) / 1_000;
        Now {
            wall: (BEGIN + self.now.get()).saturating_add(self.offset.get()),
            uptime: u64::try_from(uptime).ok(),
            boot: Some(self.boot.get()),
        }
    }

    fn random(&self, bytes: &mut [u8]) {
        self.rng.borrow_mut().fill_bytes(bytes);
    }
}

/// The server's clock and randomness.
pub(super) struct ServerClock {
    micros: AtomicI64,
    rng: Mutex<ChaCha8Rng>,
}

impl ServerClock {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            micros: AtomicI64::new(BEGIN),
            rng: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
        })
    }

    pub(super) fn set(&self, since_1970: Time) {
        self.micros.store(since_1970, Ordering::Relaxed);
    }

    pub(super) fn host(self: &Arc<Self>) -> Host {
        Host {
            clock: self.clone(),
            random: self.clone(),
        }
    }
}

impl Clock for ServerClock {
    fn now(&self) -> Micros {
        Micros(self.micros.load(Ordering::Relaxed))
    }
}

impl Random for ServerClock {
    fn fill(&self, bytes: &mut [u8]) {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        rng.fill_bytes(bytes);
    }
}
