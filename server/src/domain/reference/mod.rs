//! Reference data for phones: each version of the stations and the categories is
//! an immutable snapshot, whose text follows from the register (docs/protocol.md).
//!
//! What changed is kept per version, so a phone that holds any version this server
//! has ever had is told the difference alone.

mod shelf;

use std::collections::BTreeMap;

use protocol::reference::{self as form, Register, Snapshot};
use serde::Serialize;

pub use shelf::{Built, Shelf};

use crate::{
    domain::{import, missions::Mission},
    error::{Error, Result},
    store::{
        Conn, ledger, missions, projections,
        reference::{self as store, Lines, SnapshotRow},
        registers,
    },
};

/// The registers' newest versions become snapshots, as far as they are none yet:
/// after an import, and when a server starts on data of an older version. The
/// ledger's head is locked meanwhile, as by an import. Answers how many were made.
///
/// # Errors
/// The database's.
pub fn catch_up(conn: &mut Conn, mission: &Mission) -> Result<usize> {
    let no = mission.reference.no;
    ledger::lock_head(conn, no)?;
    let versions = projections::register_versions(conn, no)?;
    let mut made = 0;
    for register in Register::ALL {
        let Some(version) = versions.get(import_name(register)).copied() else {
            continue;
        };
        let newest = store::newest(conn, no, register.name())?;
        if newest.as_ref().is_some_and(|row| row.version >= version) {
            continue;
        }
        let last = newest.map_or(0, |row| row.version);
        make(conn, mission, register, last, version)?;
        made += 1;
    }
    Ok(made)
}

/// As [`catch_up`], for every mission.
///
/// # Errors
/// The database's.
pub fn catch_up_all(conn: &mut Conn) -> Result<usize> {
    let mut made = 0;
    for mission in missions::list(conn)? {
        made += catch_up(conn, &mission)?;
    }
    Ok(made)
}

fn import_name(register: Register) -> &'static str {
    match register {
        Register::Categories => import::Register::Categories.name(),
        Register::Stations => import::Register::Stations.name(),
    }
}

fn make(
    conn: &mut Conn,
    mission: &Mission,
    register: Register,
    last: i64,
    version: i64,
) -> Result<()> {
    let no = mission.reference.no;
    let before = snapshot_at(conn, no, register, last)?;
    let lines = match register {
        Register::Categories => categories(conn, no)?,
        Register::Stations => stations(conn, mission)?,
    };
    let now = Snapshot::of(register, lines);
    let mut changed = Lines::new();
    for (code, line) in now.lines() {
        if before.lines().get(code) != Some(line) {
            changed.insert(code.clone(), Some(line.clone()));
        }
    }
    let gone = before.lines().keys();
    changed.extend(
        gone.filter(|code| !now.lines().contains_key(*code))
            .map(|code| (code.clone(), None)),
    );
    let text = now.text();
    let row = SnapshotRow {
        mission: no,
        kind: register.name().to_owned(),
        version,
        sha256: Snapshot::name(&text).0.to_vec(),
        bytes: i64::try_from(text.len()).unwrap_or(i64::MAX),
    };
    store::add(conn, &row, &changed)
}

/// The snapshot of a version; an empty one before the first.
///
/// # Errors
/// The database's.
pub(crate) fn snapshot_at(
    conn: &mut Conn,
    mission: i32,
    register: Register,
    version: i64,
) -> Result<Snapshot> {
    let lines = store::changed(conn, mission, register.name(), 0, version)?;
    let lines = lines
        .into_iter()
        .filter_map(|(code, line)| Some((code, line?)))
        .collect();
    Ok(Snapshot::of(register, lines))
}

fn categories(conn: &mut Conn, mission: i32) -> Result<BTreeMap<String, String>> {
    registers::categories(conn, mission)?
        .into_values()
        .map(|row| {
            let labels = serde_json::from_str(&row.labels)
                .map_err(|error| Error::Internal(format!("labels of `{}`: {error}", row.code)))?;
            let category = form::Category {
                code: row.code,
                definition: row.definition,
                labels,
                severity: row.severity,
                stage: row.stage,
            };
            Ok((category.code.clone(), line(&category)?))
        })
        .collect()
}

fn stations(conn: &mut Conn, mission: &Mission) -> Result<BTreeMap<String, String>> {
    let no = mission.reference.no;
    let locations = registers::locations(conn, no)?;
    // The level just above the stations is the last but one.
    let level = mission.levels.iter().rev().nth(1).cloned();
    registers::stations(conn, no)?
        .into_values()
        .map(|row| {
            let above = level.clone().zip(row.constituency.clone());
            let constituency_name = above
                .and_then(|key| locations.get(&key))
                .map(|location| location.name.clone());
            let station = form::Station {
                code: row.code,
                constituency: row.constituency,
                constituency_name,
                generated: row.generated,
                lat: row.lat,
                lon: row.lon,
                name: row.name,
                registered_voters: row.registered_voters,
            };
            Ok((station.code.clone(), line(&station)?))
        })
        .collect()
}

fn line(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Internal(error.to_string()))
}
