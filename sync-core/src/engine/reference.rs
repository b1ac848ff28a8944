//! Stations and categories: what the phone holds of them goes with a request that
//! reads, what is new comes with its answer or is fetched in parts, behind reports
//! and news and before files. Whatever goes wrong with it, reports still go.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{
    codes::Code,
    exchange, limits,
    reference::{Holding, Offer, Register},
};

use super::{Change, Command, Engine, Failure, Fetch, ReferencePart, Run, Waiting, upload};
use crate::{
    host::{Environment, Now},
    journal::reference::{Wanted, applied},
};

/// Bytes of the first part ever.
const PART_FIRST: u64 = 32 * 1024;
/// Parts are never smaller, nor larger.
const PART_LEAST: u64 = 4 * 1024;
const PART_MOST: u64 = 1024 * 1024;

/// The reference data of one run.
#[derive(Debug, Default)]
pub(super) struct ReferenceRun {
    /// The server was asked, or knows nothing of this.
    asked: bool,
    /// To be fetched, as the server said in this run.
    open: BTreeSet<Register>,
    /// Began again from nothing in this run.
    restarted: BTreeMap<Register, u32>,
    /// A request broke, and nothing came since.
    broken: bool,
}

/// A part under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartOf {
    register: Register,
    length: u64,
    began: Now,
}

impl Engine {
    /// What to say of the registers in the next exchange: nothing while entries wait
    /// for a later one, and once in a run.
    pub(super) fn holdings(&self, with_token: bool) -> Vec<Holding> {
        let ask = |run: &Run| !run.reference.asked && run.plan.is_empty();
        if !with_token || !self.run.as_ref().is_some_and(ask) {
            return Vec::new();
        }
        let kept = &self.snapshot.references.kept;
        Register::ALL
            .into_iter()
            .map(|register| Holding {
                register: register.name().to_owned(),
                sha256: kept.get(&register).map(|kept| kept.sha256),
            })
            .collect()
    }

    /// Takes what the answer says of them. It is written together with the rest of
    /// the answer.
    pub(super) fn take_offers(
        &mut self,
        response: &exchange::Response,
        run: &mut Run,
        changes: &mut Vec<Change>,
    ) {
        for offer in &response.reference {
            run.reference.asked = true;
            if offer.bytes <= limits::REFERENCE_BYTES as u64 {
                self.take_offer(offer, run, changes);
            }
        }
    }

    fn take_offer(&mut self, offer: &Offer, run: &mut Run, changes: &mut Vec<Change>) {
        let references = &mut self.snapshot.references;
        let kept = references.kept.get(&offer.register);
        if kept.is_some_and(|kept| kept.sha256 == offer.sha256) {
            if references.wanted.remove(&offer.register).is_some() {
                changes.push(Change::Wanted(offer.register, None));
            }
        } else if let Some(new) = applied(offer, kept) {
            references.kept.insert(offer.register, new.clone());
            references.wanted.remove(&offer.register);
            run.reference.open.remove(&offer.register);
            run.report.reference += 1;
            changes.push(Change::Reference(new));
            changes.push(Change::Wanted(offer.register, None));
        } else {
            let known = references.wanted.get(&offer.register);
            let resumes = known.is_some_and(|known| known.sha256 == offer.sha256);
            run.reference.open.insert(offer.register);
            if !resumes {
                // A delta that came and did not fit leads nowhere: the whole then.
                let held = kept.map(|kept| kept.sha256);
                let from = offer.from.filter(|from| held == Some(*from));
                let wanted = Wanted::of(offer, from);
                references.wanted.insert(offer.register, wanted.clone());
                changes.push(Change::Wanted(offer.register, Some(Box::new(wanted))));
            }
        }
    }

    /// Asks for the next part, if anything is to be fetched. Answers whether it did
    /// something.
    pub(super) fn next_reference(&mut self, env: &dyn Environment) -> bool {
        let Some(run) = &self.run else { return false };
        let first = run.reference.open.first().copied();
        let wanted = first.and_then(|register| self.snapshot.references.wanted.get(&register));
        let Some(wanted) = wanted.cloned() else {
            return false;
        };
        // Without one, the next step towards one is on its way.
        let Some(token) = self.file_token(env) else {
            return true;
        };
        let length = self.part_bytes();
        let fetch = Fetch {
            register: wanted.register,
            sha256: wanted.sha256,
            from: wanted.from,
            offset: wanted.part.len() as u64,
            length,
            etag: wanted.etag,
        };
        let part = PartOf {
            register: wanted.register,
            length,
            began: env.now(),
        };
        self.wait_for(
            Waiting::Reference(part),
            Command::FetchReference { fetch, token },
        );
        true
    }

    fn part_bytes(&self) -> u64 {
        let bytes = self.snapshot.sync.reference_bytes.unwrap_or(PART_FIRST);
        bytes.clamp(PART_LEAST, PART_MOST)
    }

    pub(super) fn on_reference(
        &mut self,
        answer: Result<ReferencePart, Failure>,
        env: &dyn Environment,
    ) {
        let Some(Waiting::Reference(asked)) =
            self.heard(|waiting| matches!(waiting, Waiting::Reference(_)))
        else {
            return;
        };
        match answer {
            Ok(part) => self.take_part(asked, part, env),
            Err(failure) => self.on_reference_failure(asked, failure, env),
        }
    }

    fn take_part(&mut self, asked: PartOf, part: ReferencePart, env: &dyn Environment) {
        let register = asked.register;
        let Some(wanted) = self.snapshot.references.wanted.get_mut(&register) else {
            return self.go_on(env);
        };
        let follows = part.offset == wanted.part.len() as u64
            && (wanted.part.is_empty() || (wanted.etag == part.etag && wanted.gzip == part.gzip));
        if part.total > limits::REFERENCE_BYTES as u64 || part.bytes.is_empty() {
            return self.leave(register, env);
        }
        if !follows && part.offset != 0 {
            return self.restart(register, env);
        }
        if !follows {
            // Other bytes than those of which parts are here: they came whole.
            wanted.begin_again();
        }
        wanted.etag = part.etag;
        wanted.gzip = part.gzip;
        wanted.part.extend_from_slice(&part.bytes);
        let whole = wanted.part.len() as u64 >= part.total;
        let wanted = wanted.clone();
        let came = part.bytes.len() as u64;
        let (bytes, took) = (self.part_bytes(), upload::elapsed(asked.began, env.now()));
        let fitted = upload::fitted(bytes, took, came >= bytes);
        let sync = &mut self.snapshot.sync;
        sync.reference_bytes = Some(fitted.clamp(PART_LEAST, PART_MOST));
        sync.failures = 0;
        // What the server asked for holds on.
        sync.wait = sync.wait.filter(|wait| wait.asked);
        if let Some(run) = &mut self.run {
            run.reference.broken = false;
            run.files.token_again = false;
        }
        if !whole {
            self.out.push_back(Command::Apply(vec![
                Change::Wanted(register, Some(Box::new(wanted))),
                Change::Sync(self.snapshot.sync.clone()),
            ]));
            return self.go_on(env);
        }
        let kept = self.snapshot.references.kept.get(&register);
        let Some(new) = wanted.assemble(kept) else {
            return self.restart(register, env);
        };
        self.snapshot.references.wanted.remove(&register);
        self.snapshot.references.kept.insert(register, new.clone());
        if let Some(run) = &mut self.run {
            run.reference.open.remove(&register);
            run.report.reference += 1;
        }
        // At once, so that nobody ever sees half of it.
        self.out.push_back(Command::Apply(vec![
            Change::Reference(new),
            Change::Wanted(register, None),
            Change::Sync(self.snapshot.sync.clone()),
        ]));
        self.go_on(env);
    }

    /// What came is not what was announced: away with it, and the whole once more,
    /// once in a run.
    fn restart(&mut self, register: Register, env: &dyn Environment) {
        let Some(run) = &mut self.run else { return };
        let times = run.reference.restarted.entry(register).or_insert(0);
        *times += 1;
        let give_up = *times > 1;
        if let Some(wanted) = self.snapshot.references.wanted.get_mut(&register) {
            wanted.from = None;
            wanted.begin_again();
            let wanted = Box::new(wanted.clone());
            self.out
                .push_back(Command::Apply(vec![Change::Wanted(register, Some(wanted))]));
        }
        if give_up {
            return self.leave(register, env);
        }
        self.go_on(env);
    }

    /// No more of this register in this run; later again.
    fn leave(&mut self, register: Register, env: &dyn Environment) {
        if let Some(run) = &mut self.run {
            run.reference.open.remove(&register);
        }
        self.snapshot.sync.back_off_files(None, env);
        self.go_on(env);
    }

    fn on_reference_failure(&mut self, asked: PartOf, failure: Failure, env: &dyn Environment) {
        let Some(run) = &mut self.run else { return };
        match &failure {
            Failure::Network {
                connected: true, ..
            } => {
                // The next may get through where a large one did not.
                let bytes = (asked.length / 2).clamp(PART_LEAST, PART_MOST);
                self.snapshot.sync.reference_bytes = Some(bytes);
                if std::mem::replace(&mut run.reference.broken, true) {
                    self.end_with(failure, env);
                } else {
                    self.go_on(env);
                }
            }
            Failure::Problem { status: 401, .. } if !run.files.token_again => {
                self.snapshot.sync.token = None;
                run.files.token_again = true;
                self.send_token(env);
            }
            Failure::Network { .. }
            | Failure::Problem {
                status: 429 | 503, ..
            } => self.end_with(failure, env),
            Failure::Problem {
                status: 416,
                code: Code::RangeNotSatisfiable,
                ..
            } => self.restart(asked.register, env),
            // What the server does not have any more is not asked for again before
            // it says what it has.
            Failure::Problem { .. } => self.leave(asked.register, env),
        }
    }

    /// Whether something is to be fetched that needs no asking.
    pub(super) fn reference_due(&self) -> bool {
        !self.snapshot.references.wanted.is_empty()
    }
}
