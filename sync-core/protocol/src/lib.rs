//! Scrutineer's wire forms, shared by phones and server.
//!
//! | module | what it holds |
//! |---|---|
//! | [`entry`] | signed entries (SD-JWT, RFC 9901): building, parsing, verifying, reading |
//! | [`exchange`], [`arrange`] | the messages of `POST /v1/exchange`, and the order of what is handed back |
//! | [`reference`] | stations and categories: snapshots, and what leads from one to the next |
//! | [`receipt`] | the server's signed statement that it holds entries |
//! | [`enrolment`], [`assertion`] | binding a device key, and asking for a token with it |
//! | [`ledger`] | the hash chain over a mission's entries |
//! | [`jose`] | keys (RFC 7517, 7638) and signatures (RFC 7515) |
//! | [`codes`], [`problem`] | every outcome and error code, and RFC 9457 answers |
//! | [`limits`] | every bound that both sides keep |
//!
//! Invariants: no I/O, no clock and no randomness of its own; signed bytes are
//! kept as they came and never serialised again; readers ignore what they do
//! not know.

pub mod arrange;
pub mod assertion;
pub mod bundle;
pub mod codes;
pub mod encoding;
pub mod enrolment;
pub mod entry;
pub mod evidence;
pub mod exchange;
pub mod ids;
pub mod jose;
pub mod ledger;
pub mod limits;
pub mod planted;
pub mod problem;
pub mod receipt;
pub mod reference;

/// The version of the exchange that this crate speaks.
pub const PROTOCOL_VERSION: u32 = 1;
