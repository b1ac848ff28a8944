//! Randomness from a seed that is printed, so that a failure can be repeated.
#![expect(
    clippy::disallowed_methods,
    reason = "the seed comes from the system unless it is given"
)]

use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A seeded source of chance.
#[derive(Clone, Debug)]
pub struct Chance {
    rng: ChaCha8Rng,
    /// Where it began.
    pub seed: u64,
}

impl Chance {
    /// From `SCRUTINEER_SEED`, or the system. Say [`Self::seed`] in what can fail.
    ///
    /// # Panics
    /// When the variable is not a number.
    #[must_use]
    pub fn new() -> Self {
        match std::env::var("SCRUTINEER_SEED") {
            Ok(text) => Self::seeded(text.parse().expect("SCRUTINEER_SEED is a number")),
            Err(_) => Self::seeded(rand::random::<u32>().into()),
        }
    }

    /// From a seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            seed,
        }
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.rng.random_range(0..bound.max(1))
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        let at = usize::try_from(self.below(among.len() as u64)).unwrap_or_default();
        &among[at]
    }

    /// Random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// A random UUID (version 4).
    pub fn uuid(&mut self) -> uuid::Uuid {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid()
    }

    /// In another order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            let other = usize::try_from(self.below(at as u64 + 1)).unwrap_or_default();
            list.swap(at, other);
        }
    }
}

impl Default for Chance {
    fn default() -> Self {
        Self::new()
    }
}
