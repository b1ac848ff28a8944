//! One request at a time for one upload, and the newest wins: a phone that asks
//! again has given its old connection up.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{OwnedMutexGuard, watch};

use crate::store::objects::Upload;

/// Uploads remembered before those that nobody uses are looked for.
const REMEMBERED: usize = 1_024;

/// The uploads of this process that somebody is at.
#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<Mutex<HashMap<Upload, Weak<Slot>>>>);

#[derive(Debug)]
struct Slot {
    lock: Arc<tokio::sync::Mutex<()>>,
    newest: watch::Sender<u64>,
}

/// The right to read and write one upload, until another request wants it.
#[derive(Debug)]
pub struct Turn {
    mine: u64,
    newest: watch::Receiver<u64>,
    _slot: Arc<Slot>,
    _guard: OwnedMutexGuard<()>,
}

impl Turns {
    /// Asks whoever is at this upload to end, and waits for that.
    pub async fn take(&self, upload: Upload) -> Turn {
        let slot = self.slot(upload);
        let mut mine = 0;
        slot.newest.send_modify(|newest| {
            *newest += 1;
            mine = *newest;
        });
        let newest = slot.newest.subscribe();
        let guard = slot.lock.clone().lock_owned().await;
        Turn {
            mine,
            newest,
            _slot: slot,
            _guard: guard,
        }
    }

    fn slot(&self, upload: Upload) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&upload).and_then(Weak::upgrade) {
            return slot;
        }
        if slots.len() >= REMEMBERED {
            slots.retain(|_, slot| slot.strong_count() > 0);
        }
        let slot = Arc::new(Slot {
            lock: Arc::default(),
            newest: watch::Sender::new(0),
        });
        slots.insert(upload, Arc::downgrade(&slot));
        slot
    }
}

impl Turn {
    /// Waits until another request wants the upload.
    pub async fn wanted(&mut self) {
        let mine = self.mine;
        // The sender lives in the slot that this holds.
        self.newest.wait_for(|newest| *newest > mine).await.ok();
    }
}
