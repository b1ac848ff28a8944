//! What a good answer means.

use std::collections::BTreeSet;

use protocol::{
    codes::Code,
    enrolment,
    entry::{DECISION_TYP, Kind, SdJwt, Seen},
    exchange,
    ids::{EntryHash, JournalId},
    jose::PublicKey,
    planted::{Fault, is as planted},
    receipt::Receipt,
};

use super::{
    Change, Command, Engine, Failure, Proof, Sent, SyncReport, Token, TokenGrant, Waiting, returned,
};
use crate::{
    host::{self, Environment},
    journal::{
        delivery::{Delivery, Standing},
        report::KeptItem,
    },
};

impl Engine {
    pub(super) fn on_enrolment(
        &mut self,
        answer: Result<enrolment::Response, Failure>,
        env: &dyn Environment,
    ) {
        match self.run.as_mut().map(|run| &mut run.waiting_for) {
            Some(waiting @ Waiting::Enrolment) => *waiting = Waiting::Nothing,
            _ => return,
        }
        let response = match answer {
            Ok(response) => response,
            Err(failure) => return self.on_enrolment_failure(failure, env),
        };
        let invitation = self.snapshot.identity.invitation();
        let key = PublicKey::from_jwk(&response.receipt_key).map(|key| key.thumbprint());
        let ours = invitation.is_some_and(|invitation| {
            key.is_ok_and(|key| key == invitation.key) && response.mission.id == invitation.mission
        });
        if !ours {
            return self.fail(
                Code::ServerKeyMismatch,
                "the server that answered is not the one that the enrolment link names; nothing was sent to it",
            );
        }
        let sync = &mut self.snapshot.sync;
        sync.hear_time(&response.server_time, env.now());
        sync.epoch = Some(response.epoch);
        sync.failures = 0;
        sync.wait = None;
        self.snapshot.deliveries.epoch = sync.epoch;
        self.snapshot.uploads.epoch = sync.epoch;
        self.snapshot.identity.enrolled = Some(response);
        self.snapshot.identity.refused = None;
        self.out.push_back(Command::Apply(vec![
            Change::Identity(self.snapshot.identity.clone()),
            Change::Sync(self.snapshot.sync.clone()),
        ]));
        self.go_on(env);
    }

    pub(super) fn on_token(&mut self, answer: Result<TokenGrant, Failure>, env: &dyn Environment) {
        match self.run.as_mut().map(|run| &mut run.waiting_for) {
            Some(waiting @ Waiting::Token) => *waiting = Waiting::Nothing,
            _ => return,
        }
        match answer {
            Err(failure) => self.on_token_failure(failure, env),
            // Damaged on its way: no request could carry it.
            Ok(grant)
                if !grant
                    .access_token
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic()) =>
            {
                let failure = Failure::Network {
                    message: "the token cannot be read".into(),
                    connected: true,
                    status: None,
                };
                self.end_with(failure, env);
            }
            Ok(grant) => {
                let life = i64::from(grant.expires_in).saturating_mul(1_000_000);
                let sync = &mut self.snapshot.sync;
                sync.unknown = false;
                let expires = sync.server_time(env.now()).saturating_add(life);
                sync.token = Some(Token {
                    text: grant.access_token,
                    expires,
                });
                self.go_on(env);
            }
        }
    }

    pub(super) fn on_answer(
        &mut self,
        sent: Sent,
        response: exchange::Response,
        env: &dyn Environment,
    ) {
        let Some(key) = self.snapshot.identity.receipt_key() else {
            return self.fail(
                Code::StoreDamaged,
                "the server's key cannot be read; enrol again",
            );
        };
        let Some(mut run) = self.run.take() else {
            return;
        };
        let mut changes = Vec::new();
        run.answered = true;
        let sync = &mut self.snapshot.sync;
        sync.hear_time(&response.server_time, env.now());
        sync.failures = 0;
        sync.wait = None;

        let new_epoch = sync.epoch.is_some_and(|epoch| epoch != response.epoch)
            && !planted(Fault::EpochIgnored);
        let epoch = match sync.epoch {
            Some(epoch) if planted(Fault::EpochIgnored) => epoch,
            _ => response.epoch,
        };
        // Twice is no surprise: under an old name first, and under a new one once the
        // server was shown what it lacks.
        run.histories += u32::from(new_epoch);
        let flapping = new_epoch && run.histories > HISTORIES;
        run.report.new_epoch |= new_epoch;
        sync.epoch = Some(epoch);
        self.snapshot.deliveries.epoch = sync.epoch;
        self.snapshot.uploads.epoch = sync.epoch;
        run.proof = None;
        if new_epoch {
            sync.cursor = None;
            run.news_read = false;
            // What another history had says nothing.
            run.files = super::FilesRun::default();
            run.reference = super::ReferenceRun::default();
            // Tells the new history how far the one that ended went; or one that goes by
            // an old name again, that it does not hold what it once did.
            if !planted(Fault::ReturnUnnoticed) {
                sync.return_to(response.epoch);
            }
            run.proof = self.snapshot.receipt().cloned();
        } else if response.receipt_wanted && !run.proven {
            run.proven = true;
            run.proof = self.snapshot.receipt().cloned();
        }

        let knew = !returned::is_unknown(&self.snapshot);
        let receipt = self.take_receipt(&response, &key, &mut changes);
        let outcome = self.take_outcomes(
            &sent,
            &response,
            receipt.as_ref(),
            &mut run,
            &mut changes,
            env,
        );
        if let Some((hash, code)) = sent.suspect {
            // The empty request went through, so the entry is at fault.
            self.mark_stuck(hash, code, &mut run, &mut changes);
        }
        if !new_epoch {
            let stated = receipt.and_then(|receipt| receipt.news);
            if stated.is_none_or(|news| news == response.news()) || planted(Fault::NewsUnchecked) {
                self.take_items(&sent, &response, &key, &mut run, &mut changes);
            } else {
                // Asked for again from where the cursor stands.
                run.report.items_rejected += 1;
                run.news_read = true;
            }
            self.take_offers(&response, &mut run, &mut changes);
        }
        if !sent.hashes.is_empty() && outcome.processed > 0 {
            run.plan.grow();
        }
        let anew = new_epoch || self.introduces_itself(&sent, knew);
        if anew {
            // Offer again what the new history lacks; what it holds costs little. A
            // refusal may end once it knows this device again.
            self.offer_again(&mut run);
        }
        let asked = response.directives;
        let (seconds, spread) = (asked.retry_after.unwrap_or(0), asked.spread.unwrap_or(0));
        if seconds > 0 || spread > 0 {
            run.report.wait_ms = Some(self.snapshot.sync.asked_to_wait(seconds, spread, env));
        }
        let stop = run.report.wait_ms.is_some() && !run.explicit;
        if planted(Fault::CursorBeforeItems) {
            let sync = Change::Sync(self.snapshot.sync.clone());
            self.out.push_back(Command::Apply(vec![sync]));
        }
        changes.push(Change::Sync(self.snapshot.sync.clone()));
        self.out.push_back(Command::Apply(changes));
        let left = outcome.unprocessed;
        let none_taken = !left.is_empty() && outcome.processed == 0;
        run.plan.again(if anew { Vec::new() } else { left });
        self.run = Some(run);

        if outcome.unproven {
            self.snapshot.sync.back_off(env);
            self.fail(
                Code::ReceiptInvalid,
                "the server's receipt does not prove that it holds the entries; they are kept and sent again",
            );
        } else if none_taken {
            self.snapshot.sync.back_off(env);
            self.fail(
                Code::Overloaded,
                "the server took none of the entries; they are kept and sent again",
            );
        } else if flapping {
            self.snapshot.sync.back_off(env);
            self.fail(
                Code::Overloaded,
                "the server changes between two histories; everything is kept",
            );
        } else if stop {
            self.finish(None);
        } else {
            self.go_on(env);
        }
    }

    /// Whether the server turns out not to know this device, which can show it its
    /// enrolment; or has just heard that.
    fn introduces_itself(&self, sent: &Sent, knew: bool) -> bool {
        returned::enrolment(&self.snapshot).is_some_and(|enrolment| {
            let lacks = knew && returned::is_unknown(&self.snapshot);
            let heard = sent.hashes.contains(&enrolment)
                && self.snapshot.deliveries.is_delivered(&enrolment);
            lacks || heard
        })
    }

    /// Plans the rest of the run anew, with what was not taken in it.
    fn offer_again(&mut self, run: &mut super::Run) {
        let deliveries = &self.snapshot.deliveries;
        let report = &mut run.report;
        run.done.retain(|hash| {
            let told = deliveries.of(hash).map(|delivery| delivery.standing);
            let count = match told {
                Some(Standing::Refused) => &mut report.refused,
                Some(Standing::Stuck) => &mut report.stuck,
                Some(_) => return true,
                None => return false,
            };
            *count = count.saturating_sub(1);
            false
        });
        run.plan = self.plan(&run.done, run.plan.max_bytes());
    }

    /// The answer's receipt, if it is the server's own for this phone and history.
    /// Kept for ever if it proves anything that is not known yet.
    fn take_receipt(
        &mut self,
        response: &exchange::Response,
        key: &PublicKey,
        changes: &mut Vec<Change>,
    ) -> Option<Receipt> {
        let compact = response.receipt.as_deref()?;
        let receipt = Receipt::verify(compact, key).ok()?;
        let ours = self.snapshot.identity.mission() == Some(receipt.mission)
            && receipt.epoch == response.epoch;
        if !ours {
            return None;
        }
        // One that the server signs while it lacks what was seen of it would go beyond
        // the proof of that, and hide it, if the proof does not get through.
        let lacks = response.receipt_wanted && self.snapshot.receipt().is_some();
        if (!lacks && self.see(compact, &receipt)) || !receipt.entries.is_empty() {
            changes.push(Change::Receipt(compact.to_owned()));
        }
        Some(receipt)
    }

    fn take_outcomes(
        &mut self,
        sent: &Sent,
        response: &exchange::Response,
        receipt: Option<&Receipt>,
        run: &mut super::Run,
        changes: &mut Vec<Change>,
        env: &dyn Environment,
    ) -> Outcomes {
        let mut open: BTreeSet<EntryHash> = sent.hashes.iter().copied().collect();
        let mut result = Outcomes::default();
        let mut fork = false;
        for outcome in &response.outcomes {
            if !open.contains(&outcome.hash) {
                continue;
            }
            fork |= outcome.fork && self.is_current(&outcome.hash);
            let number = receipt.and_then(|receipt| receipt.number_of(&outcome.hash));
            if !planted(Fault::DeliveredUnproved)
                && outcome.outcome.is_delivered()
                && (number.is_none()
                    || outcome
                        .number
                        .is_some_and(|claimed| Some(claimed) != number))
            {
                result.unproven = true;
                continue;
            }
            open.remove(&outcome.hash);
            result.processed += 1;
            run.done.insert(outcome.hash);
            let delivery = if self.returned.contains_key(&outcome.hash) {
                run.report.returned += usize::from(outcome.outcome.is_delivered());
                self.delivery_of_returned(outcome, number)
            } else {
                self.delivery(outcome, number, &mut run.report)
            };
            self.snapshot
                .deliveries
                .by_hash
                .insert(outcome.hash, delivery.clone());
            changes.push(Change::Delivery(outcome.hash, delivery));
        }
        if fork && !run.report.new_journal && !planted(Fault::ForkKeepsJournal) {
            // Somebody else writes into this journal too; further entries go to a new one.
            run.report.new_journal = true;
            let journal = JournalId(host::uuid(env));
            self.snapshot.current_journal = Some(journal);
            changes.push(Change::CurrentJournal(journal));
        }
        // In the order in which they were sent.
        result.unprocessed = sent
            .hashes
            .iter()
            .copied()
            .filter(|hash| open.contains(hash))
            .collect();
        result
    }

    /// Remembers the highest receipt of a history: one that says less, or another
    /// thing, does not replace the proof of what the server once confirmed. Whether it
    /// is the highest.
    fn see(&mut self, compact: &str, receipt: &Receipt) -> bool {
        let sync = &mut self.snapshot.sync;
        let behind = sync.seen.as_ref().is_some_and(|seen| {
            seen.epoch == receipt.epoch.0 && seen.number >= receipt.head.number
        });
        if behind || planted(Fault::SeenReceiptNotKept) {
            return false;
        }
        let seen = Seen {
            epoch: receipt.epoch.0,
            number: receipt.head.number,
            chain: receipt.head.chain,
        };
        let name = Receipt::name(compact);
        sync.prove(Proof {
            seen,
            receipt: name,
        });
        self.snapshot.receipts.insert(name, compact.to_owned());
        true
    }

    /// Whether an entry stands in the journal that new entries go to.
    fn is_current(&self, hash: &EntryHash) -> bool {
        let entry = self
            .snapshot
            .entries
            .iter()
            .find(|entry| entry.hash == *hash);
        entry.is_some_and(|entry| Some(entry.journal) == self.snapshot.current_journal)
    }

    /// How an entry stands after an outcome, counted.
    fn delivery(
        &self,
        outcome: &exchange::Outcome,
        number: Option<u64>,
        report: &mut super::SyncReport,
    ) -> Delivery {
        let before = self.snapshot.deliveries.told(&outcome.hash);
        let (standing, count) = match outcome.outcome {
            exchange::OutcomeKind::Stored => (Standing::Delivered, &mut report.delivered),
            exchange::OutcomeKind::AlreadyStored => {
                // A repeated answer does not say again that it was set aside.
                let known = before
                    .map(|before| before.standing)
                    .filter(|standing| matches!(standing, Standing::Held | Standing::Quarantined));
                let standing = match outcome.code {
                    Some(_) => Standing::Quarantined,
                    None => known.unwrap_or(Standing::Delivered),
                };
                (standing, &mut report.already_stored)
            }
            exchange::OutcomeKind::Held => (Standing::Held, &mut report.held),
            exchange::OutcomeKind::Quarantined => (Standing::Quarantined, &mut report.quarantined),
            exchange::OutcomeKind::Refused => (Standing::Refused, &mut report.refused),
        };
        *count += 1;
        let refused = standing == Standing::Refused;
        let tries = before.map_or(0, |before| before.tries);
        Delivery {
            standing,
            number,
            code: outcome.code,
            epoch: self.snapshot.sync.epoch,
            tries: if refused {
                tries.saturating_add(1)
            } else {
                tries
            },
            in_doubt: false,
        }
    }

    /// How what was handed back stands. A repeated answer does not say whether it
    /// counts by now: if it does, it comes as news.
    fn delivery_of_returned(&self, outcome: &exchange::Outcome, number: Option<u64>) -> Delivery {
        let delivery = self.delivery(outcome, number, &mut SyncReport::default());
        let repeated = outcome.outcome == exchange::OutcomeKind::AlreadyStored;
        match delivery.standing {
            Standing::Delivered if repeated => Delivery {
                standing: Standing::Held,
                ..delivery
            },
            _ => delivery,
        }
    }

    fn mark_stuck(
        &mut self,
        hash: EntryHash,
        code: Code,
        run: &mut super::Run,
        changes: &mut Vec<Change>,
    ) {
        let tries = self
            .snapshot
            .deliveries
            .by_hash
            .get(&hash)
            .map_or(0, |before| before.tries);
        let delivery = Delivery {
            standing: if planted(Fault::StuckDelivered) {
                Standing::Delivered
            } else {
                Standing::Stuck
            },
            number: None,
            code: Some(code),
            epoch: self.snapshot.sync.epoch,
            tries: tries.saturating_add(1),
            in_doubt: false,
        };
        run.report.stuck += 1;
        run.done.insert(hash);
        self.snapshot
            .deliveries
            .by_hash
            .insert(hash, delivery.clone());
        changes.push(Change::Delivery(hash, delivery));
    }

    /// Marks the one entry of a batch as stuck at once, once this run has shown
    /// that requests as such are answered.
    pub(super) fn set_aside(&mut self, hash: EntryHash, code: Code, env: &dyn Environment) {
        let Some(mut run) = self.run.take() else {
            return;
        };
        let mut changes = Vec::new();
        self.mark_stuck(hash, code, &mut run, &mut changes);
        self.run = Some(run);
        self.out.push_back(Command::Apply(changes));
        self.go_on(env);
    }

    fn take_items(
        &mut self,
        sent: &Sent,
        response: &exchange::Response,
        key: &PublicKey,
        run: &mut super::Run,
        changes: &mut Vec<Change>,
    ) {
        let rejected = run.report.items_rejected;
        for item in &response.items {
            let entry = SdJwt::from_wire(&item.entry)
                .ok()
                .filter(|entry| entry.verify(key, DECISION_TYP).is_ok());
            let Some(entry) = entry else {
                run.report.items_rejected += 1;
                continue;
            };
            let kept = KeptItem {
                number: item.number,
                epoch: response.epoch,
                compact: entry.compact().to_owned(),
                in_doubt: false,
            };
            let before = self.snapshot.items.insert(entry.hash(), kept.clone());
            let is_message = entry
                .read()
                .is_ok_and(|read| read.payload.kind == Kind::Message);
            let count = if is_message {
                &mut run.report.messages
            } else {
                &mut run.report.items
            };
            *count += usize::from(before.is_none());
            changes.push(Change::Item(entry.hash(), kept));
        }
        let sync = &mut self.snapshot.sync;
        // What was damaged on its way comes whole another time; what never does must
        // not be in the way of what comes after it.
        let whole = run.report.items_rejected == rejected || sync.rejected >= REJECTED;
        sync.rejected = if whole { 0 } else { sync.rejected + 1 };
        let moved = whole && response.cursor.is_some() && response.cursor != sync.cursor;
        if moved {
            sync.cursor.clone_from(&response.cursor);
        }
        if let Some(code) = response.token {
            sync.token = None;
            if run.token_asked {
                run.report.reading = Some(code);
                run.news_read = true;
            }
        } else if sent.with_token {
            run.news_read = !(response.more && moved);
            run.pages = run.pages.saturating_sub(1);
        }
    }
}

/// Names of the server's history that one run gets used to.
const HISTORIES: u32 = 2;
/// Times that a page of items is asked for again because some were not believed.
const REJECTED: u32 = 3;

/// What became of the entries of one exchange.
#[derive(Debug, Default)]
struct Outcomes {
    processed: usize,
    unprocessed: Vec<EntryHash>,
    /// An entry was called delivered without proof.
    unproven: bool,
}
