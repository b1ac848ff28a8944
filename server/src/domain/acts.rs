//! The server's own entries: what coordinators decide, signed for them and
//! appended to the ledger. Every function runs inside one `Store::write`, and
//! locks the ledger's head before it looks, so that nothing changes between
//! the look and the act.

use protocol::{
    codes::Code,
    entry::{At, BuildError, Draft, Kind, Link},
    ids::{AccreditationId, DeviceId, EntryHash, MissionId, SubjectId, UserId},
    jose::{Jwk, PublicKey, SoftwareKey},
    limits,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    clock::Host,
    domain::{
        flags,
        ledger::{Incoming, Origin, append},
        status::{self, Demand},
        telephone,
    },
    error::{Error, Result},
    store::{
        Conn, bulk, ledger,
        projections::{self, ReportRow},
    },
};

/// Signs for people.
#[derive(Clone, Copy, Debug)]
pub struct Office<'a> {
    /// Time and randomness.
    pub host: &'a Host,
    /// The receipt key.
    pub key: &'a SoftwareKey,
}

/// A mission, inside and outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissionRef {
    /// Its short key in this database.
    pub no: i32,
    /// Its id.
    pub id: MissionId,
}

/// A wish to move a report to another status.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The target status.
    pub to: String,
    /// `version` of the report that the person read; another one now is a 409.
    pub version: i64,
    /// Why.
    pub reason: Option<String>,
    /// What the observer is asked (`needs_info`).
    pub question: Option<String>,
}

/// What a decision left.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The entry's ledger number.
    pub number: i64,
    /// The entry.
    pub entry: EntryHash,
    /// The status now.
    pub status: String,
    /// The report's version now.
    pub version: i64,
}

/// Moves a report under the table of transitions.
///
/// # Errors
/// `report_unknown`; `stale_decision` with the report as it is now and what
/// was appended since; `transition_not_allowed`; `reason_needed`; `too_long`.
pub fn decide(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    actor: UserId,
    report: Uuid,
    decision: Decision,
) -> Result<Decided> {
    ledger::lock_head(conn, mission.no)?;
    let row = report_row(conn, mission, report)?;
    if row.version != decision.version {
        return Err(stale(conn, mission, &row, decision.version)?);
    }
    telephone::not_merged(&row)?;
    let demand = status::transition(&row.status, &decision.to).ok_or_else(|| {
        let allowed: Vec<_> = status::TRANSITIONS
            .iter()
            .filter(|(from, ..)| *from == row.status)
            .map(|(_, to, _)| *to)
            .collect();
        Error::refused(
            Code::TransitionNotAllowed,
            format!("from {} to {}", row.status, decision.to),
        )
        .with("current_status", row.status.clone())
        .with("allowed", allowed)
    })?;
    let reason = words("reason", decision.reason)?;
    let question = words("question", decision.question)?;
    match demand {
        Demand::Reason if reason.is_none() => {
            return Err(Error::refused(Code::ReasonNeeded, "give the reason"));
        }
        Demand::Question if question.is_none() => {
            return Err(Error::refused(
                Code::ReasonNeeded,
                "give the question to the observer",
            ));
        }
        _ => {}
    }
    let mut act = Act::new(Kind::Decide, SubjectId(report));
    act.written_on(&row)?;
    act.clear("from", &row.status);
    act.clear("to", &decision.to);
    act.disclose("reason", reason);
    // A question is kept only where one is asked.
    act.disclose("question", question.filter(|_| demand == Demand::Question));
    let (number, entry) = act.append(conn, office, mission, actor)?;
    Ok(Decided {
        number,
        entry,
        status: decision.to,
        version: number,
    })
}

/// Lets a quarantined entry in. Answers the ledger number of the decision.
///
/// # Errors
/// `entry_unknown`; `already_done` if it counts already; `reason_needed`;
/// `invalid_value` if it cannot be read, or lacks disclosures still.
pub fn admit(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    actor: UserId,
    entry: EntryHash,
    reason: &str,
) -> Result<i64> {
    ledger::lock_head(conn, mission.no)?;
    let row = ledger::by_hash(conn, mission.no, &entry.0)?
        .ok_or_else(|| Error::refused(Code::EntryUnknown, "no such entry"))?;
    if row.standing != "quarantined" {
        return Err(Error::refused(
            Code::AlreadyDone,
            format!("the entry is {} already", row.standing),
        ));
    }
    let complete = super::ledger::read_row(&row).is_ok_and(|read| read.withheld == 0);
    let hopeless = [
        "unreadable",
        "unknown_version",
        "wrong_mission",
        "subject_conflict",
        "foreign_subject",
        "overtaken",
    ];
    if !complete
        || row
            .quarantine
            .as_deref()
            .is_some_and(|code| hopeless.contains(&code))
    {
        return Err(Error::refused(
            Code::InvalidValue,
            format!(
                "an entry quarantined as {} cannot be let in",
                row.quarantine.unwrap_or_default()
            ),
        ));
    }
    let reason = needed("reason", reason)?;
    let subject = row
        .subject
        .as_deref()
        .and_then(|bytes| Uuid::from_slice(bytes).ok())
        .unwrap_or_default();
    let mut act = Act::new(Kind::Admit, SubjectId(subject));
    act.clear("entry", &entry.to_string());
    act.disclose("reason", Some(reason));
    Ok(act.append(conn, office, mission, actor)?.0)
}

/// Binds a device key to an accreditation. Answers the device.
///
/// # Errors
/// `key_not_accepted` for a weak or malformed key, or one that is enrolled
/// already; `accreditation_revoked`.
pub fn enrol(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    accreditation: AccreditationId,
    key: &Jwk,
) -> Result<DeviceId> {
    ledger::lock_head(conn, mission.no)?;
    let public = PublicKey::from_jwk(key)
        .map_err(|error| Error::refused(Code::KeyNotAccepted, error.to_string()))?;
    if projections::device_by_kid(conn, &public.thumbprint())?.is_some() {
        return Err(Error::refused(
            Code::KeyNotAccepted,
            "the key is enrolled already",
        ));
    }
    if projections::is_accreditation_revoked(conn, mission.no, accreditation.0.as_bytes())? {
        return Err(Error::refused(
            Code::AccreditationRevoked,
            "the accreditation has been revoked",
        ));
    }
    let device = DeviceId(office.host.uuid());
    let mut act = Act::new(Kind::Enrol, SubjectId(device.0));
    act.clear("device", &device.to_string());
    act.clear("accreditation", &accreditation.to_string());
    act.body.insert("key".into(), json!(public.to_jwk()));
    act.append(conn, office, mission, UserId(Uuid::nil()))?;
    Ok(device)
}

/// Revokes a device: what it signed before stands, what arrives later waits in
/// quarantine, its tokens die at once.
///
/// # Errors
/// `device_unknown`, `already_done`, `reason_needed`.
pub fn revoke_device(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    actor: UserId,
    device: DeviceId,
    reason: &str,
) -> Result<i64> {
    ledger::lock_head(conn, mission.no)?;
    let known = projections::device(conn, mission.no, device.0.as_bytes())?
        .ok_or_else(|| Error::refused(Code::DeviceUnknown, "no such device"))?;
    if known.revoked_number.is_some() {
        return Err(Error::refused(
            Code::AlreadyDone,
            "the device is revoked already",
        ));
    }
    let mut act = Act::new(Kind::RevokeDevice, SubjectId(device.0));
    act.clear("device", &device.to_string());
    act.disclose("reason", Some(needed("reason", reason)?));
    Ok(act.append(conn, office, mission, actor)?.0)
}

/// Revokes an accreditation, and so each of its devices. The caller has looked
/// the accreditation up in the register.
///
/// # Errors
/// `already_done`, `reason_needed`.
pub fn revoke_accreditation(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    actor: UserId,
    accreditation: AccreditationId,
    reason: &str,
) -> Result<i64> {
    ledger::lock_head(conn, mission.no)?;
    if projections::is_accreditation_revoked(conn, mission.no, accreditation.0.as_bytes())? {
        return Err(Error::refused(
            Code::AlreadyDone,
            "the accreditation is revoked already",
        ));
    }
    let mut act = Act::new(Kind::RevokeAccreditation, SubjectId(accreditation.0));
    act.clear("accreditation", &accreditation.to_string());
    act.disclose("reason", Some(needed("reason", reason)?));
    Ok(act.append(conn, office, mission, actor)?.0)
}

/// Erases a report's words, places and times once a second person approved.
/// Numbers, hashes, chain and signatures stay and stay valid.
///
/// # Errors
/// `report_unknown`, `same_person`, `already_done`, `reason_needed`.
pub fn erase(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    requested_by: UserId,
    approved_by: UserId,
    report: Uuid,
    reason: &str,
) -> Result<i64> {
    ledger::lock_head(conn, mission.no)?;
    if requested_by == approved_by {
        return Err(Error::refused(
            Code::SamePerson,
            "another person has to approve",
        ));
    }
    let row = report_row(conn, mission, report)?;
    if row.erased {
        return Err(Error::refused(
            Code::AlreadyDone,
            "the report is erased already",
        ));
    }
    let mut act = Act::new(Kind::Erase, SubjectId(report));
    act.clear("requested_by", &requested_by.to_string());
    act.clear("approved_by", &approved_by.to_string());
    act.disclose("reason", Some(needed("reason", reason)?));
    Ok(act.append(conn, office, mission, approved_by)?.0)
}

pub(super) fn report_row(conn: &mut Conn, mission: MissionRef, report: Uuid) -> Result<ReportRow> {
    bulk::reports_by_id(conn, mission.no, &[report.as_bytes().to_vec()])?
        .pop()
        .ok_or_else(|| Error::refused(Code::ReportUnknown, "no such report"))
}

/// What changed since the version that the person read.
pub(super) fn stale(
    conn: &mut Conn,
    mission: MissionRef,
    row: &ReportRow,
    read: i64,
) -> Result<Error> {
    let changed: Vec<Value> = ledger::of_subject(conn, mission.no, &row.id)?
        .iter()
        .filter(|entry| entry.number > read)
        .map(|entry| json!({ "number": entry.number, "kind": entry.kind, "standing": entry.standing }))
        .collect();
    Ok(Error::refused(
        Code::StaleDecision,
        format!("the report is at version {}, you read {read}", row.version),
    )
    .with("version", row.version)
    .with("current_status", row.status.clone())
    .with("withdrawn", row.withdrawn)
    .with("flags", flags::names(row.flags))
    .with("changed", changed))
}

fn words(name: &str, text: Option<String>) -> Result<Option<String>> {
    let text = text.filter(|text| !text.trim().is_empty());
    if text
        .as_ref()
        .is_some_and(|text| text.chars().count() > limits::TEXT_CHARS)
    {
        return Err(Error::refused(
            Code::TooLong,
            format!("{name}: at most {} characters", limits::TEXT_CHARS),
        ));
    }
    Ok(text)
}

pub(super) fn needed(name: &str, text: &str) -> Result<String> {
    words(name, Some(text.to_owned()))?
        .ok_or_else(|| Error::refused(Code::ReasonNeeded, format!("give the {name}")))
}

/// An entry of the server's own in the making.
pub(super) struct Act {
    kind: Kind,
    subject: SubjectId,
    base: Option<EntryHash>,
    pub(super) body: Map<String, Value>,
    pub(super) disclosed: Vec<(&'static str, Value)>,
}

impl Act {
    pub(super) fn new(kind: Kind, subject: SubjectId) -> Self {
        Self {
            kind,
            subject,
            base: None,
            body: Map::new(),
            disclosed: Vec::new(),
        }
    }

    /// Puts it on the report as it stands.
    pub(super) fn written_on(&mut self, row: &ReportRow) -> Result<()> {
        let head = row.head.as_slice().try_into();
        self.base = Some(EntryHash(
            head.map_err(|_| Error::Internal("head hash".into()))?,
        ));
        Ok(())
    }

    pub(super) fn clear(&mut self, name: &str, value: &str) {
        self.body.insert(name.to_owned(), json!(value));
    }

    pub(super) fn disclose(&mut self, name: &'static str, value: Option<String>) {
        if let Some(value) = value {
            self.disclosed.push((name, json!(value)));
        }
    }

    /// Signs it for a person and appends it. Answers its number and its name.
    ///
    /// # Errors
    /// `too_long` for what is larger than an entry may be; the database's.
    pub(super) fn append(
        self,
        conn: &mut Conn,
        office: Office<'_>,
        mission: MissionRef,
        actor: UserId,
    ) -> Result<(i64, EntryHash)> {
        let now = office.host.now();
        let (kind, subject) = (self.kind.name().to_owned(), self.subject);
        let draft = Draft {
            mission: mission.id,
            subject: self.subject,
            kind: self.kind,
            base: self.base,
            link: Link::Actor(actor),
            at: At {
                wall: now.rfc3339(),
                uptime: None,
                boot: None,
            },
            clear: self.body,
            disclosed: self.disclosed,
        };
        let sd_jwt = draft
            .sign(office.key, &mut || office.host.bytes())
            .map_err(|error| match error {
                BuildError::Limit(_) => {
                    Error::refused(Code::TooLong, "larger than an entry may be; say less")
                }
                BuildError::Sign(error) => Error::Internal(error.to_string()),
            })?;
        let entry = Incoming {
            hash: sd_jwt.hash(),
            read: Some(
                sd_jwt
                    .read()
                    .map_err(|error| Error::Internal(error.to_string()))?,
            ),
            sd_jwt,
            verdict: None,
            origin: Origin::Office(actor.0),
            clock_skew: None,
        };
        let hash = entry.hash;
        let outcome = append(conn, &mut None, mission, &[entry], &[], u64::MAX, now)?;
        match outcome.appended.first() {
            Some(appended) if appended.code.is_none() => {
                // Should the database be lost, this tells what a missing number was. If
                // the transaction fails, a later line has the same number.
                let number = appended.number;
                tracing::info!(mission = %mission.id, number, kind, %subject, "signed for a person");
                Ok((number, hash))
            }
            other => Err(Error::Internal(format!(
                "an act was not applied: {other:?}"
            ))),
        }
    }
}
