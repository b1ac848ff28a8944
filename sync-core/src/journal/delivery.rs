//! What became of an entry, as far as the phone knows.

use protocol::{
    codes::Code,
    ids::{EntryHash, EpochId},
};
use serde::{Deserialize, Serialize};

/// How an entry stands with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// In the ledger, by a receipt.
    Delivered,
    /// In the ledger, by a receipt; waits for the entry it was written on.
    Held,
    /// In the ledger, by a receipt; a coordinator decides whether it counts.
    Quarantined,
    /// The server did not take it. Kept, and offered again.
    Refused,
    /// The server answers no request that carries it. Kept, and offered again,
    /// alone.
    Stuck,
}

impl Standing {
    /// Whether the ledger holds it.
    #[must_use]
    pub fn is_delivered(self) -> bool {
        matches!(self, Self::Delivered | Self::Held | Self::Quarantined)
    }
}

/// What became of an entry. One without this was not answered yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// How it stands.
    pub standing: Standing,
    /// Its ledger number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Why it is quarantined, refused or stuck.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The history of the server that it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<EpochId>,
    /// How often it was refused or stuck.
    #[serde(default)]
    pub tries: u32,
    /// The server may have lost it while an earlier version of this program looked on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_doubt: bool,
}

/// All deliveries known, and the server's history they are judged by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// By entry.
    pub by_hash: std::collections::BTreeMap<EntryHash, Delivery>,
    /// The server's history as last heard.
    pub epoch: Option<EpochId>,
}

impl Deliveries {
    /// How an entry stands now; `None` if it waits. What was delivered into
    /// another history waits again, and so does what is in doubt.
    #[must_use]
    pub fn of(&self, hash: &EntryHash) -> Option<&Delivery> {
        self.told(hash).filter(|delivery| !delivery.in_doubt)
    }

    /// What the server's present history last said of an entry, in doubt or not.
    #[must_use]
    pub fn told(&self, hash: &EntryHash) -> Option<&Delivery> {
        self.by_hash
            .get(hash)
            .filter(|delivery| !delivery.standing.is_delivered() || delivery.epoch == self.epoch)
    }

    /// Whether the server holds the entry, by a receipt of its present history.
    #[must_use]
    pub fn is_delivered(&self, hash: &EntryHash) -> bool {
        self.of(hash)
            .is_some_and(|delivery| delivery.standing.is_delivered())
    }
}
