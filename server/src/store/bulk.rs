//! What an append looks up and writes, hundreds of rows at a time.
//!
//! SQLite runs one prepared statement for each value, because a list of values
//! makes a new statement each time; PostgreSQL takes all in one statement,
//! because each costs a way there and back. `mission + 0` hides the mission from
//! PostgreSQL's planner: see the migration.

use diesel::{
    pg::{Pg, PgConnection},
    prelude::*,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::{Array, BigInt, Binary, Bool, Double, Integer, Nullable, Text},
    sqlite::{Sqlite, SqliteConnection},
};

use super::{
    conn::Conn,
    ledger::EntryRow,
    projections::ReportRow,
    schema::{devices, entries, journal_contacts, reports, revoked_accreditations},
};
use crate::error::Result;

/// What is known of an entry that the ledger holds.
#[derive(Clone, Debug, Queryable)]
pub struct Known {
    /// Which.
    pub hash: Vec<u8>,
    /// Its number.
    pub number: i64,
    /// Whether it counts.
    pub standing: String,
    /// Why it was quarantined, if it was.
    pub quarantine: Option<String>,
}

/// One place in a journal that is taken.
#[derive(Clone, Debug, Queryable)]
pub struct Place {
    /// The journal.
    pub journal: Option<Vec<u8>>,
    /// The place.
    pub seq: Option<i64>,
    /// By which device.
    pub device: Option<Vec<u8>>,
    /// About what.
    pub subject: Option<Vec<u8>>,
}

/// What a phone last said of a journal.
#[derive(Clone, Debug, PartialEq, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = journal_contacts, treat_none_as_default_value = false)]
#[diesel(primary_key(mission, journal))]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct Contact {
    pub mission: i32,
    pub journal: Vec<u8>,
    pub head: i64,
    pub pending: i64,
    pub contacted_at: i64,
    pub gap: bool,
}

/// Looks values up in the way of the database.
fn each<V, R>(
    conn: &mut Conn,
    values: &[V],
    one: impl Fn(&mut SqliteConnection, &V) -> QueryResult<Vec<R>>,
    all: impl Fn(&mut PgConnection, &[V]) -> QueryResult<Vec<R>>,
) -> Result<Vec<R>> {
    match conn {
        Conn::Sqlite(inner) => {
            let mut found = Vec::new();
            for value in values {
                found.extend(one(inner, value)?);
            }
            Ok(found)
        }
        Conn::Postgres(_) if values.is_empty() => Ok(Vec::new()),
        Conn::Postgres(inner) => Ok(all(inner, values)?),
    }
}

/// Which of these hashes the ledger holds.
///
/// # Errors
/// The database's.
pub fn known(conn: &mut Conn, mission: i32, hashes: &[Vec<u8>]) -> Result<Vec<Known>> {
    macro_rules! of_mission {
        ($inner:expr, $which:expr) => {
            entries::table
                .filter($which)
                .filter((entries::mission + 0).eq(mission))
                .select((
                    entries::hash,
                    entries::number,
                    entries::standing,
                    entries::quarantine,
                ))
                .load($inner)
        };
    }
    each(
        conn,
        hashes,
        |inner, hash| of_mission!(inner, entries::hash.eq(hash)),
        |inner, hashes| of_mission!(inner, entries::hash.eq_any(hashes)),
    )
}

/// For which of these entries others wait.
///
/// # Errors
/// The database's.
pub fn awaited(conn: &mut Conn, mission: i32, hashes: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
    macro_rules! of_mission {
        ($inner:expr, $which:expr) => {
            entries::table
                .filter($which)
                .filter(entries::standing.eq("held"))
                .filter((entries::mission + 0).eq(mission))
                .select(entries::base)
                .load($inner)
        };
    }
    each(
        conn,
        hashes,
        |inner, hash| of_mission!(inner, entries::base.eq(hash)),
        |inner, hashes| of_mission!(inner, entries::base.eq_any(hashes)),
    )
}

/// Taken places of these journals, each from its own number on; perhaps some
/// before it too.
///
/// # Errors
/// The database's.
pub fn places(conn: &mut Conn, mission: i32, journals: &[(Vec<u8>, i64)]) -> Result<Vec<Place>> {
    macro_rules! of_mission {
        ($inner:expr, $which:expr, $first:expr) => {
            entries::table
                .filter($which)
                .filter(entries::seq.ge($first))
                .filter((entries::mission + 0).eq(mission))
                .select((
                    entries::journal,
                    entries::seq,
                    entries::device,
                    entries::subject,
                ))
                .order((entries::journal, entries::seq, entries::number))
                .load($inner)
        };
    }
    each(
        conn,
        journals,
        |inner, (journal, first)| of_mission!(inner, entries::journal.eq(journal), first),
        |inner, journals| {
            let first = journals.iter().map(|(_, first)| *first).min();
            let journals: Vec<&Vec<u8>> = journals.iter().map(|(journal, _)| journal).collect();
            of_mission!(inner, entries::journal.eq_any(journals), first.unwrap_or(0))
        },
    )
}

/// How many places of each journal are taken, and the highest.
///
/// # Errors
/// The database's.
pub fn journal_counts(
    conn: &mut Conn,
    mission: i32,
    journals: &[Vec<u8>],
) -> Result<Vec<(Vec<u8>, i64, i64)>> {
    use diesel::dsl::{count, max};
    macro_rules! of_mission {
        ($inner:expr, $which:expr) => {
            entries::table
                .filter($which)
                .filter((entries::mission + 0).eq(mission))
                .group_by(entries::journal)
                .select((
                    entries::journal,
                    count(entries::seq).aggregate_distinct(),
                    max(entries::seq),
                ))
                .load::<(Option<Vec<u8>>, i64, Option<i64>)>($inner)
        };
    }
    let rows = each(
        conn,
        journals,
        |inner, journal| of_mission!(inner, entries::journal.eq(journal)),
        |inner, journals| of_mission!(inner, entries::journal.eq_any(journals)),
    )?;
    Ok(rows
        .into_iter()
        .filter_map(|(journal, places, highest)| Some((journal?, places, highest.unwrap_or(0))))
        .collect())
}

/// Which of these devices may file no more.
///
/// # Errors
/// The database's.
pub fn revoked(conn: &mut Conn, mission: i32, ids: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
    macro_rules! of_mission {
        ($inner:expr, $which:expr) => {
            devices::table
                .left_join(
                    revoked_accreditations::table.on(revoked_accreditations::mission
                        .eq(devices::mission)
                        .and(revoked_accreditations::accreditation.eq(devices::accreditation))),
                )
                .filter($which)
                .filter((devices::mission + 0).eq(mission))
                .filter(
                    devices::revoked_number
                        .is_not_null()
                        .or(revoked_accreditations::number.nullable().is_not_null()),
                )
                .select(devices::id)
                .load($inner)
        };
    }
    each(
        conn,
        ids,
        |inner, id| of_mission!(inner, devices::id.eq(id)),
        |inner, ids| of_mission!(inner, devices::id.eq_any(ids)),
    )
}

/// What phones last said of these journals.
///
/// # Errors
/// The database's.
pub fn contacts(conn: &mut Conn, mission: i32, journals: &[Vec<u8>]) -> Result<Vec<Contact>> {
    macro_rules! of_mission {
        ($inner:expr, $which:expr) => {
            journal_contacts::table
                .filter($which)
                .filter((journal_contacts::mission + 0).eq(mission))
                .load($inner)
        };
    }
    each(
        conn,
        journals,
        |inner, journal| of_mission!(inner, journal_contacts::journal.eq(journal)),
        |inner, journals| of_mission!(inner, journal_contacts::journal.eq_any(journals)),
    )
}

/// Every contact of a mission.
///
/// # Errors
/// The database's.
pub fn all_contacts(conn: &mut Conn, mission: i32) -> Result<Vec<Contact>> {
    Ok(journal_contacts::table
        .filter(journal_contacts::mission.eq(mission))
        .load::<Contact>(conn)?)
}

/// Remembers what phones said.
///
/// # Errors
/// The database's.
pub fn set_contacts(conn: &mut Conn, rows: &[Contact]) -> Result<()> {
    match conn {
        Conn::Sqlite(inner) => {
            for row in rows {
                UpsertContact(row).execute(inner)?;
            }
        }
        Conn::Postgres(_) if rows.is_empty() => {}
        Conn::Postgres(inner) => {
            UpsertContacts::of(rows).execute(inner)?;
        }
    }
    Ok(())
}

/// Diesel's own upsert is parsed anew each time.
struct UpsertContact<'a>(&'a Contact);

impl QueryId for UpsertContact<'_> {
    type QueryId = UpsertContact<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for UpsertContact<'_> {}

impl QueryFragment<Sqlite> for UpsertContact<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let Self(row) = self;
        out.push_sql(UPSERT_INTO);
        out.push_sql(" VALUES (");
        out.push_bind_param::<Integer, _>(&row.mission)?;
        out.push_sql(", ");
        out.push_bind_param::<Binary, _>(&row.journal)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&row.head)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&row.pending)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&row.contacted_at)?;
        out.push_sql(", ");
        out.push_bind_param::<Bool, _>(&row.gap)?;
        out.push_sql(")");
        out.push_sql(UPSERT_ON_CONFLICT);
        Ok(())
    }
}

const UPSERT_INTO: &str =
    "INSERT INTO journal_contacts (mission, journal, head, pending, contacted_at, gap)";
const UPSERT_ON_CONFLICT: &str = " ON CONFLICT (mission, journal) DO UPDATE SET \
    head = excluded.head, pending = excluded.pending, contacted_at = excluded.contacted_at, \
    gap = excluded.gap";

/// Contacts as one list a column: one statement, whatever the number of rows,
/// so that it stays prepared.
#[derive(Default)]
struct UpsertContacts {
    mission: Vec<i32>,
    journal: Vec<Vec<u8>>,
    head: Vec<i64>,
    pending: Vec<i64>,
    contacted_at: Vec<i64>,
    gap: Vec<bool>,
}

impl UpsertContacts {
    fn of(rows: &[Contact]) -> Self {
        let mut columns = Self::default();
        for row in rows.iter().cloned() {
            columns.mission.push(row.mission);
            columns.journal.push(row.journal);
            columns.head.push(row.head);
            columns.pending.push(row.pending);
            columns.contacted_at.push(row.contacted_at);
            columns.gap.push(row.gap);
        }
        columns
    }
}

impl QueryId for UpsertContacts {
    type QueryId = Self;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<PgConnection> for UpsertContacts {}

impl QueryFragment<Pg> for UpsertContacts {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(UPSERT_INTO);
        out.push_sql(" SELECT * FROM unnest(");
        out.push_bind_param::<Array<Integer>, _>(&self.mission)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Binary>, _>(&self.journal)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.head)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.pending)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.contacted_at)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Bool>, _>(&self.gap)?;
        out.push_sql(")");
        out.push_sql(UPSERT_ON_CONFLICT);
        Ok(())
    }
}

/// Reports by id: by way of the entries about it, of which one filed it.
///
/// # Errors
/// The database's.
pub fn reports_by_id(conn: &mut Conn, mission: i32, ids: &[Vec<u8>]) -> Result<Vec<ReportRow>> {
    macro_rules! of_mission {
        ($inner:expr, $which:expr) => {
            entries::table
                .filter($which)
                .filter(entries::kind.eq("file"))
                .filter((entries::mission + 0).eq(mission))
                .select(entries::number)
                .load($inner)
        };
    }
    let numbers: Vec<i64> = each(
        conn,
        ids,
        |inner, id| of_mission!(inner, entries::subject.eq(id)),
        |inner, ids| of_mission!(inner, entries::subject.eq_any(ids)),
    )?;
    each(
        conn,
        &numbers,
        |inner, number| {
            reports::table
                .filter(reports::mission.eq(mission))
                .filter(reports::first_number.eq(number))
                .load(inner)
        },
        |inner, numbers| {
            reports::table
                .filter(reports::mission.eq(mission))
                .filter(reports::first_number.eq_any(numbers))
                .load(inner)
        },
    )
}

/// An INSERT of one row for SQLite. Diesel's own walks its nested types several
/// times for each row, which costs a third as much as the insert itself. Leaving
/// a column out does not compile.
macro_rules! insert_one {
    ($name:ident, $row:ident, $table:literal, { $($column:ident: $kind:ty,)+ }) => {
        struct $name<'a>(&'a $row);

        impl QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl RunQueryDsl<SqliteConnection> for $name<'_> {}

        impl QueryFragment<Sqlite> for $name<'_> {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
                let $row { $($column),+ } = self.0;
                out.push_sql(concat!("INSERT INTO ", $table, " ("));
                let mut before = "";
                $(
                    out.push_sql(before);
                    out.push_sql(stringify!($column));
                    before = ", ";
                )+
                before = ") VALUES (";
                $(
                    out.push_sql(before);
                    out.push_bind_param::<$kind, _>($column)?;
                    before = ", ";
                )+
                out.push_sql(")");
                Ok(())
            }
        }
    };
}

insert_one!(InsertEntry, EntryRow, "entries", {
    mission: Integer,
    number: BigInt,
    hash: Binary,
    chain: Binary,
    kind: Text,
    subject: Nullable<Binary>,
    journal: Nullable<Binary>,
    seq: Nullable<BigInt>,
    base: Nullable<Binary>,
    device: Nullable<Binary>,
    actor: Nullable<Binary>,
    received_at: BigInt,
    clock_skew: Nullable<BigInt>,
    quarantine: Nullable<Text>,
    standing: Text,
    sd_jwt: Binary,
});

insert_one!(InsertReport, ReportRow, "reports", {
    mission: Integer,
    first_number: BigInt,
    id: Binary,
    version: BigInt,
    head: Binary,
    revisions: Integer,
    accreditation: Nullable<Binary>,
    device: Nullable<Binary>,
    category: Text,
    severity: Nullable<Text>,
    own_severity: Bool,
    text: Nullable<Text>,
    folded: Nullable<Text>,
    station: Nullable<Text>,
    constituency: Nullable<Text>,
    lat: Nullable<Double>,
    lon: Nullable<Double>,
    accuracy: Nullable<Double>,
    observed_at: Nullable<BigInt>,
    filed_at: Nullable<BigInt>,
    received_at: BigInt,
    updated_at: BigInt,
    status: Text,
    withdrawn: Bool,
    erased: Bool,
    flags: Integer,
    entered_by: Nullable<Binary>,
    merged_into: Nullable<Binary>,
});

/// Appends rows to the ledger.
///
/// # Errors
/// The database's.
pub fn insert_entries(conn: &mut Conn, rows: &[EntryRow]) -> Result<()> {
    match conn {
        Conn::Sqlite(inner) => {
            for row in rows {
                InsertEntry(row).execute(inner)?;
            }
        }
        Conn::Postgres(_) if rows.is_empty() => {}
        Conn::Postgres(inner) => {
            diesel::copy_from(entries::table)
                .from_insertable(rows)
                .execute(inner)?;
        }
    }
    Ok(())
}

/// Adds reports.
///
/// # Errors
/// The database's.
pub fn insert_reports(conn: &mut Conn, rows: &[&ReportRow]) -> Result<()> {
    match conn {
        Conn::Sqlite(inner) => {
            for row in rows {
                InsertReport(row).execute(inner)?;
            }
        }
        Conn::Postgres(_) if rows.is_empty() => {}
        Conn::Postgres(inner) => {
            diesel::copy_from(reports::table)
                .from_insertable(rows.to_vec())
                .execute(inner)?;
        }
    }
    Ok(())
}
