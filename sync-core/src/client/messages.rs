//! Messages from the coordinators.

use std::collections::BTreeSet;

use protocol::ids::EntryHash;

use super::Client;
use crate::{
    error::Error,
    journal::{message::Message, report::KeptItem},
    store::{Batch, Space},
};

impl Client {
    /// The messages that came, in the order in which they were sent.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn messages(&self) -> Result<Vec<Message>, Error> {
        let marks = self.store.records(Space::Read).await?;
        let read: BTreeSet<Vec<u8>> = marks.into_iter().map(|record| record.key).collect();
        let records = self.store.records(Space::Item).await?;
        let mut messages: Vec<Message> = records
            .iter()
            .filter_map(|record| {
                let item = self.unseal::<KeptItem>(record)?;
                Message::read(&item, read.contains(&record.key))
            })
            .collect();
        let epoch = self.sync_state().await?.epoch;
        // Those that an earlier history alone knows came before.
        messages.sort_by_key(|message| (Some(message.epoch) == epoch, message.number));
        Ok(messages)
    }

    /// Notes that these messages were read.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub async fn mark_read(&self, messages: &[EntryHash]) -> Result<(), Error> {
        if messages.is_empty() {
            return Ok(());
        }
        let put = messages
            .iter()
            .map(|hash| self.record(Space::Read, &hash.0, &true))
            .collect::<Result<_, _>>()?;
        let batch = Batch {
            put,
            ..Batch::default()
        };
        Ok(self.store.apply(batch).await?)
    }
}
