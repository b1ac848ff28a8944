//! Bundles over the network. Whoever brings one needs no token: what is in it lets
//! itself in, by its own signatures. So everything is bounded: a bundle's bytes,
//! the bytes of all that wait, and how often one source may ask.
//!
//! The bytes lie with the evidence, as files of a mission that there is not
//! ([`objects::BUNDLES`]). A row of the database says that all of one have come.

use std::{
    collections::HashSet,
    io::{self, Read},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::BoxStream};
use protocol::{
    bundle::{Request, Standing, State},
    codes::Code,
    ids::FileHash,
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use uuid::Uuid;

use super::{Holders, Imported, Importer, Source};
use crate::{
    config::Config,
    domain::evidence::{Turn, Turns, store_pieces},
    error::{Error, Result},
    store::{
        Store,
        bundles::{self as store, BundleRow},
        objects::{self, Objects, Upload, covered},
    },
};

/// How long whoever brought a bundle waits for what becomes of it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Days for which it is remembered what became of one.
const REMEMBERED_DAYS: i64 = 30;

/// Takes bundles in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bundles {
    importer: Importer,
    keys: PathBuf,
    /// Bytes of one, at most.
    most: u64,
    /// Bytes of all that wait, at most.
    room: u64,
    turns: Turns,
    /// Being imported by this process.
    open: Arc<Mutex<HashSet<FileHash>>>,
    one_at_a_time: Arc<Semaphore>,
}

fn upload(file: FileHash) -> Upload {
    Upload {
        mission: objects::BUNDLES,
        file,
        // Whoever goes on with it.
        device: Uuid::nil(),
    }
}

impl Bundles {
    /// With what the configuration allows.
    #[must_use]
    pub fn new(config: &Config, importer: Importer) -> Self {
        Self {
            importer,
            keys: config.keys_folder(),
            most: config.bundle_bytes,
            room: config.bundles_bytes,
            turns: Turns::default(),
            open: Arc::default(),
            one_at_a_time: Arc::new(Semaphore::new(1)),
        }
    }

    fn objects(&self) -> &Objects {
        self.importer.evidence.objects()
    }

    /// How far a bundle is. A request that is still at it is ended first. One whose
    /// bytes are all there is imported, if its key is at hand by now.
    ///
    /// # Errors
    /// `body_too_large`, `bundles_full`, `invalid_value`, or a store's.
    pub async fn ask(&self, wish: Request) -> Result<State> {
        let Request { bundle: file, size } = wish;
        let turn = self.turns.take(upload(file)).await;
        self.check_size(size)?;
        let me = self.clone();
        // On its own: a caller who hangs up must not stop it halfway.
        let settled = tokio::spawn(async move {
            let settled = me.settle(file, size).await;
            drop(turn);
            settled
        });
        let state = joined(settled).await?;
        if state.state == Standing::Receiving {
            self.check_room(size - state.offset).await?;
        }
        Ok(state)
    }

    /// Begins to receive at an offset, as [`crate::domain::evidence::Evidence::receive`].
    ///
    /// # Errors
    /// `offset_mismatch` (with `offset`), those of [`Self::ask`].
    pub async fn receive(
        &self,
        wish: Request,
        offset: u64,
        announced: Option<u64>,
        chunks: mpsc::Receiver<Bytes>,
    ) -> Result<JoinHandle<Result<State>>> {
        let Request { bundle: file, size } = wish;
        let turn = self.turns.take(upload(file)).await;
        self.check_size(size)?;
        let state = self.look(file, size).await?;
        if state.offset != offset {
            return Err(mismatch(state.offset));
        }
        if announced.is_some_and(|bytes| bytes > size - offset) {
            return Err(self.too_large());
        }
        self.check_room(announced.unwrap_or(size - offset)).await?;
        let me = self.clone();
        Ok(tokio::spawn(async move {
            me.store_chunks(file, size, offset, turn, chunks).await
        }))
    }

    async fn store_chunks(
        &self,
        file: FileHash,
        size: u64,
        offset: u64,
        turn: Turn,
        chunks: mpsc::Receiver<Bytes>,
    ) -> Result<State> {
        let stored =
            store_pieces(self.objects(), &upload(file), offset..size, turn, chunks).await?;
        if stored.offset < size {
            return match stored.given_up {
                true => Err(mismatch(stored.offset)),
                false => Ok(receiving(file, stored.offset)),
            };
        }
        self.settle(file, size).await
    }

    /// What is known, as it lies.
    async fn look(&self, file: FileHash, size: u64) -> Result<State> {
        let row = self.read(move |conn| store::find(conn, &file.0)).await?;
        if let Some(row) = row {
            return Ok(self.of_row(file, &row));
        }
        if self.objects().has(objects::BUNDLES, &file).await? {
            // The server died before it could note it.
            return Ok(receiving(file, size));
        }
        let pieces = self.objects().pieces(&upload(file)).await?;
        Ok(receiving(file, covered(&pieces).min(size)))
    }

    fn of_row(&self, file: FileHash, row: &BundleRow) -> State {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = match row.state.as_str() {
            store::IMPORTED => Standing::Imported,
            store::REFUSED => Standing::Refused,
            _ if open.contains(&file) => Standing::Opening,
            _ => Standing::Waits,
        };
        State {
            bundle: file,
            offset: u64::try_from(row.size).unwrap_or(0),
            state: standing,
            code: row.code.as_deref().and_then(Code::from_name),
        }
    }

    /// Does what is due once all bytes are there.
    async fn settle(&self, file: FileHash, size: u64) -> Result<State> {
        let state = self.look(file, size).await?;
        if state.state == Standing::Receiving {
            if state.offset < size {
                return Ok(state);
            }
            self.complete(file, size).await?;
        } else if state.state != Standing::Waits {
            return Ok(state);
        }
        self.open(file).await
    }

    /// Puts the pieces together, verifies them, and notes it.
    async fn complete(&self, file: FileHash, size: u64) -> Result<()> {
        if !self.objects().has(objects::BUNDLES, &file).await? {
            let pieces = self.objects().pieces(&upload(file)).await?;
            let whole = covered(&pieces) == size;
            if !whole || !self.objects().assemble(&upload(file), &pieces).await? {
                self.objects().remove_upload(&upload(file)).await?;
                let why = "the SHA-256 of what came is another";
                return Err(Error::refused(Code::FileMismatch, why).with("offset", 0));
            }
        }
        self.objects().remove_upload(&upload(file)).await?;
        self.note(file, size).await
    }

    async fn note(&self, file: FileHash, size: u64) -> Result<()> {
        let row = BundleRow {
            sha256: file.0.to_vec(),
            size: i64::try_from(size).unwrap_or(i64::MAX),
            received_at: self.importer.host.now().0,
            state: store::WAITS.to_owned(),
            code: None,
            settled_at: None,
        };
        self.write(move |conn| store::insert(conn, &row)).await
    }

    /// Imports a bundle that has come, if its key is here. Answers once that is
    /// done, or after a while; it goes on all the same.
    async fn open(&self, file: FileHash) -> Result<State> {
        let first = self
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(file);
        if first {
            let me = self.clone();
            let done = tokio::spawn(async move {
                let done = me.import(file).await;
                me.open
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&file);
                if let Err(error) = done {
                    // It waits, and is tried again.
                    tracing::error!(bundle = %file, %error, "a bundle could not be imported");
                }
            });
            // What became of it stands in the row.
            tokio::time::timeout(PATIENCE, done).await.ok();
        }
        let row = self.read(move |conn| store::find(conn, &file.0)).await?;
        let row = row.ok_or_else(|| Error::refused(Code::BundleUnknown, ""))?;
        Ok(self.of_row(file, &row))
    }

    async fn import(&self, file: FileHash) -> Result<()> {
        let _turn = self
            .one_at_a_time
            .acquire()
            .await
            .map_err(|_| Error::refused(Code::Overloaded, "the server is stopping"))?;
        let (importer, keys) = (self.importer.clone(), self.keys.clone());
        tokio::task::spawn_blocking(move || {
            let holders = Holders::left_in(&keys)?;
            let objects = importer.evidence.objects().clone();
            match import_waiting(&importer, &objects, file, &holders) {
                // Kept for whoever has it.
                Err(Error::Refused {
                    code: Code::BundleWrongKey,
                    ..
                }) => Ok(()),
                Ok(imported) => {
                    tracing::info!(bundle = %file, entries = imported.read, files = imported.files_read,
                        "a bundle was imported");
                    Ok(())
                }
                Err(error) => Err(error),
            }
        })
        .await
        .map_err(|_| Error::Internal("importing was cancelled".into()))?
    }

    /// Tries those that wait once more, since their key may be here by now or the
    /// server died over them; and forgets what became of old ones.
    ///
    /// # Errors
    /// A store's.
    pub async fn sweep(&self) -> Result<()> {
        for (file, size) in self.objects().complete_files(objects::BUNDLES).await? {
            let known = self.read(move |conn| store::find(conn, &file.0)).await?;
            match known.as_ref().map(|row| row.state.as_str()) {
                None => self.note(file, size).await?,
                Some(store::WAITS) => {}
                // The server died between noting what became of it and this.
                Some(_) => self.objects().destroy(objects::BUNDLES, &file).await?,
            }
        }
        for row in self.read(store::waiting).await? {
            if let Ok(sha256) = row.sha256.as_slice().try_into() {
                self.open(FileHash(sha256)).await?;
            }
        }
        let before = self
            .importer
            .host
            .now()
            .plus_seconds(-REMEMBERED_DAYS * 86_400);
        self.write(move |conn| store::forget_settled(conn, before))
            .await?;
        Ok(())
    }

    fn check_size(&self, size: u64) -> Result<()> {
        match size {
            0 => Err(Error::refused(Code::InvalidValue, "a bundle is not empty")),
            size if size > self.most => Err(self.too_large()),
            _ => Ok(()),
        }
    }

    fn too_large(&self) -> Error {
        let why = format!(
            "a bundle has at most {} bytes, and no more than it said",
            self.most
        );
        Error::refused(Code::BodyTooLarge, why)
    }

    async fn check_room(&self, more: u64) -> Result<()> {
        let taken = self.objects().taken(objects::BUNDLES).await?;
        if taken.saturating_add(more) > self.room {
            return Err(Error::refused(Code::BundlesFull, ""));
        }
        Ok(())
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut crate::store::Conn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.importer.store.clone();
        tokio::task::spawn_blocking(move || store.read(work))
            .await
            .map_err(|_| Error::Internal("reading was cancelled".into()))?
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut crate::store::Conn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.importer.store.clone();
        tokio::task::spawn_blocking(move || store.write(work))
            .await
            .map_err(|_| Error::Internal("writing was cancelled".into()))?
    }
}

/// Imports a bundle that lies in the store, notes what became of it, and removes
/// its bytes unless it still waits. Blocking, beside a runtime.
///
/// # Errors
/// `bundle_unknown`; those of [`Importer::import`].
pub fn import_waiting(
    importer: &Importer,
    objects: &Objects,
    file: FileHash,
    holders: &Holders,
) -> Result<Imported> {
    let row = importer.store.read(|conn| store::find(conn, &file.0))?;
    let unknown = || Error::refused(Code::BundleUnknown, "");
    let row = row
        .filter(|row| row.state == store::WAITS)
        .ok_or_else(unknown)?;
    let source = InStore {
        objects: objects.clone(),
        file,
        size: u64::try_from(row.size).unwrap_or(0),
        runtime: Handle::current(),
    };
    let imported = importer.import(&source, holders);
    let (state, code) = match &imported {
        Ok(_) => (store::IMPORTED, None),
        Err(Error::Refused {
            code: code @ Code::BundleInvalid,
            ..
        }) => (store::REFUSED, Some(code.name())),
        // One of another mission may be of use elsewhere: somebody has to look at it.
        Err(_) => return imported,
    };
    let now = importer.host.now();
    importer
        .store
        .write(|conn| store::settle(conn, &file.0, state, code, now))?;
    source
        .runtime
        .block_on(objects.destroy(objects::BUNDLES, &file))?;
    imported
}

/// Forgets a bundle that waits, and destroys its bytes. Blocking, beside a runtime.
///
/// # Errors
/// `bundle_unknown`, or a store's.
pub fn discard(store: &Store, objects: &Objects, file: FileHash) -> Result<()> {
    let row = store.read(|conn| store::find(conn, &file.0))?;
    if row.is_none_or(|row| row.state != store::WAITS) {
        return Err(Error::refused(Code::BundleUnknown, ""));
    }
    Handle::current().block_on(objects.destroy(objects::BUNDLES, &file))?;
    store.write(|conn| store::forget(conn, &file.0)).map(drop)
}

/// A bundle in the store of files.
struct InStore {
    objects: Objects,
    file: FileHash,
    size: u64,
    runtime: Handle,
}

impl Source for InStore {
    fn open(&self) -> Result<Box<dyn Read + '_>> {
        let content = self
            .objects
            .read(objects::BUNDLES, &self.file, 0..self.size);
        let content = self.runtime.block_on(content)?;
        let content = content.ok_or_else(|| Error::refused(Code::BundleUnknown, ""))?;
        Ok(Box::new(Blocking {
            content,
            runtime: &self.runtime,
            chunk: Bytes::new(),
        }))
    }
}

/// Reads a stream on a thread that may block.
struct Blocking<'a> {
    content: BoxStream<'static, object_store::Result<Bytes>>,
    runtime: &'a Handle,
    chunk: Bytes,
}

impl Read for Blocking<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.runtime.block_on(self.content.next()) {
                None => return Ok(0),
                Some(chunk) => self.chunk = chunk.map_err(io::Error::other)?,
            }
        }
        let taken = self.chunk.len().min(into.len());
        into[..taken].copy_from_slice(&self.chunk.split_to(taken));
        Ok(taken)
    }
}

fn receiving(bundle: FileHash, offset: u64) -> State {
    State {
        bundle,
        offset,
        state: Standing::Receiving,
        code: None,
    }
}

async fn joined(task: JoinHandle<Result<State>>) -> Result<State> {
    task.await
        .map_err(|_| Error::Internal("a bundle's task panicked or was cancelled".into()))?
}

fn mismatch(offset: u64) -> Error {
    Error::refused(
        Code::OffsetMismatch,
        format!("the bundle goes on at {offset}"),
    )
    .with("offset", offset)
}
