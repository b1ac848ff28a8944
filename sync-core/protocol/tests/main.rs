//! What holds of the wire forms: snapshots, properties, the RFCs' own vectors,
//! and what must be refused.

mod docs;
mod messages;
mod properties;
mod refusals;
mod rfc;
mod samples;
mod tamper;
mod tolerance;
mod vectors;
mod wire;
