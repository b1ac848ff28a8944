//! A home whose keys are lost: packing it as it lies, and beginning anew.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use protocol::codes::Code;
use sealed::{
    Row,
    age::Secrets,
    bundle::{Head, Writer},
    file::{HEADER, TRAILER},
};

use super::{DATABASE, EVIDENCE, KEYS, free_sibling, make_private};
use crate::{
    client::{
        pack::{Packed, failed},
        vault::{file::sync_folder, rescue},
    },
    error::Error,
    evidence::{Files, Folder},
    host::{Environment as _, Native},
    store::{NewRow, SqliteStore, Store},
};

/// Bytes of a file read at once.
const PART: u64 = 256 * 1024;

/// What a home without keys is told.
pub(super) fn keys_lost(folder: &Path) -> Error {
    Error::refused(
        Code::KeysLost,
        format!(
            "{} is missing: without it the journal cannot be opened. Nothing was changed. Put it back; \
             or pack what is here for the mission (`pack`), and begin anew with another link (`begin-anew`)",
            folder.join(KEYS).display()
        ),
    )
}

/// Writes a bundle of a home as it lies, without its keys: every row and every
/// sealed file, and the copy of the data key that the mission alone can open. What
/// was delivered before is in it too: that cannot be told.
///
/// # Errors
/// [`Code::KeysLost`] if there is no such copy; [`Code::StoreFailed`].
pub(super) async fn pack(folder: &Path, app: &str, out: impl Write) -> Result<Packed, Error> {
    let copy = rescue::read(&folder.join(rescue::FILE))?;
    let parts = copy.and_then(|copy| Some((copy.recipient()?, copy.wrapped()?)));
    let Some((to, key)) = parts else {
        return Err(Error::refused(
            Code::KeysLost,
            format!(
                "{} is missing or damaged too: nobody can open what is here without the keys. Nothing was changed",
                folder.join(rescue::FILE).display()
            ),
        ));
    };
    let env = Native::new();
    let secrets = Secrets::fresh(|bytes| env.random(bytes));
    let head = Head {
        v: 1,
        mission: None,
        app: app.to_owned(),
    };
    let mut writer = Writer::new(out, &to, &secrets, &head).map_err(failed)?;
    writer.key(&key).map_err(failed)?;
    let (store, _) = SqliteStore::open(&folder.join(DATABASE))?;
    let files = Folder::open(&folder.join(EVIDENCE))?;
    let packed = pack_as_it_lies(&store, &files, &mut writer).await?;
    writer.finish().map_err(failed)?;
    Ok(packed)
}

/// Writes every row and every sealed file into a bundle that was begun.
///
/// # Errors
/// A store's or a folder's; [`Code::StoreFailed`].
pub async fn pack_as_it_lies<W: Write>(
    store: &dyn Store,
    files: &dyn Files,
    writer: &mut Writer<W>,
) -> Result<Packed, Error> {
    let mut packed = Packed::default();
    for row in store.rows(0).await? {
        writer.row(&as_it_lies(row.row)).map_err(failed)?;
        packed.entries += 1;
    }
    let _held = files.hold().await?;
    for name in files.names().await? {
        let size = files.size(&name).await?.unwrap_or(0);
        // Less was cut off while it was taken in, and belongs to no entry.
        if size < (HEADER + TRAILER) as u64 {
            continue;
        }
        let trailer = files.read(&name, size - TRAILER as u64, TRAILER).await?;
        writer.sealed(&trailer, size).map_err(failed)?;
        let mut offset = 0;
        while offset < size {
            let length = usize::try_from(PART.min(size - offset)).unwrap_or(0);
            let part = files.read(&name, offset, length).await?;
            if part.is_empty() {
                return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
            }
            writer.part(&part).map_err(failed)?;
            offset += part.len() as u64;
        }
        packed.files += 1;
        packed.file_bytes += size;
    }
    Ok(packed)
}

fn as_it_lies(row: NewRow) -> Row {
    Row {
        journal: row.journal,
        seq: row.seq,
        hash: row.hash,
        suite: row.sealed.suite,
        nonce: row.sealed.nonce,
        sealed: row.sealed.bytes,
    }
}

/// Moves a home aside, whole, so that its place is free for a new enrolment. What
/// was moved still is a home: it can be packed, and opened if its keys are found.
///
/// # Errors
/// [`Code::NotFound`] if nothing is here; [`Code::AlreadyExists`] while another
/// program has it open; the file system's.
pub fn begin_anew(folder: &Path) -> Result<PathBuf, Error> {
    let unusable = |error: std::io::Error| {
        Error::device(
            Code::DataFolderInvalid,
            format!("{} cannot be moved aside: {error}", folder.display()),
        )
    };
    let database = folder.join(DATABASE);
    if !database.exists() && !folder.join(KEYS).exists() {
        let message = format!(
            "nothing is in {} that could be moved aside",
            folder.display()
        );
        return Err(Error::refused(Code::NotFound, message));
    }
    let Some(_alone) = SqliteStore::hold_alone(&database)? else {
        return Err(Error::refused(
            Code::AlreadyExists,
            "another program has this home open; close that first. Nothing was changed",
        ));
    };
    let folder = folder.canonicalize().map_err(unusable)?;
    let kept = free_sibling(&folder);
    std::fs::rename(&folder, &kept).map_err(unusable)?;
    make_private(&folder)?;
    sync_folder(&folder).map_err(unusable)?;
    Ok(kept)
}
