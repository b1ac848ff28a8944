//! Runs the engine: hands it what the store holds, and does what it says.

use std::collections::BTreeMap;

use protocol::{
    codes::Code,
    ids::{EntryHash, JournalId},
    receipt::Receipt,
};
use serde::{Serialize, de::DeserializeOwned};

use super::Client;
use crate::{
    engine::{Change, Command, Engine, Event, Identity, Snapshot, SyncReport, SyncState, keys},
    error::Error,
    journal::{
        delivery::{Deliveries, Standing},
        report::{Decision, KeptItem, sort_decisions},
    },
    seal::Place,
    store::{Batch, CURRENT_JOURNAL, Record, Space},
    transport::wire,
};

impl Client {
    /// Seals a value into a record.
    pub(super) fn record(
        &self,
        space: Space,
        key: &[u8],
        value: &impl Serialize,
    ) -> Result<Record, Error> {
        let plain = zeroize::Zeroizing::new(serde_json::json!(value).to_string());
        let place = Place::Record(space, key.to_vec());
        let sealed = self
            .data_key
            .seal(&place, plain.as_bytes(), self.environment.as_ref())?;
        Ok(Record {
            space,
            key: key.to_vec(),
            sealed,
        })
    }

    fn unseal<T: DeserializeOwned>(&self, record: &Record) -> Option<T> {
        let plain = self.data_key.open(
            &Place::Record(record.space, record.key.clone()),
            &record.sealed,
        )?;
        serde_json::from_slice(&plain).ok()
    }

    /// A record of [`Space::State`]. One that cannot be read counts as absent:
    /// all of them can be made again.
    pub(super) async fn state<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, Error> {
        let record = self.store.record(Space::State, key).await?;
        Ok(record.and_then(|record| self.unseal(&record)))
    }

    pub(super) async fn identity(&self) -> Result<Option<Identity>, Error> {
        self.state(keys::IDENTITY).await
    }

    pub(super) async fn sync_state(&self) -> Result<SyncState, Error> {
        Ok(self.state(keys::SYNC).await?.unwrap_or_default())
    }

    pub(super) async fn current_journal(&self) -> Result<Option<JournalId>, Error> {
        self.state(CURRENT_JOURNAL).await
    }

    pub(super) async fn deliveries(&self) -> Result<Deliveries, Error> {
        let epoch = self.sync_state().await?.epoch;
        let mut by_hash = BTreeMap::new();
        for record in self.store.records(Space::Delivery).await? {
            let hash = <[u8; 32]>::try_from(record.key.as_slice()).map(protocol::ids::EntryHash);
            if let (Ok(hash), Some(delivery)) = (hash, self.unseal(&record)) {
                by_hash.insert(hash, delivery);
            }
        }
        Ok(Deliveries { by_hash, epoch })
    }

    /// The coordinators' decisions, in the ledger's order. One that was handed
    /// back and no longer counts is left out.
    pub(super) async fn decisions(&self) -> Result<Vec<Decision>, Error> {
        let epoch = self.sync_state().await?.epoch;
        let deliveries = self.deliveries().await?;
        let overtaken = |hash: &EntryHash| {
            deliveries
                .of(hash)
                .is_some_and(|delivery| delivery.standing == Standing::Quarantined)
        };
        let records = self.store.records(Space::Item).await?;
        let items = records
            .iter()
            .filter_map(|record| self.unseal::<KeptItem>(record));
        let mut decisions: Vec<Decision> = items.filter_map(|item| Decision::read(&item)).collect();
        decisions.retain(|decision| !overtaken(&decision.hash));
        sort_decisions(&mut decisions, epoch);
        Ok(decisions)
    }

    async fn snapshot(&self, identity: Identity) -> Result<Snapshot, Error> {
        self.refresh().await?;
        let deliveries = self.deliveries().await?;
        let items = self
            .store
            .records(Space::Item)
            .await?
            .iter()
            .filter_map(|record| {
                let hash = <[u8; 32]>::try_from(record.key.as_slice()).ok()?;
                Some((EntryHash(hash), self.unseal(record)?))
            })
            .collect();
        let (current_journal, sync) = (self.current_journal().await?, self.sync_state().await?);
        let receipt = match &sync.seen_receipt {
            Some(name) => self.store.record(Space::Receipt, &name.0).await?,
            None => None,
        };
        let receipt = receipt.and_then(|record| self.unseal(&record));
        let book = self.book.borrow();
        Ok(Snapshot {
            identity,
            entries: book.entries().to_vec(),
            heads: book.heads(),
            deliveries,
            items,
            receipt,
            current_journal,
            sync,
            app: self.app.clone(),
        })
    }

    /// Writes changes at once and durably.
    pub(super) async fn apply(&self, changes: Vec<Change>) -> Result<(), Error> {
        let mut put = Vec::with_capacity(changes.len());
        let mut anchor = None;
        for change in changes {
            put.push(match change {
                Change::Identity(identity) => {
                    let record = self.record(Space::State, keys::IDENTITY, &identity)?;
                    anchor = Some(identity);
                    record
                }
                Change::Sync(sync) => self.record(Space::State, keys::SYNC, &sync)?,
                Change::CurrentJournal(journal) => {
                    self.record(Space::State, CURRENT_JOURNAL, &journal)?
                }
                Change::Delivery(hash, delivery) => {
                    self.record(Space::Delivery, &hash.0, &delivery)?
                }
                Change::Item(hash, item) => self.record(Space::Item, &hash.0, &item)?,
                Change::Receipt(compact) => {
                    self.record(Space::Receipt, &Receipt::name(&compact).0, &compact)?
                }
            });
        }
        self.store
            .apply(Batch {
                append: Vec::new(),
                put,
            })
            .await?;
        anchor.map_or(Ok(()), |identity| self.keep_anchor(&identity))
    }

    /// Runs the engine until a run is over. `None`: there was nothing to do, or
    /// a wait is on.
    pub(super) async fn drive(
        &self,
        identity: Identity,
        request: Option<Event>,
    ) -> Result<Option<SyncReport>, Error> {
        let origin = identity
            .invitation()
            .map(|invitation| invitation.origin)
            .ok_or_else(|| {
                Error::refused(
                    Code::LinkInvalid,
                    "the enrolment link is damaged; ask for a new one",
                )
            })?;
        let env = self.environment.clone();
        let mut engine = Engine::new(self.snapshot(identity).await?, self.signer.clone());
        if let Some(request) = request {
            engine.on(request, env.as_ref());
        }
        loop {
            let commands = engine.poll(env.as_ref());
            if commands.is_empty() {
                return Ok(None);
            }
            for command in commands {
                let event = match command {
                    Command::Apply(changes) => {
                        // If this fails the engine is dropped: what it believed was never durable.
                        self.apply(changes).await?;
                        continue;
                    }
                    Command::SendEnrolment(request) => {
                        let call = wire::enrolment(&origin, &request);
                        Event::Enrolment(wire::read_enrolment(self.transport.post(call).await))
                    }
                    Command::SendExchange { request, token } => {
                        let call = wire::exchange(&origin, &request, token.as_deref());
                        Event::Exchange(wire::read_exchange(self.transport.post(call).await))
                    }
                    Command::SendToken { assertion } => {
                        let call = wire::token(&origin, &assertion);
                        Event::Token(wire::read_token(self.transport.post(call).await))
                    }
                    Command::WakeAfter(_) => return Ok(None),
                    Command::Finished(report) => return Ok(Some(*report)),
                };
                engine.on(event, env.as_ref());
            }
        }
    }
}
