//! Sealing: what a store holds is ciphertext. XChaCha20-Poly1305 under a
//! 32-byte data key from the host's vault, a random nonce each time, and the
//! row's own place as associated data, so that no row passes for another.
//!
//! `suite` names the construction. A new one gets a new number; rows of suite 1
//! are read for ever.

use std::ops::Deref;

use protocol::ids::{EntryHash, JournalId};
use sealed::{Key, key::row_aad};
pub use sealed::{SealError, key::SUITE_1};
use zeroize::Zeroizing;

use crate::{host::Environment, store::Space};

/// Ciphertext and what is needed to open it, the key apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Which construction.
    pub suite: u8,
    /// The nonce.
    pub nonce: Vec<u8>,
    /// Ciphertext and tag.
    pub bytes: Vec<u8>,
}

/// The key under which rows are sealed; wiped when dropped.
#[derive(Clone, Debug)]
pub struct DataKey(Key);

/// What needs no place: sealed files, and keys that follow from this one.
impl Deref for DataKey {
    type Target = Key;

    fn deref(&self) -> &Key {
        &self.0
    }
}

impl DataKey {
    /// A key from its bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Key::new(bytes))
    }

    /// Seals under a fresh nonce.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(
        &self,
        place: &Place,
        plain: &[u8],
        env: &dyn Environment,
    ) -> Result<Sealed, SealError> {
        let mut nonce = [0_u8; 24];
        env.random(&mut nonce);
        Ok(Sealed {
            suite: SUITE_1,
            nonce: nonce.to_vec(),
            bytes: self.0.seal(&place.aad(SUITE_1), nonce, plain)?,
        })
    }

    /// Opens; `None` for another key, another place, an unknown suite or a
    /// changed byte.
    #[must_use]
    pub fn open(&self, place: &Place, sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
        if sealed.suite != SUITE_1 {
            return None;
        }
        let aad = place.aad(sealed.suite);
        self.0.open(&aad, &sealed.nonce, &sealed.bytes)
    }
}

/// Where a ciphertext belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A row of the journal. What is sealed is the entry's standard form.
    Row(JournalId, u64, EntryHash),
    /// A record of another table.
    Record(Space, Vec<u8>),
    /// The copy of the enrolment that the vault keeps.
    Anchor,
}

impl Place {
    /// The associated data. That of a journal row is frozen like its table.
    fn aad(&self, suite: u8) -> Vec<u8> {
        match self {
            Self::Row(journal, seq, hash) => row_aad(suite, *journal, *seq, *hash),
            Self::Record(space, key) => [
                b"scrutineer-record-v1".as_slice(),
                &[suite, *space as u8],
                key,
            ]
            .concat(),
            Self::Anchor => [b"scrutineer-anchor-v1".as_slice(), &[suite]].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeEnv;

    fn place() -> Place {
        Place::Row(
            JournalId(uuid::Uuid::from_bytes([1; 16])),
            7,
            EntryHash([2; 32]),
        )
    }

    /// The form of a sealed row is frozen: phones in the field hold such rows.
    /// libsodium opens these bytes (`crypto_aead_xchacha20poly1305_ietf_decrypt`).
    #[test]
    fn a_sealed_row_is_frozen() {
        let sealed =
            DataKey::new([3; 32]).seal(&place(), b"header.payload.signature~", &FakeEnv::new(1));
        let sealed = sealed.expect("short texts seal");
        insta::assert_snapshot!(format!(
            "suite {}\nnonce {}\nbytes {}\naad {}",
            sealed.suite,
            protocol::encoding::b64(&sealed.nonce),
            protocol::encoding::b64(&sealed.bytes),
            protocol::encoding::b64(place().aad(1)),
        ));
    }

    #[test]
    fn only_the_same_key_and_place_open_it() {
        let (env, key) = (FakeEnv::new(2), DataKey::new([3; 32]));
        let sealed = key.seal(&place(), b"words", &env).expect("seals");
        assert_eq!(
            key.open(&place(), &sealed).as_deref().map(Vec::as_slice),
            Some(b"words".as_slice())
        );
        assert!(DataKey::new([4; 32]).open(&place(), &sealed).is_none());
        let Place::Row(journal, seq, hash) = place() else {
            unreachable!()
        };
        assert!(
            key.open(&Place::Row(journal, seq + 1, hash), &sealed)
                .is_none()
        );
        assert!(
            key.open(&Place::Row(journal, seq, EntryHash([9; 32])), &sealed)
                .is_none()
        );
        assert!(
            key.open(&Place::Record(Space::State, b"x".to_vec()), &sealed)
                .is_none()
        );
        for at in 0..sealed.bytes.len() {
            let mut broken = sealed.clone();
            broken.bytes[at] ^= 1;
            assert!(key.open(&place(), &broken).is_none());
        }
        assert!(key.open(&place(), &Sealed { suite: 2, ..sealed }).is_none());
    }

    #[test]
    fn a_text_sealed_twice_differs() {
        let (env, key) = (FakeEnv::new(2), DataKey::new([3; 32]));
        assert_ne!(
            key.seal(&place(), b"x", &env),
            key.seal(&place(), b"x", &env)
        );
    }
}
