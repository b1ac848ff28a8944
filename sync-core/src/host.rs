//! The device's clocks and randomness. Everything else takes them as arguments,
//! so that a simulator can repeat a run.

use chrono::{DateTime, SecondsFormat};
use protocol::entry::At;
use uuid::Uuid;

/// The device's clocks at one moment. None is trusted: the wall clock may be
/// years off and jump, the uptime starts again with each boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Microseconds since 1970, UTC, as the device believes.
    pub wall: i64,
    /// Milliseconds since the device booted, where the platform tells.
    pub uptime: Option<u64>,
    /// Names this boot, where the platform tells.
    pub boot: Option<Uuid>,
}

impl Now {
    /// The clocks as an entry carries them: RFC 3339 with milliseconds. A wall
    /// clock beyond what RFC 3339 can say is written as 1970.
    #[must_use]
    pub fn at(&self) -> At {
        At {
            wall: rfc3339(self.wall),
            uptime: self.uptime,
            boot: self.boot,
        }
    }
}

/// What the platform hands in.
pub trait Environment {
    /// The clocks now.
    fn now(&self) -> Now;
    /// Fills the buffer with unpredictable bytes. A platform that has none must
    /// panic: predictable salts would open withheld fields.
    fn random(&self, bytes: &mut [u8]);
}

/// A random (version 4) UUID.
pub(crate) fn uuid(env: &dyn Environment) -> Uuid {
    let mut bytes = [0; 16];
    env.random(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// A number from `low` to `high`, both included.
pub(crate) fn between(env: &dyn Environment, low: u64, high: u64) -> u64 {
    let mut bytes = [0; 8];
    env.random(&mut bytes);
    let span = high.saturating_sub(low).saturating_add(1).max(1);
    low.saturating_add(u64::from_le_bytes(bytes) % span)
}

/// RFC 3339 in UTC with milliseconds.
pub(crate) fn rfc3339(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros)
        .unwrap_or(DateTime::UNIX_EPOCH)
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Microseconds since 1970 of an RFC 3339 text.
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|time| time.timestamp_micros())
}

/// The system's own clocks and randomness: Linux, macOS, Windows, Android, iOS.
#[derive(Clone, Copy, Debug)]
pub struct Native {
    boot: Option<Uuid>,
}

impl Native {
    /// Reads the name of this boot once.
    #[must_use]
    pub fn new() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        Self {
            boot: boot.and_then(|text| Uuid::parse_str(text.trim()).ok()),
        }
    }
}

impl Default for Native {
    fn default() -> Self {
        Self::new()
    }
}

impl Environment for Native {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    fn now(&self) -> Now {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let wall = since.map_or(0, |since| {
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        });
        // Seconds with hundredths, counting sleep as well (CLOCK_BOOTTIME).
        let uptime = std::fs::read_to_string("/proc/uptime")
            .ok()
            .and_then(|text| {
                let (seconds, rest) = text.split_once('.')?;
                let hundredths: u64 = rest.get(..2)?.parse().ok()?;
                Some(
                    seconds
                        .parse::<u64>()
                        .ok()?
                        .saturating_mul(1000)
                        .saturating_add(hundredths * 10),
                )
            });
        Now {
            wall,
            uptime,
            boot: self.boot,
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks for randomness"
    )]
    fn random(&self, bytes: &mut [u8]) {
        if let Err(error) = getrandom::fill(bytes) {
            panic!("the system has no randomness: {error}");
        }
    }
}
