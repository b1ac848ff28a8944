//! The data key: XChaCha20-Poly1305, and HKDF for what follows from it.

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use hkdf::Hkdf;
use protocol::ids::{EntryHash, JournalId};
use sha2::Sha256;
use zeroize::Zeroizing;

/// XChaCha20-Poly1305 with a 24-byte nonce.
pub const SUITE_1: u8 = 1;

/// The cipher refused, which it does only for texts of absurd length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the row could not be sealed")]
pub struct SealError;

/// 32 bytes under which things are sealed; wiped when dropped.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// A key from its bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for wrapping them.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals under a nonce that is never used again.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(&self, aad: &[u8], nonce: [u8; 24], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let payload = Payload { msg: plain, aad };
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), payload);
        sealed.map_err(|_| SealError)
    }

    /// Opens; `None` for another key, other associated data or a changed byte.
    #[must_use]
    pub fn open(&self, aad: &[u8], nonce: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let nonce: [u8; 24] = nonce.try_into().ok()?;
        let payload = Payload { msg: sealed, aad };
        let plain = self.cipher().decrypt(&XNonce::from(nonce), payload);
        plain.ok().map(Zeroizing::new)
    }

    /// Opens a row of a journal: the entry's standard form.
    #[must_use]
    pub fn open_row(&self, row: &Row) -> Option<Zeroizing<Vec<u8>>> {
        if row.suite != SUITE_1 {
            return None;
        }
        let aad = row_aad(row.suite, row.journal, row.seq, row.hash);
        self.open(&aad, &row.nonce, &row.sealed)
    }

    /// A key or name that follows from this one: HKDF-SHA256 (RFC 5869) with
    /// `info` in parts.
    #[must_use]
    pub fn derive<const N: usize>(&self, salt: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; N]> {
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

/// A row of a journal as it lies in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The journal.
    pub journal: JournalId,
    /// Its place there.
    pub seq: u64,
    /// The entry's hash.
    pub hash: EntryHash,
    /// Which construction.
    pub suite: u8,
    /// The nonce.
    pub nonce: Vec<u8>,
    /// Ciphertext and tag.
    pub sealed: Vec<u8>,
}

/// The associated data of a row: frozen like the journal's table.
#[must_use]
pub fn row_aad(suite: u8, journal: JournalId, seq: u64, hash: EntryHash) -> Vec<u8> {
    [
        b"scrutineer-journal-row-v1".as_slice(),
        &[suite],
        journal.0.as_bytes(),
        &seq.to_be_bytes(),
        &hash.0,
    ]
    .concat()
}
