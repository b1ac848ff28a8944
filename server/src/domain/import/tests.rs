mod snapshots;

use super::*;
use crate::{
    domain::missions::{self as domain_missions, Wish},
    store::DatabaseUrl,
};
use protocol::ids::MissionId;

struct World {
    _folder: tempfile::TempDir,
    store: Store,
    keys: Keys,
    host: Host,
    mission: Mission,
}

impl World {
    fn new(levels: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::counting();
        let keys = Keys::create(&folder.path().join("keys"), &host).unwrap();
        let store = Store::open(&DatabaseUrl::Sqlite(folder.path().join("db.sqlite")), 2).unwrap();
        let wish = Wish {
            name: "M".into(),
            election: "E".into(),
            timezone: "Asia/Baku".into(),
            levels: levels.iter().map(|level| (*level).to_owned()).collect(),
        };
        let id = MissionId(host.uuid());
        let mission = store
            .write(|conn| {
                domain_missions::ensure_epoch(conn, &host)?;
                domain_missions::create(conn, host.now(), id, &wish, "age1")?;
                domain_missions::get(conn, id)
            })
            .unwrap();
        Self {
            _folder: folder,
            store,
            keys,
            host,
            mission,
        }
    }

    fn import_with(&self, register: Register, text: &[u8], options: &Options) -> Result<Report> {
        let desk = Desk {
            store: &self.store,
            keys: &self.keys,
            host: &self.host,
            by: crate::domain::audit::By::CommandLine,
        };
        run(desk, &self.mission, register, text, options, &mut |_| {})
    }

    fn import(&self, register: Register, text: &str) -> Report {
        self.import_with(register, text.as_bytes(), &Options::default())
            .unwrap()
    }

    fn station(&self, code: &str) -> registers::Station {
        self.store
            .read(|conn| registers::stations(conn, self.mission.reference.no))
            .unwrap()[code]
            .clone()
    }
}

fn errors(report: &Report) -> Vec<(u64, Option<&str>, &'static str)> {
    report
        .errors
        .iter()
        .map(|error| (error.line, error.column.as_deref(), error.code.name()))
        .collect()
}

fn counts(report: &Report) -> [u64; 4] {
    [
        report.read,
        report.created,
        report.updated,
        report.unchanged,
    ]
}

const HEADER: &str = "code,name,constituency_no,constituency_name,lat,lon,registered_voters";

#[test]
fn every_bad_cell_of_a_station_file_is_told() {
    let world = World::new(&["constituency", "station"]);
    let text = [
        HEADER,
        "1-1,\"First\nstation\",1,Baku,40.4,49.8,100",
        ",No code,1,Baku,40.4,49.8,100",
        "1-1,Twice,1,Baku,40.4,49.8,100",
        "1-2,,1,Baku,40.4,49.8,100",
        "1-3,A,1,Baku,\"40,4\",49.8,100",
        "1-4,A,1,Baku,90.1,-180.5,100",
        "1-5,A,1,Baku,40.4,,100",
        "1-6,A,1,Baku,0,0,100",
        "1-7,A,1,Baku,,,1 186",
        "1-8,A,1,Sumqayit,,,",
        "1-9,A,,Baku,,,",
        "1-10,A,1,Baku,,",
        &format!("{},A,1,Baku,,,", "x".repeat(201)),
        &format!("1-12,{},1,Baku,,,", "ə".repeat(501)),
        "1-13,a\0b,1,Baku,,,",
        "1-\t14,A,1,Baku,,,-5",
    ]
    .join("\r\n");
    let report = world.import(Register::Stations, &text);
    assert_eq!(
        errors(&report),
        [
            (4, Some("code"), "value_missing"),
            (5, Some("code"), "value_duplicate"),
            (6, Some("name"), "value_missing"),
            (7, Some("lat"), "number_invalid"),
            (8, Some("lat"), "coordinate_invalid"),
            (8, Some("lon"), "coordinate_invalid"),
            (9, Some("lon"), "coordinate_invalid"),
            (10, Some("lat"), "coordinate_invalid"),
            (11, Some("registered_voters"), "number_invalid"),
            (12, Some("constituency_name"), "invalid_value"),
            (13, Some("constituency_no"), "value_missing"),
            (14, None, "row_malformed"),
            (15, Some("code"), "too_long"),
            (16, Some("name"), "too_long"),
            (17, Some("name"), "invalid_value"),
            (18, Some("code"), "invalid_value"),
            (18, Some("registered_voters"), "number_invalid"),
        ]
    );
    assert_eq!(counts(&report), [16, 0, 0, 0]);
    // All or nothing.
    let stations = world
        .store
        .read(|conn| registers::stations(conn, world.mission.reference.no))
        .unwrap();
    assert!(stations.is_empty());
}

#[test]
fn importing_again_updates_and_tells_what_is_missing() {
    let world = World::new(&["constituency", "station"]);
    let first = format!("{HEADER},generated\n1-1,A,1,Baku,40,49,100,true\n1-2,B,1,Baku,,,,\n");
    assert_eq!(
        counts(&world.import(Register::Stations, &first)),
        [2, 2, 0, 0]
    );
    assert_eq!(
        counts(&world.import(Register::Stations, &first)),
        [2, 0, 0, 2]
    );
    // 1-1 is renamed and loses its place; 1-2 is not in the file; 2-1 is new.
    let second = format!("{HEADER}\n1-1,A2,1,Baku,,,7\n2-1,C,2,Ganja,40.7,46.4,\n");
    let report = world.import(Register::Stations, &second);
    assert_eq!(counts(&report), [2, 1, 1, 0]);
    assert_eq!(
        (report.missing, report.missing_count),
        (vec!["1-2".to_owned()], 1)
    );
    let station = world.station("1-1");
    assert_eq!(
        (
            station.name.as_str(),
            station.lat,
            station.registered_voters
        ),
        ("A2", None, Some(7))
    );
    // The second file has no column `generated`, so nothing is said of it.
    assert!(station.generated);
    assert_eq!(world.station("1-2").name, "B");
    // A constituency's new name is news in the rows that tell it.
    let third = format!("{HEADER}\n1-1,A2,1,Bakı,,,7\n2-1,C,2,Ganja,40.7,46.4,\n");
    assert_eq!(
        counts(&world.import(Register::Stations, &third)),
        [2, 0, 1, 1]
    );
}

#[test]
fn each_import_that_changed_something_is_a_version() {
    use diesel::prelude::*;
    let world = World::new(&["constituency", "station"]);
    let file = format!("{HEADER}\n1-1,A,1,Baku,40,49,1\n");
    world.import(Register::Stations, &file);
    world.import(Register::Stations, &file);
    world.import(Register::Stations, &file.replace(",A,", ",B,"));
    world.import(Register::Stations, "code,name\n");
    let versions: Vec<i64> = world
        .store
        .read(|conn| {
            use crate::store::schema::registers::dsl;
            Ok(dsl::registers
                .select(dsl::version)
                .order(dsl::version)
                .load(conn)?)
        })
        .unwrap();
    assert_eq!(versions, [1, 2]);
}

#[test]
fn levels_are_the_missions_own() {
    let world = World::new(&["region", "district", "station"]);
    let text = "code;name;Region_No;region_name;district_no;district_name;lat;lon\r\
                1;A;R1;North;D1;One;40,5;49,25\r\
                2;B;R1;North;D2;;;\r\
                3;C;;;;;;\r";
    let options = Options {
        decimal: Decimal::Comma,
        ..Options::default()
    };
    let report = world
        .import_with(Register::Stations, text.as_bytes(), &options)
        .unwrap();
    assert_eq!(errors(&report), []);
    assert_eq!(world.station("1").constituency.as_deref(), Some("D1"));
    assert_eq!(world.station("1").lat, Some(40.5));
    assert_eq!(world.station("3").constituency, None);
    let locations = world
        .store
        .read(|conn| registers::locations(conn, world.mission.reference.no))
        .unwrap();
    let district = &locations[&("district".to_owned(), "D2".to_owned())];
    assert_eq!(
        (district.name.as_str(), district.parent.as_deref()),
        ("D2", Some("R1"))
    );
    assert_eq!(locations.len(), 3);
    // The same district in another region is a contradiction.
    let text = "code,name,region_no,district_no\n4,A,R1,D1\n5,A,R2,D1\n";
    let report = world.import(Register::Stations, text);
    assert_eq!(errors(&report), [(3, Some("district_no"), "invalid_value")]);
}

#[test]
fn columns_may_be_mapped() {
    let world = World::new(&["station"]);
    let map = BTreeMap::from([
        ("code".into(), "Məntəqə".into()),
        ("name".into(), "Ad".into()),
    ]);
    let options = Options {
        map,
        ..Options::default()
    };
    let text = "məntəqə,AD\n1,A\n";
    let report = world
        .import_with(Register::Stations, text.as_bytes(), &options)
        .unwrap();
    assert_eq!(counts(&report), [1, 1, 0, 0]);
    let missing = world.import(Register::Stations, text);
    assert_eq!(
        errors(&missing),
        [
            (1, Some("code"), "column_missing"),
            (1, Some("name"), "column_missing")
        ]
    );
    let map = BTreeMap::from([("colour".into(), "Ad".into())]);
    let options = Options {
        map,
        ..Options::default()
    };
    let error = world
        .import_with(Register::Stations, text.as_bytes(), &options)
        .unwrap_err();
    assert_eq!(error.code(), Code::Usage);
}

#[test]
fn accreditations_keep_their_id() {
    let world = World::new(&["constituency", "station"]);
    world.import(
        Register::Stations,
        &format!("{HEADER}\n8-1,A,8,X,,,\n8-2,B,8,X,,,\n"),
    );
    let header = "number,name,kind,institution,country,stations";
    let file = format!("{header}\nN1,Ann,domestic,Org,AZ,8-1; 8-2\nN2,Bob,International,Org,GB,\n");
    assert_eq!(
        counts(&world.import(Register::Accreditations, &file)),
        [2, 2, 0, 0]
    );
    let load = || {
        world
            .store
            .read(|conn| registers::accreditations(conn, world.mission.reference.no))
            .unwrap()
    };
    let before = load();
    assert_eq!(before["N1"].stations, r#"["8-1","8-2"]"#);
    assert_eq!(
        before["N1"].pseudonym,
        world.keys.pseudonym(world.mission.reference.id, "N1")
    );
    assert_ne!(before["N1"].id, before["N2"].id);
    assert_eq!(before["N2"].kind, "international");
    let report = world.import(Register::Accreditations, &file.replace("Ann", "Anna"));
    assert_eq!(counts(&report), [2, 0, 1, 1]);
    let after = load();
    assert_eq!(after["N1"].name, "Anna");
    assert_eq!(
        (&after["N1"].id, &after["N1"].pseudonym),
        (&before["N1"].id, &before["N1"].pseudonym)
    );

    let bad = format!("{header}\nN3,C,alien,,,\nN4,,,,,8-3\nN3,D,domestic,,,8-1\n");
    assert_eq!(
        errors(&world.import(Register::Accreditations, &bad)),
        [
            (2, Some("kind"), "invalid_value"),
            (3, Some("name"), "value_missing"),
            (3, Some("kind"), "value_missing"),
            (3, Some("stations"), "station_unknown"),
            (4, Some("number"), "value_duplicate"),
        ]
    );
}

#[test]
fn categories_keep_the_languages_that_a_file_does_not_have() {
    let world = World::new(&["station"]);
    let text = "stage,code,definition,severity,label_en,label_az-Latn\n\
                voting,stuffing,Many ballots,CRITICAL,Stuffing,Doldurma\n";
    assert_eq!(
        counts(&world.import(Register::Categories, text)),
        [1, 1, 0, 0]
    );
    let text = "stage,code,definition,label_ru,Label_EN\nvoting,stuffing,Many ballots,Вброс,\n";
    assert_eq!(
        counts(&world.import(Register::Categories, text)),
        [1, 0, 1, 0]
    );
    let row = world
        .store
        .read(|conn| registers::categories(conn, world.mission.reference.no))
        .unwrap()["stuffing"]
        .clone();
    assert_eq!(row.severity.as_deref(), Some("critical"));
    assert_eq!(row.labels, r#"{"az-latn":"Doldurma","ru":"Вброс"}"#);
    let bad = "stage,code,definition,severity\nvoting,a,,grave\n,b,x,\nv,a,x,\n";
    assert_eq!(
        errors(&world.import(Register::Categories, bad)),
        [
            (2, Some("definition"), "value_missing"),
            (2, Some("severity"), "invalid_value"),
            (3, Some("stage"), "value_missing"),
            (4, Some("code"), "value_duplicate"),
        ]
    );
}

#[test]
fn the_demo_files_import() {
    let world = World::new(&["constituency", "station"]);
    let demo = |name: &str| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/demo/");
        std::fs::read(format!("{path}{name}.csv")).unwrap()
    };
    for register in [
        Register::Stations,
        Register::Categories,
        Register::Accreditations,
    ] {
        let text = demo(register.name());
        let report = world
            .import_with(register, &text, &Options::default())
            .unwrap();
        assert_eq!(errors(&report), [], "{register:?}");
        assert_eq!(report.created, report.read, "{register:?}");
        let again = world
            .import_with(register, &text, &Options::default())
            .unwrap();
        assert_eq!(again.unchanged, report.read, "{register:?}");
    }
    let bounds: Option<f64> = world
        .store
        .read(|conn| {
            use crate::store::schema::missions::dsl;
            use diesel::prelude::*;
            Ok(dsl::missions.select(dsl::max_lat).first(conn)?)
        })
        .unwrap();
    assert!(bounds.is_some_and(|lat| (38.0..43.0).contains(&lat)));
}
