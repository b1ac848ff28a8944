//! Building and signing an entry.

use serde_json::{Map, Value, json};

use super::{
    payload::{At, Kind, Payload, Seen},
    sd::{ReadError, SdJwt, digest, is_reserved, signing_input},
};
use crate::{
    encoding::b64,
    ids::{EntryHash, JournalId, MissionId, SubjectId, UserId},
    jose::{Header, SignError, Signer},
};

/// Where an entry stands.
#[derive(Clone, Debug)]
pub enum Link {
    /// In a device's journal.
    Journal {
        /// The journal.
        journal: JournalId,
        /// Its place, from 1.
        seq: u64,
        /// The entry before it.
        prev: Option<EntryHash>,
        /// The last ledger state the device knew.
        seen: Option<Seen>,
    },
    /// Signed by the server for somebody.
    Actor(UserId),
}

/// An entry about to be signed.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The mission.
    pub mission: MissionId,
    /// What it is about.
    pub subject: SubjectId,
    /// What it does.
    pub kind: Kind,
    /// The subject's entry it was written on.
    pub base: Option<EntryHash>,
    /// Where it stands.
    pub link: Link,
    /// The signer's clocks.
    pub at: At,
    /// Body members in the clear.
    pub clear: Map<String, Value>,
    /// Body members to disclose apart.
    pub disclosed: Vec<(&'static str, Value)>,
}

/// Why an entry could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The key store could not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// It would break a limit.
    #[error(transparent)]
    Limit(#[from] ReadError),
}

impl Draft {
    /// Signs the entry. `salt` hands out 128 random bits a call (RFC 9901 §9.3).
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn sign(
        self,
        signer: &dyn Signer,
        salt: &mut dyn FnMut() -> [u8; 16],
    ) -> Result<SdJwt, BuildError> {
        if self.clear.keys().any(|name| is_reserved(name)) {
            return Err(ReadError::Disclosure("a clear member has a reserved name").into());
        }
        let mut conceal = |name: &str, value: Value| json!([b64(salt()), name, value]).to_string();
        let mut disclosures = vec![conceal("at", json!(self.at))];
        let sd = vec![digest(&disclosures[0])];
        let mut body = self.clear;
        let mut body_sd = Vec::with_capacity(self.disclosed.len());
        for (name, value) in self.disclosed {
            let text = conceal(name, value);
            body_sd.push(digest(&text));
            disclosures.push(text);
        }
        // Sorted, so that the order of digests does not tell which field is which (RFC 9901 §4.2.4.1).
        body_sd.sort_unstable();
        if !body_sd.is_empty() {
            body.insert("_sd".into(), json!(body_sd));
        }
        let typ = match self.link {
            Link::Journal { .. } => super::DEVICE_TYP,
            Link::Actor(_) => super::DECISION_TYP,
        };
        let (journal, seq, prev, seen, actor) = match self.link {
            Link::Journal {
                journal,
                seq,
                prev,
                seen,
            } => (Some(journal), Some(seq), prev, seen, None),
            Link::Actor(actor) => (None, None, None, None, Some(actor)),
        };
        let payload = Payload {
            v: 1,
            mission: self.mission,
            subject: self.subject,
            kind: self.kind,
            journal,
            seq,
            prev,
            base: self.base,
            actor,
            seen,
            body,
            sd,
            sd_alg: Some("sha-256".into()),
        };
        let header = Header::text(signer, typ);
        let payload = json!(payload).to_string();
        let signature = signer.sign(signing_input(&header, &payload).as_bytes())?;
        let entry = SdJwt::assemble(header, payload, disclosures, signature)?;
        // What cannot be read back must not enter a journal: it could never leave it again.
        entry.read()?;
        Ok(entry)
    }
}
