//! The index over the words of reports: FTS5's trigrams on SQLite (its documentation,
//! section 4.3.4), an array of hashed trigrams under a GIN index on PostgreSQL. It only
//! narrows a search down; what is found is compared with the text itself.

use std::collections::BTreeSet;

use diesel::{
    prelude::*,
    sql_query,
    sql_types::{Array, BigInt, Bool, Integer, Text},
    sqlite::SqliteConnection,
};

use super::{
    bulk,
    conn::Conn,
    ledger,
    reports_query::Filtered,
    schema::{reports, search_progress},
};
use crate::error::Result;

/// Letters that a search must have for the index to know any of it.
const LETTERS: usize = 3;
/// Entries that are not in the index yet and are looked at one by one. With more behind,
/// reading every text is quicker.
const FRESH: i64 = 1_000;
/// Numbers a mission can have in the row ids of SQLite's index.
const ROOM: i64 = 1 << 40;

/// A report's words.
#[derive(Clone, Debug)]
pub struct Words {
    /// Which report.
    pub first_number: i64,
    /// Its text as it is searched; `None` if it has none (any more).
    pub folded: Option<String>,
    /// What the report's own row has in its place.
    pub stale: Option<String>,
}

/// How far a mission's ledger is in the index: the last number, 0 for nothing.
///
/// # Errors
/// The database's.
pub fn progress(conn: &mut Conn, mission: i32) -> Result<i64> {
    Ok(search_progress::table
        .find(mission)
        .select(search_progress::number)
        .first(conn)
        .optional()?
        .unwrap_or_default())
}

/// The same, and keeps others from going on until the transaction ends.
///
/// # Errors
/// The database's.
pub fn lock_progress(conn: &mut Conn, mission: i32) -> Result<i64> {
    match conn {
        // Whoever writes is alone.
        Conn::Sqlite(inner) => {
            sql_query("INSERT INTO search_progress (mission, number) VALUES (?, 0) ON CONFLICT DO NOTHING")
                .bind::<Integer, _>(mission)
                .execute(inner)?;
            Ok(search_progress::table
                .find(mission)
                .select(search_progress::number)
                .first(inner)?)
        }
        Conn::Postgres(inner) => {
            sql_query("INSERT INTO search_progress (mission, number) VALUES ($1, 0) ON CONFLICT DO NOTHING")
                .bind::<Integer, _>(mission)
                .execute(inner)?;
            Ok(search_progress::table
                .find(mission)
                .select(search_progress::number)
                .for_update()
                .first(inner)?)
        }
    }
}

/// Notes how far the index is.
///
/// # Errors
/// The database's.
pub fn set_progress(conn: &mut Conn, mission: i32, number: i64) -> Result<()> {
    let changed = diesel::update(search_progress::table.find(mission))
        .set(search_progress::number.eq(number))
        .execute(conn)?;
    ledger::ensure_one(changed)
}

/// Puts these reports' words in place of what the index has of them.
///
/// # Errors
/// The database's.
pub fn replace(conn: &mut Conn, mission: i32, all: &[Words]) -> Result<()> {
    for words in all {
        match &words.folded {
            None => forget(conn, mission, words.first_number)?,
            Some(folded) => put(conn, mission, words.first_number, folded)?,
        }
        if words.folded != words.stale {
            diesel::update(reports::table.find((mission, words.first_number)))
                .set(reports::folded.eq(&words.folded))
                .execute(conn)?;
        }
    }
    Ok(())
}

fn put(conn: &mut Conn, mission: i32, first_number: i64, folded: &str) -> Result<()> {
    match conn {
        Conn::Sqlite(inner) => sql_query("REPLACE INTO report_words (rowid, folded) VALUES (?, ?)")
            .bind::<BigInt, _>(rowid(mission, first_number))
            .bind::<Text, _>(folded)
            .execute(inner)?,
        Conn::Postgres(inner) => sql_query(
            "INSERT INTO report_words (mission, first_number, grams) VALUES ($1, $2, $3)
             ON CONFLICT (mission, first_number) DO UPDATE SET grams = excluded.grams",
        )
        .bind::<Integer, _>(mission)
        .bind::<BigInt, _>(first_number)
        .bind::<Array<Integer>, _>(grams(folded))
        .execute(inner)?,
    };
    Ok(())
}

/// Takes a report out of the index.
///
/// # Errors
/// The database's.
pub fn forget(conn: &mut Conn, mission: i32, first_number: i64) -> Result<()> {
    match conn {
        Conn::Sqlite(inner) => sql_query("DELETE FROM report_words WHERE rowid = ?")
            .bind::<BigInt, _>(rowid(mission, first_number))
            .execute(inner)?,
        Conn::Postgres(inner) => {
            sql_query("DELETE FROM report_words WHERE mission = $1 AND first_number = $2")
                .bind::<Integer, _>(mission)
                .bind::<BigInt, _>(first_number)
                .execute(inner)?
        }
    };
    Ok(())
}

/// Empties a mission's index: it is filled from the beginning.
///
/// # Errors
/// The database's.
pub fn clear(conn: &mut Conn, mission: i32) -> Result<()> {
    match conn {
        Conn::Sqlite(inner) => clear_sqlite(inner, mission)?,
        Conn::Postgres(inner) => sql_query("DELETE FROM report_words WHERE mission = $1")
            .bind::<Integer, _>(mission)
            .execute(inner)?,
    };
    diesel::delete(search_progress::table.find(mission)).execute(conn)?;
    Ok(())
}

fn clear_sqlite(conn: &mut SqliteConnection, mission: i32) -> Result<usize> {
    Ok(
        sql_query("DELETE FROM report_words WHERE rowid BETWEEN ? AND ?")
            .bind::<BigInt, _>(rowid(mission, 0))
            .bind::<BigInt, _>(rowid(mission, ROOM - 1))
            .execute(conn)?,
    )
}

fn rowid(mission: i32, first_number: i64) -> i64 {
    i64::from(mission) * ROOM + first_number
}

/// Which reports a search can be about.
#[derive(Clone, Debug)]
pub struct Narrowed {
    mission: i32,
    /// What the index is asked for: a phrase for SQLite, an array for PostgreSQL.
    index: Index,
    /// First numbers of reports that changed since the index, as a JSON array.
    fresh: String,
}

#[derive(Clone, Debug)]
enum Index {
    Sqlite(String),
    Postgres(String),
}

/// Which reports can hold a folded text, by the index and by what is newer than it;
/// `None` if the index does not help: too few letters, or it is far behind.
///
/// # Errors
/// The database's.
pub fn narrowed(conn: &mut Conn, mission: i32, folded: &str) -> Result<Option<Narrowed>> {
    if folded.chars().count() < LETTERS {
        return Ok(None);
    }
    let from = progress(conn, mission)?;
    if ledger::head(conn, mission)?.number - from > FRESH {
        return Ok(None);
    }
    let subjects: BTreeSet<Vec<u8>> = ledger::outlines(conn, mission, from, FRESH)?
        .into_iter()
        .filter_map(|entry| entry.subject)
        .collect();
    let subjects: Vec<Vec<u8>> = subjects.into_iter().collect();
    let fresh: Vec<i64> = bulk::reports_by_id(conn, mission, &subjects)?
        .into_iter()
        .map(|row| row.first_number)
        .collect();
    let index = match conn {
        Conn::Sqlite(_) => Index::Sqlite(format!("\"{}\"", folded.replace('"', "\"\""))),
        Conn::Postgres(_) => Index::Postgres(array(&grams(folded))),
    };
    Ok(Some(Narrowed {
        mission,
        index,
        fresh: match conn {
            Conn::Sqlite(_) => serde_json::json!(fresh).to_string(),
            Conn::Postgres(_) => array(&fresh),
        },
    }))
}

impl Narrowed {
    /// Leaves the others out of a query.
    #[must_use]
    pub fn of(self, query: Filtered) -> Filtered {
        use diesel::dsl::sql;
        match self.index {
            Index::Sqlite(phrase) => query.filter(
                sql::<Bool>("reports.first_number IN (SELECT rowid - ")
                    .bind::<BigInt, _>(rowid(self.mission, 0))
                    .sql(" FROM report_words WHERE report_words MATCH ")
                    .bind::<Text, _>(phrase)
                    .sql(" AND rowid BETWEEN ")
                    .bind::<BigInt, _>(rowid(self.mission, 0))
                    .sql(" AND ")
                    .bind::<BigInt, _>(rowid(self.mission, ROOM - 1))
                    .sql(" UNION ALL SELECT value FROM json_each(")
                    .bind::<Text, _>(self.fresh)
                    .sql("))"),
            ),
            Index::Postgres(grams) => query.filter(
                sql::<Bool>("reports.first_number IN (SELECT first_number FROM report_words WHERE (mission + 0) = ")
                    .bind::<Integer, _>(self.mission)
                    .sql(" AND grams @> CAST(")
                    .bind::<Text, _>(grams)
                    .sql(" AS integer[]) UNION ALL SELECT unnest(CAST(")
                    .bind::<Text, _>(self.fresh)
                    .sql(" AS bigint[])))"),
            ),
        }
    }
}

/// PostgreSQL's way to write an array.
fn array<T: ToString>(values: &[T]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    format!("{{{}}}", values.join(","))
}

/// A hash (FNV-1a) of each three characters that follow one another, each once.
fn grams(folded: &str) -> Vec<i32> {
    let chars: Vec<char> = folded.chars().collect();
    let all: BTreeSet<i32> = chars
        .windows(LETTERS)
        .map(|three| {
            let bytes = three.iter().flat_map(|char| u32::from(*char).to_le_bytes());
            let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| {
                (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
            });
            hash.cast_signed()
        })
        .collect();
    all.into_iter().collect()
}
