//! The two ends of an exchange, apart from the commit in the middle: what a
//! request asks for, and the answer to it. No HTTP here.

use protocol::{
    PROTOCOL_VERSION,
    arrange::arrange,
    codes::Code,
    entry::{SdJwt, Seen},
    exchange::{Item, JournalHead, Outcome, OutcomeKind, Request, Response},
    ids::{EntryHash, EpochId},
    jose::SoftwareKey,
    limits,
    planted::{Fault, is as planted},
    receipt::{Head, Held, Receipt},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    batch::{Batch, Committed},
    returned::Returned,
    verify::{Checked, DeviceKeys},
};
use crate::{
    clock::Micros,
    domain::{
        acts::MissionRef,
        epoch,
        ledger::{Contacted, Incoming},
    },
    error::{Error, Result},
    store::{Conn, Store, ledger},
};

/// What the answer lists: each entry's hash, and why it was refused if it was.
pub type Order = Vec<(EntryHash, Option<Code>)>;

/// A request after verification.
#[derive(Debug)]
pub struct Prepared {
    /// The mission that the entries are for, if any entry is signed.
    pub mission: Option<MissionRef>,
    /// What to commit.
    pub batch: Batch,
    /// What the answer says besides.
    pub known: Known,
    order: Order,
}

/// What was found out of the ledger while a request was prepared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// The history at that time, if it was looked up.
    pub epoch: Option<EpochId>,
    /// The ledger does not hold what the phone has seen of it.
    pub receipt_wanted: bool,
}

/// Checks a request's form, before anything is looked up for it.
///
/// # Errors
/// A version or a number of entries that is not accepted.
pub fn check_form(request: &Request) -> Result<()> {
    if request.protocol == 0 || request.protocol > PROTOCOL_VERSION {
        return Err(Error::refused(
            Code::UnsupportedProtocol,
            format!("this server speaks protocol versions 1 to {PROTOCOL_VERSION}"),
        ));
    }
    if request.entries.len() + request.returned.len() > limits::EXCHANGE_ENTRIES
        || request.former.len() > limits::EXCHANGE_ENTRIES
        || request.journals.len() > limits::EXCHANGE_JOURNALS
    {
        return Err(Error::refused(
            Code::TooManyEntries,
            format!(
                "at most {} entries and {} journals",
                limits::EXCHANGE_ENTRIES,
                limits::EXCHANGE_JOURNALS
            ),
        ));
    }
    Ok(())
}

/// Verifies a request's entries. Entries of another mission than the first
/// signed one are left unprocessed: the sender offers them again. `returned` is
/// what [`super::returned::check`] made of what the phone hands back; enrolments
/// among it are in the ledger by now.
///
/// # Errors
/// The database's.
pub fn prepare(
    keys: &DeviceKeys,
    store: &Store,
    request: &Request,
    returned: Vec<Returned>,
    now: Micros,
) -> Result<Prepared> {
    let skew = request
        .clock
        .as_ref()
        .and_then(|clock| Micros::parse(&clock.wall))
        .map(|wall| wall.0.saturating_sub(now.0));
    let mut mission: Option<MissionRef> = None;
    let mut signed = Vec::with_capacity(request.entries.len());
    let mut order = Order::with_capacity(request.entries.len());
    for checked in keys.check(store, &request.entries, skew)? {
        match checked {
            Checked::Refused(hash, code) => order.push((hash, Some(code))),
            Checked::Signed(key, entry) => {
                if mission.get_or_insert(key.mission).no == key.mission.no {
                    signed.push((entry.hash, *entry));
                }
            }
        }
    }
    let mut own = Vec::with_capacity(returned.len());
    for one in returned {
        match one {
            Returned::Refused(hash, code) => order.push((hash, Some(code))),
            Returned::Own(of, entry) => {
                if mission.get_or_insert(of).no == of.no {
                    let base = entry.read.as_ref().and_then(|read| read.payload.base);
                    own.push((entry.hash, base, *entry));
                }
            }
        }
    }
    let entries: Vec<Incoming> = arrange(signed, own)
        .into_iter()
        .map(|(hash, entry)| {
            order.push((hash, None));
            entry
        })
        .collect();
    // Only a signed entry vouches for what is said of journals and numbers.
    let contacts = request
        .journals
        .iter()
        .filter(|head| speaks_for(&entries, head))
        .cloned()
        .map(|head| Contacted { head })
        .collect();
    let former = request
        .former
        .iter()
        .filter(|former| entries.iter().any(|entry| entry.hash == former.hash))
        .cloned()
        .collect();
    // Without a mission, any ledger that holds it confirms it.
    let known = match &request.seen {
        // The commit tells.
        None if !entries.is_empty() => Known::default(),
        seen => store.read(|conn| Known::look(conn, mission, seen.as_ref()))?,
    };
    if let Some(epoch) = known.epoch {
        keys.enter(epoch);
    }
    Ok(Prepared {
        mission,
        batch: Batch {
            entries,
            contacts,
            former,
        },
        known,
        order,
    })
}

impl Known {
    fn look(conn: &mut Conn, mission: Option<MissionRef>, seen: Option<&Seen>) -> Result<Self> {
        let epoch = epoch::current(conn)?;
        let receipt_wanted = match (seen, mission) {
            (None, _) => false,
            (Some(seen), Some(mission)) => !epoch::confirms(conn, mission, epoch, seen)?,
            (Some(seen), None) => !epoch::confirms_any(conn, epoch, seen)?,
        };
        Ok(Self {
            epoch: Some(epoch),
            receipt_wanted,
        })
    }
}

fn speaks_for(entries: &[Incoming], head: &JournalHead) -> bool {
    entries.iter().any(|entry| {
        entry
            .read
            .as_ref()
            .is_some_and(|read| read.payload.journal == Some(head.journal))
    })
}

/// Puts the answer together, receipt included. `committed` is what the commit
/// of [`Prepared::batch`] left.
///
/// # Errors
/// When the receipt cannot be signed.
pub fn answer(
    order: Order,
    mission: Option<MissionRef>,
    committed: Option<Committed>,
    key: &SoftwareKey,
    known: Known,
    now: Micros,
) -> Result<Response> {
    let epoch = committed
        .as_ref()
        .map(|committed| committed.epoch)
        .or(known.epoch)
        .ok_or_else(|| Error::Internal("an answer without a history".into()))?;
    let mut receipt = None;
    let mut appended = Vec::new();
    if let (Some(mission), Some(committed)) = (mission, committed) {
        let held = order
            .iter()
            .filter(|(_, refused)| refused.is_none())
            .zip(&committed.appended)
            .map(|((hash, _), appended)| Held {
                hash: *hash,
                number: number(appended.number),
            })
            .collect();
        let statement = Receipt {
            v: 1,
            mission: mission.id,
            epoch,
            at: now.rfc3339(),
            head: Head {
                number: number(committed.number),
                chain: EntryHash(committed.chain),
            },
            entries: held,
        };
        receipt = Some(
            statement
                .sign(key)
                .map_err(|error| Error::Internal(error.to_string()))?,
        );
        appended = committed.appended;
    }
    let mut appended = appended.into_iter();
    let outcomes = order
        .into_iter()
        .filter_map(|(hash, refused)| match refused {
            Some(code) => Some(Outcome {
                hash,
                outcome: OutcomeKind::Refused,
                number: None,
                code: Some(code),
                fork: false,
            }),
            None => appended.next().map(|entry| Outcome {
                hash,
                outcome: entry.outcome,
                number: Some(number(entry.number)),
                code: entry.code,
                fork: entry.fork,
            }),
        })
        .collect();
    Ok(Response {
        protocol: PROTOCOL_VERSION,
        epoch,
        server_time: now.rfc3339(),
        outcomes,
        receipt,
        items: Vec::new(),
        cursor: None,
        more: false,
        directives: protocol::exchange::Directives::default(),
        token: None,
        receipt_wanted: known.receipt_wanted,
        reference: Vec::new(),
    })
}

impl Prepared {
    /// Takes the parts.
    #[must_use]
    pub fn into_parts(self) -> (Option<MissionRef>, Batch, Order, Known) {
        (self.mission, self.batch, self.order, self.known)
    }
}

/// What observers read of an entry of the server's own.
const FOR_OBSERVERS: [&str; 4] = ["at", "question", "title", "text"];

#[derive(Serialize, Deserialize)]
struct Cursor {
    e: Uuid,
    n: i64,
    /// Follows from the others: a cursor that was changed on its way would skip what
    /// the phone then never gets.
    #[serde(default)]
    c: u32,
}

impl Cursor {
    fn new(e: Uuid, n: i64) -> Self {
        let digest = Sha256::new()
            .chain_update(e.as_bytes())
            .chain_update(n.to_be_bytes())
            .finalize();
        let c = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        Self { e, n, c }
    }

    fn is_whole(&self) -> bool {
        self.c == Self::new(self.e, self.n).c
    }
}

/// Adds what waits for an accreditation. A cursor of another history, or one
/// that cannot be read, starts over: the phone knows what it has.
///
/// # Errors
/// The database's.
pub fn add_items(
    conn: &mut Conn,
    mission: MissionRef,
    accreditation: Uuid,
    cursor: Option<&str>,
    response: &mut Response,
) -> Result<()> {
    let from = cursor
        .and_then(protocol::encoding::unb64)
        .and_then(|bytes| serde_json::from_slice::<Cursor>(&bytes).ok())
        .filter(|cursor| cursor.is_whole() && cursor.e == response.epoch.0)
        .map_or(0, |cursor| cursor.n);
    let limit = i64::try_from(limits::EXCHANGE_ITEMS).unwrap_or(i64::MAX);
    let mut rows =
        ledger::inbox_after(conn, mission.no, accreditation.as_bytes(), from, limit + 1)?;
    response.more = rows.len() > limits::EXCHANGE_ITEMS;
    rows.truncate(limits::EXCHANGE_ITEMS);
    let mut last = rows.last().map_or(from, |(number, _)| *number);
    if planted(Fault::CursorSkips) {
        last += 1;
    }
    for (at, bytes) in rows {
        let entry = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|compact| SdJwt::parse(compact).ok())
            .ok_or_else(|| Error::Internal(format!("ledger number {at} does not hold an entry")))?;
        // The reason is between coordinators; the rest is for the observer.
        let entry = entry
            .withhold(|name| FOR_OBSERVERS.contains(&name))
            .to_wire();
        response.items.push(Item {
            number: number(at),
            entry,
        });
    }
    let cursor = Cursor::new(response.epoch.0, last);
    let text = serde_json::to_vec(&cursor).map_err(|error| Error::Internal(error.to_string()))?;
    response.cursor = Some(protocol::encoding::b64(text));
    Ok(())
}

fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_that_was_changed_is_not_whole() {
        let e = Uuid::from_bytes([7; 16]);
        let cursor = Cursor::new(e, 5);
        assert!(cursor.is_whole());
        assert!(!Cursor { n: 7, ..cursor }.is_whole());
        // As earlier versions wrote it: then reading starts over.
        let old: Cursor = serde_json::from_value(serde_json::json!({ "e": e, "n": 5 })).unwrap();
        assert!(!old.is_whole());
    }
}
