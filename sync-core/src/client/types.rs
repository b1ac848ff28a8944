//! What the façade hands back.

use std::collections::BTreeMap;

use protocol::{
    codes::Code,
    ids::{EntryHash, MissionId, SubjectId},
};
use serde::Serialize;

use super::{ReferenceOverview, Settings};
use crate::{
    engine::SyncReport,
    error::Error,
    journal::files::{FileStatus, ReportFile},
};

/// An entry that is durable now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Filed {
    /// The report (or check-in) it is about.
    pub report: SubjectId,
    /// The entry.
    pub entry: EntryHash,
}

/// How the enrolment stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Enrolment {
    /// Whether the server knows the device. If not, one may file all the same,
    /// and the next sync tries again.
    pub enrolled: bool,
    /// The mission.
    pub mission: MissionId,
    /// Its name, once enrolled.
    pub mission_name: Option<String>,
    /// The election, once enrolled.
    pub election: Option<String>,
    /// The accreditation's number, once enrolled.
    pub accreditation: Option<String>,
    /// The thumbprint of the device key.
    pub device_key: String,
    /// Where the server is.
    pub server: String,
    /// Why the server refused the link, if it did.
    pub refused: Option<Code>,
}

/// How the device stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overview {
    /// The enrolment; `None` if no link was used yet.
    pub enrolment: Option<Enrolment>,
    /// Reports by status.
    pub reports: BTreeMap<&'static str, usize>,
    /// The files of all reports.
    pub files: FilesOverview,
    /// Messages that came.
    pub messages: usize,
    /// Those that were not read yet.
    pub messages_unread: usize,
    /// The registers on this device.
    pub reference: Vec<ReferenceOverview>,
    /// The observer's settings.
    pub settings: Settings,
    /// Entries in all.
    pub entries: usize,
    /// Entries that are not delivered, for whatever reason.
    pub pending: usize,
    /// Rows that cannot be opened with the present keys; kept.
    pub unreadable: usize,
    /// When the server last answered, by its own clock.
    pub last_contact: Option<String>,
    /// Milliseconds until a background sync may try again.
    pub wait_ms: u64,
}

/// How the files of all reports stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FilesOverview {
    /// Files by status.
    #[serde(flatten)]
    pub by_status: BTreeMap<FileStatus, usize>,
    /// Bytes that the server lacks.
    pub bytes_waiting: u64,
    /// Bytes of files that are on this device.
    pub bytes_here: u64,
}

impl FilesOverview {
    pub(super) fn count(&mut self, file: &ReportFile) {
        *self.by_status.entry(file.status).or_insert(0) += 1;
        self.bytes_waiting += file.file.size.saturating_sub(file.sent);
        self.bytes_here += if file.here { file.file.size } else { 0 };
    }
}

/// What a sync did, and why it ended early if it did.
#[derive(Clone, Debug)]
pub struct SyncError {
    /// What was done before.
    pub report: Box<SyncReport>,
    /// What ended it.
    pub error: Error,
}

impl From<Error> for SyncError {
    fn from(error: Error) -> Self {
        Self {
            report: Box::default(),
            error,
        }
    }
}
