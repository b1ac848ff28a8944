//! What was promised, and what the server was seen to hold: what the invariants
//! are checked against.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{
    entry::{DECISION_TYP, DEVICE_TYP, Kind, SdJwt},
    ids::{EntryHash, FileHash, SubjectId},
    jose::{Jwk, PublicKey},
    ledger::{Chain, extend, genesis},
};
use scrutineer::store::ledger;
use uuid::Uuid;

use super::{clock::Time, server::Servers};

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its name.
    pub rule: &'static str,
    /// What was found.
    pub what: String,
}

/// An error about a rule.
pub(super) fn broken<T>(rule: &'static str, what: impl Into<String>) -> Result<T, Broken> {
    Err(Broken {
        rule,
        what: what.into(),
    })
}

/// Something that a phone said is safe.
#[derive(Clone, Debug)]
pub struct Promise {
    /// Who said so.
    pub phone: usize,
    /// When.
    pub at: Time,
}

/// One row of the ledger, as far as the rules need it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub hash: EntryHash,
    /// What it does.
    pub kind: String,
    /// What it is about.
    pub subject: Option<Vec<u8>>,
    /// The journal and the place there.
    pub place: Option<(Uuid, i64)>,
    /// A device signed it.
    pub device: bool,
}

/// See the module.
#[derive(Default)]
pub struct Oracle {
    /// Every entry of which a phone said that it is safe.
    pub promised: BTreeMap<EntryHash, Promise>,
    /// Every file of which a phone said so.
    pub files: BTreeMap<FileHash, usize>,
    /// The ledger as it is now.
    pub rows: Vec<Row>,
    /// Every entry that any state of the ledger held.
    pub ever: BTreeSet<EntryHash>,
    /// Entries that took a place that was taken, as the server told.
    pub forked: BTreeSet<EntryHash>,
    chain: Option<Chain>,
    known: BTreeSet<EntryHash>,
    places: BTreeMap<(Uuid, i64), EntryHash>,
    last: BTreeMap<(Vec<u8>, Uuid), i64>,
    keys: BTreeMap<String, PublicKey>,
    /// Something set entries back, so that the order within a report says nothing.
    pub disordered: bool,
    /// The next rows come from a bundle.
    pub carried: bool,
}

impl Oracle {
    /// The database was put back: what is known of the ledger is read anew.
    pub(super) fn forget_ledger(&mut self) {
        self.rows.clear();
        self.chain = None;
        self.known.clear();
        self.places.clear();
        self.last.clear();
        self.disordered = true;
    }

    /// Reads what was appended, and checks it.
    pub(super) fn read_ledger(&mut self, servers: &Servers) -> Result<(), Broken> {
        let mission = servers.mission;
        let from = i64::try_from(self.rows.len()).unwrap_or(i64::MAX);
        let (rows, head) = servers
            .store()
            .read(|conn| {
                let head = ledger::head(conn, mission.no)?;
                let rows = if head.number == from {
                    Vec::new()
                } else {
                    ledger::after(conn, mission.no, from, 1_000_000)?
                };
                Ok((rows, head))
            })
            .expect("the ledger can be read");
        if head.number < from {
            return broken(
                "I2 append only",
                format!("the ledger went from {from} back to {}", head.number),
            );
        }
        let mut chain = self.chain.unwrap_or_else(|| genesis(mission.id));
        for row in rows {
            let number = self.rows.len() as u64 + 1;
            if u64::try_from(row.number) != Ok(number) {
                return broken(
                    "I2 numbers",
                    format!("{} where {number} is due", row.number),
                );
            }
            self.row(&row, servers, &mut chain, number)?;
        }
        if usize::try_from(head.number) != Ok(self.rows.len()) || head.chain != chain {
            return broken("I13 chain", "the head is not that of the rows");
        }
        self.chain = Some(chain);
        Ok(())
    }

    fn row(
        &mut self,
        row: &ledger::EntryRow,
        servers: &Servers,
        chain: &mut Chain,
        number: u64,
    ) -> Result<(), Broken> {
        let unreadable = |what: String| Broken {
            rule: "I13 signatures",
            what: format!("number {number}: {what}"),
        };
        let compact = std::str::from_utf8(&row.sd_jwt).map_err(|e| unreadable(e.to_string()))?;
        let entry = SdJwt::parse(compact).map_err(|e| unreadable(e.to_string()))?;
        let hash = entry.hash();
        if row.hash != hash.0 {
            return broken("I13 chain", format!("number {number} has another hash"));
        }
        *chain = extend(chain, number, &hash);
        if row.chain != *chain {
            return broken("I13 chain", format!("the chain breaks at {number}"));
        }
        let header = entry.header().map_err(|e| unreadable(e.to_string()))?;
        let verified = if row.device.is_some() {
            let key = self.keys.get(&header.kid).ok_or_else(|| {
                unreadable("signed by a key that the ledger does not enrol before".into())
            })?;
            entry.verify(key, DEVICE_TYP)
        } else {
            entry.verify(&servers.receipt_key, DECISION_TYP)
        };
        verified.map_err(|e| unreadable(e.to_string()))?;
        let read = entry.read().ok();
        if let Some(read) = read
            .as_ref()
            .filter(|read| read.payload.kind == Kind::Enrol && row.device.is_none())
        {
            let jwk: Jwk = serde_json::from_value(read.body["key"].clone())
                .map_err(|e| unreadable(e.to_string()))?;
            let key = PublicKey::from_jwk(&jwk).map_err(|e| unreadable(e.to_string()))?;
            self.keys.insert(jwk.thumbprint(), key);
        }
        if !self.known.insert(hash) {
            return broken("I2 exactly once", format!("{hash} stands twice"));
        }
        self.ever.insert(hash);
        let place = row
            .journal
            .as_deref()
            .and_then(|journal| Uuid::from_slice(journal).ok())
            .zip(row.seq);
        if let Some(place) = place.filter(|_| row.device.is_some()) {
            if let Some(other) = self.places.get(&place)
                && !self.carried
                && !self.forked.contains(&hash)
            {
                return broken(
                    "I3 one entry a place",
                    format!(
                        "{hash} and {other} have place {} of one journal, and no fork was told",
                        place.1
                    ),
                );
            }
            self.places.entry(place).or_insert(hash);
            if let Some(subject) = &row.subject {
                let last = self.last.entry((subject.clone(), place.0)).or_insert(0);
                if !self.disordered && *last > place.1 {
                    return broken(
                        "I6 order within a report",
                        format!("place {} of a journal came after {last}", place.1),
                    );
                }
                *last = (*last).max(place.1);
            }
        }
        self.rows.push(Row {
            hash,
            kind: row.kind.clone(),
            subject: row.subject.clone(),
            place,
            device: row.device.is_some(),
        });
        Ok(())
    }

    /// Whether the ledger as it is now holds an entry.
    #[must_use]
    pub fn holds(&self, hash: &EntryHash) -> bool {
        self.known.contains(hash)
    }

    /// The reports in the ledger, in its order.
    #[must_use]
    pub fn reports(&self) -> Vec<SubjectId> {
        self.rows
            .iter()
            .filter(|row| row.kind == Kind::File.name())
            .filter_map(|row| {
                Uuid::from_slice(row.subject.as_deref()?)
                    .ok()
                    .map(SubjectId)
            })
            .collect()
    }
}
