//! What every part of a running server shares.

use std::{path::PathBuf, sync::Arc};

use tokio::sync::Semaphore;

use crate::{
    clock::Host,
    config::Config,
    domain::{
        acts::Office,
        bundles::{Bundles, Importer},
        evidence::Evidence,
        heard::Heard,
        ingest::{Batcher, DeviceKeys},
        missions,
        reference::{self, Shelf},
    },
    error::Result,
    keys::Keys,
    store::Store,
};

/// The server's parts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// Time and randomness.
    pub host: Host,
    /// The database.
    pub store: Store,
    /// The keys.
    pub keys: Arc<Keys>,
    /// Devices' keys seen lately.
    pub device_keys: DeviceKeys,
    /// Takes verified entries and makes them durable.
    pub batcher: Batcher,
    /// The bytes of evidence.
    pub evidence: Evidence,
    /// Snapshots of registers, ready for phones.
    pub reference: Shelf,
    /// When phones exchanged something.
    pub heard: Heard,
    /// Bundles that couriers hand in.
    pub bundles: Bundles,
    /// Turns for verifying signatures: one a core, so that the committing
    /// threads are never starved by a crowd of verifiers.
    pub verifying: Arc<Semaphore>,
}

impl App {
    /// Opens database and keys of a data folder.
    ///
    /// # Errors
    /// A folder that was not initialised, or a database that cannot be reached.
    pub fn open(config: Config, host: Host) -> Result<Self> {
        let keys = Arc::new(Keys::load(&config.keys_folder())?);
        let mut store = Store::open(&config.database()?, config.database_connections)?;
        store.checkpoint_in_background()?;
        store.write(|conn| {
            missions::ensure_epoch(conn, &host)?;
            reference::catch_up_all(conn)
        })?;
        let batcher = Batcher::new(store.clone(), host.clone(), config.evidence_quota);
        let evidence = Evidence::open(&config, store.clone(), host.clone())?;
        let device_keys = DeviceKeys::default();
        let importer = Importer {
            store: store.clone(),
            host: host.clone(),
            device_keys: device_keys.clone(),
            server_key: keys.receipt_public.clone(),
            batcher: batcher.clone(),
            evidence: evidence.clone(),
        };
        let bundles = Bundles::new(&config, importer);
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Ok(Self {
            config: Arc::new(config),
            host,
            store,
            keys,
            device_keys,
            batcher,
            evidence,
            reference: Shelf::default(),
            heard: Heard::default(),
            bundles,
            verifying: Arc::new(Semaphore::new(cores)),
        })
    }

    /// Signs entries of the server's own.
    #[must_use]
    pub fn office(&self) -> Office<'_> {
        Office {
            host: &self.host,
            key: &self.keys.receipt,
        }
    }

    /// A file in the data folder.
    #[must_use]
    pub fn data_file(&self, name: &str) -> PathBuf {
        self.config.data.join(name)
    }
}
