//! Messages to observers.

pub(super) mod list;
pub(super) mod send;
