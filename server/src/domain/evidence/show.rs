//! A report's files, as its readers see them.

use std::collections::HashMap;

use protocol::ids::FileHash;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Evidence;
use crate::{
    clock::Micros,
    domain::acts::MissionRef,
    error::{Error, Result},
    store::{
        Conn,
        evidence::{self as store, AnnouncedRow, FileRow},
        evidence_readers,
    },
};

/// Unfinished files of one report whose bytes are counted: each costs a listing.
const COUNTED: usize = 100;

/// What an attach entry brought.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReportEvidence {
    /// The entry's ledger number.
    pub number: i64,
    /// Whether the entry counts (`applied`), or waits for its base (`held`).
    pub standing: String,
    /// When it was taken, as the phone says.
    pub taken_at: Option<String>,
    /// The original.
    pub file: ShownFile,
    /// A small picture of it.
    pub preview: Option<ShownFile>,
}

/// A file and how much of it is here.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShownFile {
    /// Its SHA-256, base64url: `GET /v1/evidence/{sha256}` once it is complete.
    #[schema(value_type = String)]
    pub sha256: FileHash,
    /// Bytes.
    pub size: u64,
    /// Media type, as the phone says.
    pub media_type: String,
    /// How much of it is here.
    pub state: FileState,
    /// Bytes that are here; absent where that was not looked up: beyond the first
    /// hundred unfinished files, or while the files' store cannot be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrived: Option<u64>,
    /// Whether it outlives the disk that it lies on.
    pub durable: bool,
    /// The people who were given it, or a part of it, the first first.
    pub readers: Vec<FileReader>,
}

/// Somebody who was given a file of evidence.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FileReader {
    /// The account.
    pub person: Uuid,
    /// When first. RFC 3339.
    pub first_at: String,
}

/// How much of a file is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// Nothing.
    Announced,
    /// A part.
    Partial,
    /// All of it, verified.
    Complete,
}

/// A report's evidence, in ledger order, without what waits in quarantine. How
/// much of unfinished files is here is not looked at: see [`with_arrived`].
///
/// # Errors
/// The database's.
pub fn of_report(
    conn: &mut Conn,
    mission: MissionRef,
    report: Uuid,
) -> Result<Vec<ReportEvidence>> {
    let mut rows = store::of_report(conn, mission.no, report.as_bytes())?;
    rows.retain(AnnouncedRow::is_accepted);
    let names: Vec<Vec<u8>> = rows.iter().map(|row| row.sha256.clone()).collect();
    let complete: HashMap<Vec<u8>, FileRow> = store::files(conn, mission.no, &names)?
        .into_iter()
        .map(|file| (file.sha256.clone(), file))
        .collect();
    let mut readers: HashMap<Vec<u8>, Vec<FileReader>> = HashMap::new();
    for row in evidence_readers::of_files(conn, mission.no, &names)? {
        let person = Uuid::from_slice(&row.user_id)
            .map_err(|_| Error::Internal("an account's id is not 16 bytes".into()))?;
        let first_at = Micros(row.first_at).rfc3339();
        let reader = FileReader { person, first_at };
        readers.entry(row.sha256).or_default().push(reader);
    }
    let mut found: Vec<ReportEvidence> = Vec::new();
    for row in rows {
        let mut file = shown(&row, complete.get(&row.sha256))?;
        // Two entries may announce one file.
        file.readers = readers.get(&row.sha256).cloned().unwrap_or_default();
        match found.last_mut() {
            Some(entry) if row.preview => entry.preview = Some(file),
            _ => found.push(ReportEvidence {
                number: row.number,
                standing: row.standing,
                taken_at: row.taken_at.map(|at| Micros(at).rfc3339()),
                file,
                preview: None,
            }),
        }
    }
    Ok(found)
}

fn shown(row: &AnnouncedRow, complete: Option<&FileRow>) -> Result<ShownFile> {
    let sha256 = row
        .sha256
        .as_slice()
        .try_into()
        .map(FileHash)
        .map_err(|_| Error::Internal("a file's hash is not 32 bytes".into()))?;
    let size = complete.map_or(row.size, |file| file.size);
    let size = u64::try_from(size).unwrap_or(0);
    Ok(ShownFile {
        sha256,
        size,
        media_type: row.media_type.clone(),
        state: match complete {
            Some(_) => FileState::Complete,
            None => FileState::Announced,
        },
        arrived: complete.map(|_| size),
        durable: complete.is_some_and(|file| file.durable_at.is_some()),
        readers: Vec::new(),
    })
}

/// Looks in the store how much of the unfinished files is here. A store that cannot
/// be reached keeps nobody from reading the report.
pub async fn with_arrived(
    evidence: &Evidence,
    mission: MissionRef,
    mut found: Vec<ReportEvidence>,
) -> Vec<ReportEvidence> {
    let files = found
        .iter_mut()
        .flat_map(|entry| std::iter::once(&mut entry.file).chain(entry.preview.as_mut()))
        .filter(|file| file.state == FileState::Announced)
        .take(COUNTED);
    for file in files {
        match evidence.objects.arrived(mission.id.0, &file.sha256).await {
            Ok(arrived) => {
                file.arrived = Some(arrived.min(file.size));
                if arrived > 0 {
                    file.state = FileState::Partial;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "how much of a report's files is here cannot be told");
                break;
            }
        }
    }
    found
}
