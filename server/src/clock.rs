//! The only place that asks the system for the time, and the only one for
//! randomness: both are handed in everywhere else, so that a simulation repeats.

use std::{fmt, sync::Arc};

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

/// Microseconds since 1970, UTC: how every time is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub i64);

impl Micros {
    /// Whole seconds since 1970.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This time and some seconds.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// RFC 3339 in UTC with microseconds; an out-of-range value is shown as a
    /// bare number, so that nothing is hidden.
    #[must_use]
    pub fn rfc3339(self) -> String {
        DateTime::<Utc>::from_timestamp_micros(self.0).map_or_else(
            || format!("{}us", self.0),
            |time| time.to_rfc3339_opts(SecondsFormat::Micros, true),
        )
    }

    /// Reads RFC 3339; `None` when it is not that.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|time| Self(time.timestamp_micros()))
    }
}

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Micros;
}

/// Hands out random bytes.
pub trait Random: Send + Sync {
    /// Fills the slice.
    fn fill(&self, bytes: &mut [u8]);
}

/// Time and randomness, as handed to everything that needs them.
#[derive(Clone)]
pub struct Host {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub random: Arc<dyn Random>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Host")
    }
}

impl Host {
    /// The machine's own clock and randomness.
    #[must_use]
    pub fn system() -> Self {
        Self {
            clock: Arc::new(System),
            random: Arc::new(System),
        }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.clock.now()
    }

    /// `N` random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }

    /// A random UUID (version 4).
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid()
    }
}

struct System;

impl Clock for System {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Micros {
        Micros(Utc::now().timestamp_micros())
    }
}

impl Random for System {
    #[expect(clippy::disallowed_methods, reason = "this is the randomness")]
    #[expect(
        clippy::expect_used,
        reason = "without randomness no key and no id is safe: stopping is the only right answer"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the system has no randomness to give");
    }
}

#[cfg(test)]
impl Host {
    /// A host whose clock stands and whose randomness counts: every run of a
    /// test gives the same bytes.
    pub(crate) fn counting() -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};

        struct Counting(AtomicU64);

        impl Clock for Counting {
            fn now(&self) -> Micros {
                Micros(1_725_192_000_000_000)
            }
        }

        impl Random for Counting {
            fn fill(&self, bytes: &mut [u8]) {
                for byte in bytes {
                    let next = self.0.fetch_add(1, Ordering::Relaxed);
                    *byte = next.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0];
                }
            }
        }

        let source = Arc::new(Counting(AtomicU64::new(1)));
        Self {
            clock: source.clone(),
            random: source,
        }
    }
}
