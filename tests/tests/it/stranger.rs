//! A client that somebody else wrote from `docs/protocol.md` alone
//! (`tests/python/client.py`) against the real server: it files, is killed in the
//! middle of a file, goes on, answers a question, and outlives a restored server.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use protocol::ids::MissionId;
use serde_json::{Value, json};
use tests::{
    chance::Chance,
    console::Console,
    database::Kind,
    faults, ledger,
    link::{Link, Shape},
    on_both_databases, programs, reaper,
    site::{Ended, Site},
    wait,
};

on_both_databases!(
    a_stranger_files_is_killed_goes_on_and_answers,
    a_stranger_outlives_a_restored_server,
);

/// Bytes of the file; at `SLOW` it takes some seconds.
const SIZE: u32 = 2 << 20;
/// Bits a second, so that there is a middle to be killed in.
const SLOW: u64 = 8_000_000;

/// The stranger's phone.
struct Stranger {
    home: PathBuf,
}

impl Stranger {
    fn new(site: &Site, name: &str) -> Self {
        Self {
            home: site.scratch().join(name),
        }
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        let child = programs::python_script("client.py")
            .arg(&self.home)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Python starts");
        reaper::kill_later(child.id());
        child
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        end(self.spawn(arguments))
    }

    #[track_caller]
    fn done(&self, arguments: &[&str]) -> Value {
        self.run(arguments).json()
    }

    /// Files a report. Answers its id.
    #[track_caller]
    fn file(&self, severity: &str, text: &str) -> String {
        let said = self.done(&[
            "file",
            "--category",
            "ballot_stuffing",
            "--severity",
            severity,
            "--station",
            "8-1",
            "--text",
            text,
        ]);
        said["report"].as_str().expect("a report").to_owned()
    }

    /// One report as the stranger shows it.
    #[track_caller]
    fn shows(&self, report: &str) -> Value {
        let shown = self.done(&["show"]);
        let all = shown.as_array().expect("a list");
        let found = all.iter().find(|one| one["report"] == report);
        found
            .unwrap_or_else(|| panic!("no {report} in {shown}"))
            .clone()
    }
}

fn end(child: Child) -> Ended {
    let pid = child.id();
    let output = child.wait_with_output().expect("it ends");
    reaper::ended(pid);
    Ended::of(&output)
}

fn decide(lead: &Console, report: &str, to: &str, question: Option<&str>) {
    let path = format!("/v1/reports/{report}");
    let version = lead.get(&path).ok()["report"]["version"].clone();
    let decision = json!({"to": to, "version": version, "question": question});
    lead.post(&format!("{path}/decisions"), &decision).ok();
}

fn evidence(site: &Site) -> (PathBuf, Vec<u8>) {
    // Parts differ, so that none can be exchanged unseen.
    let bytes: Vec<u8> = (0..SIZE / 4).flat_map(u32::to_le_bytes).collect();
    (site.file("film.mp4", &bytes), bytes)
}

fn path_of(path: &Path) -> &str {
    path.to_str().expect("a path")
}

/// What of the ledger a device made.
fn by_devices(site: &Site, mission: MissionId) -> Vec<String> {
    let entries = ledger::audit(site, mission);
    let made = entries
        .into_iter()
        .filter(|entry| entry.row.device.is_some());
    made.map(|entry| {
        assert_eq!(entry.row.standing, "applied", "{}", entry.hash);
        entry.kind().to_owned()
    })
    .collect()
}

fn a_stranger_files_is_killed_goes_on_and_answers(kind: Kind) {
    let chance = Chance::new();
    eprintln!("SCRUTINEER_SEED={}", chance.seed);
    let mut site = Site::new(kind);
    let mission = site.small_mission("Stranger");
    let address: SocketAddr = site.origin()["http://".len()..]
        .parse()
        .expect("an address");
    let link = Link::to(address, chance);
    site.set("public_url", &link.origin());
    let _server = site.start();
    let lead = site.console(mission, "lead");
    let stranger = Stranger::new(&site, "stranger");
    let enrolled = stranger.done(&["enrol", &site.invite(mission, "D-1")]);
    assert_eq!(enrolled["enrolled"], "D-1");

    let report = stranger.file("high", "Seçki qutusu; видели трое. \"quoted\"\n\\");
    let critical = stranger.file("critical", "They push people out.");
    let amended = stranger.done(&["amend", &report, "--text", "Two bundles, not one."]);
    assert!(amended["entry"].is_string());
    let (film, bytes) = evidence(&site);
    let attached = stranger.done(&[
        "attach",
        &report,
        path_of(&film),
        "--media-type",
        "video/mp4",
    ]);
    let sha256 = attached["sha256"].as_str().expect("a hash").to_owned();
    let before = site.scratch().join("copy");
    faults::copy(&stranger.home, &before);

    // Killed in the middle of the file.
    link.shape(Shape {
        bits_per_second: Some(SLOW),
        ..Shape::default()
    });
    let mut first = stranger.spawn(&["sync"]);
    wait::until("half of the file to be sent", || {
        (link.sent() > u64::from(SIZE / 2)).then_some(())
    });
    first.kill().expect("it runs still");
    end(first);
    // And cut three times when it goes on.
    link.shape(Shape {
        cut_after: Some(50_000..200_000),
        cuts: 3,
        ..Shape::default()
    });
    let went_on = wait::until("the file to arrive", || {
        let ended = stranger.run(&["sync"]);
        (ended.status == Some(0)).then(|| ended.json())
    });
    assert_eq!(
        (&went_on["pending"], &went_on["files"]),
        (&json!(0), &json!(1))
    );
    assert!(
        went_on["bytes"].as_u64() < Some(u64::from(SIZE)),
        "it did not begin again: {went_on}"
    );
    assert_eq!(went_on["warnings"], json!([]));

    // Read back by itself and by a coordinator.
    let copy = site.scratch().join("read-back");
    stranger.done(&["fetch", &sha256, path_of(&copy)]);
    assert!(std::fs::read(&copy).expect("the file") == bytes);
    let shown = lead.get(&format!("/v1/reports/{report}")).ok();
    assert_eq!(shown["evidence"][0]["file"]["sha256"], sha256);
    assert_eq!(shown["evidence"][0]["file"]["state"], "complete");
    assert_eq!(shown["report"]["text"], "Two bundles, not one.");

    // A question, and its answer.
    decide(&lead, &report, "in_review", None);
    decide(&lead, &report, "needs_info", Some("How many people?"));
    assert_eq!(stranger.done(&["sync"])["items"], 2);
    let asked = stranger.shows(&report);
    assert_eq!(asked["status"], "needs_info", "{asked}");
    assert_eq!(asked["questions"][0]["text"], "How many people?");
    stranger.done(&["answer", &report, "--text", "Three."]);
    assert_eq!(stranger.done(&["sync"])["stored"], 1);
    let shown = lead.get(&format!("/v1/reports/{report}")).ok();
    assert!(shown.to_string().contains("Three."), "{shown}");
    decide(&lead, &report, "in_review", None);
    decide(&lead, &report, "verified", None);
    assert_eq!(stranger.done(&["sync"])["items"], 2);
    assert_eq!(stranger.shows(&report)["status"], "verified");
    assert_eq!(stranger.shows(&critical)["status"], "received");

    // Its memory of having sent anything is lost, as after a crash: all is there already.
    std::fs::remove_dir_all(&stranger.home).expect("removes");
    faults::copy(&before, &stranger.home);
    let again = stranger.done(&["sync"]);
    assert_eq!(
        (&again["stored"], &again["already_stored"]),
        (&json!(0), &json!(4)),
        "{again}"
    );
    assert_eq!(again["bytes"], 0, "the file is there");
    assert_eq!(
        by_devices(&site, mission),
        ["file", "file", "amend", "attach", "answer"]
    );
}

fn a_stranger_outlives_a_restored_server(kind: Kind) {
    let mut site = Site::new(kind);
    let mission = site.small_mission("History");
    let server = site.start();
    let lead = site.console(mission, "lead");
    let backup = site.scratch().join("backup");
    // The backup knows nothing of the phone, not even its enrolment.
    site.run(&["backup", "-o", path_of(&backup)]).json();
    let stranger = Stranger::new(&site, "stranger");
    stranger.done(&["enrol", &site.invite(mission, "D-1")]);
    let report = stranger.file("high", "Filed before the machine was lost.");
    let (film, bytes) = evidence(&site);
    stranger.done(&[
        "attach",
        &report,
        path_of(&film),
        "--media-type",
        "video/mp4",
    ]);
    assert_eq!(stranger.done(&["sync"])["files"], 1);
    decide(&lead, &report, "in_review", None);
    decide(&lead, &report, "needs_info", Some("Who saw it?"));
    assert_eq!(stranger.done(&["sync"])["items"], 2);
    server.stop();

    // Another machine, from the backup.
    let mut new = Site::bare(kind);
    std::mem::swap(&mut site.port, &mut new.port);
    let origin = new.origin();
    new.set("public_url", &origin);
    let keys = site.data.join("keys");
    new.run(&["restore", path_of(&backup), "--keys", path_of(&keys)])
        .json();
    let _server = new.start();
    let lead = Console::login(&origin, &lead_of(mission), tests::site::PASSWORD);
    stranger.done(&["answer", &report, "--text", "My colleague and I."]);
    let told = stranger.done(&["sync"]);
    assert_eq!(
        (&told["new_epoch"], &told["pending"], &told["files"]),
        (&json!(true), &json!(0), &json!(1)),
        "{told}"
    );
    let shown = lead.get(&format!("/v1/reports/{report}")).ok();
    assert_eq!(shown["report"]["status"], "needs_info", "{shown}");
    assert!(shown.to_string().contains("My colleague and I."), "{shown}");
    assert_eq!(by_devices(&new, mission), ["file", "attach", "answer"]);
    let sha256 = shown["evidence"][0]["file"]["sha256"].as_str();
    let read = lead.get(&format!("/v1/evidence/{}", sha256.expect("a hash")));
    assert!(read.body == bytes, "the file came again");
    assert_eq!(stranger.shows(&report)["status"], "needs_info");
    assert_eq!(stranger.done(&["sync"])["stored"], 0, "nothing is left");
}

/// The address under which [`Site::console`] adds the lead.
fn lead_of(mission: MissionId) -> String {
    format!("lead-{}@example.org", &mission.to_string()[..8])
}
