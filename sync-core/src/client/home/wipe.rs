//! Destroying a home. The keys go first, of this home and of those that were moved
//! aside: from then on nobody can read the rest, and stopped at any point, a second
//! wipe finishes the first.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use protocol::codes::Code;

use super::{DATABASE, EVIDENCE, KEYS, moved_aside};
use crate::{
    client::vault::{
        file::{being_written, destroy, lock_of, overwrite, sync_folder},
        lock::Lock,
        rescue,
    },
    error::Error,
};

/// What begins the names of a home's own files.
const OWN: [&str; 3] = ["keys.", "mission-key.", DATABASE];

/// Removes a key from the desktop's secret service; told the key's name.
pub type Forget<'a> = &'a dyn Fn(&str) -> Result<(), Error>;

/// Destroys a home and those that were moved aside from its place. The folder
/// itself stays, and what is in it that no home has. Tells how many files went.
///
/// `forget` failing is told at the end, once everything else is done: what the
/// service keeps opens nothing any more.
///
/// # Errors
/// The file system's; what `forget` says.
pub fn run(folder: &Path, forget: Forget<'_>) -> Result<usize, Error> {
    let told = |error: io::Error| {
        Error::device(
            Code::StoreFailed,
            format!("the wipe is not finished ({error}); wipe once more"),
        )
    };
    let mut homes = vec![folder.to_owned()];
    homes.extend(moved_aside(folder));
    homes.retain(|home| own_files(home).is_ok_and(|files| !files.is_empty()));
    let mut services = Vec::new();
    for home in &homes {
        let keys = home.join(KEYS);
        // A key file that cannot be read any more names nothing to forget.
        if let Ok(Some(Lock::SecretService { name })) = lock_of(&keys) {
            services.push(name);
        }
        destroy(&keys).map_err(told)?;
        destroy_copy(&home.join(rescue::FILE)).map_err(told)?;
        for unfinished in being_written(&keys).map_err(told)? {
            fs::remove_file(unfinished).map_err(told)?;
        }
        sync_folder(&keys).map_err(told)?;
    }
    let forgotten = services.iter().try_for_each(|name| forget(name));
    let mut removed = 0;
    for home in &homes {
        removed += remove(home).map_err(told)?;
        if home != folder {
            remove_folder(home).map_err(told)?;
            sync_folder(home).map_err(told)?;
        }
    }
    forgotten.map(|()| removed)
}

/// Overwrites the mission's copy and removes it.
fn destroy_copy(path: &Path) -> io::Result<()> {
    match fs::OpenOptions::new().write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        opened => {
            overwrite(&mut opened?, "")?;
            fs::remove_file(path)
        }
    }
}

/// Removes a home's files; last the one that says that a wipe was begun.
fn remove(home: &Path) -> io::Result<usize> {
    let keys = home.join(KEYS);
    let mut removed = 0;
    for path in own_files(home)? {
        if path != keys {
            fs::remove_file(&path)?;
            removed += 1;
        }
    }
    let evidence = home.join(EVIDENCE);
    if evidence.exists() {
        remove_folder(&evidence)?;
    }
    sync_folder(&keys)?;
    fs::remove_file(&keys)?;
    sync_folder(&keys)?;
    Ok(removed + 1)
}

/// One that is empty now; what else lies in it is not a home's.
fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        other => other,
    }
}

/// The files of a home that are there.
fn own_files(home: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in entries(home)? {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        if OWN.iter().any(|own| name.starts_with(own)) && !entry.is_dir() {
            found.push(entry);
        }
    }
    found.extend(
        entries(&home.join(EVIDENCE))?
            .into_iter()
            .filter(|path| !path.is_dir()),
    );
    Ok(found)
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        found => found?.map(|entry| Ok(entry?.path())).collect(),
    }
}
