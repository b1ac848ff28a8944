//! Appending to a mission's ledger and projecting what was appended.
//!
//! [`append`] is the only way in, for phones' entries and coordinators' acts
//! alike. It runs inside one `Store::write`: lock the head, look hashes up, give
//! numbers, project, write. [`project`] applies one entry after the other in
//! ledger order, so that [`crate::domain::rebuild`] arrives at the same tables.

mod append;
mod gaps;
mod late;
mod project;
mod registers;
mod replay;
#[cfg(test)]
mod tests;

pub use append::{Appended, Incoming, Origin, Outcome, append, append_carefully};
pub use gaps::{Contacted, reproject_gaps};
pub(crate) use late::read_row;
pub use project::Projector;
pub use registers::Registers;
pub use replay::replay;
