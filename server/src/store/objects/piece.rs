//! The pieces of an unfinished upload.

use object_store::{PutPayload, PutPayloadMut};

/// Bytes of one piece: what an upload holds in memory, and what a crash of the
/// server costs at most.
pub(super) const PIECE_BYTES: usize = 1024 * 1024;
/// A piece is gathered in blocks of one size, which the allocator gives out again at
/// once: whole pieces, made in one thread and freed in another, stayed with it.
const BLOCK_BYTES: usize = 64 * 1024;

/// A part of an upload that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where in the file it begins.
    pub start: u64,
    /// Its bytes.
    pub length: u64,
}

impl Piece {
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.length)
    }
}

/// A piece that is being gathered from what comes.
#[derive(Debug)]
pub struct PieceBuffer(PutPayloadMut);

impl Default for PieceBuffer {
    fn default() -> Self {
        Self(PutPayloadMut::new().with_block_size(BLOCK_BYTES))
    }
}

impl PieceBuffer {
    /// Takes bytes until the piece is full. Answers what is left of them.
    pub fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let free = PIECE_BYTES - self.0.content_length();
        let (taken, left) = bytes.split_at(free.min(bytes.len()));
        for block in taken.chunks(BLOCK_BYTES) {
            self.0.extend_from_slice(block);
        }
        left
    }

    /// Its bytes so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.content_length() as u64
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it takes no more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.content_length() >= PIECE_BYTES
    }
}

impl From<PieceBuffer> for PutPayload {
    fn from(piece: PieceBuffer) -> Self {
        piece.0.freeze()
    }
}

/// The pieces that make up the beginning of a file without a hole, each with the
/// bytes of it to leave out: two servers may have stored pieces that overlap.
pub(super) fn chain(pieces: &[Piece]) -> Vec<(Piece, u64)> {
    let mut pieces = pieces.to_vec();
    pieces.sort_by_key(|piece| (piece.start, std::cmp::Reverse(piece.length)));
    let (mut at, mut chain) = (0, Vec::new());
    for piece in pieces {
        if piece.start <= at && piece.end() > at {
            let skip = at - piece.start;
            at = piece.end();
            chain.push((piece, skip));
        }
    }
    chain
}

/// How many bytes from the beginning on are there.
#[must_use]
pub fn covered(pieces: &[Piece]) -> u64 {
    chain(pieces).last().map_or(0, |(piece, _)| piece.end())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // each is megabytes
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn a_piece_holds_what_was_put_in(
            chunks in prop::collection::vec(0_usize..300_000, 1..20)
        ) {
            let sent: Vec<u8> = (0..=250).cycle().take(chunks.iter().sum()).collect();
            let (mut stored, mut piece, mut from) = (Vec::new(), PieceBuffer::default(), 0);
            for length in chunks {
                let mut rest = &sent[from..from + length];
                from += length;
                while !rest.is_empty() {
                    rest = piece.fill(rest);
                    if piece.is_full() {
                        prop_assert_eq!(piece.len(), PIECE_BYTES as u64);
                        let payload = PutPayload::from(std::mem::take(&mut piece));
                        payload.iter().for_each(|block| stored.extend_from_slice(block));
                    }
                }
            }
            let payload = PutPayload::from(piece);
            payload.iter().for_each(|block| stored.extend_from_slice(block));
            prop_assert_eq!(stored, sent);
        }
    }

    fn pieces(of: &[(u64, u64)]) -> Vec<Piece> {
        of.iter()
            .map(|&(start, length)| Piece { start, length })
            .collect()
    }

    #[test]
    fn an_offset_ends_at_the_first_hole() {
        for (of, offset) in [
            (&[][..], 0),
            (&[(0, 10)], 10),
            (&[(1, 10)], 0),
            (&[(10, 5), (0, 10)], 15),
            (&[(0, 10), (11, 5)], 10),
            (&[(0, 10), (0, 4), (4, 2), (8, 9)], 17),
            (&[(0, 10), (0, u64::MAX), (5, u64::MAX)], u64::MAX),
        ] {
            assert_eq!(covered(&pieces(of)), offset, "{of:?}");
        }
    }

    #[test]
    fn overlapping_pieces_give_each_byte_once() {
        let chain = chain(&pieces(&[(0, 10), (6, 2), (8, 9), (0, 4)]));
        let bytes: u64 = chain.iter().map(|(piece, skip)| piece.length - skip).sum();
        assert_eq!(bytes, 17);
    }
}
