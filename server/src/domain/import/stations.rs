//! Stations and the locations above them:
//! `code,name,{level}_no,{level}_name,…,lat,lon,registered_voters[,generated]`.

use std::collections::{HashMap, hash_map::Entry};

use protocol::codes::Code;

use super::{
    Columns, Field, FieldChange, Options, Progress, Reading, Step, Table, Tally,
    preview::Values,
    take_key,
    value::{NAME_CHARS, Reader},
};
use crate::{
    domain::missions::Mission,
    error::Result,
    store::{
        Conn, registers,
        registers::{Location, Station},
    },
};

pub(super) fn fields(mission: &Mission) -> Vec<Field> {
    let mut fields = vec![Field::new("code", true), Field::new("name", true)];
    for level in upper_levels(mission) {
        fields.push(Field::new(format!("{level}_no"), true));
        fields.push(Field::new(format!("{level}_name"), false));
    }
    for name in ["lat", "lon", "registered_voters", "generated"] {
        fields.push(Field::new(name, false));
    }
    fields
}

/// The mission's levels but the stations' own.
fn upper_levels(mission: &Mission) -> &[String] {
    mission.levels.split_last().map_or(&[], |(_, upper)| upper)
}

/// What the file says.
pub(super) struct Parsed {
    stations: Vec<Row>,
    locations: HashMap<LocationKey, Seen>,
}

/// A station, its line, and what lies above it.
struct Row {
    line: u64,
    station: Station,
    above: Vec<LocationKey>,
}

/// What is to be written.
pub(super) struct Plan {
    locations: Vec<Location>,
    stations: Vec<Station>,
}

/// Level and code.
pub(super) type LocationKey = (String, String);

/// A location, and the line that named it first.
struct Seen {
    line: u64,
    name: Option<String>,
    parent: Option<String>,
}

pub(super) fn parse(
    table: &mut Table<'_>,
    columns: &Columns,
    mission: &Mission,
    options: &Options,
    file: &mut Reading<'_>,
) -> Parsed {
    let levels: Vec<_> = upper_levels(mission)
        .iter()
        .map(|level| {
            let column = |part: &str| columns.of(&format!("{level}_{part}"));
            (level.as_str(), column("no"), column("name"))
        })
        .collect();
    let mut locations = HashMap::new();
    let mut keys = std::mem::take(&mut file.keys);
    let stations = file.rows(table, |row, errors| {
        let mut cells = Reader { row, errors };
        let code = cells.needed_code(columns.of("code"), "code").to_owned();
        let name = cells.needed(columns.of("name"), "name", NAME_CHARS);
        let place = cells.place(columns.of("lat"), columns.of("lon"), options.decimal);
        let registered_voters = cells.count(
            columns.of("registered_voters"),
            "number of registered voters",
        );
        let generated = cells.flag(columns.of("generated"));
        let mut parent: Option<String> = None;
        let mut above = Vec::new();
        for (level, no, name) in &levels {
            let own = cells.code(*no, &format!("{level}'s code")).to_owned();
            let label = cells.text(*name, &format!("{level}'s name"), NAME_CHARS);
            if own.is_empty() {
                if !label.is_empty() {
                    let message = format!("the {level} has a name and no code");
                    let error = cells.row.error(*no, Code::ValueMissing, message);
                    cells.errors.push(error);
                }
                parent = None;
                continue;
            }
            let key = ((*level).to_owned(), own.clone());
            let label = (!label.is_empty()).then_some(label);
            let seen = Seen {
                line: cells.row.line,
                name: label,
                parent: parent.take(),
            };
            if let Err((column, message)) = merge(&mut locations, &key, seen, *no, *name) {
                let error = cells.row.error(column, Code::InvalidValue, message);
                cells.errors.push(error);
            }
            above.push(key);
            parent = Some(own);
        }
        if !code.is_empty() {
            take_key(&mut keys, row, columns.of("code"), &code, cells.errors);
        }
        let station = Station {
            mission: mission.reference.no,
            code,
            name,
            constituency: parent,
            lat: place.map(|(lat, _)| lat),
            lon: place.map(|(_, lon)| lon),
            registered_voters,
            generated,
        };
        Some(Row {
            line: row.line,
            station,
            above,
        })
    });
    Parsed {
        stations,
        locations,
    }
}

/// Takes a location that may have been named on earlier lines. Two lines that
/// contradict each other are an error: which one is right, only a person knows.
fn merge(
    locations: &mut HashMap<LocationKey, Seen>,
    key: &LocationKey,
    new: Seen,
    no: Option<usize>,
    name: Option<usize>,
) -> std::result::Result<(), (Option<usize>, String)> {
    let (level, code) = key;
    match locations.entry(key.clone()) {
        Entry::Vacant(slot) => {
            slot.insert(new);
        }
        Entry::Occupied(mut slot) => {
            let old = slot.get_mut();
            match (&old.name, new.name) {
                (Some(first), Some(second)) if *first != second => {
                    let message = format!(
                        "{level} {code} is called `{second}` here and `{first}` on line {}",
                        old.line
                    );
                    return Err((name, message));
                }
                (None, second) => old.name = second,
                _ => {}
            }
            if old.parent != new.parent {
                let message = format!(
                    "{level} {code} lies in {} here and in {} on line {}",
                    new.parent.as_deref().unwrap_or("nothing"),
                    old.parent.as_deref().unwrap_or("nothing"),
                    old.line
                );
                return Err((no, message));
            }
        }
    }
    Ok(())
}

/// The rows to write.
pub(super) fn plan(
    conn: &mut Conn,
    mission: &Mission,
    columns: &Columns,
    parsed: Parsed,
    tally: &mut Tally,
) -> Result<Plan> {
    let known_locations = registers::locations(conn, mission.reference.no)?;
    let mut moved: HashMap<LocationKey, Vec<FieldChange>> = HashMap::new();
    let mut locations = Vec::new();
    for (key, seen) in parsed.locations {
        let known = known_locations.get(&key);
        // A file that does not name a location leaves the name it has.
        let name = seen
            .name
            .or_else(|| known.map(|known| known.name.clone()))
            .unwrap_or_else(|| key.1.clone());
        let location = Location {
            mission: mission.reference.no,
            level: key.0.clone(),
            code: key.1.clone(),
            name,
            parent: seen.parent,
        };
        if known != Some(&location) {
            moved.insert(key, location_changes(known, &location));
            locations.push(location);
        }
    }
    let level = upper_levels(mission).last().cloned().unwrap_or_default();
    let values = |station: &Station| values(&level, station);
    let mut known = registers::stations(conn, mission.reference.no)?;
    let mut stations = Vec::new();
    for mut row in parsed.stations {
        let old = known.remove(&row.station.code);
        if let Some(old) = &old {
            keep_absent(&mut row.station, old, columns);
        }
        let place = (row.line, row.station.code.as_str());
        let above: Vec<_> = row.above.iter().filter_map(|key| moved.get(key)).collect();
        if !above.is_empty() && old.as_ref() == Some(&row.station) {
            tally.update(place, || above.into_iter().flatten().cloned().collect());
        } else if tally.count(place, old.as_ref(), &row.station, values) {
            stations.push(row.station);
        }
    }
    tally.note_missing(known.keys());
    locations.sort_by(|a, b| (&a.level, &a.code).cmp(&(&b.level, &b.code)));
    Ok(Plan {
        locations,
        stations,
    })
}

/// What changes about a location, as its stations' rows say it.
fn location_changes(known: Option<&Location>, new: &Location) -> Vec<FieldChange> {
    let before = |value: fn(&Location) -> String| known.map(value).unwrap_or_default();
    let name = FieldChange {
        field: format!("{}_name", new.level),
        before: before(|location| location.name.clone()),
        after: new.name.clone(),
    };
    let parent = FieldChange {
        field: format!("{}_parent", new.level),
        before: before(|location| location.parent.clone().unwrap_or_default()),
        after: new.parent.clone().unwrap_or_default(),
    };
    let changed = |change: &FieldChange| change.before != change.after;
    [name, parent].into_iter().filter(changed).collect()
}

/// A row as its file says it, but for the names of what lies above.
fn values(level: &str, row: &Station) -> Values {
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let voters = row.registered_voters;
    let mut values = vec![
        ("code".to_owned(), row.code.clone()),
        ("name".to_owned(), row.name.clone()),
    ];
    if !level.is_empty() {
        values.push((
            format!("{level}_no"),
            row.constituency.clone().unwrap_or_default(),
        ));
    }
    values.extend([
        ("lat".to_owned(), number(row.lat)),
        ("lon".to_owned(), number(row.lon)),
        (
            "registered_voters".to_owned(),
            voters.map(|voters| voters.to_string()).unwrap_or_default(),
        ),
        ("generated".to_owned(), row.generated.to_string()),
    ]);
    values
}

/// What lies above a station, from the top: level, code and name.
pub fn path<'a>(
    mission: &'a Mission,
    locations: &'a HashMap<LocationKey, Location>,
    station: &'a Station,
) -> Vec<(&'a str, &'a str, &'a str)> {
    let mut path = Vec::new();
    let mut code = station.constituency.as_deref();
    for level in upper_levels(mission).iter().rev() {
        let Some(own) = code else { break };
        let known = locations.get(&(level.clone(), own.to_owned()));
        path.push((
            level.as_str(),
            own,
            known.map_or("", |known| known.name.as_str()),
        ));
        code = known.and_then(|known| known.parent.as_deref());
    }
    path.reverse();
    path
}

/// A row as its file says it.
pub(super) fn whole_values(
    mission: &Mission,
    locations: &HashMap<LocationKey, Location>,
    row: &Station,
) -> Values {
    let mut values = values("", row);
    for (level, code, name) in path(mission, locations, row) {
        values.push((format!("{level}_no"), code.to_owned()));
        values.push((format!("{level}_name"), name.to_owned()));
    }
    values
}

pub(super) fn put(conn: &mut Conn, plan: Plan, progress: Progress<'_>) -> Result<()> {
    registers::put_locations(conn, &plan.locations)?;
    registers::put_stations(conn, &plan.stations)?;
    let written = u64::try_from(plan.stations.len()).unwrap_or(u64::MAX);
    progress(Step::Writing(written, written));
    Ok(())
}

/// A column that the file does not have changes nothing.
fn keep_absent(station: &mut Station, old: &Station, columns: &Columns) {
    if columns.of("lat").is_none() && columns.of("lon").is_none() {
        (station.lat, station.lon) = (old.lat, old.lon);
    }
    if columns.of("registered_voters").is_none() {
        station.registered_voters = old.registered_voters;
    }
    if columns.of("generated").is_none() {
        station.generated = old.generated;
    }
}
