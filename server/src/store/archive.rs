//! The tables that a backup holds, row by row as JSON: the ledger and the
//! registers. Projections are not among them; a restore makes them again.
//!
//! One list serves both databases, so that a backup of either can be restored
//! on either.

use diesel::{connection::DefaultLoadingMode, pg::PgRowByRowLoadingMode, prelude::*};
use protocol::encoding::{b64, unb64};
use serde_json::{Map, Value};

use super::{
    conn::{Conn, on_backend},
    schema,
};
use crate::error::{Error, Result};

/// A row: its columns by name. Bytes are base64url.
pub type Line = Map<String, Value>;

/// What takes a table's rows, one after the other.
pub type Sink<'a> = &'a mut dyn FnMut(Line) -> Result<()>;

/// One table of a backup.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns.
    pub columns: &'static [&'static str],
    /// Hands out every row in the order of the primary key, without holding them
    /// all.
    pub dump: fn(&mut Conn, Sink<'_>) -> Result<()>,
    /// Adds a row.
    pub load: fn(&mut Conn, &Line) -> Result<()>,
    /// Counts the rows.
    pub count: fn(&mut Conn) -> Result<i64>,
}

/// A column's value in JSON.
trait Cell: Sized {
    fn write(self) -> Value;
    /// `None`: not a value of this column.
    fn read(value: Option<&Value>) -> Option<Self>;
}

macro_rules! plain_cells {
    ($($type:ty: $read:expr;)+) => {
        $(impl Cell for $type {
            fn write(self) -> Value {
                Value::from(self)
            }
            fn read(value: Option<&Value>) -> Option<Self> {
                value.and_then($read)
            }
        })+
    };
}

plain_cells! {
    i32: |value| value.as_i64()?.try_into().ok();
    i64: Value::as_i64;
    f64: Value::as_f64;
    bool: Value::as_bool;
    String: |value| value.as_str().map(str::to_owned);
}

impl Cell for Vec<u8> {
    fn write(self) -> Value {
        Value::from(b64(self))
    }
    fn read(value: Option<&Value>) -> Option<Self> {
        unb64(value?.as_str()?)
    }
}

impl<T: Cell> Cell for Option<T> {
    fn write(self) -> Value {
        self.map_or(Value::Null, T::write)
    }
    fn read(value: Option<&Value>) -> Option<Self> {
        match value {
            None | Some(Value::Null) => Some(None),
            some => T::read(some).map(Some),
        }
    }
}

fn damaged(table: &str, column: &str) -> Error {
    Error::refused(
        protocol::codes::Code::BackupInvalid,
        format!("a row of `{table}` has no usable `{column}`"),
    )
}

macro_rules! tables {
    ($($table:ident by ($($key:ident),+) { $($column:ident: $type:ty),+ $(,)? })+) => {
        /// Every table of a backup, in an order in which they can be filled.
        pub const TABLES: &[Table] = &[$(Table {
            name: stringify!($table),
            columns: &[$(stringify!($column)),+],
            dump: |conn, sink| {
                use schema::$table as t;
                fn pass(
                    rows: impl Iterator<Item = QueryResult<($($type,)+)>>,
                    sink: Sink<'_>,
                ) -> Result<()> {
                    for row in rows {
                        let ($($column,)+) = row?;
                        let mut line = Line::new();
                        $(line.insert(stringify!($column).to_owned(), Cell::write($column));)+
                        sink(line)?;
                    }
                    Ok(())
                }
                let query = t::table.order(($(t::$key,)+)).select(($(t::$column,)+));
                match conn {
                    Conn::Sqlite(inner) => {
                        pass(query.load_iter::<($($type,)+), DefaultLoadingMode>(inner)?, sink)
                    }
                    Conn::Postgres(inner) => {
                        pass(query.load_iter::<($($type,)+), PgRowByRowLoadingMode>(inner)?, sink)
                    }
                }
            },
            load: |conn, line| {
                use schema::$table as t;
                $(let $column = <$type as Cell>::read(line.get(stringify!($column)))
                    .ok_or_else(|| damaged(stringify!($table), stringify!($column)))?;)+
                let row = ($(t::$column.eq($column),)+);
                let added = on_backend!(conn, |inner| diesel::insert_into(t::table)
                    .values(row)
                    .execute(inner))?;
                super::ledger::ensure_one(added)
            },
            count: |conn| Ok(schema::$table::table.count().get_result(conn)?),
        }),+];
    };
}

tables! {
    server_state by (name) { name: String, value: String }
    missions by (no) {
        no: i32, id: Vec<u8>, name: String, election: String, timezone: String, levels: String,
        sealing_key: String, created_at: i64, min_lat: Option<f64>, max_lat: Option<f64>,
        min_lon: Option<f64>, max_lon: Option<f64>, silent_after: Option<i64>,
        untouched_after: Option<i64>,
    }
    ledger_heads by (mission) { mission: i32, number: i64, chain: Vec<u8>, held: i64 }
    entries by (mission, number) {
        mission: i32, number: i64, hash: Vec<u8>, chain: Vec<u8>, kind: String,
        subject: Option<Vec<u8>>, journal: Option<Vec<u8>>, seq: Option<i64>,
        base: Option<Vec<u8>>, device: Option<Vec<u8>>, actor: Option<Vec<u8>>,
        received_at: i64, clock_skew: Option<i64>, quarantine: Option<String>, standing: String,
        sd_jwt: Vec<u8>,
    }
    ended_histories by (mission, epoch) {
        mission: i32, epoch: Vec<u8>, ended_at: i64, reason: String, backup_at: Option<i64>,
        kept: i64, known: i64,
    }
    former_numbers by (mission, epoch, number) {
        mission: i32, epoch: Vec<u8>, number: i64, hash: Vec<u8>,
    }
    registers by (mission, kind, version) {
        mission: i32, kind: String, version: i64, sha256: Vec<u8>, imported_at: i64,
    }
    register_lines by (mission, kind, version, code) {
        mission: i32, kind: String, version: i64, code: String, line: Option<String>,
    }
    register_snapshots by (mission, kind, version) {
        mission: i32, kind: String, version: i64, sha256: Vec<u8>, bytes: i64,
    }
    locations by (mission, level, code) {
        mission: i32, level: String, code: String, name: String, parent: Option<String>,
    }
    stations by (mission, code) {
        mission: i32, code: String, name: String, constituency: Option<String>,
        lat: Option<f64>, lon: Option<f64>, registered_voters: Option<i64>, generated: bool,
    }
    categories by (mission, code) {
        mission: i32, code: String, stage: String, definition: String, severity: Option<String>,
        labels: String,
    }
    accreditations by (mission, id) {
        mission: i32, id: Vec<u8>, number: String, name: String, kind: String,
        institution: String, country: String, stations: String, pseudonym: String,
    }
    message_audiences by (mission, hash) {
        mission: i32, hash: Vec<u8>, recipients: Vec<u8>,
    }
    enrolment_codes by (code_hash) {
        code_hash: Vec<u8>, mission: i32, accreditation: Vec<u8>, issued_at: i64,
        expires_at: i64, redeemed_at: Option<i64>, kid: Option<String>,
    }
    erasures by (id) {
        id: Vec<u8>, mission: i32, report: Vec<u8>, reason: String, requested_by: Vec<u8>,
        requested_at: i64, approved_by: Option<Vec<u8>>, approved_at: Option<i64>,
    }
    evidence_files by (mission, sha256) {
        mission: i32, sha256: Vec<u8>, size: i64, completed_at: i64, durable_at: Option<i64>,
    }
    evidence_doomed by (mission, sha256) { mission: i32, sha256: Vec<u8> }
    evidence_senders by (mission, sha256, accreditation) {
        mission: i32, sha256: Vec<u8>, accreditation: Vec<u8>,
    }
    evidence_readers by (sha256, user_id, mission) {
        mission: i32, sha256: Vec<u8>, user_id: Vec<u8>, first_at: i64,
    }
    journal_contacts by (mission, journal) {
        mission: i32, journal: Vec<u8>, head: i64, pending: i64, contacted_at: i64, gap: bool,
    }
    device_contacts by (device, mission) { mission: i32, device: Vec<u8>, heard_at: i64 }
    users by (id) {
        id: Vec<u8>, email: String, password_hash: String, created_at: i64,
        disabled_at: Option<i64>,
    }
    audit by (id) {
        id: Vec<u8>, mission: i32, at: i64, act: String, actor: Option<Vec<u8>>,
        account: Option<Vec<u8>>, via: String, details: String,
    }
    user_roles by (user_id, mission, role) { user_id: Vec<u8>, mission: i32, role: String }
    second_factors by (user_id) {
        user_id: Vec<u8>, secret: Vec<u8>, since: i64, last_step: i64,
    }
    recovery_codes by (user_id, code_hash) {
        user_id: Vec<u8>, code_hash: Vec<u8>, used_at: Option<i64>,
    }
}

/// The table of a name.
#[must_use]
pub fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

/// Lets one statement of this transaction take as long as it needs (PostgreSQL;
/// SQLite has no such limit).
///
/// # Errors
/// The database's.
pub fn take_time(conn: &mut Conn) -> Result<()> {
    use diesel::connection::SimpleConnection as _;
    match conn {
        Conn::Sqlite(_) => Ok(()),
        Conn::Postgres(inner) => Ok(inner.batch_execute("SET LOCAL statement_timeout = 0")?),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What a rebuild makes again; everything else must be in a backup.
    const PROJECTIONS: [&str; 10] = [
        "case_members",
        "check_ins",
        "devices",
        "evidence",
        "inbox",
        "kept_apart",
        "reports",
        "revoked_accreditations",
        "search_progress",
        "triage",
    ];

    /// In no backup, for a reason that its migration gives.
    const LEFT_OUT: [&str; 3] = ["attention", "bundles", "sessions"];

    /// Every migration's text, one behind the other.
    fn migrations() -> String {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations/sqlite");
        let mut folders: Vec<_> = std::fs::read_dir(folder)
            .expect("the migrations")
            .map(|entry| entry.expect("a folder").path().join("up.sql"))
            .collect();
        folders.sort();
        let read = |path| std::fs::read_to_string(path).expect("a migration");
        folders.iter().map(read).collect()
    }

    #[test]
    fn every_table_is_in_a_backup_or_made_again() {
        let migration = migrations();
        let known: BTreeSet<&str> = TABLES
            .iter()
            .map(|table| table.name)
            .chain(PROJECTIONS)
            .chain(LEFT_OUT)
            .collect();
        let mut made: BTreeSet<&str> = migration
            .lines()
            .filter_map(|line| line.strip_prefix("CREATE TABLE ")?.split(' ').next())
            .collect();
        // A copy takes the place of the table.
        for line in migration.lines() {
            let renamed = line.strip_prefix("ALTER TABLE ");
            if let Some((copy, _)) = renamed.and_then(|line| line.split_once(" RENAME TO ")) {
                made.remove(copy);
            }
        }
        assert_eq!(known, made);
    }

    /// A column that the list lacks would be lost in silence.
    #[test]
    fn every_column_is_in_a_backup() {
        let migration = migrations();
        for table in TABLES {
            let from = migration
                .find(&format!("CREATE TABLE {} (", table.name))
                .expect("the table");
            let made = &migration[from..from + migration[from..].find("\n);").expect("its end")];
            for line in made.lines().skip(1).map(str::trim) {
                let column = line.split(' ').next().unwrap_or_default();
                if column.is_empty() || column == "--" || column == "PRIMARY" {
                    continue;
                }
                assert!(table.columns.contains(&column), "{}.{column}", table.name);
            }
        }
    }

    #[test]
    fn values_come_back() {
        let bytes = vec![0_u8, 255, 7];
        assert_eq!(Vec::read(Some(&bytes.clone().write())), Some(bytes));
        assert_eq!(<Option<i64>>::read(None), Some(None));
        assert_eq!(
            <Option<i64>>::read(Some(&Some(7_i64).write())),
            Some(Some(7))
        );
        assert_eq!(i64::read(Some(&Value::from("7"))), None);
        assert_eq!(String::read(None), None);
    }
}
