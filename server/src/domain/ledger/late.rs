//! Entries that had to wait: held ones whose base has come, quarantined ones
//! that a coordinator lets in. They count from the entry that caused it.

use protocol::{
    entry::{Kind, Read, SdJwt},
    ids::EntryHash,
};

use super::{
    append::{Origin, hash_of, uuid_of},
    project::{Base, Effect, Projector, Subject, body_text},
};
use crate::{
    clock::Micros,
    domain::acts::MissionRef,
    error::{Error, Result},
    store::{
        Conn, bulk,
        ledger::{self, EntryRow},
        projections,
    },
};

impl Projector {
    pub(super) fn admit(
        &mut self,
        conn: &mut Conn,
        entry: &Subject,
        read: &Read,
    ) -> Result<Effect> {
        let hash: EntryHash = body_text(read, "entry")?
            .parse()
            .map_err(|_| Error::Internal("an admission that names no entry".into()))?;
        let row = ledger::by_hash(conn, self.mission.no, &hash.0)?
            .ok_or_else(|| Error::Internal("an admission of an entry that is not there".into()))?;
        let standing = self.late(conn, &row, entry)?;
        if standing == "applied" {
            self.release(
                conn,
                &mut [],
                (hash, Base::Applied),
                entry.number,
                Micros(entry.processed_at),
            )?;
        }
        Ok(Effect::Applied)
    }

    /// Applies an entry that had to wait, because of `cause`. Answers its
    /// standing, which is written to the ledger.
    fn late(&mut self, conn: &mut Conn, row: &EntryRow, cause: &Subject) -> Result<&'static str> {
        let read = read_row(row)?;
        self.fetch(conn, &[read.payload.subject.0])?;
        let base = base_at(conn, self.mission, &read, cause.processed + 1)?;
        let subject = Subject {
            processed: cause.processed,
            processed_at: cause.processed_at,
            base,
            ..subject_of(conn, self.mission, row)?
        };
        let standing = standing_of(self.apply(conn, &subject, &read)?);
        ledger::set_standing(conn, self.mission.no, row.number, standing)?;
        if standing == "held" {
            self.note_held(read.payload.base);
        }
        Ok(standing)
    }

    /// Applies what waited for an entry, and what waited for that in turn: rows
    /// of the running batch, and rows of the ledger. Answers who changed. Behind
    /// a decision that was set aside, only further decisions are settled.
    pub(crate) fn release(
        &mut self,
        conn: &mut Conn,
        rows: &mut [EntryRow],
        settled: (EntryHash, Base),
        processed: i64,
        now: Micros,
    ) -> Result<Vec<(EntryHash, &'static str)>> {
        let mut done = Vec::new();
        if self.held == 0 {
            return Ok(done);
        }
        let mut bases = vec![settled];
        while let Some((base, stands)) = bases.pop() {
            let mut waiting = ledger::waiting_for(conn, self.mission.no, &base.0)?;
            waiting.extend(
                rows.iter()
                    .filter(|row| {
                        row.standing == "held" && row.base.as_deref() == Some(base.0.as_slice())
                    })
                    .cloned(),
            );
            waiting.sort_by_key(|row| row.number);
            waiting.retain(|row| stands == Base::Applied || row.kind == Kind::Decide.name());
            for row in waiting.into_iter().filter(|row| row.number < processed) {
                let read = read_row(&row)?;
                self.fetch(conn, &[read.payload.subject.0])?;
                let subject = Subject {
                    processed,
                    processed_at: now.0,
                    base: stands,
                    ..subject_of(conn, self.mission, &row)?
                };
                let effect = self.apply(conn, &subject, &read)?;
                let standing = standing_of(effect);
                self.held -= i64::from(standing != "held");
                match rows.iter_mut().find(|other| other.number == row.number) {
                    Some(other) => standing.clone_into(&mut other.standing),
                    None => ledger::set_standing(conn, self.mission.no, row.number, standing)?,
                }
                let hash = hash_of(&row.hash)?;
                done.push((hash, standing));
                let decision = row.kind == Kind::Decide.name();
                if effect == Effect::Applied || decision && effect != Effect::Held {
                    bases.push((hash, Base::of(standing)));
                }
            }
        }
        Ok(done)
    }
}

/// How an entry's base stood just before a number of the ledger.
pub(crate) fn base_at(
    conn: &mut Conn,
    mission: MissionRef,
    read: &Read,
    before: i64,
) -> Result<Base> {
    let Some(base) = read.payload.base else {
        return Ok(Base::Absent);
    };
    Ok(bulk::known(conn, mission.no, &[base.0.to_vec()])?
        .first()
        .filter(|known| known.number < before)
        .map_or(Base::Absent, |known| Base::of(&known.standing)))
}

/// The circumstances of a ledger row, processed at its own number.
pub(crate) fn subject_of(conn: &mut Conn, mission: MissionRef, row: &EntryRow) -> Result<Subject> {
    let origin = match (&row.device, &row.actor) {
        (Some(device), _) => {
            let known = projections::device(conn, mission.no, device)?.ok_or_else(|| {
                Error::Internal("an entry of a device that is not enrolled".into())
            })?;
            Origin::Device {
                device: uuid_of(device).unwrap_or_default(),
                accreditation: uuid_of(&known.accreditation).unwrap_or_default(),
            }
        }
        (None, actor) => Origin::Office(actor.as_deref().and_then(uuid_of).unwrap_or_default()),
    };
    Ok(Subject {
        number: row.number,
        hash: hash_of(&row.hash)?,
        origin,
        received_at: row.received_at,
        processed: row.number,
        processed_at: row.received_at,
        clock_skew: row.clock_skew,
        base: Base::Absent,
    })
}

/// The standing that an effect leaves.
pub(crate) fn standing_of(effect: Effect) -> &'static str {
    match effect {
        Effect::Applied => "applied",
        Effect::Held => "held",
        Effect::Quarantined(_) => "quarantined",
    }
}

pub(crate) fn parse_row(row: &EntryRow) -> Result<SdJwt> {
    std::str::from_utf8(&row.sd_jwt)
        .ok()
        .and_then(|compact| SdJwt::parse(compact).ok())
        .ok_or_else(|| {
            Error::Internal(format!(
                "ledger number {} does not hold an entry",
                row.number
            ))
        })
}

pub(crate) fn read_row(row: &EntryRow) -> Result<Read> {
    parse_row(row)?.read().map_err(|error| {
        Error::Internal(format!(
            "ledger number {} cannot be read: {error}",
            row.number
        ))
    })
}
