//! The two ends of an exchange, apart from the commit in the middle: what a
//! request asks for, and the answer to it. No HTTP here.

use protocol::{
    PROTOCOL_VERSION,
    arrange::arrange,
    codes::Code,
    entry::Seen,
    exchange::{JournalHead, Outcome, OutcomeKind, Request, Response},
    ids::{EntryHash, EpochId},
    jose::SoftwareKey,
    limits,
    receipt::{Head, Held, Receipt},
};

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
    store::{Conn, Store},
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

/// An answer whose receipt is not signed yet.
#[derive(Debug)]
pub struct Answered {
    /// The answer.
    pub response: Response,
    /// What the receipt will state.
    pub receipt: Option<Receipt>,
}

impl Answered {
    /// Signs the receipt, over the news too if there are any.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn seal(mut self, key: &SoftwareKey) -> Result<Response> {
        let Some(mut receipt) = self.receipt else {
            return Ok(self.response);
        };
        if !self.response.items.is_empty() {
            receipt.news = Some(self.response.news());
        }
        let signed = receipt
            .sign(key)
            .map_err(|error| Error::Internal(error.to_string()))?;
        self.response.receipt = Some(signed);
        Ok(self.response)
    }
}

/// Puts the answer together. `committed` is what the commit of [`Prepared::batch`]
/// left.
///
/// # Errors
/// An answer without a history: a fault of this program.
pub fn answer(
    order: Order,
    mission: Option<MissionRef>,
    committed: Option<Committed>,
    known: Known,
    now: Micros,
) -> Result<Answered> {
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
        receipt = Some(Receipt {
            v: 1,
            mission: mission.id,
            epoch,
            at: now.rfc3339(),
            head: Head {
                number: number(committed.number),
                chain: EntryHash(committed.chain),
            },
            entries: held,
            news: None,
        });
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
    let response = Response {
        protocol: PROTOCOL_VERSION,
        epoch,
        server_time: now.rfc3339(),
        outcomes,
        receipt: None,
        items: Vec::new(),
        cursor: None,
        more: false,
        directives: protocol::exchange::Directives::default(),
        token: None,
        receipt_wanted: known.receipt_wanted,
        reference: Vec::new(),
    };
    Ok(Answered { response, receipt })
}

impl Prepared {
    /// Takes the parts.
    #[must_use]
    pub fn into_parts(self) -> (Option<MissionRef>, Batch, Order, Known) {
        (self.mission, self.batch, self.order, self.known)
    }
}

pub(super) fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}
