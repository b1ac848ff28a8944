//! Evidence: which files the ledger announces, and which are complete. The bytes
//! are in [`super::objects`]. `mission + 0`: see the migration.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;

use super::{
    conn::{Conn, on_backend},
    ledger::CHUNK,
    schema::{evidence, evidence_doomed, evidence_files, evidence_senders, missions},
};
use crate::{clock::Micros, error::Result};

/// A file that an attach entry announces.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = evidence, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct AnnouncedRow {
    pub mission: i32,
    pub number: i64,
    pub preview: bool,
    pub sha256: Vec<u8>,
    pub size: i64,
    pub media_type: String,
    pub report: Vec<u8>,
    pub accreditation: Vec<u8>,
    pub taken_at: Option<i64>,
    pub standing: String,
}

impl AnnouncedRow {
    /// Whether its bytes may come and be read: the entry is not in quarantine.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.standing != "quarantined"
    }
}

/// A complete file.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = evidence_files, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct FileRow {
    pub mission: i32,
    pub sha256: Vec<u8>,
    pub size: i64,
    pub completed_at: i64,
    pub durable_at: Option<i64>,
}

/// A file to destroy: its mission's short key and id, and its SHA-256.
pub type Doomed = (i32, Vec<u8>, Vec<u8>);

/// What one entry announces; it replaces what the same entry announced before.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// The entry's files.
    pub rows: Vec<AnnouncedRow>,
    /// Whether the entry may have been written before: it had to wait.
    pub late: bool,
}

/// Writes what entries announce, by ledger number.
///
/// # Errors
/// The database's.
pub fn announce(
    conn: &mut Conn,
    mission: i32,
    announcements: impl IntoIterator<Item = (i64, Announcement)>,
) -> Result<()> {
    let mut rows = Vec::new();
    for (number, announcement) in announcements {
        if announcement.late {
            diesel::delete(
                evidence::table
                    .filter(evidence::mission.eq(mission))
                    .filter(evidence::number.eq(number)),
            )
            .execute(conn)?;
        }
        rows.extend(announcement.rows);
    }
    for chunk in rows.chunks(CHUNK) {
        on_backend!(conn, |inner| diesel::insert_into(evidence::table)
            .values(chunk)
            .execute(inner))?;
    }
    Ok(())
}

/// Everything that announces a file, in ledger order.
///
/// # Errors
/// The database's.
pub fn announcements(conn: &mut Conn, mission: i32, sha256: &[u8]) -> Result<Vec<AnnouncedRow>> {
    let mut rows: Vec<AnnouncedRow> = evidence::table
        .filter(evidence::sha256.eq(sha256))
        .filter((evidence::mission + 0).eq(mission))
        .load(conn)?;
    rows.sort_by_key(|row| row.number);
    Ok(rows)
}

/// What a report's entries announce, in ledger order, originals before their
/// previews.
///
/// # Errors
/// The database's.
pub fn of_report(conn: &mut Conn, mission: i32, report: &[u8]) -> Result<Vec<AnnouncedRow>> {
    let mut rows: Vec<AnnouncedRow> = evidence::table
        .filter(evidence::report.eq(report))
        .filter((evidence::mission + 0).eq(mission))
        .load(conn)?;
    rows.sort_by_key(|row| (row.number, row.preview));
    Ok(rows)
}

/// How many originals each of these reports has, each file counted once.
///
/// # Errors
/// The database's.
pub fn counts(conn: &mut Conn, mission: i32, reports: &[&[u8]]) -> Result<HashMap<Vec<u8>, i64>> {
    let rows: Vec<(Vec<u8>, Vec<u8>)> = evidence::table
        .filter(evidence::report.eq_any(reports))
        .filter((evidence::mission + 0).eq(mission))
        .filter(evidence::preview.eq(false))
        .filter(evidence::standing.ne("quarantined"))
        .select((evidence::report, evidence::sha256))
        .load(conn)?;
    let mut counts = HashMap::new();
    for (report, _) in rows.into_iter().collect::<HashSet<_>>() {
        *counts.entry(report).or_insert(0) += 1;
    }
    Ok(counts)
}

/// The originals that an accreditation has announced and that count against its
/// quota: file and bytes. A file announced twice stands twice.
///
/// # Errors
/// The database's.
pub fn originals(
    conn: &mut Conn,
    mission: i32,
    accreditation: &[u8],
) -> Result<Vec<(Vec<u8>, i64)>> {
    Ok(evidence::table
        .filter(evidence::accreditation.eq(accreditation))
        .filter((evidence::mission + 0).eq(mission))
        .filter(evidence::preview.eq(false))
        .filter(evidence::standing.ne("quarantined"))
        .select((evidence::sha256, evidence::size))
        .load(conn)?)
}

/// Forgets what a report announces. Files that no other report's accepted entry
/// announces are to be destroyed.
///
/// # Errors
/// The database's.
pub fn erase(conn: &mut Conn, mission: i32, report: &[u8]) -> Result<()> {
    let files: HashSet<Vec<u8>> = of_report(conn, mission, report)?
        .into_iter()
        .map(|row| row.sha256)
        .collect();
    diesel::delete(
        evidence::table
            .filter(evidence::report.eq(report))
            .filter((evidence::mission + 0).eq(mission)),
    )
    .execute(conn)?;
    for file in files {
        let wanted = announcements(conn, mission, &file)?
            .iter()
            .any(AnnouncedRow::is_accepted);
        if !wanted {
            doom(conn, mission, &file)?;
        }
    }
    Ok(())
}

fn doom(conn: &mut Conn, mission: i32, sha256: &[u8]) -> Result<()> {
    let known: i64 = evidence_doomed::table
        .find((mission, sha256))
        .count()
        .get_result(conn)?;
    if known == 0 {
        super::ledger::ensure_one(
            diesel::insert_into(evidence_doomed::table)
                .values((
                    evidence_doomed::mission.eq(mission),
                    evidence_doomed::sha256.eq(sha256),
                ))
                .execute(conn)?,
        )?;
    }
    Ok(())
}

/// Files that are to be destroyed: the mission's short key and id, the file.
///
/// # Errors
/// The database's.
pub fn doomed(conn: &mut Conn) -> Result<Vec<Doomed>> {
    Ok(evidence_doomed::table
        .inner_join(missions::table)
        .select((
            evidence_doomed::mission,
            missions::id,
            evidence_doomed::sha256,
        ))
        .load(conn)?)
}

/// A doomed file's bytes are gone, or another report wants them after all.
///
/// # Errors
/// The database's.
pub fn undoom(conn: &mut Conn, mission: i32, sha256: &[u8]) -> Result<()> {
    diesel::delete(evidence_doomed::table.find((mission, sha256))).execute(conn)?;
    Ok(())
}

/// Those of these files that are complete.
///
/// # Errors
/// The database's.
pub fn files(conn: &mut Conn, mission: i32, sha256: &[Vec<u8>]) -> Result<Vec<FileRow>> {
    let mut found = Vec::new();
    for chunk in sha256.chunks(CHUNK) {
        found.extend(
            evidence_files::table
                .filter(evidence_files::mission.eq(mission))
                .filter(evidence_files::sha256.eq_any(chunk))
                .load::<FileRow>(conn)?,
        );
    }
    Ok(found)
}

/// A file, if it is complete.
///
/// # Errors
/// The database's.
pub fn file(conn: &mut Conn, mission: i32, sha256: &[u8]) -> Result<Option<FileRow>> {
    Ok(evidence_files::table
        .find((mission, sha256))
        .first::<FileRow>(conn)
        .optional()?)
}

/// Notes a complete file; the one who came first stays.
///
/// # Errors
/// The database's.
pub fn complete(conn: &mut Conn, row: &FileRow) -> Result<()> {
    on_backend!(conn, |inner| diesel::insert_into(evidence_files::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(inner))?;
    Ok(())
}

/// Notes that a device of this accreditation has sent the whole file.
///
/// # Errors
/// The database's.
pub fn sent_by(conn: &mut Conn, mission: i32, sha256: &[u8], accreditation: &[u8]) -> Result<()> {
    on_backend!(conn, |inner| diesel::insert_into(evidence_senders::table)
        .values((
            evidence_senders::mission.eq(mission),
            evidence_senders::sha256.eq(sha256),
            evidence_senders::accreditation.eq(accreditation),
        ))
        .on_conflict_do_nothing()
        .execute(inner))?;
    Ok(())
}

/// Whether a device of this accreditation has sent the whole file.
///
/// # Errors
/// The database's.
pub fn has_sent(
    conn: &mut Conn,
    mission: i32,
    sha256: &[u8],
    accreditation: &[u8],
) -> Result<bool> {
    let known: i64 = evidence_senders::table
        .find((mission, sha256, accreditation))
        .count()
        .get_result(conn)?;
    Ok(known > 0)
}

/// Forgets a complete file whose bytes are gone, and who sent it.
///
/// # Errors
/// The database's.
pub fn forget(conn: &mut Conn, mission: i32, sha256: &[u8]) -> Result<()> {
    diesel::delete(
        evidence_senders::table
            .filter(evidence_senders::mission.eq(mission))
            .filter(evidence_senders::sha256.eq(sha256)),
    )
    .execute(conn)?;
    diesel::delete(evidence_files::table.find((mission, sha256))).execute(conn)?;
    Ok(())
}

/// Complete files in a fixed order: those after one.
///
/// # Errors
/// The database's.
pub fn page(conn: &mut Conn, mission: i32, after: &[u8], limit: i64) -> Result<Vec<FileRow>> {
    Ok(evidence_files::table
        .filter(evidence_files::mission.eq(mission))
        .filter(evidence_files::sha256.gt(after))
        .order(evidence_files::sha256)
        .limit(limit)
        .load::<FileRow>(conn)?)
}

/// Notes that copies of these files outlive the disk that they lie on: from now
/// on phones may let go of theirs. Answers how many were not durable before.
///
/// # Errors
/// The database's.
pub fn set_durable(conn: &mut Conn, mission: i32, sha256: &[Vec<u8>], at: Micros) -> Result<usize> {
    let mut changed = 0;
    for chunk in sha256.chunks(CHUNK) {
        changed += diesel::update(evidence_files::table)
            .filter(evidence_files::mission.eq(mission))
            .filter(evidence_files::sha256.eq_any(chunk))
            .filter(evidence_files::durable_at.is_null())
            .set(evidence_files::durable_at.eq(at.0))
            .execute(conn)?;
    }
    Ok(changed)
}
