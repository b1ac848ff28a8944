//! Stations and categories: whole or not at all, behind reports, whatever breaks.

use std::{cell::Cell, rc::Rc};

use protocol::{
    codes::Code,
    reference::{Register, Snapshot},
};

use crate::{
    Client,
    client::{Known, Parts},
    store::{Batch, Space, Store as _},
    testing::{DyingStore, FakeServer, Fault, World, block_on, reference::stations},
};

fn held(client: &Client) -> Option<Snapshot> {
    let references = block_on(client.references()).expect("reads");
    let kept = references.kept.get(&Register::Stations)?;
    Some(kept.snapshot().expect("a whole snapshot"))
}

fn newest(server: &FakeServer) -> Snapshot {
    server.reference.borrow().last().expect("published").clone()
}

/// Whether what can be read is one of the versions, whole.
fn is_some_version(world: &World) -> bool {
    held(&world.client).is_none_or(|held| world.server.reference.borrow().contains(&held))
}

#[test]
fn what_is_short_comes_with_the_news_in_one_request() {
    let world = World::enrolled(1);
    world.server.publish(stations(5, 0));
    let report = world.sync();
    assert_eq!(report.reference, 1);
    assert_eq!(held(&world.client), Some(stations(5, 0)));
    // A week later: a decision and two versions further.
    let filed = world.file("words");
    world.sync();
    world.server.decide(filed.report, "verified", None);
    world.server.publish(stations(5, 1));
    world.server.publish(stations(6, 2));
    world.paths();
    let report = world.sync();
    assert_eq!((report.items, report.reference), (1, 1));
    assert_eq!(world.paths(), ["/v1/exchange"]);
    assert_eq!(held(&world.client), Some(stations(6, 2)));
    assert_eq!(world.sync().reference, 0);
    assert_eq!(world.server.reference_bytes.get(), 0);
}

#[test]
fn what_is_long_is_fetched_in_parts_behind_reports_and_news() {
    let world = World::enrolled(2);
    world.server.publish(stations(1_500, 0));
    let filed = world.file("words");
    let report = world.sync();
    assert_eq!((report.delivered, report.reference), (1, 1));
    assert_eq!(world.status(filed.report), "delivered");
    assert_eq!(held(&world.client), Some(newest(&world.server)));
    let paths = world.paths();
    let first = paths.iter().position(|path| path.starts_with("Get "));
    assert_eq!(first, Some(3), "{paths:?}");
    let parts = paths.iter().filter(|path| path.starts_with("Get ")).count();
    assert!(parts > 1, "{paths:?}");
    // A long difference is fetched as such.
    let before = world.server.reference_bytes.get();
    world.server.publish(stations(1_500, 150));
    assert_eq!(world.sync().reference, 1);
    assert_eq!(held(&world.client), Some(newest(&world.server)));
    assert!(world.paths().iter().any(|path| path.contains("?from=")));
    let cost = world.server.reference_bytes.get() - before;
    assert!(cost < before / 3, "{cost} of {before}");
}

#[test]
fn a_broken_line_costs_a_part_and_shows_nothing_half() {
    let world = World::enrolled(3);
    world.server.publish(stations(1_500, 0));
    let whole = {
        let other = World::enrolled(4);
        other.server.publish(stations(1_500, 0));
        other.sync();
        other.server.reference_bytes.get()
    };
    for round in 0.. {
        assert!(round < 40, "never whole");
        // The exchange goes through, and one part; the next two break.
        for fault in [None, None, Some(Fault::LostAnswer), Some(Fault::LostAnswer)] {
            world.server.faults.borrow_mut().push_back(fault);
        }
        let done = block_on(world.client.sync());
        assert!(is_some_version(&world));
        world.server.faults.borrow_mut().clear();
        if done.is_ok() {
            break;
        }
        assert_eq!(held(&world.client), None);
    }
    assert_eq!(held(&world.client), Some(newest(&world.server)));
    // What had come was never fetched again.
    assert_eq!(world.server.reference_bytes.get(), whole);
}

#[test]
fn portals_and_strange_packings_do_no_harm() {
    let world = World::enrolled(5);
    world.server.publish(stations(1_500, 0));
    for fault in [None, None, None, Some(Fault::Portal), Some(Fault::Portal)] {
        world.server.faults.borrow_mut().push_back(fault);
    }
    let (code, _) = world.sync_fails();
    assert_eq!(code, Code::NetworkFailed);
    assert_eq!(held(&world.client), None);
    // Another server packs the same otherwise: its parts do not fit those here.
    world.server.packing.set(1);
    assert_eq!(world.sync().reference, 1);
    assert_eq!(held(&world.client), Some(newest(&world.server)));
}

#[test]
fn what_is_damaged_is_thrown_away_and_fetched_whole() {
    let world = World::enrolled(6);
    world.server.publish(stations(1_500, 0));
    for fault in [None, None, Some(Fault::Damaged)] {
        world.server.faults.borrow_mut().push_back(fault);
    }
    assert_eq!(world.sync().reference, 1);
    assert_eq!(held(&world.client), Some(newest(&world.server)));
    // A delta that does not lead where it should.
    world.server.false_deltas.set(true);
    world.server.publish(stations(1_500, 2));
    assert_eq!(world.sync().reference, 1);
    assert_eq!(held(&world.client), Some(newest(&world.server)));
    // What lies in the store cannot be opened any more.
    let record = block_on(world.store.record(Space::Reference, b"stations"));
    let mut record = record.expect("reads").expect("there");
    record.sealed.bytes[9] ^= 1;
    let batch = Batch {
        put: vec![record],
        ..Batch::default()
    };
    block_on(world.store.apply(batch)).expect("applies");
    assert_eq!(block_on(world.client.stations()).expect("reads"), None);
    assert_eq!(world.file("all the same").entry.0.len(), 32);
    world.server.false_deltas.set(false);
    assert_eq!(world.sync().reference, 1);
    assert_eq!(held(&world.client), Some(newest(&world.server)));
}

#[test]
fn always_damaged_data_stand_in_nobody_s_way() {
    let world = World::enrolled(7);
    world.server.publish(stations(1_500, 0));
    for _ in 0..3 {
        world.server.damages.set(true);
        let filed = world.file("words");
        let report = world.sync();
        assert_eq!((report.delivered, report.reference), (1, 0));
        assert_eq!(world.status(filed.report), "delivered");
        assert_eq!(held(&world.client), None);
        // On its own accord it does not come back at once.
        assert_eq!(block_on(world.client.sync_if_due()).expect("waits"), None);
    }
}

#[test]
fn a_server_that_lost_a_version_gives_what_it_has() {
    let world = World::enrolled(8);
    world.server.publish(stations(5, 0));
    world.sync();
    world.server.publish(stations(5, 3));
    world.sync();
    // Restored from a backup that knows the first alone.
    world.server.reference.borrow_mut().pop();
    world.server.restore_backup(0, 9);
    assert_eq!(world.sync().reference, 1);
    assert_eq!(held(&world.client), Some(stations(5, 0)));
    // What was being fetched is gone there as well.
    world.server.publish(stations(1_500, 1));
    for fault in [None, None, Some(Fault::LostAnswer), Some(Fault::LostAnswer)] {
        world.server.faults.borrow_mut().push_back(fault);
    }
    world.sync_fails();
    world.server.reference.borrow_mut().pop();
    let report = world.sync();
    assert_eq!(report.reference, 0);
    assert!(
        block_on(world.client.references())
            .expect("reads")
            .wanted
            .is_empty()
    );
}

#[test]
fn an_older_server_says_nothing_and_is_asked_nothing_more() {
    let world = World::enrolled(9);
    let report = world.sync();
    assert_eq!(report.reference, 0);
    let requests = world.server.requests.borrow();
    let asked: Vec<usize> = requests.iter().map(|one| one.reference.len()).collect();
    assert_eq!(
        asked.iter().filter(|count| **count == 2).count(),
        1,
        "{asked:?}"
    );
}

#[test]
fn codes_are_looked_up_without_a_network_and_never_needed() {
    let world = World::enrolled(10);
    let ask =
        |code: &str| block_on(world.client.is_listed(Register::Stations, code)).expect("reads");
    assert_eq!(ask("8-1"), Known::Unsaid);
    world.server.publish(stations(5, 0));
    world.sync();
    assert_eq!(ask("8-1"), Known::Listed);
    assert_eq!(ask("nowhere at all"), Known::Unlisted(Vec::new()));
    let Known::Unlisted(near) = ask("8 1") else {
        panic!("listed")
    };
    assert_eq!(near[0], "8-1");
}

#[test]
fn reports_name_what_they_were_written_against() {
    let world = World::enrolled(11);
    let names = |at: usize| {
        let ledger = world.server.ledger.borrow();
        let read = ledger[at].1.read().expect("reads");
        read.payload.body.get("reference").cloned()
    };
    world.file("before");
    world.server.publish(stations(5, 0));
    world.sync();
    assert_eq!(names(0), None);
    let new = crate::client::NewReport {
        category: "violence".into(),
        station: Some("8-1".into()),
        ..crate::client::NewReport::default()
    };
    block_on(world.client.file(new)).expect("files");
    world.sync();
    let name = Snapshot::name(&stations(5, 0).text());
    assert_eq!(names(1), Some(serde_json::json!({"stations": name})));
}

/// Killed at any write of the store, what can be read is a whole version, and the
/// next run arrives at the newest.
#[test]
fn stopped_anywhere_nothing_half_is_seen() {
    for written_all_the_same in [false, true] {
        let mut deaths = 0;
        for dies_at in 1.. {
            let world = World::enrolled(12);
            world.server.publish(stations(900, 0));
            let left = Rc::new(Cell::new(usize::MAX));
            let client = block_on(Client::open(Parts {
                store: Box::new(DyingStore {
                    inner: world.store.clone(),
                    left: left.clone(),
                    written_all_the_same,
                }),
                files: Box::new(world.files.clone()),
                transport: Box::new(world.server.clone()),
                vault: Box::new(world.vault.clone()),
                environment: world.env.clone(),
                app: "test/1".into(),
            }))
            .expect("opens");
            left.set(dies_at);
            let mut died = false;
            for renamed in [0, 90, 92] {
                if renamed > 0 && !died {
                    world.server.publish(stations(900, renamed));
                }
                died |= block_on(client.sync()).is_err();
                assert!(is_some_version(&world), "died at {dies_at}");
            }
            // The next process has a disk again.
            world.sync();
            assert_eq!(held(&world.client), Some(newest(&world.server)));
            if !died {
                break;
            }
            deaths += 1;
        }
        assert!(deaths > 8, "{deaths}");
    }
}
