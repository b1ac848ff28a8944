//! Enrolment, tokens, decisions and what they do to a report's status.

use protocol::codes::Code;

use crate::testing::{Fault, World, block_on};

#[test]
fn one_may_file_before_the_server_is_reached() {
    let world = World::new(1);
    world.server.fail_next(Fault::LostRequest);
    let enrolment = block_on(world.client.enrol(&world.server.link())).expect("stays pending");
    assert!(!enrolment.enrolled);
    let filed = world.file("words");
    let report = world.sync();
    assert!(report.enrolled);
    assert_eq!(report.delivered, 1);
    assert_eq!(world.status(filed.report), "delivered");
}

#[test]
fn a_lost_answer_to_the_enrolment_costs_nothing() {
    let world = World::new(2);
    world.server.fail_next(Fault::LostAnswer);
    assert!(
        !block_on(world.client.enrol(&world.server.link()))
            .expect("pending")
            .enrolled
    );
    assert!(
        block_on(world.client.enrol(&world.server.link()))
            .expect("enrols")
            .enrolled
    );
    // Once more is no error and asks nobody.
    world.paths();
    assert!(
        block_on(world.client.enrol(&world.server.link()))
            .expect("is enrolled")
            .enrolled
    );
    assert!(world.paths().is_empty());
}

#[test]
fn a_refused_code_keeps_the_entries_and_a_new_link_takes_them() {
    let world = World::new(3);
    world.server.fail_next(Fault::LostRequest);
    block_on(world.client.enrol(&world.server.link())).expect("pending");
    let filed = world.file("words");
    world
        .server
        .code_problem
        .set(Some(Code::EnrolmentCodeExpired));
    assert_eq!(world.sync_fails().0, Code::EnrolmentCodeExpired);
    assert_eq!(world.status(filed.report), "waiting");
    let enrolment = block_on(world.client.enrolment())
        .expect("reads")
        .expect("there");
    assert_eq!(enrolment.refused, Some(Code::EnrolmentCodeExpired));
    world.server.code_problem.set(None);
    assert!(
        block_on(world.client.enrol(&world.server.link_with("CODE2")))
            .expect("enrols")
            .enrolled
    );
    assert_eq!(world.sync().delivered, 1);
}

#[test]
fn a_new_link_that_fails_does_not_cost_an_old_one_whose_answer_was_lost() {
    let world = World::new(3);
    world.server.fail_next(Fault::LostAnswer);
    block_on(world.client.enrol(&world.server.link())).expect("pending");
    world.server.code_problem.set(Some(Code::KeyNotAccepted));
    let error =
        block_on(world.client.enrol(&world.server.link_with("CODE2"))).expect_err("refused");
    assert_eq!(error.code(), Code::KeyNotAccepted);
    world.server.code_problem.set(None);
    assert!(world.sync().enrolled);
    // The old link is the one that was used.
    assert!(
        block_on(world.client.enrol(&world.server.link()))
            .expect("is enrolled")
            .enrolled
    );
}

#[test]
fn another_mission_s_link_is_refused_while_reports_wait() {
    let world = World::new(4);
    world.server.fail_next(Fault::LostRequest);
    block_on(world.client.enrol(&world.server.link())).expect("pending");
    world.file("words");
    let other = world
        .server
        .link()
        .replace("03030303-0303", "04040404-0404");
    assert_ne!(other, world.server.link());
    let error = block_on(world.client.enrol(&other)).expect_err("refuses");
    assert_eq!(error.code(), Code::AlreadyEnrolled);
    assert_eq!(world.sync().delivered, 1);
}

#[test]
fn a_server_with_another_key_is_not_trusted() {
    let world = World::new(5);
    world.server.impersonate();
    let error = block_on(world.client.enrol(&world.server.link())).expect_err("refuses");
    assert_eq!(error.code(), Code::ServerKeyMismatch);
    let filed = world.file("words");
    assert_eq!(world.sync_fails().0, Code::ServerKeyMismatch);
    assert_eq!(
        world.server.holds(&filed.entry),
        0,
        "nothing was sent to it"
    );
}

#[test]
fn bad_links() {
    let world = World::new(6);
    let good = world.server.link();
    for link in [
        "",
        "https://server.test",
        &good.replace("https", "http"),
        &good.replace("code=", "c="),
    ] {
        assert_eq!(
            block_on(world.client.enrol(link))
                .expect_err("refuses")
                .code(),
            Code::LinkInvalid,
            "{link}"
        );
    }
    assert_eq!(
        block_on(world.client.sync())
            .expect_err("refuses")
            .error
            .code(),
        Code::NotEnrolled
    );
}

#[test]
fn decisions_change_the_status() {
    let world = World::enrolled(7);
    let filed = world.file("words");
    world.sync();
    for (to, status) in [
        ("in_review", "in_review"),
        ("verified", "verified"),
        ("reopened", "delivered"),
        ("not_verified", "not_verified"),
        ("dismissed", "dismissed"),
        ("of a later version", "delivered"),
        ("received", "delivered"),
    ] {
        world.server.decide(filed.report, to, None);
        assert_eq!(world.sync().items, 1);
        assert_eq!(world.status(filed.report), status);
    }
    // An amendment after a decision opens the report again.
    world.server.decide(filed.report, "verified", None);
    world.sync();
    world.amend(filed.report, "more");
    assert_eq!(world.status(filed.report), "waiting");
    world.sync();
    assert_eq!(world.status(filed.report), "delivered");
}

#[test]
fn a_question_is_answered_once() {
    let world = World::enrolled(8);
    let filed = world.file("words");
    let none = block_on(world.client.answer(filed.report, "why")).expect_err("no question yet");
    assert_eq!(none.code(), Code::QuestionNone);
    world.sync();
    let question = world
        .server
        .decide(filed.report, "needs_info", Some("How many?"));
    world.sync();
    let report = world.report(filed.report);
    assert_eq!(report.words, "question for you");
    assert_eq!(
        report
            .question
            .and_then(|question| question.text)
            .as_deref(),
        Some("How many?")
    );

    let answer = block_on(world.client.answer(filed.report, "Two.")).expect("answers");
    assert_eq!(world.status(filed.report), "waiting");
    world.sync();
    assert_eq!(world.status(filed.report), "in_review");
    let ledger = world.server.ledger.borrow();
    let (_, entry) = ledger
        .iter()
        .find(|(hash, _)| *hash == answer.entry)
        .expect("arrived");
    let read = entry.read().expect("reads");
    assert_eq!(read.payload.base, Some(filed.entry));
    assert_eq!(read.payload.body["question"], question.to_string());
    assert_eq!(read.body["text"], "Two.");
    drop(ledger);
    assert!(block_on(world.client.answer(filed.report, "Three.")).is_err());
}

#[test]
fn a_withdrawn_report_is_final() {
    let world = World::enrolled(9);
    let filed = world.file("words");
    block_on(world.client.withdraw(filed.report, "seen wrongly")).expect("withdraws");
    assert_eq!(world.status(filed.report), "waiting");
    world.sync();
    assert_eq!(world.status(filed.report), "withdrawn");
    let again = block_on(world.client.withdraw(filed.report, "again")).expect_err("refuses");
    assert_eq!(again.code(), Code::TransitionNotAllowed);
}

#[test]
fn items_come_page_by_page_and_once() {
    let world = World::enrolled(10);
    let filed: Vec<_> = (0..7).map(|at| world.file(&at.to_string())).collect();
    world.sync();
    for filed in &filed {
        world.server.decide(filed.report, "verified", None);
    }
    world.server.page.set(2);
    assert_eq!(world.sync().items, 7);
    assert_eq!(world.sync().items, 0);
    assert!(
        filed
            .iter()
            .all(|filed| world.status(filed.report) == "verified")
    );
}

#[test]
fn a_run_costs_one_request_once_a_token_is_held() {
    let world = World::enrolled(11);
    world.file("one");
    world.sync();
    assert_eq!(world.paths(), ["/v1/exchange", "/v1/token", "/v1/exchange"]);
    world.file("two");
    world.sync();
    assert_eq!(world.paths(), ["/v1/exchange"]);
    // It expires by the server's clock.
    world.env.advance(901_000);
    world.server.clock.set(world.server.clock.get() + 901);
    world.sync();
    assert_eq!(world.paths(), ["/v1/token", "/v1/exchange"]);
}

#[test]
fn a_device_clock_that_is_years_off_still_gets_a_token() {
    for years in [-30_i64, 20] {
        let world = World::enrolled(12);
        world
            .env
            .wall
            .set(world.env.wall.get() + years * 365 * 86_400_000_000);
        let filed = world.file("words");
        world.sync();
        world.server.decide(filed.report, "verified", None);
        assert_eq!(world.sync().items, 1);
        // It jumps after the last answer, with nothing to send.
        world.env.advance(901_000);
        world.server.clock.set(world.server.clock.get() + 901);
        world
            .env
            .wall
            .set(world.env.wall.get() - years * 365 * 86_400_000_000);
        world.server.decide(filed.report, "dismissed", None);
        assert_eq!(world.sync().items, 1);
    }
}

#[test]
fn a_refused_token_never_costs_an_entry() {
    let world = World::enrolled(13);
    let filed = world.file("words");
    world.server.token_problem.set(Some(Code::InvalidGrant));
    let report = world.sync();
    assert_eq!(
        (report.delivered, report.reading),
        (1, Some(Code::InvalidGrant))
    );
    assert_eq!(world.status(filed.report), "delivered");

    // Also when the exchange itself does not like the token it is sent with.
    world.server.token_problem.set(None);
    world.sync();
    for (status, code) in [(401, Code::TokenExpired), (403, Code::Forbidden)] {
        world.file("more");
        world.server.fail_next(Fault::Problem(status, code));
        assert_eq!(world.sync().delivered, 1);
    }
}

#[test]
fn an_unusable_cursor_is_dropped() {
    let world = World::enrolled(14);
    let filed = world.file("words");
    world.sync();
    world.server.decide(filed.report, "verified", None);
    assert_eq!(world.sync().items, 1);
    // An old copy of the database, put back raw: same epoch, shorter ledger.
    world.server.ledger.borrow_mut().clear();
    let again = world.file("again");
    let report = world.sync();
    assert_eq!(
        (report.delivered + report.already_stored, report.pending),
        (1, 0)
    );
    assert_eq!(world.server.holds(&again.entry), 1);
}

/// A bit in the word `items` makes a page look empty (the simulator's seed 1924).
#[test]
fn a_page_that_lost_its_items_is_read_again() {
    let world = World::enrolled(51);
    let filed = world.file("seen by me");
    world.sync();
    for turn in 0..5 {
        world.server.decide(filed.report, "in_review", None);
        world.server.loses_items.set(true);
        let report = world.sync();
        assert_eq!((report.items, report.items_rejected), (0, 1), "{turn}");
        assert_eq!(world.sync().items, 1, "{turn}");
    }
}

/// A bit changed on its way would cost a decision for ever if the cursor went on (the
/// simulator's seed 500); but what never comes whole is in nobody's way.
#[test]
fn a_page_with_a_damaged_item_is_read_again_a_few_times() {
    let world = World::enrolled(71);
    let filed = world.file("one");
    world.sync();
    world.server.decide(filed.report, "in_review", None);
    world.server.damage_items.set(1);
    assert_eq!(world.sync().items_rejected, 1);
    let report = world.sync();
    assert_eq!((report.items, report.items_rejected), (1, 0));

    world.server.decide(filed.report, "verified", None);
    world.server.damage_items.set(u32::MAX);
    let rejected: Vec<usize> = (0..6).map(|_| world.sync().items_rejected).collect();
    assert_eq!(rejected, [1, 1, 1, 1, 0, 0]);
}
