//! Cases: reports of one event.

pub(super) mod apart;
pub(super) mod join;
pub(super) mod list;
pub(super) mod show;
