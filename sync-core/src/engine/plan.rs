//! What to send, in which order: critical reports first, then other reports,
//! then the rest; within a report always in order of filing.

use std::{
    collections::{BTreeSet, VecDeque},
    rc::Rc,
};

use protocol::{
    arrange::arrange,
    entry::Kind,
    ids::EntryHash,
    limits,
    planted::{Fault, is as planted},
};

use crate::journal::{
    Entry,
    delivery::{Deliveries, Standing},
    files::critical_subjects,
};

/// Entries of one exchange, well below [`limits::EXCHANGE_ENTRIES`].
const BATCH_ENTRIES: usize = 200;
/// Bytes of entries of one exchange as JSON, well below [`limits::EXCHANGE_BYTES`].
pub(super) const BATCH_BYTES: usize = 512 * 1024;
/// The least that broken connections bring it down to.
pub(super) const BATCH_BYTES_LEAST: usize = 8 * 1024;
/// Lanes of entries: what belongs to critical reports, then reports, then the
/// rest; last what the server refused before.
const CRITICAL: u8 = 0;
const REPORTS: u8 = 1;
const REFUSED: u8 = 3;
/// Stuck entries offered again in one run, each alone.
const ALONE: usize = 16;

const _: () =
    assert!(BATCH_ENTRIES <= limits::EXCHANGE_ENTRIES && BATCH_BYTES < limits::EXCHANGE_BYTES);

/// The entries of one run that wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Parts of a batch that failed as a whole, to be sent first.
    parts: Vec<Vec<EntryHash>>,
    queue: VecDeque<(u8, EntryHash)>,
    /// What failed alone before: last and each for itself.
    alone: VecDeque<EntryHash>,
    max_entries: usize,
    max_bytes: usize,
}

impl Plan {
    /// Everything that the server's present history lacks, but for `skip`: entries,
    /// and what is `returned` to it, each behind what it was made on.
    pub(super) fn new(
        entries: &[Rc<Entry>],
        returned: &[(EntryHash, Option<EntryHash>)],
        deliveries: &Deliveries,
        skip: &BTreeSet<EntryHash>,
        max_bytes: usize,
    ) -> Self {
        let critical = critical_subjects(entries.iter().map(AsRef::as_ref));
        let lane = |entry: &Entry| match entry.kind() {
            _ if critical.contains(&entry.subject()) && !planted(Fault::CriticalLast) => CRITICAL,
            Kind::CheckIn => 2,
            _ => REPORTS,
        };
        let mut first: Vec<&Rc<Entry>> = Vec::new();
        let mut refused = Vec::new();
        let mut stuck = Vec::new();
        for entry in entries.iter().filter(|entry| !skip.contains(&entry.hash)) {
            match deliveries.of(&entry.hash) {
                None => first.push(entry),
                Some(delivery) => match delivery.standing {
                    Standing::Refused if planted(Fault::RefusedDropped) => {}
                    Standing::Stuck if planted(Fault::StuckDropped) => {}
                    Standing::Refused => refused.push((REFUSED, entry.hash)),
                    Standing::Stuck => stuck.push((delivery.tries, entry.hash)),
                    Standing::Delivered | Standing::Held | Standing::Quarantined => {}
                },
            }
        }
        let mut back = Vec::new();
        for (hash, base) in returned.iter().filter(|(hash, _)| !skip.contains(hash)) {
            match deliveries.of(hash) {
                None => back.push((*hash, *base, REPORTS)),
                Some(delivery) => match delivery.standing {
                    Standing::Refused => refused.push((REFUSED, *hash)),
                    Standing::Stuck if planted(Fault::StuckReturnDropped) => {}
                    Standing::Stuck => stuck.push((delivery.tries, *hash)),
                    Standing::Delivered | Standing::Held | Standing::Quarantined => {}
                },
            }
        }
        first.sort_by_key(|entry| (lane(entry), entry.position));
        let first = first
            .into_iter()
            .map(|entry| (entry.hash, lane(entry)))
            .collect();
        stuck.sort_by_key(|(tries, _)| *tries);
        Self {
            parts: Vec::new(),
            queue: arrange(first, back)
                .into_iter()
                .map(|(hash, lane)| (lane, hash))
                .chain(refused)
                .collect(),
            alone: stuck
                .into_iter()
                .map(|(_, hash)| hash)
                .take(ALONE)
                .collect(),
            max_entries: BATCH_ENTRIES,
            max_bytes,
        }
    }

    /// Takes the next batch; empty when nothing is left.
    pub(super) fn next(&mut self, size: impl Fn(&EntryHash) -> usize) -> Vec<EntryHash> {
        if let Some(part) = self.parts.pop() {
            return part;
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some((_, hash)) = self.queue.front() {
            bytes += size(hash);
            // One always goes, however large.
            if !batch.is_empty() && (bytes > self.max_bytes || batch.len() >= self.max_entries) {
                break;
            }
            batch.extend(self.queue.pop_front().map(|(_, hash)| hash));
        }
        if batch.is_empty() {
            batch.extend(self.alone.pop_front());
        }
        batch
    }

    /// Whether what comes next is of a critical report.
    pub(super) fn next_is_critical(&self) -> bool {
        self.queue
            .front()
            .is_some_and(|(lane, _)| *lane == CRITICAL)
    }

    /// Whether what is left failed alone before.
    pub(super) fn is_only_stuck(&self) -> bool {
        self.parts.is_empty() && self.queue.is_empty()
    }

    /// What is left of a batch that failed as a whole.
    pub(super) fn parts(&self) -> impl Iterator<Item = &EntryHash> {
        self.parts.iter().flatten()
    }

    /// Takes the queue of a plan that was made anew, because something was filed.
    pub(super) fn requeue(&mut self, fresh: Self) {
        self.queue = fresh.queue;
    }

    /// The batch failed as a whole: its halves come next, the first one first.
    pub(super) fn split(&mut self, mut batch: Vec<EntryHash>) {
        let second = batch.split_off(batch.len() / 2);
        self.parts.push(second);
        self.parts.push(batch);
    }

    /// The batch was too large: its halves come next, and none larger later.
    pub(super) fn halve(&mut self, batch: Vec<EntryHash>) {
        self.max_entries = (batch.len() / 2).max(1);
        self.split(batch);
    }

    /// These were not processed: they come next.
    pub(super) fn again(&mut self, batch: Vec<EntryHash>) {
        if !batch.is_empty() {
            self.parts.push(batch);
        }
    }

    /// A batch went through: the next may be larger.
    pub(super) fn grow(&mut self) {
        self.max_bytes = (self.max_bytes * 2).min(BATCH_BYTES);
    }

    /// No batch larger than this for now.
    pub(super) fn limit(&mut self, bytes: usize) {
        self.max_bytes = bytes;
    }

    pub(super) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.queue.is_empty() && self.alone.is_empty()
    }
}
