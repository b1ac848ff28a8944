//! What an earlier version of the program left: 0.1.0 noted what the last receipt of a
//! history said, and not which was the highest, so it noticed no older database that
//! was put in place, and let it grow beyond what the phone could prove.

use std::collections::BTreeMap;

use protocol::{
    entry::Seen,
    ids::{EntryHash, EpochId},
    planted::{Fault, is as planted},
    receipt::Receipt,
};

use super::Client;
use crate::{
    engine::{Change, Identity, Proof, SyncState},
    error::Error,
    journal::{delivery::Delivery, files::Upload, report::KeptItem},
    store::Space,
};

impl Client {
    /// If an earlier version ran since the last time: finds the receipts that it did
    /// not name, and puts in doubt whatever the present history is said to hold. That
    /// is offered once more, and read once more; what is there costs little.
    pub(super) async fn follow_earlier_version(&self, identity: &Identity) -> Result<(), Error> {
        let mut sync = self.sync_state().await?;
        if !self.find_seen_receipts(identity, &mut sync).await? {
            return Ok(());
        }
        let mut changes = self.put_in_doubt(sync.epoch).await?;
        sync.cursor = None;
        changes.push(Change::Sync(sync));
        self.apply(changes).await
    }

    /// Whatever this history is said to hold, as in doubt.
    async fn put_in_doubt(&self, epoch: Option<EpochId>) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        for (hash, delivery) in self.deliveries().await?.by_hash {
            if delivery.epoch == epoch && delivery.standing.is_delivered() {
                let in_doubt = Delivery {
                    in_doubt: true,
                    ..delivery
                };
                changes.push(Change::Delivery(hash, in_doubt));
            }
        }
        for record in self.store.records(Space::Item).await? {
            let hash = <[u8; 32]>::try_from(record.key.as_slice()).map(EntryHash);
            if let (Ok(hash), Some(item)) = (hash, self.unseal::<KeptItem>(&record))
                && Some(item.epoch) == epoch
            {
                let in_doubt = KeptItem {
                    in_doubt: true,
                    ..item
                };
                changes.push(Change::Item(hash, in_doubt));
            }
        }
        for upload in self.uploads().await?.by_file.into_values() {
            changes.push(Change::Upload(Upload {
                epoch: None,
                ..upload
            }));
        }
        Ok(changes)
    }

    /// The highest receipt of each history is the proof of all that the server
    /// confirmed. Whether there was one to find.
    async fn find_seen_receipts(
        &self,
        identity: &Identity,
        sync: &mut SyncState,
    ) -> Result<bool, Error> {
        let (Some(seen), None) = (&sync.seen, &sync.seen_receipt) else {
            return Ok(false);
        };
        let Some(key) = identity
            .receipt_key()
            .filter(|_| !planted(Fault::OldReceiptIgnored))
        else {
            return Ok(false);
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
        let Some((_, proof)) = highest.remove(&seen.epoch) else {
            return Ok(false);
        };
        sync.seen = Some(proof.seen);
        sync.seen_receipt = Some(proof.receipt);
        let mut earlier: Vec<_> = highest.into_values().collect();
        earlier.sort_by(|(one, _), (other, _)| one.cmp(other));
        sync.earlier = earlier.into_iter().map(|(_, proof)| proof).collect();
        Ok(true)
    }
}
