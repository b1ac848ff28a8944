//! Salvage: what can be read of a damaged database goes into a fresh one, for
//! delivery; the damaged file is moved aside and kept.

use rusqlite::Connection;

use super::{
    JOURNAL_DDL, RECORDS_DDL, RECORDS_VERSION, Salvage,
    files::{Files, beside},
    insert_row, put_record, read_record, read_row, select_rows,
};
use crate::store::{CURRENT_JOURNAL, Record, Row, Space, StoreError};

const SPACES: [Space; 4] = [Space::State, Space::Delivery, Space::Item, Space::Receipt];

/// Rows looked up one by one between two damaged places, at most.
const PROBES: i64 = 1_000_000;

pub(super) fn run(files: &Files) -> Result<Salvage, StoreError> {
    files.clean()?;
    // SQLite may write while it reads a log; the evidence stays as it is.
    for suffix in ["", "-wal"] {
        let from = beside(&files.database, suffix);
        if from.exists() {
            std::fs::copy(from, beside(&files.copy, suffix))?;
        }
    }
    let (rows, records) = match Connection::open(&files.copy) {
        Ok(damaged) => (rows(&damaged), records(&damaged)),
        Err(_) => (Vec::new(), Vec::new()),
    };
    let mut fresh = Connection::open(&files.fresh)?;
    // One file, complete when it is renamed.
    fresh.execute_batch("PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL;")?;
    let transaction = fresh.transaction()?;
    transaction.execute_batch(JOURNAL_DDL)?;
    transaction.execute_batch(RECORDS_DDL)?;
    transaction.pragma_update(None, "user_version", RECORDS_VERSION)?;
    let mut saved = Salvage {
        kept_at: files.database.clone(),
        rows: 0,
        records: 0,
    };
    for row in &rows {
        // A row that breaks the table's rules is itself damaged; it stays in the old file.
        saved.rows += usize::from(insert_row(&transaction, &row.row).is_ok());
    }
    for record in &records {
        saved.records += usize::from(put_record(&transaction, record).is_ok());
    }
    transaction.commit()?;
    fresh.close().map_err(|(_, error)| error)?;
    std::fs::OpenOptions::new()
        .write(true)
        .open(&files.fresh)?
        .sync_all()?;
    saved.kept_at = files.swap()?;
    files.clean()?;
    Ok(saved)
}

/// Forwards to the first damaged place, backwards to the last, and one by one
/// between them.
fn rows(damaged: &Connection) -> Vec<Row> {
    let mut found = Vec::new();
    if read(damaged, "ORDER BY position", &mut found) {
        return found;
    }
    let first = found.last().map_or(0, |row| row.position);
    let mut tail = Vec::new();
    read(damaged, "ORDER BY position DESC", &mut tail);
    tail.retain(|row| row.position > first);
    let last = tail.last().map_or(first, |row| row.position);
    if last > first
        && let Ok(mut one) = damaged.prepare(&select_rows("WHERE position = ?1"))
    {
        let between = (first + 1)..last.min(first.saturating_add(PROBES));
        found.extend(between.filter_map(|position| one.query_row([position], read_row).ok()));
    }
    found.extend(tail.into_iter().rev());
    found
}

/// Reads until the end (true) or the first damaged place (false).
fn read(damaged: &Connection, order: &str, found: &mut Vec<Row>) -> bool {
    let Ok(mut statement) = damaged.prepare(&select_rows(order)) else {
        return false;
    };
    let Ok(rows) = statement.query_map([], read_row) else {
        return false;
    };
    for row in rows {
        match row {
            Ok(row) => found.push(row),
            Err(_) => return false,
        }
    }
    true
}

fn records(damaged: &Connection) -> Vec<Record> {
    let mut found = Vec::new();
    for space in SPACES {
        let query = "SELECT key, suite, nonce, sealed FROM records WHERE space = ?1 ORDER BY key";
        let Ok(mut statement) = damaged.prepare(query) else {
            return found;
        };
        let Ok(rows) = statement.query_map([space as u8], |row| read_record(space, row)) else {
            continue;
        };
        // Rows after a damaged place are lost here; they are rebuilt by syncing.
        found.extend(rows.map_while(Result::ok));
    }
    // The damaged journal may have lost its end: going on in it would use a place twice.
    found.retain(|record| !(record.space == Space::State && record.key == CURRENT_JOURNAL));
    found
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Seek as _, SeekFrom, Write as _},
        path::Path,
    };

    use super::*;
    use crate::{
        store::{
            Batch, SqliteStore, Store as _,
            conformance::{record, row},
        },
        testing::block_on,
    };

    fn filled(path: &Path, count: u64) {
        let (store, _) = SqliteStore::open(path).expect("opens");
        block_on(async {
            for seq in 1..=count {
                let batch = Batch {
                    append: vec![row(1, seq)],
                    put: vec![record(Space::Delivery, seq.to_be_bytes())],
                };
                store.apply(batch).await.expect("applies");
            }
            store
                .apply(Batch {
                    put: vec![record(Space::State, CURRENT_JOURNAL)],
                    ..Batch::default()
                })
                .await
                .expect("applies");
        });
    }

    fn smash(path: &Path, at: u64, length: usize) {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .open(path)
            .expect("opens");
        file.seek(SeekFrom::Start(at)).expect("seeks");
        file.write_all(&vec![0xA5; length]).expect("writes");
    }

    #[test]
    fn a_damaged_file_is_kept_and_its_rows_carried_over() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("journal.db");
        filled(&path, 400);
        let size = path.metadata().expect("there").len();
        // The middle of the file: pages of rows, not the header.
        smash(&path, size / 2 / 4096 * 4096, 4096);
        let before = std::fs::read(&path).expect("reads");

        let (store, opened) = SqliteStore::open(&path).expect("opens again");
        let salvage = opened.salvage.expect("salvaged");
        assert!(
            std::fs::read(&salvage.kept_at).expect("kept") == before,
            "the evidence was changed"
        );
        assert!(salvage.rows > 300, "{salvage:?}");
        let rows = block_on(store.rows(0)).expect("reads");
        assert_eq!(rows.len(), salvage.rows);
        assert!(rows.iter().all(|found| found.row == row(1, found.row.seq)));
        assert!(
            block_on(store.record(Space::State, CURRENT_JOURNAL))
                .expect("reads")
                .is_none()
        );
        drop(store);

        let (_, opened) = SqliteStore::open(&path).expect("opens");
        assert_eq!(opened.salvage, None);
    }

    #[test]
    fn a_file_that_is_no_database_is_kept() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("journal.db");
        filled(&path, 3);
        smash(&path, 0, 100);
        let (store, opened) = SqliteStore::open(&path).expect("opens");
        assert!(opened.salvage.expect("salvaged").kept_at.exists());
        assert_eq!(
            block_on(store.apply(Batch {
                append: vec![row(2, 1)],
                ..Batch::default()
            })),
            Ok(())
        );
    }

    #[test]
    fn nobody_moves_a_file_that_another_has_open() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("journal.db");
        filled(&path, 3);
        let (_store, _) = SqliteStore::open(&path).expect("opens");
        smash(&path, 0, 100);
        assert!(matches!(
            SqliteStore::open(&path),
            Err(StoreError::Damaged(_))
        ));
        assert!(path.exists());
    }

    #[test]
    fn an_interrupted_swap_is_finished() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("journal.db");
        filled(&path, 5);
        let files = Files::new(&path);
        // As if killed between the two renames.
        std::fs::copy(&path, &files.fresh).expect("copies");
        std::fs::rename(&path, dir.path().join("journal.db.damaged-1")).expect("renames");
        let (store, _) = SqliteStore::open(&path).expect("opens");
        assert_eq!(block_on(store.rows(0)).expect("reads").len(), 5);
        assert!(!files.fresh.exists());
    }
}
