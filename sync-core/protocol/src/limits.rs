//! Every bound that both sides keep. The phone checks them before it signs;
//! the server checks them again.

/// Bytes of one entry in its standard form (compact SD-JWT).
pub const ENTRY_BYTES: usize = 64 * 1024;
/// Unicode scalar values of one text (report, reason, question, answer).
pub const TEXT_CHARS: usize = 10_000;
/// Bytes of a short code: category, station code, accreditation number.
pub const CODE_BYTES: usize = 200;
/// Entries of one exchange.
pub const EXCHANGE_ENTRIES: usize = 500;
/// Bytes of one exchange's body after decompression.
pub const EXCHANGE_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of any other request's body.
pub const REQUEST_BYTES: usize = 64 * 1024;
/// Journal heads of one exchange.
pub const EXCHANGE_JOURNALS: usize = 64;
/// Disclosures of one entry.
pub const DISCLOSURES: usize = 64;
/// Bytes of a bearer token or an assertion.
pub const TOKEN_BYTES: usize = 4 * 1024;
/// Seconds for which a device's assertion may be valid.
pub const ASSERTION_SECONDS: i64 = 300;
/// Seconds that a phone waits at most because an answer asked for it, and as many
/// again over which it may be told to spread itself.
pub const WAIT_SECONDS: u32 = 3_600;
/// Items of one answer; `more` says that others wait.
pub const EXCHANGE_ITEMS: usize = 200;
/// Bytes of one file of evidence.
pub const EVIDENCE_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Bytes of a preview.
pub const PREVIEW_BYTES: u64 = 64 * 1024;
/// Bytes of one request that carries a part of a file; larger ones are taken up to here.
pub const CHUNK_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of a snapshot's text.
pub const REFERENCE_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of the lines in all deltas of one answer; longer ones are fetched apart.
pub const REFERENCE_INLINE_BYTES: usize = 64 * 1024;
/// Registers that one exchange asks for.
pub const REFERENCE_REGISTERS: usize = 8;
/// Unicode scalar values of a message's title.
pub const TITLE_CHARS: usize = 200;
/// Codes that the audience of one message names.
pub const AUDIENCE_CODES: usize = 200;
