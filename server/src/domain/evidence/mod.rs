//! Evidence: who may send and read a file, how its bytes come in, and what goes.

mod show;
mod sweep;
mod turns;
mod upload;

use std::sync::Arc;

use protocol::{
    codes::Code,
    ids::{FileHash, UserId},
};
use tokio::sync::Semaphore;
use uuid::Uuid;

pub use show::{FileReader, FileState, ReportEvidence, ShownFile, of_report, with_arrived};
pub use sweep::Swept;
pub use turns::{Turn, Turns};
pub use upload::{Progress, Sent, Stored, store_pieces};

use crate::{
    clock::Host,
    config::{Config, Durability},
    domain::acts::MissionRef,
    error::{Error, Result},
    store::{
        Conn, Store,
        evidence::{self as store, AnnouncedRow, FileRow},
        evidence_readers,
        objects::Objects,
    },
};

/// Files put together at once: each costs a few megabytes and much reading.
const COMPLETING: usize = 2;

/// Receives, keeps and hands out files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Evidence {
    objects: Objects,
    store: Store,
    host: Host,
    /// Whether a file is durable as soon as it is stored.
    durable_at_once: bool,
    upload_days: i64,
    turns: Turns,
    completing: Arc<Semaphore>,
}

/// On whose behalf a file is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Somebody who reads the mission's reports.
    Staff,
    /// A device of this accreditation: only what that has announced.
    Observer(Uuid),
}

/// A file that a reader may know of.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its bytes: as the latest entry says, until it is complete.
    pub size: u64,
    /// Its media type, as the latest entry says.
    pub media_type: String,
    /// Set once it is complete.
    pub complete: Option<FileRow>,
}

impl Evidence {
    /// Opens the store of files that the configuration names.
    ///
    /// # Errors
    /// `configuration_invalid`, or the file system's.
    pub fn open(config: &Config, store: Store, host: Host) -> Result<Self> {
        Ok(Self {
            objects: Objects::open(&config.evidence()?)?,
            store,
            host,
            durable_at_once: config.evidence_durable == Durability::Stored,
            upload_days: config.evidence_upload_days,
            turns: Turns::default(),
            completing: Arc::new(Semaphore::new(COMPLETING)),
        })
    }

    /// The bytes.
    #[must_use]
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Conn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || store.read(work))
            .await
            .map_err(|_| Error::Internal("reading was cancelled".into()))?
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Conn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || store.write(work))
            .await
            .map_err(|_| Error::Internal("writing was cancelled".into()))?
    }

    /// Forgets a complete file whose bytes are gone, so that a phone that still
    /// has them may send them again.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget(&self, mission: MissionRef, file: FileHash) -> Result<()> {
        tracing::error!(mission = %mission.id, %file, "a complete file of evidence is not in the store");
        self.write(move |conn| store::forget(conn, mission.no, &file.0))
            .await
    }

    /// Notes that a person is given the file. Before they are: nobody has seen a file
    /// of whom that is not known.
    ///
    /// # Errors
    /// The database's.
    pub async fn given_to(
        &self,
        mission: MissionRef,
        file: FileHash,
        person: UserId,
    ) -> Result<()> {
        let (no, at) = (mission.no, self.host.now());
        let known =
            move |conn: &mut Conn| evidence_readers::knows(conn, no, &file.0, person.0.as_bytes());
        // A film is read in many ranges, and noted once.
        if self.read(known).await? {
            return Ok(());
        }
        self.write(move |conn| evidence_readers::note(conn, no, &file.0, person.0.as_bytes(), at))
            .await
    }
}

/// Looks a file up for somebody who wants to read its bytes. A device may have
/// back only what its accreditation has sent: a hash that somebody was told opens
/// nothing.
///
/// # Errors
/// As [`find`]; `forbidden` for a device that has not sent it.
pub fn find_to_read(
    conn: &mut Conn,
    mission: MissionRef,
    reader: Reader,
    file: &FileHash,
) -> Result<Found> {
    let found = find(conn, mission, reader, file)?;
    match reader {
        Reader::Observer(accreditation)
            if found.complete.is_some()
                && !store::has_sent(conn, mission.no, &file.0, accreditation.as_bytes())? =>
        {
            let why = "only a device of the accreditation that sent the file may read it back";
            Err(Error::refused(Code::Forbidden, why))
        }
        _ => Ok(found),
    }
}

/// Looks a file up for a reader.
///
/// # Errors
/// `evidence_unknown` if nothing that the reader may see announces it;
/// `evidence_waits` if only entries in quarantine do; or the database's.
pub fn find(
    conn: &mut Conn,
    mission: MissionRef,
    reader: Reader,
    file: &FileHash,
) -> Result<Found> {
    let mut rows = store::announcements(conn, mission.no, &file.0)?;
    if let Reader::Observer(accreditation) = reader {
        rows.retain(|row| row.accreditation == accreditation.as_bytes());
    }
    if rows.is_empty() {
        return Err(Error::refused(Code::EvidenceUnknown, ""));
    }
    // A phone that first said a wrong size corrects it with another entry.
    let row = rows
        .into_iter()
        .rfind(AnnouncedRow::is_accepted)
        .ok_or_else(|| Error::refused(Code::EvidenceWaits, ""))?;
    let complete = store::file(conn, mission.no, &file.0)?;
    let size = complete.as_ref().map_or(row.size, |complete| complete.size);
    Ok(Found {
        size: u64::try_from(size).unwrap_or(0),
        media_type: row.media_type,
        complete,
    })
}
