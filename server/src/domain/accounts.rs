//! People's accounts: one e-mail address, one password, roles in missions.
//! Changes run inside `Store::write`.

use protocol::{
    codes::Code,
    ids::{MissionId, UserId},
};

use crate::{
    auth::{Role, password},
    clock::Host,
    domain::acts::MissionRef,
    error::{Error, Result},
    store::{
        Conn,
        missions::{self, Mission},
        sessions, users,
    },
};

/// Characters of an address (RFC 5321 §4.5.3.1.3, without the brackets).
const EMAIL_CHARS: usize = 254;

/// A role somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// In which mission; `None` is the server itself.
    pub mission: Option<MissionId>,
    /// Which.
    pub role: Role,
}

/// An account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its random id, which stands in the ledger instead of a name.
    pub id: UserId,
    /// Its address.
    pub email: String,
    /// Whether it may sign in.
    pub enabled: bool,
    /// Its roles.
    pub grants: Vec<Grant>,
}

/// An address as it is stored and compared; `None` if it cannot be one.
#[must_use]
pub fn normalise_email(email: &str) -> Option<String> {
    let email = email.trim().to_lowercase();
    let (name, host) = email.rsplit_once('@')?;
    let plain = !email.chars().any(|c| c.is_control() || c.is_whitespace());
    (plain && !name.is_empty() && !host.is_empty() && email.chars().count() <= EMAIL_CHARS)
        .then_some(email)
}

/// Adds an account with a role; or the role to the account that has the
/// address already, if the password is that account's (another one is
/// refused: it would be forgotten silently, or lock its owner out).
///
/// # Errors
/// `invalid_value` for an address or a role that does not fit the mission,
/// `weak_secret`, `already_exists`, or the database's.
pub fn add_user(
    conn: &mut Conn,
    host: &Host,
    email: &str,
    secret: &str,
    mission: Option<MissionRef>,
    role: Role,
) -> Result<UserId> {
    let email = normalise_email(email)
        .ok_or_else(|| Error::refused(Code::InvalidValue, "that is not an e-mail address"))?;
    let no = place(mission, role)?;
    if let Some(row) = users::by_email(conn, &email)? {
        if row.disabled_at.is_some() {
            return Err(Error::refused(
                Code::AlreadyExists,
                "the account exists and is disabled; enable it first",
            ));
        }
        if !password::verify(secret, Some(&row.password_hash)) {
            return Err(Error::refused(
                Code::AlreadyExists,
                "the account exists with another password; give that one to add a role, or change it first",
            ));
        }
        let user = row.user()?;
        users::add_role(conn, user, no, role)?;
        return Ok(user);
    }
    password::check_strength(secret, &email)?;
    let user = UserId(host.uuid());
    users::insert(
        conn,
        user,
        &email,
        &password::hash(host, secret)?,
        host.now(),
    )?;
    users::add_role(conn, user, no, role)?;
    Ok(user)
}

/// Gives an account another role, without its password: for whoever runs the
/// server. `false` if it was held already.
///
/// # Errors
/// `user_unknown`, `invalid_value`, or the database's.
pub fn add_role(
    conn: &mut Conn,
    email: &str,
    mission: Option<MissionRef>,
    role: Role,
) -> Result<bool> {
    let no = place(mission, role)?;
    let user = get(conn, email)?.id;
    users::add_role(conn, user, no, role)
}

/// Takes a role away; its tokens die at once. `false` if it was not held.
///
/// # Errors
/// `user_unknown`, `invalid_value`, or the database's.
pub fn remove_role(
    conn: &mut Conn,
    email: &str,
    mission: Option<MissionRef>,
    role: Role,
) -> Result<bool> {
    let no = place(mission, role)?;
    let user = get(conn, email)?.id;
    users::remove_role(conn, user, no, role)
}

/// Sets another password; who signed in with the old one has to sign in again.
///
/// # Errors
/// `user_unknown`, `weak_secret`, or the database's.
pub fn set_password(conn: &mut Conn, host: &Host, email: &str, secret: &str) -> Result<()> {
    let account = get(conn, email)?;
    password::check_strength(secret, &account.email)?;
    users::set_password(conn, account.id, &password::hash(host, secret)?)?;
    sessions::end_all(conn, account.id, None)?;
    Ok(())
}

/// Disables an account; its tokens and sessions die at once. Nothing it did is touched.
///
/// # Errors
/// `user_unknown`, `already_done`, or the database's.
pub fn disable(conn: &mut Conn, host: &Host, email: &str) -> Result<UserId> {
    let account = get(conn, email)?;
    if !account.enabled {
        return Err(Error::refused(
            Code::AlreadyDone,
            "the account is disabled already",
        ));
    }
    users::set_disabled(conn, account.id, Some(host.now()))?;
    sessions::end_all(conn, account.id, None)?;
    Ok(account.id)
}

/// Enables an account again.
///
/// # Errors
/// `user_unknown`, `already_done`, or the database's.
pub fn enable(conn: &mut Conn, email: &str) -> Result<UserId> {
    let account = get(conn, email)?;
    if account.enabled {
        return Err(Error::refused(
            Code::AlreadyDone,
            "the account is enabled already",
        ));
    }
    users::set_disabled(conn, account.id, None)?;
    Ok(account.id)
}

/// The account with an address.
///
/// # Errors
/// The database's.
pub fn find_by_email(conn: &mut Conn, email: &str) -> Result<Option<Account>> {
    let Some(email) = normalise_email(email) else {
        return Ok(None);
    };
    match users::by_email(conn, &email)? {
        None => Ok(None),
        Some(row) => account(conn, row).map(Some),
    }
}

/// The account with an address, or `user_unknown`.
///
/// # Errors
/// `user_unknown`, or the database's.
pub fn get(conn: &mut Conn, email: &str) -> Result<Account> {
    find_by_email(conn, email)?
        .ok_or_else(|| Error::refused(Code::UserUnknown, "there is no account with this address"))
}

/// Every account, by address.
///
/// # Errors
/// The database's.
pub fn list(conn: &mut Conn) -> Result<Vec<Account>> {
    let rows = users::all(conn)?;
    rows.into_iter().map(|row| account(conn, row)).collect()
}

fn account(conn: &mut Conn, row: users::UserRow) -> Result<Account> {
    let id = row.user()?;
    let missions = missions::list(conn)?;
    let grants = users::roles(conn, id)?.into_iter().map(|(no, role)| Grant {
        mission: missions
            .iter()
            .map(|mission| mission.reference)
            .find(|m| m.no == no)
            .map(|m| m.id),
        role,
    });
    Ok(Account {
        id,
        enabled: row.disabled_at.is_none(),
        grants: grants.collect(),
        email: row.email,
    })
}

/// Where a role is held: operators have the server, all others a mission.
fn place(mission: Option<MissionRef>, role: Role) -> Result<i32> {
    match (role, mission) {
        (Role::Operator, None) => Ok(users::SERVER),
        (Role::Operator, Some(_)) => Err(Error::refused(
            Code::InvalidValue,
            "an operator runs the server and belongs to no mission",
        )),
        (Role::Observer, _) => Err(Error::refused(
            Code::InvalidValue,
            "observers have no account: issue an enrolment code",
        )),
        (_, Some(mission)) => Ok(mission.no),
        (_, None) => Err(Error::refused(
            Code::InvalidValue,
            format!("a {} needs a mission", role.name()),
        )),
    }
}

/// Where somebody who signs in may go.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The mission; `None` is the server itself.
    pub mission: Option<Mission>,
    /// The roles there.
    pub roles: Vec<Role>,
}

/// What signing in needs to know of an address: the account and its hash. A
/// disabled account has none, like an address that nobody has.
///
/// # Errors
/// The database's.
pub fn credentials(conn: &mut Conn, email: &str) -> Result<Option<(UserId, String)>> {
    let Some(email) = normalise_email(email) else {
        return Ok(None);
    };
    let row = users::by_email(conn, &email)?.filter(|row| row.disabled_at.is_none());
    row.map(|row| Ok((row.user()?, row.password_hash)))
        .transpose()
}

/// Where an account may go. Asked once the password was right, so that a wrong
/// one takes the same time for every address.
///
/// # Errors
/// The database's.
pub fn choices(conn: &mut Conn, user: UserId) -> Result<Vec<Choice>> {
    let missions = missions::list(conn)?;
    let mut choices: Vec<Choice> = Vec::new();
    let mut last = None;
    for (no, role) in users::roles(conn, user)? {
        if last != Some(no) {
            let mission = missions
                .iter()
                .find(|mission| mission.reference.no == no)
                .cloned();
            if mission.is_none() && no != users::SERVER {
                continue;
            }
            choices.push(Choice {
                mission,
                roles: Vec::new(),
            });
            last = Some(no);
        }
        if let Some(choice) = choices.last_mut() {
            choice.roles.push(role);
        }
    }
    Ok(choices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_one_whatever_their_case() {
        assert_eq!(
            normalise_email(" Leyla@Example.ORG\n").as_deref(),
            Some("leyla@example.org")
        );
        for odd in [
            "",
            "leyla",
            "@x",
            "x@",
            "a b@x",
            "a\0@x",
            &format!("{}@x", "a".repeat(300)),
        ] {
            assert_eq!(normalise_email(odd), None, "{odd}");
        }
    }

    #[test]
    fn roles_stand_where_they_belong() {
        let mission = Some(MissionRef {
            no: 3,
            id: MissionId(uuid::Uuid::nil()),
        });
        assert_eq!(place(mission, Role::Lead).unwrap(), 3);
        assert_eq!(place(None, Role::Operator).unwrap(), users::SERVER);
        for (mission, role) in [
            (None, Role::Lead),
            (mission, Role::Operator),
            (mission, Role::Observer),
        ] {
            assert_eq!(place(mission, role).unwrap_err().code(), Code::InvalidValue);
        }
    }
}
