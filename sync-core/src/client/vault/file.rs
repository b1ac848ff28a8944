//! Secrets in a file that only its owner can read; for laptops and tests. A phone
//! has a key store in hardware.
//!
//! ```text
//! {"v":1,"device":…,"data":…,"anchor":…}
//! {"v":2,"lock":{"kind":"passphrase",…},"secrets":…,"anchor":…}
//! {"v":0,"wiped":true}
//! ```
//!
//! In the first the secrets stand as they are; in the second they are sealed under
//! the lock's key; in the third they were, before a wipe that is not finished yet.

use std::{
    cell::RefCell,
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    rc::Rc,
};

use protocol::{
    codes::Code,
    encoding::{b64, unb64, unb64_array},
    jose::{Signer, SoftwareKey},
};
use sealed::rescue::Owner;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    Vault,
    lock::{Lock, NobodyToAsk, Secrets, Unlock},
    rescue,
};
use crate::{
    error::Error,
    host::{self, Environment},
    seal::DataKey,
};

/// Bytes of a key file, at most.
const FILE_BYTES: u64 = 1024 * 1024;
/// What begins the names of key files that are being written.
const NEW: &str = "new-";
/// Written over the secrets by a wipe.
const WIPED: &str = r#"{"v":0,"wiped":true}"#;

#[derive(Clone, Serialize, Deserialize)]
struct Content {
    v: u32,
    #[serde(flatten)]
    secrets: Kept,
    /// Sealed copy of the enrolment, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    anchor: Option<String>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Kept {
    /// Version 1.
    Plain {
        /// Ed25519 secret (RFC 8032 §5.1.5), base64url.
        device: Zeroizing<String>,
        /// Data key, base64url.
        data: Zeroizing<String>,
    },
    /// Version 2.
    Locked {
        /// What opens it.
        lock: Lock,
        /// Nonce and ciphertext of both, base64url.
        secrets: String,
    },
    /// Version 0.
    Wiped {
        /// Always true.
        wiped: bool,
    },
}

impl Content {
    fn is_consistent(&self) -> bool {
        match self.secrets {
            Kept::Wiped { wiped } => self.v == 0 && wiped,
            Kept::Plain { .. } => self.v == 1,
            Kept::Locked { .. } => self.v == 2,
        }
    }
}

/// See the module.
pub struct KeyFile {
    path: PathBuf,
    secrets: Secrets,
    locked: bool,
    anchor: RefCell<Option<String>>,
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

pub(super) fn unusable(path: &Path, reason: impl std::fmt::Display) -> Error {
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
    /// As [`Self::open`], or a file that cannot be made.
    pub fn open_or_create(path: &Path, env: &dyn Environment) -> Result<Self, Error> {
        Self::open_or_create_with(path, env, &NobodyToAsk)
    }

    /// The same for a file that may be locked.
    ///
    /// # Errors
    /// As [`Self::open_or_create`].
    pub fn open_or_create_with(
        path: &Path,
        env: &dyn Environment,
        unlock: &dyn Unlock,
    ) -> Result<Self, Error> {
        let io_error = |error: io::Error| unusable(path, error);
        if let Some(found) = Self::open_with(path, unlock)? {
            return Ok(found);
        }
        // Or another process's `tidy` would take what is being written for a leaving.
        let _alone = lock_changes(path).map_err(io_error)?;
        let secret = || {
            let mut bytes = Zeroizing::new([0; 32]);
            env.random(bytes.as_mut());
            bytes
        };
        let secrets = Secrets {
            device: secret(),
            data: secret(),
        };
        let content = Content {
            v: 1,
            secrets: plain(&secrets),
            anchor: None,
        };
        let temporary = write_private(path, text(&content)?.as_bytes(), env).map_err(io_error)?;
        // Unlike a rename, a link never replaces what is there.
        let linked = std::fs::hard_link(&temporary, path);
        std::fs::remove_file(&temporary).map_err(io_error)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io_error(error)),
            _ => {
                sync_folder(path).map_err(io_error)?;
                Self::open_with(path, unlock)?.ok_or_else(|| unusable(path, "it is gone"))
            }
        }
    }

    /// Opens a file that is not locked; `None` if there is none.
    ///
    /// # Errors
    /// As [`Self::open_with`].
    pub fn open(path: &Path) -> Result<Option<Self>, Error> {
        Self::open_with(path, &NobodyToAsk)
    }

    /// Opens the file; `None` if there is none.
    ///
    /// # Errors
    /// A file that others can read, or that is damaged; [`Code::WipeUnfinished`];
    /// [`Code::PassphraseWrong`], and what `unlock` says.
    pub fn open_with(path: &Path, unlock: &dyn Unlock) -> Result<Option<Self>, Error> {
        let Some(content) = read(path)? else {
            return Ok(None);
        };
        let damaged = || unusable(path, "it is damaged");
        let secrets = match &content.secrets {
            Kept::Wiped { .. } => return Err(wipe_unfinished()),
            Kept::Plain { device, data } => Secrets {
                device: unb64_array(device)
                    .map(Zeroizing::new)
                    .ok_or_else(damaged)?,
                data: unb64_array(data).map(Zeroizing::new).ok_or_else(damaged)?,
            },
            Kept::Locked { lock, secrets } => {
                let key = lock.key(unlock)?;
                lock.open(&key, secrets).ok_or_else(|| wrong(lock))?
            }
        };
        Ok(Some(Self {
            path: path.to_owned(),
            secrets,
            locked: matches!(content.secrets, Kept::Locked { .. }),
            anchor: RefCell::new(content.anchor),
        }))
    }

    /// Whether a passphrase or the secret service is needed to open it.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.locked
    }

    /// Locks the file with something else, or with nothing. Complete or not at
    /// all; what the old file held is overwritten.
    ///
    /// # Errors
    /// A file that cannot be written, or was changed meanwhile.
    pub fn set_lock(
        &self,
        lock: Option<(Lock, Zeroizing<[u8; 32]>)>,
        env: &dyn Environment,
    ) -> Result<(), Error> {
        self.change(env, |content| {
            content.secrets = match &lock {
                None => plain(&self.secrets),
                Some((lock, key)) => Kept::Locked {
                    secrets: lock.seal(key, &self.secrets, env)?,
                    lock: lock.clone(),
                },
            };
            content.v = if lock.is_some() { 2 } else { 1 };
            Ok(())
        })
    }

    /// Changes what the file holds now, whoever wrote it last. Nobody else does
    /// so meanwhile.
    fn change(
        &self,
        env: &dyn Environment,
        change: impl FnOnce(&mut Content) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let io_error = |error: io::Error| unusable(&self.path, error);
        let _alone = lock_changes(&self.path).map_err(io_error)?;
        let mut content = read(&self.path)?.ok_or_else(|| unusable(&self.path, "it is gone"))?;
        if matches!(content.secrets, Kept::Wiped { .. }) {
            return Err(wipe_unfinished());
        }
        change(&mut content)?;
        replace(&self.path, text(&content)?.as_bytes(), env).map_err(io_error)
    }
}

/// How a key file is locked, without opening it; `None` if it is not.
///
/// # Errors
/// A file that cannot be read.
pub(in crate::client) fn lock_of(path: &Path) -> Result<Option<Lock>, Error> {
    Ok(match read(path)?.map(|content| content.secrets) {
        Some(Kept::Locked { lock, .. }) => Some(lock),
        _ => None,
    })
}

/// Destroys the secrets of a key file, whatever state it is in, and of files that
/// were to become one; what is left says that a wipe was begun. Durable when it
/// returns.
///
/// # Errors
/// The file system's.
pub(in crate::client) fn destroy(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut options = private();
            options.write(true).create_new(true);
            let mut file = options.open(path)?;
            file.write_all(WIPED.as_bytes())?;
            file.sync_all()?;
        }
        opened => overwrite(&mut opened?, WIPED)?,
    }
    sync_folder(path)?;
    for unfinished in being_written(path)? {
        overwrite(&mut OpenOptions::new().write(true).open(&unfinished)?, "")?;
    }
    Ok(())
}

/// Key files, and copies for the mission, that were being written when a process
/// was killed. They may hold secrets.
pub(in crate::client) fn being_written(path: &Path) -> io::Result<Vec<PathBuf>> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let begins = [format!("{stem}.{NEW}"), format!("mission-key.{NEW}")];
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder_of(path))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if begins.iter().any(|begin| name.starts_with(begin.as_str())) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Removes what killed processes left of key files. Only while nobody writes one.
///
/// # Errors
/// The file system's.
pub(in crate::client) fn tidy(path: &Path) -> Result<(), Error> {
    let io_error = |error: io::Error| unusable(path, error);
    if being_written(path).map_err(io_error)?.is_empty() {
        return Ok(());
    }
    let _alone = lock_changes(path).map_err(io_error)?;
    for unfinished in being_written(path).map_err(io_error)? {
        let mut file = OpenOptions::new()
            .write(true)
            .open(&unfinished)
            .map_err(io_error)?;
        overwrite(&mut file, "").map_err(io_error)?;
        std::fs::remove_file(&unfinished).map_err(io_error)?;
    }
    Ok(())
}

/// The lock that keeps two processes from changing the keys at once.
pub(in crate::client) fn lock_name(path: &Path) -> PathBuf {
    path.with_extension("in-use")
}

pub(super) fn lock_changes(path: &Path) -> io::Result<File> {
    let mut options = private();
    let file = options
        .create(true)
        .truncate(false)
        .write(true)
        .open(lock_name(path))?;
    match file.lock() {
        // Some file systems have no locks; there, one process must do.
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(file),
    }
}

fn wrong(lock: &Lock) -> Error {
    match lock {
        Lock::Passphrase { .. } => Error::refused(
            Code::PassphraseWrong,
            "the passphrase is wrong; nothing was changed",
        ),
        Lock::SecretService { .. } => Error::refused(
            Code::SecretServiceFailed,
            "what the desktop's secret service keeps does not open the keys; nothing was changed",
        ),
    }
}

fn wipe_unfinished() -> Error {
    Error::refused(
        Code::WipeUnfinished,
        "a wipe was begun here: the keys are destroyed, and nothing here can be read any more; wipe once more to finish it",
    )
}

fn plain(secrets: &Secrets) -> Kept {
    Kept::Plain {
        device: Zeroizing::new(b64(*secrets.device)),
        data: Zeroizing::new(b64(*secrets.data)),
    }
}

fn text(content: &Content) -> Result<Zeroizing<String>, Error> {
    serde_json::to_string(content)
        .map(Zeroizing::new)
        .map_err(|error| Error::device(Code::StoreFailed, error.to_string()))
}

fn read(path: &Path) -> Result<Option<Content>, Error> {
    let file = match File::open(path) {
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
    file.take(FILE_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| unusable(path, error))?;
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    if serde_json::from_str::<Version>(&text).is_ok_and(|version| version.v > 2) {
        return Err(unusable(path, "it was written by a newer version"));
    }
    serde_json::from_str(&text)
        .ok()
        .filter(Content::is_consistent)
        .map(Some)
        .ok_or_else(|| unusable(path, "it is damaged"))
}

impl Vault for KeyFile {
    fn device_key(&self) -> Result<Rc<dyn Signer>, Error> {
        Ok(Rc::new(SoftwareKey::ed25519(&self.secrets.device)))
    }

    fn data_key(&self) -> Result<DataKey, Error> {
        Ok(DataKey::new(*self.secrets.data))
    }

    fn anchor(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.anchor.borrow().as_deref().and_then(unb64))
    }

    fn set_anchor(&self, sealed: &[u8]) -> Result<(), Error> {
        let anchor = b64(sealed);
        self.change(&host::Native::new(), |content| {
            content.anchor = Some(anchor.clone());
            Ok(())
        })?;
        *self.anchor.borrow_mut() = Some(anchor);
        Ok(())
    }

    fn keep_for_mission(&self, recipient: &str, owner: &Owner) -> Result<(), Error> {
        let key = self.data_key()?;
        rescue::keep(&self.path, recipient, owner, &key, &host::Native::new())
    }
}

/// Puts new content in the place of a file: complete or not at all, durable, of
/// mode 600. What the old file held is overwritten.
pub(super) fn replace(path: &Path, content: &[u8], env: &dyn Environment) -> io::Result<()> {
    // Opened before: afterwards its bytes have no name any more.
    let old = OpenOptions::new().write(true).open(path);
    let temporary = write_private(path, content, env)?;
    std::fs::rename(&temporary, path)?;
    sync_folder(path)?;
    match old {
        Ok(mut old) => overwrite(&mut old, ""),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes over all that a file holds, durably: `with`, and spaces behind it. On
/// most disks of today the old bytes may still lie in spare blocks.
pub(in crate::client) fn overwrite(file: &mut File, with: &str) -> io::Result<()> {
    let length = usize::try_from(file.metadata()?.len().min(FILE_BYTES)).unwrap_or(0);
    let mut content = with.as_bytes().to_vec();
    content.resize(length.max(content.len()), b' ');
    file.seek(io::SeekFrom::Start(0))?;
    file.write_all(&content)?;
    file.sync_all()
}

/// Writes a file of mode 600 beside `path`, durably, and tells its name.
fn write_private(path: &Path, content: &[u8], env: &dyn Environment) -> io::Result<PathBuf> {
    let temporary = path.with_extension(format!("{NEW}{}", host::uuid(env).simple()));
    let mut file = private().write(true).create_new(true).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(temporary)
}

fn private() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "rights are unix's"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes a new name durable.
pub(in crate::client) fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder_of(path))?.sync_all()?;
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
        // And the lock, which is empty.
        assert_eq!(std::fs::read_dir(dir.path()).expect("lists").count(), 2);
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

    /// Knows a passphrase.
    struct Knows(&'static str);

    impl Unlock for Knows {
        fn passphrase(&self) -> Result<Zeroizing<String>, Error> {
            Ok(Zeroizing::new(self.0.to_owned()))
        }

        fn secret_service_key(&self, _: &str) -> Result<Zeroizing<[u8; 32]>, Error> {
            Err(wipe_unfinished())
        }
    }

    fn code<T>(result: Result<T, Error>) -> Option<Code> {
        result.err().map(|error| error.code())
    }

    #[test]
    fn a_passphrase_opens_what_it_locked_and_nothing_else_does() {
        let dir = tempfile::tempdir().expect("a folder");
        let (path, env) = (dir.path().join("keys.json"), FakeEnv::new(3));
        let made = KeyFile::open_or_create(&path, &env).expect("makes");
        let (device, data) = (made.secrets.device.clone(), made.secrets.data.clone());
        let before = std::fs::read(&path).expect("reads");
        assert!(before.windows(43).any(|at| at == b64(*data).as_bytes()));
        // One that has it open from before must not write it back unlocked.
        let early = KeyFile::open(&path).expect("opens").expect("there");
        let lock = Lock::with_passphrase("correct horse", &env).expect("locks");
        made.set_lock(Some(lock), &env).expect("locks");
        early.set_anchor(b"anchor").expect("keeps");
        let locked = std::fs::read_to_string(&path).expect("reads");
        for secret in [b64(*device), b64(*data)] {
            assert!(!locked.contains(&secret));
        }
        assert_eq!(code(KeyFile::open(&path)), Some(Code::PassphraseNeeded));
        let wrong = KeyFile::open_with(&path, &Knows("correct hors"));
        assert_eq!(code(wrong), Some(Code::PassphraseWrong));
        let opened = KeyFile::open_with(&path, &Knows("correct horse"));
        let opened = opened.expect("opens").expect("there");
        assert!(opened.is_locked());
        assert_eq!(opened.secrets.data, data);
        assert_eq!(opened.secrets.device, device);
        assert_eq!(opened.anchor().expect("reads"), Some(b"anchor".to_vec()));
        let lock = Lock::with_passphrase("battery staple", &env).expect("locks");
        opened.set_lock(Some(lock), &env).expect("changes");
        let old = KeyFile::open_with(&path, &Knows("correct horse"));
        assert_eq!(code(old), Some(Code::PassphraseWrong));
        let opened = KeyFile::open_with(&path, &Knows("battery staple"));
        let opened = opened.expect("opens").expect("there");
        opened.set_lock(None, &env).expect("unlocks");
        let plain = KeyFile::open(&path).expect("opens").expect("there");
        assert_eq!(
            (plain.secrets.data.clone(), plain.is_locked()),
            (data, false)
        );
    }

    #[test]
    fn a_lock_is_bounded_and_cannot_be_exchanged() {
        let dir = tempfile::tempdir().expect("a folder");
        let (path, env) = (dir.path().join("keys.json"), FakeEnv::new(3));
        let made = KeyFile::open_or_create(&path, &env).expect("makes");
        assert_eq!(
            code(Lock::with_passphrase("seven77", &env)),
            Some(Code::WeakSecret)
        );
        let lock = Lock::with_passphrase("correct horse", &env).expect("locks");
        made.set_lock(Some(lock), &env).expect("locks");
        let locked = std::fs::read_to_string(&path).expect("reads");
        for (from, to, expected) in [
            ("65536", "4294967295", Code::DataFolderInvalid),
            ("65536", "0", Code::DataFolderInvalid),
            (
                "\"passes\":3",
                "\"passes\":4000000",
                Code::DataFolderInvalid,
            ),
            ("\"lanes\":4", "\"lanes\":70000", Code::DataFolderInvalid),
            ("\"passes\":3", "\"passes\":2", Code::PassphraseWrong),
            ("\"v\":2", "\"v\":3", Code::DataFolderInvalid),
            ("\"v\":2", "\"v\":1", Code::DataFolderInvalid),
        ] {
            let changed = locked.replace(from, to);
            assert_ne!(changed, locked, "{from}");
            std::fs::write(&path, changed).expect("writes");
            let opened = KeyFile::open_with(&path, &Knows("correct horse"));
            assert_eq!(code(opened), Some(expected), "{from} as {to}");
        }
    }

    #[test]
    fn what_a_killed_process_left_of_keys_is_overwritten_and_goes() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("keys.json");
        drop(KeyFile::open_or_create(&path, &FakeEnv::new(1)).expect("makes"));
        let left = dir.path().join("keys.new-0");
        std::fs::copy(&path, &left).expect("copies");
        let watched = File::open(&left).expect("opens");
        tidy(&path).expect("tidies");
        assert!(!left.exists());
        let mut content = String::new();
        (&watched).read_to_string(&mut content).expect("reads");
        assert!(
            !content.is_empty() && content.trim().is_empty(),
            "{content}"
        );
        assert!(KeyFile::open(&path).expect("opens").is_some());
    }

    #[test]
    fn destroyed_secrets_are_told_as_a_wipe() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("keys.json");
        let made = KeyFile::open_or_create(&path, &FakeEnv::new(1)).expect("makes");
        let secret = b64(*made.secrets.data);
        destroy(&path).expect("destroys");
        assert!(
            !std::fs::read_to_string(&path)
                .expect("reads")
                .contains(&secret)
        );
        assert_eq!(code(KeyFile::open(&path)), Some(Code::WipeUnfinished));
        // Who has them in memory still does not bring them back.
        assert_eq!(code(made.set_anchor(b"x")), Some(Code::WipeUnfinished));
        destroy(&path).expect("destroys again");
    }
}
