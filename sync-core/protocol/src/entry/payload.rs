//! The clear part of an entry.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::ids::{EntryHash, JournalId, MissionId, SubjectId, UserId};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// What an entry does. Readers keep kinds they do not know.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$doc])* $variant,)*
            /// A kind of a later version.
            Unknown(String),
        }

        impl Kind {
            /// The name on the wire.
            #[must_use]
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Unknown(name) => name,
                }
            }
        }

        impl From<String> for Kind {
            fn from(name: String) -> Self {
                match name.as_str() {
                    $($name => Self::$variant,)*
                    _ => Self::Unknown(name),
                }
            }
        }
    };
}

kinds! {
    /// An observer's new report; or one by telephone, which the server signs for the
    /// coordinator who listened.
    File = "file";
    /// The observer corrects or completes it; or the coordinator, one by telephone.
    Amend = "amend";
    /// The observer takes it back.
    Withdraw = "withdraw";
    /// The observer answers a coordinator's question.
    Answer = "answer";
    /// The observer arrived at, or left, a station.
    CheckIn = "check_in";
    /// The observer adds a file to a report: its manifest, which goes ahead of the
    /// bytes.
    Attach = "attach";
    /// A coordinator moves a report to another status.
    Decide = "decide";
    /// A decision lets a quarantined entry in.
    Admit = "admit";
    /// A device key was bound to an accreditation.
    Enrol = "enrol";
    /// A device may file no more.
    RevokeDevice = "revoke_device";
    /// An accreditation, and so each of its devices, may file no more.
    RevokeAccreditation = "revoke_accreditation";
    /// Two people had a report's words erased.
    Erase = "erase";
    /// A coordinator tells observers something.
    Message = "message";
    /// A coordinator takes a report on, or gives it to somebody.
    Assign = "assign";
    /// A coordinator says how soon a report is to be looked at.
    Prioritise = "prioritise";
    /// A coordinator writes a note on a report, for colleagues alone.
    Note = "note";
    /// A coordinator counts a report among those of one event: to its case.
    Join = "join";
    /// A coordinator takes a report out of its case.
    Part = "part";
    /// A coordinator says that two reports are of two events, or takes that back.
    KeepApart = "keep_apart";
    /// A coordinator says that a report by telephone is told by another report too.
    Merge = "merge";
    /// A coordinator takes that back.
    Unmerge = "unmerge";
}

impl Kind {
    /// Whether a device signs this kind; the server signs the others.
    #[must_use]
    pub fn is_device(&self) -> bool {
        matches!(
            self,
            Self::File | Self::Amend | Self::Withdraw | Self::Answer | Self::CheckIn | Self::Attach
        )
    }

    /// Whether the entry is written on an earlier one and waits for it.
    #[must_use]
    pub fn needs_base(&self) -> bool {
        matches!(
            self,
            Self::Amend | Self::Withdraw | Self::Answer | Self::Attach
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// The device's own clocks when it signed: claims, from which the server
/// derives an interval. Always a disclosure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct At {
    /// Wall clock, RFC 3339. A text, because a broken clock may say anything.
    pub wall: String,
    /// Milliseconds since the device booted, where the platform tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime: Option<u64>,
    /// Names one boot of the device, so that uptimes of two can be told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<Uuid>,
}

/// The last state of the ledger that the phone knew: a lower bound in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The server's history.
    pub epoch: Uuid,
    /// Ledger number.
    pub number: u64,
    /// The chain value after that number, base64url.
    pub chain: EntryHash,
}

/// The clear payload of an entry.
///
/// A device's entry has `journal`, `seq` and (but for the first) `prev`; the
/// server's has `actor` instead. `_sd` holds the digest of `at`, and `body._sd`
/// those of the body's disclosed fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Payload {
    /// Version of the entry's form; this crate writes 1.
    pub v: u32,
    /// The mission.
    pub mission: MissionId,
    /// What the entry is about.
    pub subject: SubjectId,
    /// What it does.
    pub kind: Kind,
    /// The journal it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalId>,
    /// Its place in the journal, from 1, without gaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Hash of the journal's entry before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<EntryHash>,
    /// Hash of the subject's entry it was written on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<EntryHash>,
    /// Who decided, by a random id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<UserId>,
    /// The last ledger state known to the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// Clear fields of the body, and `_sd`.
    pub body: Map<String, Value>,
    /// Digests of top-level disclosures (RFC 9901 §4.2.4.1).
    #[serde(rename = "_sd", default, skip_serializing_if = "Vec::is_empty")]
    pub sd: Vec<String>,
    /// Digest algorithm; only `sha-256` (RFC 9901 §4.1.1).
    #[serde(rename = "_sd_alg", default, skip_serializing_if = "Option::is_none")]
    pub sd_alg: Option<String>,
}
