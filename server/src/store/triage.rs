//! The coordinators' side of reports: who looks after one, how soon, how many notes.

use diesel::prelude::*;

use super::{Conn, ledger::ensure_one, schema::triage};
use crate::error::Result;

/// What coordinators made of a report.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = triage, treat_none_as_null = true, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct TriageRow {
    pub mission: i32,
    pub report: Vec<u8>,
    pub assignee: Option<Vec<u8>>,
    pub priority: Option<String>,
    pub notes: i32,
    pub number: i64,
    pub touched_at: i64,
}

impl TriageRow {
    /// Of a report that nobody has touched.
    #[must_use]
    pub fn new(mission: i32, report: Vec<u8>) -> Self {
        Self {
            mission,
            report,
            assignee: None,
            priority: None,
            notes: 0,
            number: 0,
            touched_at: 0,
        }
    }
}

/// What there is of a report.
///
/// # Errors
/// The database's.
pub fn find(conn: &mut Conn, mission: i32, report: &[u8]) -> Result<Option<TriageRow>> {
    Ok(triage::table
        .filter(triage::report.eq(report))
        .filter((triage::mission + 0).eq(mission))
        .first::<TriageRow>(conn)
        .optional()?)
}

/// What there is of these reports.
///
/// # Errors
/// The database's.
pub fn of_reports(conn: &mut Conn, mission: i32, reports: &[Vec<u8>]) -> Result<Vec<TriageRow>> {
    let mut found = Vec::new();
    for chunk in reports.chunks(super::ledger::CHUNK) {
        found.extend(
            triage::table
                .filter(triage::report.eq_any(chunk.to_vec()))
                .filter((triage::mission + 0).eq(mission))
                .load::<TriageRow>(conn)?,
        );
    }
    Ok(found)
}

/// Writes a row in place of what there was.
///
/// # Errors
/// The database's.
pub fn put(conn: &mut Conn, row: &TriageRow) -> Result<()> {
    let changed = diesel::update(triage::table.find((&row.report, row.mission)))
        .set(row)
        .execute(conn)?;
    if changed == 1 {
        return Ok(());
    }
    ensure_one(
        diesel::insert_into(triage::table)
            .values(row)
            .execute(conn)?,
    )
}
