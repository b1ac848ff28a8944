//! Files: when they are sent, in which order, and when their bytes may go.

use std::{cell::RefCell, io::Write as _, rc::Rc};

use protocol::{
    codes::Code,
    entry::Severity,
    exchange::OutcomeKind,
    ids::{FileHash, SubjectId},
};

use crate::{
    client::{
        Attached, FileStatus, KeepEvidence, NewFile, NewReport, ReportFile, SendFiles, Settings,
        SyncOptions,
    },
    evidence::shelf,
    seal::DataKey,
    testing::{World, block_on},
};

/// Bytes that do not repeat, from a seed.
pub(super) fn bytes(seed: u8, size: usize) -> Vec<u8> {
    let mut state = u32::from(seed) + 1;
    (0..size)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect()
}

fn photo(seed: u8) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(600, 400, |x, y| {
        image::Rgb([seed, x.to_le_bytes()[0], y.to_le_bytes()[0]])
    });
    let mut jpeg = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut jpeg)
        .encode_image(&picture)
        .expect("encodes");
    jpeg
}

impl World {
    pub(super) fn attach(&self, report: SubjectId, content: &[u8]) -> Attached {
        let mut source = tempfile::NamedTempFile::new().expect("a file");
        source.write_all(content).expect("writes");
        let new = NewFile {
            path: source.path().to_owned(),
            taken_at: None,
        };
        let attached = block_on(self.client.attach(report, &new)).expect("attaches");
        assert_eq!(std::fs::read(source.path()).expect("there"), content);
        attached
    }

    pub(super) fn files_of(&self, report: SubjectId) -> Vec<ReportFile> {
        self.report(report).files
    }

    fn set(&self, files: SendFiles, keep_evidence: KeepEvidence) {
        let settings = Settings {
            files,
            keep_evidence,
        };
        block_on(self.client.set_settings(&settings)).expect("keeps");
    }

    pub(super) fn name(&self, file: &FileHash) -> String {
        shelf::name(&DataKey::new([self.vault.data; 32]), file)
    }

    pub(super) fn at_part(&self, hook: impl Fn(usize) + 'static) {
        *self.server.at_part.borrow_mut() = Some(Box::new(hook));
    }
}

/// The files of `PATCH` calls, without repetitions.
fn patched(paths: &[String]) -> Vec<String> {
    let mut files: Vec<String> = paths
        .iter()
        .filter_map(|path| path.strip_prefix("Patch /v1/evidence/"))
        .map(str::to_owned)
        .collect();
    files.dedup();
    files
}

#[test]
fn previews_go_before_photos_and_photos_before_the_rest() {
    let world = World::enrolled(1);
    let plain = world.file("words");
    let video = world.attach(plain.report, &bytes(1, 200_000));
    let picture = world.attach(plain.report, &photo(1));
    let critical = world.file_as("violence", Some(Severity::Critical), "help");
    let urgent = world.attach(critical.report, &photo(2));
    let report = world.sync();
    assert_eq!(
        (report.pending, report.files_pending, report.files_delivered),
        (0, 0, 5)
    );
    let preview = |attached: &Attached| attached.preview.clone().expect("a preview").sha256;
    let expected = [
        preview(&urgent),
        preview(&picture),
        urgent.file.sha256,
        picture.file.sha256,
        video.file.sha256,
    ];
    let paths = world.paths();
    assert_eq!(patched(&paths), expected.map(|file| file.to_string()));
    assert!(expected.iter().all(|file| world.server.has_file(file)));
    let sizes = [&urgent.file, &picture.file, &video.file].map(|file| file.size);
    assert_eq!(report.bytes_sent, world.server.part_bytes.get());
    assert!(report.bytes_sent > sizes.iter().sum());
    // Nothing is asked of files that are known to be there, but whether they are durable.
    world.sync();
    assert!(patched(&world.paths()).is_empty());
    assert_eq!(
        world.files_of(plain.report)[0].status,
        FileStatus::Delivered
    );
}

#[test]
fn a_critical_report_of_another_process_overtakes_at_the_next_part() {
    let world = World::enrolled(2);
    let filed = world.file("words");
    world.attach(filed.report, &bytes(1, 1_000_000));
    let other = World::client(
        &world.server,
        &world.store,
        &world.files,
        &world.vault,
        &world.env,
    )
    .expect("opens");
    let (urgent, seen) = (Rc::new(RefCell::new(None)), Rc::new(RefCell::new(0)));
    let (filing, server) = (urgent.clone(), world.server.clone());
    let noted = seen.clone();
    world.at_part(move |number| {
        if number == 2 {
            let new = NewReport {
                category: "violence".into(),
                severity: Some(Severity::Critical),
                ..NewReport::default()
            };
            *filing.borrow_mut() = Some(block_on(other.file(new)).expect("files"));
        }
        if let Some(filed) = &*filing.borrow()
            && server.holds(&filed.entry) == 1
            && *noted.borrow() == 0
        {
            *noted.borrow_mut() = number;
        }
    });
    let report = world.sync();
    assert_eq!(
        (report.delivered, report.pending, report.files_pending),
        (3, 0, 0)
    );
    assert_eq!(*seen.borrow(), 3, "there before the third part was stored");
    assert!(urgent.borrow().is_some());
}

#[test]
fn what_this_process_files_meanwhile_goes_too() {
    let world = Rc::new(World::enrolled(3));
    let filed = world.file("words");
    world.attach(filed.report, &bytes(1, 300_000));
    let filing = Rc::downgrade(&world);
    world.at_part(move |number| {
        if number == 1 {
            filing.upgrade().expect("there").file("meanwhile");
        }
    });
    assert_eq!(world.sync().delivered, 3);
    *world.server.at_part.borrow_mut() = None;
}

impl World {
    pub(super) fn sync_options_no_files(&self) {
        let options = SyncOptions {
            no_files: true,
            ..SyncOptions::default()
        };
        let report = block_on(self.client.sync_with(&options)).expect("syncs");
        assert!(report.files_pending > 0);
        assert!(self.paths().iter().all(|path| !path.contains("evidence")));
    }
}

#[test]
fn a_file_goes_only_after_its_entry() {
    let world = World::enrolled(9);
    let filed = world.file("words");
    let attached = world.attach(filed.report, &bytes(1, 1_000));
    let entry = attached.entry.expect("filed");
    let refuse = (OutcomeKind::Refused, Some(Code::UnknownKey), false);
    world.server.verdicts.borrow_mut().insert(entry, refuse);
    let report = world.sync();
    assert_eq!((report.refused, report.files_pending), (1, 1));
    assert!(world.paths().iter().all(|path| !path.contains("evidence")));
    // In quarantine it is asked for, and waits until a coordinator admits it.
    let set_aside = (OutcomeKind::Quarantined, Some(Code::OverQuota), false);
    world.server.verdicts.borrow_mut().insert(entry, set_aside);
    world.server.waits.borrow_mut().insert(attached.file.sha256);
    assert_eq!(world.sync().files_pending, 1);
    assert_eq!(
        world.files_of(filed.report)[0].status,
        FileStatus::AwaitsCoordinator
    );
    assert!(
        block_on(world.client.sync_if_due())
            .expect("reads")
            .is_none(),
        "no busy asking"
    );
    world.server.waits.borrow_mut().clear();
    assert_eq!(world.sync().files_pending, 0);
}

#[test]
fn bytes_go_only_when_durable_and_the_observer_agrees() {
    for (durable, keep, gone) in [
        (false, KeepEvidence::Always, false),
        (true, KeepEvidence::Always, false),
        (false, KeepEvidence::UntilDurable, false),
        (true, KeepEvidence::UntilDurable, true),
    ] {
        let world = World::enrolled(13);
        let filed = world.file("words");
        let attached = world.attach(filed.report, &bytes(1, 1_000));
        world.set(SendFiles::Always, keep);
        world.server.durable.set(durable);
        world.sync();
        let file = &world.files_of(filed.report)[0];
        assert_eq!(
            (file.here, file.status == FileStatus::Durable),
            (!gone, durable)
        );
        let names = block_on(crate::evidence::Files::names(&world.files)).expect("lists");
        assert_eq!(names.contains(&world.name(&attached.file.sha256)), !gone);
        // Both may come later: the durability, and the observer's consent.
        world.server.durable.set(true);
        world.set(SendFiles::Always, KeepEvidence::UntilDurable);
        world.sync();
        let file = &world.files_of(filed.report)[0];
        assert_eq!((file.here, file.status), (false, FileStatus::Durable));
        assert!(world.server.has_file(&attached.file.sha256));
    }
}

#[test]
fn durable_under_an_earlier_history_lets_nothing_go() {
    let world = World::enrolled(14);
    let filed = world.file("words");
    let attached = world.attach(filed.report, &bytes(1, 1_000));
    world.server.durable.set(true);
    world.sync();
    world.set(SendFiles::Always, KeepEvidence::UntilDurable);
    world.server.restore_backup(0, 9);
    world.server.evidence.borrow_mut().clear();
    world.server.durable.set(false);
    world.sync();
    let file = &world.files_of(filed.report)[0];
    assert!(file.here && file.status == FileStatus::Delivered);
    assert!(world.server.has_file(&attached.file.sha256));
}

#[test]
fn no_files_means_none_and_no_work() {
    let world = World::enrolled(15);
    let filed = world.file("words");
    world.attach(filed.report, &bytes(1, 1_000));
    world.set(SendFiles::Never, KeepEvidence::Always);
    let report = world.sync();
    assert_eq!((report.pending, report.files_pending), (0, 1));
    assert!(world.paths().iter().all(|path| !path.contains("evidence")));
    assert!(
        block_on(world.client.sync_if_due())
            .expect("reads")
            .is_none()
    );
    world.set(SendFiles::Always, KeepEvidence::Always);
    let report = block_on(world.client.sync_if_due())
        .expect("syncs")
        .expect("was due");
    assert_eq!(report.files_pending, 0);
}

#[test]
fn after_half_an_hour_a_lower_lane_gets_a_part() {
    let world = Rc::new(World::enrolled(17));
    let filed = world.file("words");
    let photo = world.attach(filed.report, &[photo(1), bytes(1, 320_000)].concat());
    let video = world.attach(filed.report, &bytes(2, 100_000));
    let (env, server, order) = (
        world.env.clone(),
        world.server.clone(),
        Rc::new(RefCell::new(Vec::new())),
    );
    let (noted, last) = (order.clone(), video.file.sha256);
    world.at_part(move |_| {
        env.advance(40_000);
        server.clock.set(server.clock.get() + 40);
        let held = server.evidence.borrow().get(&last).map_or(0, Vec::len);
        noted.borrow_mut().push(held);
    });
    world.sync();
    let order = order.borrow();
    let first = order.iter().position(|held| *held > 0).expect("sent");
    let done = photo.file.size;
    assert!((40..55).contains(&first), "{first} parts of 40 s before");
    // One part, and then the photo again.
    assert_eq!(order[first], order[first + 1]);
    assert!(world.server.has_file(&photo.file.sha256) && done > 320_000);
    *world.server.at_part.borrow_mut() = None;
}
