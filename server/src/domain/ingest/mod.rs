//! Ingest: parse and bound → verify strictly → group commit → answer.
//!
//! Nothing here knows actix: [`prepare`] and [`answer`] are functions of
//! (request, store, now), and the commit between them is either the
//! [`Batcher`]'s or a plain `Store::write` of [`crate::domain::ledger::append`].

mod batch;
mod exchange;
mod verify;

pub use batch::{Batch, Batcher, Committed};
pub use exchange::{Order, Prepared, add_items, answer, prepare};
pub use verify::{DeviceKey, DeviceKeys, judge};
