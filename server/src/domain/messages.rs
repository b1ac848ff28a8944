//! Messages to observers: an entry of the ledger, signed by the server for a
//! person, in the inbox of each accreditation that its audience matches.

use std::collections::{BTreeSet, HashSet};

use protocol::{
    codes::Code,
    entry::{Audience, Kind, Message, SdJwt},
    ids::{AccreditationId, EntryHash, SubjectId, UserId},
    limits,
    planted::{Fault, is as planted},
};
use uuid::Uuid;

use crate::{
    clock::Micros,
    domain::acts::{Act, MissionRef, Office},
    error::{Error, Result},
    store::{
        Conn, ledger,
        ledger::EntryRow,
        messages as store,
        registers::{self, Accreditation},
    },
};

/// What a person wants to be told, and to whom.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The message's id, if the caller made one: sent twice, it is sent once.
    pub id: Option<Uuid>,
    /// A line above the text.
    pub title: Option<String>,
    /// The words.
    pub text: String,
    /// To be seen at once.
    pub urgent: bool,
    /// Codes of the locations just above stations.
    pub constituencies: Vec<String>,
    /// Codes of stations.
    pub stations: Vec<String>,
    /// Names of institutions.
    pub institutions: Vec<String>,
    /// Numbers of accreditations.
    pub accreditations: Vec<String>,
}

/// What was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The message's id.
    pub id: Uuid,
    /// Its ledger number.
    pub number: i64,
    /// The entry.
    pub entry: EntryHash,
    /// To how many accreditations.
    pub recipients: usize,
}

/// A message as it stands in the ledger.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What was sent.
    pub sent: Sent,
    /// When.
    pub sent_at: Micros,
    /// By whom.
    pub sent_by: UserId,
    /// What it says.
    pub message: Message,
}

/// Sends a message.
///
/// # Errors
/// `value_missing` without words; `too_long`; `station_unknown`,
/// `accreditation_unknown`, or `invalid_value` for another code that is not
/// registered, and if it would reach nobody; `already_done` if a message of this id
/// was sent.
pub fn send(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    actor: UserId,
    wish: Wish,
) -> Result<Sent> {
    ledger::lock_head(conn, mission.no)?;
    let id = wish.id.unwrap_or_else(|| office.host.uuid());
    if wish.id.is_some() && !ledger::of_subject(conn, mission.no, id.as_bytes())?.is_empty() {
        return Err(Error::refused(
            Code::AlreadyDone,
            "a message of this id was sent already",
        ));
    }
    let message = checked(conn, mission, wish)?;
    let recipients = matching(conn, mission, &message.audience)?.len();
    if recipients == 0 {
        return Err(Error::refused(
            Code::InvalidValue,
            "no accreditation is like that; nobody would read it",
        ));
    }
    let mut act = Act::new(Kind::Message, SubjectId(id));
    (act.body, act.disclosed) = message.to_body();
    let (number, entry) = act.append(conn, office, mission, actor)?;
    Ok(Sent {
        id,
        number,
        entry,
        recipients,
    })
}

/// Words and codes, checked against limits and registers.
fn checked(conn: &mut Conn, mission: MissionRef, wish: Wish) -> Result<Message> {
    let given = |text: &str| !text.trim().is_empty();
    if !given(&wish.text) {
        return Err(Error::refused(Code::ValueMissing, "the text is empty"));
    }
    let title = wish.title.filter(|title| given(title));
    for (name, text, most) in [
        ("text", Some(&wish.text), limits::TEXT_CHARS),
        ("title", title.as_ref(), limits::TITLE_CHARS),
    ] {
        if text.is_some_and(|text| text.chars().count() > most) {
            let why = format!("{name}: at most {most} characters");
            return Err(Error::refused(Code::TooLong, why));
        }
    }
    let lists = [
        &wish.constituencies,
        &wish.stations,
        &wish.institutions,
        &wish.accreditations,
    ];
    if lists.iter().map(|list| list.len()).sum::<usize>() > limits::AUDIENCE_CODES {
        let why = format!("an audience names at most {} codes", limits::AUDIENCE_CODES);
        return Err(Error::refused(Code::TooLong, why));
    }
    let stations = registers::stations(conn, mission.no)?;
    let accreditations = registers::accreditations(conn, mission.no)?;
    let missing = |code, what: &str, name: &str| {
        Error::refused(code, format!("the mission has no {what} `{name}`"))
    };
    for station in &wish.stations {
        if !stations.contains_key(station) {
            return Err(missing(Code::StationUnknown, "station", station));
        }
    }
    let known: HashSet<&str> = stations
        .values()
        .filter_map(|station| station.constituency.as_deref())
        .collect();
    for constituency in &wish.constituencies {
        if !known.contains(constituency.as_str()) {
            return Err(missing(Code::InvalidValue, "constituency", constituency));
        }
    }
    let known: HashSet<&str> = accreditations
        .values()
        .map(|accreditation| accreditation.institution.as_str())
        .collect();
    for institution in &wish.institutions {
        if institution.is_empty() || !known.contains(institution.as_str()) {
            return Err(missing(Code::InvalidValue, "institution", institution));
        }
    }
    let mut ids = Vec::with_capacity(wish.accreditations.len());
    for number in &wish.accreditations {
        let found = accreditations
            .get(number)
            .ok_or_else(|| missing(Code::AccreditationUnknown, "accreditation", number))?;
        ids.push(AccreditationId(id_of(found)?));
    }
    Ok(Message {
        audience: Audience {
            constituencies: wish.constituencies,
            stations: wish.stations,
            institutions: wish.institutions,
            accreditations: ids,
        },
        urgent: wish.urgent,
        title,
        text: Some(wish.text),
    })
}

/// The accreditations that an audience matches as they are registered now.
fn matching(conn: &mut Conn, mission: MissionRef, audience: &Audience) -> Result<BTreeSet<Uuid>> {
    let places = !audience.stations.is_empty() || !audience.constituencies.is_empty();
    let filters = places || !audience.institutions.is_empty();
    let mut wanted: HashSet<String> = audience.stations.iter().cloned().collect();
    if !audience.constituencies.is_empty() {
        let inside = registers::stations(conn, mission.no)?
            .into_values()
            .filter(|station| {
                let above = station.constituency.as_ref();
                above.is_some_and(|code| audience.constituencies.contains(code))
            });
        wanted.extend(inside.map(|station| station.code));
    }
    let mut found = BTreeSet::new();
    for accreditation in registers::accreditations(conn, mission.no)?.into_values() {
        let id = id_of(&accreditation)?;
        let at_place = || -> Result<bool> {
            let assigned: Vec<String> =
                serde_json::from_str(&accreditation.stations).map_err(|error| {
                    Error::Internal(format!("an accreditation's stations: {error}"))
                })?;
            Ok(assigned.iter().any(|station| wanted.contains(station)))
        };
        let of_institution = audience.institutions.is_empty()
            || audience.institutions.contains(&accreditation.institution);
        let filtered = filters && of_institution && (!places || at_place()?);
        let named = audience.accreditations.contains(&AccreditationId(id));
        if named || filtered || audience.is_everybody() {
            found.insert(id);
        }
    }
    Ok(found)
}

fn id_of(accreditation: &Accreditation) -> Result<Uuid> {
    Uuid::from_slice(&accreditation.id)
        .map_err(|_| Error::Internal("an accreditation's id is not 16 bytes".into()))
}

/// Puts a message of the ledger into its recipients' inboxes. Who they are was
/// fixed when it was appended; one that came back after a restore may be new here,
/// and is then for those whom its audience matches now.
///
/// # Errors
/// The database's.
pub(crate) fn deliver(
    conn: &mut Conn,
    mission: MissionRef,
    number: i64,
    hash: &EntryHash,
    audience: &Audience,
) -> Result<()> {
    let recipients = match store::recipients(conn, mission.no, &hash.0)? {
        Some(fixed) => fixed,
        None => {
            let matching = matching(conn, mission, audience)?;
            let fixed: Vec<u8> = matching
                .iter()
                .flat_map(|id| id.as_bytes().to_vec())
                .collect();
            store::fix_recipients(conn, mission.no, &hash.0, &fixed)?;
            fixed
        }
    };
    let skipped = usize::from(planted(Fault::MessageSkipsOne));
    let recipients: Vec<&[u8]> = recipients.chunks_exact(16).skip(skipped).collect();
    ledger::add_to_inboxes(conn, mission.no, &recipients, number)
}

/// The mission's messages before a ledger number, the newest first.
///
/// # Errors
/// The database's; a damaged row is named.
pub fn list(
    conn: &mut Conn,
    mission: MissionRef,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Listed>> {
    store::page(conn, mission.no, before, limit)?
        .into_iter()
        .map(|row| listed(conn, mission, &row))
        .collect()
}

fn listed(conn: &mut Conn, mission: MissionRef, row: &EntryRow) -> Result<Listed> {
    let damaged = || Error::Internal(format!("ledger number {} is no message", row.number));
    let read = std::str::from_utf8(&row.sd_jwt)
        .ok()
        .and_then(|compact| SdJwt::parse(compact).ok()?.read().ok())
        .ok_or_else(damaged)?;
    let hash = row.hash.as_slice().try_into().map_err(|_| damaged())?;
    let recipients = store::recipients(conn, mission.no, &row.hash)?;
    Ok(Listed {
        sent: Sent {
            id: read.payload.subject.0,
            number: row.number,
            entry: EntryHash(hash),
            recipients: recipients.map_or(0, |ids| ids.len() / 16),
        },
        sent_at: read
            .at
            .as_ref()
            .and_then(|at| Micros::parse(&at.wall))
            .unwrap_or(Micros(row.received_at)),
        sent_by: read.payload.actor.ok_or_else(damaged)?,
        message: Message::from_body(&read.body).map_err(|_| damaged())?,
    })
}
