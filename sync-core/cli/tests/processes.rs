//! The program as others run it: what it prints, its exit status, two at once,
//! and killed at any moment.

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// Nobody listens on port 1.
const LINK: &str = "http://127.0.0.1:1/enrol#code=ABCDEFGHJKMNPQRSTVWXYZ2345&mission=03030303-0303-4303-8303-030303030303&key=BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU";

fn observer(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_observer"));
    command
        .arg("--home")
        .arg(home)
        .env_remove("OBSERVER_HOME")
        .stdin(Stdio::null());
    command
}

fn run(home: &Path, args: &[&str]) -> Output {
    observer(home).args(args).output().expect("runs")
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("one JSON value")
}

fn error(output: &Output, status: i32) -> Value {
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    serde_json::from_slice(&output.stderr).expect("one JSON object")
}

fn home() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let enrolled = json(&run(dir.path(), &["enrol", LINK, "--json"]));
    assert_eq!(enrolled["enrolled"], false);
    dir
}

#[test]
fn an_offline_day() {
    let dir = home();
    let file = [
        "file",
        "--category",
        "C1",
        "--severity",
        "high",
        "--station",
        "12-3",
        "--text",
        "Söz",
        "--json",
    ];
    let filed = json(&run(dir.path(), &file));
    let report = filed["report"].as_str().expect("an id").to_owned();
    assert!(filed["entry"].is_string());
    let amend = [
        "amend",
        &report[..8],
        "--lat",
        "-40.5",
        "--lon",
        "-49.9",
        "--json",
    ];
    assert_eq!(json(&run(dir.path(), &amend))["report"], report.as_str());
    let here = ["check-in", "--station", "12-3", "--left", "--json"];
    assert!(json(&run(dir.path(), &here))["check_in"].is_string());

    let list = json(&run(dir.path(), &["list", "--json"]));
    assert_eq!(list[0]["status"], "waiting");
    assert_eq!(list[0]["text"], "Söz");
    assert_eq!(list[0]["place"]["lat"], -40.5);
    let status = json(&run(dir.path(), &["status", "--json"]));
    assert_eq!(
        (&status["enrolled"], &status["pending"]),
        (&Value::Bool(false), &Value::from(3))
    );
    assert_eq!(
        json(&run(dir.path(), &["show", &report, "--json"]))["entries"][1]["kind"],
        "amend"
    );

    // No network: told, and everything is kept.
    let failed = error(&run(dir.path(), &["sync", "--json"]), 1);
    assert_eq!(
        (&failed["code"], &failed["pending"]),
        (&"network_failed".into(), &3.into())
    );

    let reason = ["withdraw", &report, "--reason", "wrong", "--json"];
    json(&run(dir.path(), &reason));
    assert_eq!(
        error(&run(dir.path(), &amend), 1)["code"],
        "transition_not_allowed"
    );
    for (args, code) in [
        (
            vec!["answer", &report, "--text", "x", "--json"],
            "transition_not_allowed",
        ),
        (
            vec!["show", "03030303-0303-4303-8303-030303030303", "--json"],
            "report_unknown",
        ),
        (
            vec!["file", "--category", " ", "--text", "x", "--json"],
            "invalid_value",
        ),
        (
            vec![
                "file",
                "--category",
                "c",
                "--text",
                "x",
                "--at",
                "noon",
                "--json",
            ],
            "invalid_value",
        ),
        (
            vec![
                "file",
                "--category",
                "c",
                "--text",
                "x",
                "--lat",
                "91",
                "--lon",
                "0",
                "--json",
            ],
            "coordinate_invalid",
        ),
        (
            vec![
                "file",
                "--category",
                "c",
                "--text",
                "x",
                "--lat",
                "NaN",
                "--lon",
                "0",
                "--json",
            ],
            "coordinate_invalid",
        ),
        (
            vec!["enrol", "http://example.org/enrol#code=A", "--json"],
            "link_invalid",
        ),
    ] {
        assert_eq!(error(&run(dir.path(), &args), 1)["code"], code, "{args:?}");
    }
}

fn filed(home: &Path) -> String {
    let args = ["file", "--category", "c", "--text", "words", "--json"];
    let report = json(&run(home, &args))["report"].clone();
    report.as_str().expect("an id").to_owned()
}

#[test]
fn files_are_attached_offline_once_and_sealed() {
    let dir = home();
    let report = filed(dir.path());
    let original = tempfile::tempdir().expect("a folder");
    let path = original.path().join("video.bin");
    let content = b"CANARY and more ".repeat(20_000);
    std::fs::write(&path, &content).expect("writes");
    let name = path.to_str().expect("text");
    let attach = [
        "attach",
        &report[..8],
        name,
        "--taken-at",
        "2024-09-01T08:15:00Z",
        "--json",
    ];
    let done = json(&run(dir.path(), &attach));
    assert_eq!(done["attached"][0]["file"]["size"], content.len());
    assert!(done["attached"][0]["entry"].is_string());
    let again = json(&run(dir.path(), &attach));
    assert!(again["attached"][0]["entry"].is_null(), "told, not doubled");
    assert_eq!(std::fs::read(&path).expect("there"), content);

    let shown = json(&run(dir.path(), &["show", &report, "--json"]));
    assert_eq!(shown["files"].as_array().map(Vec::len), Some(1));
    let file = &shown["files"][0];
    assert_eq!(
        (&file["status"], &file["here"]),
        (&Value::from("waiting"), &Value::Bool(true))
    );
    assert_eq!(file["taken_at"], "2024-09-01T08:15:00Z");
    assert_eq!(
        json(&run(dir.path(), &["list", "--json"]))[0]["files"][0]["sent"],
        0
    );
    let status = json(&run(dir.path(), &["status", "--json"]));
    assert_eq!(status["files"]["waiting"], 1);
    assert_eq!(status["files"]["bytes_waiting"], content.len());
    let words = String::from_utf8(run(dir.path(), &["list"]).stdout).expect("text");
    assert!(
        words.contains("application/octet-stream, 312.50 KiB, waiting"),
        "{words}"
    );
    for found in std::fs::read_dir(dir.path().join("evidence")).expect("lists") {
        let bytes = std::fs::read(found.expect("one").path()).expect("reads");
        assert!(!bytes.windows(6).any(|window| window == b"CANARY"));
    }
}

#[test]
fn what_cannot_be_attached_is_told_with_what_was() {
    let dir = home();
    let report = filed(dir.path());
    let good = dir.path().join("good.txt");
    std::fs::write(&good, "content").expect("writes");
    let (good, folder) = (
        good.to_str().expect("text"),
        dir.path().to_str().expect("text"),
    );
    let output = run(dir.path(), &["attach", &report, good, folder, "--json"]);
    let told = error(&output, 1);
    assert_eq!(told["code"], "file_unreadable");
    assert_eq!(told["attached"].as_array().map(Vec::len), Some(1));
    for (args, code) in [
        (
            ["attach", "00000000-0000-4000-8000-000000000000", good],
            "report_unknown",
        ),
        (["attach", &report, "/nonexistent"], "file_unreadable"),
    ] {
        let args: Vec<&str> = args.into_iter().chain(["--json"]).collect();
        assert_eq!(error(&run(dir.path(), &args), 1)["code"], code, "{args:?}");
    }
}

#[test]
fn settings_last() {
    let dir = home();
    let shown = json(&run(dir.path(), &["settings", "--json"]));
    assert_eq!(
        (&shown["files"], &shown["keep_evidence"]),
        (&Value::from("always"), &Value::from("always"))
    );
    json(&run(
        dir.path(),
        &["settings", "--keep-evidence", "until-durable", "--json"],
    ));
    json(&run(
        dir.path(),
        &["settings", "--files", "never", "--json"],
    ));
    let shown = json(&run(dir.path(), &["settings", "--json"]));
    assert_eq!(
        (&shown["files"], &shown["keep_evidence"]),
        (&Value::from("never"), &Value::from("until-durable"))
    );
}

#[test]
fn killed_while_attaching_no_entry_lacks_its_bytes() {
    let dir = home();
    let report = filed(dir.path());
    let mut acknowledged = 0;
    for round in 0..16_u64 {
        let path = dir.path().join("original");
        std::fs::write(&path, vec![round.to_le_bytes()[0]; 300_000]).expect("writes");
        let mut child = observer(dir.path())
            .args(["attach", &report, path.to_str().expect("text"), "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("runs");
        // Busy for a little longer each time: the kill falls at another step.
        for _ in 0..round * 400_000 {
            std::hint::black_box(round);
        }
        let _ = child.kill();
        let output = child.wait_with_output().expect("ends");
        acknowledged += usize::from(serde_json::from_slice::<Value>(&output.stdout).is_ok());
        let shown = json(&run(dir.path(), &["show", &report, "--json"]));
        let files = shown["files"].as_array().expect("a list").clone();
        assert!(files.len() >= acknowledged);
        assert!(files.iter().all(|file| file["here"] == true), "{files:?}");
        let kept = std::fs::read_dir(dir.path().join("evidence")).expect("lists");
        let names: Vec<_> = kept.map(|one| one.expect("one").file_name()).collect();
        let own = names.iter().filter(|name| *name != "in-use").count();
        assert_eq!(own, files.len(), "no leavings: {names:?}");
    }
    println!("{acknowledged} acknowledged of 16");
}

#[test]
fn long_words_come_by_standard_input() {
    let dir = home();
    for (length, good) in [(10_000, true), (10_001, false), (200_000, false)] {
        let mut child = observer(dir.path())
            .args(["file", "--category", "c", "--text", "-", "--json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("runs");
        // It may stop reading once there is too much.
        let _ = child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(format!("{}\n", "ə".repeat(length)).as_bytes());
        let output = child.wait_with_output().expect("ends");
        if good {
            json(&output);
        } else {
            assert_eq!(error(&output, 1)["code"], "too_long");
        }
    }
}

#[test]
fn wrong_usage_is_status_2() {
    let dir = tempfile::tempdir().expect("a folder");
    for args in [
        vec!["--json"],
        vec!["file", "--json"],
        vec!["nonsense", "--json"],
    ] {
        assert_eq!(error(&run(dir.path(), &args), 2)["code"], "usage");
    }
    assert_eq!(run(dir.path(), &["file"]).status.code(), Some(2));
    assert!(run(dir.path(), &["--help"]).status.success());
    assert_eq!(
        error(
            &run(
                dir.path(),
                &["file", "--category", "c", "--text", "x", "--json"]
            ),
            1
        )["code"],
        "not_enrolled"
    );
}

#[test]
fn several_at_once_in_one_home_take_places_of_their_own() {
    let dir = home();
    std::thread::scope(|scope| {
        for process in 0..4 {
            let path = dir.path();
            scope.spawn(move || {
                for at in 0..6 {
                    let text = format!("{process}-{at}");
                    json(&run(
                        path,
                        &["file", "--category", "c", "--text", &text, "--json"],
                    ));
                }
            });
        }
    });
    let list = json(&run(dir.path(), &["list", "--json"]));
    let texts: BTreeSet<&str> = list
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["text"].as_str())
        .collect();
    assert_eq!(texts.len(), 24);
}

#[test]
fn the_first_use_may_be_by_several_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let keys: Vec<Value> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| json(&run(dir.path(), &["enrol", LINK, "--json"]))))
            .collect();
        all.into_iter()
            .map(|one| one.join().expect("ends")["device_key"].clone())
            .collect()
    });
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]), "{keys:?}");
}

#[test]
fn killed_at_any_moment_what_was_acknowledged_stays() {
    let dir = home();
    let mut acknowledged = BTreeSet::new();
    for round in 0..24_u64 {
        let mut child = observer(dir.path())
            .args(["file", "--category", "c", "--text", "words", "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("runs");
        // Busy for a little longer each time: the kill falls at another step.
        for _ in 0..round * 100_000 {
            std::hint::black_box(round);
        }
        let _ = child.kill();
        let output = child.wait_with_output().expect("ends");
        if let Ok(filed) = serde_json::from_slice::<Value>(&output.stdout) {
            acknowledged.insert(filed["report"].as_str().expect("an id").to_owned());
        }
    }
    let filed = json(&run(
        dir.path(),
        &["file", "--category", "c", "--text", "last", "--json"],
    ));
    acknowledged.insert(filed["report"].as_str().expect("an id").to_owned());
    let list = json(&run(dir.path(), &["list", "--json"]));
    let kept: BTreeSet<String> = list
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["report"].as_str().map(str::to_owned))
        .collect();
    assert!(acknowledged.is_subset(&kept), "{acknowledged:?} {kept:?}");
    println!(
        "{} acknowledged, {} kept, of 25",
        acknowledged.len(),
        kept.len()
    );
    assert_eq!(
        json(&run(dir.path(), &["status", "--json"]))["unreadable"],
        0
    );
}
