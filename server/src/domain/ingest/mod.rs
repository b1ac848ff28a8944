//! Ingest: parse and bound → verify strictly → group commit → answer.
//!
//! Nothing here knows actix: [`prepare`] and [`answer`] are functions of
//! (request, store, now), and the commit between them is either the
//! [`Batcher`]'s or a plain `Store::write` of [`crate::domain::ledger::append`].

mod batch;
mod exchange;
mod news;
mod returned;
mod verify;

pub use batch::{Batch, Batcher, Committed};
pub use exchange::{Answered, Known, Order, Prepared, answer, check_form, prepare};
pub use news::add_news;
pub use returned::{Returned, check as check_returned};
pub use verify::{Checked, DeviceKey, DeviceKeys, judge};
