//! The name of the server's history, and its renewal when that history ended:
//! a backup was restored, or the database turned out to have been put back.

use protocol::{
    entry::Seen,
    exchange::Former,
    ids::EpochId,
    jose::PublicKey,
    planted::{Fault, is as planted},
    receipt::Receipt,
};

use crate::{
    clock::{Host, Micros},
    domain::acts::MissionRef,
    error::{Error, Result},
    store::{Conn, Store, ledger, missions, recovery},
};

/// Why a history ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A backup was restored, made at this time.
    Restored {
        /// When.
        made_at: Option<Micros>,
    },
    /// An older state of the database had been put in place.
    RolledBack,
}

/// Gives the history another name, if it is still called `old`; notes for each
/// mission what was kept. `None`: somebody else was quicker. Runs inside
/// `Store::write`.
///
/// # Errors
/// The database's.
pub fn renew(conn: &mut Conn, host: &Host, old: EpochId, cause: Cause) -> Result<Option<EpochId>> {
    // Whoever appends locks a ledger first and looks at the name then.
    for mission in recovery::ledgers(conn)? {
        ledger::lock_head(conn, mission)?;
    }
    let new = EpochId(host.uuid());
    if !recovery::replace_epoch(conn, old, new)? {
        return Ok(None);
    }
    let (reason, backup_at) = match cause {
        Cause::Restored { made_at } => ("restored", made_at),
        Cause::RolledBack => ("rolled_back", None),
    };
    let now = host.now();
    for mission in recovery::ledgers(conn)? {
        let kept = ledger::lock_head(conn, mission)?.number;
        let row = recovery::EndedRow {
            mission,
            epoch: old.0.as_bytes().to_vec(),
            ended_at: now.0,
            reason: reason.to_owned(),
            backup_at: backup_at.map(|at| at.0),
            kept,
            known: kept,
        };
        recovery::insert(conn, row)?;
    }
    Ok(Some(new))
}

/// The history as it is called now.
///
/// # Errors
/// The database's; a database that was never initialised.
pub fn current(conn: &mut Conn) -> Result<EpochId> {
    missions::epoch(conn)?.ok_or_else(|| Error::Internal("the server's history has no name".into()))
}

/// Whether the ledger holds what a phone says it has seen of the present
/// history. What it saw of another one cannot be compared.
///
/// # Errors
/// The database's.
pub fn confirms(conn: &mut Conn, mission: MissionRef, now: EpochId, seen: &Seen) -> Result<bool> {
    if seen.epoch != now.0 || planted(Fault::ReceiptNotWanted) {
        return Ok(true);
    }
    let chain = chain_at(conn, mission.no, seen.number)?;
    Ok(chain.as_deref() == Some(seen.chain.0.as_slice()))
}

/// The same without a mission: whether any ledger holds it. A phone whose own
/// enrolment was lost can prove no mission.
///
/// # Errors
/// The database's.
pub fn confirms_any(conn: &mut Conn, now: EpochId, seen: &Seen) -> Result<bool> {
    for mission in missions::list(conn)? {
        if confirms(conn, mission.reference, now, seen)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Hears a receipt that a phone handed in. If it is this server's own, of the
/// present history, and the ledger does not hold what it says, then an older
/// state of the database was put in place: the history is renewed, once. One of
/// a history that ended tells how far that went. Anything else means nothing.
///
/// # Errors
/// The database's.
pub fn hear(store: &Store, host: &Host, key: &PublicKey, compact: &str) -> Result<()> {
    let Ok(receipt) = Receipt::verify(compact, key) else {
        return Ok(());
    };
    let known = store.read(|conn| {
        let Some(mission) = missions::find(conn, receipt.mission)? else {
            return Ok(None);
        };
        Ok(Some((
            mission.reference,
            verdict(conn, mission.reference, &receipt)?,
        )))
    })?;
    match known {
        Some((mission, Verdict::Contradicts)) => roll_back(store, host, mission, &receipt),
        Some((mission, Verdict::Tells(number))) => {
            store.write(|conn| recovery::raise_known(conn, mission.no, receipt.epoch, number))
        }
        Some((_, Verdict::Nothing)) | None => Ok(()),
    }
}

/// What a receipt means here and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing new.
    Nothing,
    /// The present history is not what it was when this was signed.
    Contradicts,
    /// A history that ended went on to this number at least.
    Tells(i64),
}

fn verdict(conn: &mut Conn, mission: MissionRef, receipt: &Receipt) -> Result<Verdict> {
    let Ok(number) = i64::try_from(receipt.head.number) else {
        return Ok(Verdict::Nothing);
    };
    if current(conn)? == receipt.epoch {
        let chain = chain_at(conn, mission.no, receipt.head.number)?;
        let holds = chain.as_deref() == Some(receipt.head.chain.0.as_slice());
        return Ok(if holds || planted(Fault::RollbackUnheard) {
            Verdict::Nothing
        } else {
            Verdict::Contradicts
        });
    }
    Ok(match recovery::find(conn, mission.no, receipt.epoch)? {
        Some(ended) if ended.known < number => Verdict::Tells(number),
        _ => Verdict::Nothing,
    })
}

fn roll_back(store: &Store, host: &Host, mission: MissionRef, receipt: &Receipt) -> Result<()> {
    let renewed = store.write(|conn| {
        // Once more under the lock: another server may have been quicker.
        let head = ledger::lock_head(conn, mission.no)?;
        if verdict(conn, mission, receipt)? != Verdict::Contradicts {
            return Ok(None);
        }
        let renewed = renew(conn, host, receipt.epoch, Cause::RolledBack)?;
        let number = i64::try_from(receipt.head.number).unwrap_or(i64::MAX);
        recovery::raise_known(conn, mission.no, receipt.epoch, number)?;
        Ok(renewed.map(|epoch| (epoch, head.number)))
    })?;
    if let Some((epoch, number)) = renewed {
        metrics::counter!("scrutineer_histories_rolled_back_total").increment(1);
        tracing::error!(
            mission = %mission.id,
            ended = %receipt.epoch,
            began = %epoch,
            proven = receipt.head.number,
            here = number,
            "the ledger lacks what this server once confirmed: an older database was put in place; \
             phones now offer again what is missing (scrutineer recovery)"
        );
    }
    Ok(())
}

/// The chain after a number; before the first it is nothing that a receipt names.
fn chain_at(conn: &mut Conn, mission: i32, number: u64) -> Result<Option<Vec<u8>>> {
    match i64::try_from(number) {
        Ok(number) => ledger::chain(conn, mission, number),
        Err(_) => Ok(None),
    }
}

/// Notes which numbers entries had in histories that ended. Runs inside
/// `Store::write`.
///
/// # Errors
/// The database's.
pub fn note_former(conn: &mut Conn, mission: MissionRef, former: &[Former]) -> Result<()> {
    let mut ended = std::collections::HashMap::new();
    for one in former {
        let row = match ended.entry(one.epoch) {
            std::collections::hash_map::Entry::Occupied(row) => row.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(recovery::find(conn, mission.no, one.epoch)?)
            }
        };
        // Beyond what a receipt proves, a phone may say what it likes.
        let Some(number) = i64::try_from(one.number).ok().filter(|number| {
            row.as_ref()
                .is_some_and(|row| row.kept < *number && *number <= row.known)
        }) else {
            continue;
        };
        recovery::note_former(
            conn,
            recovery::FormerRow {
                mission: mission.no,
                epoch: one.epoch.0.as_bytes().to_vec(),
                number,
                hash: one.hash.0.to_vec(),
            },
        )?;
    }
    Ok(())
}
