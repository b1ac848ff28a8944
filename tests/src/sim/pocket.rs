//! A phone's secrets.

use std::{cell::RefCell, rc::Rc};

use protocol::jose::{Signer, SoftwareKey};
use sync_core::{Error, client::Vault, seal::DataKey};

/// Keys that follow from a seed, and the copy of the enrolment. Clones share it.
#[derive(Clone)]
pub struct Pocket {
    secret: [u8; 32],
    anchor: Rc<RefCell<Option<Vec<u8>>>>,
}

impl Pocket {
    pub(super) fn new(secret: [u8; 32]) -> Self {
        Self {
            secret,
            anchor: Rc::default(),
        }
    }

    /// The same keys in another phone.
    pub(super) fn copy(&self) -> Self {
        Self {
            secret: self.secret,
            anchor: Rc::new(RefCell::new(self.anchor.borrow().clone())),
        }
    }

    /// The thumbprint of the device key.
    pub(super) fn thumbprint(&self) -> String {
        SoftwareKey::ed25519(&self.secret).public().thumbprint()
    }

    /// The key that seals this phone's data.
    pub(super) fn data(&self) -> DataKey {
        let mut key = self.secret;
        key[0] ^= 0x55;
        DataKey::new(key)
    }
}

impl Vault for Pocket {
    fn device_key(&self) -> Result<Rc<dyn Signer>, Error> {
        Ok(Rc::new(SoftwareKey::ed25519(&self.secret)))
    }

    fn data_key(&self) -> Result<DataKey, Error> {
        Ok(self.data())
    }

    fn anchor(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.anchor.borrow().clone())
    }

    fn set_anchor(&self, sealed: &[u8]) -> Result<(), Error> {
        *self.anchor.borrow_mut() = Some(sealed.to_vec());
        Ok(())
    }
}
