//! What every store must do, run for each.

use std::rc::Rc;

use protocol::ids::{EntryHash, JournalId};
use uuid::Uuid;

use super::{Batch, MemoryStore, NewRow, Record, Space, SqliteStore, Store, StoreError};
use crate::{seal::Sealed, testing::block_on};

/// A row whose content follows from its place.
pub(crate) fn row(journal: u8, seq: u64) -> NewRow {
    let mut hash = [journal; 32];
    hash[..8].copy_from_slice(&seq.to_be_bytes());
    NewRow {
        journal: JournalId(Uuid::from_bytes([journal; 16])),
        seq,
        hash: EntryHash(hash),
        sealed: Sealed {
            suite: 1,
            nonce: vec![journal; 24],
            bytes: vec![seq.to_le_bytes()[0]; 700],
        },
    }
}

pub(crate) fn record(space: Space, key: impl AsRef<[u8]>) -> Record {
    let key = key.as_ref().to_vec();
    Record {
        space,
        sealed: Sealed {
            suite: 1,
            nonce: vec![0; 24],
            bytes: key.clone(),
        },
        key,
    }
}

fn append(rows: Vec<NewRow>) -> Batch {
    Batch {
        append: rows,
        put: Vec::new(),
    }
}

/// A place that can be opened again and again, by several at once.
struct Bench(Box<dyn Fn() -> Rc<dyn Store>>);

impl Bench {
    fn open(&self) -> Rc<dyn Store> {
        (self.0)()
    }
}

macro_rules! conformance {
    ($($test:ident)*) => {
        mod memory {
            $(#[test] fn $test() {
                let store = super::MemoryStore::default();
                super::block_on(super::$test(super::Bench(Box::new(move || std::rc::Rc::new(store.clone())))));
            })*
        }
        mod sqlite {
            $(#[test] fn $test() {
                let dir = tempfile::tempdir().expect("a folder");
                let path = dir.path().join("journal.db");
                super::block_on(super::$test(super::Bench(Box::new(move || {
                    std::rc::Rc::new(super::SqliteStore::open(&path).expect("opens").0)
                }))));
            })*
        }
    };
}

conformance! {
    what_was_applied_is_there_after_reopening
    a_batch_is_all_or_nothing
    rows_keep_their_order_and_never_change
    a_place_is_taken_once
    two_at_once_never_share_a_place
    records_are_replaced_and_ordered
    items_and_cursor_go_together
    bytes_come_back_as_they_were
}

async fn what_was_applied_is_there_after_reopening(bench: Bench) {
    let batch = Batch {
        append: vec![row(1, 1), row(1, 2)],
        put: vec![record(Space::State, "a")],
    };
    bench.open().apply(batch).await.expect("applies");
    let store = bench.open();
    let rows = store.rows(0).await.expect("reads");
    assert_eq!(
        rows.iter()
            .map(|found| found.row.clone())
            .collect::<Vec<_>>(),
        [row(1, 1), row(1, 2)]
    );
    assert_eq!(
        store.record(Space::State, b"a").await,
        Ok(Some(record(Space::State, "a")))
    );
}

async fn a_batch_is_all_or_nothing(bench: Bench) {
    let store = bench.open();
    store.apply(append(vec![row(1, 1)])).await.expect("applies");
    let bad = Batch {
        append: vec![row(1, 2), row(1, 4)],
        put: vec![record(Space::State, "a")],
    };
    assert_eq!(store.apply(bad).await, Err(StoreError::Conflict));
    for store in [store, bench.open()] {
        assert_eq!(store.rows(0).await.expect("reads").len(), 1);
        assert_eq!(store.record(Space::State, b"a").await, Ok(None));
    }
}

async fn rows_keep_their_order_and_never_change(bench: Bench) {
    let store = bench.open();
    let mut before = Vec::new();
    for (journal, seq) in [(2, 1), (1, 1), (2, 2), (1, 2), (3, 1)] {
        store
            .apply(append(vec![row(journal, seq)]))
            .await
            .expect("applies");
        let now = store.rows(0).await.expect("reads");
        assert_eq!(now[..before.len()], before[..]);
        assert_eq!(now.last().map(|last| &last.row), Some(&row(journal, seq)));
        assert!(
            now.windows(2)
                .all(|pair| pair[0].position < pair[1].position)
        );
        before = now;
    }
    let tail = bench.open().rows(before[2].position).await.expect("reads");
    assert_eq!(tail[..], before[3..]);
}

async fn a_place_is_taken_once(bench: Bench) {
    let store = bench.open();
    store
        .apply(append(vec![row(1, 1), row(1, 2)]))
        .await
        .expect("applies");
    let other = NewRow {
        hash: EntryHash([9; 32]),
        ..row(1, 2)
    };
    let doubled = NewRow {
        hash: row(1, 1).hash,
        ..row(1, 3)
    };
    for bad in [row(1, 2), other, doubled, row(1, 4), row(2, 2), row(2, 0)] {
        assert_eq!(
            store.apply(append(vec![bad])).await,
            Err(StoreError::Conflict)
        );
    }
    assert_eq!(
        store.apply(append(vec![row(1, 3), row(2, 1)])).await,
        Ok(())
    );
}

async fn two_at_once_never_share_a_place(bench: Bench) {
    let (one, two) = (bench.open(), bench.open());
    one.apply(append(vec![row(1, 1)])).await.expect("applies");
    let theirs = NewRow {
        hash: EntryHash([9; 32]),
        ..row(1, 2)
    };
    two.apply(append(vec![theirs.clone()]))
        .await
        .expect("applies");
    assert_eq!(
        one.apply(append(vec![row(1, 2)])).await,
        Err(StoreError::Conflict)
    );
    let rows = one.rows(0).await.expect("reads");
    assert_eq!(rows.last().map(|last| &last.row), Some(&theirs));
    assert_eq!(one.apply(append(vec![row(1, 3)])).await, Ok(()));
}

async fn records_are_replaced_and_ordered(bench: Bench) {
    let store = bench.open();
    let put = ["b", "a", "c"].map(|key| record(Space::Item, key)).to_vec();
    store
        .apply(Batch {
            put,
            ..Batch::default()
        })
        .await
        .expect("applies");
    let newer = Record {
        sealed: Sealed {
            suite: 1,
            nonce: vec![7; 24],
            bytes: vec![1],
        },
        ..record(Space::Item, "b")
    };
    let put = vec![newer.clone(), record(Space::Receipt, "b")];
    store
        .apply(Batch {
            put,
            ..Batch::default()
        })
        .await
        .expect("applies");
    let found = bench.open().records(Space::Item).await.expect("reads");
    assert_eq!(
        found,
        [record(Space::Item, "a"), newer, record(Space::Item, "c")]
    );
    assert_eq!(store.records(Space::Delivery).await, Ok(Vec::new()));
}

async fn items_and_cursor_go_together(bench: Bench) {
    let store = bench.open();
    let put = vec![record(Space::Item, "1"), record(Space::State, "sync")];
    let bad = Batch {
        append: vec![row(1, 2)],
        put: put.clone(),
    };
    assert_eq!(store.apply(bad).await, Err(StoreError::Conflict));
    assert_eq!(store.records(Space::Item).await, Ok(Vec::new()));
    store
        .apply(Batch {
            put,
            ..Batch::default()
        })
        .await
        .expect("applies");
    let store = bench.open();
    assert_eq!(store.records(Space::Item).await.expect("reads").len(), 1);
    assert!(
        store
            .record(Space::State, b"sync")
            .await
            .expect("reads")
            .is_some()
    );
}

async fn bytes_come_back_as_they_were(bench: Bench) {
    let all: Vec<u8> = (0..=255).collect();
    let sealed = Sealed {
        suite: 200,
        nonce: all.clone(),
        bytes: all.repeat(300),
    };
    let odd = NewRow {
        sealed: sealed.clone(),
        ..row(1, 1)
    };
    let put = vec![Record {
        space: Space::State,
        key: Vec::new(),
        sealed,
    }];
    bench
        .open()
        .apply(Batch {
            append: vec![odd.clone()],
            put: put.clone(),
        })
        .await
        .expect("applies");
    let store = bench.open();
    assert_eq!(store.rows(0).await.expect("reads")[0].row, odd);
    assert_eq!(
        store.record(Space::State, b"").await,
        Ok(put.into_iter().next())
    );
}
