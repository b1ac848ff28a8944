//! Enrolled devices.

pub(super) mod list;
pub(super) mod revoke;
