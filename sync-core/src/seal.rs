//! Sealing: what a store holds is ciphertext. XChaCha20-Poly1305 under a
//! 32-byte data key from the host's vault, a random nonce each time, and the
//! row's own place as associated data, so that no row passes for another.
//!
//! `suite` names the construction. A new one gets a new number; rows of suite 1
//! are read for ever.

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use hkdf::Hkdf;
use protocol::ids::{EntryHash, JournalId};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{host::Environment, store::Space};

/// XChaCha20-Poly1305 with a 24-byte nonce.
pub const SUITE_1: u8 = 1;

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

/// The cipher refused, which it does only for texts of absurd length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the row could not be sealed")]
pub struct SealError;

/// The key under which rows are sealed; wiped when dropped.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey(…)")
    }
}

impl DataKey {
    /// A key from its bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
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
        let aad = place.aad(SUITE_1);
        let bytes = self
            .cipher()
            .encrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: plain,
                    aad: &aad,
                },
            )
            .map_err(|_| SealError)?;
        Ok(Sealed {
            suite: SUITE_1,
            nonce: nonce.to_vec(),
            bytes,
        })
    }

    /// Opens; `None` for another key, another place, an unknown suite or a
    /// changed byte.
    #[must_use]
    pub fn open(&self, place: &Place, sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
        if sealed.suite != SUITE_1 {
            return None;
        }
        let nonce: [u8; 24] = sealed.nonce.as_slice().try_into().ok()?;
        let aad = place.aad(sealed.suite);
        let plain = self.cipher().decrypt(
            &XNonce::from(nonce),
            Payload {
                msg: &sealed.bytes,
                aad: &aad,
            },
        );
        plain.ok().map(Zeroizing::new)
    }

    /// A key or name that follows from this one: HKDF-SHA256 (RFC 5869) with
    /// `info` in parts.
    pub(crate) fn derive<const N: usize>(&self, salt: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; N]> {
        const { assert!(N <= 255 * 32) };
        let mut out = Zeroizing::new([0; N]);
        let expanded = Hkdf::<Sha256>::new(Some(salt), &*self.0).expand_multi_info(info, &mut *out);
        debug_assert!(expanded.is_ok(), "only a longer output is refused");
        out
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        let key: &[u8; 32] = &self.0;
        XChaCha20Poly1305::new(key.into())
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
            Self::Row(journal, seq, hash) => [
                b"scrutineer-journal-row-v1".as_slice(),
                &[suite],
                journal.0.as_bytes(),
                &seq.to_be_bytes(),
                &hash.0,
            ]
            .concat(),
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
