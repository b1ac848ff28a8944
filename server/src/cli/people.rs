//! Enrolment codes, accounts, phones, accreditations.

use std::{
    fs,
    io::{self, IsTerminal as _, Read as _},
};

use protocol::{
    codes::Code,
    enrolment::Invitation,
    ids::{AccreditationId, UserId},
};
use qrcode::{QrCode, render::unicode::Dense1x2};
use serde_json::{Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    Desk, LEADS, actor,
    args::{Accreditation, Device, Enrolment, User},
    out::{Out, table},
};
use crate::{
    clock::Micros,
    domain::{
        accounts::{self, Account},
        acts,
        audit::{self, Act, By, Deed},
        enrolment as enrolments, second_factor,
    },
    error::{Error, Result},
    store::{devices, presence::Presence, users::SERVER},
};

/// Bytes of a password's line.
const PASSWORD_BYTES: u64 = 4096;

pub(super) fn enrolment(desk: &Desk, command: Enrolment, out: Out) -> Result<()> {
    let Enrolment::Issue {
        mission,
        accreditation,
        hours,
        public_url,
    } = command;
    let mission = desk.mission(mission)?;
    let origin = match public_url {
        Some(url) => check_origin(&url)?,
        None => origin(desk),
    };
    let hours = hours.unwrap_or(desk.config.enrolment_hours);
    let (code, expires) = desk.store.write(|conn| {
        let place = mission.reference;
        let issued = enrolments::issue(conn, &desk.host, place, &accreditation, hours)?;
        let by = By::CommandLine;
        audit::code_issued(conn, &desk.host, by, place, &accreditation, issued.1)?;
        Ok(issued)
    })?;
    let url = Invitation {
        origin,
        code: code.clone(),
        mission: mission.reference.id,
        key: desk.keys.receipt_kid.clone(),
    }
    .to_url();
    let mut words = format!(
        "For one phone of {accreditation}, until {}. Whoever has the link can use it: give it \
         to the observer alone.\n\n{url}\n",
        expires.rfc3339()
    );
    if !out.json && io::stdout().is_terminal() {
        words.push('\n');
        words.push_str(&qr(&url)?);
    }
    out.answer(
        &json!({"code": code, "url": url, "expires_at": expires.rfc3339()}),
        &words,
    )
}

/// Where phones reach the server: what the configuration says; else where the
/// running server of this folder listens; else where it would.
fn origin(desk: &Desk) -> String {
    if desk.config.public_url.is_empty()
        && Presence::is_served(&desk.config.data)
        && let Ok(origin) = fs::read_to_string(desk.config.data.join("serve.origin"))
    {
        return origin;
    }
    desk.config.origin()
}

fn check_origin(url: &str) -> Result<String> {
    let url = url.trim_end_matches('/');
    let parsed = url::Url::parse(url)
        .ok()
        .filter(|parsed| matches!(parsed.scheme(), "http" | "https") && parsed.host().is_some());
    match parsed {
        Some(_) => Ok(url.to_owned()),
        None => Err(Error::refused(
            Code::Usage,
            "--public-url: not an address such as https://x.org",
        )),
    }
}

fn qr(url: &str) -> Result<String> {
    let code = QrCode::new(url).map_err(|error| Error::Internal(error.to_string()))?;
    // Most terminals are dark: what is light to a camera is drawn.
    let drawn = code.render::<Dense1x2>();
    Ok(format!(
        "{}\n",
        { drawn }
            .dark_color(Dense1x2::Light)
            .light_color(Dense1x2::Dark)
            .quiet_zone(true)
            .build()
    ))
}

pub(super) fn user(desk: &Desk, command: User, out: Out) -> Result<()> {
    match command {
        User::Add {
            mission,
            role,
            email,
            ..
        } => {
            let mission = mission.map(|id| desk.mission_by_id(id)).transpose()?;
            let mission = mission.map(|mission| mission.reference);
            let password = password()?;
            let user = desk.store.write(|conn| {
                let user = accounts::add_user(conn, &desk.host, &email, &password, mission, role)?;
                let details = json!({ "roles": [role] });
                let place = mission.map_or(SERVER, |mission| mission.no);
                deed(desk, Act::AccountAdded, user, details).note(conn, place)?;
                Ok(user)
            })?;
            let value = json!({
                "user": user,
                "email": email.trim().to_lowercase(),
                "role": role,
                "mission": mission.map(|mission| mission.id),
            });
            out.answer(
                &value,
                &format!("{} may log in as {}", email.trim(), role.name()),
            )
        }
        User::Password { email, .. } => {
            let password = password()?;
            desk.store.write(|conn| {
                accounts::set_password(conn, &desk.host, &email, &password)?;
                let user = accounts::get(conn, &email)?.id;
                deed(desk, Act::PasswordSet, user, json!({})).note_for_account(conn)
            })?;
            out.answer(
                &json!({"email": email}),
                &format!("{email} has another password"),
            )
        }
        User::ResetSecondFactor { email } => {
            let user = desk.store.write(|conn| {
                let user = accounts::get(conn, &email)?.id;
                second_factor::reset(conn, user)?;
                deed(desk, Act::SecondFactorReset, user, json!({})).note_for_account(conn)?;
                Ok(user)
            })?;
            out.answer(
                &json!({"user": user}),
                &format!("{email} sets up another second factor at the next sign-in"),
            )
        }
        User::Disable { email } => {
            let user = desk.store.write(|conn| {
                let user = accounts::disable(conn, &desk.host, &email)?;
                deed(desk, Act::AccountDisabled, user, json!({})).note_for_account(conn)?;
                Ok(user)
            })?;
            out.answer(
                &json!({"user": user}),
                &format!("{email} may not log in any more"),
            )
        }
        User::Enable { email } => {
            let user = desk.store.write(|conn| {
                let user = accounts::enable(conn, &email)?;
                deed(desk, Act::AccountEnabled, user, json!({})).note_for_account(conn)?;
                Ok(user)
            })?;
            out.answer(&json!({"user": user}), &format!("{email} may log in again"))
        }
        User::List => {
            let users = desk.store.read(accounts::list)?;
            let value: Vec<Value> = users.iter().map(account).collect();
            let rows: Vec<_> = users
                .iter()
                .map(|user| {
                    let roles: Vec<_> = user
                        .grants
                        .iter()
                        .map(|grant| match grant.mission {
                            Some(mission) => format!("{} of {mission}", grant.role.name()),
                            None => grant.role.name().to_owned(),
                        })
                        .collect();
                    let state = if user.enabled { "enabled" } else { "disabled" };
                    vec![user.email.clone(), state.into(), roles.join(", ")]
                })
                .collect();
            out.answer(&json!(value), &table(&["address", "state", "roles"], &rows))
        }
    }
}

fn deed(desk: &Desk, act: Act, user: UserId, details: Value) -> Deed<'_> {
    Deed::new(&desk.host, By::CommandLine, act, details).to(user)
}

fn account(user: &Account) -> Value {
    let roles: Vec<_> = user
        .grants
        .iter()
        .map(|grant| json!({"mission": grant.mission, "role": grant.role}))
        .collect();
    json!({"user": user.id, "email": user.email, "enabled": user.enabled, "roles": roles})
}

/// The first line of standard input.
fn password() -> Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    io::stdin()
        .lock()
        .take(PASSWORD_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| Error::Io("standard input".into(), error))?;
    let line = text.split(['\r', '\n']).next().unwrap_or_default();
    if line.is_empty() {
        return Err(Error::refused(
            Code::ValueMissing,
            "standard input holds no password",
        ));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

pub(super) fn device(desk: &Desk, command: Device, out: Out) -> Result<()> {
    match command {
        Device::List {
            mission,
            accreditation,
            limit,
            before,
        } => {
            let mission = desk.mission(mission)?;
            let number = accreditation.as_deref();
            let rows = desk
                .store
                .read(|conn| devices::page(conn, mission.reference.no, number, before, limit))?;
            let value: Vec<Value> = rows
                .iter()
                .map(|row| {
                    json!({
                        "device": id(&row.id),
                        "kid": row.kid,
                        "accreditation": row.number,
                        "observer": row.pseudonym,
                        "enrolled_number": row.enrolled_number,
                        "enrolled_at": Micros(row.enrolled_at).rfc3339(),
                        "revoked_number": row.revoked_number,
                    })
                })
                .collect();
            let lines: Vec<_> = rows
                .iter()
                .map(|row| {
                    vec![
                        id(&row.id),
                        row.number.clone(),
                        row.pseudonym.clone(),
                        Micros(row.enrolled_at).rfc3339(),
                        row.revoked_number
                            .map_or_else(String::new, |_| "revoked".into()),
                    ]
                })
                .collect();
            let header = ["device", "accreditation", "observer", "enrolled", ""];
            out.answer(&json!(value), &table(&header, &lines))
        }
        Device::Revoke {
            device,
            mission,
            actor: by,
            reason,
        } => {
            let mission = desk.mission(mission)?;
            let number = desk.store.write(|conn| {
                let user = actor(conn, &mission, &by, LEADS)?;
                acts::revoke_device(
                    conn,
                    desk.office(),
                    mission.reference,
                    user,
                    device,
                    &reason,
                )
            })?;
            out.answer(
                &json!({"device": device, "number": number}),
                &format!("device {device} is revoked; what it sends from now on is quarantined"),
            )
        }
    }
}

pub(super) fn accreditation(desk: &Desk, command: Accreditation, out: Out) -> Result<()> {
    let Accreditation::Revoke {
        number,
        mission,
        actor: by,
        reason,
    } = command;
    let mission = desk.mission(mission)?;
    let entry = desk.store.write(|conn| {
        let user = actor(conn, &mission, &by, LEADS)?;
        let row = devices::accreditation_by_number(conn, mission.reference.no, &number)?;
        let row = row.ok_or_else(|| {
            Error::refused(
                Code::AccreditationUnknown,
                format!("there is no accreditation {number}"),
            )
        })?;
        let accreditation = AccreditationId(devices::read_id(&row.id)?);
        let office = desk.office();
        acts::revoke_accreditation(
            conn,
            office,
            mission.reference,
            user,
            accreditation,
            &reason,
        )
    })?;
    out.answer(
        &json!({"accreditation": number, "number": entry}),
        &format!("accreditation {number} is revoked, and so are its phones"),
    )
}

/// An id as text; what cannot be one is shown as nothing.
pub(super) fn id(bytes: &[u8]) -> String {
    Uuid::from_slice(bytes)
        .map(|id| id.to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_checked() {
        assert_eq!(check_origin("https://x.org/").unwrap(), "https://x.org");
        assert_eq!(
            check_origin("http://localhost:8080").unwrap(),
            "http://localhost:8080"
        );
        for odd in ["x.org", "ftp://x.org", "https://", ""] {
            assert_eq!(check_origin(odd).unwrap_err().code(), Code::Usage, "{odd}");
        }
    }

    #[test]
    fn a_link_fits_a_code_in_the_terminal() {
        let url = format!("https://reports.example.org/enrol#{}", "x".repeat(160));
        let drawn = qr(&url).unwrap();
        assert!(drawn.lines().count() > 20 && drawn.lines().all(|line| line.chars().count() < 80));
    }
}
