//! A store in memory, for tests and the simulator. Clones share their content,
//! so that dropping one and using another is a restart.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use async_trait::async_trait;

use super::{Batch, Record, Row, Space, Store, StoreError};

#[derive(Debug, Default)]
struct Content {
    rows: Vec<Row>,
    records: BTreeMap<(Space, Vec<u8>), Record>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Rc<RefCell<Content>>);

#[async_trait(?Send)]
impl Store for MemoryStore {
    async fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        let mut content = self.0.borrow_mut();
        let before = content.rows.len();
        for row in batch.append {
            let last = content
                .rows
                .iter()
                .filter(|old| old.row.journal == row.journal)
                .map(|old| old.row.seq);
            let next = last.max().unwrap_or(0) + 1;
            if row.seq != next || content.rows.iter().any(|old| old.row.hash == row.hash) {
                content.rows.truncate(before);
                return Err(StoreError::Conflict);
            }
            let position = content.rows.last().map_or(1, |last| last.position + 1);
            content.rows.push(Row { position, row });
        }
        for record in batch.put {
            content
                .records
                .insert((record.space, record.key.clone()), record);
        }
        Ok(())
    }

    async fn rows(&self, after: i64) -> Result<Vec<Row>, StoreError> {
        Ok(self
            .0
            .borrow()
            .rows
            .iter()
            .filter(|row| row.position > after)
            .cloned()
            .collect())
    }

    async fn records(&self, space: Space) -> Result<Vec<Record>, StoreError> {
        let content = self.0.borrow();
        Ok(content
            .records
            .values()
            .filter(|record| record.space == space)
            .cloned()
            .collect())
    }

    async fn record(&self, space: Space, key: &[u8]) -> Result<Option<Record>, StoreError> {
        Ok(self.0.borrow().records.get(&(space, key.to_vec())).cloned())
    }
}
