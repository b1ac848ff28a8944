//! Cases as readers see them, and what corroborates them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    domain::{
        acts::MissionRef,
        ledger::read_row,
        reports::{self, Report},
        status,
    },
    error::Result,
    store::{
        Conn, bulk,
        cases::{self as store, Account as Row},
        devices::read_id,
        ledger,
    },
};

/// Who stands behind a case: not how many reports, but how many independent people and
/// organisations. Reports that were taken back or dismissed do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Corroboration {
    /// The case.
    pub case: Uuid,
    /// How many reports are in it, whatever they say.
    pub reports: usize,
    /// Different observers whose accounts agree.
    pub observers: usize,
    /// Different institutions that those observers come from.
    pub organisations: usize,
    /// Different observers whose accounts contradict.
    pub contradicting: usize,
}

/// A report in its case.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Told {
    /// `agrees` or `contradicts`, compared with the case's first account.
    pub stance: String,
    /// The report.
    pub report: Report,
}

/// A case.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Case {
    /// Its id.
    pub id: Uuid,
    /// Ledger number of the last entry that changed who is in it.
    pub number: i64,
    /// What it stands on.
    pub corroboration: Corroboration,
    /// Its reports, in the order in which they came.
    pub accounts: Vec<Told>,
}

/// The corroboration of the cases that these reports are in, by report.
///
/// # Errors
/// The database's.
pub fn corroborations(
    conn: &mut Conn,
    mission: MissionRef,
    reports: &[Vec<u8>],
) -> Result<HashMap<Vec<u8>, (Corroboration, String)>> {
    let members = store::of_reports(conn, mission.no, reports)?;
    let cases: BTreeSet<Vec<u8>> = members.iter().map(|one| one.case_id.clone()).collect();
    let counted = counted(conn, mission, cases.into_iter().collect())?;
    Ok(members
        .into_iter()
        .filter_map(|member| {
            let case = counted.get(&member.case_id)?.clone();
            Some((member.report, (case, member.stance)))
        })
        .collect())
}

fn counted(
    conn: &mut Conn,
    mission: MissionRef,
    cases: Vec<Vec<u8>>,
) -> Result<BTreeMap<Vec<u8>, Corroboration>> {
    let mut rows: BTreeMap<Vec<u8>, Vec<Row>> = BTreeMap::new();
    for row in store::accounts(conn, mission.no, &cases)? {
        rows.entry(row.case_id.clone()).or_default().push(row);
    }
    rows.into_iter()
        .filter(|(_, rows)| rows.len() > 1)
        .map(|(case, rows)| Ok((case.clone(), count(read_id(&case)?, &rows))))
        .collect()
}

fn count(case: Uuid, rows: &[Row]) -> Corroboration {
    let standing = || {
        rows.iter()
            .filter(|row| !row.withdrawn && row.status != status::DISMISSED)
    };
    // Whoever the register does not know cannot be told apart from anybody else.
    let known = |stance: &'static str| {
        standing().filter(move |row| row.stance == stance && row.institution.is_some())
    };
    let people = |stance| {
        known(stance)
            .map(|row| row.accreditation.as_slice())
            .collect::<BTreeSet<_>>()
            .len()
    };
    let organisations: BTreeSet<&str> = known("agrees")
        .filter_map(|row| row.institution.as_deref())
        .filter(|name| !name.is_empty())
        .collect();
    Corroboration {
        case,
        reports: rows.len(),
        observers: people("agrees"),
        organisations: organisations.len(),
        contradicting: people("contradicts"),
    }
}

/// The case of a report, with everything that it holds; `None` if it is in none.
///
/// # Errors
/// The database's.
pub fn of_report(conn: &mut Conn, mission: MissionRef, report: Uuid) -> Result<Option<Case>> {
    match super::case_of(conn, mission, report)? {
        Some(member) => read(conn, mission, &member.case_id).map(Some),
        None => Ok(None),
    }
}

/// Whether there is such a report.
///
/// # Errors
/// The database's.
pub fn exists(conn: &mut Conn, mission: MissionRef, report: Uuid) -> Result<bool> {
    let found = bulk::reports_by_id(conn, mission.no, &[report.as_bytes().to_vec()])?;
    Ok(!found.is_empty())
}

/// The reports that somebody keeps apart from one.
///
/// # Errors
/// The database's.
pub fn apart(conn: &mut Conn, mission: MissionRef, report: Uuid) -> Result<Vec<Report>> {
    let ids = store::apart_from(conn, mission.no, report.as_bytes())?;
    let rows = bulk::reports_by_id(conn, mission.no, &ids)?;
    reports::described(conn, mission, rows)
}

/// Cases, the last changed first: those before a number.
///
/// # Errors
/// The database's.
pub fn list(
    conn: &mut Conn,
    mission: MissionRef,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Case>> {
    store::page(conn, mission.no, before, limit)?
        .into_iter()
        .map(|(case, _)| read(conn, mission, &case))
        .collect()
}

fn read(conn: &mut Conn, mission: MissionRef, case: &[u8]) -> Result<Case> {
    let (members, rows): (Vec<_>, Vec<_>) =
        store::members(conn, mission.no, case)?.into_iter().unzip();
    let described = reports::described(conn, mission, rows)?;
    let counted = counted(conn, mission, vec![case.to_vec()])?.remove(case);
    Ok(Case {
        id: read_id(case)?,
        number: members.iter().map(|one| one.number).max().unwrap_or(0),
        corroboration: counted.unwrap_or_default(),
        accounts: members
            .into_iter()
            .zip(described)
            .map(|(member, report)| Told {
                stance: member.stance,
                report,
            })
            .collect(),
    })
}

/// What a stretch of the ledger changed: the reports that its entries are about, and the
/// others of each case that one of them is in, joined or left.
///
/// # Errors
/// The database's.
pub fn touched(
    conn: &mut Conn,
    mission: MissionRef,
    entries: &[ledger::Outline],
) -> Result<BTreeSet<Vec<u8>>> {
    let mut reports: BTreeSet<Vec<u8>> = entries
        .iter()
        .filter_map(|entry| entry.subject.clone())
        .collect();
    let subjects: Vec<Vec<u8>> = reports.iter().cloned().collect();
    let mut cases: BTreeSet<Vec<u8>> = store::of_reports(conn, mission.no, &subjects)?
        .into_iter()
        .map(|member| member.case_id)
        .collect();
    let moved = |entry: &&ledger::Outline| entry.kind == "join" || entry.kind == "part";
    for entry in entries.iter().filter(moved) {
        for row in ledger::after(conn, mission.no, entry.number - 1, 1)? {
            let body = read_row(&row)?.body;
            let named = ["case", "from"].map(|name| body.get(name).and_then(Value::as_str));
            cases.extend(
                named
                    .into_iter()
                    .flatten()
                    .filter_map(|id| Some(Uuid::parse_str(id).ok()?.as_bytes().to_vec())),
            );
        }
    }
    let cases: Vec<Vec<u8>> = cases.into_iter().collect();
    let others = store::accounts(conn, mission.no, &cases)?;
    reports.extend(others.into_iter().map(|account| account.report));
    Ok(reports)
}
