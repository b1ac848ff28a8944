//! Group commit: entries that wait for one mission share one transaction, and
//! one fsync. One thread a mission; the ledger's head lock keeps several
//! servers apart.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
};

use protocol::{
    codes::Code,
    exchange::Former,
    ids::EpochId,
    planted::{Fault, is as planted},
};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    clock::Host,
    domain::{
        acts::MissionRef,
        epoch,
        ledger::{
            Appended, Contacted, Incoming, Origin, Outcome, Registers, append, append_carefully,
        },
    },
    error::{Error, Result},
    store::{Conn, Store},
};

/// Entries of one commit, at most: bounds its time and memory. Small enough that
/// others are verified meanwhile, instead of everybody waiting for one commit.
const COMMIT_ENTRIES: usize = 320;
/// Requests that may wait for one mission; beyond that the server sheds.
const WAITING: usize = 2_048;

/// One request's verified entries.
#[derive(Debug)]
pub struct Batch {
    /// The entries.
    pub entries: Vec<Incoming>,
    /// What the phone said of its journals.
    pub contacts: Vec<Contacted>,
    /// Numbers that its entries had in histories that ended.
    pub former: Vec<Former>,
}

impl Batch {
    /// The phones that signed its entries.
    #[must_use]
    pub fn senders(&self) -> BTreeSet<Uuid> {
        let device = |entry: &Incoming| match entry.origin {
            Origin::Device { device, .. } => Some(device),
            Origin::Office(_) => None,
        };
        self.entries.iter().filter_map(device).collect()
    }
}

/// What a batch left: durable when it is answered.
#[derive(Debug)]
pub struct Committed {
    /// One for each entry, in order.
    pub appended: Vec<Appended>,
    /// The ledger's last number.
    pub number: i64,
    /// The chain after it.
    pub chain: [u8; 32],
    /// The history in which they stand.
    pub epoch: EpochId,
}

struct Job {
    batch: Batch,
    /// How many of a commit's answers are this request's.
    taken: usize,
    reply: oneshot::Sender<Result<Committed>>,
}

struct Lane {
    jobs: mpsc::SyncSender<Job>,
    thread: JoinHandle<()>,
}

/// Hands batches to the committing threads.
#[derive(Clone)]
pub struct Batcher {
    store: Store,
    host: Host,
    /// Bytes of evidence that an accreditation may announce.
    quota: u64,
    lanes: Arc<Mutex<Option<HashMap<i32, Lane>>>>,
}

impl std::fmt::Debug for Batcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Batcher")
    }
}

impl Batcher {
    /// A batcher on this store; `quota` is how many bytes of evidence an
    /// accreditation may announce. Threads start when a mission's first batch comes.
    #[must_use]
    pub fn new(store: Store, host: Host, quota: u64) -> Self {
        Self {
            store,
            host,
            quota,
            lanes: Arc::new(Mutex::new(Some(HashMap::new()))),
        }
    }

    /// Hands a batch over. The receiver gets the answer once it is durable.
    ///
    /// # Errors
    /// `overloaded` when too many wait already, or the server is stopping.
    pub fn submit(
        &self,
        mission: MissionRef,
        batch: Batch,
    ) -> Result<oneshot::Receiver<Result<Committed>>> {
        let busy = || {
            Error::refused(
                Code::Overloaded,
                "too many entries are waiting to be written",
            )
        };
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lanes = lanes.as_mut().ok_or_else(busy)?;
        let (reply, answer) = oneshot::channel();
        let lane = match lanes.entry(mission.no) {
            Entry::Occupied(lane) => lane.into_mut(),
            Entry::Vacant(place) => place.insert(self.lane(mission)?),
        };
        let taken = batch.entries.len();
        lane.jobs
            .try_send(Job {
                batch,
                taken,
                reply,
            })
            .map_err(|_| busy())?;
        Ok(answer)
    }

    /// Takes no more, writes what was taken, and waits for that.
    pub fn stop(&self) {
        let lanes = self
            .lanes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        for lane in lanes.into_iter().flat_map(HashMap::into_values) {
            drop(lane.jobs);
            if lane.thread.join().is_err() {
                tracing::error!("a committing thread had panicked");
            }
        }
    }

    fn lane(&self, mission: MissionRef) -> Result<Lane> {
        let (jobs, queue) = mpsc::sync_channel(WAITING);
        let (store, host, quota) = (self.store.clone(), self.host.clone(), self.quota);
        let thread = std::thread::Builder::new()
            .name(format!("ledger-{}", mission.no))
            .spawn(move || commit_all(&store, &host, mission, quota, &queue))
            .map_err(|error| Error::Internal(format!("no thread for the ledger: {error}")))?;
        Ok(Lane { jobs, thread })
    }
}

fn commit_all(
    store: &Store,
    host: &Host,
    mission: MissionRef,
    quota: u64,
    queue: &mpsc::Receiver<Job>,
) {
    let mut kept = None;
    let mut registers = None;
    while let Some(first) = kept.take().or_else(|| queue.recv().ok()) {
        let mut jobs = vec![first];
        let mut waiting = jobs[0].batch.entries.len();
        while let Ok(job) = queue.try_recv() {
            if waiting + job.batch.entries.len() > COMMIT_ENTRIES {
                kept = Some(job);
                break;
            }
            waiting += job.batch.entries.len();
            jobs.push(job);
        }
        metrics::histogram!("scrutineer_commit_entries")
            .record(f64::from(u32::try_from(waiting).unwrap_or(u32::MAX)));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            commit(store, host, mission, quota, &mut registers, &mut jobs)
        }))
        .unwrap_or_else(|_| {
            Err(Error::Internal(
                "committing panicked; nothing was written".into(),
            ))
        });
        answer(jobs, outcome);
    }
}

fn commit(
    store: &Store,
    host: &Host,
    mission: MissionRef,
    quota: u64,
    registers: &mut Option<Registers>,
    jobs: &mut [Job],
) -> Result<(Outcome, EpochId)> {
    let entries: Vec<Incoming> = jobs
        .iter_mut()
        .flat_map(|job| std::mem::take(&mut job.batch.entries))
        .collect();
    let contacts: Vec<Contacted> = jobs
        .iter_mut()
        .flat_map(|job| std::mem::take(&mut job.batch.contacts))
        .collect();
    let former: Vec<Former> = jobs
        .iter_mut()
        .flat_map(|job| std::mem::take(&mut job.batch.former))
        .collect();
    let now = host.now();
    // The ledger's head is locked by now: the name is that of what was appended.
    let end = |conn: &mut Conn, outcome: Outcome| {
        epoch::note_former(conn, mission, &former)?;
        Ok((outcome, epoch::current(conn)?))
    };
    let mut early = None;
    let appended = store.write(|conn| {
        let outcome = append(conn, registers, mission, &entries, &contacts, quota, now)?;
        let done = end(conn, outcome)?;
        if planted(Fault::AckBeforeCommit) && done.0.number % 7 == 0 {
            early = Some(done);
            return Err(Error::Internal("died before the commit".into()));
        }
        Ok(done)
    });
    if let Some(early) = early {
        return Ok(early);
    }
    match appended {
        Err(Error::Database(error)) if !crate::error::is_unavailable(&error) => {
            tracing::warn!(%error, entries = entries.len(), "a batch failed; looking for the entry that did it");
            store.write(|conn| {
                let outcome =
                    append_carefully(conn, registers, mission, &entries, &contacts, quota, now)?;
                end(conn, outcome)
            })
        }
        other => other,
    }
}

fn answer(jobs: Vec<Job>, outcome: Result<(Outcome, EpochId)>) {
    // A phone that hung up is no error: its entries are durable all the same.
    match outcome {
        Ok((outcome, epoch)) => {
            let mut appended = outcome.appended.into_iter();
            for job in jobs {
                let appended = appended.by_ref().take(job.taken).collect();
                let committed = Committed {
                    appended,
                    number: outcome.number,
                    chain: outcome.chain,
                    epoch,
                };
                job.reply.send(Ok(committed)).ok();
            }
        }
        Err(error) => {
            tracing::error!(%error, "nothing of this commit was written");
            let code = error.code();
            for job in jobs {
                job.reply
                    .send(Err(Error::refused(
                        code,
                        "the entries were not written; send them again",
                    )))
                    .ok();
            }
        }
    }
}
