//! The index over the words of reports. It follows the ledger a little behind, so that
//! filing never waits for it; [`crate::store::search::narrowed`] knows how far it is, and
//! finds what is newer without it.

use std::collections::BTreeSet;

use crate::{
    domain::text,
    error::Result,
    store::{
        Store, bulk, ledger, projections,
        search::{self, Words},
    },
};

/// Entries indexed in one transaction: others that write wait for it.
const ENTRIES: i64 = 256;

/// Brings the index on by one transaction; `false` once it is at the ledger's end.
/// Blocking.
///
/// # Errors
/// The database's.
pub fn step(store: &Store) -> Result<bool> {
    let behind = store.read(|conn| {
        for (mission, _) in projections::mission_keys(conn)? {
            if search::progress(conn, mission)? < ledger::head(conn, mission)?.number {
                return Ok(Some(mission));
            }
        }
        Ok(None)
    })?;
    let Some(mission) = behind else {
        return Ok(false);
    };
    store.write(|conn| {
        // Another server may have been faster; the lock has it wait for this one.
        let from = search::lock_progress(conn, mission)?;
        let entries = ledger::outlines(conn, mission, from, ENTRIES)?;
        let Some(last) = entries.last().map(|entry| entry.number) else {
            return Ok(());
        };
        let subjects: BTreeSet<Vec<u8>> = entries
            .into_iter()
            .filter_map(|entry| entry.subject)
            .collect();
        let subjects: Vec<Vec<u8>> = subjects.into_iter().collect();
        let words: Vec<Words> = bulk::reports_by_id(conn, mission, &subjects)?
            .into_iter()
            .map(|row| Words {
                first_number: row.first_number,
                // Anew, and not the row's: an earlier version may have folded otherwise.
                folded: row.text.as_deref().map(text::fold),
                stale: row.folded,
            })
            .collect();
        search::replace(conn, mission, &words)?;
        search::set_progress(conn, mission, last)
    })?;
    Ok(true)
}
