//! People's second factors, and the recovery codes that stand in for them.

use std::collections::HashSet;

use diesel::prelude::*;
use protocol::ids::UserId;

use super::{
    Conn,
    conn::on_backend,
    ledger::ensure_one,
    schema::{recovery_codes, second_factors},
};
use crate::{clock::Micros, error::Result};

/// A second factor.
#[derive(Clone, Debug, Queryable)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct FactorRow {
    pub user: Vec<u8>,
    pub secret: Vec<u8>,
    pub since: i64,
    pub last_step: i64,
}

fn bytes(user: UserId) -> Vec<u8> {
    user.0.as_bytes().to_vec()
}

/// An account's second factor, if it has one.
///
/// # Errors
/// The database's.
pub fn find(conn: &mut Conn, user: UserId) -> Result<Option<FactorRow>> {
    Ok(second_factors::table
        .find(bytes(user))
        .first::<FactorRow>(conn)
        .optional()?)
}

/// Every account that has one.
///
/// # Errors
/// The database's.
pub fn holders(conn: &mut Conn) -> Result<HashSet<Vec<u8>>> {
    let ids: Vec<Vec<u8>> = second_factors::table
        .select(second_factors::user_id)
        .load(conn)?;
    Ok(ids.into_iter().collect())
}

/// Notes the time step of a code that was taken; `false` if one of it or of a
/// later one was taken already.
///
/// # Errors
/// The database's.
pub fn take_step(conn: &mut Conn, user: UserId, step: i64) -> Result<bool> {
    let taken = diesel::update(second_factors::table.find(bytes(user)))
        .filter(second_factors::last_step.lt(step))
        .set(second_factors::last_step.eq(step))
        .execute(conn)?;
    Ok(taken == 1)
}

/// Takes a recovery code; `false` if there is none, or it was used.
///
/// # Errors
/// The database's.
pub fn take_code(conn: &mut Conn, user: UserId, hash: &[u8], now: Micros) -> Result<bool> {
    let taken = diesel::update(recovery_codes::table.find((bytes(user), hash)))
        .filter(recovery_codes::used_at.is_null())
        .set(recovery_codes::used_at.eq(now.0))
        .execute(conn)?;
    Ok(taken == 1)
}

/// How many recovery codes are left.
///
/// # Errors
/// The database's.
pub fn codes_left(conn: &mut Conn, user: UserId) -> Result<i64> {
    Ok(recovery_codes::table
        .filter(recovery_codes::user_id.eq(bytes(user)))
        .filter(recovery_codes::used_at.is_null())
        .count()
        .get_result(conn)?)
}

/// Sets a second factor in place of whatever there was, with its recovery codes.
///
/// # Errors
/// The database's.
pub fn set(
    conn: &mut Conn,
    user: UserId,
    secret: &[u8],
    (since, last_step): (Micros, i64),
    code_hashes: &[Vec<u8>],
) -> Result<()> {
    remove(conn, user)?;
    let factor = (
        second_factors::user_id.eq(bytes(user)),
        second_factors::secret.eq(secret),
        second_factors::since.eq(since.0),
        second_factors::last_step.eq(last_step),
    );
    ensure_one(
        diesel::insert_into(second_factors::table)
            .values(factor)
            .execute(conn)?,
    )?;
    let codes: Vec<_> = code_hashes
        .iter()
        .map(|hash| {
            (
                recovery_codes::user_id.eq(bytes(user)),
                recovery_codes::code_hash.eq(hash),
            )
        })
        .collect();
    on_backend!(conn, |inner| diesel::insert_into(recovery_codes::table)
        .values(&codes)
        .execute(inner))?;
    Ok(())
}

/// Takes an account's second factor away; `false` if it had none.
///
/// # Errors
/// The database's.
pub fn remove(conn: &mut Conn, user: UserId) -> Result<bool> {
    diesel::delete(recovery_codes::table.filter(recovery_codes::user_id.eq(bytes(user))))
        .execute(conn)?;
    let removed = diesel::delete(second_factors::table.find(bytes(user))).execute(conn)?;
    Ok(removed == 1)
}
