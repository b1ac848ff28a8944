//! Setting a second factor up.

pub(super) mod confirm;
pub(super) mod offer;
