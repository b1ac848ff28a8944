//! What goes: files of erased reports, and uploads that nobody goes on with.

use protocol::ids::FileHash;
use uuid::Uuid;

use super::Evidence;
use crate::{
    error::{Error, Result},
    store::{
        evidence::{self as store, AnnouncedRow},
        missions,
    },
};

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files of erased reports.
    pub destroyed: usize,
    /// Unfinished uploads.
    pub uploads: usize,
}

impl Evidence {
    /// Destroys the files that erasures doomed. What fails is left for the next
    /// time: the rows that name them go last.
    ///
    /// # Errors
    /// A store's.
    pub async fn destroy_doomed(&self) -> Result<usize> {
        let mut destroyed = 0;
        for (no, mission, sha256) in self.read(store::doomed).await? {
            let (Ok(mission), Ok(file)) =
                (Uuid::from_slice(&mission), sha256.as_slice().try_into())
            else {
                return Err(Error::Internal("a doomed file has no name".into()));
            };
            let file = FileHash(file);
            let wanted = self
                .read(move |conn| {
                    let rows = store::announcements(conn, no, &file.0)?;
                    Ok(rows.iter().any(AnnouncedRow::is_accepted))
                })
                .await?;
            if !wanted {
                self.objects.destroy(mission, &file).await?;
                destroyed += 1;
            }
            self.write(move |conn| {
                if !wanted {
                    store::forget(conn, no, &file.0)?;
                }
                store::undoom(conn, no, &file.0)
            })
            .await?;
        }
        Ok(destroyed)
    }

    /// Removes unfinished uploads of complete files, and those that got no byte
    /// for `evidence_upload_days`.
    async fn remove_remains(&self) -> Result<usize> {
        let before = self.host.now().plus_seconds(-self.upload_days * 86_400);
        let remains = self.objects.remains().await?;
        let mut removed = 0;
        for one in remains {
            let upload = one.upload;
            let complete = self
                .read(move |conn| {
                    let id = protocol::ids::MissionId(upload.mission);
                    let Some(mission) = missions::find(conn, id)? else {
                        return Ok(false);
                    };
                    Ok(store::file(conn, mission.reference.no, &upload.file.0)?.is_some())
                })
                .await?;
            if complete || one.touched < before {
                self.objects.remove_upload(&upload).await?;
                removed += 1;
            }
        }
        let objects = self.objects.clone();
        tokio::task::spawn_blocking(move || objects.remove_staged(before))
            .await
            .map_err(|_| Error::Internal("sweeping was cancelled".into()))??;
        Ok(removed)
    }

    /// Both.
    ///
    /// # Errors
    /// A store's; what was removed before stays so.
    pub async fn sweep(&self) -> Result<Swept> {
        Ok(Swept {
            destroyed: self.destroy_doomed().await?,
            uploads: self.remove_remains().await?,
        })
    }
}
