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
        ledger::{self, Contact},
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
    touched: &HashSet<Uuid>,
    projector: &mut Projector,
    now: Micros,
) -> Result<()> {
    let said: HashMap<Uuid, &JournalHead> = contacted
        .iter()
        .map(|c| (c.head.journal.0, &c.head))
        .collect();
    let touched: HashSet<Uuid> = touched.union(projector.journals()).copied().collect();
    let journals: Vec<Vec<u8>> = said
        .keys()
        .chain(&touched)
        .collect::<HashSet<_>>()
        .into_iter()
        .map(|id| id.as_bytes().to_vec())
        .collect();
    if journals.is_empty() {
        return Ok(());
    }
    let before: HashMap<Vec<u8>, Contact> = ledger::contacts(conn, mission.no, &journals)?
        .into_iter()
        .map(|c| (c.journal.clone(), c))
        .collect();
    let mut contacts = Vec::new();
    for journal in &journals {
        let said = uuid_of(journal).and_then(|id| said.get(&id));
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
        contacts.push(contact);
    }
    evaluate(conn, mission, &mut contacts, projector)
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
    let mut contacts = ledger::all_contacts(conn, mission.no)?;
    for chunk in contacts.chunks_mut(500) {
        // Their flags are gone, so none counts as set.
        chunk.iter_mut().for_each(|contact| contact.gap = false);
        evaluate(conn, mission, chunk, projector)?;
    }
    Ok(())
}

/// Which journals have a gap, and which reports stand behind one.
fn evaluate(
    conn: &mut Conn,
    mission: MissionRef,
    contacts: &mut [Contact],
    projector: &mut Projector,
) -> Result<()> {
    let idle: Vec<Vec<u8>> = contacts
        .iter()
        .filter(|contact| contact.pending == 0)
        .map(|contact| contact.journal.clone())
        .collect();
    let counts: HashMap<Vec<u8>, (i64, i64)> = ledger::journal_counts(conn, mission.no, &idle)?
        .into_iter()
        .map(|(journal, places, highest)| (journal, (places, highest)))
        .collect();
    let mut changed = Vec::new();
    for contact in contacts.iter_mut() {
        let (places, highest) = counts.get(&contact.journal).copied().unwrap_or((0, 0));
        let gap = contact.pending == 0 && places < highest.max(contact.head);
        if gap || contact.gap {
            changed.push((contact.journal.clone(), gap));
        }
        contact.gap = gap;
    }
    ledger::set_contacts(conn, contacts)?;
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
    let places = ledger::places(conn, mission.no, &[journal.to_vec()], 0)?;
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
        let contact = ledger::contacts(conn, mission.no, std::slice::from_ref(&other))?;
        if contact.first().is_some_and(|contact| contact.gap)
            && split(conn, mission, &other, true)?.0.contains(&subject)
        {
            return Ok(true);
        }
    }
    Ok(false)
}
