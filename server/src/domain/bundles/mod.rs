//! The courier's bundles: a phone's undelivered entries and files in one sealed
//! file, brought by anybody.
//!
//! | module | what |
//! |---|---|
//! | [`mod@open`] | the age file: bounds before it is read, and whose key opens it |
//! | [`mod@import`] | its inside, handed to the same ingest and the same evidence as always |
//! | [`mod@receive`] | taking one in over the network, piece by piece; what waits |
//!
//! A bundle is read through to its end before anything of it is believed, and then
//! once more: nothing is imported by half, and no plaintext lies on a disk.

pub mod import;
pub mod open;
pub mod receive;

pub use import::{Imported, Importer, Refusal, Source};
pub use open::Holders;
pub use receive::Bundles;
