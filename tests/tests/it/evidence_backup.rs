//! Evidence in backups: copied once, durable for phones only then, and back after
//! a restore.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use protocol::ids::MissionId;
use serde_json::{Value, json};
use tests::{
    chance::Chance,
    console::Console,
    database::Kind,
    observer::Observer,
    on_both_databases,
    phone::{self, Phone},
    s3::S3,
    site::{PASSWORD, Site},
    upload::{Sample, Way, announced},
    wait,
};

use crate::recovery::{
    Town, Yesterday, back_up, elsewhere, file, kill_after, lead_of, observer, restore, town,
};

on_both_databases!(
    a_phone_lets_go_once_a_backup_holds_its_file,
    a_later_backup_copies_what_is_new_and_a_restore_brings_it_back,
    a_sealed_backup_hides_the_names_of_files,
    reports_first_and_files_later,
    what_cannot_be_read_is_named_and_the_rest_goes_on,
    copies_of_erased_files_go_with_the_backups_that_name_them,
    a_bucket_is_backed_up_and_filled_again,
    a_file_that_an_older_database_lacks_is_found_again,
    memory_stays_flat_while_files_are_copied,
);

const MIB: usize = 1024 * 1024;

/// A phone with a file that the server holds.
fn sent(town: &Town, accreditation: &str, sample: &Sample) -> (Phone, Way) {
    let mut phone = Phone::enrolled(&town.site, town.mission, accreditation);
    announced(&mut phone, &sample.file);
    let way = Way::of(&phone, &sample.file);
    assert_eq!(way.patch(0, &sample.bytes).status, 204);
    (phone, way)
}

fn is_durable(way: &Way) -> bool {
    let answer = way.head();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.header("evidence-durable") == "true"
}

/// The copies beside backups.
fn copies(beside: &Path) -> Vec<PathBuf> {
    let below = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).map_or_else(
            |_| Vec::new(),
            |entries| entries.flatten().map(|entry| entry.path()).collect(),
        )
    };
    let shelf = beside.join("scrutineer-evidence");
    ["files", "sealed"]
        .iter()
        .flat_map(|kind| below(&shelf.join(kind)))
        .flat_map(|folder| below(&folder))
        .collect()
}

fn back_up_told(site: &Site, name: &str, more: &[&str]) -> Value {
    let path = site.scratch().join(name).display().to_string();
    site.run(&[&["backup", "-o", &path], more].concat()).json()
}

fn here(observer: &Observer) -> Value {
    observer.run(&["status"]).json()["files"]["bytes_here"].clone()
}

/// The whole way with the real programs.
fn a_phone_lets_go_once_a_backup_holds_its_file(kind: Kind) {
    let mut town = town(kind);
    let observer = observer(&town.site, town.mission, "D-1");
    observer
        .run(&["settings", "--keep-evidence", "until-durable"])
        .json();
    let report = file(&observer, "On the video.");
    let sample = Sample::of(3 * MIB + 17);
    let path = town.site.file("video.bin", &sample.bytes);
    let path = path.display().to_string();
    observer.run(&["attach", &report, &path]).json();
    let size = json!(sample.file.size);
    assert_eq!(observer.sync()["files_pending"], 0);
    assert_eq!(here(&observer), size, "complete, and not durable");
    // A backup that is killed in the middle makes nothing durable.
    let killed = town.site.scratch().join("killed").display().to_string();
    let mut chance = Chance::new();
    eprintln!("SCRUTINEER_SEED={}", chance.seed);
    for _ in 0..6 {
        if kill_after(&town.site, &["backup", "-o", &killed], chance.below(120)) {
            break;
        }
        if Path::new(&killed).exists() {
            break;
        }
        observer.sync();
        assert_eq!(here(&observer), size);
    }
    // Nor does one without evidence.
    let bare = back_up(&town.site, "bare", &["--without-evidence"]);
    assert!(!bare.join("evidence.sha256").exists());
    if !Path::new(&killed).exists() {
        observer.sync();
        assert_eq!(here(&observer), size);
    }
    let backup = back_up(&town.site, "backup", &[]);
    observer.sync();
    assert_eq!(here(&observer), 0, "a backup holds it");
    let shown = town.lead.get(&format!("/v1/reports/{report}")).ok();
    assert_eq!(shown["evidence"][0]["file"]["durable"], true);
    town.server.stop();

    // The machine is lost, and the phone's copy is gone.
    let restored = elsewhere(&mut town.site, kind);
    let told = restore(&restored, &backup, &town.site);
    assert_eq!(told["evidence"]["copied"], 1, "{told}");
    let server = restored.start();
    let done = observer.sync();
    assert_eq!(
        (&done["new_epoch"], &done["files_pending"]),
        (&json!(true), &json!(0)),
        "{done}"
    );
    let lead = Console::login(&restored.origin(), &lead_of(town.mission), PASSWORD);
    let read = lead.get(&format!("/v1/evidence/{}", sample.file.sha256));
    assert!(read.body == sample.bytes, "the file is what was attached");
    let shown = lead.get(&format!("/v1/reports/{report}")).ok();
    assert_eq!(shown["evidence"][0]["file"]["durable"], true);
    server.stop();
}

fn a_later_backup_copies_what_is_new_and_a_restore_brings_it_back(kind: Kind) {
    let mut town = town(kind);
    let [one, two] = [Sample::of(2 * MIB), Sample::of(4_711)];
    let (_, first) = sent(&town, "D-1", &one);
    let told = back_up_told(&town.site, "one", &[]);
    assert_eq!(
        (&told["evidence"]["copied"], &told["durable"]),
        (&json!(1), &json!(1)),
        "{told}"
    );
    assert!(is_durable(&first));
    let (phone, second) = sent(&town, "D-2", &two);
    assert!(!is_durable(&second));
    let told = back_up_told(&town.site, "two", &[]);
    assert_eq!(
        (
            &told["evidence"]["files"],
            &told["evidence"]["copied"],
            &told["durable"]
        ),
        (&json!(2), &json!(1), &json!(1)),
        "{told}"
    );
    assert!(is_durable(&first) && is_durable(&second));
    assert_eq!(copies(town.site.scratch()).len(), 2);
    // What a stranger's tool says of it.
    let listed = std::process::Command::new("sha256sum")
        .args(["--check", "--strict", "evidence.sha256"])
        .current_dir(town.site.scratch().join("two"))
        .output()
        .expect("sha256sum runs");
    assert!(listed.status.success(), "{listed:?}");
    // Two at once would write the same copies.
    let held = fs::File::open(town.site.scratch().join("scrutineer-evidence/lock"));
    let held = held.expect("a lock");
    held.lock().expect("locked");
    let third = town.site.scratch().join("three").display().to_string();
    town.site
        .run(&["backup", "-o", &third])
        .refuses("backup_running");
    drop(held);
    town.server.stop();

    // The older backup knows of one file: the other is not called durable.
    let restored = elsewhere(&mut town.site, kind);
    let backup = town.site.scratch().join("one");
    let keys = town.site.data.join("keys").display().to_string();
    let arguments = ["restore", &backup.display().to_string(), "--keys", &keys];
    let mut chance = Chance::new();
    for _ in 0..20 {
        if restored.data.join("keys").exists()
            || kill_after(&restored, &arguments, 50 + chance.below(500))
        {
            break;
        }
    }
    if !restored.data.join("keys").exists() {
        restored.run(&arguments).json();
    }
    let server = restored.start();
    assert!(is_durable(&first));
    assert_eq!(first.get(&[]).body, one.bytes);
    assert_eq!(
        second.head().status,
        401,
        "its phone has to be enrolled again"
    );
    drop(phone);
    server.stop();
    let known = restored.database.dump(&["evidence_files"]);
    assert_eq!(known["evidence_files"].len(), 1);
}

fn a_sealed_backup_hides_the_names_of_files(kind: Kind) {
    let mut town = town(kind);
    let sample = Sample::of(300_000);
    let (_, way) = sent(&town, "D-1", &sample);
    let missions = town.site.run(&["mission", "list"]).json();
    let recipient = missions[0]["sealing_key"].as_str().expect("a recipient");
    let backup = back_up(&town.site, "sealed", &["--recipient", recipient]);
    let again = back_up_told(&town.site, "again", &["--recipient", recipient]);
    assert_eq!(again["evidence"]["copied"], 0, "{again}");
    assert!(is_durable(&way));
    let copy = copies(town.site.scratch());
    let [copy] = copy.as_slice() else {
        panic!("one copy: {copy:?}")
    };
    let sealed = fs::read(copy).expect("a copy");
    assert!(sealed.starts_with(b"age-encryption.org/v1"));
    // Neither name tells the hash, in any of its forms.
    let hash: String = sample
        .file
        .sha256
        .0
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let list = fs::read_to_string(backup.join("evidence.sha256")).expect("a list");
    for told in [copy.display().to_string(), list] {
        assert!(!told.contains(&hash) && !told.contains(&sample.file.sha256.to_string()));
    }
    town.server.stop();
    let restored = elsewhere(&mut town.site, kind);
    let path = backup.display().to_string();
    let identity = town
        .site
        .data
        .join(format!("keys/missions/{}.age", town.mission))
        .display()
        .to_string();
    let open = ["restore", path.as_str(), "--identity", &identity];
    for check in [
        &["restore", &path, "--check"][..],
        &[&open[..], &["--check"]].concat(),
    ] {
        let checked = restored.run(check).json();
        assert_eq!(checked["evidence_checked"], true, "{checked}");
    }
    // One byte of the copy is another.
    let mut spoilt = sealed.clone();
    let middle = spoilt.len() / 2;
    spoilt[middle] ^= 1;
    fs::write(copy, &spoilt).expect("spoilt");
    for check in [
        &["restore", &path, "--check"][..],
        &[&open[..], &["--check"]].concat(),
    ] {
        restored.run(check).refuses("backup_invalid");
    }
    // Copies elsewhere are named.
    fs::write(copy, &sealed).expect("sound again");
    let away = town.site.scratch().join("away");
    let shelf = town.site.scratch().join("scrutineer-evidence");
    fs::rename(&shelf, &away).expect("moved");
    restored.run(&open).refuses("backup_invalid");
    assert!(!restored.data.exists(), "nothing was begun");
    let away = away.display().to_string();
    restored
        .run(&[&open[..], &["--evidence-store", &away]].concat())
        .json();
    let server = restored.start();
    assert_eq!(way.get(&[]).body, sample.bytes);
    assert!(is_durable(&way));
    server.stop();
}

fn reports_first_and_files_later(kind: Kind) {
    let mut town = town(kind);
    let [old, new] = [Sample::of(MIB + 1), Sample::of(90_000)];
    let (mut phone, way) = sent(&town, "D-1", &old);
    let backup = back_up(&town.site, "backup", &[]);
    town.server.stop();
    let restored = elsewhere(&mut town.site, kind);
    let keys = town.site.data.join("keys").display().to_string();
    let path = backup.display().to_string();
    let told = restored
        .run(&["restore", &path, "--keys", &keys, "--without-evidence"])
        .json();
    assert_eq!(told["evidence"]["lost"]["count"], 1, "{told}");
    let server = restored.start();
    // The phone is asked for it again, and so it would come back too.
    assert_eq!(way.offset(), 0);
    announced(&mut phone, &new.file);
    let fresh = Way::of(&phone, &new.file);
    assert_eq!(fresh.patch(0, &new.bytes).status, 204);
    // While the server runs:
    let brought = restored.run(&["restore", &path, "--evidence-only"]).json();
    assert_eq!(brought["evidence"]["copied"], 1, "{brought}");
    assert_eq!(way.offset(), old.file.size);
    assert_eq!(way.get(&[]).body, old.bytes);
    assert!(is_durable(&way));
    assert!(!is_durable(&fresh), "no backup holds it");
    let again = restored.run(&["restore", &path, "--evidence-only"]).json();
    assert_eq!(again["evidence"]["copied"], 0, "{again}");
    // Another server's backup brings nothing here.
    let stranger = Site::new(kind);
    stranger
        .run(&["restore", &path, "--evidence-only"])
        .refuses("backup_invalid");
    server.stop();
}

/// Where a server keeps a file.
fn place(site: &Site, mission: MissionId, sample: &Sample) -> PathBuf {
    let name: String = sample
        .file
        .sha256
        .0
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    site.data
        .join("evidence/files")
        .join(mission.to_string())
        .join(name)
}

fn what_cannot_be_read_is_named_and_the_rest_goes_on(kind: Kind) {
    let mut town = town(kind);
    let samples = [Sample::of(1_000), Sample::of(2_000), Sample::of(3_000)];
    let mut ways = Vec::new();
    for sample in &samples {
        ways.push(sent(&town, "D-1", sample).1);
    }
    let [gone, rotten, sound] = &samples;
    let away = fs::read(place(&town.site, town.mission, gone)).expect("a file");
    fs::remove_file(place(&town.site, town.mission, gone)).expect("removed");
    fs::write(place(&town.site, town.mission, rotten), vec![7; 2_000]).expect("spoilt");
    let folder = town.site.scratch().join("backup");
    let path = folder.display().to_string();
    let failed = town.site.run(&["backup", "-o", &path]);
    failed.refuses("evidence_lost");
    let told = failed.error();
    assert_eq!(told["lost"], 2, "{told}");
    let named: Vec<&str> = told["first"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["file"].as_str())
        .collect();
    for sample in [gone, rotten] {
        assert!(
            named.contains(&sample.file.sha256.to_string().as_str()),
            "{told}"
        );
    }
    // It is a backup all the same, of what there was.
    town.site.run(&["restore", &path, "--check"]).json();
    assert!(is_durable(&ways[2]) && !is_durable(&ways[1]));
    // Its disk is there again: nothing was forgotten meanwhile.
    fs::write(place(&town.site, town.mission, gone), away).expect("back");
    assert_eq!(ways[0].get(&[]).body, gone.bytes);
    town.server.stop();

    // A copy that is damaged is left out, named, and asked of phones.
    let [copy] = copies(town.site.scratch()).try_into().expect("one copy");
    fs::write(&copy, vec![9; sound.bytes.len()]).expect("spoilt");
    let restored = elsewhere(&mut town.site, kind);
    let keys = town.site.data.join("keys").display().to_string();
    let failed = restored.run(&["restore", &path, "--keys", &keys]);
    failed.refuses("evidence_lost");
    assert_eq!(failed.error()["lost"], 3, "{:?}", failed.error());
    let server = restored.start();
    assert_eq!(ways[2].offset(), 0);
    assert_eq!(ways[2].patch(0, &sound.bytes).status, 204);
    assert_eq!(ways[2].get(&[]).body, sound.bytes);
    server.stop();
}

fn copies_of_erased_files_go_with_the_backups_that_name_them(kind: Kind) {
    let town = town(kind);
    let [erased, stays] = [Sample::of(500), Sample::of(600)];
    let mut phone = Phone::enrolled(&town.site, town.mission, "D-1");
    let report = announced(&mut phone, &erased.file).0;
    announced(&mut phone, &stays.file);
    for sample in [&erased, &stays] {
        let way = Way::of(&phone, &sample.file);
        assert_eq!(way.patch(0, &sample.bytes).status, 204);
    }
    let before = back_up(&town.site, "before", &["--prune"]);
    town.site
        .add_user(Some(town.mission), "lead", "second@example.org");
    let second = Console::login(&town.site.origin(), "second@example.org", PASSWORD);
    let path = format!("/v1/reports/{}/erasure", phone::subject(&report));
    let asked = town.lead.post(&path, &json!({"reason": "asked for"})).ok();
    let id = asked["id"].as_str().expect("an id");
    second
        .post(&format!("/v1/erasures/{id}/approval"), &json!({}))
        .ok();
    // As long as a backup names it, its copy stays.
    let told = back_up_told(&town.site, "after", &["--prune"]);
    assert_eq!(told["evidence"]["files"], 1, "{told}");
    assert_eq!(told["pruned"]["files"], 0, "{told}");
    assert_eq!(copies(town.site.scratch()).len(), 2);
    town.site
        .run(&["restore", &before.display().to_string(), "--check"])
        .json();
    // A backup that cannot be read keeps everything.
    fs::write(before.join("evidence.sha256"), "").expect("spoilt");
    let third = town.site.scratch().join("third").display().to_string();
    town.site
        .run(&["backup", "-o", &third, "--prune"])
        .refuses("backup_invalid");
    assert_eq!(copies(town.site.scratch()).len(), 2);
    fs::remove_dir_all(&before).expect("removed");
    let told = back_up_told(&town.site, "last", &["--prune"]);
    assert_eq!(told["pruned"]["files"], 1, "{told}");
    assert_eq!(copies(town.site.scratch()).len(), 1);
    // The file of an erased report does not come back by an older backup either.
    assert_eq!(Way::of(&phone, &erased.file).head().status, 404);
    assert_eq!(Way::of(&phone, &stays.file).get(&[]).body, stays.bytes);
    town.server.stop();
}

fn a_bucket_is_backed_up_and_filled_again(kind: Kind) {
    let s3 = S3::start();
    let mut site = Site::new(kind);
    s3.configure(&mut site);
    let mission = site.small_mission("Bucket");
    let server = site.start();
    let lead = site.console(mission, "lead");
    let mut town = Town {
        site,
        mission,
        server,
        lead,
    };
    // More than one part of an upload to a bucket.
    let sample = Sample::of(12 * MIB + 5);
    let (_, way) = sent(&town, "D-1", &sample);
    let backup = back_up(&town.site, "backup", &[]);
    assert!(is_durable(&way));
    let late = Sample::of(700);
    let _ = sent(&town, "D-2", &late);
    // The bucket is away: no backup, and nothing durable.
    let there = town.site.scratch().join("away").display().to_string();
    drop(s3);
    let failed = town.site.run(&["backup", "-o", &there]);
    failed.refuses("evidence_unavailable");
    assert_eq!(failed.status, Some(1));
    assert!(!Path::new(&there).exists());
    let open = "SELECT COUNT(*) FROM evidence_files WHERE durable_at IS NULL";
    assert_eq!(town.site.database.count(open), 1);
    // Without evidence it is made all the same.
    back_up_told(&town.site, "bare", &["--without-evidence"]);
    town.server.stop();

    // Nor can it be restored then; once the bucket is there, it goes on.
    let gone = S3::start();
    let mut restored = elsewhere(&mut town.site, kind);
    gone.configure(&mut restored);
    drop(gone);
    let keys = town.site.data.join("keys").display().to_string();
    let path = backup.display().to_string();
    restored
        .run(&["restore", &path, "--keys", &keys])
        .refuses("evidence_unavailable");
    assert!(!restored.data.join("keys").exists());
    let s3 = S3::start();
    s3.configure(&mut restored);
    let told = restore(&restored, &backup, &town.site);
    assert_eq!(told["evidence"]["copied"], 1, "{told}");
    assert_eq!(s3.list("files/").len(), 1);
    let server = restored.start();
    assert_eq!(way.get(&[]).body, sample.bytes);
    server.stop();
    // A bucket that outlived its server is not filled again.
    let mut third = elsewhere(&mut restored, kind);
    s3.configure(&mut third);
    let told = third.run(&["restore", &path, "--keys", &keys]).json();
    assert_eq!(
        (&told["evidence"]["copied"], &told["evidence"]["there"]),
        (&json!(0), &json!(1)),
        "{told}"
    );
}

/// The database is put back, the files are not: phones may have let go of theirs.
fn a_file_that_an_older_database_lacks_is_found_again(kind: Kind) {
    let town = town(kind);
    let [whole, rotten] = [Sample::of(MIB + 3), Sample::of(5_000)];
    let mut phone = Phone::enrolled(&town.site, town.mission, "D-1");
    for sample in [&whole, &rotten] {
        announced(&mut phone, &sample.file);
    }
    town.server.stop();
    let yesterday = Yesterday::of(&town.site);
    let server = town.site.start();
    for sample in [&whole, &rotten] {
        let way = Way::of(&phone, &sample.file);
        assert_eq!(way.patch(0, &sample.bytes).status, 204);
    }
    server.stop();
    yesterday.put_back();
    fs::write(place(&town.site, town.mission, &rotten), vec![1; 5_000]).expect("spoilt");
    let server = town.site.start();
    let way = Way::of(&phone, &whole.file);
    assert_eq!(way.offset(), whole.file.size, "no byte needs to be sent");
    assert!(!is_durable(&way), "no backup is known to hold it");
    let lead = Console::login(&town.site.origin(), &lead_of(town.mission), PASSWORD);
    let read = lead.get(&format!("/v1/evidence/{}", whole.file.sha256));
    assert!(read.body == whole.bytes);
    // What is not the file any more is asked for, and replaced.
    let way = Way::of(&phone, &rotten.file);
    assert_eq!(way.offset(), 0);
    assert_eq!(way.patch(0, &rotten.bytes).status, 204);
    assert_eq!(way.get(&[]).body, rotten.bytes);
    server.stop();
}

/// 48 MiB show it in seconds: a command that held whole files would grow by as
/// much.
fn memory_stays_flat_while_files_are_copied(kind: Kind) {
    let mut town = town(kind);
    let missions = town.site.run(&["mission", "list"]).json();
    let recipient = missions[0]["sealing_key"].as_str().expect("a recipient");
    let make = |name: &str| {
        let path = town.site.scratch().join(name).display().to_string();
        let command = ["backup", "-o", &path, "--recipient", recipient];
        peak_of(&town.site, &command)
    };
    let _ = sent(&town, "D-1", &Sample::of(MIB));
    let small = make("small");
    let sample = Sample::from_bytes(Sample::of(MIB).bytes.repeat(48), "video/mp4");
    let mut phone = Phone::enrolled(&town.site, town.mission, "D-1");
    announced(&mut phone, &sample.file);
    let way = Way::of(&phone, &sample.file);
    for (at, part) in sample.bytes.chunks(16 * MIB).enumerate() {
        assert_eq!(way.patch((at * 16 * MIB) as u64, part).status, 204);
    }
    let large = make("large");
    town.server.stop();
    let backup = town.site.scratch().join("large").display().to_string();
    let restored = elsewhere(&mut town.site, kind);
    let identity = town
        .site
        .data
        .join(format!("keys/missions/{}.age", town.mission))
        .display()
        .to_string();
    let brought = peak_of(&restored, &["restore", &backup, "--identity", &identity]);
    eprintln!("peak memory in kB: {small} small, {large} large, {brought} restored");
    for peak in [large, brought] {
        assert!(peak < small + 24 * 1024, "{peak} kB, {small} kB before");
    }
    let server = restored.start();
    assert!(way.get(&[]).body == sample.bytes);
    server.stop();
}

/// Runs a command to its good end; answers the memory that it held at most, kB.
fn peak_of(site: &Site, arguments: &[&str]) -> u64 {
    let mut child = site
        .command(arguments)
        .arg("--json")
        .stdout(Stdio::null())
        .spawn()
        .expect("scrutineer runs");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        if let Some(ended) = child.try_wait().expect("it can be asked") {
            assert!(ended.success(), "{arguments:?}");
            assert!(peak > 0, "it was over before it was looked at");
            return peak;
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let held = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = held.unwrap_or(0).max(peak);
        wait::pause(Duration::from_millis(2));
    }
}
