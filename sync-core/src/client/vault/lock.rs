//! What a key file is locked with. The secrets are sealed under a key that is in
//! no file: it follows from a passphrase, or the desktop's secret service keeps it.

use argon2::{Algorithm, Argon2, Params, Version};
use protocol::{
    codes::Code,
    encoding::{b64, unb64, unb64_array},
};
use sealed::Key;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{error::Error, host::Environment};

/// Characters of a passphrase, at least.
pub const PASSPHRASE_CHARS: usize = 8;
/// Bytes of a passphrase, at most.
pub const PASSPHRASE_BYTES: usize = 1024;

/// The second recommended choice of RFC 9106 §4, for little memory: 64 MiB. A
/// second or two on an old phone.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// What is read from a file is not believed beyond this: it must not hang a device.
const MOST_MEMORY_KIB: u32 = 256 * 1024;
const MOST_PASSES: u32 = 16;
const MOST_LANES: u32 = 16;

/// How a key file is locked, as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Lock {
    /// The key is argon2id (RFC 9106, version 0x13) of a passphrase.
    Passphrase {
        /// 16 bytes, base64url.
        salt: String,
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes over it.
        passes: u32,
        /// Lanes.
        lanes: u32,
    },
    /// The desktop's secret service keeps the key under this name.
    SecretService {
        /// The name, random.
        name: String,
    },
}

/// What opens a lock: the host asks a person, or another program.
pub trait Unlock {
    /// The passphrase.
    ///
    /// # Errors
    /// [`Code::PassphraseNeeded`] if there is nobody to ask.
    fn passphrase(&self) -> Result<Zeroizing<String>, Error>;

    /// The key that the desktop's secret service keeps under a name.
    ///
    /// # Errors
    /// [`Code::SecretServiceFailed`].
    fn secret_service_key(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, Error>;
}

/// Nobody to ask.
#[derive(Clone, Copy, Debug)]
pub struct NobodyToAsk;

impl Unlock for NobodyToAsk {
    fn passphrase(&self) -> Result<Zeroizing<String>, Error> {
        Err(Error::refused(
            Code::PassphraseNeeded,
            "the keys of this home are locked; give the passphrase",
        ))
    }

    fn secret_service_key(&self, _: &str) -> Result<Zeroizing<[u8; 32]>, Error> {
        Err(Error::refused(
            Code::SecretServiceFailed,
            "the keys of this home are locked by the desktop's secret service",
        ))
    }
}

/// The secrets of a device.
#[derive(Clone)]
pub(super) struct Secrets {
    pub(super) device: Zeroizing<[u8; 32]>,
    pub(super) data: Zeroizing<[u8; 32]>,
}

impl Lock {
    /// A lock for a passphrase, with a fresh salt, and its key.
    ///
    /// # Errors
    /// [`Code::WeakSecret`], [`Code::TooLong`].
    pub fn with_passphrase(
        passphrase: &str,
        env: &dyn Environment,
    ) -> Result<(Self, Zeroizing<[u8; 32]>), Error> {
        if passphrase.chars().count() < PASSPHRASE_CHARS {
            return Err(Error::refused(
                Code::WeakSecret,
                format!("a passphrase has at least {PASSPHRASE_CHARS} characters"),
            ));
        }
        let mut salt = [0; 16];
        env.random(&mut salt);
        let lock = Self::Passphrase {
            salt: b64(salt),
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            lanes: LANES,
        };
        let key = lock.key_of(passphrase)?;
        Ok((lock, key))
    }

    /// The key, by asking for it.
    pub(super) fn key(&self, unlock: &dyn Unlock) -> Result<Zeroizing<[u8; 32]>, Error> {
        match self {
            Self::Passphrase { .. } => self.key_of(&unlock.passphrase()?),
            Self::SecretService { name } => unlock.secret_service_key(name),
        }
    }

    fn key_of(&self, passphrase: &str) -> Result<Zeroizing<[u8; 32]>, Error> {
        let Self::Passphrase {
            salt,
            memory_kib,
            passes,
            lanes,
        } = self
        else {
            return Err(damaged());
        };
        if passphrase.len() > PASSPHRASE_BYTES {
            let message = format!("a passphrase has at most {PASSPHRASE_BYTES} bytes");
            return Err(Error::refused(Code::TooLong, message));
        }
        let within = *memory_kib <= MOST_MEMORY_KIB && *passes <= MOST_PASSES;
        let salt = unb64_array::<16>(salt).filter(|_| within && *lanes <= MOST_LANES);
        let params = Params::new(*memory_kib, *passes, *lanes, Some(32));
        let (Some(salt), Ok(params)) = (salt, params) else {
            return Err(damaged());
        };
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &salt, &mut *key)
            .map_err(|error| Error::device(Code::StoreFailed, error.to_string()))?;
        Ok(key)
    }

    /// Everything in the lock, so that none of it can be exchanged.
    fn aad(&self) -> Vec<u8> {
        let text = match self {
            Self::Passphrase {
                salt,
                memory_kib,
                passes,
                lanes,
            } => format!("passphrase {salt} {memory_kib} {passes} {lanes}"),
            Self::SecretService { name } => format!("secret_service {name}"),
        };
        format!("scrutineer-keys-v2 {text}").into_bytes()
    }

    /// Seals the secrets under the lock's key.
    pub(super) fn seal(
        &self,
        key: &[u8; 32],
        secrets: &Secrets,
        env: &dyn Environment,
    ) -> Result<String, Error> {
        let mut nonce = [0; 24];
        env.random(&mut nonce);
        let plain = Zeroizing::new([secrets.device.as_slice(), secrets.data.as_slice()].concat());
        let sealed = Key::new(*key).seal(&self.aad(), nonce, &plain)?;
        Ok(b64([nonce.as_slice(), &sealed].concat()))
    }

    /// Opens the secrets; `None` for another key, or if they were changed.
    pub(super) fn open(&self, key: &[u8; 32], sealed: &str) -> Option<Secrets> {
        let bytes = unb64(sealed)?;
        let (nonce, sealed) = bytes.split_at_checked(24)?;
        let plain = Key::new(*key).open(&self.aad(), nonce, sealed)?;
        let (device, data) = plain.split_at_checked(32)?;
        Some(Secrets {
            device: Zeroizing::new(device.try_into().ok()?),
            data: Zeroizing::new(data.try_into().ok()?),
        })
    }
}

fn damaged() -> Error {
    Error::device(
        Code::DataFolderInvalid,
        "the key file is damaged: its lock cannot be used",
    )
}
