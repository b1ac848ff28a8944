//! Each import that changes something is a version for the phones.

use protocol::{
    ids::ReferenceHash,
    limits,
    reference::{Holding, Offer, Register as Form, Snapshot},
};

use super::*;
use crate::domain::reference::{self as domain_reference, Shelf};

impl World {
    /// What a phone that holds this is told of the stations.
    fn offer(&self, held: Option<ReferenceHash>) -> Option<Offer> {
        let holding = Holding {
            register: "stations".into(),
            sha256: held,
        };
        let unknown = Holding {
            register: "forms".into(),
            sha256: None,
        };
        self.store
            .read(|conn| Shelf::default().offers(conn, self.mission.reference, &[unknown, holding]))
            .unwrap()
            .pop()
    }

    fn snapshot(&self, name: ReferenceHash) -> Snapshot {
        let built = self
            .store
            .read(|conn| {
                Shelf::default().build(conn, self.mission.reference, Form::Stations, &name, None)
            })
            .unwrap()
            .expect("a version");
        let text = String::from_utf8(built.plain().unwrap()).unwrap();
        assert_eq!(Snapshot::name(&text), name);
        Snapshot::parse(Form::Stations, &text).unwrap()
    }
}

fn csv(names: &[(&str, &str)]) -> String {
    let rows = names
        .iter()
        .map(|(code, name)| format!("{code},{name},8,Binəqədi,40.46,49.82,812\n"));
    format!("{HEADER}\n{}", rows.collect::<String>())
}

#[test]
fn every_version_leads_to_the_newest() {
    let world = World::new(&["constituency", "station"]);
    assert_eq!(world.offer(None), None);
    let mut names = Vec::new();
    for stations in [
        &[("1", "A"), ("2", "B")][..],
        &[("2", "B2")],
        &[("3", "C")],
        &[("2", "B"), ("4", "\"D\"")],
    ] {
        world.import(Register::Stations, &csv(stations));
        names.push(world.offer(None).expect("an offer").sha256);
    }
    let newest = world.snapshot(names[3]);
    let codes: Vec<_> = newest.lines().keys().collect();
    assert_eq!(codes, ["1", "2", "3", "4"], "what a file lacks is kept");
    assert_eq!(
        newest.lines()["2"],
        r#"{"code":"2","constituency":"8","constituency_name":"Binəqədi","lat":40.46,"lon":49.82,"name":"B","registered_voters":812}"#
    );
    for (at, name) in names.iter().enumerate() {
        let offer = world.offer(Some(*name)).expect("an offer");
        assert_eq!((offer.version, offer.sha256), (4, names[3]));
        let Some(delta) = offer.delta else {
            assert_eq!(at, 3, "only the newest needs none");
            continue;
        };
        assert_eq!(delta.from, Some(*name));
        let mut snapshot = world.snapshot(*name);
        snapshot.apply(&delta).unwrap();
        assert_eq!(snapshot, newest, "from version {}", at + 1);
    }
    // One that this server never had gets the whole.
    let offer = world.offer(Some(ReferenceHash([7; 32]))).expect("an offer");
    let delta = offer.delta.expect("it is short");
    assert_eq!((delta.from, delta.put.len()), (None, 4));
    // An import that says nothing new makes no version.
    world.import(Register::Stations, &csv(&[("3", "C")]));
    assert_eq!(world.offer(None).expect("an offer").version, 4);
}

#[test]
fn data_of_an_older_version_become_the_same_snapshot() {
    let world = World::new(&["region", "constituency", "station"]);
    let header = "code,name,region_no,region_name,constituency_no,constituency_name";
    let rows = "1,A,R,Region,8,Eight\n2,B,R,Region,,\n";
    world.import(Register::Stations, &format!("{header}\n{rows}"));
    let name = world.offer(None).expect("an offer").sha256;
    let lines: Vec<String> = world.snapshot(name).lines().values().cloned().collect();
    assert!(
        lines[0].contains(r#""constituency_name":"Eight""#),
        "{lines:?}"
    );
    assert!(!lines[1].contains("constituency"), "{lines:?}");
    world
        .store
        .write(|conn| {
            use diesel::connection::SimpleConnection as _;
            conn.batch_execute("DELETE FROM register_lines; DELETE FROM register_snapshots")?;
            Ok(())
        })
        .unwrap();
    assert_eq!(world.offer(None), None);
    let catch_up = || world.store.write(domain_reference::catch_up_all).unwrap();
    assert_eq!((catch_up(), catch_up()), (1, 0));
    assert_eq!(world.offer(None).expect("an offer").sha256, name);
}

#[test]
fn what_is_long_waits_at_its_address() {
    let world = World::new(&["constituency", "station"]);
    let stations = |name: &str, count: usize| {
        let rows = (0..count).map(|at| format!("{at},{name} {at},8,,,,\n"));
        format!("{HEADER}\n{}", rows.collect::<String>())
    };
    world.import(Register::Stations, &stations("Old", 3_000));
    let old = world.offer(None).expect("an offer");
    assert!(old.bytes > limits::REFERENCE_INLINE_BYTES as u64);
    assert_eq!((&old.delta, &old.from), (&None, &None));
    world.import(Register::Stations, &stations("New", 1_200));
    let new = world.offer(Some(old.sha256)).expect("an offer");
    assert_eq!((&new.delta, new.from), (&None, Some(old.sha256)));
    // Nearly everything is new: the whole is as short.
    world.import(Register::Stations, &stations("Newer", 2_900));
    let newer = world.offer(Some(old.sha256)).expect("an offer");
    assert_eq!((&newer.delta, &newer.from), (&None, &None));
}
