//! Splitting, verifying and reading an SD-JWT without touching its bytes.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::payload::{At, Payload};
use crate::{
    encoding::{b64, from_object, unb64},
    ids::EntryHash,
    jose::{Header, JwsError, PublicKey},
    limits,
};

/// An entry in an exchange: the very texts that were encoded and signed, so
/// that the body compresses and the receiver rebuilds the signed bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WireEntry {
    /// JWS header, as text.
    pub header: String,
    /// JWS payload, as text.
    pub payload: String,
    /// Disclosures (RFC 9901 §4.2), each as text.
    #[serde(default)]
    pub disclosures: Vec<String>,
    /// Signature, base64url.
    pub signature: String,
}

impl WireEntry {
    /// Its name, whether or not it can be read.
    #[must_use]
    pub fn hash(&self) -> EntryHash {
        EntryHash::of_signing_input(signing_input(&self.header, &self.payload).as_bytes())
    }

    /// The same entry in its standard form, whether or not it can be read.
    #[must_use]
    pub fn compact(&self) -> String {
        compact(
            &self.header,
            &self.payload,
            &self.signature,
            &self.disclosures,
        )
        .0
    }
}

/// An entry in its standard form: compact SD-JWT without key binding
/// (`header.payload.signature~disclosure~…~`), split but not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SdJwt {
    compact: String,
    header: String,
    payload: String,
    disclosures: Vec<String>,
    signature: [u8; 64],
    signed: usize,
}

/// Why an entry cannot be split, verified or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not a compact SD-JWT of base64url parts holding UTF-8.
    #[error("not a well-formed entry: {0}")]
    Malformed(&'static str),
    /// Larger than [`limits::ENTRY_BYTES`] or with too many disclosures.
    #[error("larger than an entry may be")]
    TooLarge,
    /// Signature, algorithm or type are not right.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// The signed payload is not one that this version can read.
    #[error("the payload cannot be read: {0}")]
    Payload(String),
    /// A disclosure is malformed, doubled, or belongs to no digest.
    #[error("the disclosures do not fit the payload: {0}")]
    Disclosure(&'static str),
}

/// A verified entry, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// The clear payload.
    pub payload: Payload,
    /// The body with its disclosed members in place.
    pub body: Map<String, Value>,
    /// The device's clocks, unless withheld.
    pub at: Option<At>,
    /// How many digests came without their disclosure (withheld or erased).
    pub withheld: usize,
}

impl SdJwt {
    /// Parses the standard form.
    ///
    /// # Errors
    /// [`ReadError::Malformed`], [`ReadError::TooLarge`].
    pub fn parse(compact: &str) -> Result<Self, ReadError> {
        if compact.len() > limits::ENTRY_BYTES {
            return Err(ReadError::TooLarge);
        }
        let mut parts = compact
            .strip_suffix('~')
            .ok_or(ReadError::Malformed("end"))?
            .split('~');
        let jws = parts.next().ok_or(ReadError::Malformed("parts"))?;
        let (signing_input, signature) =
            jws.rsplit_once('.').ok_or(ReadError::Malformed("parts"))?;
        let (header, payload) = signing_input
            .split_once('.')
            .ok_or(ReadError::Malformed("parts"))?;
        let disclosures: Vec<String> = parts
            .map(|part| text_of(part, "disclosure"))
            .collect::<Result<_, _>>()?;
        if disclosures.len() > limits::DISCLOSURES {
            return Err(ReadError::TooLarge);
        }
        Ok(Self {
            header: text_of(header, "header")?,
            payload: text_of(payload, "payload")?,
            disclosures,
            signature: crate::encoding::unb64_array(signature)
                .ok_or(ReadError::Malformed("signature"))?,
            signed: signing_input.len(),
            compact: compact.to_owned(),
        })
    }

    /// Rebuilds the standard form from the wire form.
    ///
    /// # Errors
    /// [`ReadError::Malformed`], [`ReadError::TooLarge`].
    pub fn from_wire(wire: &WireEntry) -> Result<Self, ReadError> {
        let signature = crate::encoding::unb64_array(&wire.signature)
            .ok_or(ReadError::Malformed("signature"))?;
        Self::assemble(
            wire.header.clone(),
            wire.payload.clone(),
            wire.disclosures.clone(),
            signature,
        )
    }

    pub(super) fn assemble(
        header: String,
        payload: String,
        disclosures: Vec<String>,
        signature: [u8; 64],
    ) -> Result<Self, ReadError> {
        if disclosures.len() > limits::DISCLOSURES {
            return Err(ReadError::TooLarge);
        }
        let (compact, signed) = compact(&header, &payload, &b64(signature), &disclosures);
        if compact.len() > limits::ENTRY_BYTES {
            return Err(ReadError::TooLarge);
        }
        Ok(Self {
            compact,
            header,
            payload,
            disclosures,
            signature,
            signed,
        })
    }

    /// The standard form.
    #[must_use]
    pub fn compact(&self) -> &str {
        &self.compact
    }

    /// The wire form.
    #[must_use]
    pub fn to_wire(&self) -> WireEntry {
        WireEntry {
            header: self.header.clone(),
            payload: self.payload.clone(),
            disclosures: self.disclosures.clone(),
            signature: b64(self.signature),
        }
    }

    /// The entry's name: the hash of what is signed, not of the signature.
    #[must_use]
    pub fn hash(&self) -> EntryHash {
        EntryHash::of_signing_input(self.signing_input().as_bytes())
    }

    /// `header "." payload`, as signed.
    #[must_use]
    pub fn signing_input(&self) -> &str {
        &self.compact[..self.signed]
    }

    /// How many disclosures stand beside the payload.
    #[must_use]
    pub fn disclosure_count(&self) -> usize {
        self.disclosures.len()
    }

    /// The header's text.
    #[must_use]
    pub fn header_text(&self) -> &str {
        &self.header
    }

    /// The parsed header; says which key to verify with.
    ///
    /// # Errors
    /// [`ReadError::Malformed`].
    pub fn header(&self) -> Result<Header, ReadError> {
        from_object(self.header.as_bytes()).map_err(|_| ReadError::Malformed("header"))
    }

    /// Verifies the signature for exactly this `typ`. Disclosures are bound by
    /// their digests, which [`Self::read`] checks.
    ///
    /// # Errors
    /// [`ReadError::Jws`].
    pub fn verify(&self, key: &PublicKey, typ: &str) -> Result<(), ReadError> {
        self.verify_under(&self.header()?, key, typ)
    }

    /// As [`Self::verify`], with the header that [`Self::header`] read before.
    ///
    /// # Errors
    /// [`ReadError::Jws`].
    pub fn verify_under(
        &self,
        header: &Header,
        key: &PublicKey,
        typ: &str,
    ) -> Result<(), ReadError> {
        header.check(key, typ)?;
        key.verify(self.signing_input().as_bytes(), &self.signature)
            .map_err(|_| JwsError::Signature)?;
        Ok(())
    }

    /// Reads payload and disclosures (RFC 9901 §7.1). Says nothing about the
    /// signature: call [`Self::verify`] as well.
    ///
    /// # Errors
    /// [`ReadError::Payload`], [`ReadError::Disclosure`].
    pub fn read(&self) -> Result<Read, ReadError> {
        let payload: Payload = from_object(self.payload.as_bytes())
            .map_err(|error| ReadError::Payload(error.to_string()))?;
        if payload
            .sd_alg
            .as_deref()
            .is_some_and(|alg| alg != "sha-256")
        {
            return Err(ReadError::Payload("unsupported _sd_alg".into()));
        }
        let mut given = self.digests()?;
        let mut body = payload.body.clone();
        let body_digests = match body.remove("_sd") {
            None => Vec::new(),
            Some(digests) => Vec::<String>::deserialize(digests)
                .map_err(|_| ReadError::Disclosure("_sd is not a list of texts"))?,
        };
        unique(payload.sd.iter().chain(&body_digests))?;
        let mut withheld = 0;
        for digest in &body_digests {
            match given.remove(digest) {
                None => withheld += 1,
                Some((name, value)) => {
                    if is_reserved(&name) || body.insert(name, value).is_some() {
                        return Err(NAME_TAKEN);
                    }
                }
            }
        }
        let mut at = None;
        let mut names = self.payload_names()?;
        for digest in &payload.sd {
            match given.remove(digest) {
                None => withheld += 1,
                Some((name, value)) => {
                    if name == "at" && value.is_object() {
                        at = At::deserialize(value).ok();
                    }
                    if is_reserved(&name) || !names.insert(name) {
                        return Err(NAME_TAKEN);
                    }
                }
            }
        }
        if given.is_empty() {
            Ok(Read {
                payload,
                body,
                at,
                withheld,
            })
        } else {
            Err(ReadError::Disclosure("a disclosure belongs to no digest"))
        }
    }

    /// The same entry with only the disclosures whose name passes: for a
    /// release that withholds, or an erasure. Hash and signature stay.
    #[must_use]
    pub fn withhold(&self, keep: impl Fn(&str) -> bool) -> Self {
        let disclosures = self
            .disclosures
            .iter()
            .filter(|text| disclosure(text).is_some_and(|(name, _)| keep(&name)))
            .cloned()
            .collect();
        // Fewer disclosures are never larger, so this cannot fail.
        Self::assemble(
            self.header.clone(),
            self.payload.clone(),
            disclosures,
            self.signature,
        )
        .unwrap_or_else(|_| self.clone())
    }

    /// The names of the payload's clear members, those that this version does not know too.
    fn payload_names(&self) -> Result<HashSet<String>, ReadError> {
        serde_json::from_str::<HashMap<String, IgnoredAny>>(&self.payload)
            .map(|members| members.into_keys().collect())
            .map_err(|error| ReadError::Payload(error.to_string()))
    }

    fn digests(&self) -> Result<HashMap<String, (String, Value)>, ReadError> {
        let mut out = HashMap::with_capacity(self.disclosures.len());
        for text in &self.disclosures {
            let parsed =
                disclosure(text).ok_or(ReadError::Disclosure("not [salt, name, value]"))?;
            if out.insert(digest(text), parsed).is_some() {
                return Err(ReadError::Disclosure("a disclosure stands twice"));
            }
        }
        Ok(out)
    }
}

/// RFC 9901 §7.1: such an entry would read differently from one verifier to the next.
const NAME_TAKEN: ReadError = ReadError::Disclosure("a name is reserved or stands twice");

/// Names that SD-JWT keeps for itself.
pub(super) fn is_reserved(name: &str) -> bool {
    name == "_sd" || name == "..."
}

/// Digest of a disclosure: over its base64url form (RFC 9901 §4.2.3).
pub(super) fn digest(disclosure: &str) -> String {
    b64(Sha256::digest(b64(disclosure)))
}

pub(super) fn signing_input(header: &str, payload: &str) -> String {
    format!("{}.{}", b64(header), b64(payload))
}

/// The standard form, and how many bytes of it are signed; the signature as base64url.
fn compact(
    header: &str,
    payload: &str,
    signature: &str,
    disclosures: &[String],
) -> (String, usize) {
    let mut compact = signing_input(header, payload);
    let signed = compact.len();
    compact.push('.');
    compact.push_str(signature);
    compact.push('~');
    for disclosure in disclosures {
        compact.push_str(&b64(disclosure));
        compact.push('~');
    }
    (compact, signed)
}

fn disclosure(text: &str) -> Option<(String, Value)> {
    serde_json::from_str::<(String, String, Value)>(text)
        .ok()
        .map(|(_salt, name, value)| (name, value))
}

fn text_of(part: &str, what: &'static str) -> Result<String, ReadError> {
    unb64(part)
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or(ReadError::Malformed(what))
}

fn unique<'a>(digests: impl Iterator<Item = &'a String>) -> Result<(), ReadError> {
    let mut seen = HashSet::new();
    for digest in digests {
        if !seen.insert(digest) {
            return Err(ReadError::Disclosure("a digest stands twice"));
        }
    }
    Ok(())
}
