//! When each phone last exchanged something.

use diesel::{prelude::*, query_dsl::methods::FilterDsl, upsert::excluded};

use super::{Conn, conn::on_backend, schema::device_contacts};
use crate::{clock::Micros, error::Result};

/// Rows of one statement on PostgreSQL.
const CHUNK: usize = 1_000;

/// A phone, and when it was heard of.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = device_contacts)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct HeardRow {
    pub mission: i32,
    pub device: Vec<u8>,
    pub heard_at: i64,
}

/// A row in place of an older one.
macro_rules! later {
    ($rows:expr) => {
        FilterDsl::filter(
            diesel::insert_into(device_contacts::table)
                .values($rows)
                .on_conflict((device_contacts::device, device_contacts::mission))
                .do_update()
                .set(device_contacts::heard_at.eq(excluded(device_contacts::heard_at))),
            device_contacts::heard_at.lt(excluded(device_contacts::heard_at)),
        )
    };
}

/// Notes when these phones were heard of. Two servers may note one phone: the later
/// time stays.
///
/// # Errors
/// The database's.
pub fn put(conn: &mut Conn, rows: &[HeardRow]) -> Result<()> {
    match conn {
        Conn::Sqlite(inner) => {
            for row in rows {
                later!(row).execute(inner)?;
            }
        }
        Conn::Postgres(inner) => {
            for rows in rows.chunks(CHUNK) {
                later!(rows).execute(inner)?;
            }
        }
    }
    Ok(())
}

/// When a phone was last heard of, if ever.
///
/// # Errors
/// The database's.
pub fn last(conn: &mut Conn, mission: i32, device: &[u8]) -> Result<Option<Micros>> {
    let at: Option<i64> = on_backend!(conn, |inner| device_contacts::table
        .find((device, mission))
        .select(device_contacts::heard_at)
        .first(inner)
        .optional())?;
    Ok(at.map(Micros))
}
