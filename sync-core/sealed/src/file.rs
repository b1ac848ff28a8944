//! The sealed form of one file. **Frozen for ever**: phones in the field hold
//! such files. A new construction gets a new `suite`.
//!
//! Suite 1, all numbers big-endian:
//!
//! | part | bytes | what |
//! |---|---|---|
//! | header | 40 | `SCREVF`, suite (1), log2 of the chunk size (16), salt (32) |
//! | chunks | 65,536 + 16 each, the last 1 to 65,536 + 16 | XChaCha20-Poly1305 |
//! | trailer | 40 + 16 | SHA-256 of the file (32), its size (8); XChaCha20-Poly1305 |
//!
//! Key (32) and nonce prefix (19) are HKDF-SHA256 (RFC 5869) of the data key
//! under the salt, with `scrutineer-evidence-file-v1`. A chunk's nonce is that of
//! the STREAM construction (<https://eprint.iacr.org/2015/189>): prefix, number
//! of the chunk (4), 1 for the last chunk and 0 for the others. The trailer has
//! the number of chunks there, and 2. The header is everybody's associated data.
//! So any chunk opens by itself, and none passes for another.

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use protocol::ids::FileHash;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::key::{Key, SealError};

/// The one construction so far.
pub const SUITE_1: u8 = 1;
/// Bytes of plaintext in a chunk.
pub const CHUNK: usize = 1 << CHUNK_LOG2;
/// Bytes of the header.
pub const HEADER: usize = 40;
/// Bytes of the trailer.
pub const TRAILER: usize = 40 + TAG;
/// Bytes of a tag.
const TAG: usize = 16;
const CHUNK_LOG2: u8 = 16;
const MAGIC: &[u8; 6] = b"SCREVF";
const INFO: &[u8] = b"scrutineer-evidence-file-v1";

/// What stands behind a nonce's number.
#[derive(Clone, Copy)]
enum Mark {
    Chunk = 0,
    LastChunk = 1,
    Trailer = 2,
}

/// What both sides compute from the header and the data key.
struct Frame {
    cipher: XChaCha20Poly1305,
    prefix: [u8; 19],
    header: [u8; HEADER],
}

impl Frame {
    fn new(key: &Key, header: [u8; HEADER]) -> Self {
        let derived: Zeroizing<[u8; 51]> = key.derive(&header[8..], &[INFO]);
        let (mut secret, mut prefix) = (Zeroizing::new([0; 32]), [0; 19]);
        secret.copy_from_slice(&derived[..32]);
        prefix.copy_from_slice(&derived[32..]);
        let secret: &[u8; 32] = &secret;
        Self {
            cipher: XChaCha20Poly1305::new(secret.into()),
            prefix,
            header,
        }
    }

    fn nonce(&self, number: u32, mark: Mark) -> XNonce {
        let mut nonce = [0; 24];
        nonce[..19].copy_from_slice(&self.prefix);
        nonce[19..23].copy_from_slice(&number.to_be_bytes());
        nonce[23] = mark as u8;
        XNonce::from(nonce)
    }

    fn seal(&self, number: u32, mark: Mark, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let payload = Payload {
            msg: plain,
            aad: &self.header,
        };
        self.cipher
            .encrypt(&self.nonce(number, mark), payload)
            .map_err(|_| SealError)
    }

    fn open(&self, number: u32, mark: Mark, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let payload = Payload {
            msg: sealed,
            aad: &self.header,
        };
        let plain = self.cipher.decrypt(&self.nonce(number, mark), payload);
        plain.ok().map(Zeroizing::new)
    }
}

/// Seals a file as a stream: memory for one chunk, whatever its size.
pub struct Sealer {
    frame: Frame,
    hash: Sha256,
    size: u64,
    number: u32,
    /// Less than a chunk, or a chunk that may be the last.
    pending: Zeroizing<Vec<u8>>,
}

impl Sealer {
    /// Begins; the salt must be fresh and random. Write [`Self::header`] first.
    #[must_use]
    pub fn new(key: &Key, salt: [u8; 32]) -> Self {
        let mut header = [0; HEADER];
        header[..6].copy_from_slice(MAGIC);
        header[6] = SUITE_1;
        header[7] = CHUNK_LOG2;
        header[8..].copy_from_slice(&salt);
        Self {
            frame: Frame::new(key, header),
            hash: Sha256::new(),
            size: 0,
            number: 0,
            pending: Zeroizing::new(Vec::with_capacity(CHUNK)),
        }
    }

    /// The first bytes of the sealed file.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        &self.frame.header
    }

    /// Bytes taken in so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next bytes of the file; what is sealed goes to `out`.
    ///
    /// # Errors
    /// [`SealError`]: the file has too many chunks.
    pub fn update(&mut self, mut plain: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        self.hash.update(plain);
        self.size += plain.len() as u64;
        while !plain.is_empty() {
            if self.pending.len() == CHUNK {
                let sealed = self.frame.seal(self.number, Mark::Chunk, &self.pending)?;
                out.extend_from_slice(&sealed);
                self.number = self.number.checked_add(1).ok_or(SealError)?;
                self.pending.clear();
            }
            let room = (CHUNK - self.pending.len()).min(plain.len());
            let (now, later) = plain.split_at(room);
            self.pending.extend_from_slice(now);
            plain = later;
        }
        Ok(())
    }

    /// Ends: the last chunk and the trailer go to `out`. Tells the file's hash.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn finish(self, out: &mut Vec<u8>) -> Result<FileHash, SealError> {
        let last = self
            .frame
            .seal(self.number, Mark::LastChunk, &self.pending)?;
        out.extend_from_slice(&last);
        let hash: [u8; 32] = self.hash.finalize().into();
        let end = [hash.as_slice(), &self.size.to_be_bytes()].concat();
        let count = self.number.checked_add(1).ok_or(SealError)?;
        out.extend_from_slice(&self.frame.seal(count, Mark::Trailer, &end)?);
        Ok(FileHash(hash))
    }
}

/// Opens parts of a sealed file.
pub struct Opener {
    frame: Frame,
    file: FileHash,
    size: u64,
}

impl Opener {
    /// Reads the header and the trailer of a sealed file of `length` bytes.
    /// `None`: another key, another suite, cut off, or changed.
    #[must_use]
    pub fn new(key: &Key, header: &[u8], trailer: &[u8], length: u64) -> Option<Self> {
        let header: [u8; HEADER] = header.try_into().ok()?;
        if &header[..6] != MAGIC || header[6] != SUITE_1 || header[7] != CHUNK_LOG2 {
            return None;
        }
        let frame = Frame::new(key, header);
        let body = length.checked_sub((HEADER + TRAILER) as u64)?;
        let count = u32::try_from(body.div_ceil((CHUNK + TAG) as u64)).ok()?;
        let end = frame.open(count, Mark::Trailer, trailer)?;
        let (hash, size) = end.split_at_checked(32)?;
        let size = u64::from_be_bytes(size.try_into().ok()?);
        let opener = Self {
            frame,
            file: FileHash(hash.try_into().ok()?),
            size,
        };
        (opener.sealed_size() == length).then_some(opener)
    }

    /// The hash of the file.
    #[must_use]
    pub fn file(&self) -> FileHash {
        self.file
    }

    /// The size of the file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Chunks; even a file of nothing has one.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.size.div_ceil(CHUNK as u64).max(1)
    }

    fn sealed_size(&self) -> u64 {
        (HEADER + TRAILER) as u64 + self.size + self.chunks() * TAG as u64
    }

    /// Where a chunk stands in the sealed file: offset and length.
    #[must_use]
    pub fn place(&self, number: u64) -> (u64, usize) {
        let whole = (CHUNK + TAG) as u64;
        let offset = HEADER as u64 + number * whole;
        let end = self.sealed_size() - TRAILER as u64;
        let length = end.saturating_sub(offset).min(whole);
        (offset, usize::try_from(length).unwrap_or(0))
    }

    /// Opens a chunk. `None`: changed, or not this one.
    #[must_use]
    pub fn chunk(&self, number: u64, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mark = if number + 1 == self.chunks() {
            Mark::LastChunk
        } else {
            Mark::Chunk
        };
        self.frame.open(u32::try_from(number).ok()?, mark, sealed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> Key {
        Key::new([3; 32])
    }

    fn seal(plain: &[u8], step: usize, salt: u8) -> (Vec<u8>, FileHash) {
        let mut sealer = Sealer::new(&key(), [salt; 32]);
        let mut out = sealer.header().to_vec();
        for part in plain.chunks(step.max(1)) {
            sealer.update(part, &mut out).expect("seals");
        }
        assert_eq!(sealer.size(), plain.len() as u64);
        let hash = sealer.finish(&mut out).expect("seals");
        (out, hash)
    }

    fn opener(key: &Key, sealed: &[u8]) -> Option<Opener> {
        let trailer = sealed.len().checked_sub(TRAILER)?;
        let (header, trailer) = (sealed.get(..HEADER)?, &sealed[trailer..]);
        Opener::new(key, header, trailer, sealed.len() as u64)
    }

    /// All chunks, or `None` if any does not open.
    fn open(sealed: &[u8]) -> Option<Vec<u8>> {
        let opener = opener(&key(), sealed)?;
        let mut plain = Vec::new();
        for number in 0..opener.chunks() {
            let (offset, length) = opener.place(number);
            let offset = usize::try_from(offset).ok()?;
            plain.extend_from_slice(&opener.chunk(number, &sealed[offset..offset + length])?);
        }
        let whole: [u8; 32] = Sha256::digest(&plain).into();
        assert_eq!(
            (FileHash(whole), plain.len() as u64),
            (opener.file(), opener.size())
        );
        Some(plain)
    }

    fn sample(size: usize) -> Vec<u8> {
        (0..size).map(|at| (at % 251).to_le_bytes()[0]).collect()
    }

    /// Phones in the field hold such files. PyNaCl or libsodium open the chunks
    /// (`crypto_aead_xchacha20poly1305_ietf_decrypt`).
    #[test]
    fn a_sealed_file_is_frozen() {
        let (small, hash) = seal(b"a short file", 5, 7);
        let (large, large_hash) = seal(&sample(2 * CHUNK + 5), 1000, 8);
        let digest: [u8; 32] = Sha256::digest(&large).into();
        insta::assert_snapshot!(format!(
            "data key {}\nfile {hash}\nsealed {}\n\n131,077 bytes, byte n is n mod 251\nfile {large_hash}\nsealed {} bytes, SHA-256 {}",
            protocol::encoding::b64([3; 32]),
            protocol::encoding::b64(&small),
            large.len(),
            protocol::encoding::b64(digest),
        ));
    }

    #[test]
    fn every_size_opens_however_it_came() {
        for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7] {
            let plain = sample(size);
            for step in [777, CHUNK, CHUNK * 2 + 1] {
                let (sealed, _) = seal(&plain, step, 1);
                assert_eq!(open(&sealed).expect("opens"), plain, "{size} in {step}");
            }
        }
    }

    #[test]
    fn what_was_changed_does_not_open() {
        let (sealed, _) = seal(&sample(2 * CHUNK + 100), CHUNK, 1);
        // Cut off: anywhere, and at the borders of chunks.
        let whole = CHUNK + TAG;
        for end in [
            0,
            HEADER,
            HEADER + whole,
            HEADER + 2 * whole,
            sealed.len() - 1,
            sealed.len() - TRAILER,
        ] {
            assert!(open(&sealed[..end]).is_none(), "cut at {end}");
        }
        // Without a chunk in the middle, and without the last.
        let without = [&sealed[..HEADER + whole], &sealed[HEADER + 2 * whole..]].concat();
        assert!(open(&without).is_none());
        let cut = [
            &sealed[..HEADER + 2 * whole],
            &sealed[sealed.len() - TRAILER..],
        ]
        .concat();
        assert!(open(&cut).is_none());
        // Reordered.
        let (first, second) = (HEADER..HEADER + whole, HEADER + whole..HEADER + 2 * whole);
        let swapped = [
            &sealed[..HEADER],
            &sealed[second],
            &sealed[first],
            &sealed[HEADER + 2 * whole..],
        ]
        .concat();
        assert!(open(&swapped).is_none());
        // Something behind it.
        assert!(open(&[sealed.as_slice(), b"x"].concat()).is_none());
        // A chunk, and a trailer, of another file.
        let (other, _) = seal(&sample(2 * CHUNK + 100), CHUNK, 2);
        let mut mixed = sealed.clone();
        mixed[HEADER..HEADER + whole].copy_from_slice(&other[HEADER..HEADER + whole]);
        assert!(open(&mixed).is_none());
        let mut mixed = sealed.clone();
        let end = sealed.len() - TRAILER;
        mixed[end..].copy_from_slice(&other[end..]);
        assert!(open(&mixed).is_none());
        assert!(opener(&Key::new([4; 32]), &sealed).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn a_flipped_bit_is_noticed(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let (mut sealed, _) = seal(&sample(CHUNK + 50), CHUNK, 1);
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert!(open(&sealed).is_none());
        }
    }
}
