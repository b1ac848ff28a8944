//! What must hold of messages to observers.

use std::collections::BTreeSet;

use protocol::{entry::Kind, ids::EntryHash};
use sync_core::client::Message;

use super::{at_once, broken};
use crate::sim::{oracle::Broken, world::World};

/// I8 and I5: a phone has each message that was for its observer, once, and no
/// other; and what it has, the server has, also if it had lost it.
pub(super) fn arrived(world: &World, id: usize) -> Result<(), Broken> {
    let client = world.phones[id].client.as_ref();
    let here = client.and_then(|client| at_once(client.messages())?.ok());
    let Some(here) = here else {
        return broken("I16 convergence", format!("phone {id} shows no messages"));
    };
    only_sent(world, id, &here)?;
    if world.revoked.contains(&world.phones[id].observer) {
        return Ok(());
    }
    let observer = world.phones[id].observer;
    let names: BTreeSet<EntryHash> = here.iter().map(|message| message.entry).collect();
    if let Some(lost) = names.iter().find(|hash| !world.oracle.holds(hash)) {
        return broken(
            "I5 recovery",
            format!("phone {id} has the message {lost} that the server lost"),
        );
    }
    let counts = in_ledger(world);
    let mine = |to: &Option<usize>| to.is_none_or(|to| to == observer);
    let lacking = world
        .messages
        .iter()
        .find(|(hash, to)| mine(to) && counts.contains(*hash) && !names.contains(*hash));
    match lacking {
        None => Ok(()),
        Some((hash, _)) => broken("I8 news", format!("phone {id} lacks the message {hash}")),
    }
}

/// Every message was sent, to this observer, and is there once.
fn only_sent(world: &World, id: usize, here: &[Message]) -> Result<(), Broken> {
    let observer = world.phones[id].observer;
    let mut texts = BTreeSet::new();
    for message in here {
        match world.messages.get(&message.entry) {
            None => return broken("I8 news", format!("phone {id} has a message of nobody")),
            Some(Some(to)) if *to != observer => {
                return broken("I8 news", format!("phone {id} has a message to another"));
            }
            Some(_) => {}
        }
        if !texts.insert(&message.text) {
            return broken("I2 exactly once", format!("phone {id} has a message twice"));
        }
    }
    Ok(())
}

/// The messages that count.
fn in_ledger(world: &World) -> BTreeSet<EntryHash> {
    super::rows(world)
        .iter()
        .filter(|row| row.kind == Kind::Message.name() && row.standing == "applied")
        .filter_map(|row| Some(EntryHash(row.hash.as_slice().try_into().ok()?)))
        .collect()
}
