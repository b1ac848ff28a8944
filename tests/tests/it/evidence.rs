//! Evidence: files that come in pieces over bad roads, and who may read them.

use protocol::entry::{FileRef, SdJwt};
use serde_json::{Value, json};
use tests::{
    chance::Chance,
    console::Console,
    database::Kind,
    http, on_both_databases,
    phone::{self, Phone},
    site::Site,
    upload::{Sample, Way, announced, attach, attach_with, offset_of},
    wait,
};

on_both_databases!(
    an_upload_goes_on_where_it_was_cut,
    what_is_announced_decides_what_may_be_sent,
    what_is_not_the_file_is_discarded,
    the_newest_request_wins,
    two_devices_send_at_once_and_the_same_file_costs_nothing,
    a_quota_is_kept_and_an_admission_lifts_it,
    a_revoked_device_sends_no_more,
    files_are_read_by_range_and_never_executed,
    a_killed_server_loses_a_piece_at_most,
    erasing_a_report_destroys_its_files_alone,
    a_report_shows_its_files,
    who_was_given_a_file_is_kept,
    memory_stays_flat,
);

/// A megabyte, the size of a stored piece.
const MIB: usize = 1024 * 1024;

fn an_upload_goes_on_where_it_was_cut(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Cuts");
    let _server = site.start();
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let sample = Sample::of(3 * MIB + 12_345);
    let (_, _) = announced(&mut phone, &sample.file);
    let way = Way::of(&phone, &sample.file);
    let first = way.head();
    assert_eq!(first.status, 200);
    assert_eq!(first.header("tus-resumable"), "1.0.0");
    assert_eq!(first.header("upload-offset"), "0");
    assert_eq!(
        first.header("upload-length"),
        sample.bytes.len().to_string()
    );
    assert_eq!(first.header("cache-control"), "no-store");
    assert_eq!(first.header("evidence-durable"), "false");

    let mut chance = Chance::new();
    let (mut offset, mut sent, mut lost) = (0, 0, 0);
    for _ in 0..12 {
        let left = sample.bytes.len() - offset;
        // Not the last byte: that one needs an answer.
        let now = usize::try_from(chance.below(left as u64 / 2)).expect("small");
        way.cut(offset as u64, left, &sample.bytes[offset..offset + now]);
        sent += now;
        let stored = usize::try_from(way.offset()).expect("small");
        assert!((offset..=offset + now).contains(&stored));
        // What a dead connection's own buffers held is all that is lost.
        let unstored = offset + now - stored;
        assert!(unstored < 256 * 1024, "{unstored} bytes are not stored");
        lost += unstored;
        offset = stored;
    }
    let last = way.patch(offset as u64, &sample.bytes[offset..]);
    assert_eq!(last.status, 204, "{last:?}");
    assert_eq!(offset_of(&last), sample.file.size);
    sent += sample.bytes.len() - offset;
    assert_eq!(
        sent,
        sample.bytes.len() + lost,
        "only what was not stored was sent twice"
    );
    assert_eq!(way.offset(), sample.file.size);
    assert_eq!(way.get(&[]).body, sample.bytes);
    assert!(!leftovers(&site), "the pieces are gone");
}

/// Whether anything of an unfinished upload is in the data folder.
fn leftovers(site: &Site) -> bool {
    fn any(folder: &std::path::Path) -> bool {
        std::fs::read_dir(folder).is_ok_and(|entries| {
            entries
                .flatten()
                .any(|entry| entry.path().is_file() || any(&entry.path()))
        })
    }
    any(&site.data.join("evidence/uploads"))
}

fn what_is_announced_decides_what_may_be_sent(kind: Kind) {
    let site = Site::new(kind);
    let (mine, theirs) = (site.small_mission("Mine"), site.small_mission("Theirs"));
    let _server = site.start();
    let mut phone = Phone::enrolled(&site, mine, "D-1");
    let colleague = Phone::enrolled(&site, mine, "D-2");
    let mut stranger = Phone::enrolled(&site, theirs, "D-1");
    let sample = Sample::of(1_000);
    let way = Way::of(&phone, &sample.file);
    assert_eq!(way.head().status, 404, "nothing announces it");
    way.patch(0, &sample.bytes).refuses(404, "evidence_unknown");

    // Held: its base has not come, and the bytes may come all the same.
    let report = phone.file_text("later");
    let entry = attach(&mut phone, &report, report.hash(), &sample.file);
    assert_eq!(phone.send(&[&entry]).short(&entry), "held");
    assert_eq!(way.offset(), 0);
    assert_eq!(phone.send(&[&report]).short(&report), "stored");
    assert_eq!(way.patch(0, &sample.bytes).status, 204);

    for other in [&colleague, &stranger] {
        let way = Way::of(other, &sample.file);
        assert_eq!(way.head().status, 404);
        way.patch(0, &sample.bytes).refuses(404, "evidence_unknown");
        way.get(&[]).refuses(404, "evidence_unknown");
    }
    for (console, status) in [
        (site.console(mine, "analyst"), 200),
        (site.console(theirs, "lead"), 404),
    ] {
        let way = Way::with_token(&site.origin(), &console.token, &sample.file.sha256);
        assert_eq!(way.get(&[]).status, status);
        assert_eq!(way.head().status, status);
        way.patch(0, b"x").refuses(403, "forbidden");
    }
    // The same file in another mission is another file.
    announced(&mut stranger, &sample.file);
    assert_eq!(Way::of(&stranger, &sample.file).offset(), 0);
}

fn what_is_not_the_file_is_discarded(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Wrong");
    let server = site.start();
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let sample = Sample::of(5_000);
    announced(&mut phone, &sample.file);
    let way = Way::of(&phone, &sample.file);
    let half = way.patch(0, &sample.bytes[..2_500]);
    assert_eq!((half.status, offset_of(&half)), (204, 2_500));
    let wrong = way.patch(1_000, &sample.bytes[1_000..]);
    wrong.refuses(409, "offset_mismatch");
    assert_eq!(offset_of(&wrong), 2_500);
    way.patch(2_500, &[7; 2_501]).refuses(413, "body_too_large");
    assert_eq!(way.offset(), 2_500, "nothing of it was taken");
    let other = way.patch(2_500, &[7; 2_500]);
    other.refuses(460, "file_mismatch");
    assert_eq!(offset_of(&other), 0);
    assert_eq!(way.offset(), 0);
    way.get(&[]).refuses(409, "evidence_incomplete");
    assert_eq!(way.patch(0, &sample.bytes).status, 204);
    assert_eq!(way.get(&[]).body, sample.bytes);
    let metrics = server.get("/metrics").text();
    for line in [
        "scrutineer_evidence_files_total 1",
        "scrutineer_evidence_mismatches_total 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }

    let options = http::send(
        "OPTIONS",
        &format!("{}/v1/evidence/x", site.origin()),
        &[],
        None,
    );
    assert_eq!(options.header("tus-version"), "1.0.0");
    assert_eq!(options.header("tus-max-size"), "4294967296");
    // A file of no bytes is complete as soon as anybody asks.
    let empty = Sample::from_bytes(Vec::new(), "image/png");
    announced(&mut phone, &empty.file);
    let way = Way::of(&phone, &empty.file);
    assert_eq!(way.offset(), 0);
    assert_eq!(way.get(&[]).status, 200);
}

fn the_newest_request_wins(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Newest");
    let _server = site.start();
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let sample = Sample::of(200_000);
    announced(&mut phone, &sample.file);
    let way = Way::of(&phone, &sample.file);
    // Connections that the phone has given up and the server has not: asking ends the
    // request, and what it had is stored then. It may be asked before a byte has come.
    let mut hanging = Vec::new();
    let offset = wait::until("the bytes that came", || {
        hanging.push(way.begin(0, sample.bytes.len(), &sample.bytes[..70_000]));
        let offset = way.offset();
        (offset > 0).then_some(offset)
    });
    assert!(offset <= 70_000);
    let at = usize::try_from(offset).expect("small");
    let rest = way.patch(offset, &sample.bytes[at..]);
    assert_eq!(rest.status, 204, "{rest:?}");
    assert_eq!(way.get(&[]).body, sample.bytes);
    drop(hanging);
}

fn two_devices_send_at_once_and_the_same_file_costs_nothing(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Two");
    let _server = site.start();
    let sample = Sample::of(2 * MIB + 77);
    let phones = ["D-1", "D-1", "D-2"].map(|number| Phone::enrolled(&site, mission, number));
    let [mut one, two, mut three] = phones;
    announced(&mut one, &sample.file);
    let senders = [one, two].map(|phone| {
        let (way, sample) = (Way::of(&phone, &sample.file), sample.clone());
        std::thread::spawn(move || {
            for part in 0..3 {
                let from = part * sample.bytes.len() / 3;
                let to = (part + 1) * sample.bytes.len() / 3;
                let answer = way.patch(from as u64, &sample.bytes[from..to]);
                if answer.status == 409 {
                    // The other one has completed it meanwhile.
                    assert_eq!(offset_of(&answer), sample.file.size);
                    return;
                }
                assert_eq!((answer.status, offset_of(&answer)), (204, to as u64));
            }
        })
    });
    for sender in senders {
        sender.join().expect("both get through");
    }
    let report = announced(&mut three, &sample.file).0;
    let way = Way::of(&three, &sample.file);
    assert_eq!(way.offset(), sample.file.size, "no byte needs to be sent");
    // Who has sent it may read it back; who only knows its hash may not.
    way.get(&[]).refuses(403, "forbidden");
    way.get(&[("range", "bytes=0-0")]).refuses(403, "forbidden");
    let of_sender = Way::of(&Phone::enrolled(&site, mission, "D-1"), &sample.file);
    assert_eq!(of_sender.get(&[]).body, sample.bytes);
    let lead = site.console(mission, "lead");
    assert_eq!(
        shown(&lead, &report)["evidence"][0]["file"]["state"],
        "complete"
    );
}

fn a_quota_is_kept_and_an_admission_lifts_it(kind: Kind) {
    let mut site = Site::new(kind);
    site.set("evidence_quota", "10000");
    let mission = site.small_mission("Quota");
    let server = site.start();
    let lead = site.console(mission, "lead");
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let (first, second) = (Sample::of(6_000), Sample::of(5_000));
    let (report, entry) = announced(&mut phone, &first.file);
    let again = attach(&mut phone, &report, entry.hash(), &first.file);
    let over = attach(&mut phone, &report, entry.hash(), &second.file);
    let large = FileRef {
        size: protocol::limits::PREVIEW_BYTES + 1,
        ..second.file.clone()
    };
    let tiny = Sample::of(10);
    let preview = attach_with(&mut phone, &report, entry.hash(), &tiny.file, Some(&large));
    let huge = FileRef {
        size: u64::MAX,
        ..tiny.file.clone()
    };
    let huge = attach(&mut phone, &report, entry.hash(), &huge);
    let sent = phone.send(&[&again, &over, &preview, &huge]);
    assert_eq!(sent.short(&again), "stored", "the same file counts once");
    for entry in [&over, &preview, &huge] {
        assert_eq!(sent.short(entry), "quarantined:over_quota");
    }
    let way = Way::of(&phone, &second.file);
    // An answer to HEAD has no body: a header says which 403 it is.
    let waits = way.head();
    assert_eq!(
        (waits.status, waits.header("scrutineer-code")),
        (403, "evidence_waits")
    );
    way.patch(0, &second.bytes).refuses(403, "evidence_waits");
    let files = shown(&lead, &report)["evidence"].clone();
    assert_eq!(files.as_array().map(Vec::len), Some(2), "{files}");
    admit(&lead, &over);
    assert_eq!(way.patch(0, &second.bytes).status, 204);
    // Another observer has a quota of their own.
    let mut other = Phone::enrolled(&site, mission, "D-2");
    announced(&mut other, &second.file);
    // Whatever the quota says later, a rebuild keeps the verdicts.
    server.stop();
    let tables = ["evidence", "reports", "entries", "evidence_files"];
    let before = site.database.dump(&tables);
    site.set("evidence_quota", "1");
    site.run(&["rebuild"]).json();
    assert_eq!(site.database.dump(&tables), before);
}

fn admit(lead: &Console, entry: &SdJwt) {
    let path = format!("/v1/quarantine/{}/admission", entry.hash());
    lead.post(&path, &json!({ "reason": "we need it" })).ok();
}

fn shown(console: &Console, report: &SdJwt) -> Value {
    let path = format!("/v1/reports/{}", phone::subject(report));
    console.get(&path).ok()
}

fn a_revoked_device_sends_no_more(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Revoked");
    let _server = site.start();
    let lead = site.console(mission, "lead");
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let sample = Sample::of(1_000);
    let (report, entry) = announced(&mut phone, &sample.file);
    let way = Way::of(&phone, &sample.file);
    assert_eq!(way.patch(0, &sample.bytes[..400]).status, 204);
    let devices = lead.get("/v1/devices?accreditation=D-1").ok();
    let device = devices["devices"][0]["id"].as_str().expect("a device");
    let path = format!("/v1/devices/{device}/revocation");
    lead.post(&path, &json!({ "reason": "lost" })).ok();
    way.patch(400, &sample.bytes[400..])
        .refuses(401, "token_revoked");
    assert_eq!(way.head().status, 401);
    // What it announces now waits, and the other phone of its owner may not send it.
    let late = Sample::of(500);
    let announcement = attach(&mut phone, &report, entry.hash(), &late.file);
    assert_eq!(
        phone.send(&[&announcement]).short(&announcement),
        "quarantined:revoked_device"
    );
    let second = Phone::enrolled(&site, mission, "D-1");
    let way = Way::of(&second, &late.file);
    way.patch(0, &late.bytes).refuses(403, "evidence_waits");
    admit(&lead, &announcement);
    assert_eq!(way.patch(0, &late.bytes).status, 204);
    // An unfinished upload belongs to its device.
    assert_eq!(Way::of(&second, &sample.file).offset(), 0);
}

fn files_are_read_by_range_and_never_executed(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Read");
    let _server = site.start();
    let auditor = site.console(mission, "auditor");
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let sample = Sample::of(10_000);
    announced(&mut phone, &sample.file);
    assert_eq!(
        Way::of(&phone, &sample.file).patch(0, &sample.bytes).status,
        204
    );
    let way = Way::with_token(&site.origin(), &auditor.token, &sample.file.sha256);
    let whole = way.get(&[]);
    assert_eq!((whole.status, &whole.body), (200, &sample.bytes));
    for (name, value) in [
        ("content-type", "image/jpeg"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("cache-control", "private"),
        ("accept-ranges", "bytes"),
        ("content-length", "10000"),
    ] {
        assert_eq!(whole.header(name), value, "{name}");
    }
    let etag = whole.header("etag").to_owned();
    assert_eq!(etag, format!("\"{}\"", sample.file.sha256));
    assert_eq!(way.get(&[("if-none-match", &etag)]).status, 304);
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=9000-", 9_000, 10_000),
        ("bytes=-100", 9_900, 10_000),
        ("bytes=500-99999", 500, 10_000),
    ] {
        let part = way.get(&[("range", range)]);
        assert_eq!(
            (part.status, &part.body[..]),
            (206, &sample.bytes[from..to])
        );
        assert_eq!(
            part.header("content-range"),
            format!("bytes {from}-{}/10000", to - 1)
        );
    }
    let beyond = way.get(&[("range", "bytes=10000-")]);
    beyond.refuses(416, "range_not_satisfiable");
    assert_eq!(beyond.header("content-range"), "bytes */10000");
    let changed = way.get(&[("range", "bytes=0-0"), ("if-range", "\"other\"")]);
    assert_eq!(changed.status, 200);

    for hostile in [
        "text/html",
        "image/svg+xml",
        "image/jpeg\r\nX-Evil: 1",
        "application/javascript; x=\"../../etc\"",
        "\u{202e}gpj.exe\0",
        "",
    ] {
        let script = b"<script>alert(1)</script>".to_vec();
        let evil = Sample::from_bytes([script, hostile.as_bytes().to_vec()].concat(), hostile);
        announced(&mut phone, &evil.file);
        let sent = Way::of(&phone, &evil.file);
        assert_eq!(sent.patch(0, &evil.bytes).status, 204);
        let answer = sent.get(&[]);
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        let name = answer.header("content-disposition");
        assert!(
            name.starts_with("attachment; filename=\"evidence-") && name.ends_with(".bin\""),
            "{name}"
        );
        assert_eq!(answer.header("x-evil"), "");
        assert_eq!(answer.body, evil.bytes);
    }
    let long = FileRef {
        media_type: "x".repeat(201),
        ..Sample::of(3).file
    };
    let report = phone.file_text("long");
    let entry = attach(&mut phone, &report, report.hash(), &long);
    let sent = phone.send(&[&report, &entry]);
    assert_eq!(sent.short(&entry), "quarantined:over_limit");
}

fn a_killed_server_loses_a_piece_at_most(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Killed");
    let mut server = site.start();
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let sample = Sample::of(5 * MIB + 1);
    announced(&mut phone, &sample.file);
    let way = Way::of(&phone, &sample.file);
    let mut chance = Chance::new();
    let mut offset = 0;
    for _ in 0..4 {
        let some = usize::try_from(chance.below(2 * MIB as u64)).expect("small");
        let end = (offset + some).min(sample.bytes.len() - 1);
        let acknowledged = way.patch(offset as u64, &sample.bytes[offset..end]);
        assert_eq!(acknowledged.status, 204);
        offset = end;
        // More is on its way when the server dies.
        let rest = &sample.bytes[offset..];
        let hanging = way.begin(offset as u64, rest.len(), &rest[..rest.len() / 2]);
        server.kill();
        drop(hanging);
        server = site.start();
        let stored = usize::try_from(way.offset()).expect("small");
        assert!(stored >= offset, "what was acknowledged is there");
        offset = stored;
    }
    assert_eq!(
        way.patch(offset as u64, &sample.bytes[offset..]).status,
        204
    );
    server.kill();
    let _server = site.start();
    assert_eq!(way.offset(), sample.file.size);
    assert_eq!(way.get(&[]).body, sample.bytes);
}

fn erasing_a_report_destroys_its_files_alone(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Erased");
    let server = site.start();
    let lead = site.console(mission, "lead");
    site.add_user(Some(mission), "lead", "second@example.org");
    let second = Console::login(&site.origin(), "second@example.org", tests::site::PASSWORD);
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let (own, shared, begun) = (Sample::of(100), Sample::of(200), Sample::of(300));
    let (report, entry) = announced(&mut phone, &own.file);
    let both = attach(&mut phone, &report, entry.hash(), &shared.file);
    let unfinished = attach(&mut phone, &report, entry.hash(), &begun.file);
    let _ = phone.send(&[&both, &unfinished]);
    announced(&mut phone, &shared.file);
    for sample in [&own, &shared] {
        let way = Way::of(&phone, &sample.file);
        assert_eq!(way.patch(0, &sample.bytes).status, 204);
    }
    let way = Way::of(&phone, &begun.file);
    assert_eq!(way.patch(0, &begun.bytes[..50]).status, 204);
    let path = format!("/v1/reports/{}/erasure", phone::subject(&report));
    let asked = lead.post(&path, &json!({ "reason": "asked for" })).ok();
    let id = asked["id"].as_str().expect("an id");
    second
        .post(&format!("/v1/erasures/{id}/approval"), &json!({}))
        .ok();
    for gone in [&own, &begun] {
        let way = Way::of(&phone, &gone.file);
        way.get(&[]).refuses(404, "evidence_unknown");
        way.patch(0, &gone.bytes).refuses(404, "evidence_unknown");
    }
    assert_eq!(Way::of(&phone, &shared.file).get(&[]).body, shared.bytes);
    assert_eq!(shown(&lead, &report)["evidence"], json!([]));
    assert!(!leftovers(&site));
    server.stop();
    let tables = ["evidence", "evidence_files", "evidence_doomed", "reports"];
    let before = site.database.dump(&tables);
    assert_eq!(before["evidence_files"].len(), 1);
    assert!(before["evidence_doomed"].is_empty());
    site.run(&["rebuild"]).json();
    assert_eq!(site.database.dump(&tables), before);
}

fn me(console: &Console) -> Value {
    console.get("/v1/me").ok()["id"].clone()
}

fn who_was_given_a_file_is_kept(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Seen");
    let server = site.start();
    let lead = site.console(mission, "lead");
    let analyst = site.console(mission, "analyst");
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let sample = Sample::of(1_000);
    let (report, _) = announced(&mut phone, &sample.file);
    let way = Way::of(&phone, &sample.file);
    let by =
        |console: &Console| Way::with_token(&site.origin(), &console.token, &sample.file.sha256);
    let readers = || shown(&lead, &report)["evidence"][0]["file"]["readers"].clone();
    let people = || -> Vec<Value> {
        let readers = readers();
        let all = readers.as_array().expect("a list");
        all.iter().map(|one| one["person"].clone()).collect()
    };

    // Who asks before it is here is given nothing; the observer's phone is nobody.
    by(&lead).get(&[]).refuses(409, "evidence_incomplete");
    assert_eq!(way.patch(0, &sample.bytes).status, 204);
    assert_eq!(way.get(&[]).status, 200);
    assert_eq!(by(&lead).head().status, 200);
    assert_eq!(by(&lead).get(&[("range", "bytes=1000-")]).status, 416);
    assert_eq!(readers(), json!([]));

    // The first time stays, whatever is read later.
    assert_eq!(by(&analyst).get(&[("range", "bytes=0-9")]).status, 206);
    let first = readers();
    assert_eq!(people(), [me(&analyst)]);
    assert_eq!(by(&lead).get(&[]).status, 200);
    assert_eq!(by(&analyst).get(&[]).status, 200);
    assert_eq!(people(), [me(&analyst), me(&lead)]);
    assert_eq!(readers()[0], first[0]);

    // It outlives the server and its projections.
    server.kill();
    site.run(&["rebuild"]).json();
    let _server = site.start();
    assert_eq!(people(), [me(&analyst), me(&lead)]);
}

fn a_report_shows_its_files(kind: Kind) {
    let mut site = Site::new(kind);
    site.set("evidence_durable", "stored");
    let mission = site.small_mission("Shown");
    let _server = site.start();
    let lead = site.console(mission, "lead");
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let (film, small) = (Sample::of(1_000), Sample::of(100));
    let report = phone.file_text("A film");
    let entry = attach_with(
        &mut phone,
        &report,
        report.hash(),
        &film.file,
        Some(&small.file),
    );
    let bare = phone.file_text("No film");
    let _ = phone.send(&[&report, &entry, &bare]);
    let path = |report: &SdJwt| format!("/v1/reports/{}/decisions", phone::subject(report));
    let version = shown(&lead, &report)["report"]["version"].clone();
    let review = json!({ "to": "in_review", "version": version });
    lead.post(&path(&report), &review).ok();
    let file = |part: &Sample, state: &str, arrived: u64, durable: bool| {
        json!({
            "sha256": part.file.sha256, "size": part.file.size, "media_type": "image/jpeg",
            "state": state, "arrived": arrived, "durable": durable, "readers": [],
        })
    };
    let files = |film: Value, small: Value| {
        json!([{
            "number": 4, "standing": "applied", "taken_at": "2024-09-01T08:00:00.000000Z",
            "file": film, "preview": small,
        }])
    };
    let shows = |expected: Value| {
        let mut found = shown(&lead, &report)["evidence"].clone();
        found[0]["number"] = json!(4);
        assert_eq!(found, expected);
    };
    shows(files(
        file(&film, "announced", 0, false),
        file(&small, "announced", 0, false),
    ));
    let (way, to_small) = (Way::of(&phone, &film.file), Way::of(&phone, &small.file));
    assert_eq!(way.patch(0, &film.bytes[..600]).status, 204);
    let done = to_small.patch(0, &small.bytes);
    assert_eq!(done.header("evidence-durable"), "true");
    shows(files(
        file(&film, "partial", 600, false),
        file(&small, "complete", 100, true),
    ));
    let staff = Way::with_token(&site.origin(), &lead.token, &film.file.sha256);
    assert_eq!(staff.offset(), 600);
    assert_eq!(way.patch(600, &film.bytes[600..]).status, 204);
    shows(files(
        file(&film, "complete", 1_000, true),
        file(&small, "complete", 100, true),
    ));
    let report_id = phone::subject(&report).to_string();
    for (wanted, expected) in [("true", &report), ("false", &bare)] {
        let found = lead.get(&format!("/v1/reports?evidence={wanted}")).ok();
        let reports = found["reports"].as_array().cloned().unwrap_or_default();
        assert_eq!(reports.len(), 1, "{found}");
        assert_eq!(reports[0]["id"], phone::subject(expected).to_string());
    }
    let lines = lead.get("/v1/exports/jsonl").text();
    let line = lines.lines().find(|line| line.contains(&report_id));
    let line: Value = serde_json::from_str(line.expect("the report")).expect("JSON");
    assert_eq!(line["evidence"], 1);
    // A file that comes later changes the version and opens nothing again.
    let later = attach(&mut phone, &report, entry.hash(), &Sample::of(5).file);
    assert_eq!(phone.send(&[&later]).short(&later), "stored");
    let now = shown(&lead, &report);
    assert_eq!(now["report"]["status"], "in_review");
    assert!(now["report"]["version"].as_i64() > version.as_i64());
}

/// 96 MiB show it in seconds: a server that held whole files would grow by as
/// much, and one that holds a piece does not care about the size.
fn memory_stays_flat(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Flat");
    let server = site.start();
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let warm = Sample::of(2 * MIB);
    announced(&mut phone, &warm.file);
    assert_eq!(
        Way::of(&phone, &warm.file).patch(0, &warm.bytes).status,
        204
    );
    let sample = Sample::from_bytes(Sample::of(MIB).bytes.repeat(96), "video/mp4");
    announced(&mut phone, &sample.file);
    let way = Way::of(&phone, &sample.file);
    let before = server.peak_memory();
    let chunk = 16 * MIB;
    for (at, part) in sample.bytes.chunks(chunk).enumerate() {
        let answer = way.patch((at * chunk) as u64, part);
        assert_eq!(answer.status, 204, "{answer:?}");
    }
    assert_eq!(way.get(&[]).body, sample.bytes);
    let grown = server.peak_memory().saturating_sub(before);
    assert!(grown < 32 * 1024, "the server grew by {grown} kB");
}
