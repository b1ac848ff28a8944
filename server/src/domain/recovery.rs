//! What came back after a history ended, and what is known to be missing.

use protocol::ids::{EpochId, MissionId};
use serde::Serialize;
use std::collections::BTreeMap;

use crate::{
    clock::Micros,
    error::Result,
    store::{Conn, devices, recovery},
};

/// A mission's history that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// The mission.
    pub mission: MissionId,
    /// Its name.
    pub epoch: EpochId,
    /// Since when the mission is recovering.
    pub since: String,
    /// `restored`: from a backup; `rolled_back`: an older database was put in place.
    pub reason: String,
    /// When the backup was made.
    pub backup_at: Option<String>,
    /// The last number that was kept.
    pub kept: i64,
    /// The highest number that a receipt proves.
    pub known: i64,
    /// What came back, by kind.
    pub recovered: BTreeMap<String, u64>,
    /// Ranges of numbers, first and last, that are known to have been given and
    /// have not come back.
    pub missing: Vec<(i64, i64)>,
}

impl Recovery {
    /// How many numbers are missing.
    #[must_use]
    pub fn missing_count(&self) -> i64 {
        self.missing
            .iter()
            .map(|(first, last)| last - first + 1)
            .sum()
    }
}

/// Every history that ended, the latest first.
///
/// # Errors
/// The database's.
pub fn list(conn: &mut Conn) -> Result<Vec<Recovery>> {
    recovery::list(conn)?
        .into_iter()
        .map(|(row, mission)| {
            let back = recovery::recovered(conn, row.mission, &row.epoch, row.kept)?;
            let mut recovered = BTreeMap::new();
            for (_, kind) in &back {
                *recovered.entry(kind.clone()).or_insert(0) += 1;
            }
            let numbers = back.iter().map(|(number, _)| *number);
            Ok(Recovery {
                mission: MissionId(devices::read_id(&mission)?),
                epoch: EpochId(devices::read_id(&row.epoch)?),
                since: Micros(row.ended_at).rfc3339(),
                backup_at: row.backup_at.map(|at| Micros(at).rfc3339()),
                missing: gaps(row.kept, row.known, numbers),
                reason: row.reason,
                kept: row.kept,
                known: row.known,
                recovered,
            })
        })
        .collect()
}

/// The ranges between `kept` and `known` that `present`, in order, leaves out.
fn gaps(kept: i64, known: i64, present: impl Iterator<Item = i64>) -> Vec<(i64, i64)> {
    let mut gaps = Vec::new();
    let mut next = kept + 1;
    for number in present.chain(std::iter::once(known + 1)) {
        if number > next {
            gaps.push((next, number - 1));
        }
        next = next.max(number + 1);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_what_is_not_there() {
        let of = |kept, known, present: &[i64]| gaps(kept, known, present.iter().copied());
        assert_eq!(of(10, 10, &[]), []);
        assert_eq!(of(10, 13, &[]), [(11, 13)]);
        assert_eq!(of(10, 13, &[11, 12, 13]), []);
        assert_eq!(of(10, 20, &[12, 13, 20]), [(11, 11), (14, 19)]);
        assert_eq!(of(0, 3, &[1, 1, 3]), [(2, 2)]);
    }
}
