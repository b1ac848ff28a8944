//! News for a phone: decisions on its reports, and messages, from where its cursor
//! stands.

use protocol::{
    entry::SdJwt,
    exchange::{Item, Response},
    ids::EntryHash,
    limits,
    planted::{Fault, is as planted},
    receipt::{Head, Receipt},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::exchange::{Answered, number};
use crate::{
    domain::{acts::MissionRef, epoch},
    error::{Error, Result},
    store::{Conn, ledger},
};

/// What observers read of an entry of the server's own.
const FOR_OBSERVERS: [&str; 4] = ["at", "question", "title", "text"];

#[derive(Serialize, Deserialize)]
struct Cursor {
    e: Uuid,
    n: i64,
    /// The own number of the last that was read, where others count from `n` on too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    o: Option<i64>,
    /// Follows from the others: a cursor that was changed on its way would skip what
    /// the phone then never gets.
    #[serde(default)]
    c: u32,
}

impl Cursor {
    fn new(e: Uuid, (n, own): ledger::Place) -> Self {
        let o = (own != n).then_some(own);
        let mut digest = Sha256::new()
            .chain_update(e.as_bytes())
            .chain_update(n.to_be_bytes());
        if let Some(own) = o {
            digest.update(own.to_be_bytes());
        }
        let digest = digest.finalize();
        let c = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        Self { e, n, o, c }
    }

    fn place(&self) -> ledger::Place {
        (self.n, self.o.unwrap_or(self.n))
    }

    fn is_whole(&self) -> bool {
        self.c == Self::new(self.e, self.place()).c
    }
}

/// Adds what waits for an accreditation. A cursor of another history, or one
/// that cannot be read, starts over: the phone knows what it has. The receipt then
/// covers the items, and tells how far the ledger went when they were read: that
/// proves them after an older database was put in place.
///
/// # Errors
/// The database's.
pub fn add_news(
    conn: &mut Conn,
    mission: MissionRef,
    accreditation: Uuid,
    cursor: Option<&str>,
    answered: &mut Answered,
) -> Result<()> {
    let response = &mut answered.response;
    if epoch::current(conn)? != response.epoch {
        // It was renewed since the entries were committed: the next exchange tells.
        return Ok(());
    }
    add_items(conn, mission, accreditation, cursor, response)?;
    if response.items.is_empty() {
        return Ok(());
    }
    let head = ledger::head(conn, mission.no)?;
    let chain = <[u8; 32]>::try_from(head.chain.as_slice())
        .map_err(|_| Error::Internal("a chain value is not 32 bytes long".into()))?;
    let head = Head {
        number: number(head.number),
        chain: EntryHash(chain),
    };
    match &mut answered.receipt {
        Some(receipt) if receipt.mission == mission.id => receipt.head = head,
        Some(_) => {}
        none => {
            *none = Some(Receipt {
                v: 1,
                mission: mission.id,
                epoch: response.epoch,
                at: response.server_time.clone(),
                head,
                entries: Vec::new(),
                news: None,
            });
        }
    }
    Ok(())
}

fn add_items(
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
        .map_or((0, 0), |cursor| cursor.place());
    let limit = i64::try_from(limits::EXCHANGE_ITEMS).unwrap_or(i64::MAX);
    let mut rows =
        ledger::inbox_after(conn, mission.no, accreditation.as_bytes(), from, limit + 1)?;
    response.more = rows.len() > limits::EXCHANGE_ITEMS;
    rows.truncate(limits::EXCHANGE_ITEMS);
    let mut last = rows.last().map_or(from, |(place, _)| *place);
    if planted(Fault::CursorSkips) {
        last = (last.0 + 1, last.0 + 1);
    }
    for ((_, at), bytes) in rows {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_that_was_changed_is_not_whole() {
        let e = Uuid::from_bytes([7; 16]);
        for cursor in [Cursor::new(e, (5, 5)), Cursor::new(e, (5, 3))] {
            assert!(cursor.is_whole());
            assert!(!Cursor { n: 7, ..cursor }.is_whole());
            assert!(
                !Cursor {
                    o: Some(4),
                    ..cursor
                }
                .is_whole()
            );
        }
        // As earlier versions wrote it: then reading starts over.
        let old: Cursor = serde_json::from_value(serde_json::json!({ "e": e, "n": 5 })).unwrap();
        assert!(!old.is_whole());
    }
}
