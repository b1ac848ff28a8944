//! Cases: reports that tell of one event. People join them and keep them apart; the server
//! only suggests ([`suggest`]). A case merges no bytes: each report stays as its observer
//! filed it, and what contradicts stands beside the rest.

mod likeness;
mod suggest;
mod view;

use protocol::{
    codes::Code,
    entry::{Kind, Read},
    ids::{SubjectId, UserId},
};
use serde_json::{Value, json};
use uuid::Uuid;

pub use self::{
    likeness::Likeness,
    suggest::{Suggestion, suggestions},
    view::{Case, Corroboration, Told, apart, corroborations, exists, list, of_report, touched},
};
use super::acts::{Act, MissionRef, Office, report_row};
use crate::{
    error::{Error, Result},
    store::{
        Conn,
        cases::{self as store, Member},
        devices::read_id,
        ledger,
    },
};

/// Reports that one case holds at most.
pub const MOST: usize = 200;

/// How an account stands to the first one of its case.
pub const STANCES: [&str; 2] = ["agrees", "contradicts"];

/// A wish to count a report to a case.
#[derive(Clone, Debug)]
pub struct Wish {
    /// A report of that case, or one that is in none yet.
    pub with: Uuid,
    /// The case that the report was in when the person looked.
    pub was: Option<Uuid>,
    /// One of [`STANCES`].
    pub stance: String,
    /// Whether the others of its case come along.
    pub whole: bool,
}

/// Counts a report to the case of another; to a new one, if that is in none. Answers the
/// last entry's number.
///
/// # Errors
/// `report_unknown`; `joined_otherwise` with `case` if it is in another than the person
/// saw; `already_done`; `case_full`; `invalid_value` for a report and itself.
pub fn join(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    actor: UserId,
    report: Uuid,
    wish: &Wish,
) -> Result<i64> {
    ledger::lock_head(conn, mission.no)?;
    report_row(conn, mission, report)?;
    report_row(conn, mission, wish.with)?;
    if report == wish.with {
        return Err(Error::refused(
            Code::InvalidValue,
            "`with` is another report",
        ));
    }
    if !STANCES.contains(&wish.stance.as_str()) {
        return Err(Error::refused(
            Code::InvalidValue,
            format!("`stance` is one of {}", STANCES.join(", ")),
        ));
    }
    let now = seen(conn, mission, report, wish.was)?;
    let found = case_of(conn, mission, wish.with)?;
    if let (Some(now), Some(found)) = (&now, &found)
        && now.case_id == found.case_id
        && now.stance == wish.stance
    {
        return Err(Error::refused(
            Code::AlreadyDone,
            "the report is in this case already",
        ));
    }
    let joining = joining(conn, mission, report, now.as_ref().filter(|_| wish.whole))?;
    let case = match found {
        Some(found) => {
            let members = store::accounts(conn, mission.no, std::slice::from_ref(&found.case_id))?;
            let more = joining
                .iter()
                .filter(|(id, _)| !members.iter().any(|one| one.report == id.as_bytes()));
            if members.len() + more.count() > MOST {
                return Err(full());
            }
            read_id(&found.case_id)?
        }
        None => {
            if joining.len() + 1 > MOST {
                return Err(full());
            }
            let case = office.host.uuid();
            enter(conn, office, mission, actor, (wish.with, case), STANCES[0])?;
            case
        }
    };
    let mut number = 0;
    for (one, stance) in joining {
        let stance = if one == report { &wish.stance } else { &stance };
        number = enter(conn, office, mission, actor, (one, case), stance)?;
    }
    Ok(number)
}

/// The report, and those that come along.
fn joining(
    conn: &mut Conn,
    mission: MissionRef,
    report: Uuid,
    whole: Option<&Member>,
) -> Result<Vec<(Uuid, String)>> {
    let Some(member) = whole else {
        return Ok(vec![(report, String::new())]);
    };
    store::members(conn, mission.no, &member.case_id)?
        .into_iter()
        .map(|(member, _)| Ok((read_id(&member.report)?, member.stance)))
        .collect()
}

fn full() -> Error {
    Error::refused(Code::CaseFull, format!("a case holds {MOST} reports"))
}

fn enter(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    actor: UserId,
    (report, case): (Uuid, Uuid),
    stance: &str,
) -> Result<i64> {
    let mut act = Act::new(Kind::Join, SubjectId(report));
    let from = case_of(conn, mission, report)?;
    let from = from.map(|member| read_id(&member.case_id)).transpose()?;
    act.body.insert("case".into(), json!(case));
    act.body.insert("stance".into(), json!(stance));
    if let Some(from) = from.filter(|from| *from != case) {
        act.body.insert("from".into(), json!(from));
    }
    Ok(act.append(conn, office, mission, actor)?.0)
}

/// Takes a report out of its case. Answers the entry's number.
///
/// # Errors
/// `report_unknown`; `joined_otherwise` with `case`; `already_done` if it is in none.
pub fn part(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    actor: UserId,
    report: Uuid,
    was: Option<Uuid>,
) -> Result<i64> {
    ledger::lock_head(conn, mission.no)?;
    report_row(conn, mission, report)?;
    let Some(member) = seen(conn, mission, report, was)? else {
        return Err(Error::refused(
            Code::AlreadyDone,
            "the report is in no case",
        ));
    };
    let mut act = Act::new(Kind::Part, SubjectId(report));
    act.body
        .insert("case".into(), json!(read_id(&member.case_id)?));
    Ok(act.append(conn, office, mission, actor)?.0)
}

/// Says that two reports are of two events, or takes that back. Answers the entry's number.
///
/// # Errors
/// `report_unknown`; `joined_otherwise` if they are in one case; `already_done`;
/// `invalid_value` for a report and itself.
pub fn keep_apart(
    conn: &mut Conn,
    office: Office<'_>,
    mission: MissionRef,
    actor: UserId,
    (report, other): (Uuid, Uuid),
    apart: bool,
) -> Result<i64> {
    ledger::lock_head(conn, mission.no)?;
    report_row(conn, mission, report)?;
    report_row(conn, mission, other)?;
    if report == other {
        return Err(Error::refused(
            Code::InvalidValue,
            "`other` is another report",
        ));
    }
    let now = store::apart_from(conn, mission.no, report.as_bytes())?
        .iter()
        .any(|one| one == other.as_bytes());
    if now == apart {
        return Err(Error::refused(Code::AlreadyDone, ""));
    }
    let mut case = |report| case_of(conn, mission, report);
    if let (Some(one), Some(two)) = (case(report)?, case(other)?)
        && apart
        && one.case_id == two.case_id
    {
        return Err(otherwise(Some(read_id(&one.case_id)?)));
    }
    let mut act = Act::new(Kind::KeepApart, SubjectId(report));
    act.body.insert("other".into(), json!(other));
    act.body.insert("apart".into(), json!(apart));
    Ok(act.append(conn, office, mission, actor)?.0)
}

/// The case of a report, unless it is alone in it.
fn case_of(conn: &mut Conn, mission: MissionRef, report: Uuid) -> Result<Option<Member>> {
    let Some(member) = store::of_report(conn, mission.no, report.as_bytes())? else {
        return Ok(None);
    };
    let accounts = store::accounts(conn, mission.no, std::slice::from_ref(&member.case_id))?;
    Ok((accounts.len() > 1).then_some(member))
}

/// The case of a report, if it is still the one that the person saw.
fn seen(
    conn: &mut Conn,
    mission: MissionRef,
    report: Uuid,
    was: Option<Uuid>,
) -> Result<Option<Member>> {
    let now = case_of(conn, mission, report)?;
    let case = now.as_ref().map(|now| read_id(&now.case_id)).transpose()?;
    if case == was {
        Ok(now)
    } else {
        Err(otherwise(case))
    }
}

fn otherwise(case: Option<Uuid>) -> Error {
    Error::refused(Code::JoinedOtherwise, "").with("case", json!(case))
}

/// Projects one of these entries; `false` if it cannot be read.
///
/// # Errors
/// The database's.
pub(super) fn project(
    conn: &mut Conn,
    mission: MissionRef,
    number: i64,
    read: &Read,
) -> Result<bool> {
    let report = read.payload.subject.0;
    let id = |name: &str| {
        let text = read.body.get(name).and_then(Value::as_str);
        text.and_then(|text| Uuid::parse_str(text).ok())
    };
    match &read.payload.kind {
        Kind::Join => {
            let stance = read.body.get("stance").and_then(Value::as_str);
            let stance = stance.filter(|stance| STANCES.contains(stance));
            let (Some(case), Some(stance)) = (id("case"), stance) else {
                return Ok(false);
            };
            let member = Member {
                mission: mission.no,
                report: report.as_bytes().to_vec(),
                case_id: case.as_bytes().to_vec(),
                stance: stance.to_owned(),
                number,
            };
            store::put(conn, &member)?;
        }
        Kind::Part => store::remove(conn, mission.no, report.as_bytes())?,
        _ => {
            let apart = read.body.get("apart").and_then(Value::as_bool);
            let (Some(other), Some(apart)) = (id("other"), apart) else {
                return Ok(false);
            };
            let pair = (report.as_bytes().as_slice(), other.as_bytes().as_slice());
            if apart {
                store::keep_apart(conn, mission.no, pair, number)?;
            } else {
                store::join_again(conn, mission.no, pair)?;
            }
        }
    }
    Ok(true)
}
