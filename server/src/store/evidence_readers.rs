//! Which people were given a file of evidence, and when first. Rows are added, and never
//! changed or removed.

use diesel::prelude::*;

use super::{
    Conn,
    conn::on_backend,
    ledger::CHUNK,
    schema::evidence_readers::{self, dsl},
};
use crate::{clock::Micros, error::Result};

/// A file of a mission, a person, and when they were first given any of it.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = evidence_readers)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct ReaderRow {
    pub mission: i32,
    pub sha256: Vec<u8>,
    pub user_id: Vec<u8>,
    pub first_at: i64,
}

/// Whether a person was given the file before.
///
/// # Errors
/// The database's.
pub fn knows(conn: &mut Conn, mission: i32, sha256: &[u8], person: &[u8]) -> Result<bool> {
    let known: i64 = dsl::evidence_readers
        .find((sha256, person, mission))
        .count()
        .get_result(conn)?;
    Ok(known > 0)
}

/// Notes that a person is given the file; the first time stays.
///
/// # Errors
/// The database's.
pub fn note(conn: &mut Conn, mission: i32, sha256: &[u8], person: &[u8], at: Micros) -> Result<()> {
    let row = ReaderRow {
        mission,
        sha256: sha256.to_vec(),
        user_id: person.to_vec(),
        first_at: at.0,
    };
    on_backend!(conn, |inner| diesel::insert_into(dsl::evidence_readers)
        .values(&row)
        .on_conflict_do_nothing()
        .execute(inner))?;
    Ok(())
}

/// Who was given these files, the first first.
///
/// # Errors
/// The database's.
pub fn of_files(conn: &mut Conn, mission: i32, sha256: &[Vec<u8>]) -> Result<Vec<ReaderRow>> {
    let mut found = Vec::new();
    for chunk in sha256.chunks(CHUNK) {
        found.extend(
            dsl::evidence_readers
                .filter(dsl::sha256.eq_any(chunk))
                .filter(dsl::mission.eq(mission))
                .load::<ReaderRow>(conn)?,
        );
    }
    found.sort_by_key(|row| row.first_at);
    Ok(found)
}
