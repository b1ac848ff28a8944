//! The map: its ground, its stations, its reports.

pub(super) mod reports;
pub(super) mod show;
pub(super) mod stations;
