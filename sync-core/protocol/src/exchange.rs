//! `POST /v1/exchange`: entries up, outcomes and news down, in one round trip.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    codes::Code,
    entry::{At, Seen, WireEntry},
    ids::{EntryHash, EpochId, JournalId},
    reference::{Holding, Offer},
};

/// What a phone says of one of its journals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JournalHead {
    /// The journal.
    pub journal: JournalId,
    /// Its highest `seq`.
    pub head: u64,
    /// Entries not yet delivered once this exchange is done. A gap is a finding
    /// only when this is zero.
    pub pending: u64,
}

/// The request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ExchangeRequest))]
pub struct Request {
    /// [`crate::PROTOCOL_VERSION`] of the sender.
    pub protocol: u32,
    /// Name and version of the sending program.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub app: String,
    /// Heads of the journals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub journals: Vec<JournalHead>,
    /// The device's clocks now: tells how far they are off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<At>,
    /// Entries that the server may lack.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<WireEntry>))]
    pub entries: Vec<WireEntry>,
    /// Where the last answer's items ended; opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The ledger as the highest receipt of the present history told it: shows
    /// a server that an older state of its database was put in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub seen: Option<Seen>,
    /// The receipt itself (compact JWS): when the server asked for it, and once
    /// after its history was renewed, for the history that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// Entries that the server signed in a history that ended, handed back: the
    /// device's enrolment, decisions and messages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<WireEntry>))]
    pub returned: Vec<WireEntry>,
    /// The numbers that entries of this exchange had in a history that ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<Former>,
    /// The registers that the phone wants to have, with what it has of each. With
    /// a token alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reference: Vec<Holding>,
}

/// The number that an entry had in a history that ended, as the phone knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Former {
    /// Which entry.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub hash: EntryHash,
    /// That history.
    pub epoch: EpochId,
    /// Its ledger number there.
    pub number: u64,
}

/// What became of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// New, and durable now.
    Stored,
    /// The ledger held it before.
    AlreadyStored,
    /// Durable; waits for the entry it was written on.
    Held,
    /// Durable; a coordinator decides whether it counts.
    Quarantined,
    /// Not stored: no valid signature of an enrolled key. The phone keeps it.
    Refused,
}

impl OutcomeKind {
    /// Whether the entry is in the ledger.
    #[must_use]
    pub fn is_delivered(self) -> bool {
        !matches!(self, Self::Refused)
    }
}

/// The outcome of one entry. An entry without one was not processed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Outcome {
    /// Which entry.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub hash: EntryHash,
    /// What became of it.
    pub outcome: OutcomeKind,
    /// Its ledger number, if the ledger holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Why it is quarantined or refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub code: Option<Code>,
    /// Another entry of the same journal has this `seq`: the phone was cloned,
    /// and opens a new journal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fork: bool,
}

/// Something for the phone: a signed decision on one of its reports, or a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Item {
    /// Ledger number.
    pub number: u64,
    /// The entry as the observer may see it: reasons may be withheld.
    pub entry: WireEntry,
}

/// What the server asks of the phone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Directives {
    /// Seconds before the next exchange, at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// Seconds over which to spread it, at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<u32>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ExchangeResponse))]
pub struct Response {
    /// [`crate::PROTOCOL_VERSION`] of the server. Its presence also tells this
    /// answer from a captive portal's.
    pub protocol: u32,
    /// The server's history.
    pub epoch: EpochId,
    /// The server's time, RFC 3339.
    pub server_time: String,
    /// One for each entry processed.
    pub outcomes: Vec<Outcome>,
    /// Compact JWS of a [`crate::receipt::Receipt`], when entries are held or news come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// News, for a caller with a token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
    /// Where the items end; store it together with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// More items wait.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// What the server asks.
    #[serde(default)]
    pub directives: Directives,
    /// Set when a token came but could not be used; entries were taken anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub token: Option<Code>,
    /// The ledger does not hold what `seen` says: send the receipt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub receipt_wanted: bool,
    /// The newest snapshots of the registers that the request asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reference: Vec<Offer>,
}

impl Response {
    /// Names the news in this answer: SHA-256 of each item's number as 8 bytes,
    /// big-endian, and the SHA-256 of its entry's standard form, in order, and of the
    /// cursor's text.
    #[must_use]
    pub fn news(&self) -> EntryHash {
        let mut digest = Sha256::new();
        for item in &self.items {
            digest.update(item.number.to_be_bytes());
            digest.update(Sha256::digest(item.entry.compact()));
        }
        digest.update(self.cursor.as_deref().unwrap_or_default());
        EntryHash(digest.finalize().into())
    }
}

/// What a request is about, so that a server that cannot serve all can choose
/// before it reads, authenticates or looks anything up. A claim, as everything in
/// a request: it only orders those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Carries a critical report.
    Critical,
    /// Carries other entries.
    Text,
    /// Only reads what is new.
    News,
    /// Carries or reads files.
    Files,
}

impl Lane {
    /// All, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::Text, Self::News, Self::Files];
    /// The request header that names it, in lower case.
    pub const HEADER: &'static str = "scrutineer-lane";

    /// The name in the header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Text => "text",
            Self::News => "news",
            Self::Files => "files",
        }
    }

    /// Finds a lane by its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.name() == name)
    }
}

/// The media type of both directions.
pub const MEDIA_TYPE: &str = "application/json";
