//! In which order the acts about reports took effect. One that was held has a lower
//! number of its own than the last that it waited for: it counts from then.

use protocol::ids::EntryHash;

use super::{Book, Entry, delivery::Deliveries, report::Decision};

/// The acts about a report.
pub(super) struct Course<'a> {
    /// The observer's.
    pub(super) entries: &'a [&'a Entry],
    /// How these stand.
    pub(super) deliveries: &'a Deliveries,
    /// The coordinators', perhaps on other reports too.
    pub(super) decisions: &'a [Decision],
}

impl Course<'_> {
    /// An act and what it was made on, the latest first. A name is a hash over its
    /// base's, so the way back ends.
    fn back(&self, from: EntryHash) -> impl Iterator<Item = EntryHash> {
        let base_of = |hash: &EntryHash| {
            let of_entry = self.entries.iter().find(|entry| entry.hash == *hash);
            let of_decision = self.decisions.iter().find(|one| one.hash == *hash);
            of_entry
                .and_then(|entry| entry.read.payload.base)
                .or_else(|| of_decision.and_then(|decision| decision.base))
        };
        std::iter::successors(Some(from), base_of)
    }

    /// Its ledger number in the present history.
    fn number(&self, hash: EntryHash) -> Option<u64> {
        let present =
            |one: &&Decision| one.hash == hash && Some(one.epoch) == self.deliveries.epoch;
        let decision = self.decisions.iter().find(present);
        let number = decision.map(|decision| decision.number);
        number.or_else(|| self.deliveries.of(&hash)?.number)
    }

    /// The ledger number at which an act took effect; `None` if the present history
    /// does not hold it.
    fn effect(&self, hash: EntryHash) -> Option<u64> {
        self.number(hash)?;
        self.back(hash).filter_map(|hash| self.number(hash)).max()
    }

    /// Whether an entry took effect after a decision.
    pub(super) fn is_later(&self, entry: EntryHash, than: &Decision) -> bool {
        let (entry_at, decision_at) = (self.effect(entry), self.effect(than.hash));
        // At once: one of the two was made on the other.
        entry_at > decision_at
            || (entry_at == decision_at && self.back(entry).any(|hash| hash == than.hash))
    }
}

/// Puts decisions into the order in which they took effect: those that the present
/// history does not hold first, and what took effect at once behind what it was made
/// on.
pub fn sort_decisions(decisions: &mut Vec<Decision>, book: &Book, deliveries: &Deliveries) {
    let place = |decision: &Decision| {
        let entries: Vec<&Entry> = book.of(decision.subject).map(AsRef::as_ref).collect();
        let course = Course {
            entries: &entries,
            deliveries,
            decisions,
        };
        let effect = course.effect(decision.hash);
        let depth = course.back(decision.hash).count();
        (effect, effect.map_or((decision.number, 0), |_| (0, depth)))
    };
    let places: Vec<_> = decisions.iter().map(place).collect();
    let mut placed: Vec<_> = places.into_iter().zip(std::mem::take(decisions)).collect();
    placed.sort_by_key(|(place, _)| *place);
    decisions.extend(placed.into_iter().map(|(_, decision)| decision));
}
