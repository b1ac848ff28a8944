//! Runs the engine: hands it what the store holds, and does what it says.

use std::collections::BTreeMap;

use protocol::{
    codes::Code,
    ids::{EntryHash, FileHash, JournalId},
    receipt::Receipt,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{Client, KeepEvidence, SendFiles};
use crate::{
    engine::{Change, Command, Engine, Event, Identity, Snapshot, SyncReport, SyncState, keys},
    error::Error,
    evidence::shelf,
    journal::{
        course::sort_decisions,
        delivery::{Deliveries, Standing},
        files::{FilesNow, Upload, Uploads},
        report::{Decision, KeptItem},
    },
    seal::Place,
    store::{Batch, CURRENT_JOURNAL, Record, Space},
    transport::{reference, tus, wire},
};

/// How a sync is done.
#[derive(Clone, Copy, Default)]
pub struct SyncOptions<'a> {
    /// Reports alone this time, whatever the settings say.
    pub no_files: bool,
    /// Told after each part of a file.
    pub progress: Option<&'a dyn Fn(FileProgress)>,
}

/// How far a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileProgress {
    /// The file.
    pub file: FileHash,
    /// Bytes that the server has.
    pub sent: u64,
    /// Bytes in all.
    pub size: u64,
}

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

    pub(super) fn unseal<T: DeserializeOwned>(&self, record: &Record) -> Option<T> {
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

    /// The coordinators' decisions, in the order in which they took effect. One that
    /// was handed back and does not count is left out.
    pub(super) async fn decisions(&self) -> Result<Vec<Decision>, Error> {
        let deliveries = self.deliveries().await?;
        let counts = |item: &KeptItem, decision: &Decision| {
            let told = deliveries.of(&decision.hash);
            match told.map(|delivery| delivery.standing) {
                Some(Standing::Quarantined) => false,
                // It may wait for what it was made on, which may be set aside. Once
                // it counts it comes as news.
                Some(Standing::Held) => Some(item.epoch) == deliveries.epoch && !item.in_doubt,
                _ => true,
            }
        };
        let records = self.store.records(Space::Item).await?;
        let items = records
            .iter()
            .filter_map(|record| self.unseal::<KeptItem>(record));
        let mut decisions: Vec<Decision> = items
            .filter_map(|item| Decision::read(&item).filter(|decision| counts(&item, decision)))
            .collect();
        sort_decisions(&mut decisions, &self.book.borrow(), &deliveries);
        Ok(decisions)
    }

    pub(super) async fn uploads(&self) -> Result<Uploads, Error> {
        let epoch = self.sync_state().await?.epoch;
        let records = self.store.records(Space::Upload).await?;
        let uploads = records
            .iter()
            .filter_map(|record| self.unseal::<Upload>(record));
        Ok(Uploads {
            by_file: uploads.map(|upload| (upload.file, upload)).collect(),
            epoch,
        })
    }

    /// What is known of the files that the journal announces.
    pub(super) async fn files_now(&self) -> Result<FilesNow, Error> {
        let uploads = self.uploads().await?;
        let names = self.files.names().await?;
        let announced = self.book.borrow().files();
        let here = announced
            .into_iter()
            .filter(|file| names.contains(&shelf::name(&self.data_key, file)))
            .collect();
        Ok(FilesNow { uploads, here })
    }

    async fn snapshot(
        &self,
        identity: Identity,
        options: &SyncOptions<'_>,
    ) -> Result<Snapshot, Error> {
        self.refresh().await?;
        self.follow_earlier_version(&identity).await?;
        let settings = self.settings().await?;
        let FilesNow { uploads, here } = self.files_now().await?;
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
        let references = self.references().await?;
        let (current_journal, sync) = (self.current_journal().await?, self.sync_state().await?);
        let mut receipts = BTreeMap::new();
        let earlier = sync.earlier.iter().map(|proof| &proof.receipt);
        for name in sync.seen_receipt.iter().chain(earlier) {
            let record = self.store.record(Space::Receipt, &name.0).await?;
            if let Some(compact) = record.and_then(|record| self.unseal(&record)) {
                receipts.insert(*name, compact);
            }
        }
        let book = self.book.borrow();
        Ok(Snapshot {
            identity,
            entries: book.entries().to_vec(),
            heads: book.heads(),
            deliveries,
            uploads,
            here,
            send_files: settings.files == SendFiles::Always && !options.no_files,
            drop_bytes: settings.keep_evidence == KeepEvidence::UntilDurable,
            items,
            references,
            receipts,
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
                Change::Upload(upload) => {
                    let key = shelf::record_key(&self.data_key, &upload.file);
                    self.record(Space::Upload, &*key, &upload)?
                }
                Change::Reference(kept) => {
                    self.record(Space::Reference, kept.register.name().as_bytes(), &kept)?
                }
                Change::Wanted(register, wanted) => self.record(
                    Space::Reference,
                    &super::reference::part_key(register),
                    &wanted,
                )?,
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
        options: &SyncOptions<'_>,
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
        let snapshot = self.snapshot(identity, options).await?;
        let mut known = snapshot.entries.len();
        let mut engine = Engine::new(snapshot, self.signer.clone());
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
                        let progress = changes.iter().find_map(file_progress);
                        self.apply(changes).await?;
                        if let Some((tell, progress)) = options.progress.zip(progress) {
                            tell(progress);
                        }
                        continue;
                    }
                    Command::SendEnrolment(request) => {
                        let call = wire::enrolment(&origin, &request);
                        let answer = wire::read_enrolment(self.transport.send(call).await);
                        Event::Enrolment(answer.map(Box::new))
                    }
                    Command::SendExchange { request, token } => {
                        let call = wire::exchange(&origin, &request, token.as_deref());
                        Event::Exchange(wire::read_exchange(self.transport.send(call).await))
                    }
                    Command::SendToken { assertion } => {
                        let call = wire::token(&origin, &assertion);
                        Event::Token(wire::read_token(self.transport.send(call).await))
                    }
                    Command::AskOffset { file, token } => {
                        let call = tus::ask_offset(&origin, &file, &token);
                        Event::Offset(tus::read_offset(self.transport.send(call).await))
                    }
                    Command::SendChunk {
                        file,
                        offset,
                        length,
                        token,
                    } => match self.shelf().read(&file, offset, length).await {
                        // Other files, and reports, still go.
                        Err(_) => Event::Unreadable,
                        Ok(mut part) => {
                            let part = std::mem::take(&mut *part);
                            let call = tus::send_chunk(&origin, &file, offset, part, &token);
                            Event::Chunk(tus::read_chunk(self.transport.send(call).await))
                        }
                    },
                    Command::FetchReference { fetch, token } => {
                        let call = reference::fetch(&origin, &fetch, &token);
                        let answer = self.transport.send(call).await;
                        Event::Reference(reference::read_part(&fetch, answer))
                    }
                    Command::VerifyFile(file) => {
                        Event::Verified(self.shelf().is_whole(&file).await.unwrap_or(false))
                    }
                    Command::DropBytes(file) => {
                        self.drop_bytes(&file).await?;
                        continue;
                    }
                    Command::WakeAfter(_) => return Ok(None),
                    Command::Finished(report) => return Ok(Some(*report)),
                };
                // What was filed meanwhile, by whomever, is heard of first.
                self.refresh().await?;
                let filed = self.book.borrow().entries()[known..].to_vec();
                known += filed.len();
                for entry in filed {
                    engine.on(Event::Filed(entry), env.as_ref());
                }
                engine.on(event, env.as_ref());
            }
        }
    }

    /// Unless somebody attaches just now, or has since the engine decided: then
    /// a later sync does it.
    async fn drop_bytes(&self, file: &FileHash) -> Result<(), Error> {
        let Some(_alone) = self.files.try_alone().await? else {
            return Ok(());
        };
        let seen = self.book.borrow().position();
        let rows = self.store.rows(seen).await?;
        if rows.is_empty() {
            self.shelf().drop_bytes(file).await?;
        }
        Ok(())
    }
}

fn file_progress(change: &Change) -> Option<FileProgress> {
    match change {
        Change::Upload(upload) => Some(FileProgress {
            file: upload.file,
            sent: upload.sent,
            size: upload.size,
        }),
        _ => None,
    }
}
