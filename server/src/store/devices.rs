//! Devices and accreditations as people ask for them. Every function takes the
//! caller's mission.

use diesel::{
    dsl::{exists, not},
    prelude::*,
};
use protocol::ids::{AccreditationId, DeviceId};
use uuid::Uuid;

use super::{
    Conn,
    schema::{accreditations, devices, entries, revoked_accreditations},
};
use crate::error::{Error, Result};

/// Whether a device may act.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// Whose it is.
    pub accreditation: AccreditationId,
    /// It, or its accreditation, was revoked.
    pub revoked: bool,
}

/// An id as it is stored.
///
/// # Errors
/// Not 16 bytes: a damaged row.
pub fn read_id(bytes: &[u8]) -> Result<Uuid> {
    Uuid::from_slice(bytes).map_err(|_| Error::Internal("an id of other than 16 bytes".into()))
}

/// Whether a device may act now; `None` if there is none.
///
/// # Errors
/// The database's.
pub fn state(conn: &mut Conn, mission: i32, device: DeviceId) -> Result<Option<State>> {
    let row: Option<(Vec<u8>, Option<i64>)> = devices::table
        .find((mission, device.0.as_bytes().to_vec()))
        .select((devices::accreditation, devices::revoked_number))
        .first(conn)
        .optional()?;
    let Some((accreditation, revoked)) = row else {
        return Ok(None);
    };
    let revoked = revoked.is_some()
        || super::projections::is_accreditation_revoked(conn, mission, &accreditation)?;
    Ok(Some(State {
        accreditation: AccreditationId(read_id(&accreditation)?),
        revoked,
    }))
}

/// A device with its observer.
#[derive(Clone, Debug, Queryable)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct DeviceRow {
    pub id: Vec<u8>,
    pub kid: String,
    pub enrolled_number: i64,
    pub enrolled_at: i64,
    pub revoked_number: Option<i64>,
    pub accreditation: Vec<u8>,
    pub number: String,
    pub pseudonym: String,
}

/// Devices, the last enrolled first: those before the ledger number `before`,
/// of one accreditation if its number is given.
///
/// # Errors
/// The database's.
pub fn page(
    conn: &mut Conn,
    mission: i32,
    accreditation: Option<&str>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<DeviceRow>> {
    let mut query = devices::table
        .inner_join(
            accreditations::table.on(accreditations::mission
                .eq(devices::mission)
                .and(accreditations::id.eq(devices::accreditation))),
        )
        .inner_join(
            entries::table.on(entries::mission
                .eq(devices::mission)
                .and(entries::number.eq(devices::enrolled_number))),
        )
        .filter(devices::mission.eq(mission))
        .select((
            devices::id,
            devices::kid,
            devices::enrolled_number,
            entries::received_at,
            devices::revoked_number,
            devices::accreditation,
            accreditations::number,
            accreditations::pseudonym,
        ))
        .order(devices::enrolled_number.desc())
        .limit(limit)
        .into_boxed();
    if let Some(number) = accreditation {
        query = query.filter(accreditations::number.eq(number.to_owned()));
    }
    if let Some(before) = before {
        query = query.filter(devices::enrolled_number.lt(before));
    }
    Ok(query.load::<DeviceRow>(conn)?)
}

/// Which accreditations to list. Empty means all.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct AccreditationFilter {
    /// Any of these numbers.
    pub number: Vec<String>,
    /// Any of these pseudonyms.
    pub observer: Vec<String>,
    /// Any of these institutions.
    pub institution: Vec<String>,
    /// Any of these kinds.
    pub kind: Vec<String>,
    /// Any of these countries.
    pub country: Vec<String>,
    /// Revoked ones only, or the others only.
    pub revoked: Option<bool>,
    /// Those with a device that was not revoked only, or the others only.
    pub enrolled: Option<bool>,
    /// Part of what they are called; [`crate::domain::accreditations::like`] looks.
    pub like: Option<String>,
}

/// An accreditation with what became of it.
#[derive(Clone, Debug, Queryable)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct AccreditationRow {
    pub id: Vec<u8>,
    pub number: String,
    pub name: String,
    pub kind: String,
    pub institution: String,
    pub country: String,
    pub stations: String,
    pub pseudonym: String,
}

/// Accreditations in the order of their numbers, those after `after`.
///
/// # Errors
/// The database's.
pub fn accreditations(
    conn: &mut Conn,
    mission: i32,
    filter: &AccreditationFilter,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<AccreditationRow>> {
    let mut query = accreditations::table
        .filter(accreditations::mission.eq(mission))
        .select((
            accreditations::id,
            accreditations::number,
            accreditations::name,
            accreditations::kind,
            accreditations::institution,
            accreditations::country,
            accreditations::stations,
            accreditations::pseudonym,
        ))
        .order(accreditations::number)
        .limit(limit)
        .into_boxed();
    if !filter.number.is_empty() {
        query = query.filter(accreditations::number.eq_any(filter.number.clone()));
    }
    if !filter.observer.is_empty() {
        query = query.filter(accreditations::pseudonym.eq_any(filter.observer.clone()));
    }
    if !filter.institution.is_empty() {
        query = query.filter(accreditations::institution.eq_any(filter.institution.clone()));
    }
    if !filter.kind.is_empty() {
        query = query.filter(accreditations::kind.eq_any(filter.kind.clone()));
    }
    if !filter.country.is_empty() {
        query = query.filter(accreditations::country.eq_any(filter.country.clone()));
    }
    if let Some(enrolled) = filter.enrolled {
        let theirs = devices::table
            .filter(devices::mission.eq(accreditations::mission))
            .filter(devices::accreditation.eq(accreditations::id))
            .filter(devices::revoked_number.is_null());
        query = if enrolled {
            query.filter(exists(theirs))
        } else {
            query.filter(not(exists(theirs)))
        };
    }
    if let Some(revoked) = filter.revoked {
        let gone = revoked_accreditations::table
            .filter(revoked_accreditations::mission.eq(mission))
            .select(revoked_accreditations::accreditation);
        query = if revoked {
            query.filter(accreditations::id.eq_any(gone))
        } else {
            query.filter(accreditations::id.ne_all(gone))
        };
    }
    if let Some(after) = after {
        query = query.filter(accreditations::number.gt(after.to_owned()));
    }
    Ok(query.load::<AccreditationRow>(conn)?)
}

/// The institutions and the countries that the register names, each once.
///
/// # Errors
/// The database's.
pub fn origins(conn: &mut Conn, mission: i32) -> Result<Vec<(String, String)>> {
    Ok(accreditations::table
        .filter(accreditations::mission.eq(mission))
        .select((accreditations::institution, accreditations::country))
        .distinct()
        .load(conn)?)
}

/// An accreditation by its number.
///
/// # Errors
/// The database's.
pub fn accreditation_by_number(
    conn: &mut Conn,
    mission: i32,
    number: &str,
) -> Result<Option<AccreditationRow>> {
    let filter = AccreditationFilter {
        number: vec![number.to_owned()],
        ..Default::default()
    };
    Ok(accreditations(conn, mission, &filter, None, 1)?.pop())
}

/// An accreditation by its id.
///
/// # Errors
/// The database's.
pub fn accreditation(conn: &mut Conn, mission: i32, id: &[u8]) -> Result<Option<AccreditationRow>> {
    Ok(accreditations::table
        .find((mission, id))
        .select((
            accreditations::id,
            accreditations::number,
            accreditations::name,
            accreditations::kind,
            accreditations::institution,
            accreditations::country,
            accreditations::stations,
            accreditations::pseudonym,
        ))
        .first::<AccreditationRow>(conn)
        .optional()?)
}

/// Which of these accreditations are revoked, and by which ledger number.
///
/// # Errors
/// The database's.
pub fn revocations(conn: &mut Conn, mission: i32, ids: &[Vec<u8>]) -> Result<Vec<(Vec<u8>, i64)>> {
    Ok(revoked_accreditations::table
        .filter(revoked_accreditations::mission.eq(mission))
        .filter(revoked_accreditations::accreditation.eq_any(ids))
        .select((
            revoked_accreditations::accreditation,
            revoked_accreditations::number,
        ))
        .load(conn)?)
}
