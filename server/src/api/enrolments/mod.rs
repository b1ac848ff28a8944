//! Enrolment: codes are issued, and redeemed for a key.

pub(super) mod issue;
pub(super) mod redeem;
