//! The hash chain over a mission's ledger.
//!
//! `chain(0) = SHA-256("scrutineer-ledger-v1" ‖ mission)` and
//! `chain(n) = SHA-256(chain(n-1) ‖ n as 8 bytes big-endian ‖ entry hash)`.
//! A chain value thus names everything before it, in its order.

use sha2::{Digest as _, Sha256};

use crate::ids::{EntryHash, MissionId};

/// One value of the chain.
pub type Chain = [u8; 32];

/// The value before a mission's first entry.
#[must_use]
pub fn genesis(mission: MissionId) -> Chain {
    Sha256::new()
        .chain_update(b"scrutineer-ledger-v1")
        .chain_update(mission.0.as_bytes())
        .finalize()
        .into()
}

/// The value after the entry with this ledger number.
#[must_use]
pub fn extend(previous: &Chain, number: u64, entry: &EntryHash) -> Chain {
    Sha256::new()
        .chain_update(previous)
        .chain_update(number.to_be_bytes())
        .chain_update(entry.0)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fixed by an independent computation (`printf … | sha256sum`), so that a
    /// change of the definition cannot pass unnoticed.
    #[test]
    fn chain_values_are_fixed() {
        let start = genesis(MissionId(uuid::Uuid::from_bytes([7; 16])));
        let next = extend(&start, 1, &EntryHash([9; 32]));
        insta::assert_snapshot!(format!(
            "{} {}",
            crate::encoding::b64(start),
            crate::encoding::b64(next)
        ));
    }

    #[test]
    fn order_and_number_matter() {
        let start = genesis(MissionId(uuid::Uuid::nil()));
        let (a, b) = (EntryHash([1; 32]), EntryHash([2; 32]));
        let ab = extend(&extend(&start, 1, &a), 2, &b);
        let ba = extend(&extend(&start, 1, &b), 2, &a);
        assert_ne!(ab, ba);
        assert_ne!(extend(&start, 1, &a), extend(&start, 2, &a));
    }
}
