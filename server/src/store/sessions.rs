//! Who is signed in, by the SHA-256 of what the browser holds.

use diesel::prelude::*;
use protocol::ids::UserId;

use super::{Conn, ledger::ensure_one, schema::sessions};
use crate::{
    clock::Micros,
    error::{Error, Result},
};

/// Somebody who is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = sessions)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct SessionRow {
    pub token_hash: Vec<u8>,
    pub user_id: Vec<u8>,
    pub mission: i32,
    pub proven: bool,
    pub began_at: i64,
    pub ends_at: i64,
}

impl SessionRow {
    /// Whose it is.
    ///
    /// # Errors
    /// A damaged row.
    pub fn user(&self) -> Result<UserId> {
        uuid::Uuid::from_slice(&self.user_id)
            .map(UserId)
            .map_err(|_| Error::Internal("a session's user".into()))
    }
}

/// Begins a session, and forgets those that have ended.
///
/// # Errors
/// The database's.
pub fn begin(conn: &mut Conn, row: &SessionRow) -> Result<()> {
    diesel::delete(sessions::table.filter(sessions::ends_at.le(row.began_at))).execute(conn)?;
    ensure_one(
        diesel::insert_into(sessions::table)
            .values(row)
            .execute(conn)?,
    )
}

/// A session that has not ended.
///
/// # Errors
/// The database's.
pub fn find(conn: &mut Conn, token_hash: &[u8], now: Micros) -> Result<Option<SessionRow>> {
    Ok(sessions::table
        .find(token_hash)
        .filter(sessions::ends_at.gt(now.0))
        .first::<SessionRow>(conn)
        .optional()?)
}

/// Sets another end; `false` if the session has ended.
///
/// # Errors
/// The database's.
pub fn set_end(conn: &mut Conn, token_hash: &[u8], ends_at: Micros) -> Result<bool> {
    let changed = diesel::update(sessions::table.find(token_hash))
        .set(sessions::ends_at.eq(ends_at.0))
        .execute(conn)?;
    Ok(changed == 1)
}

/// Opens everything to a session whose second factor was shown.
///
/// # Errors
/// The database's.
pub fn prove(conn: &mut Conn, token_hash: &[u8]) -> Result<()> {
    ensure_one(
        diesel::update(sessions::table.find(token_hash))
            .set(sessions::proven.eq(true))
            .execute(conn)?,
    )
}

/// Ends one session; `false` if it had ended.
///
/// # Errors
/// The database's.
pub fn end(conn: &mut Conn, token_hash: &[u8]) -> Result<bool> {
    Ok(diesel::delete(sessions::table.find(token_hash)).execute(conn)? == 1)
}

/// Ends all sessions of an account but one; answers how many these were.
///
/// # Errors
/// The database's.
pub fn end_all(conn: &mut Conn, user: UserId, but: Option<&[u8]>) -> Result<usize> {
    let own = sessions::table.filter(sessions::user_id.eq(user.0.as_bytes().to_vec()));
    Ok(match but {
        Some(but) => diesel::delete(own.filter(sessions::token_hash.ne(but))).execute(conn)?,
        None => diesel::delete(own).execute(conn)?,
    })
}
