//! The files that entries announce, and how each stands with the server.

use std::collections::BTreeMap;

use protocol::{
    codes::Code,
    entry::{FileRef, Kind, Severity},
    ids::{EntryHash, EpochId, FileHash, SubjectId},
};
use serde::{Deserialize, Serialize};

use super::{Entry, delivery::Deliveries};

/// How a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileStanding {
    /// The server has a part of it, or none.
    Sending,
    /// The server has all of it.
    Whole,
    /// A coordinator has to admit its entry first.
    Waits,
    /// The server does not take it for now. Kept, and offered again.
    NotTaken,
    /// The copy on this device cannot be read.
    Unreadable,
}

/// What the phone knows of a file's upload. One without this was not begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// The file.
    pub file: FileHash,
    /// Its size in bytes.
    pub size: u64,
    /// How it stands.
    pub standing: FileStanding,
    /// Bytes that the server has, as it last said. Asked for again before going on.
    pub sent: u64,
    /// Whether the server said that the file outlives its disk.
    #[serde(default)]
    pub durable: bool,
    /// The server's history that this is said of.
    #[serde(default)]
    pub epoch: Option<EpochId>,
    /// Why it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// All uploads known, and the server's history they are judged by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uploads {
    /// By file.
    pub by_file: BTreeMap<FileHash, Upload>,
    /// The server's history as last heard.
    pub epoch: Option<EpochId>,
}

impl Uploads {
    /// How a file stands now. What an earlier history of the server had counts
    /// for nothing.
    #[must_use]
    pub fn of(&self, file: &FileHash) -> Option<&Upload> {
        self.by_file
            .get(file)
            .filter(|upload| upload.epoch == self.epoch)
    }
}

/// The order in which files are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileLane {
    /// Small pictures: what a coordinator sees first.
    Preview,
    /// Pictures.
    Photo,
    /// Video, audio, documents.
    Other,
}

/// A file that entries announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The file.
    pub file: FileRef,
    /// Its lane; the highest if it has several.
    pub lane: FileLane,
    /// Whether a critical report has it.
    pub critical: bool,
    /// The place of the first entry that announces it.
    pub position: i64,
    /// Whether the server holds an entry that announces it.
    pub delivered: bool,
    /// Whether it holds all of them.
    pub all_delivered: bool,
}

/// The subjects of critical reports.
#[must_use]
pub fn critical_subjects<'a>(
    entries: impl Iterator<Item = &'a Entry>,
) -> std::collections::BTreeSet<SubjectId> {
    entries
        .filter(|entry| entry.severity() == Some(Severity::Critical))
        .map(Entry::subject)
        .collect()
}

/// Every file that the entries announce.
#[must_use]
pub fn announced<'a>(
    entries: impl Iterator<Item = &'a Entry> + Clone,
    deliveries: &Deliveries,
) -> BTreeMap<FileHash, Announced> {
    let critical = critical_subjects(entries.clone());
    let mut found: BTreeMap<FileHash, Announced> = BTreeMap::new();
    for entry in entries.filter(|entry| *entry.kind() == Kind::Attach) {
        let Some(attach) = entry.attach() else {
            continue;
        };
        let delivered = deliveries.is_delivered(&entry.hash);
        let lane = if attach.file.media_type.starts_with("image/") {
            FileLane::Photo
        } else {
            FileLane::Other
        };
        let preview = attach.preview.map(|file| (file, FileLane::Preview));
        for (file, lane) in std::iter::once((attach.file, lane)).chain(preview) {
            let one = found.entry(file.sha256).or_insert_with(|| Announced {
                file,
                lane,
                critical: false,
                position: entry.position,
                delivered: false,
                all_delivered: true,
            });
            one.lane = one.lane.min(lane);
            one.critical |= critical.contains(&entry.subject());
            one.delivered |= delivered;
            one.all_delivered &= delivered;
        }
    }
    found
}

/// How a file stands, for people and programs: a stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// Not with the server, or not wholly.
    Waiting,
    /// With the server, wholly.
    Delivered,
    /// With the server, and outlives its disk.
    Durable,
    /// A coordinator has to admit the entry first.
    AwaitsCoordinator,
    /// The server does not take it for now; kept, and offered again.
    NotTaken,
    /// The copy on this device cannot be read, and the server has not all of it.
    Unreadable,
}

impl FileStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Waiting,
        Self::Delivered,
        Self::Durable,
        Self::AwaitsCoordinator,
        Self::NotTaken,
        Self::Unreadable,
    ];

    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Durable => "delivered, backed up",
            Self::AwaitsCoordinator => "waits for a coordinator",
            Self::NotTaken => "not accepted, kept",
            Self::Unreadable => "cannot be read here",
        }
    }
}

/// A file of a report, as the observer sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportFile {
    /// The entry that attaches it.
    pub entry: EntryHash,
    /// The file.
    #[serde(flatten)]
    pub file: FileRef,
    /// When it was taken, if that is known.
    pub taken_at: Option<String>,
    /// Where it stands.
    pub status: FileStatus,
    /// Bytes that the server has.
    pub sent: u64,
    /// Whether the bytes are on this device.
    pub here: bool,
    /// Why it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// What is known of all files: for showing reports.
#[derive(Clone, Debug, Default)]
pub struct FilesNow {
    /// Their uploads.
    pub uploads: Uploads,
    /// Whose bytes are on this device.
    pub here: std::collections::BTreeSet<FileHash>,
}

impl FilesNow {
    /// The file that an entry attaches; `None` if it attaches none.
    #[must_use]
    pub fn read(&self, entry: &Entry) -> Option<ReportFile> {
        let attach = entry.attach()?;
        let upload = self.uploads.of(&attach.file.sha256);
        let here = self.here.contains(&attach.file.sha256);
        let status = match upload.map(|upload| (upload.standing, upload.durable)) {
            Some((FileStanding::Whole, true)) => FileStatus::Durable,
            Some((FileStanding::Whole, false)) => FileStatus::Delivered,
            Some((FileStanding::Waits, _)) => FileStatus::AwaitsCoordinator,
            Some((FileStanding::NotTaken, _)) => FileStatus::NotTaken,
            Some((FileStanding::Unreadable, _)) => FileStatus::Unreadable,
            _ if !here => FileStatus::Unreadable,
            Some((FileStanding::Sending, _)) | None => FileStatus::Waiting,
        };
        Some(ReportFile {
            entry: entry.hash,
            taken_at: attach.taken_at,
            status,
            sent: upload.map_or(0, |upload| upload.sent),
            here,
            code: upload.and_then(|upload| upload.code),
            file: attach.file,
        })
    }
}
