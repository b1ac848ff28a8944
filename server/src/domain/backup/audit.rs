//! Whether rows add up to ledgers: every entry is the one that its hash names,
//! numbers have no holes, and the chain leads to the head.

use std::collections::BTreeMap;

use protocol::{
    entry::SdJwt,
    ids::{EntryHash, MissionId},
    ledger::{Chain, extend, genesis},
};
use serde_json::Value;
use uuid::Uuid;

use super::{LedgerHead, invalid};
use crate::{error::Result, store::archive::Line};

/// Hears the rows of a backup in its tables' order.
#[derive(Debug, Default)]
pub(super) struct Audit {
    ledgers: BTreeMap<i64, Ledger>,
}

#[derive(Debug)]
struct Ledger {
    mission: MissionId,
    number: u64,
    chain: Chain,
    head: Option<(u64, Chain)>,
}

impl Audit {
    /// Takes one row in.
    ///
    /// # Errors
    /// `backup_invalid`, naming the row.
    pub(super) fn row(&mut self, table: &str, line: &Line) -> Result<()> {
        match table {
            "missions" => self.mission(line),
            "ledger_heads" => self.head(line),
            "entries" => self.entry(line),
            _ => Ok(()),
        }
    }

    fn mission(&mut self, line: &Line) -> Result<()> {
        let (no, mission) = mission_of(line)?;
        let ledger = Ledger {
            mission,
            number: 0,
            chain: genesis(mission),
            head: None,
        };
        self.ledgers.insert(no, ledger);
        Ok(())
    }

    fn head(&mut self, line: &Line) -> Result<()> {
        let wrong = || invalid("ledger_heads", "a row cannot be read");
        let number = line
            .get("number")
            .and_then(Value::as_u64)
            .ok_or_else(wrong)?;
        let chain = bytes(line, "chain")
            .and_then(|chain| chain.try_into().ok())
            .ok_or_else(wrong)?;
        self.of(line, "ledger_heads")?.head = Some((number, chain));
        Ok(())
    }

    fn entry(&mut self, line: &Line) -> Result<()> {
        let ledger = self.of(line, "entries")?;
        let number = ledger.number + 1;
        let wrong = |why: &str| invalid("entries", format!("number {number}: {why}"));
        if line.get("number").and_then(Value::as_u64) != Some(number) {
            return Err(wrong("is missing"));
        }
        let hash = bytes(line, "sd_jwt")
            .and_then(|compact| String::from_utf8(compact).ok())
            .and_then(|compact| SdJwt::parse(&compact).ok())
            .ok_or_else(|| wrong("is no entry"))?
            .hash();
        if bytes(line, "hash").as_deref() != Some(hash.0.as_slice()) {
            return Err(wrong("is not the entry that its hash names"));
        }
        let chain = extend(&ledger.chain, number, &hash);
        if bytes(line, "chain").as_deref() != Some(chain.as_slice()) {
            return Err(wrong("breaks the chain"));
        }
        (ledger.number, ledger.chain) = (number, chain);
        Ok(())
    }

    fn of(&mut self, line: &Line, table: &str) -> Result<&mut Ledger> {
        line.get("mission")
            .and_then(Value::as_i64)
            .and_then(|no| self.ledgers.get_mut(&no))
            .ok_or_else(|| invalid(table, "a row of no mission"))
    }

    /// The ledgers, once all rows were heard.
    ///
    /// # Errors
    /// `backup_invalid`: rows are missing at a ledger's end.
    pub(super) fn finish(self) -> Result<Vec<LedgerHead>> {
        self.ledgers
            .into_values()
            .map(|ledger| {
                if ledger.head != Some((ledger.number, ledger.chain)) {
                    let why = format!(
                        "ledger {} ends at {}, its head says otherwise",
                        ledger.mission, ledger.number
                    );
                    return Err(invalid("entries", why));
                }
                Ok(LedgerHead {
                    mission: ledger.mission,
                    number: ledger.number,
                    chain: EntryHash(ledger.chain),
                })
            })
            .collect()
    }
}

/// A mission's short key and its id.
///
/// # Errors
/// `backup_invalid`.
pub(super) fn mission_of(line: &Line) -> Result<(i64, MissionId)> {
    let wrong = || invalid("missions", "a row cannot be read");
    let id = bytes(line, "id").ok_or_else(wrong)?;
    let mission = MissionId(Uuid::from_slice(&id).map_err(|_| wrong())?);
    let no = line.get("no").and_then(Value::as_i64).ok_or_else(wrong)?;
    Ok((no, mission))
}

fn bytes(line: &Line, name: &str) -> Option<Vec<u8>> {
    protocol::encoding::unb64(line.get(name)?.as_str()?)
}
