//! Evidence: requests and announcements that no honest phone makes.

use protocol::{entry::Kind, ids::EntryHash};
use serde_json::{Map, Value, json};
use tests::{
    database::Kind as Db,
    http, on_both_databases,
    phone::{self, Phone},
    site::Site,
    upload::{Sample, Way, announced},
};

/// Headers, and the status and the code that answer them.
type Case<'a> = (&'a [(&'a str, &'a str)], u16, &'a str);

on_both_databases!(odd_requests_are_refused, odd_announcements_wait);

fn odd_requests_are_refused(kind: Db) {
    let site = Site::new(kind);
    let mission = site.small_mission("Odd");
    let server = site.start();
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let sample = Sample::of(1_000);
    announced(&mut phone, &sample.file);
    let way = Way::of(&phone, &sample.file);
    let octets = "application/offset+octet-stream";
    let max = u64::MAX.to_string();
    let table: &[Case<'_>] = &[
        (&[], 412, "tus_version"),
        (&[("tus-resumable", "0.2.2")], 412, "tus_version"),
        (&[("tus-resumable", "1.0.0")], 415, "unsupported_media_type"),
        (
            &[("tus-resumable", "1.0.0"), ("content-type", "image/jpeg")],
            415,
            "unsupported_media_type",
        ),
        (
            &[
                ("tus-resumable", "1.0.0"),
                ("content-type", octets),
                ("content-encoding", "gzip"),
                ("upload-offset", "0"),
            ],
            415,
            "unsupported_media_type",
        ),
        (
            &[("tus-resumable", "1.0.0"), ("content-type", octets)],
            400,
            "invalid_value",
        ),
    ];
    for (headers, status, code) in table {
        let answer = way.send("PATCH", headers, Some(sample.bytes.clone()));
        answer.refuses(*status, code);
        assert_eq!(answer.header("tus-resumable"), "1.0.0");
    }
    for (offset, status, code) in [
        ("", 400, "invalid_value"),
        ("-1", 400, "invalid_value"),
        ("+0", 400, "invalid_value"),
        ("0x10", 400, "invalid_value"),
        ("1e3", 400, "invalid_value"),
        ("18446744073709551616", 400, "invalid_value"),
        (max.as_str(), 409, "offset_mismatch"),
        ("1", 409, "offset_mismatch"),
        ("1000", 409, "offset_mismatch"),
    ] {
        let headers = [
            ("tus-resumable", "1.0.0"),
            ("content-type", octets),
            ("upload-offset", offset),
        ];
        let answer = way.send("PATCH", &headers, Some(sample.bytes.clone()));
        answer.refuses(status, code);
    }
    let token = phone.token();
    for path in ["x", "..%2f..%2fkeys", &"A".repeat(44), "%00", "ÄÖ"] {
        let url = format!("{}/v1/evidence/{path}", site.origin());
        let bearer = format!("Bearer {token}");
        let answer = http::send("GET", &url, &[("authorization", &bearer)], None);
        answer.refuses(404, "evidence_unknown");
    }
    let wrong = http::send(
        "POST",
        &format!("{}/v1/evidence/x", site.origin()),
        &[],
        Some(Vec::new()),
    );
    wrong.refuses(405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), "OPTIONS, HEAD, PATCH, GET");
    // More than announced, without saying so first.
    let mut stream = way.begin(0, 10_000_000, &[7; 100_000]);
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut answer).ok();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(way.offset(), 0);
    assert_eq!(way.patch(0, &sample.bytes).status, 204);
    assert_eq!(http::faults(), Vec::<String>::new());
    let (_, log) = server.stop();
    assert!(
        !log.contains("panicked") && !log.contains(" ERROR "),
        "{log}"
    );
}

/// An entry is kept whatever it announces, and a coordinator sees why it waits.
fn odd_announcements_wait(kind: Db) {
    let site = Site::new(kind);
    let mission = site.small_mission("Odd");
    let _server = site.start();
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let mut other = Phone::enrolled(&site, mission, "D-2");
    let report = phone.file_text("a report");
    let _ = phone.send(&[&report]);
    let name = Sample::of(10).file.sha256.to_string();
    let file = |changes: Value| {
        let mut file = json!({ "sha256": name, "size": 10, "media_type": "image/png" });
        for (member, value) in changes.as_object().into_iter().flatten() {
            file[member] = value.clone();
        }
        json!({ "file": file })
    };
    for (body, code) in [
        (json!({}), "unreadable"),
        (json!({ "file": null }), "unreadable"),
        (json!({ "file": [] }), "unreadable"),
        (json!({ "file": "x" }), "unreadable"),
        (file(json!({ "sha256": "abc" })), "unreadable"),
        (file(json!({ "sha256": null })), "unreadable"),
        (file(json!({ "size": -1 })), "unreadable"),
        (file(json!({ "size": 1.5 })), "unreadable"),
        (file(json!({ "size": "10" })), "unreadable"),
        (file(json!({ "media_type": 7 })), "unreadable"),
        (file(json!({ "media_type": "é".repeat(150) })), "over_limit"),
        (file(json!({ "size": 4_294_967_297_u64 })), "over_quota"),
        (file(json!({ "size": u64::MAX })), "over_quota"),
    ] {
        let clear: Map<String, Value> = body.as_object().cloned().unwrap_or_default();
        let entry = phone.entry(
            Kind::Attach,
            phone::subject(&report),
            Some(report.hash()),
            clear,
            Vec::new(),
        );
        let short = phone.send(&[&entry]).short(&entry);
        assert_eq!(short, format!("quarantined:{code}"), "{body}");
    }
    let clear: Map<String, Value> = file(json!({})).as_object().cloned().unwrap_or_default();
    let baseless = phone.entry(
        Kind::Attach,
        phone::subject(&report),
        None,
        clear.clone(),
        Vec::new(),
    );
    assert_eq!(
        phone.send(&[&baseless]).short(&baseless),
        "quarantined:unreadable"
    );
    let foreign = other.entry(
        Kind::Attach,
        phone::subject(&report),
        Some(report.hash()),
        clear.clone(),
        Vec::new(),
    );
    assert_eq!(
        other.send(&[&foreign]).short(&foreign),
        "quarantined:foreign_subject"
    );
    let early = phone.entry(
        Kind::Attach,
        phone::subject(&report),
        Some(EntryHash([1; 32])),
        clear,
        Vec::new(),
    );
    assert_eq!(phone.send(&[&early]).short(&early), "held");
}
