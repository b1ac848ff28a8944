//! The device's secrets, which a host keeps: the device key, the data key, and a
//! sealed copy of the enrolment, so that a lost database does not cost it.
//!
//! | module | what |
//! |---|---|
//! | [`mod@file`] | all of them in a file that only its owner can read |
//! | [`lock`] | what such a file is locked with: a passphrase, or the desktop's secret service |
//! | [`rescue`] | the copy of the data key for the mission, beside it |

pub(super) mod file;
pub mod lock;
pub mod rescue;

use std::rc::Rc;

use protocol::jose::Signer;
use sealed::rescue::Owner;

use crate::{error::Error, seal::DataKey};

/// Keeps secrets: a platform's key store, or [`file::KeyFile`].
pub trait Vault {
    /// The device key.
    ///
    /// # Errors
    /// When the key store is locked or has lost it.
    fn device_key(&self) -> Result<Rc<dyn Signer>, Error>;

    /// The key that seals the store.
    ///
    /// # Errors
    /// When the key store is locked or has lost it.
    fn data_key(&self) -> Result<DataKey, Error>;

    /// The sealed copy of the enrolment, if one was kept.
    ///
    /// # Errors
    /// When it cannot be read.
    fn anchor(&self) -> Result<Option<Vec<u8>>, Error>;

    /// Keeps a sealed copy of the enrolment, durably.
    ///
    /// # Errors
    /// When it cannot be written.
    fn set_anchor(&self, sealed: &[u8]) -> Result<(), Error>;

    /// Keeps a copy of the data key that the mission alone can open (an age file
    /// to `recipient`), outside of what the data key seals. Called at each start:
    /// one that is there is left as it is. The default keeps none.
    ///
    /// # Errors
    /// When it cannot be written.
    fn keep_for_mission(&self, _recipient: &str, _owner: &Owner) -> Result<(), Error> {
        Ok(())
    }
}
