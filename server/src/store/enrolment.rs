//! Enrolment codes, by the SHA-256 of the code.

use diesel::prelude::*;

use super::{Conn, schema::enrolment_codes};
use crate::{clock::Micros, error::Result};

/// A code that was issued.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = enrolment_codes)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct CodeRow {
    pub code_hash: Vec<u8>,
    pub mission: i32,
    pub accreditation: Vec<u8>,
    pub issued_at: i64,
    pub expires_at: i64,
    pub redeemed_at: Option<i64>,
    pub kid: Option<String>,
}

/// Keeps a new code.
///
/// # Errors
/// The database's.
pub fn insert(conn: &mut Conn, row: &CodeRow) -> Result<()> {
    super::ledger::ensure_one(
        diesel::insert_into(enrolment_codes::table)
            .values(row)
            .execute(conn)?,
    )
}

/// A code, whatever became of it.
///
/// # Errors
/// The database's.
pub fn find(conn: &mut Conn, code_hash: &[u8]) -> Result<Option<CodeRow>> {
    Ok(enrolment_codes::table
        .find(code_hash)
        .first::<CodeRow>(conn)
        .optional()?)
}

/// Redeems a code for a key: once, and only before it expires. `false` if that
/// is over.
///
/// # Errors
/// The database's.
pub fn redeem(conn: &mut Conn, code_hash: &[u8], kid: &str, now: Micros) -> Result<bool> {
    let redeemed = diesel::update(enrolment_codes::table.find(code_hash))
        .filter(enrolment_codes::redeemed_at.is_null())
        .filter(enrolment_codes::expires_at.gt(now.0))
        .set((
            enrolment_codes::redeemed_at.eq(now.0),
            enrolment_codes::kid.eq(kid),
        ))
        .execute(conn)?;
    Ok(redeemed == 1)
}
