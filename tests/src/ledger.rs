//! Reading a ledger from the database and checking all that it promises.

use std::collections::{HashMap, HashSet};

use protocol::{
    entry::{DECISION_TYP, DEVICE_TYP, Kind, Read, SdJwt},
    ids::{EntryHash, MissionId},
    jose::{Jwk, PublicKey},
    ledger::{extend, genesis},
};
use scrutineer::store::{DatabaseUrl, Store, ledger, ledger::EntryRow, missions};

use crate::site::Site;

/// One entry of an audited ledger.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its row.
    pub row: EntryRow,
    /// Its name.
    pub hash: EntryHash,
    /// What it says, if it can be read.
    pub read: Option<Read>,
}

impl Entry {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.row.kind
    }
}

/// Reads a mission's whole ledger and checks it from outside: numbers without
/// holes, every hash once, the chain computed anew, every signature under a
/// key that the ledger itself enrolled before.
///
/// # Panics
/// When anything is not as it must be.
#[track_caller]
#[must_use]
pub fn audit(site: &Site, mission: MissionId) -> Vec<Entry> {
    let url: DatabaseUrl = site.database.url().parse().expect("an address");
    let store = Store::open(&url, 2).expect("the database opens");
    let (rows, head) = store
        .read(|conn| {
            let no = missions::find(conn, mission)?
                .expect("the mission is there")
                .reference
                .no;
            Ok((
                ledger::after(conn, no, 0, 1_000_000)?,
                ledger::head(conn, no)?,
            ))
        })
        .expect("the ledger can be read");
    let receipt_key = site.receipt_key();
    let mut devices: HashMap<String, (PublicKey, String)> = HashMap::new();
    let mut seen = HashSet::new();
    let mut chain = genesis(mission);
    let mut entries = Vec::with_capacity(rows.len());
    for (at, row) in rows.into_iter().enumerate() {
        let number = at as u64 + 1;
        assert_eq!(
            u64::try_from(row.number),
            Ok(number),
            "numbers have no holes"
        );
        let compact = std::str::from_utf8(&row.sd_jwt).expect("entries are ASCII");
        let entry =
            SdJwt::parse(compact).unwrap_or_else(|error| panic!("number {number}: {error}"));
        let hash = entry.hash();
        assert_eq!(
            row.hash, hash.0,
            "number {number}: the row's hash is the entry's"
        );
        assert!(seen.insert(hash), "number {number}: the entry stands twice");
        chain = extend(&chain, number, &hash);
        assert_eq!(row.chain, chain, "number {number}: the chain");
        let header = entry.header().expect("a header");
        match &row.device {
            Some(device) => {
                let (key, owner) = devices
                    .get(&header.kid)
                    .unwrap_or_else(|| panic!("number {number}: an unknown key"));
                entry
                    .verify(key, DEVICE_TYP)
                    .unwrap_or_else(|error| panic!("number {number}: {error}"));
                assert_eq!(
                    uuid::Uuid::from_slice(device).expect("an id").to_string(),
                    *owner
                );
            }
            None => entry
                .verify(&receipt_key, DECISION_TYP)
                .unwrap_or_else(|error| panic!("number {number}: {error}")),
        }
        let read = entry.read().ok();
        if let Some(read) = read
            .as_ref()
            .filter(|read| read.payload.kind == Kind::Enrol && row.device.is_none())
        {
            let jwk: Jwk = serde_json::from_value(read.body["key"].clone()).expect("a key");
            let device = read.body["device"].as_str().expect("a device").to_owned();
            devices.insert(
                jwk.thumbprint(),
                (PublicKey::from_jwk(&jwk).expect("a key"), device),
            );
        }
        entries.push(Entry { row, hash, read });
    }
    assert_eq!(
        usize::try_from(head.number),
        Ok(entries.len()),
        "the head names the last number"
    );
    assert_eq!(head.chain, chain, "the head names the last chain value");
    entries
}
