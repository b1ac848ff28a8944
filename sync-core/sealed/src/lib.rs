//! The sealed forms that both sides know: a phone writes them, and whoever holds
//! the mission's key opens them.
//!
//! | module | what |
//! |---|---|
//! | [`key`] | the phone's data key, and a row sealed under it |
//! | [`file`] | the sealed form of one attached file |
//! | [`age`] | writing an age file to one X25519 recipient |
//! | [`rescue`] | the copy of the data key that the mission can open |
//! | [`bundle`] | the courier's bundle: entries and files in one stream |
//!
//! Rows and files are **frozen for ever**: phones in the field hold them. No clock
//! and no randomness is read here: both are handed in. Reading age is the server's
//! part, with the `age` crate.

pub mod age;
pub mod bundle;
pub mod file;
pub mod key;
pub mod rescue;

pub use key::{Key, Row, SealError};
