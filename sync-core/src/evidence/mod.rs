//! Evidence on the device: files attached to reports, sealed, until the server
//! has them and as long as the observer wants.
//!
//! | module | what it does |
//! |---|---|
//! | [`format`] | the sealed form of one file; frozen |
//! | [`files`] | what a host offers to keep files: a trait, a folder, memory |
//! | [`shelf`] | takes files in, reads parts of them, cleans up after a crash |
//! | [`picture`] | previews, and when a picture was taken |
//!
//! Invariants: an entry names a file only after its sealed bytes are durable;
//! plaintext reaches no disk; a name tells nothing about the content; nothing
//! here removes the bytes of an announced file but [`shelf::Shelf::drop_bytes`].

pub mod files;
pub mod picture;
pub mod shelf;

pub use files::{Files, FilesError, Folder, MemoryFiles};
pub use sealed::file as format;
