//! The rules. Functions of (request, store, now, randomness); no HTTP.

pub mod accounts;
pub mod acts;
pub mod admission;
pub mod backup;
pub mod bundles;
pub mod enrolment;
pub mod epoch;
pub mod erasure;
pub mod evidence;
pub mod export;
pub mod flags;
pub mod import;
pub mod ingest;
pub mod ledger;
pub mod messages;
pub mod missions;
pub mod rebuild;
pub mod recovery;
pub mod reference;
pub mod reports;
pub mod status;
pub mod text;
pub mod words;
