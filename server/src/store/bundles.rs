//! Bundles that couriers handed in: which wait, and what became of the others.
//! Their bytes are in [`super::objects`].

use diesel::prelude::*;

use super::{Conn, conn::on_backend, schema::bundles};
use crate::{clock::Micros, error::Result};

/// A bundle whose bytes have all come.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = bundles, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct BundleRow {
    pub sha256: Vec<u8>,
    pub size: i64,
    pub received_at: i64,
    pub state: String,
    pub code: Option<String>,
    pub settled_at: Option<i64>,
}

/// Waits for somebody who has its key.
pub const WAITS: &str = "waits";
/// All that is in it has been handed to the ledger.
pub const IMPORTED: &str = "imported";
/// Cannot be read.
pub const REFUSED: &str = "refused";

/// Notes a bundle; the one who came first stays.
///
/// # Errors
/// The database's.
pub fn insert(conn: &mut Conn, row: &BundleRow) -> Result<()> {
    on_backend!(conn, |inner| diesel::insert_into(bundles::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(inner))?;
    Ok(())
}

/// A bundle, if all of it has come.
///
/// # Errors
/// The database's.
pub fn find(conn: &mut Conn, sha256: &[u8]) -> Result<Option<BundleRow>> {
    Ok(bundles::table
        .find(sha256)
        .first::<BundleRow>(conn)
        .optional()?)
}

/// Those that wait, the oldest first.
///
/// # Errors
/// The database's.
pub fn waiting(conn: &mut Conn) -> Result<Vec<BundleRow>> {
    Ok(bundles::table
        .filter(bundles::state.eq(WAITS))
        .order((bundles::received_at, bundles::sha256))
        .load::<BundleRow>(conn)?)
}

/// Notes what became of a bundle. Answers how many rows that changed.
///
/// # Errors
/// The database's.
pub fn settle(
    conn: &mut Conn,
    sha256: &[u8],
    state: &str,
    code: Option<&str>,
    at: Micros,
) -> Result<usize> {
    Ok(diesel::update(bundles::table.find(sha256))
        .set((
            bundles::state.eq(state),
            bundles::code.eq(code),
            bundles::settled_at.eq(at.0),
        ))
        .execute(conn)?)
}

/// Forgets one. Answers how many rows that removed.
///
/// # Errors
/// The database's.
pub fn forget(conn: &mut Conn, sha256: &[u8]) -> Result<usize> {
    Ok(diesel::delete(bundles::table.find(sha256)).execute(conn)?)
}

/// Forgets those that were settled before a time.
///
/// # Errors
/// The database's.
pub fn forget_settled(conn: &mut Conn, before: Micros) -> Result<usize> {
    Ok(diesel::delete(
        bundles::table
            .filter(bundles::state.ne(WAITS))
            .filter(bundles::settled_at.lt(before.0)),
    )
    .execute(conn)?)
}
