//! The receipts that are kept.

use protocol::{
    entry::Seen,
    ids::EntryHash,
    planted::{Fault, is as planted},
    receipt::Receipt,
};

use super::Client;
use crate::{
    engine::{Identity, SyncState},
    error::Error,
    store::Space,
};

impl Client {
    /// Finds the receipt that an earlier version did not name. It noted what the
    /// last one of a history said; the highest is the proof of all that the server
    /// confirmed, also after an older database was put in place meanwhile.
    pub(super) async fn find_seen_receipt(
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
        let records = self.store.records(Space::Receipt).await?;
        let kept = records.iter().filter_map(|record| {
            let compact: String = self.unseal(record)?;
            let receipt = Receipt::verify(&compact, &key).ok()?;
            let ours = identity.mission() == Some(receipt.mission);
            (ours && receipt.epoch.0 == seen.epoch).then(|| (receipt.head, Receipt::name(&compact)))
        });
        let highest: Option<(_, EntryHash)> = kept.max_by_key(|(head, _)| head.number);
        if let Some((head, name)) = highest {
            sync.seen = Some(Seen {
                epoch: seen.epoch,
                number: head.number,
                chain: head.chain,
            });
            sync.seen_receipt = Some(name);
        }
        Ok(())
    }
}
