//! A phone's secrets.

use std::{cell::RefCell, rc::Rc};

use protocol::jose::{Signer, SoftwareKey};
use sealed::{
    age::Secrets,
    rescue::{Copy, Owner},
};
use sync_core::{Error, client::Vault, seal::DataKey};

use crate::chance::Chance;

/// Keys that follow from a seed, and the copies of enrolment and data key. Clones
/// share it.
#[derive(Clone)]
pub struct Pocket {
    secret: [u8; 32],
    anchor: Rc<RefCell<Option<Vec<u8>>>>,
    for_mission: Rc<RefCell<Option<Copy>>>,
}

impl Pocket {
    pub(super) fn new(secret: [u8; 32]) -> Self {
        Self {
            secret,
            anchor: Rc::default(),
            for_mission: Rc::default(),
        }
    }

    /// The same keys in another phone.
    pub(super) fn copy(&self) -> Self {
        Self {
            secret: self.secret,
            anchor: Rc::new(RefCell::new(self.anchor.borrow().clone())),
            for_mission: Rc::new(RefCell::new(self.for_mission.borrow().clone())),
        }
    }

    /// The data key, for the mission alone; beside the keys, and not lost with them.
    pub(super) fn for_mission(&self) -> Option<Copy> {
        self.for_mission.borrow().clone()
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

    fn keep_for_mission(&self, recipient: &str, owner: &Owner) -> Result<(), Error> {
        let mut kept = self.for_mission.borrow_mut();
        if kept.is_none() {
            *kept = Copy::new(recipient, owner, &self.data(), &secrets(self.secret))
                .expect("a short text seals");
        }
        Ok(())
    }
}

/// What an age file is sealed with.
pub(super) fn secrets(seed: [u8; 32]) -> Secrets {
    let number = seed.iter().fold(0_u64, |sum, byte| {
        sum.wrapping_mul(257).wrapping_add(u64::from(*byte))
    });
    let mut chance = Chance::seeded(number);
    Secrets::fresh(|bytes| bytes.fill_with(|| chance.bytes::<1>()[0]))
}
