//! The stations and categories that this device holds, and what it fetches.
//!
//! A snapshot is kept whole under its hash. What has come of another one lies beside
//! it, and nobody reads that before it is whole and has the hash that was announced.

use std::collections::BTreeMap;

use protocol::{
    ids::ReferenceHash,
    limits,
    reference::{Delta, Offer, Register, Snapshot},
};
use serde::{Deserialize, Serialize};

use crate::pack::{pack, unpack};

/// A snapshot on this device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Which register.
    pub register: Register,
    /// Counts the register's versions on the server; for people.
    pub version: u64,
    /// Its name.
    pub sha256: ReferenceHash,
    /// How many lines it holds.
    pub lines: u64,
    /// Its text as gzip.
    #[serde(with = "base64url")]
    packed: Vec<u8>,
}

impl Kept {
    /// Keeps a snapshot, if it is the one of this name.
    #[must_use]
    pub fn new(snapshot: &Snapshot, version: u64, sha256: ReferenceHash) -> Option<Self> {
        let text = snapshot.text();
        if Snapshot::name(&text) != sha256 {
            return None;
        }
        Some(Self {
            register: snapshot.register(),
            version,
            sha256,
            lines: snapshot.lines().len() as u64,
            packed: pack(text.as_bytes())?,
        })
    }

    /// The snapshot; `None` if what is kept is damaged.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        let text = unpack(&self.packed, limits::REFERENCE_BYTES as u64)?;
        let text = String::from_utf8(text).ok()?;
        if Snapshot::name(&text) != self.sha256 {
            return None;
        }
        Snapshot::parse(self.register, &text).ok()
    }
}

/// A snapshot that the server has and this device fetches, with what has come of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Which register.
    pub register: Register,
    /// Its version.
    pub version: u64,
    /// Its name.
    pub sha256: ReferenceHash,
    /// Only the way to it is fetched, from this one.
    pub from: Option<ReferenceHash>,
    /// Names the bytes of which parts have come.
    #[serde(default)]
    pub etag: String,
    /// Whether they are gzip.
    #[serde(default)]
    pub gzip: bool,
    /// The bytes so far.
    #[serde(with = "base64url")]
    pub part: Vec<u8>,
}

impl Wanted {
    /// What an offer asks to be fetched.
    #[must_use]
    pub fn of(offer: &Offer, from: Option<ReferenceHash>) -> Self {
        Self {
            register: offer.register,
            version: offer.version,
            sha256: offer.sha256,
            from,
            etag: String::new(),
            gzip: false,
            part: Vec::new(),
        }
    }

    /// From the beginning.
    pub fn begin_again(&mut self) {
        self.etag.clear();
        self.part.clear();
    }

    /// Makes the snapshot of what has come, once that is everything. `kept` is what
    /// this device holds of the register. `None`: it is not what was announced.
    #[must_use]
    pub fn assemble(&self, kept: Option<&Kept>) -> Option<Kept> {
        let bytes = if self.gzip {
            unpack(&self.part, limits::REFERENCE_BYTES as u64)?
        } else {
            self.part.clone()
        };
        let snapshot = match self.from {
            None => Snapshot::parse(self.register, std::str::from_utf8(&bytes).ok()?).ok()?,
            Some(from) => {
                let delta: Delta = serde_json::from_slice(&bytes).ok()?;
                changed(kept, from, &delta)?
            }
        };
        Kept::new(&snapshot, self.version, self.sha256)
    }
}

/// What an offer's delta makes of what is kept. `None`: not what was announced.
#[must_use]
pub fn applied(offer: &Offer, kept: Option<&Kept>) -> Option<Kept> {
    let delta = offer.delta.as_ref()?;
    let snapshot = match delta.from {
        Some(from) => changed(kept, from, delta)?,
        None => {
            let mut snapshot = Snapshot::empty(offer.register);
            snapshot.apply(delta).ok()?;
            snapshot
        }
    };
    Kept::new(&snapshot, offer.version, offer.sha256)
}

fn changed(kept: Option<&Kept>, from: ReferenceHash, delta: &Delta) -> Option<Snapshot> {
    let kept = kept.filter(|kept| kept.sha256 == from)?;
    let mut snapshot = kept.snapshot()?;
    snapshot.apply(delta).ok()?;
    Some(snapshot)
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// What may be read.
    pub kept: BTreeMap<Register, Kept>,
    /// What is being fetched.
    pub wanted: BTreeMap<Register, Wanted>,
}

mod base64url {
    use protocol::encoding::{b64, unb64};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<T: Serializer>(bytes: &[u8], to: T) -> Result<T::Ok, T::Error> {
        to.serialize_str(&b64(bytes))
    }

    pub(super) fn deserialize<'de, T: Deserializer<'de>>(from: T) -> Result<Vec<u8>, T::Error> {
        let text = String::deserialize(from)?;
        unb64(&text).ok_or_else(|| T::Error::custom("not base64url"))
    }
}
