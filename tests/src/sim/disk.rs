//! A phone's store: what [`SqliteStore`](sync_core::store::SqliteStore) promises
//! (all or nothing, durable on return), with a place to fail at each call.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use async_trait::async_trait;
use protocol::ids::EntryHash;
use sync_core::store::{Batch, Record, Row, Space, Store, StoreError};

use super::fuse::{Fuse, Trouble};

/// What is on the disk.
#[derive(Clone, Default)]
pub struct Content {
    rows: Vec<Row>,
    records: BTreeMap<(Space, Vec<u8>), Record>,
    hashes: BTreeSet<EntryHash>,
}

/// See the module. Clones share their content.
#[derive(Clone)]
pub struct Disk {
    content: Rc<RefCell<Content>>,
    fuse: Rc<Fuse>,
}

impl Disk {
    pub(super) fn new(content: Content, fuse: Rc<Fuse>) -> Self {
        Self {
            content: Rc::new(RefCell::new(content)),
            fuse,
        }
    }

    /// A copy of everything, as a cloned phone has it.
    pub(super) fn copy(&self) -> Content {
        self.content.borrow().clone()
    }

    pub(super) fn holds(&self, hash: &EntryHash) -> bool {
        self.content.borrow().hashes.contains(hash)
    }

    /// A record as it lies there.
    pub(super) fn lies(&self, space: Space, key: &[u8]) -> Option<Record> {
        let content = self.content.borrow();
        content.records.get(&(space, key.to_vec())).cloned()
    }

    /// Whether these bytes stand anywhere.
    pub(super) fn shows(&self, needle: &[u8]) -> bool {
        let content = self.content.borrow();
        let found = |bytes: &[u8]| bytes.windows(needle.len()).any(|part| part == needle);
        content.rows.iter().any(|row| found(&row.row.sealed.bytes))
            || content
                .records
                .values()
                .any(|record| found(&record.sealed.bytes) || found(&record.key))
    }
}

impl Content {
    fn apply(&mut self, batch: Batch) -> Result<(), StoreError> {
        let before = self.rows.len();
        for row in batch.append {
            let last = self
                .rows
                .iter()
                .rfind(|old| old.row.journal == row.journal)
                .map_or(0, |old| old.row.seq);
            if row.seq != last + 1 || !self.hashes.insert(row.hash) {
                for old in self.rows.drain(before..) {
                    self.hashes.remove(&old.row.hash);
                }
                return Err(StoreError::Conflict);
            }
            let position = self.rows.last().map_or(1, |last| last.position + 1);
            self.rows.push(Row { position, row });
        }
        for record in batch.put {
            self.records
                .insert((record.space, record.key.clone()), record);
        }
        Ok(())
    }
}

#[async_trait(?Send)]
impl Store for Disk {
    async fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        let work = || {
            let trouble = self.fuse.trouble();
            let mut content = self.content.borrow_mut();
            match trouble {
                None => content.apply(batch),
                Some(Trouble::Full) => Err(StoreError::Failed("the disk is full".into())),
                Some(Trouble::Broken) => Err(StoreError::Failed("input/output error".into())),
                Some(Trouble::Doubtful) => {
                    content.apply(batch)?;
                    Err(StoreError::Failed("input/output error".into()))
                }
            }
        };
        self.fuse.pass(work).await
    }

    async fn rows(&self, after: i64) -> Result<Vec<Row>, StoreError> {
        let work = || {
            let content = self.content.borrow();
            let from = content.rows.partition_point(|row| row.position <= after);
            Ok(content.rows[from..].to_vec())
        };
        self.fuse.pass(work).await
    }

    async fn records(&self, space: Space) -> Result<Vec<Record>, StoreError> {
        let work = || {
            let content = self.content.borrow();
            let of_space = content
                .records
                .range((space, Vec::new())..)
                .take_while(|((of, _), _)| *of == space);
            Ok(of_space.map(|(_, record)| record.clone()).collect())
        };
        self.fuse.pass(work).await
    }

    async fn record(&self, space: Space, key: &[u8]) -> Result<Option<Record>, StoreError> {
        let work = || {
            let content = self.content.borrow();
            Ok(content.records.get(&(space, key.to_vec())).cloned())
        };
        self.fuse.pass(work).await
    }
}
