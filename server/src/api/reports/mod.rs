//! Reports: the list, one with its history, decisions, requests to erase.

pub(super) mod decide;
pub(super) mod erase;
pub(super) mod list;
pub(super) mod show;
