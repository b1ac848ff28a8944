//! The observer's side: a signed journal that is durable before anything is
//! sent, and an engine that copies to the server what it lacks.
//!
//! | module | what it does | may use |
//! |---|---|---|
//! | [`client`] | the façade an app calls; runs the engine's commands | everything below |
//! | [`engine`] | decides what to send and what an answer means; no I/O | `journal` |
//! | [`journal`] | signs entries, reads them back, tells a report's status | `seal` |
//! | [`store`] | one atomic `apply`, plus reads: SQLite and memory | – |
//! | [`courier`] | hands in a bundle that some phone packed | `transport` |
//! | [`transport`] | HTTP: wire forms, and what is not the server's answer | – |
//! | [`evidence`] | attached files, sealed; previews of pictures | `seal` |
//! | [`seal`] | the ciphertext that a store holds | – |
//! | [`host`] | the device's clocks and randomness, handed in | – |
//!
//! Invariants: an entry is durable when the call that files it returns; no
//! answer, code or upgrade removes one; a store sees ciphertext only; no clock
//! and no randomness is read outside [`host`]; reading needs no network.
//!
//! Not here yet, and where it will go: other platforms' stores, key stores and
//! transports (the traits).

pub mod client;
pub mod courier;
pub mod engine;
mod error;
pub mod evidence;
pub mod host;
pub mod journal;
mod pack;
pub mod seal;
pub mod store;
pub mod transport;

#[cfg(test)]
mod testing;

pub use client::Client;
pub use error::Error;
