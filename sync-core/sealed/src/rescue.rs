//! The copy of a phone's data key that the mission's key holder can open: if the
//! phone loses its keys, its sealed rows and files can still be read by whom they
//! are meant for, and by nobody else.

use std::io::{self, Write as _};

use protocol::{
    encoding::{b64, unb64, unb64_array},
    entry::WireEntry,
    ids::{DeviceId, MissionId},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    age::{Recipient, Secrets, Writer},
    key::Key,
};

/// Whose data key it is, and for whom the copy.
#[derive(Clone, Debug, PartialEq)]
pub struct Owner {
    /// The mission.
    pub mission: MissionId,
    /// The device.
    pub device: DeviceId,
    /// Its enrolment as the server signed it: a server whose database is from before
    /// that learns the device's key from it.
    pub enrolment: Option<WireEntry>,
}

/// What is inside the age file.
#[derive(Serialize, Deserialize)]
struct Inside {
    v: u32,
    mission: MissionId,
    device: DeviceId,
    /// The data key, base64url.
    data: Zeroizing<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enrolment: Option<WireEntry>,
}

/// The copy as it lies beside the journal: `{"v":1,"recipient":"age1…","key":"…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// 1.
    v: u32,
    /// The mission's sealing key; needed to seal a bundle without any other key.
    recipient: String,
    /// The age file, base64url.
    key: String,
}

impl Copy {
    /// Wraps a data key; `None` if the recipient is none.
    ///
    /// # Errors
    /// The cipher's.
    pub fn new(
        recipient: &str,
        owner: &Owner,
        key: &Key,
        secrets: &Secrets,
    ) -> io::Result<Option<Self>> {
        let Some(parsed) = Recipient::parse(recipient) else {
            return Ok(None);
        };
        let inside = Inside {
            v: 1,
            mission: owner.mission,
            device: owner.device,
            data: Zeroizing::new(b64(key.bytes())),
            enrolment: owner.enrolment.clone(),
        };
        let text = Zeroizing::new(serde_json::to_string(&inside)?);
        let mut writer = Writer::new(Vec::new(), &parsed, secrets)?;
        writer.write_all(text.as_bytes())?;
        Ok(Some(Self {
            v: 1,
            recipient: recipient.trim().to_owned(),
            key: b64(writer.finish()?),
        }))
    }

    /// Reads the file; `None` if it is no such copy.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        let copy: Self = serde_json::from_slice(text).ok()?;
        (copy.v == 1 && copy.recipient().is_some() && copy.wrapped().is_some()).then_some(copy)
    }

    /// For whom it is.
    #[must_use]
    pub fn recipient(&self) -> Option<Recipient> {
        Recipient::parse(&self.recipient)
    }

    /// Whether it is for this recipient.
    #[must_use]
    pub fn is_for(&self, recipient: &str) -> bool {
        self.recipient == recipient.trim()
    }

    /// The age file.
    #[must_use]
    pub fn wrapped(&self) -> Option<Vec<u8>> {
        unb64(&self.key)
    }
}

/// Reads what the age file held; `None` if it is another thing.
#[must_use]
pub fn open(plain: &[u8]) -> Option<(Owner, Key)> {
    let inside: Inside = serde_json::from_slice(plain).ok()?;
    let key = Zeroizing::new(unb64_array(&inside.data)?);
    let owner = Owner {
        mission: inside.mission,
        device: inside.device,
        enrolment: inside.enrolment,
    };
    (inside.v == 1).then(|| (owner, Key::new(*key)))
}
