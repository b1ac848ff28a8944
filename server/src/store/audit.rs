//! What people did that is no entry of a ledger. Rows are added here, and never changed
//! or removed.

use std::collections::HashMap;

use diesel::{dsl, prelude::*};

use super::{
    Conn,
    ledger::{EntryRow, ensure_one},
    schema::{audit, entries},
};
use crate::{clock::Micros, error::Result};

/// One act.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = audit, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct AuditRow {
    pub id: Vec<u8>,
    pub mission: i32,
    pub at: i64,
    pub act: String,
    pub actor: Option<Vec<u8>>,
    pub account: Option<Vec<u8>>,
    pub via: String,
    pub details: String,
}

/// Which acts; what is empty asks for nothing.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct AuditFilter {
    /// Done by this account, or to it.
    pub person: Option<Vec<u8>>,
    /// Any of these, by the names of acts and of entries' kinds.
    pub acts: Vec<String>,
    /// Not before.
    pub since: Option<i64>,
    /// Before.
    pub until: Option<i64>,
}

/// Where the newest-first list of a mission's acts has come to.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The last ledger number given.
    pub number: Option<i64>,
    /// Time and id of the last other act given.
    pub act: Option<(i64, uuid::Uuid)>,
}

/// Adds an act.
///
/// # Errors
/// The database's.
pub fn insert(conn: &mut Conn, row: &AuditRow) -> Result<()> {
    ensure_one(
        diesel::insert_into(audit::table)
            .values(row)
            .execute(conn)?,
    )
}

/// Acts outside the ledger, the newest first: those before a mark.
///
/// # Errors
/// The database's.
pub fn page(
    conn: &mut Conn,
    mission: i32,
    filter: &AuditFilter,
    mark: &Mark,
    limit: i64,
) -> Result<Vec<AuditRow>> {
    let mut query = audit::table
        .filter(audit::mission.eq(mission))
        .order((audit::at.desc(), audit::id.desc()))
        .limit(limit)
        .into_boxed();
    if let Some((at, id)) = mark.act {
        let id = id.as_bytes().to_vec();
        query = query.filter(audit::at.lt(at).or(audit::at.eq(at).and(audit::id.lt(id))));
    }
    if let Some(person) = &filter.person {
        let by = audit::actor.eq(person.clone());
        query = query.filter(by.or(audit::account.eq(person.clone())));
    }
    if !filter.acts.is_empty() {
        query = query.filter(audit::act.eq_any(&filter.acts));
    }
    if let Some(since) = filter.since {
        query = query.filter(audit::at.ge(since));
    }
    if let Some(until) = filter.until {
        query = query.filter(audit::at.lt(until));
    }
    Ok(query.load::<AuditRow>(conn)?)
}

/// What the office wrote into the ledger, the newest first: entries before a mark.
///
/// # Errors
/// The database's.
pub fn office_entries(
    conn: &mut Conn,
    mission: i32,
    filter: &AuditFilter,
    mark: &Mark,
    limit: i64,
) -> Result<Vec<EntryRow>> {
    let mut query = entries::table
        .filter(entries::mission.eq(mission).and(entries::device.is_null()))
        .order(entries::number.desc())
        .limit(limit)
        .into_boxed();
    if let Some(number) = mark.number {
        query = query.filter(entries::number.lt(number));
    }
    if let Some(person) = &filter.person {
        query = query.filter(entries::actor.eq(person.clone()));
    }
    if !filter.acts.is_empty() {
        query = query.filter(entries::kind.eq_any(&filter.acts));
    }
    if let Some(since) = filter.since {
        query = query.filter(entries::received_at.ge(since));
    }
    if let Some(until) = filter.until {
        query = query.filter(entries::received_at.lt(until));
    }
    Ok(query.load::<EntryRow>(conn)?)
}

/// When each account did something last, in one mission.
///
/// # Errors
/// The database's.
pub fn last(conn: &mut Conn, mission: i32, act: &str) -> Result<HashMap<Vec<u8>, Micros>> {
    let rows: Vec<(Option<Vec<u8>>, Option<i64>)> = audit::table
        .filter(audit::mission.eq(mission).and(audit::act.eq(act)))
        .group_by(audit::account)
        .select((audit::account, dsl::max(audit::at)))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .filter_map(|(account, at)| Some((account?, Micros(at?))))
        .collect())
}
