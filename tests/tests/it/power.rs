//! The power fails, the disk is full, a write breaks, a process is killed: at each
//! single change that the programs make to their files. What was answered as kept
//! is there afterwards, once.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use protocol::{
    exchange::{Request, Response},
    ids::EntryHash,
};
use serde_json::Value;
use tests::{
    database::Kind,
    faults::{self, ENDED, Fault},
    ledger,
    observer::Observer,
    phone::Phone,
    programs,
    site::{Ended, Site},
};

/// What is synced stays, what is not goes, and in half a failure the earlier half
/// of it stays: or the tests below would prove nothing.
#[test]
fn unsynced_writes_are_lost() {
    const SCRIPT: &str = r#"
import os, sys
fd = os.open(sys.argv[1] + "/f", os.O_CREAT | os.O_WRONLY)
folder = os.open(sys.argv[1], os.O_RDONLY)
os.fsync(folder)
os.write(fd, b"one ")
os.fdatasync(fd)
os.write(fd, b"two ")
os.write(fd, b"three ")
os.write(fd, b"four ")
os.pwrite(fd, b"ONE", 0)
os.rename(sys.argv[1] + "/f", sys.argv[1] + "/g")
print("unreachable")
"#;
    // Changes: open, fsync, write, fdatasync, four writes, rename.
    for (fault, at, name, left) in [
        (Fault::Power, 9, "f", Some("one ")),
        (Fault::PowerPart, 9, "f", Some("one two three ")),
        (Fault::Kill, 9, "f", Some("ONE two three four ")),
        (Fault::Power, 4, "f", Some("")),
        (Fault::Power, 2, "f", None),
        (Fault::Power, 1, "f", None),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().join("home");
        std::fs::create_dir(&home).expect("a folder");
        let mut command = programs::python();
        command.args(["-c", SCRIPT]).arg(&home);
        faults::plant(&mut command, &home, fault, at);
        let ended = Ended::of(&command.output().expect("Python runs"));
        assert_eq!(ended.status, Some(ENDED), "{ended:?}");
        let found = std::fs::read_to_string(home.join(name)).ok();
        assert_eq!(found.as_deref(), left, "{fault:?} at {at}");
    }
}

/// Nobody answers there: an observer may file before the server was reached.
const LINK: &str = "http://127.0.0.1:9/enrol#code=ABCDEFGHJKMNPQRSTVWXYZ2345&mission=11111111-1111-4111-8111-111111111111&key=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn file(observer: &Observer, plant: Option<(Fault, u64)>) -> Ended {
    let mut command = observer.command(&["file", "--category", "voting", "--text", "Seen."]);
    if let Some((fault, at)) = plant {
        faults::plant(&mut command, &observer.home, fault, at);
    }
    Ended::of(&command.output().expect("observer runs"))
}

fn reports(observer: &Observer) -> Vec<Value> {
    let listed = observer.run(&["list"]).json();
    listed.as_array().expect("a list").clone()
}

/// A home with one report, and its copy for each try.
struct Homes {
    folder: tempfile::TempDir,
    tries: u32,
}

impl Homes {
    fn new() -> Self {
        let homes = Self {
            folder: tempfile::tempdir().expect("a folder"),
            tries: 0,
        };
        let first = Observer::at(&homes.folder.path().join("first"));
        // The server cannot be reached; the enrolment stays pending.
        let enrolled = first.run(&["enrol", LINK]);
        assert_eq!(enrolled.status, Some(0), "{enrolled:?}");
        assert_eq!(file(&first, None).status, Some(0));
        homes
    }

    fn next(&mut self) -> Observer {
        self.tries += 1;
        let home = self.folder.path().join(format!("try-{}", self.tries));
        faults::copy(&self.folder.path().join("first"), &home);
        Observer::at(&home)
    }
}

/// A fault right after the end, at the first change, at the second, and so on
/// until there are no more.
fn phone_survives(fault: Fault) {
    let mut homes = Homes::new();
    if matches!(fault, Fault::Power | Fault::PowerPart) {
        let observer = homes.next();
        let ended = file(&observer, Some((fault, 0)));
        assert_eq!(ended.status, Some(0), "{ended:?}");
        survives(&observer, &ended, "after the end");
    }
    let mut at = 1;
    loop {
        let observer = homes.next();
        let ended = file(&observer, Some((fault, at)));
        let happened = faults::calls(&observer.home) >= at;
        survives(&observer, &ended, &format!("{fault:?} at {at}"));
        if !happened {
            assert_eq!(ended.status, Some(0), "{ended:?}");
            break;
        }
        if fault.ends() {
            assert_eq!(ended.status, Some(ENDED), "at {at}: {ended:?}");
        }
        at += 1;
    }
    assert!(at > 5, "only {at} changes were seen");
}

#[test]
fn a_filed_report_outlives_a_kill() {
    phone_survives(Fault::Kill);
}

#[test]
fn a_filed_report_outlives_a_power_failure() {
    phone_survives(Fault::Power);
}

#[test]
fn a_filed_report_outlives_half_a_power_failure() {
    phone_survives(Fault::PowerPart);
}

#[test]
fn a_filed_report_outlives_a_full_disk() {
    phone_survives(Fault::Full);
}

#[test]
fn a_filed_report_outlives_a_broken_write() {
    phone_survives(Fault::Io);
}

/// Nothing that was confirmed is gone, nothing stands twice, and one can go on.
#[track_caller]
fn survives(observer: &Observer, ended: &Ended, what: &str) {
    let found = reports(observer);
    let confirmed = ended.status == Some(0);
    assert!(
        found.len() == 2 || (found.len() == 1 && !confirmed),
        "{what}: {} reports, {ended:?}",
        found.len()
    );
    if confirmed {
        let id = &ended.json()["report"];
        assert!(found.iter().any(|report| report["report"] == *id), "{what}");
    } else if ended.status != Some(ENDED) {
        assert!(ended.error()["code"].is_string(), "{what}: {ended:?}");
    }
    let again = file(observer, None);
    assert_eq!(again.status, Some(0), "{what}: {again:?}");
    assert_eq!(reports(observer).len(), found.len() + 1, "{what}");
}

/// A server's data folder with a phone's exchange to come.
struct Ground {
    site: Site,
    first: PathBuf,
    phone: Phone,
}

impl Ground {
    fn new() -> Self {
        let site = Site::new(Kind::Sqlite);
        let mission = site.small_mission("Power");
        let server = site.start();
        let phone = Phone::enrolled(&site, mission, "D-1");
        server.stop();
        // A connection that outlived its pool once left the log behind here, and
        // another, of an audit below, deleted it while it was being copied.
        let log = std::fs::metadata(site.data.join("scrutineer.sqlite-wal"));
        assert!(
            log.map_or(0, |log| log.len()) == 0,
            "a stopped server has written its log back"
        );
        let first = site.scratch().join("first");
        faults::copy(&site.data, &first);
        Self { site, first, phone }
    }

    fn renew(&self) {
        std::fs::remove_dir_all(&self.site.data).expect("removes");
        faults::copy(&self.first, &self.site.data);
        private(&self.site.data.join("keys"));
    }
}

/// Keys that others may read are refused.
fn private(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in std::fs::read_dir(folder).expect("lists") {
        let path = entry.expect("a name").path();
        if path.is_dir() {
            private(&path);
        } else {
            let rights = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&path, rights).expect("private");
        }
    }
}

/// Faults fall into two exchanges, not into the start: calls are counted from
/// where the server listens. What the first was answered must outlive a fault in
/// the second. `step` leaves changes out, to save time.
fn server_survives(fault: Fault, step: usize) {
    let mut ground = Ground::new();
    let entries: Vec<_> = (0..4)
        .map(|turn| ground.phone.file_text(&format!("Under fault {turn}")))
        .collect();
    let request = entries
        .chunks(2)
        .map(|two| ground.phone.request(&two.iter().collect::<Vec<_>>()))
        .collect::<Vec<_>>();
    let start = calls_of(&ground, &[]);
    let whole = calls_of(&ground, &request);
    assert!(whole > start + 3, "{start} and {whole} changes");
    for at in (start + 1..=whole).step_by(step) {
        ground.renew();
        let acknowledged = exchange_under(&ground, &request, fault, at);
        comes_back(
            &ground,
            &entries,
            &acknowledged,
            &format!("{fault:?} at {at}"),
        );
    }
}

/// How many changes a server makes until it has answered these.
fn calls_of(ground: &Ground, requests: &[Request]) -> u64 {
    ground.renew();
    let server = ground
        .site
        .spawn_under(|command| faults::plant(command, &ground.site.data, Fault::Io, u64::MAX));
    server.wait_ready();
    for request in requests {
        ground.phone.try_exchange(request, None).ok();
    }
    let calls = faults::calls(&ground.site.data);
    server.kill();
    calls
}

/// The hashes that were answered as delivered.
fn exchange_under(
    ground: &Ground,
    requests: &[Request],
    fault: Fault,
    at: u64,
) -> BTreeSet<EntryHash> {
    let server = ground
        .site
        .spawn_under(|command| faults::plant(command, &ground.site.data, fault, at));
    server.wait_ready();
    let acknowledged = requests
        .iter()
        .flat_map(|request| exchange(ground, request));
    let acknowledged = acknowledged.collect();
    server.kill();
    acknowledged
}

fn exchange(ground: &Ground, request: &Request) -> Vec<EntryHash> {
    let body = serde_json::to_vec(request).expect("JSON");
    let url = format!("{}/v1/exchange", ground.site.origin());
    let headers = [("content-type", "application/json")];
    match tests::http::try_send("POST", &url, &headers, Some(body)) {
        Ok(answer) if answer.status == 200 => {
            let response: Response = serde_json::from_slice(&answer.body).expect("an answer");
            let delivered = response.outcomes.iter();
            delivered
                .filter(|outcome| outcome.outcome.is_delivered())
                .map(|outcome| outcome.hash)
                .collect()
        }
        // 503 or a broken connection: nothing was promised.
        _ => Vec::new(),
    }
}

fn comes_back(
    ground: &Ground,
    entries: &[protocol::entry::SdJwt],
    acknowledged: &BTreeSet<EntryHash>,
    what: &str,
) {
    let server = ground.site.start();
    let held: BTreeSet<EntryHash> = ledger::audit(&ground.site, ground.phone.mission())
        .into_iter()
        .map(|entry| entry.hash)
        .collect();
    assert!(
        acknowledged.is_subset(&held),
        "{what}: an acknowledged entry is gone"
    );
    let exchanged = ground.phone.send(&entries.iter().collect::<Vec<_>>());
    for entry in entries {
        let expected = if held.contains(&entry.hash()) {
            "already_stored"
        } else {
            "stored"
        };
        assert_eq!(exchanged.short(entry), expected, "{what}");
    }
    let after = ledger::audit(&ground.site, ground.phone.mission());
    let mine = after.iter().filter(|entry| entry.row.device.is_some());
    assert_eq!(mine.count(), entries.len(), "{what}");
    server.kill();
}

#[test]
fn an_acknowledged_entry_outlives_a_power_failure_of_the_server() {
    server_survives(Fault::Power, 1);
}

#[test]
fn an_acknowledged_entry_outlives_half_a_power_failure_of_the_server() {
    server_survives(Fault::PowerPart, 1);
}

#[test]
fn an_acknowledged_entry_outlives_a_full_disk_of_the_server() {
    server_survives(Fault::Full, 3);
}

#[test]
fn an_acknowledged_entry_outlives_a_broken_write_of_the_server() {
    server_survives(Fault::Io, 2);
}
