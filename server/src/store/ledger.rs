//! The ledger's rows: heads, entries, and what phones said of their journals.

use diesel::prelude::*;

use super::{
    conn::{Conn, on_backend},
    schema::{
        devices, entries, inbox, journal_contacts, ledger_heads, missions, revoked_accreditations,
    },
};
use crate::error::{Error, Result};

/// Rows of one multi-row INSERT: below both databases' variable limits.
pub(super) const CHUNK: usize = 500;

/// A ledger's head.
#[derive(Clone, Debug, Queryable)]
pub struct Head {
    /// The last number given.
    pub number: i64,
    /// The chain after it.
    pub chain: Vec<u8>,
}

/// One row of the ledger.
#[derive(Clone, Debug, PartialEq, Queryable, Insertable)]
#[diesel(table_name = entries, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct EntryRow {
    pub mission: i32,
    pub number: i64,
    pub hash: Vec<u8>,
    pub chain: Vec<u8>,
    pub kind: String,
    pub subject: Option<Vec<u8>>,
    pub journal: Option<Vec<u8>>,
    pub seq: Option<i64>,
    pub base: Option<Vec<u8>>,
    pub device: Option<Vec<u8>>,
    pub actor: Option<Vec<u8>>,
    pub received_at: i64,
    pub clock_skew: Option<i64>,
    pub quarantine: Option<String>,
    pub standing: String,
    pub sd_jwt: Vec<u8>,
}

/// What is known of an entry that the ledger holds.
#[derive(Clone, Debug, Queryable)]
pub struct Known {
    /// Which.
    pub hash: Vec<u8>,
    /// Its number.
    pub number: i64,
    /// Whether it counts.
    pub standing: String,
    /// Why it was quarantined, if it was.
    pub quarantine: Option<String>,
}

/// One place in a journal that is taken.
#[derive(Clone, Debug, Queryable)]
pub struct Place {
    /// The journal.
    pub journal: Option<Vec<u8>>,
    /// The place.
    pub seq: Option<i64>,
    /// By which device.
    pub device: Option<Vec<u8>>,
    /// About what.
    pub subject: Option<Vec<u8>>,
}

/// An enrolled device, as ingest needs it.
#[derive(Clone, Debug, Queryable)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct DeviceRow {
    pub mission: i32,
    pub mission_id: Vec<u8>,
    pub id: Vec<u8>,
    pub kid: String,
    pub jwk: String,
    pub accreditation: Vec<u8>,
}

/// What a phone last said of a journal.
#[derive(Clone, Debug, PartialEq, Queryable, Insertable)]
#[diesel(table_name = journal_contacts, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct Contact {
    pub mission: i32,
    pub journal: Vec<u8>,
    pub head: i64,
    pub pending: i64,
    pub contacted_at: i64,
    pub gap: bool,
}

/// Locks the mission's head and reads it. Everything that appends starts here.
///
/// # Errors
/// The database's; an unknown mission.
pub fn lock_head(conn: &mut Conn, mission: i32) -> Result<Head> {
    diesel::update(ledger_heads::table.find(mission))
        .set(ledger_heads::number.eq(ledger_heads::number))
        .returning((ledger_heads::number, ledger_heads::chain))
        .get_result(conn)
        .optional()?
        .ok_or_else(|| Error::Internal(format!("mission {mission} has no ledger")))
}

/// Reads the head without a lock.
///
/// # Errors
/// The database's.
pub fn head(conn: &mut Conn, mission: i32) -> Result<Head> {
    Ok(ledger_heads::table
        .find(mission)
        .select((ledger_heads::number, ledger_heads::chain))
        .first(conn)?)
}

/// Writes the head that [`lock_head`] locked.
///
/// # Errors
/// The database's.
pub fn set_head(conn: &mut Conn, mission: i32, number: i64, chain: &[u8]) -> Result<()> {
    let changed = diesel::update(ledger_heads::table.find(mission))
        .set((
            ledger_heads::number.eq(number),
            ledger_heads::chain.eq(chain),
        ))
        .execute(conn)?;
    ensure_one(changed)
}

/// Which of these hashes the ledger holds.
///
/// # Errors
/// The database's.
pub fn known(conn: &mut Conn, mission: i32, hashes: &[Vec<u8>]) -> Result<Vec<Known>> {
    let mut found = Vec::new();
    for chunk in hashes.chunks(CHUNK) {
        found.extend(
            entries::table
                .filter(
                    entries::mission
                        .eq(mission)
                        .and(entries::hash.eq_any(chunk)),
                )
                .select((
                    entries::hash,
                    entries::number,
                    entries::standing,
                    entries::quarantine,
                ))
                .load::<Known>(conn)?,
        );
    }
    Ok(found)
}

/// Entries of these journals from `first` on.
///
/// # Errors
/// The database's.
pub fn places(
    conn: &mut Conn,
    mission: i32,
    journals: &[Vec<u8>],
    first: i64,
) -> Result<Vec<Place>> {
    let mut found = Vec::new();
    for chunk in journals.chunks(CHUNK) {
        found.extend(
            entries::table
                .filter(entries::mission.eq(mission))
                .filter(entries::journal.eq_any(chunk))
                .filter(entries::seq.ge(first))
                .select((
                    entries::journal,
                    entries::seq,
                    entries::device,
                    entries::subject,
                ))
                .order((entries::journal, entries::seq, entries::number))
                .load::<Place>(conn)?,
        );
    }
    Ok(found)
}

/// How many places of each journal are taken, and the highest.
///
/// # Errors
/// The database's.
pub fn journal_counts(
    conn: &mut Conn,
    mission: i32,
    journals: &[Vec<u8>],
) -> Result<Vec<(Vec<u8>, i64, i64)>> {
    use diesel::dsl::{count, max};
    let mut found = Vec::new();
    for chunk in journals.chunks(CHUNK) {
        let rows: Vec<(Option<Vec<u8>>, i64, Option<i64>)> = entries::table
            .filter(entries::mission.eq(mission))
            .filter(entries::journal.eq_any(chunk))
            .group_by(entries::journal)
            .select((
                entries::journal,
                count(entries::seq).aggregate_distinct(),
                max(entries::seq),
            ))
            .load(conn)?;
        found.extend(rows.into_iter().filter_map(|(journal, places, highest)| {
            Some((journal?, places, highest.unwrap_or(0)))
        }));
    }
    Ok(found)
}

/// Appends rows.
///
/// # Errors
/// The database's.
pub fn insert(conn: &mut Conn, rows: &[EntryRow]) -> Result<()> {
    for chunk in rows.chunks(CHUNK) {
        on_backend!(conn, |inner| diesel::insert_into(entries::table)
            .values(chunk)
            .execute(inner))?;
    }
    Ok(())
}

/// Entries that wait for one of these.
///
/// # Errors
/// The database's.
pub fn waiting_for(conn: &mut Conn, mission: i32, bases: &[Vec<u8>]) -> Result<Vec<EntryRow>> {
    let mut found = Vec::new();
    for chunk in bases.chunks(CHUNK) {
        found.extend(
            entries::table
                .filter(entries::mission.eq(mission))
                .filter(entries::standing.ne("applied"))
                .filter(entries::standing.eq("held"))
                .filter(entries::base.eq_any(chunk))
                .order(entries::number)
                .load::<EntryRow>(conn)?,
        );
    }
    Ok(found)
}

/// Whether anything at all waits: spares the look for each batch.
///
/// # Errors
/// The database's.
pub fn any_held(conn: &mut Conn, mission: i32) -> Result<bool> {
    Ok(diesel::select(diesel::dsl::exists(
        entries::table
            .filter(entries::mission.eq(mission))
            .filter(entries::standing.ne("applied"))
            .filter(entries::standing.eq("held")),
    ))
    .get_result(conn)?)
}

/// Changes whether an entry counts.
///
/// # Errors
/// The database's.
pub fn set_standing(conn: &mut Conn, mission: i32, number: i64, standing: &str) -> Result<()> {
    let changed = diesel::update(entries::table.find((mission, number)))
        .set(entries::standing.eq(standing))
        .execute(conn)?;
    ensure_one(changed)
}

/// Replaces an entry's disclosures: completing them, or erasing them. Number,
/// hash and chain never change.
///
/// # Errors
/// The database's.
pub fn set_bytes(conn: &mut Conn, mission: i32, number: i64, sd_jwt: &[u8]) -> Result<()> {
    let changed = diesel::update(entries::table.find((mission, number)))
        .set(entries::sd_jwt.eq(sd_jwt))
        .execute(conn)?;
    ensure_one(changed)
}

/// One entry.
///
/// # Errors
/// The database's.
pub fn by_hash(conn: &mut Conn, mission: i32, hash: &[u8]) -> Result<Option<EntryRow>> {
    Ok(entries::table
        .filter(entries::mission.eq(mission).and(entries::hash.eq(hash)))
        .first::<EntryRow>(conn)
        .optional()?)
}

/// All entries about one thing, in ledger order.
///
/// # Errors
/// The database's.
pub fn of_subject(conn: &mut Conn, mission: i32, subject: &[u8]) -> Result<Vec<EntryRow>> {
    Ok(entries::table
        .filter(
            entries::mission
                .eq(mission)
                .and(entries::subject.eq(subject)),
        )
        .order(entries::number)
        .load::<EntryRow>(conn)?)
}

/// The next entries after a number, in ledger order.
///
/// # Errors
/// The database's.
pub fn after(conn: &mut Conn, mission: i32, number: i64, limit: i64) -> Result<Vec<EntryRow>> {
    Ok(entries::table
        .filter(entries::mission.eq(mission).and(entries::number.gt(number)))
        .order(entries::number)
        .limit(limit)
        .load::<EntryRow>(conn)?)
}

/// Devices by the thumbprints of their keys, in any mission.
///
/// # Errors
/// The database's.
pub fn devices_by_kid(conn: &mut Conn, kids: &[String]) -> Result<Vec<DeviceRow>> {
    Ok(devices::table
        .inner_join(missions::table.on(missions::no.eq(devices::mission)))
        .filter(devices::kid.eq_any(kids))
        .select((
            devices::mission,
            missions::id,
            devices::id,
            devices::kid,
            devices::jwk,
            devices::accreditation,
        ))
        .load::<DeviceRow>(conn)?)
}

/// Which of these devices may file no more.
///
/// # Errors
/// The database's.
pub fn revoked(conn: &mut Conn, mission: i32, ids: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for chunk in ids.chunks(CHUNK) {
        let gone = revoked_accreditations::table
            .filter(revoked_accreditations::mission.eq(mission))
            .select(revoked_accreditations::accreditation);
        found.extend(
            devices::table
                .filter(devices::mission.eq(mission).and(devices::id.eq_any(chunk)))
                .filter(
                    devices::revoked_number
                        .is_not_null()
                        .or(devices::accreditation.eq_any(gone)),
                )
                .select(devices::id)
                .load::<Vec<u8>>(conn)?,
        );
    }
    Ok(found)
}

/// What phones last said of these journals.
///
/// # Errors
/// The database's.
pub fn contacts(conn: &mut Conn, mission: i32, journals: &[Vec<u8>]) -> Result<Vec<Contact>> {
    let mut found = Vec::new();
    for chunk in journals.chunks(CHUNK) {
        found.extend(
            journal_contacts::table
                .filter(
                    journal_contacts::mission
                        .eq(mission)
                        .and(journal_contacts::journal.eq_any(chunk)),
                )
                .load::<Contact>(conn)?,
        );
    }
    Ok(found)
}

/// Every contact of a mission.
///
/// # Errors
/// The database's.
pub fn all_contacts(conn: &mut Conn, mission: i32) -> Result<Vec<Contact>> {
    Ok(journal_contacts::table
        .filter(journal_contacts::mission.eq(mission))
        .load::<Contact>(conn)?)
}

/// Remembers what phones said.
///
/// # Errors
/// The database's.
pub fn set_contacts(conn: &mut Conn, rows: &[Contact]) -> Result<()> {
    use diesel::upsert::excluded;
    for chunk in rows.chunks(CHUNK) {
        on_backend!(conn, |inner| diesel::insert_into(journal_contacts::table)
            .values(chunk)
            .on_conflict((journal_contacts::mission, journal_contacts::journal))
            .do_update()
            .set((
                journal_contacts::head.eq(excluded(journal_contacts::head)),
                journal_contacts::pending.eq(excluded(journal_contacts::pending)),
                journal_contacts::contacted_at.eq(excluded(journal_contacts::contacted_at)),
                journal_contacts::gap.eq(excluded(journal_contacts::gap)),
            ))
            .execute(inner))?;
    }
    Ok(())
}

/// Signed decisions waiting for an accreditation's phones.
///
/// # Errors
/// The database's.
pub fn inbox_after(
    conn: &mut Conn,
    mission: i32,
    accreditation: &[u8],
    number: i64,
    limit: i64,
) -> Result<Vec<(i64, Vec<u8>)>> {
    Ok(inbox::table
        .inner_join(
            entries::table.on(entries::mission
                .eq(inbox::mission)
                .and(entries::number.eq(inbox::number))),
        )
        .filter(
            inbox::mission
                .eq(mission)
                .and(inbox::accreditation.eq(accreditation)),
        )
        .filter(inbox::number.gt(number))
        .order(inbox::number)
        .limit(limit)
        .select((inbox::number, entries::sd_jwt))
        .load(conn)?)
}

/// Puts a decision in an accreditation's inbox.
///
/// # Errors
/// The database's.
pub fn add_to_inbox(
    conn: &mut Conn,
    mission: i32,
    accreditation: &[u8],
    number: i64,
) -> Result<()> {
    let added = diesel::insert_into(inbox::table)
        .values((
            inbox::mission.eq(mission),
            inbox::accreditation.eq(accreditation),
            inbox::number.eq(number),
        ))
        .execute(conn)?;
    ensure_one(added)
}

/// A write that must touch one row and did not is an error, not a shrug.
pub(super) fn ensure_one(changed: usize) -> Result<()> {
    if changed == 1 {
        Ok(())
    } else {
        Err(Error::Internal(format!(
            "{changed} rows changed instead of one"
        )))
    }
}

/// What a device's entries on one place of a journal are about, up to a number.
///
/// # Errors
/// The database's.
pub fn claims(
    conn: &mut Conn,
    mission: i32,
    device: &[u8],
    journal: &[u8],
    seq: i64,
    up_to: i64,
) -> Result<Vec<Option<Vec<u8>>>> {
    Ok(entries::table
        .filter(
            entries::mission
                .eq(mission)
                .and(entries::journal.eq(journal))
                .and(entries::seq.eq(seq)),
        )
        .filter(entries::device.eq(device))
        .filter(entries::number.le(up_to))
        .select(entries::subject)
        .load(conn)?)
}

/// Puts every entry's standing back to what it was on arrival, as far as the
/// row itself tells; a rebuild finds out the rest.
///
/// # Errors
/// The database's.
pub fn reset_standings(conn: &mut Conn, mission: i32) -> Result<()> {
    let waiting = entries::mission.eq(mission);
    diesel::update(
        entries::table
            .filter(waiting)
            .filter(entries::quarantine.is_null()),
    )
    .filter(entries::standing.ne("applied"))
    .set(entries::standing.eq("applied"))
    .execute(conn)?;
    diesel::update(
        entries::table
            .filter(waiting)
            .filter(entries::quarantine.is_not_null()),
    )
    .filter(entries::standing.ne("quarantined"))
    .set(entries::standing.eq("quarantined"))
    .execute(conn)?;
    Ok(())
}
