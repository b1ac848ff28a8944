//! When each phone last exchanged something: noted in memory at the exchange, written
//! down for all of them together. A server that dies forgets a few seconds of it, and
//! the phones say it again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use uuid::Uuid;

use crate::{
    clock::Micros,
    error::Result,
    store::{
        Store,
        heard::{self, HeardRow},
    },
};

/// A mission's short key, and a device.
type Phone = (i32, Uuid);

/// What has been heard and is not written down yet. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Heard(Arc<Mutex<HashMap<Phone, Micros>>>);

impl Heard {
    /// A phone exchanged something just now.
    pub fn note(&self, mission: i32, device: Uuid, now: Micros) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = waiting.entry((mission, device)).or_insert(now);
        if at.0 < now.0 {
            *at = now;
        }
    }

    /// Writes down what was heard. Blocking.
    ///
    /// # Errors
    /// The database's; then nothing of it is forgotten.
    pub fn settle(&self, store: &Store) -> Result<()> {
        let waiting = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if waiting.is_empty() {
            return Ok(());
        }
        let mut rows: Vec<HeardRow> = waiting
            .iter()
            .map(|((mission, device), at)| HeardRow {
                mission: *mission,
                device: device.as_bytes().to_vec(),
                heard_at: at.0,
            })
            .collect();
        // Two servers that write the same phones must not wait for each other.
        rows.sort_by(|a, b| (&a.device, a.mission).cmp(&(&b.device, b.mission)));
        let written = store.write(|conn| heard::put(conn, &rows));
        if written.is_err() {
            for ((mission, device), at) in waiting {
                self.note(mission, device, at);
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::DatabaseUrl;

    #[test]
    fn the_latest_time_stays_whoever_writes_it() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("db.sqlite"));
        let store = Store::open(&url, 2).unwrap();
        let (one, other, phone) = (Heard::default(), Heard::default(), Uuid::from_u128(7));
        one.note(1, phone, Micros(20));
        one.note(1, phone, Micros(10));
        other.note(1, phone, Micros(15));
        one.settle(&store).unwrap();
        other.settle(&store).unwrap();
        let last = |mission| store.read(|conn| heard::last(conn, mission, phone.as_bytes()));
        assert_eq!(last(1).unwrap(), Some(Micros(20)));
        assert_eq!(last(2).unwrap(), None);
        other.note(1, phone, Micros(30));
        other.settle(&store).unwrap();
        assert_eq!(last(1).unwrap(), Some(Micros(30)));
    }
}
