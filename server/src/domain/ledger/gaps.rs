//! Gaps: places of a journal that never came, though the phone has nothing
//! left to send. A gap is a finding, never a refusal.

use std::collections::{HashMap, HashSet};

use protocol::exchange::JournalHead;
use uuid::Uuid;

use super::{append::uuid_of, project::Projector};
use crate::{
    clock::Micros,
    domain::{acts::MissionRef, flags},
    error::Result,
    store::{
        Conn,
        bulk::{self, Contact},
        ledger,
    },
};

/// What a phone said of one of its journals.
#[derive(Clone, Debug)]
pub struct Contacted {
    /// The journal and its state.
    pub head: JournalHead,
}

/// Remembers what phones said and flags, or clears, the reports behind a gap.
pub(super) fn update(
    conn: &mut Conn,
    mission: MissionRef,
    contacted: &[Contacted],
    brought: &HashMap<Uuid, Vec<i64>>,
    projector: &mut Projector,
    now: Micros,
) -> Result<()> {
    let said: HashMap<Uuid, &JournalHead> = contacted
        .iter()
        .map(|c| (c.head.journal.0, &c.head))
        .collect();
    let journals: Vec<Vec<u8>> = said
        .keys()
        .chain(brought.keys())
        .chain(projector.journals())
        .collect::<HashSet<_>>()
        .into_iter()
        .map(|id| id.as_bytes().to_vec())
        .collect();
    if journals.is_empty() {
        return Ok(());
    }
    let before: HashMap<Vec<u8>, Contact> = bulk::contacts(conn, mission.no, &journals)?
        .into_iter()
        .map(|c| (c.journal.clone(), c))
        .collect();
    let mut contacts = Vec::new();
    let mut whole = HashSet::new();
    for journal in &journals {
        let id = uuid_of(journal).unwrap_or_default();
        let said = said.get(&id);
        let old = before.get(journal);
        let Some(contact) = said.map_or_else(
            || old.cloned(),
            |head| {
                Some(Contact {
                    mission: mission.no,
                    journal: journal.clone(),
                    head: i64::try_from(head.head).unwrap_or(i64::MAX),
                    pending: i64::try_from(head.pending).unwrap_or(i64::MAX),
                    contacted_at: now.0,
                    gap: old.is_some_and(|old| old.gap),
                })
            },
        ) else {
            continue;
        };
        if brought
            .get(&id)
            .is_some_and(|seqs| continues(old, &contact, seqs))
        {
            whole.insert(journal.clone());
        }
        contacts.push(contact);
    }
    evaluate(conn, mission, &mut contacts, &whole, projector)
}

/// Whether a journal that had no gap when it was last looked at has none still,
/// because the batch brought exactly what was added to it: the usual case, told
/// without counting the journal.
fn continues(old: Option<&Contact>, new: &Contact, brought: &[i64]) -> bool {
    let known = match old {
        None => 0,
        Some(old) if old.pending == 0 && !old.gap => old.head,
        Some(_) => return false,
    };
    let places: HashSet<i64> = brought.iter().copied().collect();
    let added = usize::try_from(new.head.saturating_sub(known)).unwrap_or(usize::MAX);
    added <= places.len()
        && (known..new.head).all(|place| places.contains(&(place + 1)))
        && places.iter().all(|place| *place <= new.head)
}

/// Evaluates every journal of a mission anew, for a rebuild.
///
/// # Errors
/// The database's.
pub fn reproject_gaps(
    conn: &mut Conn,
    mission: MissionRef,
    projector: &mut Projector,
) -> Result<()> {
    let mut contacts = bulk::all_contacts(conn, mission.no)?;
    for chunk in contacts.chunks_mut(500) {
        // Their flags are gone, so none counts as set.
        chunk.iter_mut().for_each(|contact| contact.gap = false);
        evaluate(conn, mission, chunk, &HashSet::new(), projector)?;
    }
    Ok(())
}

/// Which journals have a gap, and which reports stand behind one. The journals
/// in `whole` are known to have none.
fn evaluate(
    conn: &mut Conn,
    mission: MissionRef,
    contacts: &mut [Contact],
    whole: &HashSet<Vec<u8>>,
    projector: &mut Projector,
) -> Result<()> {
    let idle: Vec<Vec<u8>> = contacts
        .iter()
        .filter(|contact| contact.pending == 0 && !whole.contains(&contact.journal))
        .map(|contact| contact.journal.clone())
        .collect();
    let counts: HashMap<Vec<u8>, (i64, i64)> = bulk::journal_counts(conn, mission.no, &idle)?
        .into_iter()
        .map(|(journal, places, highest)| (journal, (places, highest)))
        .collect();
    let mut changed = Vec::new();
    for contact in contacts.iter_mut() {
        let (places, highest) = counts.get(&contact.journal).copied().unwrap_or((0, 0));
        let gap = contact.pending == 0
            && !whole.contains(&contact.journal)
            && places < highest.max(contact.head);
        if gap || contact.gap {
            changed.push((contact.journal.clone(), gap));
        }
        contact.gap = gap;
    }
    bulk::set_contacts(conn, contacts)?;
    // What another journal still holds behind a gap stays flagged; flags are
    // set last, so the order of the journals does not matter.
    let mut flagged = HashSet::new();
    for (journal, gap) in changed {
        let (behind, others) = split(conn, mission, &journal, gap)?;
        for subject in others {
            if projector.has_flag(conn, subject, flags::GAP)?
                && !is_behind_elsewhere(conn, mission, subject, &journal)?
            {
                projector.flag(conn, &[subject], flags::GAP, false)?;
            }
        }
        flagged.extend(behind);
    }
    let flagged: Vec<Uuid> = flagged.into_iter().collect();
    projector.flag(conn, &flagged, flags::GAP, true)
}

/// What a journal's entries are about: those right behind a missing place, and
/// the others.
fn split(
    conn: &mut Conn,
    mission: MissionRef,
    journal: &[u8],
    gap: bool,
) -> Result<(HashSet<Uuid>, HashSet<Uuid>)> {
    let places = bulk::places(conn, mission.no, &[(journal.to_vec(), 0)])?;
    let taken: HashSet<i64> = places.iter().filter_map(|place| place.seq).collect();
    let mut behind = HashSet::new();
    let mut others = HashSet::new();
    for place in &places {
        if let (Some(seq), Some(subject)) = (place.seq, place.subject.as_deref().and_then(uuid_of))
        {
            let missing = gap && seq > 1 && !taken.contains(&(seq - 1));
            let set = if missing { &mut behind } else { &mut others };
            set.insert(subject);
        }
    }
    others.retain(|subject| !behind.contains(subject));
    Ok((behind, others))
}

fn is_behind_elsewhere(
    conn: &mut Conn,
    mission: MissionRef,
    subject: Uuid,
    journal: &[u8],
) -> Result<bool> {
    let journals: HashSet<Vec<u8>> = ledger::of_subject(conn, mission.no, subject.as_bytes())?
        .into_iter()
        .filter_map(|row| row.journal)
        .filter(|other| other.as_slice() != journal)
        .collect();
    for other in journals {
        let contact = bulk::contacts(conn, mission.no, std::slice::from_ref(&other))?;
        if contact.first().is_some_and(|contact| contact.gap)
            && split(conn, mission, &other, true)?.0.contains(&subject)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(head: i64, pending: i64, gap: bool) -> Contact {
        Contact {
            mission: 1,
            journal: vec![],
            head,
            pending,
            contacted_at: 0,
            gap,
        }
    }

    #[test]
    fn only_what_follows_on_spares_the_count() {
        let whole = |old: Option<(i64, i64, bool)>, head, brought: &[i64]| {
            let old = old.map(|(head, pending, gap)| contact(head, pending, gap));
            continues(old.as_ref(), &contact(head, 0, false), brought)
        };
        // what was known, the journal's head now, what the batch brought
        for (old, head, brought, expected) in [
            (None, 3, &[1, 2, 3][..], true),
            (None, 3, &[3, 1, 2, 2], true),
            (None, 0, &[], true),
            (None, 3, &[1, 3], false),
            (None, 3, &[], false),
            (Some((3, 0, false)), 5, &[4, 5], true),
            (Some((3, 0, false)), 3, &[], true),
            (Some((3, 0, false)), 5, &[5], false),
            // it was busy, or had a gap: what it holds is not known
            (Some((3, 1, false)), 5, &[4, 5], false),
            (Some((3, 0, true)), 5, &[4, 5], false),
            // more came than it says it has
            (Some((3, 0, false)), 4, &[4, 5], false),
            // it says it has less than before
            (Some((3, 0, false)), 2, &[], false),
            (Some((i64::MAX, 0, false)), 0, &[], false),
            (Some((0, 0, false)), i64::MAX, &[1], false),
        ] {
            assert_eq!(
                whole(old, head, brought),
                expected,
                "{old:?} {head} {brought:?}"
            );
        }
    }
}
