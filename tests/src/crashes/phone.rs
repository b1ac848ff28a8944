//! One phone: a home, driven by commands that may be killed, and what they
//! acknowledged.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    time::Duration,
};

use protocol::ids::FileHash;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    chance::Chance,
    observer::Observer,
    site::Ended,
    upload::hash_of,
    wait::{self, Stopwatch},
};

/// What may be killed on a phone.
const ACTS: [&str; 8] = [
    "file", "file", "amend", "attach", "attach", "sync", "sync", "sync",
];
/// Largest file in bytes; the smallest are a few.
const LARGEST: u64 = 300_000;
/// How long a command is taken to run before any was let finish.
const FIRST_GUESS: Duration = Duration::from_millis(100);
/// One of so many commands is let finish.
const LET_FINISH: u64 = 3;

/// What a synchronisation may end with on such a link: all of it is for later.
const PASSING: [&str; 4] = [
    "network_failed",
    "overloaded",
    "database_unavailable",
    "evidence_unavailable",
];

/// See the module.
pub(super) struct Phone {
    pub(super) observer: Observer,
    name: u64,
    chance: Chance,
    acts: u64,
    /// How long each command ran when it was let finish.
    lasts: BTreeMap<&'static str, Duration>,
    reports: Vec<String>,
    /// Entries that a command acknowledged.
    pub(super) confirmed: BTreeSet<String>,
    /// Files whose `attach` entry was acknowledged, by hash.
    pub(super) files: BTreeMap<FileHash, u64>,
    folder: TempDir,
}

/// How one command went.
pub(super) enum Went {
    /// `kill -9` struck it.
    Killed(&'static str),
    /// It ended by itself: `done`, or its code.
    Ended(String),
    /// It ended as it must not.
    Wrong(String),
}

impl Phone {
    pub(super) fn new(name: u64, link: &str, seed: u64) -> Self {
        let observer = Observer::new();
        observer.enrol(link);
        Self {
            observer,
            name,
            chance: Chance::seeded(seed.wrapping_mul(1_000).wrapping_add(name)),
            acts: 0,
            lasts: BTreeMap::new(),
            reports: Vec::new(),
            confirmed: BTreeSet::new(),
            files: BTreeMap::new(),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// Does something, and is mostly killed while it does.
    pub(super) fn act(&mut self) -> Went {
        self.acts += 1;
        let mut act = *self.chance.pick(&ACTS);
        if self.reports.is_empty() && act != "sync" {
            act = "file";
        }
        let file = (act == "attach").then(|| self.make_file());
        let arguments = self.arguments(act, file.as_ref().map(|(path, _)| path));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let watch = Stopwatch::start();
        let running = self.observer.spawn(&arguments);
        let ended = if self.chance.below(LET_FINISH) == 0 {
            let ended = running.wait();
            self.lasts.insert(act, watch.elapsed());
            ended
        } else {
            let lasts = self.lasts.get(act).copied().unwrap_or(FIRST_GUESS);
            let micros = u64::try_from(lasts.as_micros()).unwrap_or(u64::MAX);
            wait::pause(Duration::from_micros(self.chance.below(micros)));
            running.kill()
        };
        self.hear(act, &ended, file)
    }

    fn arguments(&mut self, act: &'static str, file: Option<&PathBuf>) -> Vec<String> {
        // Every text is said once, so that one that stands twice is seen.
        let text = format!("--text={} of phone {}", self.acts, self.name);
        let severity = *self.chance.pick(&["low", "high", "critical"]);
        match act {
            "file" => vec![
                act.into(),
                "--category=ballot_stuffing".into(),
                format!("--severity={severity}"),
                text,
            ],
            "amend" => vec![act.into(), self.chance.pick(&self.reports).clone(), text],
            "attach" => {
                let report = self.chance.pick(&self.reports).clone();
                let path = file.expect("a file").display().to_string();
                vec![act.into(), report, path]
            }
            _ => vec!["sync".into(), "--patience=0".into()],
        }
    }

    /// A file that no other equals.
    fn make_file(&mut self) -> (PathBuf, (FileHash, u64)) {
        let size = self.chance.below(LARGEST) + 16;
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < size {
            bytes.extend(self.chance.bytes::<32>());
        }
        let path = self.folder.path().join(format!("{}.bin", self.acts));
        fs::write(&path, &bytes).expect("a file");
        (path, (hash_of(&bytes), bytes.len() as u64))
    }

    /// What the command said counts, whatever ended it.
    fn hear(
        &mut self,
        act: &'static str,
        ended: &Ended,
        file: Option<(PathBuf, (FileHash, u64))>,
    ) -> Went {
        if let Ok(answer) = serde_json::from_str::<Value>(&ended.output) {
            let attached = answer["attached"].as_array().into_iter().flatten();
            let entries: Vec<String> = attached
                .chain([&answer])
                .filter_map(|one| one["entry"].as_str().map(str::to_owned))
                .collect();
            if act == "file" && !entries.is_empty() {
                let report = answer["report"].as_str().expect("a report");
                self.reports.push(report.to_owned());
            }
            if let Some((_, (hash, size))) = file.as_ref().filter(|_| !entries.is_empty()) {
                self.files.insert(*hash, *size);
            }
            self.confirmed.extend(entries);
        }
        if let Some((path, _)) = file {
            fs::remove_file(path).expect("removes");
        }
        match ended.status {
            None => Went::Killed(act),
            Some(0) => Went::Ended("done".into()),
            Some(_) => {
                let code = serde_json::from_str::<Value>(ended.complaint.trim())
                    .ok()
                    .and_then(|error| error["code"].as_str().map(str::to_owned))
                    .unwrap_or_default();
                if act == "sync" && PASSING.contains(&code.as_str()) {
                    Went::Ended(code)
                } else {
                    Went::Wrong(format!("{act}: {ended:?}"))
                }
            }
        }
    }

    /// Everything that is on the phone: its entries, and those it calls delivered.
    pub(super) fn entries(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let list = self.observer.run(&["list"]).json();
        let mut all = (BTreeSet::new(), BTreeSet::new());
        for report in list.as_array().expect("a list") {
            for entry in report["entries"].as_array().expect("entries") {
                let hash = entry["entry"].as_str().expect("a hash").to_owned();
                if entry["number"].is_u64() {
                    all.1.insert(hash.clone());
                }
                all.0.insert(hash);
            }
        }
        all
    }
}
