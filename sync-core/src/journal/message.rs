//! Messages from the coordinators, as they are kept among the items that came.

use protocol::{
    entry::{Kind, SdJwt},
    ids::{EntryHash, EpochId},
};
use serde::Serialize;

use super::report::KeptItem;

/// A message, read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Its name.
    pub entry: EntryHash,
    /// Ledger number.
    pub number: u64,
    /// The server's history.
    #[serde(skip)]
    pub epoch: EpochId,
    /// When it was sent, by the server's clock.
    pub sent_at: Option<String>,
    /// To be seen at once.
    pub urgent: bool,
    /// A line above the text.
    pub title: Option<String>,
    /// The words; `None`: they were withheld.
    pub text: Option<String>,
    /// Whether it was read on this device.
    pub read: bool,
}

impl Message {
    /// Reads a kept item; `None` for another kind, or one that cannot be read.
    #[must_use]
    pub fn read(item: &KeptItem, read_already: bool) -> Option<Self> {
        let sd = SdJwt::parse(&item.compact).ok()?;
        let read = sd.read().ok()?;
        if read.payload.kind != Kind::Message {
            return None;
        }
        let text = |name: &str| {
            let value = read.body.get(name)?;
            value.as_str().map(str::to_owned)
        };
        Some(Self {
            entry: sd.hash(),
            number: item.number,
            epoch: item.epoch,
            sent_at: read.at.as_ref().map(|at| at.wall.clone()),
            urgent: read.body.get("urgent").and_then(serde_json::Value::as_bool) == Some(true),
            title: text("title"),
            text: text("text"),
            read: read_already,
        })
    }
}
