//! Uploads: where they go on, and what each answer does.

use std::{cell::RefCell, rc::Rc};

use protocol::codes::Code;

use super::files::bytes;
use crate::{
    client::FileStatus,
    testing::{Fault, World, block_on},
};

#[test]
fn a_cut_costs_less_than_a_part_and_the_run_goes_on() {
    let mut world = World::enrolled(4);
    let filed = world.file("words");
    let content = bytes(1, 700_000);
    let attached = world.attach(filed.report, &content);
    world.file("text");
    world.sync_options_no_files();
    let faults = [
        None,
        None,
        Some(Fault::Cut(10_000)),
        None,
        None,
        Some(Fault::LostAnswer),
        None,
        Some(Fault::Cut(0)),
    ];
    *world.server.faults.borrow_mut() = faults.into();
    // The exchange for news, HEAD, then parts: a cut one, HEAD, and so on.
    let report = world.sync();
    assert_eq!(report.files_pending, 0);
    assert!(world.server.has_file(&attached.file.sha256));
    let waste = world.server.part_bytes.get() - attached.file.size;
    assert!(waste < 3 * 128 * 1024, "{waste}");
    world.restart();
    assert_eq!(
        world.files_of(filed.report)[0].status,
        FileStatus::Delivered
    );
}

#[test]
fn an_upload_goes_on_after_a_restart_where_the_server_is() {
    let mut world = World::enrolled(5);
    let filed = world.file("words");
    let attached = world.attach(filed.report, &bytes(1, 900_000));
    world.sync_options_no_files();
    let mut runs = 0;
    while !world.server.has_file(&attached.file.sha256) {
        runs += 1;
        assert!(runs < 60, "no progress");
        // News, HEAD, one part; then the link is gone.
        let faults = [None, None, None, Some(Fault::LostRequest)];
        *world.server.faults.borrow_mut() = faults.into();
        let ended = block_on(world.client.sync()).is_err();
        world.server.faults.borrow_mut().clear();
        world.restart();
        let file = &world.files_of(filed.report)[0];
        assert_eq!(
            file.sent,
            world.server.evidence.borrow()[&attached.file.sha256].len() as u64
        );
        assert_eq!(ended, file.sent < file.file.size);
    }
    assert!(runs > 2);
    assert_eq!(
        world.server.part_bytes.get(),
        attached.file.size,
        "no byte twice"
    );
}

/// Faults; then how the file stands and why, and whether another file went.
type Case = (Vec<Option<Fault>>, FileStatus, Option<Code>, bool);

#[test]
fn each_answer_leaves_the_file_here_and_in_nobody_s_way() {
    use FileStatus::{AwaitsCoordinator, Delivered, NotTaken, Waiting};
    // The faults come after the exchange for news: the first is that of HEAD.
    let cases: Vec<Case> = vec![
        (
            vec![Some(Fault::Bare(403))],
            AwaitsCoordinator,
            Some(Code::EvidenceWaits),
            true,
        ),
        (
            vec![Some(Fault::Bare(404))],
            NotTaken,
            Some(Code::EvidenceUnknown),
            true,
        ),
        (
            vec![None, Some(Fault::Bare(400))],
            NotTaken,
            Some(Code::InvalidValue),
            true,
        ),
        (
            vec![None, Some(Fault::Bare(412))],
            NotTaken,
            Some(Code::TusVersion),
            true,
        ),
        (vec![None, Some(Fault::Bare(413))], Delivered, None, true),
        (vec![None, Some(Fault::Bare(401))], Delivered, None, true),
        (vec![Some(Fault::Bare(401))], Delivered, None, true),
        (
            vec![Some(Fault::Bare(401)), None, Some(Fault::Bare(401))],
            Waiting,
            None,
            false,
        ),
        (vec![None, Some(Fault::Bare(507))], Waiting, None, false),
        (vec![None, Some(Fault::Bare(500))], Waiting, None, false),
        (vec![None, Some(Fault::Bare(460))], Delivered, None, true),
        (
            vec![None, Some(Fault::Bare(460)), Some(Fault::Bare(460))],
            NotTaken,
            Some(Code::FileMismatch),
            true,
        ),
    ];
    for (faults, status, code, other) in cases {
        let world = World::enrolled(6);
        let filed = world.file("words");
        let first = world.attach(filed.report, &bytes(1, 100_000));
        let second = world.attach(filed.report, &bytes(2, 1_000));
        world.sync_options_no_files();
        *world.server.faults.borrow_mut() = std::iter::once(None).chain(faults.clone()).collect();
        let report = world.sync();
        let files = world.files_of(filed.report);
        assert_eq!(
            (files[0].status, files[0].code),
            (status, code),
            "{faults:?}"
        );
        assert!(files[0].here, "{faults:?}");
        assert_eq!(
            world.server.has_file(&second.file.sha256),
            other,
            "{faults:?}"
        );
        assert_eq!(report.files_stopped.is_some(), !other, "{faults:?}");
        // The next time all is well, and it goes through.
        let report = world.sync();
        assert_eq!(report.files_pending, 0, "{faults:?}");
        assert!(world.server.has_file(&first.file.sha256), "{faults:?}");
    }
}

#[test]
fn waits_and_foreign_answers_end_the_run() {
    for (fault, code, wait) in [
        (
            Fault::Problem(503, Code::Overloaded),
            Code::Overloaded,
            Some(7_000),
        ),
        (Fault::Bare(429), Code::TooManyAttempts, Some(30_000)),
        (Fault::Portal, Code::NetworkFailed, None),
        (Fault::LostRequest, Code::NetworkFailed, None),
    ] {
        for at_part in [false, true] {
            let mut world = World::enrolled(7);
            let filed = world.file("words");
            world.attach(filed.report, &bytes(1, 1_000));
            world.sync_options_no_files();
            let mut faults = vec![None];
            faults.extend(at_part.then_some(None));
            faults.extend([Some(fault), Some(fault)]);
            *world.server.faults.borrow_mut() = faults.into();
            let (told, report) = world.sync_fails();
            assert_eq!((told, report.wait_ms), (code, wait), "{fault:?}");
            world.server.faults.borrow_mut().clear();
            // In the background it waits, also after a restart.
            world.restart();
            assert!(
                block_on(world.client.sync_if_due())
                    .expect("reads")
                    .is_none(),
                "{fault:?}"
            );
            world.env.advance(15 * 60_000);
            let report = block_on(world.client.sync_if_due())
                .expect("syncs")
                .expect("was due");
            assert_eq!(report.files_pending, 0, "{fault:?}");
        }
    }
}

#[test]
fn a_full_store_of_files_keeps_no_report_waiting() {
    let world = World::enrolled(8);
    let filed = world.file("words");
    world.attach(filed.report, &bytes(1, 1_000));
    world.sync_options_no_files();
    *world.server.faults.borrow_mut() = [None, None, Some(Fault::Bare(507))].into();
    assert_eq!(world.sync().files_stopped, Some(Code::Internal));
    assert!(
        block_on(world.client.sync_if_due())
            .expect("reads")
            .is_none(),
        "files wait"
    );
    world.file("another");
    let report = block_on(world.client.sync_if_due())
        .expect("syncs")
        .expect("was due");
    assert_eq!(report.delivered, 1);
}

#[test]
fn a_damaged_copy_is_told_and_heals_by_attaching_again() {
    let world = World::enrolled(10);
    let filed = world.file("words");
    let content = bytes(1, 200_000);
    let attached = world.attach(filed.report, &content);
    let name = world.name(&attached.file.sha256);
    assert!(world.files.damage(&name, |sealed| sealed[100_000] ^= 1));
    let report = world.sync();
    assert_eq!((report.pending, report.files_pending), (0, 1));
    assert_eq!(
        world.files_of(filed.report)[0].status,
        FileStatus::Unreadable
    );
    let again = world.attach(filed.report, &content);
    assert_eq!(again.entry, None, "told, not doubled");
    assert_eq!(world.files_of(filed.report).len(), 1);
    assert_eq!(world.sync().files_pending, 0);
    assert!(world.server.has_file(&attached.file.sha256));
}

#[test]
fn bytes_that_arrive_changed_are_sent_again_only_from_a_good_copy() {
    let world = World::enrolled(11);
    let filed = world.file("words");
    let attached = world.attach(filed.report, &bytes(1, 70_000));
    let file = attached.file.sha256;
    world.sync_options_no_files();
    // What the server has is not the file's beginning.
    world
        .server
        .evidence
        .borrow_mut()
        .insert(file, vec![9; 30_000]);
    assert_eq!(world.sync().files_pending, 0);
    assert!(world.server.has_file(&file));
}

#[test]
fn a_restored_server_is_asked_again() {
    let world = World::enrolled(12);
    let filed = world.file("words");
    let attached = world.attach(filed.report, &bytes(1, 100_000));
    let file = attached.file.sha256;
    assert_eq!(world.sync().files_pending, 0);
    world.server.restore_backup(0, 9);
    world.server.evidence.borrow_mut().clear();
    let report = world.sync();
    assert!(report.new_epoch);
    assert_eq!(
        (report.pending, report.files_pending, report.files_delivered),
        (0, 0, 1)
    );
    assert!(world.server.has_file(&file));
    // If the file outlived the restore, it costs a question and no bytes.
    let sent = world.server.part_bytes.get();
    world.server.restore_backup(0, 10);
    assert_eq!(world.sync().files_pending, 0);
    assert_eq!(world.server.part_bytes.get(), sent);
}

#[test]
fn parts_follow_the_link() {
    let sizes = |slow: bool| {
        let world = World::enrolled(16);
        let filed = world.file("words");
        world.attach(filed.report, &bytes(1, 900_000));
        let (env, server) = (world.env.clone(), world.server.clone());
        let (sizes, before) = (Rc::new(RefCell::new(Vec::new())), RefCell::new(0));
        let noted = sizes.clone();
        world.at_part(move |_| {
            let sent = server.part_bytes.get();
            let size = sent - before.replace(sent);
            noted.borrow_mut().push(size);
            // 20 kbit/s, or 8 Mbit/s.
            let rate = if slow { 2_500 } else { 1_000_000 };
            env.advance(u32::try_from(size * 1000 / rate).expect("small"));
        });
        world.sync();
        *world.server.at_part.borrow_mut() = None;
        sizes.take()
    };
    const KIB: u64 = 1024;
    assert_eq!(
        sizes(false)[..4],
        [64 * KIB, 128 * KIB, 256 * KIB, 900_000 - 448 * KIB]
    );
    let slow = sizes(true);
    assert_eq!(slow[..2], [64 * KIB, 32 * KIB]);
    assert!(
        slow[1..slow.len() - 1]
            .iter()
            .all(|size| (16 * KIB..=32 * KIB).contains(size)),
        "{slow:?}"
    );
}
