//! Entries that the server once signed and phones hand back, because its history
//! was cut short: the enrolment of the device, decisions on its reports, and messages.
//!
//! Only the server's own signature lets them in, so a phone can hand back no more
//! than it was given. Whether a decision still counts is the projection's matter.

use std::collections::HashMap;

use protocol::{
    codes::Code,
    entry::{DECISION_TYP, Kind, Message, Read, SdJwt, WireEntry},
    ids::{EntryHash, MissionId},
    jose::PublicKey,
};
use serde_json::Value;

use super::verify::refusal;
use crate::{
    domain::{
        acts::MissionRef,
        ledger::{Incoming, Origin},
        status,
    },
    error::Result,
    store::{Store, missions},
};

/// One entry handed back.
#[derive(Debug)]
pub enum Returned {
    /// Not the server's own, or not of a kind that phones are given.
    Refused(EntryHash, Code),
    /// The server's own.
    Own(MissionRef, Box<Incoming>),
}

impl Returned {
    /// Whether it enrols a device.
    #[must_use]
    pub fn is_enrolment(&self) -> bool {
        matches!(self, Self::Own(_, entry) if kind(entry) == Some(&Kind::Enrol))
    }
}

fn kind(entry: &Incoming) -> Option<&Kind> {
    entry.read.as_ref().map(|read| &read.payload.kind)
}

/// Splits and verifies what a phone hands back, in order.
///
/// # Errors
/// The database's, when a mission must be looked up.
pub fn check(key: &PublicKey, store: &Store, entries: &[WireEntry]) -> Result<Vec<Returned>> {
    let mut missions: HashMap<MissionId, Option<MissionRef>> = HashMap::new();
    entries
        .iter()
        .map(|wire| {
            let (sd_jwt, read) = match open(key, wire) {
                Ok(opened) => opened,
                Err((hash, code)) => return Ok(Returned::Refused(hash, code)),
            };
            let id = read.payload.mission;
            let mission = match missions.get(&id) {
                Some(known) => *known,
                None => {
                    let found = store.read(|conn| missions::find(conn, id))?;
                    let found = found.map(|mission| mission.reference);
                    missions.insert(id, found);
                    found
                }
            };
            let hash = sd_jwt.hash();
            let (Some(mission), Some(actor)) = (mission, read.payload.actor) else {
                return Ok(Returned::Refused(hash, Code::MissionUnknown));
            };
            Ok(Returned::Own(
                mission,
                Box::new(Incoming {
                    hash,
                    sd_jwt,
                    read: Some(read),
                    verdict: None,
                    origin: Origin::Office(actor.0),
                    clock_skew: None,
                }),
            ))
        })
        .collect()
}

fn open(
    key: &PublicKey,
    wire: &WireEntry,
) -> std::result::Result<(SdJwt, Read), (EntryHash, Code)> {
    let sd_jwt = SdJwt::from_wire(wire).map_err(|error| (wire.hash(), refusal(&error)))?;
    let hash = sd_jwt.hash();
    let refuse = |code| (hash, code);
    sd_jwt
        .verify(key, DECISION_TYP)
        .map_err(|error| refuse(refusal(&error)))?;
    let read = sd_jwt.read().map_err(|error| refuse(refusal(&error)))?;
    let member = |name: &str| read.body.get(name).and_then(Value::as_str);
    let given = match read.payload.kind {
        Kind::Decide => member("to").is_some_and(|to| status::ALL.contains(&to)),
        Kind::Enrol => member("device").is_some(),
        // Phones are given all of it; one without its words would be of no use to others.
        Kind::Message => read.withheld == 0 && Message::from_body(&read.body).is_ok(),
        _ => false,
    };
    if read.payload.v == 1 && given {
        Ok((sd_jwt, read))
    } else {
        Err(refuse(Code::WrongType))
    }
}
