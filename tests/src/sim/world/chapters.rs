//! What the chapters of a story do (`script/chapters.rs`).

use protocol::ids::UserId;
use scrutineer::domain::messages;
use uuid::Uuid;

use super::{CANARY, DOWN, Event, Syncing, World};
use crate::sim::{fuse::Cut, oracle::Broken, script::Act, server::number};

impl World {
    /// Another version of the program is put on a phone: the one that runs ends.
    pub(super) fn put_version(&mut self, id: usize, old: bool) {
        if self.phones[id].old == old {
            return;
        }
        // What 0.1.0 enrols cannot be handed back to an older database;
        // docs/reliability.md says what follows.
        let put_back = |event: &Event| matches!(event, Event::Step(Act::PutBack { .. }));
        if old && !self.phones[id].is_enrolled() && self.queue.values().any(put_back) {
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
        self.syncing[id] = Syncing {
            // 0.1.0 did not note that the server asked for a wait; docs/reliability.md
            // says what follows.
            not_before: if old { self.syncing[id].not_before } else { 0 },
            ..Syncing::default()
        };
        self.told_forks.retain(|(phone, _)| *phone != id);
        self.after(DOWN, Event::Open(id));
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
}
