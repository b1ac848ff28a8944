//! How often somebody may try to sign in.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use governor::{
    NotUntil, Quota, RateLimiter,
    clock::{Clock as _, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, keyed::DefaultKeyedStateStore},
};
use sha2::{Digest as _, Sha256};

use crate::clock::Host;

/// Attempts a second for all accounts together: what one core's argon2 can do.
const ALL: NonZeroU32 = NonZeroU32::new(50).unwrap();
/// Attempts between two clean-ups of accounts that nobody tries any more.
const CLEAN_UP: u32 = 1024;

#[derive(Clone)]
struct HostClock(Host);

impl governor::clock::Clock for HostClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(
            u64::try_from(self.0.now().0)
                .unwrap_or(0)
                .saturating_mul(1000),
        )
    }
}

type Middleware = NoOpMiddleware<Nanos>;

/// Counts attempts for each account and for all together.
pub struct Limiter {
    clock: HostClock,
    one: RateLimiter<[u8; 32], DefaultKeyedStateStore<[u8; 32]>, HostClock, Middleware>,
    all: RateLimiter<NotKeyed, InMemoryState, HostClock, Middleware>,
    attempts: AtomicU32,
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Limiter")
    }
}

impl Limiter {
    /// So many attempts a minute for one account.
    #[must_use]
    pub fn new(host: Host, per_minute: u32) -> Self {
        let clock = HostClock(host);
        let one = Quota::per_minute(NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN));
        let all = Quota::per_second(ALL).allow_burst(ALL.saturating_add(50));
        Self {
            one: RateLimiter::new(one, DefaultKeyedStateStore::default(), clock.clone()),
            all: RateLimiter::direct_with_clock(all, clock.clone()),
            clock,
            attempts: AtomicU32::new(0),
        }
    }

    /// Takes one attempt for this account, known or not.
    ///
    /// # Errors
    /// Seconds to wait.
    pub fn attempt(&self, account: &str) -> Result<(), u32> {
        if self.attempts.fetch_add(1, Ordering::Relaxed) % CLEAN_UP == CLEAN_UP - 1 {
            self.one.retain_recent();
        }
        let account: [u8; 32] = Sha256::digest(account).into();
        self.one
            .check_key(&account)
            .map_err(|until| self.wait(&until))?;
        self.all.check().map_err(|until| self.wait(&until))
    }

    fn wait<P: Reference + Into<Nanos>>(&self, until: &NotUntil<P>) -> u32 {
        let wait = until
            .earliest_possible()
            .into()
            .saturating_sub(self.clock.now());
        let wait = Duration::from(wait);
        u32::try_from(wait.as_secs().saturating_add(1)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    };

    use super::*;
    use crate::clock::{Clock, Micros};

    struct Hands(AtomicI64);
    impl Clock for Hands {
        fn now(&self) -> Micros {
            Micros(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn one_account_waits_and_others_do_not() {
        let hands = Arc::new(Hands(AtomicI64::new(1_790_000_000_000_000)));
        let host = Host {
            clock: hands.clone(),
            ..Host::system()
        };
        let limiter = Limiter::new(host, 10);
        for _ in 0..10 {
            limiter.attempt("a@x").unwrap();
        }
        let wait = limiter.attempt("a@x").unwrap_err();
        assert!((5..=7).contains(&wait), "{wait}");
        limiter.attempt("b@x").unwrap();
        hands
            .0
            .fetch_add(i64::from(wait) * 1_000_000, Ordering::Relaxed);
        limiter.attempt("a@x").unwrap();
    }

    #[test]
    fn all_accounts_together_are_bounded() {
        let hands = Arc::new(Hands(AtomicI64::new(1_790_000_000_000_000)));
        let limiter = Limiter::new(
            Host {
                clock: hands,
                ..Host::system()
            },
            10,
        );
        let taken = (0..1000)
            .filter(|n| limiter.attempt(&format!("{n}@x")).is_ok())
            .count();
        assert_eq!(taken, 100);
    }
}
