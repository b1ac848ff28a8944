//! The three requests.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{
    PROTOCOL_VERSION,
    assertion::{self, Assertion},
    codes::Code,
    encoding::b64,
    enrolment,
    entry::{Seen, WireEntry},
    exchange,
    ids::EntryHash,
    limits,
    planted::{Fault, is as planted},
};

use super::{ASSERTION_LIFE, Command, Engine, Sent, Waiting, returned, state::Pending};
use crate::host::Environment;

impl Engine {
    pub(super) fn send_enrolment(&mut self) {
        let Some(invitation) = self.snapshot.identity.invitation() else {
            return self.fail(
                Code::LinkInvalid,
                "the enrolment link is damaged; ask for a new one",
            );
        };
        let proof = enrolment::Proof {
            code: invitation.code.clone(),
            aud: invitation.key,
        };
        match proof.sign(self.signer.as_ref()) {
            Err(error) => self.fail(Code::StoreFailed, error.to_string()),
            Ok(proof) => {
                let key = self.signer.public().to_jwk();
                let request = enrolment::Request {
                    code: invitation.code,
                    key,
                    proof,
                };
                self.wait_for(Waiting::Enrolment, Command::SendEnrolment(request));
            }
        }
    }

    pub(super) fn send_exchange(&mut self, mut sent: Sent, env: &dyn Environment) {
        let now = env.now();
        let wanted: BTreeSet<_> = sent.hashes.iter().collect();
        let of_hash: BTreeMap<_, _> = self
            .snapshot
            .entries
            .iter()
            .filter(|entry| wanted.contains(&entry.hash))
            .map(|entry| (entry.hash, entry))
            .collect();
        let entries = sent
            .hashes
            .iter()
            .filter_map(|hash| of_hash.get(hash))
            .map(|entry| entry.sd.to_wire())
            .collect();
        let returned = sent
            .hashes
            .iter()
            .filter_map(|hash| self.returned.get(hash))
            .map(|returned| returned.wire.clone())
            .collect();
        let sync = &self.snapshot.sync;
        let present = |seen: &Seen| sync.epoch.is_some_and(|epoch| epoch.0 == seen.epoch);
        let seen = sync.seen.clone().filter(present);
        let token = if sent.with_token {
            self.snapshot.sync.valid_token(now)
        } else {
            None
        };
        sent.with_token = token.is_some();
        let token = token.map(str::to_owned);
        let request = exchange::Request {
            protocol: PROTOCOL_VERSION,
            app: self.snapshot.app.clone(),
            journals: self.heads(&sent.hashes),
            clock: Some(now.at()),
            entries,
            cursor: self.snapshot.sync.cursor.clone(),
            seen,
            receipt: self.run.as_ref().and_then(|run| run.proof.clone()),
            returned,
            former: returned::former(&self.snapshot, &self.returned, &sent.hashes),
            reference: self.holdings(sent.with_token),
        };
        self.wait_for(
            Waiting::Exchange(sent),
            Command::SendExchange {
                request: Box::new(request),
                token,
            },
        );
    }

    /// The journals' heads, with what will wait once `sent` has been delivered.
    /// With more journals than an exchange carries, those that wait come first.
    fn heads(&self, sent: &[EntryHash]) -> Vec<exchange::JournalHead> {
        let mut pending = Pending::new();
        for entry in &self.snapshot.entries {
            if !self.snapshot.deliveries.is_delivered(&entry.hash) && !sent.contains(&entry.hash) {
                *pending.entry(entry.journal).or_insert(0) += 1;
            }
        }
        let mut heads: Vec<_> = self
            .snapshot
            .heads
            .iter()
            .map(|(journal, head)| exchange::JournalHead {
                journal: *journal,
                head: *head,
                pending: pending.get(journal).copied().unwrap_or(0),
            })
            .collect();
        heads.sort_by_key(|head| std::cmp::Reverse(head.pending));
        heads.truncate(limits::EXCHANGE_JOURNALS);
        heads
    }

    pub(super) fn send_token(&mut self, env: &dyn Environment) {
        let Some(enrolled) = &self.snapshot.identity.enrolled else {
            return;
        };
        let mut jti = [0; 16];
        env.random(&mut jti);
        let thumbprint = self.signer.public().thumbprint();
        // By the server's clock: the device's own may be years off.
        let time = if planted(Fault::AssertionByWallClock) {
            env.now().wall
        } else {
            self.snapshot.sync.server_time(env.now())
        };
        let iat = time / 1_000_000;
        let assertion = Assertion {
            iss: thumbprint.clone(),
            sub: thumbprint,
            aud: assertion::audience(&enrolled.receipt_key.thumbprint()),
            iat,
            exp: iat + ASSERTION_LIFE,
            jti: b64(jti),
        };
        if let Some(run) = &mut self.run {
            run.token_asked = true;
        }
        match assertion.sign(self.signer.as_ref()) {
            Err(error) => self.fail(Code::StoreFailed, error.to_string()),
            Ok(assertion) => self.wait_for(Waiting::Token, Command::SendToken { assertion }),
        }
    }
}

/// Bytes that an entry takes in an exchange.
pub(super) fn exchange_size(entry: &WireEntry) -> usize {
    serde_json::to_string(entry).map_or(limits::ENTRY_BYTES, |json| json.len() + 1)
}
