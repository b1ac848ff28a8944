//! The room: what its wall shows, and who went silent.

pub(super) mod show;
pub(super) mod silent;
