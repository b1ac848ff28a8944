//! Accreditations: the right to file.

pub(super) mod list;
pub(super) mod revoke;
