//! What the server signed and may have lost: the device's enrolment and the
//! decisions on its reports, and messages. After the server's history was renewed, it gets them
//! back, until the new history holds them.

use std::collections::BTreeMap;

use protocol::{
    codes::Code,
    entry::{SdJwt, WireEntry},
    exchange::Former,
    ids::{EntryHash, EpochId},
    planted::{Fault, is as planted},
};

use super::Snapshot;
use crate::journal::{delivery::Standing, report::KeptItem};

/// An entry to hand back.
#[derive(Clone, Debug)]
pub(super) struct Returned {
    /// As the server gave it.
    pub(super) wire: WireEntry,
    /// What it was made on.
    base: Option<EntryHash>,
    /// Its number in the history that ended; earlier servers told none of an enrolment.
    number: Option<u64>,
    /// That history.
    epoch: EpochId,
}

/// Whether the server refused an entry or a token because it does not know this device: its
/// database was put back to before the enrolment, and no receipt can prove that.
pub(super) fn is_unknown(snapshot: &Snapshot) -> bool {
    let mut deliveries = snapshot.deliveries.by_hash.values();
    let refused = deliveries.any(|delivery| {
        delivery.standing == Standing::Refused && delivery.code == Some(Code::UnknownKey)
    });
    (refused || snapshot.sync.unknown) && !planted(Fault::UnknownIgnored)
}

/// The name of the device's enrolment, if the server gave it.
pub(super) fn enrolment(snapshot: &Snapshot) -> Option<EntryHash> {
    let wire = snapshot.identity.enrolled.as_ref()?.entry.as_ref()?;
    SdJwt::from_wire(wire).ok().map(|entry| entry.hash())
}

/// Everything of an earlier history, or in doubt. What the present one holds by now is among
/// it: the plan leaves that out.
pub(super) fn find(snapshot: &Snapshot) -> BTreeMap<EntryHash, Returned> {
    let Some(now) = snapshot.sync.epoch else {
        return BTreeMap::new();
    };
    let mut found = BTreeMap::new();
    let enrolled = snapshot.identity.enrolled.as_ref();
    if let Some(enrolled) =
        enrolled.filter(|enrolled| enrolled.epoch != now || is_unknown(snapshot))
        && !planted(Fault::EnrolmentNotReturned)
        && let Some(wire) = &enrolled.entry
        && let Ok(entry) = SdJwt::from_wire(wire)
    {
        let returned = Returned {
            wire: wire.clone(),
            base: None,
            number: enrolled.number,
            epoch: enrolled.epoch,
        };
        found.insert(entry.hash(), returned);
    }
    if planted(Fault::ReturnedDropped) {
        return found;
    }
    let lacking = |item: &KeptItem| item.epoch != now || item.in_doubt;
    for (hash, item) in snapshot.items.iter().filter(|(_, item)| lacking(item)) {
        // One that cannot be read any more can prove nothing to the server either.
        let Ok(entry) = SdJwt::parse(&item.compact) else {
            continue;
        };
        let returned = Returned {
            wire: entry.to_wire(),
            base: entry.read().ok().and_then(|read| read.payload.base),
            number: Some(item.number),
            epoch: item.epoch,
        };
        found.insert(*hash, returned);
    }
    found
}

/// The enrolment first, then by number; with what each was made on.
pub(super) fn in_order(
    returned: &BTreeMap<EntryHash, Returned>,
) -> Vec<(EntryHash, Option<EntryHash>)> {
    let mut all: Vec<_> = returned.iter().collect();
    // An enrolment is made on nothing; its number may be of another history.
    all.sort_by_key(|(_, returned)| (returned.base.is_some(), returned.number));
    all.into_iter()
        .map(|(hash, returned)| (*hash, returned.base))
        .collect()
}

/// The numbers that these had in histories that ended.
pub(super) fn former(
    snapshot: &Snapshot,
    returned: &BTreeMap<EntryHash, Returned>,
    hashes: &[EntryHash],
) -> Vec<Former> {
    let now = snapshot.sync.epoch;
    hashes
        .iter()
        .filter_map(|hash| {
            let (epoch, number) = match returned.get(hash) {
                Some(returned) => (returned.epoch, returned.number?),
                None => {
                    let delivery = snapshot.deliveries.by_hash.get(hash)?;
                    (delivery.epoch?, delivery.number?)
                }
            };
            (Some(epoch) != now).then_some(Former {
                hash: *hash,
                epoch,
                number,
            })
        })
        .collect()
}
