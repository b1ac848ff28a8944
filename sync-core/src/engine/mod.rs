//! The sync engine: decides what to send and what an answer means.
//!
//! Sans-I/O: it reads no clock, keeps no file and opens no connection.
//! [`Engine::poll`] says what to do, [`Engine::on`] hears what happened; a driver
//! (the client façade, or a simulator) does the rest. Killed at any point, a new
//! engine made from the store goes on: whatever it sent twice, the ledger holds
//! once.
//!
//! Invariants: an entry is marked as delivered only by a receipt under the
//! pinned key; no answer makes it forget an entry; no entry stands in another
//! report's way.

mod answer;
mod failure;
mod files;
mod messages;
mod plan;
mod reference;
mod request;
mod returned;
mod state;
mod upload;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

pub use messages::{
    Change, ChunkAnswer, Command, Ended, Event, Failure, Fetch, ReferencePart, SyncReport,
    TokenGrant, UploadState,
};
use protocol::{
    codes::Code,
    ids::{EntryHash, FileHash, JournalId},
    jose::Signer,
    limits,
    planted::{Fault, is as planted},
};
pub use state::{Identity, Proof, SyncState, Token, Wait, keys};

use self::{
    files::{FilesRun, Part},
    plan::Plan,
    reference::{PartOf, ReferenceRun},
    returned::Returned,
};
use crate::{
    host::Environment,
    journal::{
        Entry,
        delivery::Deliveries,
        files::{Uploads, critical_subjects},
        reference::References,
        report::KeptItem,
    },
};

/// All that the engine starts from, as the store holds it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The enrolment.
    pub identity: Identity,
    /// The device's own entries, in order of filing.
    pub entries: Vec<Rc<Entry>>,
    /// The last place of each journal.
    pub heads: BTreeMap<JournalId, u64>,
    /// What became of the entries.
    pub deliveries: Deliveries,
    /// What became of the files.
    pub uploads: Uploads,
    /// Files whose bytes are on this device.
    pub here: BTreeSet<FileHash>,
    /// Whether files may be sent, and asked about, at all.
    pub send_files: bool,
    /// Whether the bytes of files that the server calls durable may go.
    pub drop_bytes: bool,
    /// Decisions held already.
    pub items: BTreeMap<EntryHash, KeptItem>,
    /// Stations and categories, and what is being fetched of them.
    pub references: References,
    /// The receipts that [`SyncState::seen`] and [`SyncState::earlier`] are from, by
    /// their names.
    pub receipts: BTreeMap<EntryHash, String>,
    /// The journal that new entries go to, if one is open.
    pub current_journal: Option<JournalId>,
    /// The state of syncing.
    pub sync: SyncState,
    /// Name and version of the program.
    pub app: String,
}

impl Snapshot {
    /// The highest receipt of the last history.
    fn receipt(&self) -> Option<&String> {
        self.receipts.get(self.sync.seen_receipt.as_ref()?)
    }
}

/// See the module.
pub struct Engine {
    signer: Rc<dyn Signer>,
    snapshot: Snapshot,
    out: VecDeque<Command>,
    asked: Option<Goal>,
    run: Option<Run>,
    /// What is handed back, as of the last plan.
    returned: BTreeMap<EntryHash, Returned>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    Enrol,
    Sync,
}

/// One run, from the first request to [`Command::Finished`].
struct Run {
    goal: Goal,
    /// Somebody asked for it: it does not stop at a wait that an answer merely
    /// suggests.
    explicit: bool,
    plan: Plan,
    report: SyncReport,
    waiting_for: Waiting,
    /// Entries answered in this run.
    done: BTreeSet<EntryHash>,
    /// Halvings left, so that a server that refuses everything is not flooded.
    halvings: u32,
    /// An exchange was answered, so the request as such is acceptable.
    answered: bool,
    token_asked: bool,
    cursor_reset: bool,
    news_read: bool,
    pages: u32,
    reference: ReferenceRun,
    files: FilesRun,
    /// A receipt to hand in with the next exchange.
    proof: Option<String>,
    /// It was handed in because the server asked.
    proven: bool,
    /// How often the server's history had another name than before.
    histories: u32,
}

/// The request under way.
#[derive(Debug)]
enum Waiting {
    Nothing,
    Enrolment,
    Exchange(Sent),
    Token,
    Offset(FileHash),
    Chunk(Part),
    Verification(FileHash),
    Reference(PartOf),
}

/// An exchange under way.
#[derive(Debug, Default)]
struct Sent {
    hashes: Vec<EntryHash>,
    with_token: bool,
    /// Sent empty to learn whether this entry or the request is at fault.
    suspect: Option<(EntryHash, Code)>,
}

/// Halvings in one run: isolates several culprits in full batches.
const HALVINGS: u32 = 64;
/// Pages of items in one run.
const PAGES: u32 = 1_000;
/// Seconds for which an assertion is valid.
const ASSERTION_LIFE: i64 = 120;
const _: () = assert!(ASSERTION_LIFE <= limits::ASSERTION_SECONDS);

impl Engine {
    /// An engine on what the store holds.
    #[must_use]
    pub fn new(snapshot: Snapshot, signer: Rc<dyn Signer>) -> Self {
        Self {
            signer,
            snapshot,
            out: VecDeque::new(),
            asked: None,
            run: None,
            returned: BTreeMap::new(),
        }
    }

    /// What to do now. Call it after every event, and when a wait is over.
    pub fn poll(&mut self, env: &dyn Environment) -> Vec<Command> {
        if self.run.is_none() && self.out.is_empty() {
            if let Some(goal) = self.asked.take() {
                self.start(goal, true, env);
            } else {
                match self.due_in(env) {
                    None => {}
                    Some(0) => self.start(Goal::Sync, false, env),
                    Some(wait) => self.out.push_back(Command::WakeAfter(wait)),
                }
            }
        }
        self.out.drain(..).collect()
    }

    /// Hears what happened. An answer that was not waited for is ignored.
    pub fn on(&mut self, event: Event, env: &dyn Environment) {
        match event {
            Event::SyncRequested => self.asked = Some(Goal::Sync),
            Event::EnrolRequested => self.asked = self.asked.or(Some(Goal::Enrol)),
            Event::Filed(entry) => {
                let head = self.snapshot.heads.entry(entry.journal).or_insert(0);
                *head = entry.seq.max(*head);
                if let Some(attach) = entry.attach() {
                    let files = std::iter::once(attach.file).chain(attach.preview);
                    self.snapshot.here.extend(files.map(|file| file.sha256));
                }
                self.snapshot.entries.push(entry);
                self.requeue();
            }
            Event::Enrolment(answer) => self.on_enrolment(answer.map(|answer| *answer), env),
            Event::Exchange(answer) => {
                let sent = match self.run.as_mut().map(|run| &mut run.waiting_for) {
                    Some(waiting @ Waiting::Exchange(_)) => {
                        std::mem::replace(waiting, Waiting::Nothing)
                    }
                    _ => return,
                };
                let Waiting::Exchange(sent) = sent else {
                    return;
                };
                match answer {
                    Ok(response) => self.on_answer(sent, response, env),
                    Err(failure) => self.on_failure(sent, failure, env),
                }
            }
            Event::Token(answer) => self.on_token(answer, env),
            Event::Offset(answer) => self.on_offset(answer, env),
            Event::Chunk(answer) => self.on_chunk(answer, env),
            Event::Unreadable => self.on_unreadable(env),
            Event::Verified(whole) => self.on_verified(whole, env),
            Event::Reference(answer) => self.on_reference(answer, env),
        }
    }

    /// Milliseconds until something is due that needs no asking: the enrolment,
    /// entries never answered, reference data, files. `None` if nothing waits.
    fn due_in(&self, env: &dyn Environment) -> Option<u64> {
        let (sync, now) = (&self.snapshot.sync, env.now());
        if self.snapshot.identity.enrolled.is_none() {
            let open = self.snapshot.identity.refused.is_none();
            return open.then(|| sync.wait_left(now, false));
        }
        let deliveries = &self.snapshot.deliveries;
        let entries = self.snapshot.entries.iter().map(AsRef::as_ref);
        let waiting: Vec<&Entry> = entries
            .clone()
            .filter(|entry| deliveries.of(&entry.hash).is_none())
            .collect();
        if !waiting.is_empty() {
            let critical = critical_subjects(entries);
            let urgent = waiting
                .iter()
                .any(|entry| critical.contains(&entry.subject()));
            return Some(sync.wait_left(now, urgent));
        }
        let waits = |hash: &EntryHash| deliveries.of(hash).is_none();
        if returned::find(&self.snapshot).keys().any(waits) {
            return Some(sync.wait_left(now, false));
        }
        let wait = sync.wait_left(now, false).max(sync.files_wait_left(now));
        (self.reference_due() || self.files_due()).then_some(wait)
    }

    /// Something was filed during a run: it takes its place in the order.
    fn requeue(&mut self) {
        let Some(run) = &self.run else { return };
        let mut skip = run.done.clone();
        skip.extend(run.plan.parts());
        if let Waiting::Exchange(sent) = &run.waiting_for {
            skip.extend(&sent.hashes);
        }
        let fresh = self.plan(&skip, run.plan.max_bytes());
        if let Some(run) = &mut self.run {
            run.plan.requeue(fresh);
        }
    }

    fn start(&mut self, goal: Goal, explicit: bool, env: &dyn Environment) {
        let bytes = self.snapshot.sync.batch_bytes.unwrap_or(plan::BATCH_BYTES);
        let plan = self.plan(&BTreeSet::new(), bytes);
        self.run = Some(Run {
            goal,
            explicit,
            plan,
            report: SyncReport::default(),
            waiting_for: Waiting::Nothing,
            done: BTreeSet::new(),
            halvings: HALVINGS,
            answered: false,
            token_asked: false,
            cursor_reset: false,
            news_read: false,
            pages: PAGES,
            reference: ReferenceRun::default(),
            files: FilesRun::default(),
            proof: None,
            proven: false,
            histories: 0,
        });
        self.go_on(env);
    }

    fn plan(&mut self, skip: &BTreeSet<EntryHash>, bytes: usize) -> Plan {
        let bytes = bytes.clamp(plan::BATCH_BYTES_LEAST, plan::BATCH_BYTES);
        self.returned = returned::find(&self.snapshot);
        let returned = returned::in_order(&self.returned);
        Plan::new(
            &self.snapshot.entries,
            &returned,
            &self.snapshot.deliveries,
            skip,
            bytes,
        )
    }

    /// The next request of the run, or its end.
    fn go_on(&mut self, env: &dyn Environment) {
        if self.snapshot.identity.enrolled.is_none() {
            return self.send_enrolment();
        }
        if self.run.as_ref().is_some_and(|run| run.goal == Goal::Enrol) {
            return self.finish(None);
        }
        if let Some(one) = self.starving(env) {
            return self.send_part(&one, env);
        }
        // Not beside what the server may answer no request with.
        let proves = |run: &Run| {
            run.proof.is_some() && run.plan.is_only_stuck() && !planted(Fault::ProofBesidePoison)
        };
        if self.run.as_ref().is_some_and(proves) {
            return self.send_exchange(Sent::default(), env);
        }
        let (entries, returned) = (&self.snapshot.entries, &self.returned);
        let Some(run) = &mut self.run else { return };
        let batch = run.plan.next(|hash| {
            let entry = entries.iter().find(|entry| entry.hash == *hash);
            let own = entry.map(|entry| entry.sd.to_wire());
            let wire = own.or_else(|| returned.get(hash).map(|returned| returned.wire.clone()));
            wire.map_or(0, |wire| request::exchange_size(&wire))
        });
        let token = self.snapshot.sync.valid_token(env.now()).is_some();
        if !batch.is_empty() {
            self.send_exchange(
                Sent {
                    hashes: batch,
                    with_token: token,
                    suspect: None,
                },
                env,
            );
        } else if run.news_read || run.pages == 0 {
            if !self.next_reference(env) {
                self.next_file(env);
            }
        } else if token {
            self.send_exchange(
                Sent {
                    with_token: true,
                    ..Sent::default()
                },
                env,
            );
        } else if !run.token_asked {
            self.send_token(env);
        } else {
            self.finish(None);
        }
    }

    fn wait_for(&mut self, waiting: Waiting, command: Command) {
        if let Some(run) = &mut self.run {
            run.waiting_for = waiting;
            self.out.push_back(command);
        }
    }

    /// Ends the run; the state of syncing is written.
    fn finish(&mut self, ended: Option<Ended>) {
        let Some(mut run) = self.run.take() else {
            return;
        };
        let deliveries = &self.snapshot.deliveries;
        run.report.pending = self
            .snapshot
            .entries
            .iter()
            .filter(|entry| !deliveries.is_delivered(&entry.hash))
            .count();
        run.report.reference_pending = self.snapshot.references.wanted.len();
        run.report.files_pending = self.files_pending();
        run.report.enrolled = self.snapshot.identity.enrolled.is_some();
        run.report.ended = ended;
        self.snapshot.sync.batch_bytes = match run.plan.max_bytes() {
            plan::BATCH_BYTES => None,
            bytes => Some(bytes),
        };
        if planted(Fault::BackoffForgotten) {
            self.snapshot.sync.wait = None;
        }
        self.out.push_back(Command::Apply(vec![Change::Sync(
            self.snapshot.sync.clone(),
        )]));
        self.out.push_back(Command::Finished(Box::new(run.report)));
    }

    /// Ends the run with an error.
    fn fail(&mut self, code: Code, message: impl Into<String>) {
        self.finish(Some(Ended {
            code,
            message: message.into(),
        }));
    }
}
