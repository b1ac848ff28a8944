//! A device and a server for tests: everything follows from a seed.

mod evidence;
pub(crate) mod reference;
mod server;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use async_trait::async_trait;
pub(crate) use evidence::DyingFiles;
use protocol::jose::{Signer, SoftwareKey};
pub(crate) use server::{FakeServer, Fault, problem};
use uuid::Uuid;

use crate::{
    client::{Client, Parts, Vault},
    error::Error,
    evidence::MemoryFiles,
    host::{Environment, Now},
    seal::{DataKey, Place},
    store::{Batch, MemoryStore, Record, Row, Space, Store, StoreError},
};

/// Runs a future that needs no runtime.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("nothing in these tests waits"),
    }
}

/// A clock that moves when told, and numbers from a seed (SplitMix64).
#[derive(Debug)]
pub(crate) struct FakeEnv {
    state: Cell<u64>,
    pub(crate) wall: Cell<i64>,
    uptime: Cell<u64>,
}

/// 2024-09-01T08:00:00Z.
pub(crate) const ELECTION_DAY: i64 = 1_725_177_600_000_000;

impl FakeEnv {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: Cell::new(seed),
            wall: Cell::new(ELECTION_DAY),
            uptime: Cell::new(1_000_000),
        }
    }

    pub(crate) fn advance(&self, millis: u32) {
        self.wall.set(self.wall.get() + i64::from(millis) * 1000);
        self.uptime.set(self.uptime.get() + u64::from(millis));
    }

    pub(crate) fn next(&self) -> u64 {
        self.state
            .set(self.state.get().wrapping_add(0x9E37_79B9_7F4A_7C15));
        let mut z = self.state.get();
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl Environment for FakeEnv {
    fn now(&self) -> Now {
        Now {
            wall: self.wall.get(),
            uptime: Some(self.uptime.get()),
            boot: Some(Uuid::from_bytes([7; 16])),
        }
    }

    fn random(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Secrets in memory; clones share the anchor.
#[derive(Clone, Default)]
pub(crate) struct FakeVault {
    pub(crate) anchor: Rc<RefCell<Option<Vec<u8>>>>,
    pub(crate) data: u8,
}

impl Vault for FakeVault {
    fn device_key(&self) -> Result<Rc<dyn Signer>, Error> {
        Ok(Rc::new(SoftwareKey::ed25519(&[11; 32])))
    }
    fn data_key(&self) -> Result<DataKey, Error> {
        Ok(DataKey::new([self.data; 32]))
    }
    fn anchor(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.anchor.borrow().clone())
    }
    fn set_anchor(&self, sealed: &[u8]) -> Result<(), Error> {
        *self.anchor.borrow_mut() = Some(sealed.to_vec());
        Ok(())
    }
}

/// One device with its server.
pub(crate) struct World {
    pub(crate) server: Rc<FakeServer>,
    pub(crate) store: MemoryStore,
    pub(crate) files: MemoryFiles,
    pub(crate) vault: FakeVault,
    pub(crate) env: Rc<FakeEnv>,
    pub(crate) client: Client,
}

impl World {
    /// A device that has not been enrolled.
    pub(crate) fn new(seed: u64) -> Self {
        let (server, store, files, vault) = (
            FakeServer::new(),
            MemoryStore::default(),
            MemoryFiles::default(),
            FakeVault::default(),
        );
        let env = Rc::new(FakeEnv::new(seed));
        let client = Self::client(&server, &store, &files, &vault, &env).expect("opens");
        Self {
            server,
            store,
            files,
            vault,
            env,
            client,
        }
    }

    /// A device that has been enrolled.
    pub(crate) fn enrolled(seed: u64) -> Self {
        let world = Self::new(seed);
        assert!(
            block_on(world.client.enrol(&world.server.link()))
                .expect("enrols")
                .enrolled
        );
        world.server.calls.borrow_mut().clear();
        world
    }

    pub(crate) fn client(
        server: &Rc<FakeServer>,
        store: &MemoryStore,
        files: &MemoryFiles,
        vault: &FakeVault,
        env: &Rc<FakeEnv>,
    ) -> Result<Client, Error> {
        block_on(Client::open(Parts {
            store: Box::new(store.clone()),
            files: Box::new(files.clone()),
            transport: Box::new(server.clone()),
            vault: Box::new(vault.clone()),
            environment: env.clone(),
            app: "test/1".into(),
        }))
    }

    /// Version 0.1.0 ran meanwhile: of the state of syncing it left what it knew.
    pub(crate) fn set_back(&self) {
        let key = crate::engine::keys::SYNC;
        let place = Place::Record(Space::State, key.to_vec());
        let data = self.vault.data_key().expect("a key");
        let record = block_on(self.store.record(Space::State, key)).expect("reads");
        let plain = data.open(&place, &record.expect("the state").sealed);
        let mut state: serde_json::Value =
            serde_json::from_slice(&plain.expect("opens")).expect("JSON");
        for member in ["seen_receipt", "earlier"] {
            state.as_object_mut().expect("an object").remove(member);
        }
        let sealed = data
            .seal(&place, state.to_string().as_bytes(), self.env.as_ref())
            .expect("seals");
        let record = Record {
            space: Space::State,
            key: key.to_vec(),
            sealed,
        };
        let batch = Batch {
            append: Vec::new(),
            put: vec![record],
        };
        block_on(self.store.apply(batch)).expect("writes");
    }

    /// Kills the program and starts it again.
    pub(crate) fn restart(&mut self) {
        self.client = Self::client(
            &self.server,
            &self.store,
            &self.files,
            &self.vault,
            &self.env,
        )
        .expect("opens");
    }
}

/// A store that dies: the n-th write fails before it is written, or, worse, is
/// written although it is reported as failed; and so do all that follow.
#[derive(Clone)]
pub(crate) struct DyingStore {
    pub(crate) inner: MemoryStore,
    pub(crate) left: Rc<Cell<usize>>,
    pub(crate) written_all_the_same: bool,
}

#[async_trait(?Send)]
impl Store for DyingStore {
    async fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        match self.left.get() {
            0 => return Err(StoreError::Failed("dead".into())),
            left => self.left.set(left - 1),
        }
        if self.left.get() == 0 {
            if self.written_all_the_same {
                self.inner.apply(batch).await?;
            }
            return Err(StoreError::Failed("dead".into()));
        }
        self.inner.apply(batch).await
    }
    async fn rows(&self, after: i64) -> Result<Vec<Row>, StoreError> {
        self.inner.rows(after).await
    }
    async fn records(&self, space: Space) -> Result<Vec<Record>, StoreError> {
        self.inner.records(space).await
    }
    async fn record(&self, space: Space, key: &[u8]) -> Result<Option<Record>, StoreError> {
        self.inner.record(space, key).await
    }
}
