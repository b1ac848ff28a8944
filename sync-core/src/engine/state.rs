//! What the engine remembers from one run to the next.

use std::collections::BTreeMap;

use protocol::{
    codes::Code,
    enrolment::{Invitation, Response},
    entry::Seen,
    ids::{EntryHash, EpochId, MissionId},
    jose::PublicKey,
    limits,
    planted::{Fault, is as planted},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::host::{self, Environment, Now};

/// Milliseconds that no wait exceeds, whoever wrote it down.
const WAIT_MOST: u64 = 2 * limits::WAIT_SECONDS as u64 * 1000;

/// Whose device this is: the link, and the server's answer once it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The enrolment link.
    pub link: String,
    /// The server's answer, checked against the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolled: Option<Response>,
    /// Why the server last refused the link. Entries are kept all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Code>,
}

impl Identity {
    /// The link's parts. `None` only if the record was damaged.
    #[must_use]
    pub fn invitation(&self) -> Option<Invitation> {
        Invitation::from_url(&self.link)
    }

    /// The mission.
    #[must_use]
    pub fn mission(&self) -> Option<MissionId> {
        self.invitation().map(|invitation| invitation.mission)
    }

    /// The server's receipt key, once enrolled.
    #[must_use]
    pub fn receipt_key(&self) -> Option<PublicKey> {
        PublicKey::from_jwk(&self.enrolled.as_ref()?.receipt_key).ok()
    }
}

/// A bearer token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The token.
    pub text: String,
    /// When it expires: microseconds since 1970 by the server's clock.
    pub expires: i64,
}

/// A wait that outlives the process and survives a clock that jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// How long, in milliseconds.
    pub millis: u64,
    /// Since when, by the wall clock.
    pub wall: i64,
    /// Since when, in this boot.
    pub uptime: Option<u64>,
    /// The boot.
    pub boot: Option<Uuid>,
    /// Whether the server asked for it. 0.1.0 did not say, so it may have.
    #[serde(default = "maybe")]
    pub asked: bool,
}

fn maybe() -> bool {
    true
}

impl Wait {
    pub(super) fn new(millis: u64, now: Now) -> Self {
        Self {
            millis,
            wall: now.wall,
            uptime: now.uptime,
            boot: now.boot,
            asked: false,
        }
    }

    /// The same, but no longer than this unless the server asked for it.
    fn at_most(self, millis: u64) -> Self {
        Self {
            millis: if self.asked {
                self.millis
            } else {
                self.millis.min(millis)
            },
            ..self
        }
    }

    /// What is left of it. Within a boot the uptime tells; otherwise the wall
    /// clock does, and a jump can neither prolong nor freeze the wait.
    #[must_use]
    pub fn left(&self, now: Now) -> u64 {
        let elapsed = match (self.uptime, now.uptime) {
            (Some(then), Some(now_up))
                if self.boot == now.boot && now_up >= then && !planted(Fault::WaitByWallClock) =>
            {
                now_up - then
            }
            _ => match u64::try_from(now.wall.saturating_sub(self.wall) / 1000) {
                Ok(millis) => millis,
                // The clock went back: it says nothing, so the wait is over.
                Err(_) => self.millis,
            },
        };
        self.millis.min(WAIT_MOST).saturating_sub(elapsed)
    }
}

/// The highest receipt of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The ledger's state that it tells.
    pub seen: Seen,
    /// Names it in [`crate::store::Space::Receipt`].
    pub receipt: EntryHash,
}

/// Histories that ended whose receipts are at hand.
const EARLIER: usize = 16;

/// The state of syncing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncState {
    /// The server's history as last heard.
    #[serde(default)]
    pub epoch: Option<EpochId>,
    /// The server gave no token: perhaps it does not know this device, because an
    /// older database was put in place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
    /// Where the items end.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Answers in a row whose items were not all believed.
    #[serde(default)]
    pub rejected: u32,
    /// The server's clock minus the device's, in microseconds.
    #[serde(default)]
    pub clock_offset: Option<i64>,
    /// The server's time when it last answered, RFC 3339.
    #[serde(default)]
    pub last_contact: Option<String>,
    /// A token for reading.
    #[serde(default)]
    pub token: Option<Token>,
    /// The ledger's state that the highest receipt of the last history told.
    #[serde(default)]
    pub seen: Option<Seen>,
    /// Names that receipt in [`crate::store::Space::Receipt`].
    #[serde(default)]
    pub seen_receipt: Option<EntryHash>,
    /// The same of histories before, the latest last: one comes back under its old
    /// name when the same old database is put in place again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Proof>,
    /// No exchange on one's own accord before this is over.
    #[serde(default)]
    pub wait: Option<Wait>,
    /// Failed runs since the last answer.
    #[serde(default)]
    pub failures: u32,
    /// Bytes of entries an exchange may carry: less after broken connections.
    #[serde(default)]
    pub batch_bytes: Option<usize>,
    /// Bytes of a part of a file: as much as the link carried in some seconds.
    #[serde(default)]
    pub chunk_bytes: Option<u64>,
    /// Bytes of a part of reference data.
    #[serde(default)]
    pub reference_bytes: Option<u64>,
    /// No files on one's own accord before this is over; entries all the same.
    #[serde(default)]
    pub files_wait: Option<Wait>,
    /// Times in a row that the server could not take files.
    #[serde(default)]
    pub files_failures: u32,
    /// Since when each lane of files has had something to send, and sent nothing.
    #[serde(default)]
    pub lanes_since: [Option<Wait>; 3],
}

/// Shortest and longest wait after a network failure, in milliseconds.
const BACKOFF_BASE: u64 = 2_000;
const BACKOFF_CAP: u64 = 15 * 60_000;
/// The longest while a critical report waits.
const BACKOFF_CAP_CRITICAL: u64 = 2 * 60_000;

impl SyncState {
    /// The server's time, in microseconds since 1970.
    #[must_use]
    pub fn server_time(&self, now: Now) -> i64 {
        now.wall.saturating_add(self.clock_offset.unwrap_or(0))
    }

    /// The token, unless it is about to expire.
    #[must_use]
    pub fn valid_token(&self, now: Now) -> Option<&str> {
        // One that expires under way costs one more request, nothing else.
        let margin = 5_000_000;
        let token = self.token.as_ref()?;
        let time = if planted(Fault::TokenByWallClock) {
            now.wall
        } else {
            self.server_time(now)
        };
        (token.expires.saturating_sub(margin) > time).then_some(token.text.as_str())
    }

    /// Milliseconds to wait before the next exchange on one's own accord. A
    /// critical report cuts a wait short that was long because of the network,
    /// not one that the server asked for.
    #[must_use]
    pub fn wait_left(&self, now: Now, critical: bool) -> u64 {
        let cap = if critical {
            BACKOFF_CAP_CRITICAL
        } else {
            BACKOFF_CAP
        };
        self.wait.map_or(0, |wait| wait.at_most(cap).left(now))
    }

    /// Milliseconds to wait before sending files on one's own accord, the
    /// exchange's wait apart.
    #[must_use]
    pub fn files_wait_left(&self, now: Now) -> u64 {
        self.files_wait.map_or(0, |wait| wait.left(now))
    }

    /// Another receipt is the highest of its history.
    pub(super) fn prove(&mut self, proof: Proof) {
        let before = self.seen.take().zip(self.seen_receipt.take());
        if let Some((seen, receipt)) = before.filter(|(seen, _)| seen.epoch != proof.seen.epoch) {
            self.earlier.push(Proof { seen, receipt });
            let over = self.earlier.len().saturating_sub(EARLIER);
            self.earlier.drain(..over);
        }
        self.seen = Some(proof.seen);
        self.seen_receipt = Some(proof.receipt);
    }

    /// A history goes by its old name again: what was once proved of it counts.
    pub(super) fn return_to(&mut self, epoch: EpochId) {
        let known = |proof: &Proof| proof.seen.epoch == epoch.0;
        if let Some(at) = self.earlier.iter().position(known) {
            let proof = self.earlier.remove(at);
            self.prove(proof);
        }
    }

    /// Takes note of the server's clock.
    pub(super) fn hear_time(&mut self, server_time: &str, now: Now) {
        if let Some(micros) = host::parse_rfc3339(server_time) {
            self.clock_offset = Some(micros.saturating_sub(now.wall));
            self.last_contact = Some(server_time.to_owned());
        }
    }

    /// Backs off after a failure: decorrelated jitter, so that phones that lost
    /// the network together do not come back together.
    pub(super) fn back_off(&mut self, env: &dyn Environment) {
        let wait = jittered(self.wait, self.failures, env);
        // What is left of a longer wait that the server asked for stands.
        let asked = self.wait.filter(|wait| wait.asked);
        // A critical report cuts the new one short, but never the server's.
        let least = wait.millis.min(BACKOFF_CAP_CRITICAL);
        self.wait = asked
            .filter(|asked| asked.left(env.now()) > least)
            .or(Some(wait));
        self.failures = self.failures.saturating_add(1);
    }

    /// Backs off with files alone, at least as long as the server asks.
    pub(super) fn back_off_files(&mut self, seconds: Option<u32>, env: &dyn Environment) {
        let mut wait = jittered(self.files_wait, self.files_failures, env);
        wait.millis = wait.millis.max(capped(seconds.unwrap_or(0)));
        self.files_wait = Some(wait);
        self.files_failures = self.files_failures.saturating_add(1);
    }

    /// Waits as the server asks, within the protocol's limit; never shorter, and
    /// spread over what it names. Whoever stands between a phone and its server, or
    /// errs there, cannot silence it for longer.
    pub(super) fn asked_to_wait(
        &mut self,
        seconds: u32,
        spread: u32,
        env: &dyn Environment,
    ) -> u64 {
        let mut millis = capped(seconds) + host::between(env, 0, capped(spread));
        if planted(Fault::WaitShortened) {
            millis /= 2;
        }
        self.wait = Some(Wait {
            asked: true,
            ..Wait::new(millis, env.now())
        });
        millis
    }
}

/// Milliseconds of what an answer asks for, at most the limit.
fn capped(seconds: u32) -> u64 {
    u64::from(seconds.min(limits::WAIT_SECONDS)) * 1000
}

/// A random wait between the base and three times the last one, within the cap.
fn jittered(last: Option<Wait>, failures: u32, env: &dyn Environment) -> Wait {
    let before = match last {
        Some(wait) if failures > 0 => wait.millis.max(BACKOFF_BASE),
        _ => BACKOFF_BASE,
    };
    let most = before.saturating_mul(3).min(BACKOFF_CAP);
    Wait::new(host::between(env, BACKOFF_BASE, most), env.now())
}

/// Names of records in [`crate::store::Space::State`].
pub mod keys {
    /// [`super::Identity`].
    pub const IDENTITY: &[u8] = b"identity";
    /// [`crate::client::Settings`].
    pub const SETTINGS: &[u8] = b"settings";
    /// [`super::SyncState`].
    pub const SYNC: &[u8] = b"sync";
}

/// How many entries of each journal wait.
pub(super) type Pending = BTreeMap<protocol::ids::JournalId, u64>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeEnv;

    fn now(wall: i64, uptime: u64, boot: u8) -> Now {
        Now {
            wall,
            uptime: Some(uptime),
            boot: Some(Uuid::from_bytes([boot; 16])),
        }
    }

    #[test]
    fn a_wait_survives_clocks_that_jump() {
        let wait = Wait::new(10_000, now(1_000_000_000, 50_000, 1));
        // The wall clock goes ten years ahead or back: within a boot, the uptime counts.
        for wall in [i64::MIN, 0, i64::MAX] {
            assert_eq!(wait.left(now(wall, 54_000, 1)), 6_000);
        }
        // After a reboot the wall clock counts; one that went back ends the wait.
        assert_eq!(wait.left(now(1_003_000_000, 10, 2)), 7_000);
        assert_eq!(wait.left(now(0, 10, 2)), 0);
        assert_eq!(wait.left(now(i64::MAX, 10, 2)), 0);
    }

    #[test]
    fn backing_off_grows_within_its_bounds() {
        let env = FakeEnv::new(5);
        let mut state = SyncState::default();
        let mut longest = 0;
        for _ in 0..200 {
            state.back_off(&env);
            let millis = state.wait.expect("waits").millis;
            assert!((BACKOFF_BASE..=BACKOFF_CAP).contains(&millis));
            longest = longest.max(millis);
        }
        assert!(longest > BACKOFF_CAP / 2);
    }

    #[test]
    fn a_critical_report_waits_two_minutes_at_most_unless_the_server_asks() {
        let env = FakeEnv::new(5);
        let mut state = SyncState {
            wait: Some(Wait::new(BACKOFF_CAP, env.now())),
            ..SyncState::default()
        };
        assert_eq!(state.wait_left(env.now(), false), BACKOFF_CAP);
        assert_eq!(state.wait_left(env.now(), true), BACKOFF_CAP_CRITICAL);
        env.advance(60_000);
        assert_eq!(
            state.wait_left(env.now(), true),
            BACKOFF_CAP_CRITICAL - 60_000
        );
        state.asked_to_wait(1_000, 0, &env);
        assert_eq!(state.wait_left(env.now(), true), 1_000_000);
    }

    /// 0.1.0 wrote none down that says who asked for it.
    #[test]
    fn a_wait_of_an_earlier_version_may_be_the_server_s() {
        let written = r#"{"millis":600000,"wall":0,"uptime":0,"boot":null}"#;
        let wait: Wait = serde_json::from_str(written).expect("an earlier version's");
        assert!(wait.asked);
        assert_eq!(wait.at_most(1_000).millis, 600_000);
    }

    #[test]
    fn a_failure_does_not_shorten_what_the_server_asked_for() {
        let env = FakeEnv::new(5);
        let mut state = SyncState::default();
        state.asked_to_wait(3_600, 0, &env);
        // Somebody asks for a sync all the same, and there is no network.
        env.advance(10_000);
        state.back_off(&env);
        assert_eq!(state.wait_left(env.now(), true), 3_590_000);
        assert_eq!(state.failures, 1);
        // Once that is over, failures alone decide.
        env.advance(3_590_000);
        state.back_off(&env);
        let left = state.wait_left(env.now(), false);
        assert!((BACKOFF_BASE..=BACKOFF_CAP).contains(&left));
    }

    /// A wait of one's own that is longer was put in its place, and a critical report
    /// then cut that one short (the simulator's seed 13478).
    #[test]
    fn a_critical_report_does_not_cut_the_server_s_wait_short_after_a_failure() {
        for seed in 0..200 {
            let env = FakeEnv::new(seed);
            let mut state = SyncState {
                failures: 9,
                ..SyncState::default()
            };
            state.asked_to_wait(400, 0, &env);
            env.advance(100_000);
            state.back_off(&env);
            assert!(state.wait_left(env.now(), true) >= 300_000, "seed {seed}");
        }
    }

    #[test]
    fn files_wait_apart_and_as_long_as_the_server_asks() {
        let env = FakeEnv::new(6);
        let mut state = SyncState::default();
        for _ in 0..50 {
            state.back_off_files(None, &env);
            let left = state.files_wait_left(env.now());
            assert!((BACKOFF_BASE..=BACKOFF_CAP).contains(&left));
        }
        state.back_off_files(Some(3_600), &env);
        assert_eq!(state.files_wait_left(env.now()), 3_600_000);
        assert_eq!(state.wait_left(env.now(), false), 0);
    }

    proptest::proptest! {
        /// Whatever an answer says, and whatever an earlier version wrote down.
        #[test]
        fn nobody_silences_a_phone_for_longer_than_the_limit(
            seconds: u32,
            spread: u32,
            files: Option<u32>,
            written: u64,
            critical: bool,
            seed: u8,
        ) {
            let env = FakeEnv::new(u64::from(seed));
            let mut state = SyncState::default();
            let millis = state.asked_to_wait(seconds, spread, &env);
            proptest::prop_assert!(millis <= WAIT_MOST);
            proptest::prop_assert!(millis >= u64::from(seconds.min(limits::WAIT_SECONDS)) * 1000);
            proptest::prop_assert_eq!(state.wait_left(env.now(), critical), millis);
            state.back_off_files(files, &env);
            proptest::prop_assert!(state.files_wait_left(env.now()) <= WAIT_MOST);
            state.back_off(&env);
            env.advance(u32::try_from(WAIT_MOST).expect("fits"));
            proptest::prop_assert_eq!(state.wait_left(env.now(), critical), 0);
            proptest::prop_assert_eq!(state.files_wait_left(env.now()), 0);
            let old = Wait { asked: true, ..Wait::new(written, env.now()) };
            proptest::prop_assert!(old.left(env.now()) <= WAIT_MOST);
        }
    }

    #[test]
    fn a_server_is_never_asked_before_its_time() {
        let env = FakeEnv::new(5);
        let mut state = SyncState::default();
        for _ in 0..50 {
            let millis = state.asked_to_wait(30, 60, &env);
            assert!((30_000..=90_000).contains(&millis));
        }
    }
}
