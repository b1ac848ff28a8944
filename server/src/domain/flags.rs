//! Flags: findings about a report that ask a person to look. They refuse
//! nothing and decide nothing.

use std::collections::HashMap;

use protocol::entry::Place;

use crate::{
    clock::Micros,
    error::Result,
    store::{
        Conn,
        projections::{self, ReportRow, StationPoint},
    },
};

macro_rules! flags {
    ($($(#[$doc:meta])* $constant:ident = $bit:literal, $name:literal;)*) => {
        $($(#[$doc])* pub const $constant: i32 = 1 << $bit;)*
        /// Every flag: bit and name.
        pub const ALL: &[(i32, &str)] = &[$(($constant, $name),)*];
    };
}

flags! {
    /// The device's clock was over ten minutes off, or a time lies in the future.
    CLOCK_OFF = 0, "clock_off";
    /// Over a kilometre from the station named, accuracy allowed for.
    FAR_FROM_STATION = 1, "far_from_station";
    /// Over 50 km outside the box of the mission's stations.
    OUTSIDE_COUNTRY = 2, "outside_country";
    /// Names a station that the register lacks.
    UNLISTED_STATION = 3, "unlisted_station";
    /// Two entries claim one place in the journal: the phone was cloned.
    FORK = 4, "fork";
    /// Entries before it are missing, though the phone had none left to send.
    GAP = 5, "gap";
    /// Coordinates that are not on the globe.
    INVALID_PLACE = 6, "invalid_place";
    /// Revised from another device of the same observer.
    TWO_DEVICES = 7, "two_devices";
    /// The observer has answered the question.
    ANSWERED = 8, "answered";
    /// Told on the telephone, and entered by whoever listened.
    BY_TELEPHONE = 9, "by_telephone";
}

const PLACE_FLAGS: i32 = FAR_FROM_STATION | OUTSIDE_COUNTRY | UNLISTED_STATION | INVALID_PLACE;
/// What an erasure leaves: flags that tell how it came, not what it says.
pub const KEPT_BY_ERASURE: i32 = FORK | GAP | TWO_DEVICES | BY_TELEPHONE;

const CLOCK_TOLERANCE: i64 = 10 * 60 * 1_000_000;
const FAR_METRES: f64 = 1_000.0;
const OUTSIDE_METRES: f64 = 50_000.0;
const EARTH_RADIUS: f64 = 6_371_008.8;

/// The names of a set of flags, in the table's order.
#[must_use]
pub fn names(flags: i32) -> Vec<&'static str> {
    ALL.iter()
        .filter(|(bit, _)| flags & bit != 0)
        .map(|(_, name)| *name)
        .collect()
}

/// The flag with this name.
#[must_use]
pub fn from_name(name: &str) -> Option<i32> {
    ALL.iter()
        .find(|(_, flag)| *flag == name)
        .map(|(bit, _)| *bit)
}

/// A mission's stations, as far as the reports at hand name them.
#[derive(Debug)]
pub struct Stations {
    mission: i32,
    /// Whether there is a register to be missing from.
    imported: bool,
    box_: Option<[f64; 4]>,
    points: HashMap<String, Option<StationPoint>>,
}

impl Stations {
    /// Begins with the register's outline.
    ///
    /// # Errors
    /// The database's.
    pub fn load(conn: &mut Conn, mission: i32) -> Result<Self> {
        Ok(Self {
            mission,
            imported: projections::register_versions(conn, mission)?.contains_key("stations"),
            box_: projections::station_box(conn, mission)?,
            points: HashMap::new(),
        })
    }

    /// How many codes were looked up.
    pub(super) fn remembered(&self) -> usize {
        self.points.len()
    }

    /// Looks stations up that have not been looked up yet.
    ///
    /// # Errors
    /// The database's.
    pub fn fetch<'a>(
        &mut self,
        conn: &mut Conn,
        codes: impl IntoIterator<Item = &'a str>,
    ) -> Result<()> {
        // PostgreSQL's text holds no U+0000, so no station has it in its code.
        let mut missing: Vec<&str> = codes
            .into_iter()
            .filter(|code| !code.contains('\0') && !self.points.contains_key(*code))
            .collect();
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() || !self.imported {
            return Ok(());
        }
        for point in projections::station_points(conn, self.mission, &missing)? {
            self.points.insert(point.code.clone(), Some(point));
        }
        for code in missing {
            self.points.entry(code.to_owned()).or_insert(None);
        }
        Ok(())
    }

    /// Sets what follows from station and place: flags and constituency.
    pub fn place(&self, report: &mut ReportRow) {
        let station = report
            .station
            .as_ref()
            .and_then(|code| self.points.get(code)?.as_ref());
        report.constituency = station.and_then(|point| point.constituency.clone());
        // An impossible place has no coordinates left to look at again.
        let mut flags = report.flags & !(PLACE_FLAGS & !INVALID_PLACE);
        if report.station.is_some() && station.is_none() && self.imported {
            flags |= UNLISTED_STATION;
        }
        if let (Some(lat), Some(lon)) = (report.lat, report.lon) {
            if let Some((station_lat, station_lon)) =
                station.and_then(|point| point.lat.zip(point.lon))
            {
                let beyond =
                    metres(lat, lon, station_lat, station_lon) - report.accuracy.unwrap_or(0.0);
                if beyond > FAR_METRES {
                    flags |= FAR_FROM_STATION;
                }
            }
            if self
                .box_
                .is_some_and(|box_| metres_outside(box_, lat, lon) > OUTSIDE_METRES)
            {
                flags |= OUTSIDE_COUNTRY;
            }
        }
        report.flags = flags;
    }
}

/// Writes a place into a report, or the flag that it is none.
pub fn set_place(report: &mut ReportRow, place: Option<Place>) {
    let valid = place.filter(Place::is_valid);
    report.lat = valid.map(|place| place.lat);
    report.lon = valid.map(|place| place.lon);
    report.accuracy = valid.and_then(|place| place.accuracy);
    report.flags &= !INVALID_PLACE;
    if place.is_some() && valid.is_none() {
        report.flags |= INVALID_PLACE;
    }
}

/// Whether the clocks of an entry are off: by the phone's own clock at the
/// exchange, or because it claims a time that had not come.
#[must_use]
pub fn is_clock_off(skew: Option<i64>, claims: &[Option<i64>], received_at: i64) -> bool {
    skew.is_some_and(|skew| skew.saturating_abs() > CLOCK_TOLERANCE)
        || claims
            .iter()
            .flatten()
            .any(|claim| *claim > received_at.saturating_add(CLOCK_TOLERANCE))
}

/// Reads a claimed time; an unreadable one is `None` and counts as off.
#[must_use]
pub fn claimed(text: &str) -> Option<i64> {
    Micros::parse(text).map(|micros| micros.0)
}

/// Looks at every placed report again after the station register changed.
///
/// # Errors
/// The database's.
pub fn reproject_places(conn: &mut Conn, mission: i32) -> Result<()> {
    let mut stations = Stations::load(conn, mission)?;
    let mut after = 0;
    loop {
        let reports = projections::placed_reports(conn, mission, after, 1000)?;
        let Some(last) = reports.last() else {
            return Ok(());
        };
        after = last.first_number;
        stations.fetch(
            conn,
            reports
                .iter()
                .filter_map(|report| report.station.as_deref()),
        )?;
        for before in reports {
            let mut report = before.clone();
            stations.place(&mut report);
            if report != before {
                projections::update_report(conn, &report)?;
            }
        }
    }
}

/// Great-circle distance (haversine) in metres.
#[must_use]
pub fn metres(lat1: f64, lon1: f64, lat2: f64, lon2: f64) -> f64 {
    let (a, b) = (lat1.to_radians(), lat2.to_radians());
    let h = ((b - a) / 2.0).sin().powi(2)
        + a.cos() * b.cos() * ((lon2 - lon1).to_radians() / 2.0).sin().powi(2);
    2.0 * EARTH_RADIUS * h.sqrt().min(1.0).asin()
}

fn metres_outside([south, north, west, east]: [f64; 4], lat: f64, lon: f64) -> f64 {
    metres(lat, lon, lat.clamp(south, north), lon.clamp(west, east))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_right() {
        // Baku to Ganja is about 300 km; a degree of the meridian about 111.2 km.
        assert!((metres(40.4093, 49.8671, 40.6828, 46.3606) - 297_600.0).abs() < 2_000.0);
        assert!((metres(0.0, 0.0, 1.0, 0.0) - 111_195.0).abs() < 10.0);
        assert!(metres(10.0, 20.0, 10.0, 20.0) < 1e-6);
        assert!((metres(0.0, 0.0, 0.0, 180.0) - std::f64::consts::PI * EARTH_RADIUS).abs() < 1.0);
    }

    #[test]
    fn outside_is_measured_to_the_box() {
        let box_ = [38.0, 42.0, 44.0, 51.0];
        assert!(metres_outside(box_, 40.0, 47.0) < 1e-6);
        assert!(metres_outside(box_, 0.0, 0.0) > OUTSIDE_METRES);
        assert!(metres_outside(box_, 42.3, 47.0) < OUTSIDE_METRES);
        assert!(metres_outside(box_, 42.6, 47.0) > OUTSIDE_METRES);
    }

    #[test]
    fn clocks() {
        let minute = 60_000_000;
        assert!(!is_clock_off(None, &[None], 0));
        assert!(!is_clock_off(Some(9 * minute), &[Some(-1_000 * minute)], 0));
        assert!(is_clock_off(Some(-11 * minute), &[], 0));
        assert!(is_clock_off(None, &[Some(11 * minute)], 0));
        assert!(is_clock_off(
            Some(i64::MIN),
            &[Some(i64::MAX)],
            i64::MAX - 1
        ));
    }

    #[test]
    fn names_go_both_ways() {
        for (bit, name) in ALL {
            assert_eq!(names(*bit), [*name]);
            assert_eq!(from_name(name), Some(*bit));
        }
    }
}
