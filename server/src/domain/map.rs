//! Reports and stations for the map: as little of each as a map needs, so that it takes
//! a whole mission.

use std::collections::HashMap;

use serde::Serialize;
use uuid::Uuid;

use crate::{
    clock::Micros,
    domain::{acts::MissionRef, reports::Filter, room},
    error::{Error, Result},
    store::{
        Conn, ledger,
        map::{self, Point},
        registers, room as figures,
    },
};

/// Reports of one answer.
pub const REPORTS: i64 = 100_000;
/// From the least severe on; the number of one is its place here and one more.
const SEVERITIES: [&str; 4] = ["low", "medium", "high", "critical"];

/// Reports as columns of one length: the n-th member of each is the n-th report, newest
/// first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct MapReports {
    /// The ledger number that this tells of; what came since is told by `/v1/events`.
    pub cursor: i64,
    /// Whether more fit than one answer holds.
    pub more: bool,
    /// Ids.
    pub id: Vec<Uuid>,
    /// Degrees, where the report has a place of its own.
    pub lon: Vec<Option<f64>>,
    /// The same.
    pub lat: Vec<Option<f64>>,
    /// 0 for none, then low, medium, high and critical: 1 to 4.
    pub severity: Vec<usize>,
    /// Places in `statuses`.
    pub status: Vec<usize>,
    /// Places in `categories`.
    pub category: Vec<usize>,
    /// Places in `stations`, where the report names one.
    pub station: Vec<Option<usize>>,
    /// When the server received it, in seconds since 1970.
    pub received: Vec<i64>,
    /// Statuses that occur.
    pub statuses: Vec<String>,
    /// Categories that occur.
    pub categories: Vec<String>,
    /// Stations that occur, as observers gave them.
    pub stations: Vec<String>,
}

/// Words that stand once, whatever the number of rows that have them.
#[derive(Default)]
struct Words {
    all: Vec<String>,
    places: HashMap<String, usize>,
}

impl Words {
    fn place(&mut self, word: String) -> usize {
        if let Some(place) = self.places.get(&word) {
            return *place;
        }
        self.all.push(word.clone());
        self.places.insert(word, self.all.len() - 1);
        self.all.len() - 1
    }
}

/// The reports that fit a filter, the newest if there are too many.
///
/// # Errors
/// The database's.
pub fn reports(conn: &mut Conn, mission: MissionRef, filter: &Filter) -> Result<MapReports> {
    // Before the reports: what changes in between is told twice rather than never.
    let cursor = ledger::head(conn, mission.no)?.number;
    let mut points = map::points(conn, mission.no, filter, REPORTS + 1)?;
    let most = usize::try_from(REPORTS).unwrap_or(usize::MAX);
    let more = points.len() > most;
    points.truncate(most);
    let mut out = MapReports {
        cursor,
        more,
        ..MapReports::default()
    };
    let (mut statuses, mut categories, mut stations) =
        (Words::default(), Words::default(), Words::default());
    for point in points {
        out.id.push(
            Uuid::from_slice(&point.id).map_err(|_| Error::Internal("a report's id".into()))?,
        );
        let place = place(&point);
        out.lon.push(place.map(|(lon, _)| lon));
        out.lat.push(place.map(|(_, lat)| lat));
        out.severity.push(rank(point.severity.as_deref()));
        out.status.push(statuses.place(point.status));
        out.category.push(categories.place(point.category));
        out.station
            .push(point.station.map(|station| stations.place(station)));
        out.received.push(Micros(point.received_at).seconds());
    }
    (out.statuses, out.categories, out.stations) = (statuses.all, categories.all, stations.all);
    Ok(out)
}

fn rank(severity: Option<&str>) -> usize {
    SEVERITIES
        .iter()
        .position(|known| Some(*known) == severity)
        .map_or(0, |place| place + 1)
}

/// Where a report is, to a metre.
fn place(point: &Point) -> Option<(f64, f64)> {
    let metre = |degrees: f64| (degrees * 1e5).round() / 1e5;
    point
        .lon
        .zip(point.lat)
        .map(|(lon, lat)| (metre(lon), metre(lat)))
}

/// A station on the map.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct MapStation {
    /// Unique in the mission.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Code of its constituency.
    pub constituency: Option<String>,
    /// Degrees, where known.
    pub lat: Option<f64>,
    /// Degrees, where known.
    pub lon: Option<f64>,
    /// Observers whose last check-in is an arrival here.
    pub observers: i64,
    /// Reports that name it and were not withdrawn.
    pub reports: i64,
    /// The worst of their severities: 0 for none, then low, medium, high, critical: 1 to 4.
    pub worst: usize,
}

/// A level above the stations.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct MapConstituency {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
}

/// The mission's stations, by code.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct MapStations {
    /// All of them.
    pub stations: Vec<MapStation>,
    /// What their constituencies are called, by code.
    pub constituencies: Vec<MapConstituency>,
}

/// Every station, with who is there and what was reported from it.
///
/// # Errors
/// The database's.
pub fn stations(conn: &mut Conn, mission: MissionRef) -> Result<MapStations> {
    let present: HashMap<String, i64> = figures::present(conn, mission.no)?
        .into_iter()
        .map(|present| (present.station, present.observers))
        .collect();
    let mut reported: HashMap<String, (i64, usize)> = HashMap::new();
    for group in figures::at_stations(conn, mission.no)? {
        let (reports, worst) = reported.entry(group.station).or_default();
        *reports += group.reports;
        *worst = rank(group.severity.as_deref()).max(*worst);
    }
    let mut stations: Vec<_> = registers::stations(conn, mission.no)?
        .into_values()
        .map(|station| {
            let (reports, worst) = reported.get(&station.code).copied().unwrap_or_default();
            MapStation {
                observers: present.get(&station.code).copied().unwrap_or_default(),
                code: station.code,
                name: station.name,
                constituency: station.constituency,
                lat: station.lat,
                lon: station.lon,
                reports,
                worst,
            }
        })
        .collect();
    stations.sort_by(|a, b| a.code.cmp(&b.code));
    let mut constituencies: Vec<_> = room::constituencies(conn, mission)?
        .into_iter()
        .map(|(code, name)| MapConstituency { code, name })
        .collect();
    constituencies.sort_by(|a, b| a.code.cmp(&b.code));
    Ok(MapStations {
        stations,
        constituencies,
    })
}
