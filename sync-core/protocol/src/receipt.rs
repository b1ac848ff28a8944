//! Receipts: the server's signed statement that its ledger holds entries.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    encoding::from_object,
    ids::{EntryHash, EpochId, MissionId},
    jose::{Jws, JwsError, PublicKey, SignError, Signer},
    planted::{Fault, is as planted},
};

/// `typ` of a receipt.
pub const TYP: &str = "scrutineer-receipt+jwt";

/// One entry that the ledger holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The entry.
    pub hash: EntryHash,
    /// Its ledger number.
    pub number: u64,
}

/// The ledger after a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Ledger number.
    pub number: u64,
    /// Chain value after it (see [`crate::ledger`]).
    pub chain: EntryHash,
}

/// What the server signs once the entries are durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Version of this form: 1.
    pub v: u32,
    /// The mission.
    pub mission: MissionId,
    /// The server's history.
    pub epoch: EpochId,
    /// The server's time, RFC 3339.
    pub at: String,
    /// The ledger's head when it was signed.
    pub head: Head,
    /// What it holds of this exchange.
    pub entries: Vec<Held>,
    /// Names the news of the answer that it stands in ([`crate::exchange::Response::news`]):
    /// a page that lost an item on its way is not taken for a whole one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub news: Option<EntryHash>,
}

/// Why a receipt proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// Not signed by the key that the enrolment link named.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// Signed, but not a receipt that this version reads.
    #[error("the receipt cannot be read")]
    Unreadable,
}

impl Receipt {
    /// Signs the receipt into a compact JWS.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self, signer: &dyn Signer) -> Result<String, SignError> {
        Jws::sign(signer, TYP, serde_json::json!(self).to_string().as_bytes())
    }

    /// Verifies a compact JWS and reads it.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn verify(compact: &str, key: &PublicKey) -> Result<Self, ReceiptError> {
        let jws = Jws::parse(compact)?;
        let payload = if planted(Fault::ForeignReceipt) {
            &jws.payload
        } else {
            jws.verify(key, TYP)?
        };
        let receipt: Self = from_object(payload).map_err(|_| ReceiptError::Unreadable)?;
        if receipt.v == 1 {
            Ok(receipt)
        } else {
            Err(ReceiptError::Unreadable)
        }
    }

    /// The name under which a receipt is kept: the SHA-256 of its text.
    #[must_use]
    pub fn name(compact: &str) -> EntryHash {
        EntryHash(Sha256::digest(compact).into())
    }

    /// The ledger number it states for an entry.
    #[must_use]
    pub fn number_of(&self, hash: &EntryHash) -> Option<u64> {
        self.entries
            .iter()
            .find(|held| held.hash == *hash)
            .map(|held| held.number)
    }
}
