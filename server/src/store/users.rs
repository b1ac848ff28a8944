//! Accounts and their roles.

use std::collections::HashSet;

use diesel::prelude::*;
use protocol::ids::UserId;
use uuid::Uuid;

use super::{
    Conn,
    conn::on_backend,
    schema::{user_roles, users},
};
use crate::{
    auth::Role,
    clock::Micros,
    error::{Error, Result},
};

/// The mission number of the server itself: only operators have a role there.
pub const SERVER: i32 = 0;

/// An account.
#[derive(Clone, Debug, Queryable)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct UserRow {
    pub id: Vec<u8>,
    pub email: String,
    pub password_hash: String,
    pub created_at: i64,
    pub disabled_at: Option<i64>,
}

impl UserRow {
    /// Its id.
    ///
    /// # Errors
    /// A damaged row.
    pub fn user(&self) -> Result<UserId> {
        Uuid::from_slice(&self.id)
            .map(UserId)
            .map_err(|_| Error::Internal("a user's id".into()))
    }
}

fn bytes(user: UserId) -> Vec<u8> {
    user.0.as_bytes().to_vec()
}

/// The account with this address, in its stored form.
///
/// # Errors
/// The database's.
pub fn by_email(conn: &mut Conn, email: &str) -> Result<Option<UserRow>> {
    Ok(users::table
        .filter(users::email.eq(email))
        .first::<UserRow>(conn)
        .optional()?)
}

/// The account with this id.
///
/// # Errors
/// The database's.
pub fn by_id(conn: &mut Conn, user: UserId) -> Result<Option<UserRow>> {
    Ok(users::table
        .find(bytes(user))
        .first::<UserRow>(conn)
        .optional()?)
}

/// Every account, by address.
///
/// # Errors
/// The database's.
pub fn all(conn: &mut Conn) -> Result<Vec<UserRow>> {
    Ok(users::table.order(users::email).load::<UserRow>(conn)?)
}

/// An account's roles: mission number ([`SERVER`] for the server) and role.
///
/// # Errors
/// The database's.
pub fn roles(conn: &mut Conn, user: UserId) -> Result<Vec<(i32, Role)>> {
    let rows: Vec<(i32, String)> = user_roles::table
        .filter(user_roles::user_id.eq(bytes(user)))
        .select((user_roles::mission, user_roles::role))
        .order((user_roles::mission, user_roles::role))
        .load(conn)?;
    rows.into_iter()
        .map(|(mission, role)| Ok((mission, read_role(&role)?)))
        .collect()
}

/// Everybody with a role in a mission, once for each, by address.
///
/// # Errors
/// The database's.
pub fn of_mission(conn: &mut Conn, mission: i32) -> Result<Vec<(UserRow, Role)>> {
    let rows: Vec<(UserRow, String)> = users::table
        .inner_join(user_roles::table.on(user_roles::user_id.eq(users::id)))
        .filter(user_roles::mission.eq(mission))
        .order((users::email, user_roles::role))
        .select((users::all_columns, user_roles::role))
        .load(conn)?;
    rows.into_iter()
        .map(|(row, role)| Ok((row, read_role(&role)?)))
        .collect()
}

/// Who of a mission's accounts has a role elsewhere too.
///
/// # Errors
/// The database's.
pub fn elsewhere(conn: &mut Conn, mission: i32) -> Result<HashSet<Vec<u8>>> {
    let rows: Vec<(Vec<u8>, i32)> = user_roles::table
        .filter(user_roles::mission.ne(mission))
        .select((user_roles::user_id, user_roles::mission))
        .load(conn)?;
    Ok(rows.into_iter().map(|(user, _)| user).collect())
}

/// The addresses of accounts.
///
/// # Errors
/// The database's.
pub fn emails(conn: &mut Conn, ids: &[Vec<u8>]) -> Result<Vec<(Vec<u8>, String)>> {
    Ok(users::table
        .filter(users::id.eq_any(ids))
        .select((users::id, users::email))
        .load(conn)?)
}

/// The roles of an account in one mission; `None` if it is unknown or disabled.
///
/// # Errors
/// The database's.
pub fn active_roles(conn: &mut Conn, user: UserId, mission: i32) -> Result<Option<Vec<Role>>> {
    let disabled: Option<Option<i64>> = users::table
        .find(bytes(user))
        .select(users::disabled_at)
        .first(conn)
        .optional()?;
    if disabled != Some(None) {
        return Ok(None);
    }
    let roles: Vec<String> = user_roles::table
        .filter(user_roles::user_id.eq(bytes(user)))
        .filter(user_roles::mission.eq(mission))
        .select(user_roles::role)
        .load(conn)?;
    roles
        .iter()
        .map(|role| read_role(role))
        .collect::<Result<_>>()
        .map(Some)
}

fn read_role(role: &str) -> Result<Role> {
    role.parse().map_err(Error::Internal)
}

/// Adds an account.
///
/// # Errors
/// The database's; an address that is taken violates `users.email`.
pub fn insert(
    conn: &mut Conn,
    user: UserId,
    email: &str,
    password_hash: &str,
    now: Micros,
) -> Result<()> {
    let added = diesel::insert_into(users::table)
        .values((
            users::id.eq(bytes(user)),
            users::email.eq(email),
            users::password_hash.eq(password_hash),
            users::created_at.eq(now.0),
        ))
        .execute(conn)?;
    super::ledger::ensure_one(added)
}

/// Gives a role; `false` if it was held already.
///
/// # Errors
/// The database's.
pub fn add_role(conn: &mut Conn, user: UserId, mission: i32, role: Role) -> Result<bool> {
    let row = (
        user_roles::user_id.eq(bytes(user)),
        user_roles::mission.eq(mission),
        user_roles::role.eq(role.name()),
    );
    let added = on_backend!(conn, |inner| diesel::insert_into(user_roles::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(inner))?;
    Ok(added == 1)
}

/// Takes a role away; `false` if it was not held.
///
/// # Errors
/// The database's.
pub fn remove_role(conn: &mut Conn, user: UserId, mission: i32, role: Role) -> Result<bool> {
    let removed = diesel::delete(user_roles::table.find((bytes(user), mission, role.name())))
        .execute(conn)?;
    Ok(removed == 1)
}

/// Sets another password; `false` if there is no such account.
///
/// # Errors
/// The database's.
pub fn set_password(conn: &mut Conn, user: UserId, password_hash: &str) -> Result<bool> {
    let changed = diesel::update(users::table.find(bytes(user)))
        .set(users::password_hash.eq(password_hash))
        .execute(conn)?;
    Ok(changed == 1)
}

/// Disables an account, or enables it again; `false` if there is none.
///
/// # Errors
/// The database's.
pub fn set_disabled(conn: &mut Conn, user: UserId, at: Option<Micros>) -> Result<bool> {
    let changed = diesel::update(users::table.find(bytes(user)))
        .set(users::disabled_at.eq(at.map(|time| time.0)))
        .execute(conn)?;
    Ok(changed == 1)
}
