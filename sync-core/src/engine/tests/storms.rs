//! Bad networks, restarts at every step, and random walks: nothing filed is ever
//! lost, and the ledger holds it once.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use proptest::prelude::*;
use protocol::{
    codes::Code,
    exchange::OutcomeKind,
    ids::{EntryHash, SubjectId},
};

use super::files::bytes;
use crate::{
    Client,
    client::{NewReport, Parts},
    store::Store as _,
    testing::{DyingStore, Fault, World, block_on},
};

#[test]
fn whatever_breaks_the_next_sync_goes_on() {
    for fault in [
        Fault::LostRequest,
        Fault::LostAnswer,
        Fault::Portal,
        Fault::Problem(500, Code::Internal),
        Fault::Problem(503, Code::Overloaded),
        Fault::Problem(429, Code::TooManyAttempts),
    ] {
        let mut world = World::enrolled(1);
        let filed = world.file("words");
        world.server.fail_next(fault);
        let (code, report) = world.sync_fails();
        let expected = match fault {
            Fault::Problem(_, code) => code,
            _ => Code::NetworkFailed,
        };
        assert_eq!((code, report.pending), (expected, 1), "{fault:?}");
        assert_eq!(world.status(filed.report), "waiting", "{fault:?}");
        // In the background it waits; one who asks is served at once.
        world.restart();
        assert!(
            block_on(world.client.sync_if_due())
                .expect("reads")
                .is_none(),
            "{fault:?}"
        );
        let report = world.sync();
        let again = usize::from(fault == Fault::LostAnswer);
        assert_eq!(
            (report.delivered, report.already_stored),
            (1 - again, again),
            "{fault:?}"
        );
        assert_eq!(world.server.holds(&filed.entry), 1, "{fault:?}");
    }
}

#[test]
fn the_server_s_wait_is_kept_in_the_background() {
    let world = World::enrolled(2);
    world.file("words");
    world
        .server
        .fail_next(Fault::Problem(503, Code::Overloaded));
    let (_, report) = world.sync_fails();
    assert_eq!(report.wait_ms, Some(7_000));
    world.env.advance(6_999);
    assert!(
        block_on(world.client.sync_if_due())
            .expect("reads")
            .is_none()
    );
    world.env.advance(1);
    let report = block_on(world.client.sync_if_due())
        .expect("syncs")
        .expect("was due");
    assert_eq!(report.delivered, 1);
    assert!(
        block_on(world.client.sync_if_due())
            .expect("reads")
            .is_none(),
        "nothing waits"
    );
}

#[test]
fn a_slot_on_a_good_answer_stops_only_what_nobody_asked_for() {
    let world = World::enrolled(3);
    world.file("words");
    world.server.fail_next(Fault::Slot(60));
    let report = block_on(world.client.sync_if_due())
        .expect("syncs")
        .expect("was due");
    assert_eq!((report.delivered, report.wait_ms), (1, Some(60_000)));
    assert_eq!(world.paths(), ["/v1/exchange"]);
    world.file("more");
    assert!(
        block_on(world.client.sync_if_due())
            .expect("reads")
            .is_none()
    );
    assert_eq!(world.sync().delivered, 1);
}

#[test]
fn a_server_that_stumbles_over_one_entry_takes_the_others_in_the_end() {
    let world = World::enrolled(4);
    let filed: Vec<_> = (0..4).map(|at| world.file(&at.to_string())).collect();
    for _ in 0..2 {
        world.server.fail_next(Fault::Problem(500, Code::Internal));
        world.sync_fails();
    }
    // The third time it looks for the culprit: 4, then 2 and 2.
    world.server.fail_next(Fault::Problem(500, Code::Internal));
    assert_eq!(world.sync().delivered, filed.len());
}

/// Dies at every write of a script, before and after the write, and goes on.
#[test]
fn killed_at_every_write_nothing_is_lost_or_doubled() {
    for written_all_the_same in [false, true] {
        for dies_at in 1..40 {
            let world = World::new(5);
            let left = Rc::new(Cell::new(dies_at));
            let store = DyingStore {
                inner: world.store.clone(),
                left: left.clone(),
                written_all_the_same,
            };
            let mut filed = Vec::new();
            let mut step = 0;
            while step < 8 {
                let Ok(client) = block_on(Client::open(Parts {
                    store: Box::new(store.clone()),
                    files: Box::new(world.files.clone()),
                    transport: Box::new(world.server.clone()),
                    vault: Box::new(world.vault.clone()),
                    environment: world.env.clone(),
                    app: "test/1".into(),
                })) else {
                    left.set(usize::MAX);
                    continue;
                };
                while step < 8 {
                    let new = NewReport {
                        category: "c".into(),
                        ..NewReport::default()
                    };
                    let done = match step {
                        0 => block_on(client.enrol(&world.server.link())).is_ok(),
                        1 | 2 | 4 | 6 => block_on(client.file(new))
                            .map(|done| filed.push(done))
                            .is_ok(),
                        3 | 5 | 7 => block_on(client.sync()).is_ok(),
                        _ => unreachable!(),
                    };
                    if !done {
                        break;
                    }
                    step += 1;
                }
                // The next process has a disk again.
                left.set(usize::MAX);
            }
            check(
                &world,
                &filed.iter().map(|filed| filed.entry).collect::<Vec<_>>(),
            );
        }
    }
}

/// Every acknowledged entry is in the ledger once; nothing else of this device
/// is there twice; places are contiguous and linked.
fn check(world: &World, acknowledged: &[EntryHash]) {
    for hash in acknowledged {
        assert_eq!(world.server.holds(hash), 1);
    }
    let mut journals = BTreeMap::<_, Vec<_>>::new();
    for row in block_on(world.store.rows(0)).expect("reads") {
        assert!(world.server.holds(&row.row.hash) <= 1);
        journals.entry(row.row.journal).or_default().push(row.row);
    }
    for rows in journals.values() {
        for (at, row) in rows.iter().enumerate() {
            assert_eq!(row.seq, at as u64 + 1);
        }
    }
    for (hash, entry) in world.server.ledger.borrow().iter() {
        let payload = entry.read().expect("reads").payload;
        let Some((journal, seq)) = payload.journal.zip(payload.seq) else {
            continue;
        };
        let before = seq
            .checked_sub(2)
            .map(|at| journals[&journal][usize::try_from(at).expect("small")].hash);
        assert_eq!(payload.prev, before, "{hash}");
    }
}

#[derive(Clone, Debug)]
enum Act {
    File,
    Amend(usize),
    Withdraw(usize),
    Attach(usize, u8),
    Decide(usize, &'static str),
    Sync(Vec<Option<Fault>>),
    Restart,
    Verdict(usize, OutcomeKind, bool),
    Poison(usize),
    RestoreBackup(usize, bool),
    Wait(u32),
}

fn fault() -> impl Strategy<Value = Option<Fault>> {
    prop_oneof![
        3 => Just(None),
        1 => Just(Some(Fault::LostRequest)),
        2 => Just(Some(Fault::LostAnswer)),
        1 => Just(Some(Fault::Portal)),
        1 => Just(Some(Fault::Partly)),
        1 => Just(Some(Fault::NoReceipt)),
        1 => Just(Some(Fault::ForgedReceipt)),
        1 => Just(Some(Fault::TooLarge)),
        1 => Just(Some(Fault::Slot(3))),
        2 => (0_usize..70_000).prop_map(|bytes| Some(Fault::Cut(bytes))),
        2 => prop::sample::select(vec![400, 401, 403, 404, 413, 429, 460, 500, 503, 507])
            .prop_map(|status| Some(Fault::Bare(status))),
        1 => Just(Some(Fault::Problem(400, Code::MalformedJson))),
        1 => Just(Some(Fault::Problem(401, Code::TokenExpired))),
        1 => Just(Some(Fault::Problem(500, Code::Internal))),
        1 => Just(Some(Fault::Problem(503, Code::Overloaded))),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let verdict = prop_oneof![
        Just(OutcomeKind::Stored),
        Just(OutcomeKind::Quarantined),
        Just(OutcomeKind::Refused),
    ];
    let to = prop_oneof![
        Just("in_review"),
        Just("needs_info"),
        Just("verified"),
        Just("dismissed")
    ];
    prop_oneof![
        6 => Just(Act::File),
        3 => any::<usize>().prop_map(Act::Amend),
        1 => any::<usize>().prop_map(Act::Withdraw),
        3 => (any::<usize>(), 0_u8..4).prop_map(|(at, seed)| Act::Attach(at, seed)),
        2 => (any::<usize>(), to).prop_map(|(at, to)| Act::Decide(at, to)),
        6 => prop::collection::vec(fault(), 0..8).prop_map(Act::Sync),
        1 => Just(Act::Restart),
        2 => (any::<usize>(), verdict, any::<bool>()).prop_map(|(at, kind, fork)| Act::Verdict(at, kind, fork)),
        1 => any::<usize>().prop_map(Act::Poison),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(keep, files)| Act::RestoreBackup(keep, files)),
        1 => (0_u32..100_000).prop_map(Act::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn random_walks_lose_and_double_nothing(seed in any::<u64>(), acts in prop::collection::vec(act(), 1..40)) {
        let mut world = World::enrolled(seed);
        let mut reports: Vec<SubjectId> = Vec::new();
        let mut acknowledged: Vec<EntryHash> = Vec::new();
        let mut announced = BTreeSet::new();
        let mut epoch = 1;
        for act in acts {
            let pick = |at: usize| reports.get(at % reports.len().max(1)).copied();
            match act {
                Act::File => {
                    let filed = world.file("words");
                    reports.push(filed.report);
                    acknowledged.push(filed.entry);
                }
                Act::Amend(at) => {
                    let fields = protocol::entry::ReportFields {
                        text: protocol::entry::Patch::Set(at.to_string()),
                        ..Default::default()
                    };
                    if let Some(Ok(filed)) = pick(at).map(|report| block_on(world.client.amend(report, fields))) {
                        acknowledged.push(filed.entry);
                    }
                }
                Act::Withdraw(at) => {
                    if let Some(Ok(filed)) = pick(at).map(|report| block_on(world.client.withdraw(report, "no"))) {
                        acknowledged.push(filed.entry);
                    }
                }
                Act::Attach(at, seed) => {
                    let open = pick(at).filter(|report| !world.report(*report).withdrawn);
                    if let Some(report) = open {
                        let attached = world.attach(report, &bytes(seed, 70_000));
                        acknowledged.extend(attached.entry);
                        announced.insert(attached.file.sha256);
                    }
                }
                Act::Decide(at, to) => {
                    if let Some(report) = pick(at) {
                        world.server.decide(report, to, None);
                    }
                }
                Act::Sync(faults) => {
                    *world.server.faults.borrow_mut() = faults.into();
                    let _ = block_on(world.client.sync());
                    world.server.faults.borrow_mut().clear();
                }
                Act::Restart => world.restart(),
                Act::Verdict(at, kind, fork) => {
                    if let Some(hash) = acknowledged.get(at % acknowledged.len().max(1)) {
                        world.server.verdicts.borrow_mut().insert(*hash, (kind, None, fork));
                    }
                }
                Act::Poison(at) => {
                    if let Some(hash) = acknowledged.get(at % acknowledged.len().max(1)) {
                        world.server.poison.borrow_mut().insert(*hash);
                    }
                }
                Act::RestoreBackup(keep, files) => {
                    epoch += 1;
                    if files {
                        world.server.evidence.borrow_mut().clear();
                    }
                    let length = world.server.ledger.borrow().len();
                    world.server.restore_backup(keep % (length + 1), epoch);
                }
                Act::Wait(millis) => world.env.advance(millis),
            }
            // Whatever the phone calls delivered, the server holds.
            for report in block_on(world.client.list()).expect("reads") {
                for step in report.entries {
                    let delivered = step.number.is_some();
                    prop_assert!(!delivered || epoch > 1 || world.server.holds(&step.entry) == 1);
                }
            }
        }
        // Once the faults end, everything arrives.
        world.server.verdicts.borrow_mut().clear();
        world.server.poison.borrow_mut().clear();
        let mut pending = usize::MAX;
        for _ in 0..20 {
            let report = world.sync();
            pending = report.pending + report.files_pending;
            if pending == 0 {
                break;
            }
        }
        prop_assert_eq!(pending, 0);
        for file in &announced {
            prop_assert!(world.server.has_file(file));
        }
        check(&world, &acknowledged);
    }
}
