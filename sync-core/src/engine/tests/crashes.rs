//! Stopped at every change of the store and of the files, and gone on: nothing
//! acknowledged is lost or doubled, and no entry lacks its bytes.

use std::{cell::Cell, io::Write as _, rc::Rc};

use protocol::{
    codes::Code,
    ids::{EntryHash, FileHash, SubjectId},
};

use super::files::bytes;
use crate::{
    Client, Error,
    client::{KeepEvidence, NewFile, NewReport, Parts, SendFiles, Settings},
    evidence::Files as _,
    seal::DataKey,
    testing::{DyingFiles, DyingStore, World, block_on},
};

/// What is done, in this order.
const STEPS: usize = 7;

struct Script {
    world: World,
    left: Rc<Cell<usize>>,
    done_all_the_same: bool,
    source: tempfile::NamedTempFile,
    /// The second file is the first with something behind it.
    grown: bool,
    report: Option<SubjectId>,
    filed: Vec<EntryHash>,
}

impl Script {
    fn new(dies_at: usize, done_all_the_same: bool) -> Self {
        let mut source = tempfile::NamedTempFile::new().expect("a file");
        source.write_all(&bytes(1, 70_000)).expect("writes");
        Self {
            world: World::new(5),
            left: Rc::new(Cell::new(dies_at)),
            done_all_the_same,
            source,
            grown: false,
            report: None,
            filed: Vec::new(),
        }
    }

    fn open(&self) -> Result<Client, Error> {
        let store = DyingStore {
            inner: self.world.store.clone(),
            left: self.left.clone(),
            written_all_the_same: self.done_all_the_same,
        };
        let files = DyingFiles {
            inner: self.world.files.clone(),
            left: self.left.clone(),
            done_all_the_same: self.done_all_the_same,
        };
        block_on(Client::open(Parts {
            store: Box::new(store),
            files: Box::new(files),
            transport: Box::new(self.world.server.clone()),
            vault: Box::new(self.world.vault.clone()),
            environment: self.world.env.clone(),
            app: "test/1".into(),
        }))
    }

    fn step(&mut self, client: &Client, step: usize) -> bool {
        match step {
            0 => block_on(client.enrol(&self.world.server.link())).is_ok(),
            1 => {
                let new = NewReport {
                    category: "c".into(),
                    ..NewReport::default()
                };
                let filed = block_on(client.file(new));
                self.report = filed.as_ref().ok().map(|filed| filed.report);
                self.filed
                    .extend(filed.as_ref().ok().map(|filed| filed.entry));
                filed.is_ok()
            }
            2 | 4 => {
                let new = NewFile {
                    path: self.source.path().to_owned(),
                    taken_at: None,
                };
                if step == 4 && !std::mem::replace(&mut self.grown, true) {
                    self.source.write_all(b"more").expect("writes");
                }
                let attached = block_on(client.attach(self.report.expect("filed"), &new));
                let done = attached.is_ok();
                self.filed
                    .extend(attached.ok().and_then(|attached| attached.entry));
                done
            }
            3 | 6 => block_on(client.sync()).is_ok(),
            5 => {
                let settings = Settings {
                    files: SendFiles::Always,
                    keep_evidence: KeepEvidence::UntilDurable,
                };
                self.world.server.durable.set(true);
                block_on(client.set_settings(&settings)).is_ok()
            }
            _ => unreachable!(),
        }
    }

    /// Runs the script through the one death; tells whether it came.
    fn run(&mut self) -> bool {
        let (mut step, mut died) = (0, false);
        while step < STEPS {
            if let Ok(client) = self.open() {
                while step < STEPS && self.step(&client, step) {
                    step += 1;
                }
            }
            if step < STEPS {
                assert!(!died, "failed twice at step {step}");
                died = true;
                self.check();
                // The next process has a disk again.
                self.left.set(usize::MAX);
            }
        }
        died
    }

    /// No announced file lacks its bytes, here or durably there.
    fn check(&self) {
        let client = World::client(
            &self.world.server,
            &self.world.store,
            &self.world.files,
            &self.world.vault,
            &self.world.env,
        );
        let client = client.expect("opens");
        for report in block_on(client.list()).expect("reads") {
            for file in report.files {
                let hash = file.file.sha256;
                let here = block_on(client.shelf().is_whole(&hash)).expect("reads");
                let there = self.world.server.has_file(&hash) && self.world.server.durable.get();
                assert!(here || there, "an entry without its bytes");
            }
        }
        let names = block_on(self.world.files.names()).expect("lists");
        assert!(
            names.iter().all(|name| !name.starts_with("draft.")),
            "{names:?}"
        );
    }
}

#[test]
fn stopped_anywhere_no_entry_lacks_its_bytes_and_nothing_is_doubled() {
    for done_all_the_same in [false, true] {
        let mut deaths = 0;
        for dies_at in 1.. {
            let mut script = Script::new(dies_at, done_all_the_same);
            if !script.run() {
                break;
            }
            deaths += 1;
            script.check();
            for entry in &script.filed {
                assert_eq!(script.world.server.holds(entry), 1);
            }
            let report = script.world.report(script.report.expect("filed"));
            let mut files: Vec<FileHash> =
                report.files.iter().map(|file| file.file.sha256).collect();
            files.sort();
            files.dedup();
            assert_eq!(files.len(), report.files.len(), "attached twice");
            assert_eq!(files.len(), 2);
            assert!(files.iter().all(|file| script.world.server.has_file(file)));
        }
        assert!(deaths > 25, "{deaths}");
    }
}

#[test]
fn a_full_disk_leaves_nothing() {
    let world = World::enrolled(1);
    let filed = world.file("words");
    let mut source = tempfile::NamedTempFile::new().expect("a file");
    source.write_all(&bytes(1, 2_000_000)).expect("writes");
    let new = NewFile {
        path: source.path().to_owned(),
        taken_at: None,
    };
    let full = FullFiles(world.files.clone());
    let client = block_on(Client::open(Parts {
        store: Box::new(world.store.clone()),
        files: Box::new(full),
        transport: Box::new(world.server.clone()),
        vault: Box::new(world.vault.clone()),
        environment: world.env.clone(),
        app: "test/1".into(),
    }))
    .expect("opens");
    let error = block_on(client.attach(filed.report, &new)).expect_err("fails");
    assert_eq!(error.code(), Code::StoreFailed);
    assert!(error.to_string().contains("full"), "{error}");
    assert!(block_on(world.files.names()).expect("lists").is_empty());
    assert!(world.report(filed.report).files.is_empty());
}

#[test]
fn what_cannot_be_attached_is_told_and_leaves_nothing() {
    let world = World::enrolled(2);
    let filed = world.file("words");
    let dir = tempfile::tempdir().expect("a folder");
    let empty = dir.path().join("empty");
    std::fs::write(&empty, "").expect("writes");
    let good = dir.path().join("good");
    std::fs::write(&good, "content").expect("writes");
    let attach = |report, path: &std::path::Path, taken_at: Option<&str>| {
        let new = NewFile {
            path: path.to_owned(),
            taken_at: taken_at.map(str::to_owned),
        };
        block_on(world.client.attach(report, &new)).map_err(|error| error.code())
    };
    let unknown = SubjectId(uuid::Uuid::from_bytes([9; 16]));
    for (outcome, code) in [
        (attach(filed.report, &empty, None), Code::InvalidValue),
        (attach(filed.report, dir.path(), None), Code::FileUnreadable),
        (
            attach(filed.report, &dir.path().join("none"), None),
            Code::FileUnreadable,
        ),
        (
            attach(filed.report, &good, Some("yesterday")),
            Code::InvalidValue,
        ),
        (attach(unknown, &good, None), Code::ReportUnknown),
    ] {
        assert_eq!(outcome.expect_err("refuses"), code);
    }
    assert!(block_on(world.files.names()).expect("lists").is_empty());
    let time = "2024-09-01T08:15:00+04:00";
    attach(filed.report, &good, Some(time)).expect("attaches");
    let file = &world.report(filed.report).files[0];
    assert_eq!(file.taken_at.as_deref(), Some(time));
    assert_eq!(file.file.media_type, "application/octet-stream");
}

#[test]
fn another_key_reads_no_file() {
    let world = World::enrolled(3);
    let filed = world.file("words");
    let attached = world.attach(filed.report, b"content");
    let other = DataKey::new([77; 32]);
    let shelf = crate::evidence::shelf::Shelf {
        files: &world.files,
        key: &other,
        env: world.env.as_ref(),
    };
    assert!(!block_on(shelf.has(&attached.file.sha256)).expect("asks"));
    assert!(block_on(shelf.read(&attached.file.sha256, 0, 7)).is_err());
    let read = block_on(world.client.shelf().read(&attached.file.sha256, 2, 3)).expect("reads");
    assert_eq!(*read, b"nte".to_vec());
}

/// Has room for a little.
struct FullFiles(crate::evidence::MemoryFiles);

#[async_trait::async_trait(?Send)]
impl crate::evidence::Files for FullFiles {
    async fn append(&self, name: &str, bytes: &[u8]) -> Result<(), crate::evidence::FilesError> {
        if self.0.size(name).await?.unwrap_or(0) > 1_000_000 {
            return Err(crate::evidence::FilesError::Full);
        }
        self.0.append(name, bytes).await
    }
    async fn sync(&self, name: &str) -> Result<(), crate::evidence::FilesError> {
        self.0.sync(name).await
    }
    async fn rename(&self, from: &str, to: &str) -> Result<(), crate::evidence::FilesError> {
        self.0.rename(from, to).await
    }
    async fn size(&self, name: &str) -> Result<Option<u64>, crate::evidence::FilesError> {
        self.0.size(name).await
    }
    async fn read(
        &self,
        name: &str,
        offset: u64,
        length: usize,
    ) -> Result<Vec<u8>, crate::evidence::FilesError> {
        self.0.read(name, offset, length).await
    }
    async fn names(&self) -> Result<Vec<String>, crate::evidence::FilesError> {
        self.0.names().await
    }
    async fn remove(&self, name: &str) -> Result<(), crate::evidence::FilesError> {
        self.0.remove(name).await
    }
    async fn hold(
        &self,
    ) -> Result<Box<dyn crate::evidence::files::Hold>, crate::evidence::FilesError> {
        self.0.hold().await
    }
    async fn try_alone(
        &self,
    ) -> Result<Option<Box<dyn crate::evidence::files::Hold>>, crate::evidence::FilesError> {
        self.0.try_alone().await
    }
}
