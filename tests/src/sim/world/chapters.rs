//! What the chapters of a story do (`script/chapters.rs`).

use protocol::ids::UserId;
use scrutineer::domain::messages;
use uuid::Uuid;

use std::sync::Arc;

use super::{CANARY, DOWN, Event, Syncing, World};
use crate::sim::{
    clock::{MINUTE, SECOND},
    fuse::Cut,
    oracle::{Broken, broken},
    phone::{Done, Work},
    script::Act,
    server::number,
};

impl World {
    /// Another version of the program is put on a phone: the one that runs ends.
    pub(super) fn put_version(&mut self, id: usize, old: bool) {
        if self.phones[id].old == old {
            return;
        }
        // What 0.1.0 enrols cannot be handed back to an older database;
        // docs/reliability.md says what follows.
        if old && !self.phones[id].is_enrolled() && self.goes_back() {
            return;
        }
        self.count(if old {
            "phone set back to 0.1.0"
        } else {
            "phone upgraded again"
        });
        let phone = &mut self.phones[id];
        phone.old = old;
        phone.die(Cut {
            done: false,
            power: false,
        });
        self.syncing[id].forget();
        self.syncing[id] = Syncing {
            not_before: self.syncing[id].not_before,
            ..Syncing::default()
        };
        self.told_forks.retain(|(phone, _)| *phone != id);
        self.after(DOWN, Event::Open(id));
    }

    /// Whether an older database will be put in place.
    fn goes_back(&self) -> bool {
        let put_back = |event: &Event| matches!(event, Event::Step(Act::PutBack { .. }));
        self.queue.values().any(put_back)
    }

    /// The observer opens the phone's link.
    pub(super) fn use_link(&mut self, id: usize) {
        let link = self.phones[id].link.clone();
        self.phones[id].with(Work::Asked, |client| async move {
            // It stays pending if it fails; a sync completes it.
            let kept = client.enrol(&link).await;
            let open = client.enrolment().await.ok().flatten().is_some();
            Done::Enrolled(kept.is_ok() || open)
        });
    }

    /// The database is from before the link that a phone was given: its observer gets
    /// another.
    pub(super) fn invite_again(&mut self, id: usize) -> Result<(), Broken> {
        let phone = &self.phones[id];
        let lacks = phone.client.is_some() && !phone.is_busy() && phone.is_unknown();
        if !self.put_back || !lacks {
            return Ok(());
        }
        self.count("phone invited again");
        self.phones[id].link = self.servers.invite(self.phones[id].observer);
        self.use_link(id);
        self.poll(id)
    }

    /// Phones at rest have today's version: what an earlier one cannot know is
    /// made up for then.
    pub(super) fn upgrade_all(&mut self) {
        for id in 0..self.phones.len() {
            self.put_version(id, false);
        }
    }

    /// A coordinator tells the observer of a phone something, or everybody.
    pub(super) fn tell(&mut self, phone: Option<usize>) -> Result<(), Broken> {
        let observer = phone.map(|phone| self.phones[phone].observer);
        let wish = messages::Wish {
            text: format!("{CANARY}: message {}", self.messages.len()),
            urgent: observer.is_some(),
            accreditations: observer.into_iter().map(number).collect(),
            ..messages::Wish::default()
        };
        let mission = self.servers.mission;
        let office = self.servers.app().office();
        let actor = UserId(Uuid::from_u128(7));
        let sent = self
            .servers
            .store()
            .write(|conn| messages::send(conn, office, mission, actor, wish))
            .map_err(|error| Broken {
                rule: "I17 no failure",
                what: format!("a message was not sent: {error}"),
            })?;
        self.messages.insert(sent.entry, observer);
        self.oracle.read_ledger(&self.servers)
    }

    /// A phone's keys are gone. What is on it is handed in later, more than once.
    pub(super) fn lose_keys(&mut self, id: usize) {
        if self.goes_back() {
            // What it enrols next must be handed back.
            self.put_version(id, false);
        }
        let (phones, servers) = (&mut self.phones, &self.servers);
        let observer = phones[id].observer;
        let Some(bundle) = phones[id].lose_keys(|| servers.invite(observer)) else {
            return;
        };
        self.count("phone lost its keys");
        let mine = self.oracle.files.iter().filter(|(_, phone)| **phone == id);
        self.brought.extend(mine.map(|(file, _)| (*file, observer)));
        self.syncing[id] = Syncing::default();
        self.told_forks.retain(|(phone, _)| *phone != id);
        self.after(DOWN, Event::Open(id));
        self.bundles.push(Arc::new(bundle));
        for _ in 0..2 {
            let wait = self.phones[id].chance.below(6 * 3_600);
            let wait = i64::try_from(wait).unwrap_or(0) * SECOND;
            self.after(wait, Event::HandIn(self.bundles.len() - 1));
        }
    }

    /// Every bundle is handed in once more.
    pub(super) fn hand_in_all(&mut self) {
        for bundle in 0..self.bundles.len() {
            self.after(MINUTE, Event::HandIn(bundle));
        }
    }

    /// Somebody brings a bundle to the server's machine, if that is up.
    pub(super) fn hand_in(&mut self, bundle: usize) -> Result<(), Broken> {
        if self.now.get() < self.down_until {
            return Ok(());
        }
        self.count("bundle handed in");
        let imported = self.servers.import(&self.bundles[bundle]);
        if imported.refused > 0 {
            return broken("I1 no loss", format!("a bundle was refused: {imported:?}"));
        }
        // Whoever wrote it is not there to be told of a fork.
        self.oracle.carried = true;
        let read = self.oracle.read_ledger(&self.servers);
        self.oracle.carried = false;
        read
    }
}
