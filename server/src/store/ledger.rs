//! The ledger's rows: heads, entries, and what phones said of their journals.

use diesel::{
    backend::Backend,
    prelude::*,
    query_builder::{AstPass, QueryFragment, QueryId},
    serialize::ToSql,
    sql_types::{BigInt, Binary, HasSqlType, Integer, Nullable},
};

use super::{
    conn::{Conn, on_backend},
    schema::{devices, entries, inbox, ledger_heads, missions},
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
    /// How many entries wait for their base.
    pub held: i64,
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

/// Locks the mission's head and reads it. Everything that appends starts here.
///
/// # Errors
/// The database's; an unknown mission.
pub fn lock_head(conn: &mut Conn, mission: i32) -> Result<Head> {
    let head = ledger_heads::table.find(mission).select((
        ledger_heads::number,
        ledger_heads::chain,
        ledger_heads::held,
    ));
    match conn {
        // A transaction that writes holds SQLite's only lock already.
        Conn::Sqlite(inner) => head.first(inner),
        Conn::Postgres(inner) => head.for_update().first(inner),
    }
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
        .select((
            ledger_heads::number,
            ledger_heads::chain,
            ledger_heads::held,
        ))
        .first(conn)?)
}

/// What an entry is about.
#[derive(Clone, Debug, Queryable)]
pub struct Outline {
    /// Its number.
    pub number: i64,
    /// Its kind.
    pub kind: String,
    /// What it is about.
    pub subject: Option<Vec<u8>>,
    /// Why it was set aside.
    pub quarantine: Option<String>,
}

/// What entries behind a number are about, at most `limit` of them.
///
/// # Errors
/// The database's.
pub fn outlines(conn: &mut Conn, mission: i32, number: i64, limit: i64) -> Result<Vec<Outline>> {
    Ok(entries::table
        .filter(entries::mission.eq(mission))
        .filter(entries::number.gt(number))
        .order(entries::number)
        .limit(limit)
        .select((
            entries::number,
            entries::kind,
            entries::subject,
            entries::quarantine,
        ))
        .load(conn)?)
}

/// Writes the head that [`lock_head`] locked.
///
/// # Errors
/// The database's.
pub fn set_head(conn: &mut Conn, mission: i32, head: &Head) -> Result<()> {
    let changed = on_backend!(conn, |inner| SetHead(mission, head).execute(inner))?;
    ensure_one(changed)
}

/// An UPDATE that stays prepared: diesel's own is parsed anew each time.
struct SetHead<'a>(i32, &'a Head);

impl QueryId for SetHead<'_> {
    type QueryId = SetHead<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<C> RunQueryDsl<C> for SetHead<'_> {}

impl<DB> QueryFragment<DB> for SetHead<'_>
where
    DB: Backend + HasSqlType<Integer> + HasSqlType<BigInt> + HasSqlType<Binary>,
    i32: ToSql<Integer, DB>,
    i64: ToSql<BigInt, DB>,
    Vec<u8>: ToSql<Binary, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        let Self(mission, head) = self;
        out.push_sql("UPDATE ledger_heads SET number = ");
        out.push_bind_param::<BigInt, _>(&head.number)?;
        out.push_sql(", chain = ");
        out.push_bind_param::<Binary, _>(&head.chain)?;
        out.push_sql(", held = ");
        out.push_bind_param::<BigInt, _>(&head.held)?;
        out.push_sql(" WHERE mission = ");
        out.push_bind_param::<Integer, _>(mission)
    }
}

/// Entries that wait for this one.
///
/// # Errors
/// The database's.
pub fn waiting_for(conn: &mut Conn, mission: i32, base: &[u8]) -> Result<Vec<EntryRow>> {
    Ok(entries::table
        .filter((entries::mission + 0).eq(mission))
        .filter(entries::base.eq(base))
        .filter(entries::standing.eq("held"))
        .order(entries::number)
        .load::<EntryRow>(conn)?)
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
        .filter(entries::hash.eq(hash))
        .filter((entries::mission + 0).eq(mission))
        .first::<EntryRow>(conn)
        .optional()?)
}

/// The chain after a number.
///
/// # Errors
/// The database's.
pub fn chain(conn: &mut Conn, mission: i32, number: i64) -> Result<Option<Vec<u8>>> {
    Ok(entries::table
        .find((mission, number))
        .select(entries::chain)
        .first(conn)
        .optional()?)
}

/// All entries about one thing, in ledger order.
///
/// # Errors
/// The database's.
pub fn of_subject(conn: &mut Conn, mission: i32, subject: &[u8]) -> Result<Vec<EntryRow>> {
    Ok(entries::table
        .filter(entries::subject.eq(subject))
        .filter((entries::mission + 0).eq(mission))
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

diesel::define_sql_function! {
    /// The value, or the other one where it is null.
    fn coalesce(value: Nullable<BigInt>, or: BigInt) -> BigInt;
}

/// Where something stands in an inbox: the ledger number from which it counts, and
/// its own.
pub type Place = (i64, i64);

/// What waits for an accreditation's phones behind a place, in the order in which
/// it counts.
///
/// # Errors
/// The database's.
pub fn inbox_after(
    conn: &mut Conn,
    mission: i32,
    accreditation: &[u8],
    (after, own): Place,
    limit: i64,
) -> Result<Vec<(Place, Vec<u8>)>> {
    let position = || coalesce(inbox::position, inbox::number);
    let at_once = position().eq(after).and(inbox::number.gt(own));
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
        .filter(position().gt(after).or(at_once))
        .order((position(), inbox::number))
        .limit(limit)
        .select(((position(), inbox::number), entries::sd_jwt))
        .load(conn)?)
}

/// Puts a decision in an accreditation's inbox, at the number from which it counts.
///
/// # Errors
/// The database's.
pub fn add_to_inbox(
    conn: &mut Conn,
    mission: i32,
    accreditation: &[u8],
    (position, number): Place,
) -> Result<()> {
    let added = diesel::insert_into(inbox::table)
        .values((
            inbox::mission.eq(mission),
            inbox::accreditation.eq(accreditation),
            inbox::number.eq(number),
            inbox::position.eq((position != number).then_some(position)),
        ))
        .execute(conn)?;
    ensure_one(added)
}

/// Puts an entry in the inboxes of these accreditations.
///
/// # Errors
/// The database's.
pub fn add_to_inboxes(
    conn: &mut Conn,
    mission: i32,
    accreditations: &[&[u8]],
    number: i64,
) -> Result<()> {
    for chunk in accreditations.chunks(CHUNK) {
        let rows: Vec<_> = chunk
            .iter()
            .map(|accreditation| {
                (
                    inbox::mission.eq(mission),
                    inbox::accreditation.eq(*accreditation),
                    inbox::number.eq(number),
                )
            })
            .collect();
        on_backend!(conn, |inner| diesel::insert_into(inbox::table)
            .values(&rows)
            .execute(inner))?;
    }
    Ok(())
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
        .filter(entries::journal.eq(journal).and(entries::seq.eq(seq)))
        .filter((entries::mission + 0).eq(mission))
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
