//! After the server's history was renewed: what the phone hands back.

use protocol::{codes::Code, entry::SdJwt, exchange::OutcomeKind, ids::EpochId};
use uuid::Uuid;

use super::*;

fn hash(wire: &protocol::entry::WireEntry) -> EntryHash {
    SdJwt::from_wire(wire).expect("an entry").hash()
}

/// What each exchange since last asked handed back.
fn returned(world: &World) -> Vec<Vec<EntryHash>> {
    world
        .server
        .requests
        .take()
        .iter()
        .map(|request| request.returned.iter().map(hash).collect())
        .collect()
}

/// A device that was given its enrolment's entry, with a report that has been
/// decided on.
fn decided(seed: u64) -> (World, Filed, EntryHash, EntryHash) {
    let world = World::new(seed);
    let enrolment = world.server.sign_enrolment();
    assert!(block_on(world.client.enrol(&world.server.link())).is_ok());
    let filed = world.file("seen by me");
    world.sync();
    let decision = world.server.decide(filed.report, "in_review", None);
    assert_eq!(world.sync().items, 1);
    world.server.requests.take();
    (world, filed, enrolment, decision)
}

#[test]
fn decisions_and_the_enrolment_are_handed_back_once() {
    let (world, filed, enrolment, decision) = decided(30);
    world.server.restore_backup(0, 9);
    let report = world.sync();
    assert!(report.new_epoch);
    assert_eq!(
        (report.delivered, report.returned, report.pending),
        (1, 2, 0)
    );
    for hash in [filed.entry, enrolment, decision] {
        assert_eq!(world.server.holds(&hash), 1);
    }
    let requests = world.server.requests.borrow().clone();
    let carrying = requests
        .iter()
        .find(|request| !request.returned.is_empty())
        .expect("an exchange that hands back");
    assert_eq!(
        carrying.returned.iter().map(hash).collect::<Vec<_>>(),
        [enrolment, decision]
    );
    assert!(carrying.receipt.is_some(), "how far the old history went");
    let former: Vec<_> = carrying
        .former
        .iter()
        .map(|one| (one.hash, one.number))
        .collect();
    for (hash, number) in [(enrolment, 1), (filed.entry, 2), (decision, 3)] {
        assert!(former.contains(&(hash, number)), "{former:?}");
    }
    world.server.requests.take();
    // The new history holds them: nothing is handed back again.
    assert_eq!(world.sync().returned, 0);
    assert!(returned(&world).iter().all(Vec::is_empty));
    assert_eq!(world.status(filed.report), "in_review");
}

#[test]
fn what_is_lost_on_the_way_is_handed_back_again() {
    let (mut world, _, enrolment, decision) = decided(31);
    world.server.restore_backup(0, 9);
    // The answer that names the new history comes; the next one does not.
    world.server.faults.borrow_mut().push_back(None);
    world.server.fail_next(crate::testing::Fault::LostAnswer);
    let (code, report) = world.sync_fails();
    assert_eq!((code, report.returned), (Code::NetworkFailed, 0));
    world.restart();
    assert_eq!(world.sync().returned, 2);
    for hash in [enrolment, decision] {
        assert_eq!(world.server.holds(&hash), 1);
    }
}

#[test]
fn an_overtaken_decision_is_delivered_and_shown_no_more() {
    let (world, filed, _, decision) = decided(32);
    world.server.restore_backup(0, 9);
    let overtaken = (OutcomeKind::Quarantined, Some(Code::Overtaken), false);
    world
        .server
        .verdicts
        .borrow_mut()
        .insert(decision, overtaken);
    world.sync();
    world.server.verdicts.borrow_mut().clear();
    world.server.requests.take();
    world.sync();
    assert!(
        returned(&world).iter().all(Vec::is_empty),
        "it is in the ledger"
    );
    // The fake server gives it out as news of its ledger again: then it counts.
    let report = world.report(filed.report);
    assert_eq!(report.entries.len(), 1);
}

#[test]
fn a_rolled_back_server_is_shown_its_receipt() {
    let (world, filed, enrolment, _) = decided(33);
    world.server.ledger.borrow_mut().truncate(1);
    world.server.rolled_back.set(true);
    let report = world.sync();
    assert!(report.new_epoch && !world.server.rolled_back.get());
    assert_eq!(world.server.holds(&filed.entry), 1);
    assert_eq!(world.server.holds(&enrolment), 1);
    let requests = world.server.requests.borrow();
    let seen = requests[0].seen.as_ref().expect("what it has seen");
    // The decision's number: news come with a receipt too.
    assert_eq!(seen.number, 3);
    assert!(requests[0].receipt.is_none(), "only when it is asked for");
    assert!(requests.iter().any(|request| request.receipt.is_some()));
}

/// The same old database is put in place again, after its history had got a new
/// name: it goes by the old one (the simulator's seeds 77 and 1869).
#[test]
fn a_server_rolled_back_twice_is_shown_the_receipt_of_the_history_it_returns_to() {
    let (mut world, filed, enrolment, decision) = decided(36);
    let first = world.server.epoch.get();
    for turn in 0..3 {
        world.server.ledger.borrow_mut().truncate(1);
        world.server.epoch.set(first);
        world.server.rolled_back.set(true);
        let report = world.sync();
        assert!(
            report.new_epoch && !world.server.rolled_back.get(),
            "{turn}"
        );
        for hash in [filed.entry, enrolment, decision] {
            assert_eq!(world.server.holds(&hash), 1, "turn {turn}: {hash}");
        }
        world.restart();
        assert_eq!((world.sync().returned, world.sync().pending), (0, 0));
    }
}

/// Beside an entry that the server answers no request with, the proof of what the
/// server lacks would never be heard.
#[test]
fn the_receipt_is_shown_although_an_entry_cannot_be_taken() {
    let (world, filed, enrolment, decision) = decided(38);
    let bad = world.file("cannot be taken");
    world.server.poison.borrow_mut().insert(bad.entry);
    world.server.ledger.borrow_mut().truncate(1);
    world.server.rolled_back.set(true);
    let report = world.sync();
    assert!(report.stuck > 0 && !world.server.rolled_back.get());
    for hash in [filed.entry, enrolment, decision] {
        assert_eq!(world.server.holds(&hash), 1);
    }
}

/// A server that was put back signs receipts of its own for less; the proof of
/// what it once confirmed stays.
#[test]
fn a_lower_receipt_does_not_replace_the_proof() {
    let (world, _, _, _) = decided(34);
    world.file("two");
    world.file("three");
    world.sync();
    world.server.ledger.borrow_mut().truncate(1);
    world.file("four");
    world.sync();
    world.server.requests.take();
    world.sync();
    let requests = world.server.requests.take();
    assert_eq!(requests[0].seen.as_ref().map(|seen| seen.number), Some(5));
}

/// A decision that came back before the amendment that it was made on was held, and
/// has the lower number; it counts all the same (the simulator's seed 1869).
#[test]
fn a_decision_counts_although_its_base_came_back_later() {
    let world = World::enrolled(37);
    let filed = world.file("one");
    let amended = world.amend(filed.report, "two");
    world.sync();
    world.server.restore_backup(0, 9);
    world
        .server
        .decide_on(Some(amended.entry), filed.report, "dismissed", None);
    world.sync();
    assert_eq!(world.status(filed.report), "dismissed");
    // One that was made afterwards opens the report again, as always.
    world.amend(filed.report, "three");
    world.sync();
    assert_eq!(world.status(filed.report), "delivered");
}

/// An amendment that was held until its base came takes effect then, whatever its
/// number says (the simulator's seed 16011).
#[test]
fn an_amendment_that_was_held_opens_the_report_when_its_base_comes() {
    let world = World::enrolled(39);
    let filed = world.file("one");
    world.sync();
    let first = world.amend(filed.report, "two");
    let second = world.amend(filed.report, "three");
    let put = |hash: EntryHash| {
        let entries = world.server.ledger.borrow();
        entries.iter().position(|(held, _)| *held == hash)
    };
    world.sync();
    // As if the second had come first, and a decision between the two.
    let decision = world
        .server
        .decide_on(Some(filed.entry), filed.report, "verified", None);
    for (hash, at) in [(second.entry, 1), (decision, 2), (first.entry, 3)] {
        let from = put(hash).expect("it is there");
        let mut ledger = world.server.ledger.borrow_mut();
        let entry = ledger.remove(from);
        ledger.insert(at, entry);
    }
    world.server.epoch.set(EpochId(Uuid::from_bytes([9; 16])));
    world.sync();
    assert_eq!(world.status(filed.report), "delivered");
}

/// A device without entries, whose server got a database from before the enrolment:
/// only the token is refused (the simulator's seed 5052).
#[test]
fn a_device_that_gets_no_token_hands_its_enrolment_back_once() {
    let world = World::new(40);
    let enrolment = world.server.sign_enrolment();
    assert!(block_on(world.client.enrol(&world.server.link())).is_ok());
    world.server.token_problem.set(Some(Code::InvalidGrant));
    world.server.requests.take();
    world.sync();
    assert_eq!(returned(&world).concat(), [enrolment]);
    world.sync();
    assert!(returned(&world).iter().all(Vec::is_empty));
    world.server.token_problem.set(None);
    world.server.tell("to all");
    assert_eq!(world.sync().messages, 1);
}

/// The answer that asks for the proof may itself bring a receipt that goes beyond it;
/// the proof is kept until it is heard (the simulator's seed 14031).
#[test]
fn a_receipt_signed_beside_a_rollback_does_not_hide_the_proof() {
    let (mut world, filed, enrolment, decision) = decided(41);
    world.server.ledger.borrow_mut().truncate(1);
    world.server.rolled_back.set(true);
    for text in ["a", "b", "c", "d"] {
        world.file(text);
    }
    // The entries are taken; the request that brings the proof is lost.
    world.server.faults.borrow_mut().push_back(None);
    world.server.fail_next(crate::testing::Fault::LostRequest);
    world.sync_fails();
    world.restart();
    world.sync();
    assert!(!world.server.rolled_back.get());
    for hash in [filed.entry, enrolment, decision] {
        assert_eq!(world.server.holds(&hash), 1);
    }
}

/// It was held until the amendment came, and has the lower number than the decision
/// before it (the simulator's seed 1869).
#[test]
fn a_decision_that_was_held_counts_after_an_earlier_one() {
    let world = World::enrolled(42);
    let filed = world.file("one");
    let first = world
        .server
        .decide_on(Some(filed.entry), filed.report, "in_review", None);
    let amended = world.amend(filed.report, "two");
    let second = world
        .server
        .decide_on(Some(amended.entry), filed.report, "dismissed", None);
    world.sync();
    let rows = world.server.ledger.borrow().clone();
    world.server.restore_backup(0, 9);
    for hash in [second, filed.entry, first, amended.entry] {
        let row = rows.iter().find(|(held, _)| *held == hash);
        let row = row.expect("in the ledger").clone();
        world.server.ledger.borrow_mut().push(row);
    }
    world.sync();
    assert_eq!(world.status(filed.report), "dismissed");
    let decisions = world.report(filed.report).decisions;
    assert_eq!(
        decisions.iter().map(|one| one.number).collect::<Vec<_>>(),
        [3, 1]
    );
}

/// A device whose server's database was put back to before the enrolment, and that
/// never got a receipt that could prove it.
fn forgotten(seed: u64) -> (World, Filed, EntryHash) {
    let world = World::new(seed);
    let enrolment = world.server.sign_enrolment();
    assert!(block_on(world.client.enrol(&world.server.link())).is_ok());
    world.server.forgot_device.set(true);
    let filed = world.file("seen by me");
    (world, filed, enrolment)
}

/// The simulator's seed 10.
#[test]
fn a_server_that_does_not_know_the_device_gets_the_enrolment_back() {
    let (world, filed, enrolment) = forgotten(35);
    let report = world.sync();
    assert_eq!(
        (report.delivered, report.refused, report.pending),
        (1, 0, 0),
        "in one run"
    );
    assert_eq!(returned(&world)[..2], [vec![], vec![enrolment]]);
    assert_eq!(world.server.holds(&filed.entry), 1);
    world.sync();
    assert!(returned(&world).iter().all(Vec::is_empty), "once");
}

/// It got a 4xx once, and was handed back no more (the simulator's seed 34169).
#[test]
fn an_enrolment_that_was_not_taken_is_handed_back_again() {
    let (world, filed, enrolment) = forgotten(39);
    world.server.poison.borrow_mut().insert(enrolment);
    assert!(world.sync().pending > 0);
    world.server.poison.borrow_mut().clear();
    world.server.requests.take();
    let report = world.sync();
    assert_eq!(
        (report.delivered, report.refused, report.pending),
        (1, 0, 0)
    );
    assert_eq!(world.server.holds(&enrolment), 1);
    assert_eq!(world.server.holds(&filed.entry), 1);
}

/// 0.1.0 noticed no older database, and its entries went beyond what the phone could
/// prove (the simulator's seed 24734).
#[test]
fn what_went_while_an_earlier_version_looked_on_is_offered_again() {
    let (mut world, filed, _, decision) = decided(40);
    world.server.ledger.borrow_mut().truncate(1);
    for text in ["two", "three", "four"] {
        world.file(text);
    }
    world.sync();
    assert_eq!(world.server.holds(&filed.entry), 0);
    world.set_back();
    world.restart();
    world.server.requests.take();
    let report = world.sync();
    assert_eq!(
        (report.delivered, report.already_stored, report.returned),
        (1, 3, 1)
    );
    for hash in [filed.entry, decision] {
        assert_eq!(world.server.holds(&hash), 1);
    }
    world.restart();
    world.server.requests.take();
    assert_eq!(world.sync().pending, 0);
    assert!(returned(&world).iter().all(Vec::is_empty), "once");
    assert_eq!(world.status(filed.report), "in_review");
}
