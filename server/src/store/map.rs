//! Reports as points of a map: a few narrow columns of many rows.

use diesel::prelude::*;

use super::{Conn, reports_query, schema::reports};
use crate::{domain::reports::Filter, error::Result};

/// A report on the map.
#[derive(Clone, Debug, Queryable)]
#[expect(missing_docs, reason = "as in `reports`")]
pub struct Point {
    pub id: Vec<u8>,
    pub lat: Option<f64>,
    pub lon: Option<f64>,
    pub severity: Option<String>,
    pub status: String,
    pub category: String,
    pub station: Option<String>,
    pub received_at: i64,
}

/// Reports that fit, the newest first.
///
/// # Errors
/// The database's.
pub fn points(conn: &mut Conn, mission: i32, filter: &Filter, limit: i64) -> Result<Vec<Point>> {
    Ok(reports_query::filtered(conn, mission, filter)?
        .order(reports::first_number.desc())
        .limit(limit)
        .select((
            reports::id,
            reports::lat,
            reports::lon,
            reports::severity,
            reports::status,
            reports::category,
            reports::station,
            reports::received_at,
        ))
        .load(conn)?)
}
