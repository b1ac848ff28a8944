//! What the observer decides about files.

use serde::{Deserialize, Serialize};

use super::Client;
use crate::{
    engine::keys,
    error::Error,
    store::{Batch, Space},
};

/// Whether files are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SendFiles {
    /// At each sync.
    #[default]
    Always,
    /// Reports alone.
    Never,
}

/// How long the bytes of files stay on this device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeepEvidence {
    /// For ever.
    #[default]
    Always,
    /// Until the server says that they outlive its disk.
    UntilDurable,
}

/// The observer's settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether files are sent.
    #[serde(default)]
    pub files: SendFiles,
    /// How long their bytes stay.
    #[serde(default)]
    pub keep_evidence: KeepEvidence,
}

impl Client {
    /// The settings.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn settings(&self) -> Result<Settings, Error> {
        Ok(self.state(keys::SETTINGS).await?.unwrap_or_default())
    }

    /// Replaces the settings, durably.
    ///
    /// # Errors
    /// A store that cannot be written.
    pub async fn set_settings(&self, settings: &Settings) -> Result<(), Error> {
        let record = self.record(Space::State, keys::SETTINGS, settings)?;
        let batch = Batch {
            append: Vec::new(),
            put: vec![record],
        };
        Ok(self.store.apply(batch).await?)
    }
}
