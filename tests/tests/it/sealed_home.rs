//! A home on a disk that others may read: no word of it stands in any file, whenever
//! the process is killed or the power fails; and a wipe leaves nothing that opens.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde_json::Value;
use tests::{
    database::Kind,
    faults::{self, ENDED, Fault},
    observer::Observer,
    site::{Ended, Site},
};

/// In every text that an observer gives.
const CANARY: &str = "zxCANARYwq7";

/// How a text may stand in a file: as it is, in UTF-16, in base64 at each of the
/// three places that it can begin at.
fn forms() -> Vec<Vec<u8>> {
    let mut forms = vec![CANARY.as_bytes().to_vec()];
    forms.push(CANARY.encode_utf16().flat_map(u16::to_le_bytes).collect());
    forms.push(CANARY.encode_utf16().flat_map(u16::to_be_bytes).collect());
    for engine in [
        base64::engine::general_purpose::STANDARD_NO_PAD,
        base64::engine::general_purpose::URL_SAFE_NO_PAD,
    ] {
        for shift in 0..3 {
            let text = engine.encode([&b"aa"[..shift], CANARY.as_bytes()].concat());
            // The characters that depend on nothing but the canary.
            let from = (shift * 8).div_ceil(6);
            let to = (shift + CANARY.len()) * 8 / 6;
            forms.push(text.as_bytes()[from..to].to_vec());
        }
    }
    forms
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(all_files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[track_caller]
fn silent(folders: &[&Path], what: &str) {
    let forms = forms();
    for path in folders.iter().flat_map(|folder| all_files(folder)) {
        let bytes = std::fs::read(&path).expect("reads");
        let name = path.to_string_lossy().into_owned();
        for form in &forms {
            let told = bytes.windows(form.len()).any(|window| window == form);
            assert!(!told && !name.contains(CANARY), "{what}: {name}");
        }
    }
}

#[test]
fn the_search_finds_what_it_searches() {
    let folder = tempfile::tempdir().expect("a folder");
    for form in [
        CANARY.as_bytes().to_vec(),
        CANARY.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        base64::engine::general_purpose::STANDARD
            .encode(format!("a{CANARY}b"))
            .into_bytes(),
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .encode(format!("ab{CANARY}"))
            .into_bytes(),
    ] {
        std::fs::write(folder.path().join("f"), [b"--", form.as_slice()].concat()).expect("writes");
        let found = std::panic::catch_unwind(|| silent(&[folder.path()], "as it should"));
        assert!(found.is_err());
    }
}

/// What an observer does in a day, each told with a canary in every text.
struct Day {
    _outside: tempfile::TempDir,
    file: PathBuf,
    passphrase: PathBuf,
    link: String,
}

impl Day {
    fn new(link: String) -> Self {
        let outside = tempfile::tempdir().expect("a folder");
        let file = outside.path().join(format!("{CANARY}.txt"));
        std::fs::write(&file, CANARY.repeat(9_000)).expect("writes");
        let passphrase = outside.path().join("passphrase");
        std::fs::write(&passphrase, format!("{CANARY} {CANARY}\n")).expect("writes");
        Self {
            _outside: outside,
            file,
            passphrase,
            link,
        }
    }

    /// The commands, but for those that name a report.
    fn steps(&self, report: &str) -> Vec<Vec<String>> {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        let (file, passphrase) = (
            self.file.to_string_lossy(),
            self.passphrase.to_string_lossy(),
        );
        vec![
            words(&["enrol", &self.link]),
            words(&[
                "file",
                "--category",
                CANARY,
                "--station",
                CANARY,
                "--text",
                CANARY,
            ]),
            words(&["amend", report, "--text", &CANARY.repeat(40)]),
            words(&["attach", report, &file]),
            words(&["passphrase", "set", "--passphrase-file", &passphrase]),
            words(&["passphrase", "remove", "--passphrase-file", &passphrase]),
            words(&["withdraw", report, "--reason", CANARY]),
        ]
    }
}

fn run(observer: &Observer, step: &[String], temp: &Path, plant: Option<(Fault, u64)>) -> Ended {
    let step: Vec<&str> = step.iter().map(String::as_str).collect();
    let mut command = observer.command(&step);
    command.env("TMPDIR", temp);
    if let Some((fault, at)) = plant {
        faults::plant(&mut command, &observer.home, fault, at);
    }
    Ended::of(&command.output().expect("observer runs"))
}

/// The link's server is gone: an observer may file all the same.
fn nowhere() -> String {
    let key = "A".repeat(43);
    format!(
        "http://127.0.0.1:9/enrol#code={CANARY}&mission=11111111-1111-4111-8111-111111111111&key={key}"
    )
}

/// Every `stride`-th change of every step is the last one.
fn no_word_is_left(fault: Fault, stride: usize) {
    let day = Day::new(nowhere());
    let ground = tempfile::tempdir().expect("a folder");
    let temp = ground.path().join("temp");
    std::fs::create_dir(&temp).expect("a folder");
    let whole = Observer::at(&ground.path().join("whole"));
    let (mut report, mut tried) = (String::from("none"), 0);
    for number in 0..day.steps("none").len() {
        let before = ground.path().join(format!("before-{number}"));
        std::fs::create_dir_all(&whole.home).expect("a folder");
        faults::copy(&whole.home, &before);
        let step = day.steps(&report).swap_remove(number);
        let done = run(&whole, &step, &temp, Some((Fault::Io, u64::MAX)));
        assert_eq!(done.status, Some(0), "{done:?}");
        if let Some(id) = done.json()["report"].as_str() {
            id.clone_into(&mut report);
        }
        silent(&[&whole.home, &temp], &step[0]);
        let changes = usize::try_from(faults::calls(&whole.home)).expect("small");
        for at in (1..=changes).step_by(stride) {
            let home = ground.path().join(format!("{number}-{at}"));
            faults::copy(&before, &home);
            let cut = Observer::at(&home);
            let ended = run(&cut, &step, &temp, Some((fault, at as u64)));
            assert_eq!(ended.status, Some(ENDED), "{step:?} at {at}: {ended:?}");
            silent(&[&home, &temp], &format!("{step:?} at {at}"));
            tried += 1;
            std::fs::remove_dir_all(&home).expect("removes");
        }
    }
    assert!(tried > 30, "only {tried} changes were tried");
}

#[test]
fn no_word_is_left_by_a_kill() {
    no_word_is_left(Fault::Kill, 1);
}

#[test]
fn no_word_is_left_by_a_power_failure() {
    no_word_is_left(Fault::PowerPart, 1);
}

/// The secrets that open a home: no form of them is left in any file.
fn secrets(home: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(home.join("keys.json")).expect("the keys");
    let keys: Value = serde_json::from_str(&text).expect("JSON");
    let copy = std::fs::read_to_string(home.join("mission-key.json")).expect("the copy");
    let copy: Value = serde_json::from_str(&copy).expect("JSON");
    [&keys["device"], &keys["data"], &copy["key"]]
        .map(|secret| secret.as_str().expect("a secret").to_owned())
        .to_vec()
}

fn a_wipe_is_final(fault: Fault) {
    let site = Site::new(Kind::Sqlite);
    let mission = site.small_mission("Wipe");
    let server = site.start();
    let ground = tempfile::tempdir().expect("a folder");
    let temp = ground.path().join("temp");
    std::fs::create_dir(&temp).expect("a folder");
    let day = Day::new(site.invite(mission, "D-1"));
    let first = Observer::at(&ground.path().join("first"));
    let mut report = String::from("none");
    for number in 0..4 {
        let done = run(&first, &day.steps(&report)[number], &temp, None);
        if let Some(id) = done.json()["report"].as_str() {
            id.clone_into(&mut report);
        }
    }
    server.stop();
    let secrets = secrets(&first.home);
    let wipe = ["wipe".to_owned(), "--yes".to_owned()];
    let keyless = |home: &Path, what: &str| {
        for path in all_files(home) {
            let bytes = std::fs::read(&path).expect("reads");
            for secret in &secrets {
                let held = bytes
                    .windows(secret.len())
                    .any(|at| at == secret.as_bytes());
                assert!(!held, "{what}: {} holds a key", path.display());
            }
        }
    };
    let mut at = 1;
    loop {
        let home = ground.path().join(format!("wipe-{at}"));
        faults::copy(&first.home, &home);
        let observer = Observer::at(&home);
        let ended = run(&observer, &wipe, &temp, Some((fault, at)));
        let happened = faults::calls(&home) >= at;
        let what = format!("{fault:?} at {at}");
        silent(&[&home, &temp], &what);
        if !happened {
            let told = ended.json();
            assert_eq!(told["undelivered"]["reports"], 1, "{told}");
            assert_eq!(told["undelivered"]["entries"], 3, "{told}");
            assert_eq!(told["undelivered"]["files"], 1, "{told}");
            keyless(&home, &what);
            break;
        }
        assert_eq!(ended.status, Some(ENDED), "{what}: {ended:?}");
        let keys = std::fs::read_to_string(home.join("keys.json")).unwrap_or_default();
        if keys.contains("wiped") {
            // Right behind the first step the keys are gone, and it is told as what it is.
            assert!(!keys.contains(&secrets[0]) && !keys.contains(&secrets[1]));
            run(&observer, &["list".to_owned()], &temp, None).refuses("wipe_unfinished");
        }
        let again = run(&observer, &wipe, &temp, None);
        assert_eq!(again.status, Some(0), "{what}: {again:?}");
        keyless(&home, &what);
        assert!(
            all_files(&home).is_empty(),
            "{what}: {:?}",
            all_files(&home)
        );
        let list = run(&observer, &["list".to_owned()], &temp, None).json();
        assert_eq!(list, serde_json::json!([]), "{what}");
        std::fs::remove_dir_all(&home).expect("removes");
        at += 1;
    }
    assert!(at > 10, "only {at} changes were seen");
}

#[test]
fn a_wipe_that_is_killed_is_finished_by_the_next() {
    a_wipe_is_final(Fault::Kill);
}

#[test]
fn a_wipe_outlives_a_power_failure() {
    a_wipe_is_final(Fault::PowerPart);
}

/// The keys change whole or not at all, wherever the power fails.
#[test]
fn a_passphrase_is_set_whole_or_not_at_all() {
    let ground = tempfile::tempdir().expect("a folder");
    let (day, temp) = (Day::new(nowhere()), ground.path().to_owned());
    let first = Observer::at(&ground.path().join("first"));
    for step in &day.steps("none")[..2] {
        assert_eq!(run(&first, step, &temp, None).status, Some(0));
    }
    let set = day.steps("none").swap_remove(4);
    let open = [
        "list",
        "--passphrase-file",
        day.passphrase.to_str().expect("a path"),
    ];
    for fault in [
        Fault::Kill,
        Fault::Power,
        Fault::PowerPart,
        Fault::Io,
        Fault::Full,
    ] {
        let mut at = 1;
        loop {
            let home = ground.path().join(format!("{fault:?}-{at}"));
            faults::copy(&first.home, &home);
            let observer = Observer::at(&home);
            let ended = run(&observer, &set, &temp, Some((fault, at)));
            let happened = faults::calls(&home) >= at;
            let listed = observer.run(&open).json();
            assert_eq!(
                listed.as_array().map(Vec::len),
                Some(1),
                "{fault:?} at {at}"
            );
            let locked = observer.run(&["list"]).status != Some(0);
            assert!(
                locked || ended.status != Some(0),
                "{fault:?} at {at}: {ended:?}"
            );
            std::fs::remove_dir_all(&home).expect("removes");
            if !happened {
                assert!(locked);
                break;
            }
            at += 1;
        }
        assert!(at > 5, "{fault:?}: only {at} changes");
    }
}
