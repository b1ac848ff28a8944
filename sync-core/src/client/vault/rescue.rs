//! The copy of the data key for the mission, in a file beside the keys. Nothing of
//! the phone's can open it.

use std::{
    io,
    path::{Path, PathBuf},
};

use protocol::codes::Code;
use sealed::{
    age::Secrets,
    rescue::{Copy, Owner},
};

use super::file::{lock_changes, replace, unusable};
use crate::{error::Error, host::Environment, seal::DataKey};

/// The file's name.
pub const FILE: &str = "mission-key.json";

/// Where the copy lies, beside a key file.
#[must_use]
pub fn beside(keys: &Path) -> PathBuf {
    keys.with_file_name(FILE)
}

/// The copy in a home folder; `None` if there is none.
///
/// # Errors
/// One that cannot be read.
pub fn read(path: &Path) -> Result<Option<Copy>, Error> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(path, error)),
        Ok(text) => Ok(Copy::read(&text)),
    }
}

/// Keeps a copy for a recipient, unless one is there. One that is damaged or for
/// another recipient is replaced.
pub(super) fn keep(
    keys: &Path,
    recipient: &str,
    owner: &Owner,
    key: &DataKey,
    env: &dyn Environment,
) -> Result<(), Error> {
    let path = &beside(keys);
    if read(path)?.is_some_and(|copy| copy.is_for(recipient)) {
        return Ok(());
    }
    let secrets = Secrets::fresh(|bytes| env.random(bytes));
    let copy = Copy::new(recipient, owner, key, &secrets)
        .map_err(|error| Error::device(Code::StoreFailed, error.to_string()))?;
    let Some(copy) = copy else {
        // A server that names no usable key gets no copy; everything else goes on.
        return Ok(());
    };
    let text = serde_json::json!(copy).to_string();
    let _alone = lock_changes(keys).map_err(|error| unusable(path, error))?;
    replace(path, text.as_bytes(), env).map_err(|error| unusable(path, error))
}
