//! The receipts that are kept.

use std::collections::BTreeMap;

use protocol::{
    entry::Seen,
    planted::{Fault, is as planted},
    receipt::Receipt,
};

use super::Client;
use crate::{
    engine::{Identity, Proof, SyncState},
    error::Error,
    store::Space,
};

impl Client {
    /// Finds the receipts that an earlier version did not name. It noted what the
    /// last one of a history said; the highest is the proof of all that the server
    /// confirmed, also after an older database was put in place meanwhile.
    pub(super) async fn find_seen_receipts(
        &self,
        identity: &Identity,
        sync: &mut SyncState,
    ) -> Result<(), Error> {
        let (Some(seen), None) = (&sync.seen, &sync.seen_receipt) else {
            return Ok(());
        };
        let Some(key) = identity
            .receipt_key()
            .filter(|_| !planted(Fault::OldReceiptIgnored))
        else {
            return Ok(());
        };
        let mut highest = BTreeMap::new();
        for record in self.store.records(Space::Receipt).await? {
            let Some(compact) = self.unseal::<String>(&record) else {
                continue;
            };
            let receipt = Receipt::verify(&compact, &key).ok();
            let ours = |receipt: &Receipt| identity.mission() == Some(receipt.mission);
            let Some(receipt) = receipt.filter(ours) else {
                continue;
            };
            let seen = Seen {
                epoch: receipt.epoch.0,
                number: receipt.head.number,
                chain: receipt.head.chain,
            };
            let proof = Proof {
                seen,
                receipt: Receipt::name(&compact),
            };
            let best = highest
                .entry(receipt.epoch.0)
                .or_insert_with(|| (receipt.at.clone(), proof.clone()));
            if best.1.seen.number < proof.seen.number {
                *best = (receipt.at, proof);
            }
        }
        if let Some((_, proof)) = highest.remove(&seen.epoch) {
            sync.seen = Some(proof.seen);
            sync.seen_receipt = Some(proof.receipt);
            let mut earlier: Vec<_> = highest.into_values().collect();
            earlier.sort_by(|(one, _), (other, _)| one.cmp(other));
            sync.earlier = earlier.into_iter().map(|(_, proof)| proof).collect();
        }
        Ok(())
    }
}
