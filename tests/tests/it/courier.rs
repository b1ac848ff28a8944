//! Couriers: reports and files in a sealed bundle, packed by one device, brought by
//! another, in any order and any number of times.

use std::{net::SocketAddr, path::Path};

use crate::recovery;
use protocol::ids::MissionId;
use serde_json::{Value, json};
use tests::{
    bundle,
    chance::Chance,
    database::Kind,
    http, ledger,
    link::{Link, Shape},
    observer::Observer,
    on_both_databases,
    phone::{self, Phone},
    site::{PASSWORD, Site},
    upload::{self, Sample},
    wait,
};

on_both_databases!(
    a_courier_brings_what_a_phone_could_not_send,
    a_phone_without_keys_still_delivers,
    a_bundle_brings_the_enrolment_to_an_older_database,
    order_does_not_matter_and_each_refusal_is_told,
    a_damaged_or_foreign_bundle_changes_nothing,
    a_delivery_outlives_the_server_and_the_link,
    what_anybody_may_hand_in_is_bounded,
);

/// Under which bundles lie.
const NO_MISSION: &str = "00000000-0000-0000-0000-000000000000";

/// Names an observer's report, and a file on it.
fn report_with_file(site: &Site, observer: &Observer, text: &str, bytes: &[u8]) -> (String, Value) {
    let filed = observer.file(&["--category", "voting", "--text", text]);
    let report = filed["report"].as_str().expect("an id").to_owned();
    let path = site.file(&format!("{}.bin", &report[..8]), bytes);
    let attached = observer
        .run(&["attach", &report, path.to_str().expect("a path")])
        .json();
    (report, attached["attached"][0]["file"]["sha256"].clone())
}

fn counted(imported: &Value, members: &[(&str, u64)]) {
    for (member, count) in members {
        assert_eq!(imported[member], json!(count), "{member} of {imported}");
    }
}

fn deliver(observer: &Observer, file: &Path, origin: &str) -> Value {
    let file = file.to_str().expect("a path");
    observer.run(&["deliver", file, "--server", origin]).json()
}

/// Entries of phones in a ledger whose every signature is right.
fn entries(site: &Site, mission: MissionId) -> usize {
    let audited = ledger::audit(site, mission);
    audited
        .iter()
        .filter(|entry| entry.row.device.is_some())
        .count()
}

fn a_courier_brings_what_a_phone_could_not_send(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Courier");
    let server = site.start();
    let (phone, courier) = (Observer::new(), Observer::new());
    phone.enrol(&site.invite(mission, "D-1"));
    let bytes = Sample::of(700_000).bytes;
    let (report, sha256) = report_with_file(&site, &phone, "No network here.", &bytes);
    server.stop();

    let file = site.scratch().join("first.bundle");
    let packed = bundle::pack(&phone, &file, &[]);
    counted(
        &packed,
        &[("entries", 2), ("files", 1), ("file_bytes", 700_000)],
    );
    phone
        .run(&["pack", "-o", file.to_str().expect("a path")])
        .refuses("already_exists");
    let raw = std::fs::read(&file).expect("reads");
    assert!(raw.starts_with(b"age-encryption.org/v1\n"));
    // Nothing is delivered by being packed.
    assert_eq!(phone.run(&["status"]).json()["pending"], 2);

    let _server = site.start();
    let origin = site.origin();
    // The courier's device is enrolled nowhere, and is afterwards.
    let said = deliver(&courier, &file, &origin);
    assert_eq!(said["state"], "imported", "{said}");
    assert!(!courier.home.join("keys.json").exists());
    assert_eq!(deliver(&courier, &file, &origin)["state"], "imported");
    let imported = bundle::import(&site, &file);
    counted(
        &imported,
        &[
            ("read", 2),
            ("already_stored", 2),
            ("stored", 0),
            ("files_already", 1),
            ("refused", 0),
        ],
    );
    assert_eq!(imported["mission"], mission.to_string());
    assert_eq!(entries(&site, mission), 2);
    let lead = site.console(mission, "lead");
    let shown = lead.get(&format!("/v1/reports/{report}")).ok();
    assert_eq!(shown["evidence"][0]["file"]["sha256"], sha256, "{shown}");
    let name = sha256.as_str().expect("a hash");
    assert!(lead.get(&format!("/v1/evidence/{name}")).body == bytes);

    // The phone hears of it by a receipt.
    let synced = phone.sync();
    counted(
        &synced,
        &[("already_stored", 2), ("delivered", 0), ("pending", 0)],
    );
    assert_eq!(phone.run(&["list"]).json()[0]["status"], "delivered");
    let nothing = site.scratch().join("nothing.bundle");
    let packed = bundle::pack(&phone, &nothing, &[]);
    counted(&packed, &[("entries", 0), ("files", 0)]);
    assert!(packed["file"].is_null() && !nothing.exists());
    counted(
        &bundle::pack(&phone, &nothing, &["--all"]),
        &[("entries", 2), ("files", 1)],
    );
    counted(
        &bundle::import(&site, &nothing),
        &[("already_stored", 2), ("files_already", 1)],
    );
}

fn a_phone_without_keys_still_delivers(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Lost");
    let identity = bundle::take_off(&site, mission);
    let _server = site.start();
    let phone = Observer::new();
    phone.enrol(&site.invite(mission, "D-1"));
    let status = phone.run(&["status"]).json();
    assert_eq!(
        (&status["mission_copy"], &status["locked_by"]),
        (&json!(true), &json!("nothing"))
    );
    let bytes = Sample::of(200_000).bytes;
    let (report, sha256) = report_with_file(&site, &phone, "The phone broke.", &bytes);
    std::fs::remove_file(phone.home.join("keys.json")).expect("loses them");
    let before = std::fs::read(phone.home.join("journal.db")).expect("reads");
    phone.run(&["list"]).refuses("keys_lost");
    phone
        .run(&["file", "--category", "c", "--text", "t"])
        .refuses("keys_lost");
    assert!(std::fs::read(phone.home.join("journal.db")).expect("reads") == before);
    assert!(!phone.home.join("keys.json").exists());

    let file = site.scratch().join("lost.bundle");
    let packed = bundle::pack(&phone, &file, &[]);
    counted(&packed, &[("entries", 2), ("files", 1)]);
    assert_eq!(packed["without_keys"], true);
    // No key on the server opens it: it is kept, and said so.
    let said = deliver(&Observer::new(), &file, &site.origin());
    assert_eq!(said["state"], "waits", "{said}");
    assert_eq!(entries(&site, mission), 0);
    let path = file.to_str().expect("a path");
    site.run(&["import-bundle", path])
        .refuses("bundle_wrong_key");
    site.add_user(None, "operator", "operator@example.org");
    let operator = tests::console::Console::login(&site.origin(), "operator@example.org", PASSWORD);
    let listed = operator.get("/v1/bundles").ok();
    let name = said["bundle"].as_str().expect("a name");
    assert_eq!(listed["bundles"][0]["bundle"], name, "{listed}");
    assert_eq!(site.run(&["bundles", "list"]).json()[0]["bundle"], name);
    let key = identity.to_str().expect("a path");
    let imported = site
        .run(&["bundles", "import", name, "--identity", key])
        .json();
    counted(
        &imported,
        &[
            ("read", 2),
            ("stored", 2),
            ("files_stored", 1),
            ("refused", 0),
        ],
    );
    assert_eq!(imported["without_keys"], true);
    assert_eq!(site.run(&["bundles", "list"]).json(), json!([]));
    site.run(&["bundles", "import", name, "--identity", key])
        .refuses("bundle_unknown");
    assert_eq!(
        deliver(&Observer::new(), &file, &site.origin())["state"],
        "imported"
    );
    let again = site.run(&["import-bundle", path, "--identity", key]).json();
    counted(&again, &[("already_stored", 2), ("files_already", 1)]);
    // What the phone signed still is its own signature.
    assert_eq!(entries(&site, mission), 2);
    let lead = site.console(mission, "lead");
    let shown = lead.get(&format!("/v1/reports/{report}")).ok();
    assert_eq!(shown["report"]["text"], "The phone broke.", "{shown}");
    let name = sha256.as_str().expect("a hash");
    assert!(lead.get(&format!("/v1/evidence/{name}")).body == bytes);

    // The observer goes on in the same place with a new link.
    phone.run(&["begin-anew"]).refuses("not_confirmed");
    let kept = phone.run(&["begin-anew", "--yes"]).json();
    let kept = Observer::at(Path::new(kept["kept_at"].as_str().expect("a path")));
    phone.enrol(&site.invite(mission, "D-1"));
    let _ = phone.file(&["--category", "voting", "--text", "A new phone."]);
    counted(&phone.sync(), &[("delivered", 1), ("pending", 0)]);
    let again = site.scratch().join("kept.bundle");
    counted(
        &bundle::pack(&kept, &again, &[]),
        &[("entries", 2), ("files", 1)],
    );
    let again = again.to_str().expect("a path");
    let imported = site
        .run(&["import-bundle", again, "--identity", key])
        .json();
    counted(&imported, &[("already_stored", 2), ("files_already", 1)]);
}

/// The backup is from before the phones were enrolled, and no phone is left to say so.
fn a_bundle_brings_the_enrolment_to_an_older_database(kind: Kind) {
    let recovery::Town {
        mut site,
        mission,
        server,
        ..
    } = recovery::town(kind);
    let backup = recovery::back_up(&site, "before", &[]);
    let bundles = ["D-1", "D-2"].map(|accreditation| {
        let phone = recovery::observer(&site, mission, accreditation);
        let bytes = Sample::of(50_000).bytes;
        report_with_file(&site, &phone, "Then it was lost.", &bytes);
        if accreditation == "D-2" {
            std::fs::remove_file(phone.home.join("keys.json")).expect("loses them");
        }
        let file = site.scratch().join(accreditation);
        bundle::pack(&phone, &file, &[]);
        file
    });
    server.stop();
    let restored = recovery::elsewhere(&mut site, kind);
    recovery::restore(&restored, &backup, &site);
    let _server = restored.start();
    for bundle in &bundles {
        for (stored, already) in [(2, 0), (0, 2)] {
            counted(
                &bundle::import(&restored, bundle),
                &[
                    ("stored", stored),
                    ("already_stored", already),
                    ("refused", 0),
                    ("files_refused", 0),
                ],
            );
        }
    }
    let enrolled = ledger::audit(&restored, mission);
    assert_eq!(entries(&restored, mission), 4, "{enrolled:?}");
}

fn order_does_not_matter_and_each_refusal_is_told(kind: Kind) {
    let site = Site::new(kind);
    let (mission, other) = (site.small_mission("Order"), site.small_mission("Other"));
    let (mut ours, mut theirs, mut stranger) = {
        let _server = site.start();
        (
            Phone::enrolled(&site, mission, "D-1"),
            Phone::enrolled(&site, other, "D-1"),
            Phone::new(&site.invite(mission, "D-2"), Chance::seeded(7)),
        )
    };
    // No server runs: the same commands work on the data folder.
    let to = bundle::recipient(&site, mission);
    let report = ours.file_text("First.");
    let amended = ours.amend(&report, report.hash(), "First, corrected.");
    let sample = Sample::of(60_000);
    let attach = upload::attach(&mut ours, &report, amended.hash(), &sample.file);
    let late = site.file(
        "late.bundle",
        bundle::of(&to, Some(mission), &[&attach, &amended], &[&sample]),
    );
    let imported = bundle::import(&site, &late);
    counted(&imported, &[("read", 2), ("held", 2), ("files_stored", 1)]);
    let early = site.file(
        "early.bundle",
        bundle::of(&to, Some(mission), &[&report], &[]),
    );
    counted(
        &bundle::import(&site, &early),
        &[("stored", 1), ("held", 0)],
    );
    counted(
        &bundle::import(&site, &late),
        &[("already_stored", 2), ("held", 0), ("files_already", 1)],
    );
    let audited = ledger::audit(&site, mission);
    let waiting = audited.iter().filter(|entry| entry.row.standing == "held");
    assert_eq!(waiting.count(), 0, "what was held is released");

    let foreign = theirs.file_text("Of another mission.");
    let unknown = stranger.file_text("Of nobody.");
    let unannounced = Sample::of(1_000);
    let mut wrong = Sample::of(2_000);
    let attach = upload::attach(&mut ours, &report, attach.hash(), &wrong.file);
    wrong.bytes[7] ^= 1;
    let second = ours.file_text("Second.");
    let mixed = bundle::of(
        &to,
        None,
        &[&foreign, &unknown, &attach, &second],
        &[&unannounced, &wrong],
    );
    let imported = bundle::import(&site, &site.file("mixed.bundle", mixed));
    counted(
        &imported,
        &[
            ("read", 4),
            ("stored", 2),
            ("refused", 2),
            ("files_read", 2),
            ("files_refused", 2),
        ],
    );
    let told = |member: &str, name: &str| {
        let reasons = imported["reasons"].as_array().expect("a list");
        let one = reasons.iter().find(|one| one[member] == name);
        one.map_or_else(String::new, |one| {
            one["code"].as_str().unwrap_or_default().to_owned()
        })
    };
    assert_eq!(
        told("entry", &foreign.hash().to_string()),
        "bundle_wrong_mission"
    );
    assert_eq!(told("entry", &unknown.hash().to_string()), "unknown_key");
    assert_eq!(
        told("file", &unannounced.file.sha256.to_string()),
        "evidence_unknown"
    );
    assert_eq!(
        told("file", &wrong.file.sha256.to_string()),
        "file_mismatch"
    );
    assert_eq!(entries(&site, other), 0);
    // And over the air the phone learns the same of each.
    let _server = site.start();
    let exchanged = ours.send(&[&report, &amended, &second]);
    for entry in [&report, &amended, &second] {
        assert_eq!(exchanged.short(entry), "already_stored");
    }
}

fn a_damaged_or_foreign_bundle_changes_nothing(kind: Kind) {
    let site = Site::new(kind);
    let (mission, other) = (site.small_mission("Whole"), site.small_mission("Other"));
    let server = site.start();
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let to = bundle::recipient(&site, mission);
    let report = phone.file_text("Whole or not at all.");
    let sample = Sample::of(150_000);
    let attach = upload::attach(&mut phone, &report, report.hash(), &sample.file);
    let good = bundle::of(&to, Some(mission), &[&report, &attach], &[&sample]);
    let import = |name: &str, bytes: &[u8], more: &[&str]| {
        let path = site.file(name, bytes);
        let path = path.to_str().expect("a path");
        site.run(&[&["import-bundle", path], more].concat())
    };
    let length = good.len();
    for end in [0, 10, 120, 300, 1_000, length / 2, length - 17, length - 1] {
        import("cut.bundle", &good[..end], &[]).refuses("bundle_invalid");
    }
    for at in [230, 1_000, 70_000, length / 2, length - 5] {
        let mut flipped = good.clone();
        flipped[at] ^= 4;
        import("flipped.bundle", &flipped, &[]).refuses("bundle_invalid");
    }
    import("longer.bundle", &[&good[..], b"more"].concat(), &[]).refuses("bundle_invalid");
    import("text.bundle", b"not a bundle", &[]).refuses("bundle_invalid");
    let mut bomb = b"age-encryption.org/v1\n".to_vec();
    for _ in 0..20_000 {
        bomb.extend_from_slice(b"-> X25519 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
    }
    let clock = wait::Stopwatch::start();
    import("bomb.bundle", &bomb, &[]).refuses("bundle_invalid");
    assert!(
        clock.elapsed().as_secs() < 20,
        "a header must not hang the server"
    );
    for inside in [
        "".to_owned(),
        "scrutineer-bundle/2\n{\"v\":1}\n".to_owned(),
        "scrutineer-bundle/1\n{\"v\":2}\n".to_owned(),
        "scrutineer-bundle/1\n{\"v\":1}\n".to_owned(),
        format!("scrutineer-bundle/1\n{{\"v\":1}}\n{}\n", "x".repeat(1_000_000)),
        "scrutineer-bundle/1\n{\"v\":1}\n{\"end\":{\"records\":0,\"sha256\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}}\n".to_owned(),
    ] {
        import("inside.bundle", &bundle::sealed(&to, inside.as_bytes()), &[]).refuses("bundle_invalid");
    }
    let lies = bundle::of(&to, Some(other), &[&report], &[]);
    import("lies.bundle", &lies, &[]).refuses("bundle_wrong_mission");
    let key = bundle::identity(&site, other);
    let key = key.to_str().expect("a path");
    import("good.bundle", &good, &["--identity", key]).refuses("bundle_wrong_key");
    assert_eq!(entries(&site, mission), 0, "nothing was imported");
    assert!(
        !site
            .data
            .join("evidence/uploads")
            .read_dir()
            .is_ok_and(|mut found| found.next().is_some())
    );

    // Over the network: what cannot be read is told to whoever brings it.
    let courier = Observer::new();
    let bad = site.file("bad.bundle", &good[..length - 1]);
    let said = courier.run(&[
        "deliver",
        bad.to_str().expect("a path"),
        "--server",
        &site.origin(),
    ]);
    said.refuses("bundle_invalid");
    let text = site.file("text.bundle", "not a bundle");
    let said = courier.run(&[
        "deliver",
        text.to_str().expect("a path"),
        "--server",
        &site.origin(),
    ]);
    said.refuses("bundle_invalid");
    assert_eq!(site.run(&["bundles", "list"]).json(), json!([]));
    counted(
        &import("good.bundle", &good, &[]).json(),
        &[("stored", 2), ("files_stored", 1)],
    );
    assert_eq!(entries(&site, mission), 2);
    drop(server);
}

fn a_delivery_outlives_the_server_and_the_link(kind: Kind) {
    let chance = Chance::new();
    eprintln!("SCRUTINEER_SEED={}", chance.seed);
    let site = Site::new(kind);
    let mission = site.small_mission("Road");
    let server = site.start();
    let phone = Observer::new();
    phone.enrol(&site.invite(mission, "D-1"));
    let size = 6_u64 << 20;
    let bytes = Sample::of(usize::try_from(size).expect("small")).bytes;
    let _ = report_with_file(&site, &phone, "On a bad road.", &bytes);
    let file = site.scratch().join("road.bundle");
    counted(&bundle::pack(&phone, &file, &[]), &[("files", 1)]);

    // The server dies in the middle, and comes back.
    let courier = Observer::new();
    let path = file.to_str().expect("a path");
    let delivering = courier.spawn(&["deliver", path, "--server", &site.origin()]);
    let pieces = site.data.join("evidence/uploads").join(NO_MISSION);
    wait::until("some of it to be stored", || pieces.exists().then_some(()));
    server.kill();
    let server = site.start();
    let said = delivering.wait().json();
    assert_eq!(said["state"], "imported", "{said}");

    // Another one, over a link that breaks off.
    let all = site.scratch().join("all.bundle");
    bundle::pack(&phone, &all, &["--all"]);
    let address: SocketAddr = site.origin()["http://".len()..]
        .parse()
        .expect("an address");
    let link = Link::to(address, chance);
    link.shape(Shape {
        cut_after: Some(300_000..900_000),
        cuts: 3,
        ..Shape::default()
    });
    let said = deliver(&courier, &all, &link.origin());
    assert_eq!(said["state"], "imported", "{said}");
    assert_eq!(link.cuts(), 3);
    let length = all.metadata().expect("there").len();
    // What the buffers of a connection that died held is sent again, no more.
    let most = length + 3 * (512 << 10) + 100_000;
    assert!(link.sent() < most, "{} bytes for {length}", link.sent());
    counted(&phone.sync(), &[("already_stored", 2), ("pending", 0)]);
    assert_eq!(server.get("/healthz").status, 200);
    let left = site.data.join("evidence/files").join(NO_MISSION);
    assert!(
        !left
            .read_dir()
            .is_ok_and(|mut found| found.next().is_some()),
        "its bytes are gone"
    );
}

fn what_anybody_may_hand_in_is_bounded(kind: Kind) {
    let mut site = Site::new(kind);
    let mission = site.small_mission("Bounds");
    let _identity = bundle::take_off(&site, mission);
    site.set("bundle_bytes", "300000");
    site.set("bundles_bytes", "400000");
    site.set("bundle_requests", "12");
    let server = site.start();
    let to = bundle::recipient(&site, mission);
    let sized = |size: usize| bundle::sealed(&to, &vec![b'x'; size]);
    let ask = |bytes: &[u8], size: usize| {
        let body = json!({"bundle": upload::hash_of(bytes), "size": size});
        phone::post(&site.origin(), "/v1/bundles", &body)
    };
    let send = |bytes: &[u8], offset: usize, size: usize| {
        let url = format!("{}/v1/bundles/{}", site.origin(), upload::hash_of(bytes));
        let (offset_text, size_text) = (offset.to_string(), size.to_string());
        let headers = [
            ("content-type", protocol::evidence::MEDIA_TYPE),
            ("upload-offset", &offset_text),
            ("upload-length", &size_text),
        ];
        http::send("PATCH", &url, &headers, Some(bytes[offset..].to_vec()))
    };
    let first = sized(250_000);
    ask(&first, 300_001).refuses(413, "body_too_large");
    ask(&first, 0).refuses(400, "invalid_value");
    assert_eq!(ask(&first, first.len()).ok()["state"], "receiving");
    // More than was said, another place, other bytes.
    send(&first, 0, 1_000).refuses(413, "body_too_large");
    send(&first, 9, first.len()).refuses(409, "offset_mismatch");
    assert_eq!(send(&first, 0, first.len()).ok()["state"], "waits");
    let second = sized(200_000);
    ask(&second, second.len()).refuses(507, "bundles_full");
    send(&second, 0, second.len()).refuses(507, "bundles_full");
    // It waits until somebody who may decides.
    let name = upload::hash_of(&first).to_string();
    site.run(&["bundles", "discard", &name])
        .refuses("not_confirmed");
    assert_eq!(
        site.run(&["bundles", "discard", &name, "--yes"]).json()["discarded"],
        true
    );
    let mut other = second.clone();
    other[9] ^= 1;
    let url = format!("{}/v1/bundles/{}", site.origin(), upload::hash_of(&second));
    let size = second.len().to_string();
    let headers = [
        ("content-type", protocol::evidence::MEDIA_TYPE),
        ("upload-offset", "0"),
        ("upload-length", &size),
    ];
    http::send("PATCH", &url, &headers, Some(other)).refuses(460, "file_mismatch");
    assert_eq!(ask(&second, second.len()).ok()["offset"], 0);
    let limited = (0..20)
        .map(|_| ask(&second, second.len()))
        .find(|answer| answer.status == 429);
    let limited = limited.expect("one source is limited");
    assert_eq!(limited.code(), "too_many_attempts");
    assert!(!limited.header("retry-after").is_empty());
    assert!(!server.log().contains("127.0.0.1:") || !server.log().contains(&name));
}
