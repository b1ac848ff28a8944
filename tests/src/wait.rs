//! Waiting for something to happen, with a deadline.
#![expect(
    clippy::disallowed_methods,
    reason = "a test's deadline is real time; nothing is decided by it but giving up"
)]

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up; machines are slow at times.
pub const LONG: Duration = Duration::from_secs(60);

/// A moment after which to give up.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// That far from now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// What is left.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.left().is_zero()
    }
}

/// Measures how long something takes.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Asks again and again until there is an answer.
///
/// # Panics
/// When there is none in [`LONG`].
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Deadline::after(LONG);
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(!deadline.is_over(), "waited {LONG:?} in vain: {what}");
        pause(Duration::from_millis(5));
    }
}

/// Lets some time pass: for moments that are meant to be random, and between
/// two questions of [`until`].
pub fn pause(time: Duration) {
    let deadline = Deadline::after(time);
    while !deadline.is_over() {
        std::thread::park_timeout(deadline.left());
    }
}
