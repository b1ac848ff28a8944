//! Backup, restore, and phones that bring back what the server lost.

use std::{collections::BTreeSet, fs, path::PathBuf, thread, time::Duration};

use protocol::{
    entry::SdJwt,
    exchange::{Request, Response},
    ids::MissionId,
};
use serde_json::{Value, json};
use tests::{
    chance::Chance,
    console::Console,
    database::{Database, Kind},
    ledger::{self, Entry},
    observer::Observer,
    on_both_databases,
    phone::{self, Phone},
    site::{PASSWORD, Server, Site},
    wait,
};

on_both_databases!(
    phones_bring_back_what_a_restore_lacks,
    an_older_database_put_in_place_is_noticed,
    a_backup_restores_on_the_other_database,
    a_killed_backup_or_restore_leaves_nothing_half_done,
    a_damaged_backup_is_refused_whole,
    an_old_decision_overturns_nothing,
    nobody_but_the_server_itself_ends_a_history,
);

/// Every table but those that differ by nature: the server's state, and what is
/// known of histories that ended.
const KEPT: [&str; 13] = [
    "missions",
    "entries",
    "registers",
    "locations",
    "stations",
    "categories",
    "accreditations",
    "enrolment_codes",
    "users",
    "user_roles",
    "devices",
    "reports",
    "inbox",
];

pub(crate) struct Town {
    pub(crate) site: Site,
    pub(crate) mission: MissionId,
    pub(crate) server: Server,
    pub(crate) lead: Console,
}

pub(crate) fn town(kind: Kind) -> Town {
    let site = Site::new(kind);
    let mission = site.small_mission("Recovery");
    let server = site.start();
    let lead = site.console(mission, "lead");
    Town {
        site,
        mission,
        server,
        lead,
    }
}

pub(crate) fn observer(site: &Site, mission: MissionId, accreditation: &str) -> Observer {
    let observer = Observer::new();
    observer.enrol(&site.invite(mission, accreditation));
    observer
}

pub(crate) fn file(observer: &Observer, text: &str) -> String {
    observer.file(&["--category", "ballot_stuffing", "--text", text])["report"]
        .as_str()
        .expect("a report")
        .to_owned()
}

fn decide(lead: &Console, report: &str, to: &str, question: Option<&str>) {
    let path = format!("/v1/reports/{report}");
    let version = lead.get(&path).ok()["report"]["version"].clone();
    let decision = json!({"to": to, "version": version, "question": question});
    lead.post(&format!("{path}/decisions"), &decision).ok();
}

fn status(lead: &Console, report: &str) -> Value {
    lead.get(&format!("/v1/reports/{report}")).ok()["report"]["status"].clone()
}

pub(crate) fn back_up(site: &Site, name: &str, more: &[&str]) -> PathBuf {
    let folder = site.scratch().join(name);
    let path = folder.display().to_string();
    site.run(&[&["backup", "-o", &path], more].concat()).json();
    folder
}

/// Another machine: an empty data folder and database that takes over the address.
pub(crate) fn elsewhere(old: &mut Site, kind: Kind) -> Site {
    let mut new = Site::bare(kind);
    std::mem::swap(&mut old.port, &mut new.port);
    let origin = new.origin();
    new.set("public_url", &origin);
    new
}

pub(crate) fn restore(site: &Site, backup: &std::path::Path, keys: &Site) -> Value {
    let keys = keys.data.join("keys").display().to_string();
    let backup = backup.display().to_string();
    site.run(&["restore", &backup, "--keys", &keys]).json()
}

fn hashes(entries: &[Entry], of: impl Fn(&Entry) -> bool) -> BTreeSet<String> {
    let chosen = entries.iter().filter(|entry| of(entry));
    chosen.map(|entry| entry.hash.to_string()).collect()
}

fn by_device(entry: &Entry) -> bool {
    entry.row.device.is_some()
}

fn assert_rebuilds(site: &Site) {
    let before = site.database.dump(&KEPT);
    site.run(&["rebuild"]).json();
    let after = site.database.dump(&KEPT);
    for table in KEPT {
        assert_eq!(before[table], after[table], "{table} after a rebuild");
    }
}

/// A backup while observers sync; then more of everything; then the machine is
/// lost, and another takes its place.
fn phones_bring_back_what_a_restore_lacks(kind: Kind) {
    let mut town = town(kind);
    let [one, two] = ["D-1", "D-2"].map(|number| observer(&town.site, town.mission, number));
    let early = file(&one, "before the backup");
    one.sync();
    two.sync();
    decide(&town.lead, &early, "in_review", None);
    let backup = thread::scope(|scope| {
        let busy = scope.spawn(|| {
            for turn in 0..8 {
                let _ = file(&two, &format!("during the backup {turn}"));
                two.sync();
            }
        });
        let backup = back_up(&town.site, "backup", &[]);
        busy.join().expect("observers sync all the while");
        backup
    });
    // After the backup: reports, decisions that phones see and one that none
    // does, and a device that only the lost history enrolled.
    let three = observer(&town.site, town.mission, "D-3");
    let late = file(&three, "by a phone enrolled after the backup");
    let reported = file(&one, "after the backup");
    one.sync();
    three.sync();
    decide(&town.lead, &early, "verified", None);
    decide(&town.lead, &reported, "in_review", None);
    decide(&town.lead, &late, "in_review", None);
    decide(&town.lead, &late, "needs_info", Some("How many?"));
    one.sync();
    three.sync();
    decide(&town.lead, &reported, "verified", None);
    let (_, log) = town.server.stop();
    let before = ledger::audit(&town.site, town.mission);

    let restored = elsewhere(&mut town.site, kind);
    restore(&restored, &backup, &town.site);
    let kept = ledger::audit(&restored, town.mission).len();
    assert!(kept < before.len());
    let server = restored.start();
    for observer in [&one, &two, &three] {
        let done = observer.sync();
        assert_eq!(
            (&done["pending"], &done["refused"]),
            (&json!(0), &json!(0)),
            "{done}"
        );
        let again = observer.sync();
        assert_eq!(
            (&again["delivered"], &again["returned"]),
            (&json!(0), &json!(0)),
            "{again}"
        );
    }
    let after = ledger::audit(&restored, town.mission);
    assert_eq!(hashes(&before, by_device), hashes(&after, by_device));
    let unseen = hashes(&before, |_| true);
    let unseen: Vec<_> = unseen
        .difference(&hashes(&after, |_| true))
        .cloned()
        .collect();
    assert_eq!(
        unseen.len(),
        1,
        "only the decision that no phone saw is lost"
    );
    let lead = Console::login(&restored.origin(), &lead_of(town.mission), PASSWORD);
    for (report, want) in [
        (&early, "verified"),
        (&reported, "in_review"),
        (&late, "needs_info"),
    ] {
        assert_eq!(status(&lead, report), want);
    }
    // The lost one is named by its number.
    let lost = before
        .iter()
        .find(|entry| entry.hash.to_string() == unseen[0]);
    let number = lost.expect("it was there").row.number;
    let recovery = restored.run(&["recovery"]).json();
    assert_eq!(recovery[0]["reason"], "restored");
    assert_eq!(recovery[0]["kept"], kept);
    let missing = recovery[0]["missing"].as_array().expect("ranges").clone();
    // The phone that was enrolled since knows its enrolment's number.
    assert_eq!(recovery[0]["recovered"]["enrol"], 1, "{recovery}");
    let enrolled = before.iter().rfind(|entry| entry.kind() == "enrol");
    let enrolled = enrolled.expect("it was there").row.number;
    assert!(
        !missing.contains(&json!([enrolled, enrolled])),
        "{recovery}"
    );
    // Phones proved the history up to the last receipt; what came later than that
    // nobody knows of.
    let known = recovery[0]["known"].as_i64().expect("a number");
    assert!(known > i64::try_from(kept).expect("small"));
    if known >= number {
        assert!(missing.contains(&json!([number, number])), "{recovery}");
        let told = restored.command(&["recovery"]).output().expect("it runs");
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(told.contains("Missing numbers were given"), "{told}");
    }
    // The lost server's log says what it was, and none of its words.
    let numbered = format!(" number={number} ");
    let line = log
        .lines()
        .find(|line| line.contains("signed for a person") && line.contains(&numbered))
        .unwrap_or_else(|| panic!("no line of {number} in {log}"));
    assert!(
        line.contains("decide") && line.contains(&reported),
        "{line}"
    );
    // A phone may go on: file, and answer the question that was handed back.
    three
        .run(&["answer", &late, "--text", "About forty."])
        .json();
    assert_eq!(three.sync()["delivered"], 1);
    server.stop();
    assert_rebuilds(&restored);
    let _ = ledger::audit(&restored, town.mission);
}

pub(crate) fn lead_of(mission: MissionId) -> String {
    format!("lead-{}@example.org", &mission.to_string()[..8])
}

/// Puts copies of the database away and back, while nothing runs.
pub(crate) struct Yesterday(Copy);

enum Copy {
    Files(PathBuf, PathBuf),
    Template(&'static tests::postgres::Postgres, String, String),
}

impl Yesterday {
    pub(crate) fn of(site: &Site) -> Self {
        Self(match &site.database {
            Database::Sqlite(path) => {
                let copy = site.scratch().join("yesterday.sqlite");
                let _ = site.database.rows("PRAGMA wal_checkpoint(TRUNCATE)");
                fs::copy(path, &copy).expect("a copy");
                Copy::Files(path.clone(), copy)
            }
            Database::Postgres { cluster, name, .. } => {
                let copy = cluster.fresh_name();
                cluster
                    .psql(
                        "postgres",
                        &format!("CREATE DATABASE {copy} TEMPLATE {name}"),
                    )
                    .expect("a copy");
                Copy::Template(cluster, name.clone(), copy)
            }
        })
    }

    pub(crate) fn put_back(self) {
        match self.0 {
            Copy::Files(path, copy) => {
                for ending in ["-wal", "-shm"] {
                    fs::remove_file(format!("{}{ending}", path.display())).ok();
                }
                fs::copy(copy, path).expect("put back");
            }
            Copy::Template(cluster, name, copy) => {
                for statement in [
                    format!("DROP DATABASE {name} WITH (FORCE)"),
                    format!("ALTER DATABASE {copy} RENAME TO {name}"),
                ] {
                    cluster.psql("postgres", &statement).expect("put back");
                }
            }
        }
    }
}

/// Yesterday's file (or a PostgreSQL put back) in place of today's, and nobody
/// says so. On PostgreSQL with two servers.
fn an_older_database_put_in_place_is_noticed(kind: Kind) {
    let town = town(kind);
    let one = observer(&town.site, town.mission, "D-1");
    let first = file(&one, "yesterday");
    one.sync();
    town.server.stop();
    let yesterday = Yesterday::of(&town.site);

    let server = town.site.start();
    let two = observer(&town.site, town.mission, "D-2");
    let second = file(&two, "today, by a new phone");
    let _ = file(&one, "today");
    decide(&town.lead, &first, "in_review", None);
    one.sync();
    two.sync();
    decide(&town.lead, &second, "in_review", None);
    two.sync();
    server.stop();
    let before = ledger::audit(&town.site, town.mission);
    yesterday.put_back();

    let twin = (kind == Kind::Postgres).then(|| town.site.twin());
    let server = town.site.start();
    let beside = twin.as_ref().map(Site::start);
    // The phone whose own enrolment was lost comes first, and both at once.
    thread::scope(|scope| {
        for observer in [&two, &one] {
            scope.spawn(|| {
                observer.sync();
                observer.sync();
            });
        }
    });
    for observer in [&one, &two] {
        let done = observer.sync();
        assert_eq!(
            (&done["pending"], &done["new_epoch"]),
            (&json!(0), &json!(false)),
            "{done}"
        );
    }
    let log = server.log();
    assert_eq!(
        log.matches("older database was put in place").count(),
        1,
        "{log}"
    );
    let metrics = server.get("/metrics").text();
    assert!(
        metrics.contains("scrutineer_histories_rolled_back_total 1"),
        "{metrics}"
    );
    if let Some(beside) = beside {
        // The other server tells the new history too, though it did not renew it.
        let mut phone = Phone::enrolled(&town.site, town.mission, "D-4");
        let entry = phone.file_text("through the other server");
        let here = phone.send(&[&entry]).response.epoch;
        phone
            .invitation
            .origin
            .clone_from(&beside.origin().to_owned());
        let there = phone.send(&[&entry]);
        assert_eq!(
            (there.short(&entry), there.response.epoch),
            ("already_stored".into(), here)
        );
        beside.stop();
    }
    server.stop();
    let after = ledger::audit(&town.site, town.mission);
    let lost: Vec<_> = before
        .iter()
        .filter(|entry| !after.iter().any(|other| other.hash == entry.hash))
        .map(|entry| entry.kind().to_owned())
        .collect();
    assert_eq!(lost, Vec::<String>::new(), "phones had seen everything");
    assert_eq!(
        town.site.run(&["recovery"]).json()[0]["reason"],
        "rolled_back"
    );
    assert_rebuilds(&town.site);
}

fn other(kind: Kind) -> Kind {
    match kind {
        Kind::Sqlite => Kind::Postgres,
        Kind::Postgres => Kind::Sqlite,
    }
}

/// One form for both: also the way from SQLite to PostgreSQL. Sealed to the
/// mission's own key, with the keys inside.
fn a_backup_restores_on_the_other_database(kind: Kind) {
    let mut town = town(kind);
    let mut phone = Phone::enrolled(&town.site, town.mission, "D-1");
    let mut filed = Vec::new();
    for text in ["one", "two", "a\u{0}c"] {
        filed.push(phone.file_text(text));
    }
    let amended = phone.amend(&filed[0], filed[0].hash(), "one, amended");
    let held = phone.amend(&filed[1], protocol::ids::EntryHash([7; 32]), "held");
    let _ = phone.send(&[&filed[0], &filed[1], &filed[2], &amended, &held]);
    let missions = town.site.run(&["mission", "list"]).json();
    let recipient = missions[0]["sealing_key"].as_str().expect("a recipient");
    let backup = back_up(&town.site, "sealed", &["--recipient", recipient]);
    town.server.stop();
    let text = fs::read_to_string(backup.join("manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_str(&text).expect("JSON");
    for section in manifest["sections"].as_array().expect("sections") {
        let name = section["file"].as_str().expect("a file");
        // This one alone is open: where copies lie, under names that tell nothing.
        if name == "evidence.sha256" {
            continue;
        }
        let file = backup.join(name);
        let bytes = fs::read(&file).expect("it is there");
        assert!(
            bytes.starts_with(b"age-encryption.org/v1"),
            "{}",
            file.display()
        );
    }

    let restored = elsewhere(&mut town.site, other(kind));
    let path = backup.display().to_string();
    restored.run(&["restore", &path]).refuses("backup_invalid");
    assert!(!restored.data.join("keys").exists());
    let identity = town
        .site
        .data
        .join(format!("keys/missions/{}.age", town.mission));
    let identity = identity.display().to_string();
    let checked = restored
        .run(&["restore", &path, "--identity", &identity, "--check"])
        .json();
    assert_eq!(
        (&checked["rows_checked"], &checked["signature_checked"]),
        (&json!(true), &json!(true))
    );
    restored
        .run(&["restore", &path, "--identity", &identity])
        .json();
    let (before, after) = (
        town.site.database.dump(&KEPT),
        restored.database.dump(&KEPT),
    );
    for table in KEPT {
        assert_eq!(before[table], after[table], "{table}");
    }
    // Nothing is restored over it.
    restored
        .run(&["restore", &path, "--identity", &identity])
        .refuses("already_exists");
    let server = restored.start();
    let next = phone.file_text("after the move");
    assert_eq!(phone.send(&[&next]).short(&next), "stored");
    assert_eq!(phone.send(&[&filed[0]]).short(&filed[0]), "already_stored");
    server.stop();
    let _ = ledger::audit(&restored, town.mission);
}

fn a_killed_backup_or_restore_leaves_nothing_half_done(kind: Kind) {
    let mut town = town(kind);
    let mut phone = Phone::enrolled(&town.site, town.mission, "D-1");
    for _ in 0..4 {
        let entries: Vec<SdJwt> = (0..250).map(|_| phone.file_text("one of many")).collect();
        let _ = phone.send(&entries.iter().collect::<Vec<_>>());
    }
    let mut chance = Chance::new();
    eprintln!("SCRUTINEER_SEED={}", chance.seed);
    let folder = town.site.scratch().join("killed");
    let path = folder.display().to_string();
    let mut kills = 0;
    for _ in 0..12 {
        let whole = kill_after(&town.site, &["backup", "-o", &path], chance.below(400));
        kills += u32::from(!whole);
        if folder.exists() {
            // What has the wished name is whole, killed or not.
            town.site.run(&["restore", &path, "--check"]).json();
            fs::remove_dir_all(&folder).expect("removed");
        } else {
            assert!(!whole, "it said that it was done");
        }
    }
    assert!(kills > 0, "no backup was killed in the middle");
    let backup = back_up(&town.site, "killed", &[]);
    assert_eq!(
        fs::read_dir(town.site.scratch())
            .expect("a folder")
            .filter(|file| {
                let name = file.as_ref().expect("a file").file_name();
                name.to_string_lossy().contains("partial")
            })
            .count(),
        0,
        "nothing is left of the killed ones"
    );
    town.server.stop();

    let restored = elsewhere(&mut town.site, kind);
    let keys = town.site.data.join("keys").display().to_string();
    let path = backup.display().to_string();
    let arguments = ["restore", path.as_str(), "--keys", &keys];
    let mut kills = 0;
    for _ in 0..30 {
        if kill_after(&restored, &arguments, 50 + chance.below(900)) {
            break;
        }
        kills += 1;
        // Killed before it was complete, the folder cannot be served.
        if !restored.data.join("keys").exists() {
            restored
                .run(&["mission", "list"])
                .refuses("data_folder_invalid");
        } else {
            break;
        }
    }
    if !restored.data.join("keys").exists() {
        restored.run(&arguments).json();
    }
    eprintln!("{kills} restores were killed");
    let (before, after) = (
        town.site.database.dump(&KEPT),
        restored.database.dump(&KEPT),
    );
    for table in KEPT {
        assert_eq!(before[table], after[table], "{table}");
    }
    assert_eq!(
        restored.run(&["recovery"]).json().as_array().map(Vec::len),
        Some(1)
    );
    let _ = ledger::audit(&restored, town.mission);
}

/// Starts a command and kills it after some milliseconds; whether it was done by
/// then.
pub(crate) fn kill_after(site: &Site, arguments: &[&str], milliseconds: u64) -> bool {
    let mut child = site
        .command(arguments)
        .arg("--json")
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("scrutineer runs");
    wait::pause(Duration::from_millis(milliseconds));
    child.kill().expect("killed or gone");
    child.wait().expect("it ends").success()
}

fn a_damaged_backup_is_refused_whole(kind: Kind) {
    let mut town = town(kind);
    let mut phone = Phone::enrolled(&town.site, town.mission, "D-1");
    let entry = phone.file_text("whole");
    let _ = phone.send(&[&entry]);
    let backup = back_up(&town.site, "backup", &[]);
    town.server.stop();
    let taken = backup.display().to_string();
    town.site
        .run(&["backup", "-o", &taken])
        .refuses("already_exists");
    let restored = elsewhere(&mut town.site, kind);
    let keys = town.site.data.join("keys").display().to_string();
    let spoil = |file: &str, change: &dyn Fn(Vec<u8>) -> Option<Vec<u8>>| {
        let path = backup.join(file);
        let sound = fs::read(&path).expect("a file");
        match change(sound.clone()) {
            Some(bytes) => fs::write(&path, bytes).expect("spoilt"),
            None => fs::remove_file(&path).expect("removed"),
        }
        let command = ["restore", &taken, "--keys", &keys];
        restored.run(&command).refuses("backup_invalid");
        restored
            .run(&[&command[..], &["--check"]].concat())
            .refuses("backup_invalid");
        assert!(!restored.data.join("keys").exists());
        fs::write(&path, sound).expect("sound again");
    };
    spoil("tables/entries.jsonl.gz", &|_| None);
    spoil("tables/entries.jsonl.gz", &|mut bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        Some(bytes)
    });
    spoil("tables/users.jsonl.gz", &|mut bytes| {
        bytes.truncate(bytes.len() - 1);
        Some(bytes)
    });
    spoil("tables/missions.jsonl.gz", &|mut bytes| {
        bytes.push(0);
        Some(bytes)
    });
    // A manifest made to fit is not the server's.
    spoil("manifest.json", &|bytes| {
        let text = String::from_utf8(bytes).expect("text");
        Some(text.replacen("\"rows\": ", "\"rows\":  ", 1).into_bytes())
    });
    spoil("manifest.jws", &|_| Some(b"e30.e30.AAAA".to_vec()));
    // The keys of another server are no help.
    let stranger = Site::new(kind);
    let strange = stranger.data.join("keys").display().to_string();
    restored
        .run(&["restore", &taken, "--keys", &strange])
        .refuses("backup_invalid");
    restored.run(&["restore", &taken]).refuses("backup_invalid");
    // And then it is restored all the same.
    restored.run(&["restore", &taken, "--keys", &keys]).json();
    let _ = ledger::audit(&restored, town.mission);
}

/// What a phone is told behind a cursor.
fn news(phone: &Phone, cursor: Option<String>) -> Response {
    let request = Request {
        cursor,
        ..phone.request(&[])
    };
    let answer = phone.try_exchange(&request, Some(&phone.token())).ok();
    serde_json::from_value(answer).expect("an answer")
}

/// The items that a phone is given, as they came.
fn items(phone: &Phone) -> Vec<SdJwt> {
    let read = |item: &protocol::exchange::Item| SdJwt::from_wire(&item.entry).expect("an entry");
    news(phone, None).items.iter().map(read).collect()
}

/// A request that hands entries back.
fn hand_back(phone: &Phone, entries: &[&SdJwt], returned: &[&SdJwt]) -> Request {
    Request {
        returned: returned.iter().map(|entry| entry.to_wire()).collect(),
        ..phone.request(entries)
    }
}

fn exchange(phone: &Phone, request: &Request) -> tests::phone::Exchanged {
    let answer = phone.try_exchange(request, None).ok();
    let response: Response = serde_json::from_value(answer).expect("an answer");
    let all: Vec<_> = request
        .entries
        .iter()
        .chain(&request.returned)
        .cloned()
        .collect();
    phone.check(response, &all)
}

fn an_old_decision_overturns_nothing(kind: Kind) {
    let mut town = town(kind);
    let mut phone = Phone::enrolled(&town.site, town.mission, "D-1");
    let [kept, decided, amended] = ["kept", "decided", "amended"].map(|text| phone.file_text(text));
    let _ = phone.send(&[&kept]);
    let backup = back_up(&town.site, "backup", &[]);
    let _ = phone.send(&[&decided, &amended]);
    let id = |entry: &SdJwt| phone::subject(entry).to_string();
    for report in [&kept, &decided, &amended] {
        decide(&town.lead, &id(report), "in_review", None);
        decide(&town.lead, &id(report), "verified", None);
    }
    let old = items(&phone);
    assert_eq!(old.len(), 6);
    town.server.stop();
    let restored = elsewhere(&mut town.site, kind);
    restore(&restored, &backup, &town.site);
    let server = restored.start();
    let lead = Console::login(&restored.origin(), &lead_of(town.mission), PASSWORD);

    // A decision of the new history stands, whatever is handed back.
    decide(&lead, &id(&kept), "in_review", None);
    decide(&lead, &id(&kept), "needs_info", Some("Where?"));
    let answer = exchange(&phone, &hand_back(&phone, &[], &[&old[0], &old[1]]));
    for decision in &old[..2] {
        assert_eq!(answer.short(decision), "quarantined:overtaken");
    }
    assert_eq!(status(&lead, &id(&kept)), "needs_info");
    let waiting = lead.get("/v1/quarantine").ok().to_string();
    assert!(waiting.contains("overtaken"), "{waiting}");

    // Before their report, in the wrong order and one by one: held, then applied.
    for decision in [&old[3], &old[2]] {
        let answer = exchange(&phone, &hand_back(&phone, &[], &[decision]));
        assert_eq!(answer.short(decision), "held");
    }
    let before = news(&phone, None);
    assert_eq!(before.items.len(), 2);
    assert_eq!(phone.send(&[&decided]).short(&decided), "stored");
    assert_eq!(status(&lead, &id(&decided)), "verified");

    // They come as news now, although their numbers are lower than what was read.
    let after = news(&phone, before.cursor);
    let came: BTreeSet<_> = after.items.iter().map(|item| item.entry.hash()).collect();
    assert_eq!(came, BTreeSet::from([old[2].hash(), old[3].hash()]));
    assert_eq!(news(&phone, after.cursor).items, []);

    // With an amendment that they did not see: right behind what they were made on.
    let amendment = phone.amend(&amended, amended.hash(), "changed");
    let request = hand_back(&phone, &[&amended, &amendment], &[&old[5], &old[4]]);
    let answer = exchange(&phone, &request);
    for entry in [&amended, &amendment, &old[4], &old[5]] {
        assert_eq!(answer.short(entry), "stored");
    }
    assert_eq!(status(&lead, &id(&amended)), "reopened");
    let again = exchange(&phone, &request);
    for entry in [&amended, &amendment, &old[4], &old[5]] {
        assert_eq!(again.short(entry), "already_stored");
    }

    // A complete copy completes what came without its reason; others do not.
    let bare = old[4].withhold(|_| false);
    assert_eq!(
        exchange(&phone, &hand_back(&phone, &[], &[&bare])).short(&bare),
        "already_stored"
    );

    // What the server did not sign as a decision is not taken.
    let own = phone.file_text("my own");
    let answer = exchange(&phone, &hand_back(&phone, &[], &[&own]));
    assert!(answer.short(&own).starts_with("refused:"));
    server.stop();
    assert_rebuilds(&restored);
    let _ = ledger::audit(&restored, town.mission);
}

/// Lies, forgeries, receipts of others: the history stays what it is.
fn nobody_but_the_server_itself_ends_a_history(kind: Kind) {
    let town = town(kind);
    let mut phone = Phone::enrolled(&town.site, town.mission, "D-1");
    let entry = phone.file_text("one");
    let first = phone.send(&[&entry]);
    let receipt = first.receipt.clone().expect("a receipt");
    let epoch = first.response.epoch;
    let seen = protocol::entry::Seen {
        epoch: epoch.0,
        number: receipt.head.number + 50,
        chain: protocol::ids::EntryHash([1; 32]),
    };
    let ask = |receipt: Option<String>| Request {
        seen: Some(seen.clone()),
        receipt,
        ..phone.request(&[&entry])
    };
    // A lie makes the server ask, and nothing more.
    let asked = exchange(&phone, &ask(None));
    assert!(asked.response.receipt_wanted);
    let mut higher = receipt.clone();
    higher.head.number += 50;
    let forged = higher.sign(&phone.key).expect("signs");
    let mut foreign = higher.clone();
    foreign.epoch = protocol::ids::EpochId(uuid::Uuid::from_bytes([9; 16]));
    let foreign = foreign.sign(&town.site.receipt_signer()).expect("signs");
    let mut elsewhere = higher.clone();
    elsewhere.mission = MissionId(uuid::Uuid::from_bytes([9; 16]));
    let elsewhere = elsewhere.sign(&town.site.receipt_signer()).expect("signs");
    let true_one = first.response.receipt.clone().expect("a receipt");
    for lie in [forged, foreign, elsewhere, true_one, "x".into()] {
        let answer = exchange(&phone, &ask(Some(lie)));
        assert_eq!(answer.response.epoch, epoch);
    }
    assert_eq!(town.site.run(&["recovery"]).json(), json!([]));
    // Only the server's own word does.
    let own = higher.sign(&town.site.receipt_signer()).expect("signs");
    let renewed = exchange(&phone, &ask(Some(own.clone()))).response.epoch;
    assert_ne!(renewed, epoch);
    assert_eq!(
        exchange(&phone, &ask(Some(own))).response.epoch,
        renewed,
        "once"
    );
    let recovery = town.site.run(&["recovery"]).json();
    assert_eq!(recovery.as_array().map(Vec::len), Some(1), "{recovery}");
    town.server.stop();
}
