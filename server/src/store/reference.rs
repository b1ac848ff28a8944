//! What changed in each version of the registers that phones are given.

use std::collections::BTreeMap;

use diesel::prelude::*;

use super::{
    conn::{Conn, on_backend},
    ledger::ensure_one,
    schema::{register_lines, register_snapshots},
};
use crate::error::Result;

/// Rows of one statement: SQLite takes 32,766 variables, PostgreSQL 65,535.
const CHUNK: usize = 500;

/// A version of a register.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = register_snapshots)]
pub struct SnapshotRow {
    /// The mission's short key.
    pub mission: i32,
    /// The register.
    pub kind: String,
    /// Counts its imports.
    pub version: i64,
    /// SHA-256 of the snapshot's text.
    pub sha256: Vec<u8>,
    /// Bytes of that text.
    pub bytes: i64,
}

#[derive(Insertable)]
#[diesel(table_name = register_lines, treat_none_as_default_value = false)]
struct LineRow<'a> {
    mission: i32,
    kind: &'a str,
    version: i64,
    code: &'a str,
    line: Option<&'a str>,
}

/// Lines by their codes; `None` where a code has none any more.
pub type Lines = BTreeMap<String, Option<String>>;

/// The newest version of a register.
///
/// # Errors
/// The database's.
pub fn newest(conn: &mut Conn, mission: i32, kind: &str) -> Result<Option<SnapshotRow>> {
    Ok(register_snapshots::table
        .filter(register_snapshots::mission.eq(mission))
        .filter(register_snapshots::kind.eq(kind))
        .order(register_snapshots::version.desc())
        .first(conn)
        .optional()?)
}

/// The last version of a register that has this name.
///
/// # Errors
/// The database's.
pub fn named(
    conn: &mut Conn,
    mission: i32,
    kind: &str,
    sha256: &[u8; 32],
) -> Result<Option<SnapshotRow>> {
    Ok(register_snapshots::table
        .filter(register_snapshots::mission.eq(mission))
        .filter(register_snapshots::kind.eq(kind))
        .filter(register_snapshots::sha256.eq(sha256.as_slice()))
        .order(register_snapshots::version.desc())
        .first(conn)
        .optional()?)
}

/// What changed after one version, up to another. After 0 that is everything.
///
/// # Errors
/// The database's.
pub fn changed(conn: &mut Conn, mission: i32, kind: &str, after: i64, upto: i64) -> Result<Lines> {
    let rows: Vec<(String, Option<String>)> = register_lines::table
        .filter(register_lines::mission.eq(mission))
        .filter(register_lines::kind.eq(kind))
        .filter(register_lines::version.gt(after))
        .filter(register_lines::version.le(upto))
        .order(register_lines::version)
        .select((register_lines::code, register_lines::line))
        .load(conn)?;
    // The last one counts.
    Ok(rows.into_iter().collect())
}

/// Adds a version: what changed in it, and its name.
///
/// # Errors
/// The database's.
pub fn add(conn: &mut Conn, snapshot: &SnapshotRow, lines: &Lines) -> Result<()> {
    let rows: Vec<LineRow<'_>> = lines
        .iter()
        .map(|(code, line)| LineRow {
            mission: snapshot.mission,
            kind: &snapshot.kind,
            version: snapshot.version,
            code,
            line: line.as_deref(),
        })
        .collect();
    for chunk in rows.chunks(CHUNK) {
        on_backend!(conn, |inner| diesel::insert_into(register_lines::table)
            .values(chunk)
            .execute(inner))?;
    }
    let added = diesel::insert_into(register_snapshots::table)
        .values((
            register_snapshots::mission.eq(snapshot.mission),
            register_snapshots::kind.eq(&snapshot.kind),
            register_snapshots::version.eq(snapshot.version),
            register_snapshots::sha256.eq(&snapshot.sha256),
            register_snapshots::bytes.eq(snapshot.bytes),
        ))
        .execute(conn)?;
    ensure_one(added)
}
