//! Receiving a file in pieces, and putting it together.

use std::ops::Range;

use bytes::Bytes;
use protocol::{
    codes::Code,
    ids::FileHash,
    planted::{Fault, is as planted},
};
use tokio::{
    sync::{SemaphorePermit, mpsc},
    task::JoinHandle,
};
use uuid::Uuid;

use super::{Evidence, find, turns::Turn};
use crate::{
    domain::{acts::MissionRef, evidence::Reader},
    error::{Error, Result},
    store::{
        evidence::{self as store, FileRow},
        objects::{Objects, PieceBuffer, Upload, covered},
    },
};

/// A file that a device sends.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// The device's mission.
    pub mission: MissionRef,
    /// The device.
    pub device: Uuid,
    /// Whose it is.
    pub accreditation: Uuid,
    /// The file.
    pub file: FileHash,
}

impl Sent {
    fn upload(&self) -> Upload {
        Upload {
            mission: self.mission.id.0,
            file: self.file,
            device: self.device,
        }
    }
}

/// How far a file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are stored.
    pub offset: u64,
    /// Bytes that the file has.
    pub size: u64,
    /// Whether it is complete and verified.
    pub complete: bool,
    /// Whether it outlives the disk that it lies on.
    pub durable: bool,
}

impl Evidence {
    /// How far a device's upload has come. A request that is still at it is ended
    /// first, so that nothing is on its way any more. If all bytes are there, the
    /// file is put together and verified: a server may have died just before.
    ///
    /// # Errors
    /// `evidence_unknown`, `evidence_waits`, or a store's.
    pub async fn progress(&self, sent: Sent) -> Result<Progress> {
        let turn = self.turns.take(sent.upload()).await;
        let me = self.clone();
        // On its own: a caller who hangs up must not stop it halfway.
        let settled = tokio::spawn(async move {
            let settled = me.settle(&sent).await;
            drop(turn);
            settled
        });
        match joined(settled).await {
            // What had come is gone: the file begins again.
            Err(Error::Refused {
                code: Code::FileMismatch,
                ..
            }) => self.look(&sent).await.map(|(progress, _)| progress),
            other => other,
        }
    }

    /// Begins to receive at an offset. Chunks go into `chunks`; when that is
    /// closed, what came is stored and, if it was the last byte, verified. The
    /// task goes on when the caller hangs up.
    ///
    /// # Errors
    /// `evidence_unknown`, `evidence_waits`, `offset_mismatch` (with `offset`),
    /// `body_too_large` if `announced` bytes would be too many, or a store's.
    pub async fn receive(
        &self,
        sent: Sent,
        offset: u64,
        announced: Option<u64>,
        chunks: mpsc::Receiver<Bytes>,
    ) -> Result<JoinHandle<Result<Progress>>> {
        let turn = self.turns.take(sent.upload()).await;
        let (progress, _) = self.look(&sent).await?;
        if progress.offset != offset {
            return Err(mismatch(progress.offset));
        }
        if announced.is_some_and(|bytes| bytes > progress.size - progress.offset) {
            return Err(too_large(progress.size));
        }
        let me = self.clone();
        Ok(tokio::spawn(async move {
            me.store_chunks(sent, progress, turn, chunks).await
        }))
    }

    async fn store_chunks(
        &self,
        sent: Sent,
        begun: Progress,
        turn: Turn,
        chunks: mpsc::Receiver<Bytes>,
    ) -> Result<Progress> {
        let range = begun.offset..begun.size;
        let stored = store_pieces(&self.objects, &sent.upload(), range, turn, chunks).await?;
        if stored.offset == begun.size {
            self.settle(&sent).await
        } else if stored.given_up {
            Err(mismatch(stored.offset))
        } else {
            Ok(Progress {
                offset: stored.offset,
                ..begun
            })
        }
    }

    /// What is known of a file and of this device's upload.
    async fn look(&self, sent: &Sent) -> Result<(Progress, Vec<crate::store::objects::Piece>)> {
        let (mission, file) = (sent.mission, sent.file);
        let reader = Reader::Observer(sent.accreditation);
        let mut found = self
            .read(move |conn| find(conn, mission, reader, &file))
            .await?;
        if found.complete.is_some() && !self.objects.has(mission.id.0, &file).await? {
            self.forget(mission, file).await?;
            found = self
                .read(move |conn| find(conn, mission, reader, &file))
                .await?;
        }
        if let Some(complete) = &found.complete {
            return Ok((done(complete), Vec::new()));
        }
        let pieces = self.objects.pieces(&sent.upload()).await?;
        let progress = Progress {
            offset: covered(&pieces).min(found.size),
            size: found.size,
            complete: false,
            durable: false,
        };
        Ok((progress, pieces))
    }

    /// Completes the upload if its last byte has come.
    async fn settle(&self, sent: &Sent) -> Result<Progress> {
        let (progress, pieces) = self.look(sent).await?;
        let upload = sent.upload();
        if progress.complete {
            // Another device was faster, or this one's last answer was lost.
            self.objects.remove_upload(&upload).await?;
            return Ok(progress);
        }
        if progress.offset < progress.size {
            return self.find_again(sent, progress).await;
        }
        let _turn = self.turn_to_complete().await?;
        let whole = covered(&pieces) == progress.size;
        if !whole || !self.objects.assemble(&upload, &pieces).await? {
            metrics::counter!("scrutineer_evidence_mismatches_total").increment(1);
            self.objects.remove_upload(&upload).await?;
            return Err(
                Error::refused(Code::FileMismatch, "the SHA-256 of what came is another")
                    .with("offset", 0),
            );
        }
        let row = self.row(sent, progress.size);
        let (kept, sender) = (row.clone(), sent.accreditation);
        self.write(move |conn| {
            store::complete(conn, &kept)?;
            store::sent_by(conn, kept.mission, &kept.sha256, sender.as_bytes())
        })
        .await?;
        metrics::counter!("scrutineer_evidence_files_total").increment(1);
        self.objects.remove_upload(&upload).await?;
        Ok(done(&row))
    }
}

impl Evidence {
    /// A file that nobody has sent wholly, as the register says: but it may lie in
    /// the store all the same, if the database is older than that, and phones may
    /// have let go of it.
    async fn find_again(&self, sent: &Sent, progress: Progress) -> Result<Progress> {
        let (mission, file, size) = (sent.mission.id.0, sent.file, progress.size);
        if self.objects.size_of(mission, &file).await? != Some(size) {
            return Ok(progress);
        }
        let _turn = self.turn_to_complete().await?;
        if !self.objects.holds(mission, &file, size).await? {
            return Ok(progress);
        }
        tracing::warn!(mission = %sent.mission.id, %file, "a file that the register lacked was found in the store");
        let row = self.row(sent, size);
        let kept = row.clone();
        self.write(move |conn| store::complete(conn, &kept)).await?;
        self.objects.remove_upload(&sent.upload()).await?;
        Ok(done(&row))
    }

    async fn turn_to_complete(&self) -> Result<SemaphorePermit<'_>> {
        let turn = self.completing.acquire().await;
        turn.map_err(|_| Error::refused(Code::Overloaded, "the server is stopping"))
    }

    /// A complete file, as of now.
    fn row(&self, sent: &Sent, size: u64) -> FileRow {
        let now = self.host.now();
        FileRow {
            mission: sent.mission.no,
            sha256: sent.file.0.to_vec(),
            size: i64::try_from(size).unwrap_or(i64::MAX),
            completed_at: now.0,
            durable_at: self.durable_at_once.then_some(now.0),
        }
    }
}

/// How many bytes of an upload are stored now.
#[derive(Debug)]
pub struct Stored {
    /// Where it goes on.
    pub offset: u64,
    /// Another request wanted the upload.
    pub given_up: bool,
    /// Held until the caller is done too.
    pub _turn: Turn,
}

/// Stores chunks as pieces, until they end or another request wants the upload.
///
/// # Errors
/// `body_too_large` for more than the range has, or a store's.
pub async fn store_pieces(
    objects: &Objects,
    upload: &Upload,
    range: Range<u64>,
    mut turn: Turn,
    mut chunks: mpsc::Receiver<Bytes>,
) -> Result<Stored> {
    let mut offset = range.start;
    let mut piece = PieceBuffer::default();
    let mut given_up = false;
    loop {
        let chunk = tokio::select! {
            chunk = chunks.recv() => chunk,
            () = turn.wanted(), if !given_up => {
                given_up = true;
                // What was handed on already is still stored.
                chunks.close();
                continue;
            }
        };
        let Some(chunk) = chunk else { break };
        let left = range.end - offset - piece.len();
        if chunk.len() as u64 > left {
            return Err(too_large(range.end));
        }
        metrics::counter!("scrutineer_evidence_bytes_total").increment(chunk.len() as u64);
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            rest = piece.fill(rest);
            if piece.is_full() {
                offset += objects.put_piece(upload, offset, &mut piece).await?;
            }
        }
    }
    if !piece.is_empty() {
        offset += objects.put_piece(upload, offset, &mut piece).await?;
    }
    Ok(Stored {
        offset,
        given_up,
        _turn: turn,
    })
}

fn done(row: &FileRow) -> Progress {
    let size = u64::try_from(row.size).unwrap_or(0);
    Progress {
        offset: size,
        size,
        complete: true,
        durable: row.durable_at.is_some() || planted(Fault::DurableTooEarly),
    }
}

/// Waits for a task.
pub(super) async fn joined(task: JoinHandle<Result<Progress>>) -> Result<Progress> {
    task.await
        .map_err(|_| Error::Internal("an upload's task panicked or was cancelled".into()))?
}

fn mismatch(offset: u64) -> Error {
    Error::refused(
        Code::OffsetMismatch,
        format!("the upload goes on at {offset}"),
    )
    .with("offset", offset)
}

fn too_large(size: u64) -> Error {
    Error::refused(
        Code::BodyTooLarge,
        format!("the file was announced with {size} bytes"),
    )
}
