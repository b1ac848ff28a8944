//! A mission's accounts, as its leads manage them. What whoever runs the server may do
//! besides is in [`super::accounts`].
//!
//! Nobody changes an account of their own, and who acts is looked at again under the
//! mission's lock: so a lead always remains, also when two of them act at once.

use std::collections::BTreeSet;

use protocol::{codes::Code, ids::UserId};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    auth::{Role, password},
    clock::{Host, Micros},
    domain::{
        accounts::normalise_email,
        acts::MissionRef,
        audit::{Act, By, Deed},
        second_factor, words,
    },
    error::{Error, Result},
    store::{
        Conn, audit as trail, ledger, second_factors, sessions,
        users::{self, UserRow},
    },
};

/// The roles that a lead may give.
pub const ROLES: [Role; 4] = [Role::Coordinator, Role::Lead, Role::Analyst, Role::Auditor];
/// Crockford's base32 in small letters.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters of a password that the server makes: 100 bits.
const PASSWORD_CHARS: usize = 20;

/// Somebody with a role in the mission.
#[derive(Clone, Debug)]
pub struct Member {
    /// The account.
    pub id: UserId,
    /// Its address.
    pub email: String,
    /// Its roles in the mission.
    pub roles: Vec<Role>,
    /// Whether it may sign in.
    pub enabled: bool,
    /// Whether it has a second factor.
    pub second_factor: bool,
    /// Whether it has roles elsewhere on the server.
    pub elsewhere: bool,
    /// When it was made.
    pub created_at: Micros,
    /// When it last signed in to the mission, as far as the trail goes back.
    pub last_sign_in: Option<Micros>,
}

/// A lead at work.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// Time and randomness.
    pub host: &'a Host,
    /// The mission.
    pub mission: MissionRef,
    /// The lead.
    pub lead: UserId,
}

/// A password that the server made, and its hash.
#[derive(Debug)]
pub struct Fresh {
    /// What is shown, once.
    pub secret: Zeroizing<String>,
    hash: String,
}

impl Fresh {
    /// Makes one. Slow on purpose: not inside a transaction.
    ///
    /// # Errors
    /// None in practice.
    pub fn new(host: &Host) -> Result<Self> {
        let bytes = Zeroizing::new(host.bytes::<PASSWORD_CHARS>());
        let mut secret = Zeroizing::new(String::new());
        for (at, byte) in bytes.iter().enumerate() {
            if at > 0 && at % 5 == 0 {
                secret.push('-');
            }
            secret.push(char::from(ALPHABET[usize::from(byte & 31)]));
        }
        Ok(Self {
            hash: password::hash(host, &secret)?,
            secret,
        })
    }
}

/// Everybody with a role in the mission, by address.
///
/// # Errors
/// The database's.
pub fn list(conn: &mut Conn, mission: MissionRef) -> Result<Vec<Member>> {
    let rows = users::of_mission(conn, mission.no)?;
    let elsewhere = users::elsewhere(conn, mission.no)?;
    let factors = second_factors::holders(conn)?;
    let seen = trail::last(conn, mission.no, Act::SignIn.name())?;
    let mut members: Vec<Member> = Vec::new();
    for (row, role) in rows {
        if let Some(member) = members.last_mut().filter(|last| last.email == row.email) {
            member.roles.push(role);
            continue;
        }
        members.push(Member {
            id: row.user()?,
            roles: vec![role],
            enabled: row.disabled_at.is_none(),
            second_factor: factors.contains(&row.id),
            elsewhere: elsewhere.contains(&row.id),
            created_at: Micros(row.created_at),
            last_sign_in: seen.get(&row.id).copied(),
            email: row.email,
        });
    }
    Ok(members)
}

/// One of them.
///
/// # Errors
/// `user_unknown`, or the database's.
pub fn get(conn: &mut Conn, mission: MissionRef, user: UserId) -> Result<Member> {
    let found = list(conn, mission)?.into_iter().find(|one| one.id == user);
    found.ok_or_else(unknown)
}

/// Adds an account, or gives roles in the mission to one that has none there. Answers
/// whether the account is new, so that its password counts: one that was there keeps its
/// own. Runs inside `Store::write`, as do the others.
///
/// # Errors
/// `invalid_value`, `already_exists`, `forbidden`, or the database's.
pub fn add(
    conn: &mut Conn,
    desk: Desk<'_>,
    email: &str,
    roles: &[Role],
    fresh: &Fresh,
) -> Result<(Member, bool)> {
    desk.enter(conn)?;
    let email = normalise_email(email)
        .ok_or_else(|| Error::refused(Code::InvalidValue, "that is not an e-mail address"))?;
    let roles = allowed(roles)?;
    if roles.is_empty() {
        return Err(Error::refused(Code::InvalidValue, "give a role"));
    }
    let known = users::by_email(conn, &email)?;
    let is_new = known.is_none();
    let user = match known {
        Some(row) => joins(conn, desk, &row)?,
        None => {
            let user = UserId(desk.host.uuid());
            users::insert(conn, user, &email, &fresh.hash, desk.host.now())?;
            user
        }
    };
    for role in &roles {
        users::add_role(conn, user, desk.mission.no, *role)?;
    }
    let details = json!({ "roles": roles, "new": is_new });
    desk.note(conn, Act::AccountAdded, user, details)?;
    Ok((get(conn, desk.mission, user)?, is_new))
}

/// An account of the server that is to join the mission.
fn joins(conn: &mut Conn, desk: Desk<'_>, row: &UserRow) -> Result<UserId> {
    let refused = |why: &str| Err(Error::refused(Code::AlreadyExists, why));
    if row.disabled_at.is_some() {
        return refused("the account exists and is disabled; whoever runs the server enables it");
    }
    let user = row.user()?;
    let roles = users::roles(conn, user)?;
    if roles.iter().any(|(no, _)| *no == desk.mission.no) {
        return refused("the account has a role in this mission already; change its roles");
    }
    Ok(user)
}

/// Sets somebody's roles in the mission; none takes them out of it.
///
/// # Errors
/// `user_unknown`, `own_account`, `invalid_value`, `reason_needed`, `already_done`,
/// `forbidden`, or the database's.
pub fn set_roles(
    conn: &mut Conn,
    desk: Desk<'_>,
    user: UserId,
    roles: &[Role],
    reason: &str,
) -> Result<()> {
    let member = desk.other(conn, user)?;
    let reason = words::reason(reason)?;
    let wanted = allowed(roles)?;
    let held: BTreeSet<Role> = member.roles.iter().copied().collect();
    if wanted == held {
        return Err(Error::refused(Code::AlreadyDone, "these are the roles now"));
    }
    for role in held.difference(&wanted) {
        users::remove_role(conn, user, desk.mission.no, *role)?;
    }
    for role in wanted.difference(&held) {
        users::add_role(conn, user, desk.mission.no, *role)?;
    }
    let details = json!({ "before": held, "roles": wanted, "reason": reason });
    desk.note(conn, Act::RolesChanged, user, details)
}

/// Disables or enables an account.
///
/// # Errors
/// As [`set_roles`], and `account_elsewhere`.
pub fn set_enabled(
    conn: &mut Conn,
    desk: Desk<'_>,
    user: UserId,
    enabled: bool,
    reason: &str,
) -> Result<()> {
    let member = desk.own(conn, user)?;
    let reason = words::reason(reason)?;
    if member.enabled == enabled {
        return Err(Error::refused(Code::AlreadyDone, "it is so already"));
    }
    let at = (!enabled).then(|| desk.host.now());
    users::set_disabled(conn, user, at)?;
    sessions::end_all(conn, user, None)?;
    let act = if enabled {
        Act::AccountEnabled
    } else {
        Act::AccountDisabled
    };
    desk.note(conn, act, user, json!({ "reason": reason }))
}

/// Takes a second factor away: the next sign-in sets another one up.
///
/// # Errors
/// As [`set_enabled`].
pub fn reset_second_factor(
    conn: &mut Conn,
    desk: Desk<'_>,
    user: UserId,
    reason: &str,
) -> Result<()> {
    desk.own(conn, user)?;
    let reason = words::reason(reason)?;
    second_factor::reset(conn, user)?;
    let details = json!({ "reason": reason });
    desk.note(conn, Act::SecondFactorReset, user, details)
}

/// Sets a password that the server made; sessions end.
///
/// # Errors
/// As [`set_enabled`].
pub fn reset_password(
    conn: &mut Conn,
    desk: Desk<'_>,
    user: UserId,
    fresh: &Fresh,
    reason: &str,
) -> Result<()> {
    desk.own(conn, user)?;
    let reason = words::reason(reason)?;
    users::set_password(conn, user, &fresh.hash)?;
    sessions::end_all(conn, user, None)?;
    desk.note(conn, Act::PasswordSet, user, json!({ "reason": reason }))
}

impl Desk<'_> {
    /// Locks the mission, and looks again whether this is a lead.
    fn enter(self, conn: &mut Conn) -> Result<()> {
        ledger::lock_head(conn, self.mission.no)?;
        let roles = users::active_roles(conn, self.lead, self.mission.no)?;
        if roles.is_some_and(|roles| roles.contains(&Role::Lead)) {
            Ok(())
        } else {
            Err(Error::refused(Code::Forbidden, "you are no lead any more"))
        }
    }

    /// Somebody else of the mission.
    fn other(self, conn: &mut Conn, user: UserId) -> Result<Member> {
        self.enter(conn)?;
        let member = get(conn, self.mission, user)?;
        if user == self.lead {
            return Err(Error::refused(
                Code::OwnAccount,
                "another lead must change your account",
            ));
        }
        Ok(member)
    }

    /// Somebody else, of this mission alone: what is done to a whole account must not
    /// reach into another mission.
    fn own(self, conn: &mut Conn, user: UserId) -> Result<Member> {
        let member = self.other(conn, user)?;
        if member.elsewhere {
            return Err(Error::refused(
                Code::AccountElsewhere,
                "the account has roles elsewhere on this server; take its roles here, or ask whoever runs it",
            ));
        }
        Ok(member)
    }

    fn note(
        self,
        conn: &mut Conn,
        act: Act,
        user: UserId,
        details: serde_json::Value,
    ) -> Result<()> {
        Deed::new(self.host, By::Person(self.lead), act, details)
            .to(user)
            .note(conn, self.mission.no)
    }
}

fn allowed(roles: &[Role]) -> Result<BTreeSet<Role>> {
    if let Some(role) = roles.iter().find(|role| !ROLES.contains(role)) {
        let why = format!("a lead gives no role `{}`", role.name());
        return Err(Error::refused(Code::InvalidValue, why));
    }
    Ok(roles.iter().copied().collect())
}

fn unknown() -> Error {
    Error::refused(
        Code::UserUnknown,
        "there is no such account in this mission",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_that_the_server_makes_are_strong_and_differ() {
        let host = Host::system();
        let (one, two) = (Fresh::new(&host).unwrap(), Fresh::new(&host).unwrap());
        assert_ne!(*one.secret, *two.secret);
        assert_eq!(one.secret.len(), PASSWORD_CHARS + 3);
        password::check_strength(&one.secret, "a@b.example").unwrap();
        assert!(password::verify(&one.secret, Some(&one.hash)));
    }

    #[test]
    fn leads_make_no_operators_and_no_observers() {
        for role in [Role::Operator, Role::Observer] {
            assert_eq!(allowed(&[role]).unwrap_err().code(), Code::InvalidValue);
        }
        assert_eq!(allowed(&[Role::Lead, Role::Lead]).unwrap().len(), 1);
    }
}
