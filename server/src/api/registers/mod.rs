//! The mission's registers as a desk reads them: the newest of each, whole.

pub(super) mod categories;
pub(super) mod colleagues;
pub(super) mod rows;
pub(super) mod save;
pub(super) mod stations;
