//! What each answer to an exchange does to the entries.

use protocol::{codes::Code, entry::Severity, exchange::OutcomeKind, limits};

use crate::{
    client::NewCheckIn,
    testing::{Fault, World, block_on},
};

#[test]
fn a_report_waits_and_is_delivered_once() {
    let world = World::enrolled(1);
    let filed = world.file("words");
    assert_eq!(world.status(filed.report), "waiting");
    let report = world.sync();
    assert_eq!(
        (report.delivered, report.pending, report.enrolled),
        (1, 0, true)
    );
    assert_eq!(world.status(filed.report), "delivered");
    assert_eq!(world.server.holds(&filed.entry), 1);
    let again = world.sync();
    assert_eq!((again.delivered, again.already_stored), (0, 0));
}

#[test]
fn each_outcome_has_its_words() {
    for (kind, code, status) in [
        (OutcomeKind::Stored, None, "delivered"),
        (OutcomeKind::AlreadyStored, None, "delivered"),
        (OutcomeKind::Held, None, "delivered"),
        (
            OutcomeKind::Quarantined,
            Some(Code::RevokedDevice),
            "quarantined",
        ),
        (OutcomeKind::Refused, Some(Code::UnknownKey), "refused"),
    ] {
        let world = World::enrolled(2);
        let filed = world.file("words");
        world
            .server
            .verdicts
            .borrow_mut()
            .insert(filed.entry, (kind, code, false));
        let report = world.sync();
        let counts = [
            report.delivered,
            report.already_stored,
            report.held,
            report.quarantined,
            report.refused,
        ];
        let expected: Vec<usize> = (0..5).map(|at| usize::from(at == kind as usize)).collect();
        assert_eq!(counts, expected[..], "{kind:?}");
        assert_eq!(world.status(filed.report), status, "{kind:?}");
        assert_eq!(world.report(filed.report).code, code, "{kind:?}");
        assert_eq!(report.pending, usize::from(kind == OutcomeKind::Refused));
    }
}

#[test]
fn what_waits_for_an_earlier_entry_is_incomplete_until_that_comes() {
    let world = World::enrolled(3);
    let first = world.file("one");
    let second = world.amend(first.report, "two");
    // The first is refused for now, so the second arrives alone.
    let refuse = (OutcomeKind::Refused, Some(Code::UnknownKey), false);
    world
        .server
        .verdicts
        .borrow_mut()
        .insert(first.entry, refuse);
    let report = world.sync();
    assert_eq!((report.refused, report.held, report.pending), (1, 1, 1));
    assert_eq!(world.status(first.report), "refused");
    world.server.verdicts.borrow_mut().clear();
    let report = world.sync();
    assert_eq!((report.delivered, report.pending), (1, 0));
    assert_eq!(world.status(first.report), "delivered");
    assert_eq!(world.server.holds(&second.entry), 1);
}

#[test]
fn a_refused_entry_is_kept_offered_again_and_in_nobody_s_way() {
    let world = World::enrolled(4);
    let (bad, good) = (world.file("bad"), world.file("good"));
    let refuse = (OutcomeKind::Refused, Some(Code::BadSignature), false);
    world.server.verdicts.borrow_mut().insert(bad.entry, refuse);
    assert_eq!(world.sync().refused, 1);
    assert_eq!(world.status(good.report), "delivered");
    assert_eq!(world.sync().refused, 1);
    world.server.verdicts.borrow_mut().clear();
    assert_eq!(world.sync().delivered, 1);
    assert_eq!(world.status(bad.report), "delivered");
}

#[test]
fn without_a_good_receipt_nothing_is_delivered() {
    for fault in [Fault::ForgedReceipt, Fault::NoReceipt] {
        let world = World::enrolled(5);
        let filed = world.file("words");
        world.server.fail_next(fault);
        let (code, report) = world.sync_fails();
        assert_eq!(
            (code, report.delivered, report.pending),
            (Code::ReceiptInvalid, 0, 1)
        );
        assert_eq!(world.status(filed.report), "waiting");
        assert_eq!(world.sync().already_stored, 1);
        assert_eq!(world.server.holds(&filed.entry), 1);
    }
}

#[test]
fn entries_that_were_not_processed_come_again() {
    let world = World::enrolled(6);
    let filed: Vec<_> = (0..6).map(|at| world.file(&at.to_string())).collect();
    world.server.fail_next(Fault::Partly);
    assert_eq!(world.sync().delivered, 6);
    assert!(
        filed
            .iter()
            .all(|filed| world.server.holds(&filed.entry) == 1)
    );
    let sent = world.sent();
    assert_eq!(sent[0].len(), 6);
    assert_eq!(sent[1], sent[0][3..]);
}

#[test]
fn one_that_is_never_processed_ends_the_run() {
    let world = World::enrolled(6);
    world.file("one");
    world.server.fail_next(Fault::Partly);
    assert_eq!(world.sync_fails().0, Code::Overloaded);
    assert_eq!(world.sync().delivered, 1);
}

#[test]
fn a_poisonous_entry_is_isolated_kept_and_in_nobody_s_way() {
    let world = World::enrolled(7);
    let filed: Vec<_> = (0..20).map(|at| world.file(&at.to_string())).collect();
    let poison = filed[13];
    world.server.poison.borrow_mut().insert(poison.entry);
    let report = world.sync();
    assert_eq!((report.delivered, report.stuck, report.pending), (19, 1, 1));
    assert_eq!(world.status(poison.report), "refused");
    assert_eq!(world.report(poison.report).code, Some(Code::MalformedJson));
    world.sent();

    // Later it goes last and alone.
    let new = world.file("new");
    let report = world.sync();
    assert_eq!((report.delivered, report.stuck), (1, 1));
    let sent = world.sent();
    assert_eq!(sent[..2], [vec![new.entry], vec![poison.entry]]);

    // And it is delivered as soon as the server takes it.
    world.server.poison.borrow_mut().clear();
    assert_eq!(world.sync().delivered, 1);
    assert_eq!(world.status(poison.report), "delivered");
}

/// Two that the server stumbled over: the first still gets a 500, and must not be in
/// the way of the second (the simulator's seed 545).
#[test]
fn what_gets_a_500_alone_is_in_nobody_s_way() {
    let world = World::enrolled(9);
    let bad = ["one", "two"].map(|text| world.file(text).entry);
    world.server.poison.borrow_mut().extend(bad);
    world.server.poison_status.set(500);
    let both = |_| block_on(world.client.sync()).is_ok_and(|report| report.stuck == 2);
    assert!((0..20).any(both), "both are set aside in the end");
    for taken in bad {
        world.server.poison.borrow_mut().remove(&taken);
        world.file("answered before");
        let report = world.sync();
        assert_eq!(report.delivered, 2, "{report:?}");
        assert_eq!(world.server.holds(&taken), 1);
        world
            .server
            .ledger
            .borrow_mut()
            .retain(|(held, _)| *held != taken);
    }
}

#[test]
fn a_single_poisonous_entry_is_told_from_a_refused_request() {
    let world = World::enrolled(8);
    let poison = world.file("poison");
    world.server.poison.borrow_mut().insert(poison.entry);
    let report = world.sync();
    assert_eq!(report.stuck, 1);
    let sizes: Vec<usize> = world.sent().iter().map(Vec::len).collect();
    assert_eq!(
        sizes[..2],
        [1, 0],
        "an empty exchange tells whose fault it is"
    );

    // If any request is refused, no entry is at fault.
    let world = World::enrolled(8);
    let filed = world.file("innocent");
    for _ in 0..2 {
        world
            .server
            .fail_next(Fault::Problem(400, Code::MalformedJson));
    }
    assert_eq!(world.sync_fails().0, Code::MalformedJson);
    assert_eq!(world.status(filed.report), "waiting");
    assert_eq!(world.sync().delivered, 1);
}

#[test]
fn an_old_program_keeps_everything() {
    let world = World::enrolled(8);
    let filed = world.file("words");
    world
        .server
        .fail_next(Fault::Problem(400, Code::UnsupportedProtocol));
    assert_eq!(world.sync_fails().0, Code::UnsupportedProtocol);
    assert_eq!(world.status(filed.report), "waiting");
}

#[test]
fn a_batch_that_is_too_large_is_halved() {
    let world = World::enrolled(9);
    for at in 0..8 {
        world.file(&at.to_string());
    }
    world.server.fail_next(Fault::TooLarge);
    world.server.fail_next(Fault::TooLarge);
    assert_eq!(world.sync().delivered, 8);
    let sizes: Vec<usize> = world.sent().iter().map(Vec::len).collect();
    assert_eq!(
        sizes[..3],
        [2, 2, 4],
        "what came through; the two refused ones are not counted"
    );
}

#[test]
fn batches_keep_below_the_limits() {
    let world = World::enrolled(10);
    for _ in 0..230 {
        world.file(&"long text ".repeat(400));
    }
    assert_eq!(world.sync().delivered, 230);
    for request in world.server.requests.borrow().iter() {
        assert!(request.entries.len() <= limits::EXCHANGE_ENTRIES);
        assert!(serde_json::json!(request).to_string().len() < limits::EXCHANGE_BYTES / 2);
    }
}

#[test]
fn critical_reports_go_first_and_each_report_keeps_its_order() {
    let world = World::enrolled(11);
    let here = block_on(world.client.check_in(NewCheckIn {
        station: "12-3".into(),
        event: protocol::entry::Move::Arrived,
        place: None,
    }))
    .expect("files");
    let calm = world.file("calm");
    let grave = world.file("grave");
    let calmer = world.amend(calm.report, "calmer");
    let critical = world.file_as("violence", Some(Severity::Critical), "now");
    // Becomes critical by its amendment: all of it goes first, in its order.
    let fields = protocol::entry::ReportFields {
        severity: Some(Severity::Critical),
        ..Default::default()
    };
    let graver = block_on(world.client.amend(grave.report, fields)).expect("amends");
    world.sync();
    let expected = [grave, critical, graver, calm, calmer, here].map(|filed| filed.entry);
    assert_eq!(world.sent()[0], expected);
}

#[test]
fn journal_heads_tell_what_is_left() {
    let world = World::enrolled(12);
    for at in 0..3 {
        world.file(&at.to_string());
    }
    world.sync();
    let head = world.server.requests.borrow()[0].journals.clone();
    assert_eq!(head.len(), 1);
    assert_eq!((head[0].head, head[0].pending), (3, 0));
    assert!(world.server.requests.borrow()[0].clock.is_some());
}

#[test]
fn a_fork_opens_a_new_journal_and_loses_nothing() {
    let world = World::enrolled(13);
    let first = world.file("first");
    world
        .server
        .verdicts
        .borrow_mut()
        .insert(first.entry, (OutcomeKind::Stored, None, true));
    let report = world.sync();
    assert!(report.new_journal);
    world.server.requests.borrow_mut().clear();
    let second = world.file("second");
    let third = world.amend(first.report, "third");
    assert!(!world.sync().new_journal);
    let request = &world.server.requests.borrow()[0];
    assert_eq!(request.journals.len(), 2);
    let payloads: Vec<_> = request
        .entries
        .iter()
        .map(|wire| {
            protocol::entry::SdJwt::from_wire(wire)
                .expect("an entry")
                .read()
                .expect("reads")
                .payload
        })
        .collect();
    assert_eq!(
        payloads
            .iter()
            .map(|payload| payload.seq)
            .collect::<Vec<_>>(),
        [Some(1), Some(2)]
    );
    assert_eq!(payloads[0].prev, None);
    assert_eq!(payloads[1].prev, Some(second.entry));
    assert_eq!(payloads[1].base, Some(first.entry), "across journals");
    assert_eq!(world.server.holds(&third.entry), 1);
}

#[test]
fn a_new_epoch_gets_everything_again() {
    let world = World::enrolled(14);
    let filed: Vec<_> = (0..5).map(|at| world.file(&at.to_string())).collect();
    world.sync();
    world.server.restore_backup(2, 9);
    let report = world.sync();
    assert!(report.new_epoch);
    assert_eq!(
        (report.delivered, report.already_stored, report.pending),
        (3, 2, 0)
    );
    assert!(
        filed
            .iter()
            .all(|filed| world.server.holds(&filed.entry) == 1)
    );
    let again = world.sync();
    assert_eq!(
        (again.delivered, again.already_stored, again.new_epoch),
        (0, 0, false)
    );
}

#[test]
fn the_ledger_s_last_known_state_is_in_the_next_entry() {
    let world = World::enrolled(15);
    world.file("one");
    world.sync();
    world.file("two");
    world.sync();
    let requests = world.server.requests.borrow();
    let seen = |wire| {
        let entry = protocol::entry::SdJwt::from_wire(wire).expect("an entry");
        entry.read().expect("reads").payload.seen
    };
    let seen: Vec<_> = requests
        .iter()
        .flat_map(|request| &request.entries)
        .map(seen)
        .collect();
    assert_eq!(seen[0], None);
    assert_eq!(seen[1].as_ref().map(|seen| seen.number), Some(1));
}
