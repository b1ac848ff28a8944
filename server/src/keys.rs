//! The server's own keys, one folder of files that only its user may read.
//!
//! | file | what |
//! |---|---|
//! | `receipt.json` | signs receipts and decisions; enrolment links name its thumbprint, so it is never rotated |
//! | `tokens/*.json` | sign access tokens; `scrutineer keys rotate` adds one, old ones verify until they are deleted |
//! | `pseudonym.json` | keys the pseudonyms of accreditations in exports |
//! | `missions/ID.age` | the secret half of a mission's sealing key; take it off the server |
//!
//! Several servers on one database use copies of one folder.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
};

use jsonwebtoken::{DecodingKey, EncodingKey};
use protocol::{
    codes::Code,
    encoding::{b64, unb64_array},
    ids::MissionId,
    jose::{Jwk, PublicKey, Signer as _, SoftwareKey},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    clock::Host,
    error::{Error, Result},
};

/// Seconds between a token key's making and its first use: every server and
/// cache has read it by then.
const TOKEN_KEY_LEAD: i64 = 600;
/// Seconds between two looks for new token keys.
const TOKEN_KEY_LOOK: u64 = 10;

#[derive(Serialize, Deserialize)]
struct KeyFile {
    /// When it was made, seconds since 1970.
    created_at: i64,
    /// 32 bytes, base64url.
    secret: Zeroizing<String>,
}

/// One key for access tokens.
pub struct TokenKey {
    /// RFC 7638 thumbprint.
    pub kid: String,
    /// Signs.
    pub encoding: EncodingKey,
    /// Verifies.
    pub decoding: DecodingKey,
    /// The public half.
    pub jwk: Jwk,
    created_at: i64,
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenKey({})", self.kid)
    }
}

/// The server's keys.
pub struct Keys {
    folder: PathBuf,
    /// Signs receipts and the entries of coordinators.
    pub receipt: SoftwareKey,
    /// Its public half.
    pub receipt_public: PublicKey,
    /// Its thumbprint.
    pub receipt_kid: String,
    pseudonym: Zeroizing<[u8; 32]>,
    tokens: RwLock<BTreeMap<String, Arc<TokenKey>>>,
    /// When an unknown `kid` last made us look for new keys, seconds since 1970.
    looked_at: AtomicI64,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.receipt_kid)
    }
}

impl Keys {
    /// Makes the keys of a new data folder.
    ///
    /// # Errors
    /// When keys are there already, or a file cannot be written.
    pub fn create(folder: &Path, host: &Host) -> Result<Self> {
        create_private_dir(folder)?;
        create_private_dir(&folder.join("tokens"))?;
        create_private_dir(&folder.join("missions"))?;
        write_secret(&folder.join("receipt.json"), host)?;
        write_secret(&folder.join("pseudonym.json"), host)?;
        write_secret(&folder.join("tokens").join("1.json"), host)?;
        sync_dir(folder)?;
        Self::load(folder)
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// A missing, damaged or world-readable file.
    pub fn load(folder: &Path) -> Result<Self> {
        let receipt = SoftwareKey::ed25519(&read_secret(&folder.join("receipt.json"))?.1);
        let receipt_public = receipt.public();
        let keys = Self {
            folder: folder.to_owned(),
            receipt_kid: receipt_public.thumbprint(),
            receipt_public,
            receipt,
            pseudonym: read_secret(&folder.join("pseudonym.json"))?.1,
            tokens: RwLock::new(BTreeMap::new()),
            looked_at: AtomicI64::new(0),
        };
        keys.reload_tokens()?;
        Ok(keys)
    }

    /// The files of the folder, each by its path in it, with what it says.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn files(&self) -> Result<Vec<(String, Zeroizing<String>)>> {
        let mut files = Vec::new();
        for folder in ["", "tokens", "missions"] {
            let path = self.folder.join(folder);
            if folder == "missions" && !path.exists() {
                continue;
            }
            for file in fs::read_dir(&path).map_err(Error::io(&path))? {
                let path = file.map_err(Error::io(&path))?.path();
                let known = path
                    .extension()
                    .is_some_and(|ending| ending == "json" || ending == "age");
                if let (true, Ok(name)) = (known, path.strip_prefix(&self.folder)) {
                    let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
                    files.push((name.to_string_lossy().into_owned(), Zeroizing::new(text)));
                }
            }
        }
        files.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(files)
    }

    /// Writes the files of another server's folder into a new one.
    ///
    /// # Errors
    /// A name that is not of such a folder; a file that cannot be written.
    pub fn write_files(folder: &Path, files: &[(String, Zeroizing<String>)]) -> Result<()> {
        create_private_dir(folder)?;
        create_private_dir(&folder.join("tokens"))?;
        create_private_dir(&folder.join("missions"))?;
        for (name, text) in files {
            let plain =
                |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains('/');
            let sound = match name.split_once('/') {
                Some(("tokens" | "missions", file)) => plain(file),
                Some(_) => false,
                None => plain(name),
            };
            if !sound {
                return Err(Error::refused(
                    Code::DataFolderInvalid,
                    format!("`{name}` is not a file of a folder of keys"),
                ));
            }
            write_private(&folder.join(name), text.as_bytes())?;
        }
        sync_dir(folder)
    }

    /// Reads the token keys again: another process may have rotated them.
    ///
    /// # Errors
    /// As [`Self::load`]; the keys held before stay in use then.
    pub fn reload_tokens(&self) -> Result<()> {
        let folder = self.folder.join("tokens");
        let mut tokens = BTreeMap::new();
        for file in fs::read_dir(&folder).map_err(Error::io(&folder))? {
            let path = file.map_err(Error::io(&folder))?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                let (created_at, secret) = read_secret(&path)?;
                let key = token_key(created_at, &secret);
                tokens.insert(key.kid.clone(), Arc::new(key));
            }
        }
        if tokens.is_empty() {
            return Err(Error::refused(
                Code::DataFolderInvalid,
                "no token key in the data folder",
            ));
        }
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens;
        Ok(())
    }

    /// The key to sign tokens with: the newest that has been known for ten
    /// minutes, or else the oldest.
    ///
    /// # Errors
    /// None in practice: a loaded set is never empty.
    pub fn token_signing(&self, now_seconds: i64) -> Result<Arc<TokenKey>> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let settled = tokens
            .values()
            .filter(|key| key.created_at + TOKEN_KEY_LEAD <= now_seconds);
        settled
            .max_by_key(|key| key.created_at)
            .or_else(|| tokens.values().min_by_key(|key| key.created_at))
            .cloned()
            .ok_or_else(|| Error::Internal("no token key".into()))
    }

    /// The key with exactly this `kid`; never a path, never a guess.
    #[must_use]
    pub fn token_verifying(&self, kid: &str) -> Option<Arc<TokenKey>> {
        self.tokens
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(kid)
            .cloned()
    }

    /// As [`Self::token_verifying`]; an unknown `kid` makes it read the folder
    /// again, at most every ten seconds, because another server may have rotated.
    #[must_use]
    pub fn token_verifying_fresh(&self, kid: &str, now_seconds: i64) -> Option<Arc<TokenKey>> {
        if let Some(key) = self.token_verifying(kid) {
            return Some(key);
        }
        let last = self.looked_at.load(Ordering::Relaxed);
        let due = now_seconds.abs_diff(last) >= TOKEN_KEY_LOOK
            && self
                .looked_at
                .compare_exchange(last, now_seconds, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if let Some(error) = due.then(|| self.reload_tokens().err()).flatten() {
            tracing::error!(%error, "the token keys could not be read again; the ones known stay in use");
        }
        self.token_verifying(kid)
    }

    /// Public halves of the token keys and of the receipt key.
    #[must_use]
    pub fn jwks(&self) -> Vec<(String, Jwk)> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let mut keys: Vec<_> = tokens
            .values()
            .map(|key| (key.kid.clone(), key.jwk.clone()))
            .collect();
        keys.push((self.receipt_kid.clone(), self.receipt_public.to_jwk()));
        keys
    }

    /// Adds a token key. It signs after ten minutes; delete the old file once
    /// the last token signed with it has expired.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn rotate_tokens(&self, host: &Host) -> Result<PathBuf> {
        let path = self
            .folder
            .join("tokens")
            .join(format!("{}.json", host.now().0));
        write_secret(&path, host)?;
        self.reload_tokens()?;
        Ok(path)
    }

    /// The name under which an accreditation stands in exports: the same for
    /// the same number in the same mission, and for nothing else.
    #[must_use]
    pub fn pseudonym(&self, mission: MissionId, accreditation_number: &str) -> String {
        use hmac::{Hmac, KeyInit as _, Mac as _};
        // 32 bytes are a valid HMAC key of any hash.
        let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(&self.pseudonym[..]) else {
            return String::new();
        };
        mac.update(mission.0.as_bytes());
        mac.update(accreditation_number.as_bytes());
        let tag = mac.finalize().into_bytes();
        let mut name = String::from("obs-");
        for byte in &tag[..6] {
            name.push_str(&format!("{byte:02x}"));
        }
        name
    }

    /// A secret for names that only this server can make, such as those of sealed
    /// copies: the same for the same use for ever.
    #[must_use]
    pub fn secret_for(&self, use_of_it: &str) -> [u8; 32] {
        use hmac::{Hmac, KeyInit as _, Mac as _};
        let mut secret = [0; 32];
        // 32 bytes are a valid HMAC key of any hash.
        if let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(&self.pseudonym[..]) {
            mac.update(use_of_it.as_bytes());
            secret = mac.finalize().into_bytes().into();
        }
        secret
    }

    /// Makes a mission's sealing key pair (age X25519): the secret half goes
    /// to a file, the recipient is returned.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create_sealing_key(&self, mission: MissionId, host: &Host) -> Result<(String, PathBuf)> {
        let secret = x25519_dalek::StaticSecret::from(host.bytes::<32>());
        let public = x25519_dalek::PublicKey::from(&secret);
        let encode = |prefix: &str, bytes: &[u8]| {
            let prefix =
                bech32::Hrp::parse(prefix).map_err(|error| Error::Internal(error.to_string()))?;
            bech32::encode::<bech32::Bech32>(prefix, bytes)
                .map_err(|error| Error::Internal(error.to_string()))
        };
        let identity = Zeroizing::new(encode("age-secret-key-", secret.as_bytes())?.to_uppercase());
        let recipient = encode("age", public.as_bytes())?;
        let path = self.folder.join("missions").join(format!("{mission}.age"));
        write_private(
            &path,
            format!("# public key: {recipient}\n{}\n", *identity).as_bytes(),
        )?;
        Ok((recipient, path))
    }
}

fn token_key(created_at: i64, secret: &[u8; 32]) -> TokenKey {
    let key = SoftwareKey::ed25519(secret);
    let public = key.public();
    let jwk = public.to_jwk();
    // PKCS#8 v1 of an Ed25519 key (RFC 8410 §7): a fixed prefix and the secret.
    let mut der = Zeroizing::new(vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ]);
    der.extend_from_slice(secret);
    let raw = protocol::encoding::unb64(&jwk.x).unwrap_or_default();
    TokenKey {
        kid: public.thumbprint(),
        encoding: EncodingKey::from_ed_der(&der),
        decoding: DecodingKey::from_ed_der(&raw),
        jwk,
        created_at,
    }
}

fn write_secret(path: &Path, host: &Host) -> Result<()> {
    let secret = Zeroizing::new(host.bytes::<32>());
    let file = KeyFile {
        created_at: host.now().seconds(),
        secret: Zeroizing::new(b64(&secret[..])),
    };
    let text = Zeroizing::new(
        serde_json::to_string(&file).map_err(|error| Error::Internal(error.to_string()))?,
    );
    write_private(path, text.as_bytes())
}

fn read_secret(path: &Path) -> Result<(i64, Zeroizing<[u8; 32]>)> {
    refuse_shared(path)?;
    let text = Zeroizing::new(fs::read_to_string(path).map_err(Error::io(path))?);
    let damaged = || {
        Error::refused(
            Code::DataFolderInvalid,
            format!("{} is not a key file", path.display()),
        )
    };
    let file: KeyFile = serde_json::from_str(&text).map_err(|_| damaged())?;
    let secret = unb64_array(&file.secret).ok_or_else(damaged)?;
    if secret == [0; 32] {
        return Err(Error::refused(
            Code::WeakSecret,
            format!("{} holds no secret", path.display()),
        ));
    }
    Ok((file.created_at, Zeroizing::new(secret)))
}

/// Writes a file that only its owner may read; durable when this returns.
///
/// # Errors
/// When it exists already, or cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(Error::io(path))?;
    file.write_all(bytes).map_err(Error::io(path))?;
    file.sync_all().map_err(Error::io(path))?;
    path.parent().map_or(Ok(()), sync_dir)
}

fn create_private_dir(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(Error::io(path))
}

fn sync_dir(path: &Path) -> Result<()> {
    fs::File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(Error::io(path))
}

/// Refuses a secret that others on the machine may read.
///
/// # Errors
/// Wider permissions than the owner's, or no such file.
pub fn refuse_shared(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)
        .map_err(Error::io(path))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(Error::refused(
            Code::WeakSecret,
            format!(
                "{} may be read by others (mode {:o}): chmod 600 it",
                path.display(),
                mode & 0o777
            ),
        ));
    }
    Ok(())
}
