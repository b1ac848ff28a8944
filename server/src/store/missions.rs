//! Missions, and what names the server's history.

use diesel::{dsl, prelude::*};
use protocol::{
    ids::{EpochId, MissionId},
    ledger,
};
use uuid::Uuid;

use super::{
    conn::{Conn, on_backend},
    schema::{ledger_heads, missions, server_state, stations},
};
use crate::{
    clock::Micros,
    domain::acts::MissionRef,
    error::{Error, Result},
};

/// One organisation's observation of one election.
#[derive(Clone, Debug)]
pub struct Mission {
    /// Inside and outside.
    pub reference: MissionRef,
    /// Its name.
    pub name: String,
    /// The election.
    pub election: String,
    /// IANA time zone of the stations.
    pub timezone: String,
    /// Levels of the location tree, from the largest to the station.
    pub levels: Vec<String>,
    /// The public half of its sealing key (age recipient).
    pub sealing_key: String,
    /// When it was made.
    pub created_at: Micros,
}

const EPOCH: &str = "epoch";
/// The backup that this database was last filled from.
const RESTORED: &str = "restored_from";

#[derive(Queryable, Selectable)]
#[diesel(table_name = missions)]
struct Row {
    no: i32,
    id: Vec<u8>,
    name: String,
    election: String,
    timezone: String,
    levels: String,
    sealing_key: String,
    created_at: i64,
}

impl TryFrom<Row> for Mission {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let damaged = |what: &str| Error::Internal(format!("mission {}: {what}", row.no));
        let id = Uuid::from_slice(&row.id).map_err(|_| damaged("id"))?;
        Ok(Self {
            reference: MissionRef {
                no: row.no,
                id: MissionId(id),
            },
            levels: serde_json::from_str(&row.levels).map_err(|_| damaged("levels"))?,
            name: row.name,
            election: row.election,
            timezone: row.timezone,
            sealing_key: row.sealing_key,
            created_at: Micros(row.created_at),
        })
    }
}

/// Every mission, oldest first.
///
/// # Errors
/// The database's.
pub fn list(conn: &mut Conn) -> Result<Vec<Mission>> {
    let rows: Vec<Row> = missions::table
        .select(Row::as_select())
        .order(missions::no.asc())
        .load(conn)?;
    rows.into_iter().map(Mission::try_from).collect()
}

/// One mission.
///
/// # Errors
/// The database's.
pub fn find(conn: &mut Conn, id: MissionId) -> Result<Option<Mission>> {
    missions::table
        .filter(missions::id.eq(id.0.as_bytes().as_slice()))
        .select(Row::as_select())
        .first::<Row>(conn)
        .optional()?
        .map(Mission::try_from)
        .transpose()
}

/// A mission that is about to be made.
#[derive(Debug)]
pub struct NewMission<'a> {
    /// Its id.
    pub id: MissionId,
    /// Its name.
    pub name: &'a str,
    /// The election.
    pub election: &'a str,
    /// IANA time zone.
    pub timezone: &'a str,
    /// Levels of its location tree, the station's last.
    pub levels: &'a [String],
    /// age recipient.
    pub sealing_key: &'a str,
    /// When.
    pub created_at: Micros,
}

/// Adds a mission and the head of its empty ledger; answers its short key.
///
/// # Errors
/// The database's.
pub fn insert(conn: &mut Conn, new: &NewMission<'_>) -> Result<i32> {
    // Writers of one server take turns here; so the next number is free.
    diesel::update(server_state::table.filter(server_state::name.eq(EPOCH)))
        .set(server_state::value.eq(server_state::value))
        .execute(conn)?;
    let last: Option<i32> = missions::table.select(dsl::max(missions::no)).first(conn)?;
    let no = last.unwrap_or(0) + 1;
    let levels =
        serde_json::to_string(new.levels).map_err(|error| Error::Internal(error.to_string()))?;
    diesel::insert_into(missions::table)
        .values((
            missions::no.eq(no),
            missions::id.eq(new.id.0.as_bytes().as_slice()),
            missions::name.eq(new.name),
            missions::election.eq(new.election),
            missions::timezone.eq(new.timezone),
            missions::levels.eq(levels),
            missions::sealing_key.eq(new.sealing_key),
            missions::created_at.eq(new.created_at.0),
        ))
        .execute(conn)?;
    diesel::insert_into(ledger_heads::table)
        .values((
            ledger_heads::mission.eq(no),
            ledger_heads::number.eq(0_i64),
            ledger_heads::chain.eq(ledger::genesis(new.id).as_slice()),
            ledger_heads::held.eq(0_i64),
        ))
        .execute(conn)?;
    Ok(no)
}

/// Measures the box around the mission's stations again.
///
/// # Errors
/// The database's.
pub fn refresh_box(conn: &mut Conn, mission: i32) -> Result<()> {
    type Bounds = (Option<f64>, Option<f64>, Option<f64>, Option<f64>);
    let bounds: Bounds = stations::table
        .filter(stations::mission.eq(mission))
        .select((
            dsl::min(stations::lat),
            dsl::max(stations::lat),
            dsl::min(stations::lon),
            dsl::max(stations::lon),
        ))
        .first(conn)?;
    diesel::update(missions::table.filter(missions::no.eq(mission)))
        .set((
            missions::min_lat.eq(bounds.0),
            missions::max_lat.eq(bounds.1),
            missions::min_lon.eq(bounds.2),
            missions::max_lon.eq(bounds.3),
        ))
        .execute(conn)?;
    Ok(())
}

/// The server's history, once it has a name.
///
/// # Errors
/// The database's.
pub fn epoch(conn: &mut Conn) -> Result<Option<EpochId>> {
    let value: Option<String> = server_state::table
        .filter(server_state::name.eq(EPOCH))
        .select(server_state::value)
        .first(conn)
        .optional()?;
    value
        .map(|text| {
            text.parse()
                .map_err(|_| Error::Internal("the epoch is not a UUID".into()))
        })
        .transpose()
}

/// Names the server's history unless somebody was quicker; answers the name
/// that holds.
///
/// # Errors
/// The database's.
pub fn start_epoch(conn: &mut Conn, new: EpochId) -> Result<EpochId> {
    let row = (
        server_state::name.eq(EPOCH),
        server_state::value.eq(new.to_string()),
    );
    on_backend!(conn, |inner| diesel::insert_into(server_state::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(inner))?;
    epoch(conn)?.ok_or_else(|| Error::Internal("the epoch was not kept".into()))
}

/// Notes the backup that this database was filled from.
///
/// # Errors
/// The database's.
pub fn set_restored(conn: &mut Conn, backup: Uuid) -> Result<()> {
    diesel::delete(server_state::table.filter(server_state::name.eq(RESTORED))).execute(conn)?;
    let added = diesel::insert_into(server_state::table)
        .values((
            server_state::name.eq(RESTORED),
            server_state::value.eq(backup.to_string()),
        ))
        .execute(conn)?;
    super::ledger::ensure_one(added)
}

/// Whether this database was filled from a backup, and from no other since.
///
/// # Errors
/// The database's.
pub fn is_restored_from(conn: &mut Conn, backup: Uuid) -> Result<bool> {
    let value: Option<String> = server_state::table
        .filter(server_state::name.eq(RESTORED))
        .select(server_state::value)
        .first(conn)
        .optional()?;
    Ok(value == Some(backup.to_string()))
}
