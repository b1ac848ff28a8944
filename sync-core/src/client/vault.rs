//! The device's secrets, which a host keeps: the device key, the data key, and a
//! sealed copy of the enrolment, so that a lost database does not cost it.
//!
//! Later, and for now only a place: wrapping the data key to the mission's public
//! key and to a passphrase, and forgetting it (wiping).

use std::{
    cell::RefCell,
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    rc::Rc,
};

use protocol::{
    codes::Code,
    encoding::{b64, unb64, unb64_array},
    jose::{Signer, SoftwareKey},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    error::Error,
    host::{self, Environment},
    seal::DataKey,
};

/// Keeps secrets: a platform's key store, or [`KeyFile`].
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
}

#[derive(Clone, Serialize, Deserialize)]
struct Content {
    v: u32,
    /// Ed25519 secret (RFC 8032 §5.1.5), base64url.
    device: String,
    /// Data key, base64url.
    data: String,
    /// Sealed copy of the enrolment, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    anchor: Option<String>,
}

/// Secrets in a file that only its owner can read: `{"v":1,"device":…,"data":…}`.
/// For laptops and tests; a phone has a key store in hardware.
pub struct KeyFile {
    path: PathBuf,
    content: RefCell<Content>,
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

fn unusable(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::device(
        Code::DataFolderInvalid,
        format!("the key file {} cannot be used: {reason}", path.display()),
    )
}

impl KeyFile {
    /// Opens the file, or makes it with fresh keys: complete or not at all, and
    /// durable before it is used. Of two processes that make it at once, one
    /// wins and both use it.
    ///
    /// # Errors
    /// A file that others can read, that is damaged, or that cannot be made.
    pub fn open_or_create(path: &Path, env: &dyn Environment) -> Result<Self, Error> {
        let io_error = |error: io::Error| unusable(path, error);
        if let Some(found) = Self::open(path)? {
            return Ok(found);
        }
        let secret = || {
            let mut bytes = Zeroizing::new([0; 32]);
            env.random(bytes.as_mut());
            b64(*bytes)
        };
        let content = Content {
            v: 1,
            device: secret(),
            data: secret(),
            anchor: None,
        };
        let temporary = write_private(path, &content, env).map_err(io_error)?;
        // Unlike a rename, a link never replaces what is there.
        let linked = std::fs::hard_link(&temporary, path);
        std::fs::remove_file(&temporary).map_err(io_error)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io_error(error)),
            _ => {
                sync_folder(path).map_err(io_error)?;
                Self::open(path)?.ok_or_else(|| unusable(path, "it is gone"))
            }
        }
    }

    /// Opens the file; `None` if there is none.
    ///
    /// # Errors
    /// A file that others can read, or that is damaged.
    pub fn open(path: &Path) -> Result<Option<Self>, Error> {
        let mut file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| unusable(path, error))?,
        };
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let metadata = file.metadata().map_err(|error| unusable(path, error))?;
            if metadata.permissions().mode() & 0o077 != 0 {
                return Err(unusable(path, "others can read it; its mode must be 600"));
            }
        }
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text)
            .map_err(|error| unusable(path, error))?;
        let content: Content =
            serde_json::from_str(&text).map_err(|_| unusable(path, "it is damaged"))?;
        if content.v != 1 {
            return Err(unusable(path, "it was written by a newer version"));
        }
        let found = Self {
            path: path.to_owned(),
            content: RefCell::new(content),
        };
        found.data_key()?;
        found.device_key()?;
        Ok(Some(found))
    }

    fn secret(&self, text: &str) -> Result<Zeroizing<[u8; 32]>, Error> {
        unb64_array(text)
            .map(Zeroizing::new)
            .ok_or_else(|| unusable(&self.path, "it is damaged"))
    }
}

impl Vault for KeyFile {
    fn device_key(&self) -> Result<Rc<dyn Signer>, Error> {
        let secret = self.secret(&self.content.borrow().device)?;
        Ok(Rc::new(SoftwareKey::ed25519(&secret)))
    }

    fn data_key(&self) -> Result<DataKey, Error> {
        Ok(DataKey::new(*self.secret(&self.content.borrow().data)?))
    }

    fn anchor(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.content.borrow().anchor.as_deref().and_then(unb64))
    }

    fn set_anchor(&self, sealed: &[u8]) -> Result<(), Error> {
        let io_error = |error: io::Error| unusable(&self.path, error);
        let mut content = self.content.borrow().clone();
        content.anchor = Some(b64(sealed));
        let temporary =
            write_private(&self.path, &content, &host::Native::new()).map_err(io_error)?;
        std::fs::rename(&temporary, &self.path).map_err(io_error)?;
        sync_folder(&self.path).map_err(io_error)?;
        *self.content.borrow_mut() = content;
        Ok(())
    }
}

/// Writes a file of mode 600 beside `path`, durably, and tells its name.
fn write_private(path: &Path, content: &Content, env: &dyn Environment) -> io::Result<PathBuf> {
    let temporary = path.with_extension(format!("new-{}", host::uuid(env).simple()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    let text = Zeroizing::new(serde_json::json!(content).to_string());
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(temporary)
}

/// Makes a new name durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeEnv;

    #[test]
    fn keys_last_and_are_private() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("keys.json");
        let made = KeyFile::open_or_create(&path, &FakeEnv::new(1)).expect("makes");
        let key = made.device_key().expect("a key").public();
        made.set_anchor(b"sealed").expect("keeps");
        let again = KeyFile::open_or_create(&path, &FakeEnv::new(2)).expect("opens");
        assert_eq!(again.device_key().expect("a key").public(), key);
        assert_eq!(again.anchor().expect("reads"), Some(b"sealed".to_vec()));
        assert_eq!(std::fs::read_dir(dir.path()).expect("lists").count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path)
                .expect("there")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("sets");
            assert!(KeyFile::open(&path).is_err());
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_and_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("keys.json");
        drop(KeyFile::open_or_create(&path, &FakeEnv::new(1)).expect("makes"));
        for damaged in [
            "",
            "{}",
            r#"{"v":1,"device":"AA","data":"AA"}"#,
            r#"{"v":2,"device":"","data":""}"#,
        ] {
            std::fs::write(&path, damaged).expect("writes");
            assert!(KeyFile::open_or_create(&path, &FakeEnv::new(2)).is_err());
            assert_eq!(std::fs::read_to_string(&path).expect("there"), damaged);
        }
    }
}
