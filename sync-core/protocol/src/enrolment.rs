//! Enrolment: one device key bound to one accreditation with a one-time code.
//!
//! The link is `ORIGIN/enrol#code=…&mission=…&key=…`. What follows `#` stays out
//! of requests and logs; `key` is the thumbprint of the server's receipt key, so
//! that a phone knows whose answer it reads.

use serde::{Deserialize, Serialize};

use crate::{
    encoding::from_object,
    entry::WireEntry,
    ids::{DeviceId, EpochId, MissionId},
    jose::{Jwk, Jws, JwsError, PublicKey, SignError, Signer},
};

/// `typ` of the proof that the device holds the key.
pub const TYP: &str = "scrutineer-enrolment+jwt";

/// What a link carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Scheme, host and port of the server.
    pub origin: String,
    /// The one-time code: 128 bits, base32.
    pub code: String,
    /// The mission, so that an observer may file before the server is reached.
    pub mission: MissionId,
    /// Thumbprint of the server's receipt key.
    pub key: String,
}

impl Invitation {
    /// The link.
    #[must_use]
    pub fn to_url(&self) -> String {
        format!(
            "{}/enrol#code={}&mission={}&key={}",
            self.origin, self.code, self.mission, self.key
        )
    }

    /// Reads a link; `None` if a part is missing or malformed.
    #[must_use]
    pub fn from_url(url: &str) -> Option<Self> {
        let (address, fragment) = url.trim().split_once('#')?;
        let origin = address.strip_suffix("/enrol")?;
        if !(origin.starts_with("https://") || origin.starts_with("http://")) {
            return None;
        }
        let member = |name: &str| {
            fragment
                .split('&')
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
                .map(str::to_owned)
        };
        let key = member("key").filter(|key| crate::encoding::unb64_array::<32>(key).is_some())?;
        Some(Self {
            origin: origin.to_owned(),
            code: member("code").filter(|code| !code.is_empty())?,
            mission: member("mission")?.parse().ok()?,
            key,
        })
    }
}

/// `POST /v1/enrolments`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = EnrolmentRequest))]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The one-time code.
    pub code: String,
    /// The device's public key.
    pub key: Jwk,
    /// Compact JWS of a [`Proof`] under that key.
    pub proof: String,
}

/// What the device signs to show that it holds the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The code, so that the proof serves once.
    pub code: String,
    /// Thumbprint of the receipt key that the link named: the server meant.
    pub aud: String,
}

/// The mission as a phone needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Mission {
    /// The mission.
    pub id: MissionId,
    /// Its name.
    pub name: String,
    /// The election.
    pub election: String,
    /// IANA time zone of the stations.
    pub timezone: String,
}

/// The answer. The same code with the same key gets the same answer again: a
/// lost answer costs nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = EnrolmentResponse))]
pub struct Response {
    /// The device, as the server names it.
    pub device: DeviceId,
    /// The mission.
    pub mission: Mission,
    /// The accreditation's number.
    pub accreditation: String,
    /// The server's receipt key; its thumbprint must be the link's.
    pub receipt_key: Jwk,
    /// The mission's sealing key: an age X25519 recipient (`age1…`).
    pub sealing_key: String,
    /// The server's history.
    pub epoch: EpochId,
    /// The server's time, RFC 3339.
    pub server_time: String,
    /// The enrolment's own ledger entry: kept, and handed back should the server
    /// lose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<WireEntry>,
    /// That entry's ledger number: told with it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
}

impl Proof {
    /// Signs the proof into a compact JWS.
    ///
    /// # Errors
    /// When the key store cannot sign.
    pub fn sign(&self, signer: &dyn Signer) -> Result<String, SignError> {
        Jws::sign(signer, TYP, serde_json::json!(self).to_string().as_bytes())
    }

    /// Verifies a compact JWS under the device's key.
    ///
    /// # Errors
    /// [`JwsError`].
    pub fn verify(compact: &str, key: &PublicKey) -> Result<Self, JwsError> {
        let jws = Jws::parse(compact)?;
        from_object(jws.verify(key, TYP)?).map_err(|_| JwsError::Malformed("payload"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_round_trip() {
        let invitation = Invitation {
            origin: "http://127.0.0.1:8080".into(),
            code: "ABCDEFGHJKMNPQRSTVWXYZ2345".into(),
            mission: MissionId(uuid::Uuid::from_bytes([3; 16])),
            key: crate::encoding::b64([5_u8; 32]),
        };
        assert_eq!(Invitation::from_url(&invitation.to_url()), Some(invitation));
    }

    #[test]
    fn broken_links_are_none() {
        for url in [
            "",
            "https://x/enrol",
            "https://x/enrol#code=A",
            "ftp://x/enrol#code=A",
            "https://x#code=A&key=B",
        ] {
            assert_eq!(Invitation::from_url(url), None, "{url}");
        }
    }
}
