//! Entries: one signed act each, as an SD-JWT (RFC 9901).
//!
//! An entry is a JWS whose payload names the mission, the place in its journal,
//! the subject and the kind in the clear, and carries salted digests for what a
//! release may have to withhold or a law to erase: words, place, station and
//! exact times. Those fields travel beside it as disclosures. So a redacted
//! report still verifies under the observer's own signature.
//!
//! [`Draft`] builds and signs; [`SdJwt`] splits, measures and rebuilds the exact
//! bytes; [`SdJwt::verify`] and [`SdJwt::read`] turn them into a [`Read`].

mod body;
mod build;
mod caller;
mod message;
mod payload;
mod sd;

pub use body::{Attach, CheckIn, FileRef, Move, Patch, Place, ReportFields, Severity};
pub use build::{BuildError, Draft, Link};
pub use caller::Caller;
pub use message::{Audience, Message};
pub use payload::{At, Kind, Payload, Seen};
pub use sd::{Read, ReadError, SdJwt, WireEntry};

/// `typ` of an entry signed by a device.
pub const DEVICE_TYP: &str = "scrutineer-entry+sd-jwt";
/// `typ` of an entry signed by the server for a coordinator.
pub const DECISION_TYP: &str = "scrutineer-decision+sd-jwt";
