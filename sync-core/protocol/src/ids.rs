//! Identifiers. UUIDs are random (version 4) and made where the thing is made.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::encoding::{b64, unb64_array};

macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )*};
}

uuid_id! {
    /// One organisation's observation of one election.
    MissionId;
    /// One phone database: new for every fresh one.
    JournalId;
    /// What an entry is about: a report, mostly. Made on the phone and final.
    SubjectId;
    /// One enrolled device key.
    DeviceId;
    /// One accreditation, by a random id that names nobody.
    AccreditationId;
    /// A server account, by a random id that names nobody.
    UserId;
    /// One history of a server's ledgers; renewed when a backup is restored.
    EpochId;
}

macro_rules! hash_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 32]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&b64(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = NotAHash;
            fn from_str(text: &str) -> Result<Self, NotAHash> {
                unb64_array(text).map(Self).ok_or(NotAHash)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

hash_id! {
    /// SHA-256 of an entry's JWS signing input: its name and its idempotency key.
    EntryHash;
    /// SHA-256 of a file: the name of a piece of evidence.
    FileHash;
    /// SHA-256 of a snapshot's text: the name of a version of reference data.
    ReferenceHash;
}

/// A text that is not 32 bytes in base64url.
#[derive(Debug, thiserror::Error)]
#[error("not a SHA-256 value in base64url")]
pub struct NotAHash;

impl EntryHash {
    /// Hashes a JWS signing input (RFC 7515 §5.1: `header "." payload`).
    #[must_use]
    pub fn of_signing_input(input: &[u8]) -> Self {
        Self(Sha256::digest(input).into())
    }
}
