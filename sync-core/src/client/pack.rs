//! Packing what the server may lack into one file for a courier. Nothing is marked
//! as delivered by it: the next sync tells.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use protocol::{
    codes::Code,
    entry::WireEntry,
    ids::{EntryHash, FileHash},
};
use sealed::{
    age::{Recipient, Secrets},
    bundle::{Head, Writer},
};
use serde::Serialize;

use super::Client;
use crate::{
    error::Error,
    journal::files::{Announced, FileStanding, announced},
};

/// Bytes of a file read at once.
const PART: u64 = 256 * 1024;

/// What to pack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackOptions {
    /// Everything here, delivered or not.
    pub all: bool,
}

/// What was packed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Packed {
    /// Entries.
    pub entries: usize,
    /// Files of evidence, previews included.
    pub files: usize,
    /// Bytes of them.
    pub file_bytes: u64,
    /// Files that could not be packed: their bytes are not here, or damaged.
    pub files_missing: Vec<FileHash>,
    /// Entries that cannot be opened with the present keys; packed from a home
    /// without keys only.
    pub unreadable: usize,
}

impl Packed {
    /// Whether there was nothing to pack.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0 && self.files == 0
    }
}

/// What will be packed.
pub(super) struct Plan {
    entries: BTreeSet<EntryHash>,
    files: Vec<Announced>,
}

impl Client {
    /// What would be packed now.
    pub(super) async fn pack_plan(&self, options: PackOptions) -> Result<Plan, Error> {
        self.refresh().await?;
        let deliveries = self.deliveries().await?;
        let uploads = self.files_now().await?.uploads;
        let book = self.book.borrow();
        let entries = book.entries().iter().map(AsRef::as_ref);
        let is_whole = |file: &FileHash| {
            let upload = uploads.of(file);
            upload.is_some_and(|upload| upload.standing == FileStanding::Whole)
        };
        let mut files: Vec<Announced> = announced(entries.clone(), &deliveries)
            .into_values()
            .filter(|one| options.all || !is_whole(&one.file.sha256))
            .collect();
        files.sort_by_key(|one| (one.lane, !one.critical, one.position));
        Ok(Plan {
            entries: entries
                .map(|entry| entry.hash)
                .filter(|hash| options.all || !deliveries.is_delivered(hash))
                .collect(),
            files,
        })
    }

    /// Writes a bundle. Memory does not grow with it.
    ///
    /// # Errors
    /// [`Code::NotEnrolled`] before the server has answered the enrolment: only
    /// then is the mission's key known; [`Code::StoreFailed`].
    pub(super) async fn pack(&self, plan: Plan, out: impl Write) -> Result<Packed, Error> {
        let (to, head, enrolment) = self.bundle_head().await?;
        let secrets = Secrets::fresh(|bytes| self.environment.random(bytes));
        let mut writer = Writer::new(out, &to, &secrets, &head).map_err(failed)?;
        // The server may have a database from before the enrolment when this comes.
        if let Some(enrolment) = enrolment {
            writer.returned(enrolment).map_err(failed)?;
        }
        let mut packed = Packed {
            unreadable: self.book.borrow().unreadable(),
            ..Packed::default()
        };
        let entries = self.book.borrow().entries().to_vec();
        for entry in entries {
            if plan.entries.contains(&entry.hash) {
                writer.entry(entry.sd.to_wire()).map_err(failed)?;
                packed.entries += 1;
            }
        }
        for Announced { file, .. } in plan.files {
            // Read through first: a record that was begun cannot be taken back.
            if !self.shelf().has(&file.sha256).await?
                || !self.shelf().is_whole(&file.sha256).await?
            {
                packed.files_missing.push(file.sha256);
                continue;
            }
            writer.file(file.sha256, file.size).map_err(failed)?;
            let mut offset = 0;
            while offset < file.size {
                let length = PART.min(file.size - offset);
                let part = self.shelf().read(&file.sha256, offset, length).await?;
                writer.part(&part).map_err(failed)?;
                offset += length;
            }
            packed.files += 1;
            packed.file_bytes += file.size;
        }
        writer.finish().map_err(failed)?;
        Ok(packed)
    }

    async fn bundle_head(&self) -> Result<(Recipient, Head, Option<WireEntry>), Error> {
        let identity = self.identity().await?;
        let response = identity.and_then(|identity| identity.enrolled);
        let response = response.ok_or_else(|| {
            Error::refused(
                Code::NotEnrolled,
                "the server has not answered the enrolment yet, so the mission's key is not known; nothing was packed",
            )
        })?;
        let to = Recipient::parse(&response.sealing_key).ok_or_else(|| {
            Error::refused(
                Code::InvalidValue,
                "the mission's key that the server named cannot be used; nothing was packed",
            )
        })?;
        let head = Head {
            v: 1,
            mission: Some(response.mission.id),
            app: self.app.clone(),
        };
        Ok((to, head, response.entry))
    }
}

/// The bundle could not be written.
pub(super) fn failed(error: io::Error) -> Error {
    Error::device(
        Code::StoreFailed,
        format!("the bundle could not be written: {error}"),
    )
}
