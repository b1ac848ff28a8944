//! Receiving a file in pieces, and putting it together.

use bytes::{Bytes, BytesMut};
use protocol::{
    codes::Code,
    ids::FileHash,
    planted::{Fault, is as planted},
};
use tokio::{sync::mpsc, task::JoinHandle};
use uuid::Uuid;

use super::{Evidence, find, turns::Turn};
use crate::{
    domain::{acts::MissionRef, evidence::Reader},
    error::{Error, Result},
    store::{
        evidence::{self as store, FileRow},
        objects::{PIECE_BYTES, Upload, covered},
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
        mut turn: Turn,
        mut chunks: mpsc::Receiver<Bytes>,
    ) -> Result<Progress> {
        let upload = sent.upload();
        let mut offset = begun.offset;
        let mut buffer = BytesMut::new();
        let mut wanted = false;
        loop {
            let chunk = tokio::select! {
                chunk = chunks.recv() => chunk,
                () = turn.wanted(), if !wanted => {
                    wanted = true;
                    // What was handed on already is still stored.
                    chunks.close();
                    continue;
                }
            };
            let Some(chunk) = chunk else { break };
            let left = begun.size - offset - buffer.len() as u64;
            if chunk.len() as u64 > left {
                return Err(too_large(begun.size));
            }
            metrics::counter!("scrutineer_evidence_bytes_total").increment(chunk.len() as u64);
            buffer.extend_from_slice(&chunk);
            while buffer.len() >= PIECE_BYTES {
                let piece = buffer.split_to(PIECE_BYTES).freeze();
                let length = piece.len() as u64;
                self.objects.put_piece(&upload, offset, piece).await?;
                offset += length;
            }
        }
        if !buffer.is_empty() {
            let length = buffer.len() as u64;
            self.objects
                .put_piece(&upload, offset, buffer.freeze())
                .await?;
            offset += length;
        }
        if wanted && offset < begun.size {
            return Err(mismatch(offset));
        }
        if offset < begun.size {
            return Ok(Progress { offset, ..begun });
        }
        self.settle(&sent).await
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
            return Ok(progress);
        }
        let _turn = self
            .completing
            .acquire()
            .await
            .map_err(|_| Error::refused(Code::Overloaded, "the server is stopping"))?;
        let whole = covered(&pieces) == progress.size;
        if !whole || !self.objects.assemble(&upload, &pieces).await? {
            metrics::counter!("scrutineer_evidence_mismatches_total").increment(1);
            self.objects.remove_upload(&upload).await?;
            return Err(
                Error::refused(Code::FileMismatch, "the SHA-256 of what came is another")
                    .with("offset", 0),
            );
        }
        let now = self.host.now();
        let row = FileRow {
            mission: sent.mission.no,
            sha256: sent.file.0.to_vec(),
            size: i64::try_from(progress.size).unwrap_or(i64::MAX),
            completed_at: now.0,
            durable_at: self.durable_at_once.then_some(now.0),
        };
        let kept = row.clone();
        self.write(move |conn| store::complete(conn, &kept)).await?;
        metrics::counter!("scrutineer_evidence_files_total").increment(1);
        self.objects.remove_upload(&upload).await?;
        Ok(done(&row))
    }
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
