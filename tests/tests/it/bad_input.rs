//! Bad input through real HTTP: nothing breaks, nothing is lost.

use std::io::Write as _;

use base64::Engine as _;
use flate2::{Compression, write::GzEncoder};
use protocol::{
    encoding::b64,
    entry::{DEVICE_TYP, Kind, Patch, Place, ReportFields, SdJwt, WireEntry},
    ids::{EntryHash, MissionId, SubjectId},
    jose::{Signer as _, SoftwareKey},
};
use serde_json::{Map, Value, json};
use tests::{
    chance::Chance,
    console::Console,
    database::Kind as Db,
    http::{self, Answer},
    ledger,
    observer::Observer,
    on_both_databases,
    phone::{self, Phone, report},
    site::{Server, Site},
};

on_both_databases!(
    bodies,
    entries,
    tokens,
    revocation_and_quarantine,
    a_key_never_enrolled
);

struct Bench {
    site: Site,
    mission: MissionId,
    server: Server,
    phone: Phone,
    /// What must be in the ledger at the end.
    good: Vec<EntryHash>,
}

impl Bench {
    fn new(kind: Db) -> Self {
        let site = Site::new(kind);
        let mission = site.small_mission("Bad input");
        let server = site.start();
        let phone = Phone::enrolled(&site, mission, "D-1");
        Self {
            site,
            mission,
            server,
            phone,
            good: Vec::new(),
        }
    }

    /// A report that must get through whatever came before it.
    #[track_caller]
    fn proves_alive(&mut self) {
        let entry = self.phone.file_text("still here");
        assert_eq!(self.phone.send(&[&entry]).short(&entry), "stored");
        self.good.push(entry.hash());
    }

    /// The end of every table: alive, no fault, no panic, nothing lost.
    #[track_caller]
    fn finish(mut self) {
        self.proves_alive();
        assert_eq!(http::faults(), Vec::<String>::new());
        let in_ledger: Vec<EntryHash> = ledger::audit(&self.site, self.mission)
            .into_iter()
            .map(|entry| entry.hash)
            .collect();
        for hash in &self.good {
            assert!(in_ledger.contains(hash), "{hash} is lost");
        }
        let (status, log) = self.server.stop();
        assert_eq!(status, Some(0));
        assert!(!log.contains("panicked"), "{log}");
        assert!(!log.contains(" ERROR "), "{log}");
    }

    fn raw(&self, body: impl Into<Vec<u8>>, headers: &[(&str, &str)]) -> Answer {
        http::send(
            "POST",
            &format!("{}/v1/exchange", self.site.origin()),
            headers,
            Some(body.into()),
        )
    }
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn bodies(kind: Db) {
    let mut bench = Bench::new(kind);
    let entry = bench.phone.file_text("a good report");
    let good = serde_json::to_vec(&bench.phone.request(&[&entry])).expect("JSON");
    let filler = "x".repeat(3 * 1024 * 1024);
    let many = |count: usize| json!({ "header": "", "payload": "", "signature": "", "n": count });
    let entries: Vec<Value> = (0..501).map(many).collect();
    let journals: Vec<Value> = (0..65)
        .map(|_| json!({ "journal": bench.phone.journal, "head": 1, "pending": 0 }))
        .collect();
    let half = &good[..good.len() / 2];
    let text = String::from_utf8(good.clone()).expect("UTF-8");
    let invalid_utf8 = text
        .replace("tests", "te\u{1}s")
        .into_bytes()
        .iter()
        .map(|b| if *b == 1 { 0xff } else { *b })
        .collect();
    let table: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("nothing", Vec::new(), 400, "malformed_json"),
        ("null", b"null".to_vec(), 400, "malformed_json"),
        ("a list", b"[]".to_vec(), 400, "malformed_json"),
        ("half of it", half.to_vec(), 400, "malformed_json"),
        (
            "something behind it",
            [good.clone(), b" x".to_vec()].concat(),
            400,
            "malformed_json",
        ),
        (
            "depth 100,000",
            "[".repeat(100_000).into_bytes(),
            400,
            "malformed_json",
        ),
        (
            "depth inside",
            format!("{{\"protocol\":1,\"x\":{}", "[".repeat(100_000)).into_bytes(),
            400,
            "malformed_json",
        ),
        (
            "a member twice",
            b"{\"protocol\":1,\"protocol\":1}".to_vec(),
            400,
            "malformed_json",
        ),
        ("NaN", b"{\"protocol\":NaN}".to_vec(), 400, "malformed_json"),
        (
            "1e999",
            b"{\"protocol\":1e999}".to_vec(),
            400,
            "malformed_json",
        ),
        (
            "1e999 ms",
            b"{\"protocol\":1,\"clock\":{\"wall\":\"\",\"uptime\":1e999}}".to_vec(),
            400,
            "malformed_json",
        ),
        (
            "a float",
            b"{\"protocol\":1.5}".to_vec(),
            400,
            "malformed_json",
        ),
        (
            "negative",
            b"{\"protocol\":-1}".to_vec(),
            400,
            "malformed_json",
        ),
        ("no protocol", b"{}".to_vec(), 400, "malformed_json"),
        (
            "protocol 0",
            b"{\"protocol\":0}".to_vec(),
            400,
            "unsupported_protocol",
        ),
        (
            "protocol 2",
            b"{\"protocol\":2}".to_vec(),
            400,
            "unsupported_protocol",
        ),
        (
            "a lone surrogate",
            text.replace("\"tests\"", "\"\\ud800\"").into_bytes(),
            400,
            "malformed_json",
        ),
        ("not UTF-8", invalid_utf8, 400, "malformed_json"),
        (
            "501 entries",
            json!({ "protocol": 1, "entries": entries })
                .to_string()
                .into_bytes(),
            413,
            "too_many_entries",
        ),
        (
            "65 journals",
            json!({ "protocol": 1, "journals": journals })
                .to_string()
                .into_bytes(),
            413,
            "too_many_entries",
        ),
        (
            "3 MiB",
            json!({ "protocol": 1, "app": filler })
                .to_string()
                .into_bytes(),
            413,
            "body_too_large",
        ),
    ];
    for (name, body, status, code) in table {
        let answer = bench.raw(body, JSON);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{name}: {}",
            answer.text()
        );
        bench.server.get("/healthz").ok();
    }
    for content_type in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "multipart/form-data",
    ] {
        bench
            .raw(good.clone(), &[("content-type", content_type)])
            .refuses(415, "unsupported_media_type");
    }
    for encoding in ["br", "deflate", "zstd", "gzip, gzip", "x"] {
        let headers = [JSON[0], ("content-encoding", encoding)];
        bench
            .raw(good.clone(), &headers)
            .refuses(415, "unsupported_media_type");
    }
    let packed = [JSON[0], ("content-encoding", "gzip")];
    bench
        .raw(good.clone(), &packed)
        .refuses(400, "malformed_json");
    let zipped = gzip(&good);
    bench
        .raw(&zipped[..zipped.len() - 9], &packed)
        .refuses(400, "malformed_json");
    // The good body itself, packed: everything above cost it nothing.
    let answer = bench.raw(zipped, &packed).ok();
    assert_eq!(answer["outcomes"][0]["outcome"], "stored", "{answer}");
    bench.good.push(entry.hash());
    bombs(&bench);
    other_routes(&bench);
    bench.finish();
}

/// A bomb is put out before it has gone off: memory stays flat.
fn bombs(bench: &Bench) {
    let packed = [JSON[0], ("content-encoding", "gzip")];
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let block = vec![b' '; 1 << 20];
    for _ in 0..64 {
        encoder.write_all(&block).expect("memory");
    }
    let bomb = encoder.finish().expect("memory");
    assert!(
        bomb.len() < protocol::limits::EXCHANGE_BYTES,
        "64 MiB in {} bytes",
        bomb.len()
    );
    let in_bomb = gzip(&bomb);
    bench
        .raw(bomb.clone(), &packed)
        .refuses(413, "body_too_large");
    let before = bench.server.peak_memory();
    for _ in 0..8 {
        bench
            .raw(bomb.clone(), &packed)
            .refuses(413, "body_too_large");
        bench
            .raw(vec![b' '; 3 << 20], JSON)
            .refuses(413, "body_too_large");
        bench
            .raw(in_bomb.clone(), &packed)
            .refuses(400, "malformed_json");
    }
    let grown = bench.server.peak_memory().saturating_sub(before);
    assert!(
        grown < 32 * 1024,
        "{grown} kB more than the {before} kB of before"
    );
}

/// Every other route that takes a body bounds it, and takes JSON alone.
fn other_routes(bench: &Bench) {
    let filler = json!({ "email": "x", "password": "y".repeat(70_000) }).to_string();
    for path in ["/v1/login", "/v1/enrolments"] {
        bench
            .server
            .post(path, "application/json", filler.clone())
            .refuses(413, "body_too_large");
        bench
            .server
            .post(path, "application/json", "{")
            .refuses(400, "malformed_json");
        bench
            .server
            .post(path, "application/json", "[".repeat(60_000))
            .refuses(400, "malformed_json");
        bench
            .server
            .post(path, "text/plain", "{}")
            .refuses(415, "unsupported_media_type");
        let url = format!("{}{path}", bench.site.origin());
        let packed = [JSON[0], ("content-encoding", "gzip")];
        http::send("POST", &url, &packed, Some(gzip(b"{}"))).refuses(415, "unsupported_media_type");
    }
    let twice = "{\"email\":\"a@example.org\",\"email\":\"b@example.org\",\"password\":\"x\"}";
    bench
        .server
        .post("/v1/login", "application/json", twice)
        .refuses(400, "malformed_json");
    let more = "{\"email\":\"a@example.org\",\"password\":\"x\",\"role\":\"lead\"}";
    bench
        .server
        .post("/v1/login", "application/json", more)
        .refuses(400, "malformed_json");
    bench
        .server
        .post("/v1/token", "application/json", "{}")
        .refuses(415, "unsupported_media_type");
    let form = "application/x-www-form-urlencoded";
    bench
        .server
        .post("/v1/token", form, "")
        .refuses(400, "unsupported_grant_type");
    bench
        .server
        .post("/v1/token", form, vec![b'a'; 70_000])
        .refuses(413, "body_too_large");
    for path in [
        "/v1/nothing",
        "/v1/reports/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/v1/reports/%00",
    ] {
        assert!(
            [401, 404].contains(&bench.server.get(path).status),
            "{path}"
        );
    }
    for (method, path) in [
        ("PUT", "/v1/exchange"),
        ("TRACE", "/v1/login"),
        ("DELETE", "/v1/reports"),
    ] {
        let answer = http::send(method, &format!("{}{path}", bench.site.origin()), &[], None);
        assert_eq!(answer.status, 405, "{method} {path}");
    }
    let coordinator = bench.site.console(bench.mission, "coordinator");
    let report = phone::subject(&bench.phone.clone().file_text("never sent"));
    for path in [
        format!("/v1/reports/{report}"),
        "/v1/reports/x".into(),
        "/v1/reports/%2e%2e%2fetc".into(),
    ] {
        coordinator.get(&path).refuses(404, "not_found");
    }
    for query in [
        "limit=0",
        "limit=1e9",
        "limit=-1",
        "status=x",
        "severity=fatal",
        "bbox=1,2,3",
        "bbox=NaN,0,1,1",
        "bbox=0,0,1e999,1",
        "bbox=0,91,1,92",
        "received_from=yesterday",
        "flag=x",
        "text=a&text=b",
        "unknown=1",
        "withdrawn=maybe",
        "station=%00",
    ] {
        coordinator
            .get(&format!("/v1/reports?{query}"))
            .refuses(400, "malformed_query");
    }
    for cursor in ["x", "e30", "%00", &"A".repeat(3000)] {
        coordinator
            .get(&format!("/v1/reports?cursor={cursor}"))
            .refuses(400, "invalid_cursor");
    }
    for hostile in [
        "%27%20OR%201=1--",
        "%25",
        "_",
        "%5C",
        "%3Cscript%3E",
        "%00",
        "%F0%9F%92%A3",
    ] {
        let answer = coordinator.get(&format!("/v1/reports?text={hostile}"));
        assert!(
            [200, 400].contains(&answer.status),
            "{hostile}: {}",
            answer.text()
        );
    }
}

/// Signs any payload text at all.
fn sign_raw(key: &SoftwareKey, header: &str, payload: &str, disclosures: &[&str]) -> WireEntry {
    let input = format!("{}.{}", b64(header), b64(payload));
    WireEntry {
        header: header.to_owned(),
        payload: payload.to_owned(),
        disclosures: disclosures.iter().map(|text| (*text).to_owned()).collect(),
        signature: b64(key.sign(input.as_bytes()).expect("a software key signs")),
    }
}

fn hash_of(wire: &WireEntry) -> EntryHash {
    EntryHash::of_signing_input(format!("{}.{}", b64(&wire.header), b64(&wire.payload)).as_bytes())
}

/// What became of raw entries, in short.
#[track_caller]
fn outcomes(bench: &Bench, entries: &[WireEntry]) -> Vec<String> {
    let mut request = bench.phone.request(&[]);
    request.entries = entries.to_vec();
    let exchanged = bench.phone.exchange(&request, None);
    entries
        .iter()
        .map(|entry| {
            let outcome = exchanged.of(hash_of(entry));
            let name = json!(outcome.outcome)
                .as_str()
                .unwrap_or_default()
                .to_owned();
            outcome
                .code
                .map_or_else(|| name.clone(), |code| format!("{name}:{code}"))
        })
        .collect()
}

fn entries(kind: Db) {
    let mut bench = Bench::new(kind);
    let coordinator = bench.site.console(bench.mission, "coordinator");
    accepted_and_flagged(&mut bench, &coordinator);
    odd_texts(&mut bench, &coordinator);
    apart(&mut bench);
    not_readable(&mut bench);
    refused(&mut bench);
    bench.finish();
}

fn placed(lat: f64, lon: f64) -> ReportFields {
    ReportFields {
        place: Patch::Set(Place {
            lat,
            lon,
            accuracy: None,
        }),
        ..report("somewhere")
    }
}

/// Whatever an observer says is taken; what looks odd is flagged.
fn accepted_and_flagged(bench: &mut Bench, coordinator: &Console) {
    let at = |time: &str| ReportFields {
        observed_at: Patch::Set(time.into()),
        ..report("some time")
    };
    let accuracy = |metres: f64| ReportFields {
        place: Patch::Set(Place {
            lat: 40.46,
            lon: 49.82,
            accuracy: Some(metres),
        }),
        ..report("somewhere")
    };
    let table: Vec<(ReportFields, Option<&str>)> = vec![
        (placed(90.0001, 49.0), Some("invalid_place")),
        (placed(40.0, -180.1), Some("invalid_place")),
        (placed(1e308, -1e308), Some("invalid_place")),
        (accuracy(-5.0), Some("invalid_place")),
        (accuracy(1e300), None),
        (placed(0.0, 0.0), Some("outside_country")),
        (placed(-0.0, 1e-320), Some("outside_country")),
        (placed(40.46, 49.82), None),
        (at("2999-01-01T00:00:00Z"), Some("clock_off")),
        (at("yesterday"), Some("clock_off")),
        (at("292277026596-12-04T15:30:08Z"), Some("clock_off")),
        (at("2024-09-01T23:59:60Z"), None),
        (at("1970-01-01T00:00:00Z"), None),
        (
            ReportFields {
                station: Patch::Set("99-999".into()),
                ..report("x")
            },
            Some("unlisted_station"),
        ),
        (
            ReportFields {
                station: Patch::Set("8-1".into()),
                ..placed(40.68, 46.36)
            },
            Some("far_from_station"),
        ),
        (
            ReportFields {
                category: Some("never_heard_of".into()),
                ..report("x")
            },
            None,
        ),
    ];
    for (fields, flag) in table {
        let entry = bench.phone.file(&fields);
        assert_eq!(
            bench.phone.send(&[&entry]).short(&entry),
            "stored",
            "{fields:?}"
        );
        bench.good.push(entry.hash());
        let shown = coordinator
            .get(&format!("/v1/reports/{}", phone::subject(&entry)))
            .ok();
        let flags = shown["report"]["flags"].as_array().expect("flags");
        match flag {
            Some(flag) => assert!(flags.contains(&json!(flag)), "{fields:?}: {flags:?}"),
            None => assert!(flags.is_empty(), "{fields:?}: {flags:?}"),
        }
        let place = &shown["report"]["place"];
        assert!(
            place.is_null() || flag != Some("invalid_place"),
            "an impossible place is not shown: {place}"
        );
    }
    // A phone whose own clock is years off.
    for wall in [
        "2031-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "no clock",
        "",
    ] {
        let mut phone = bench.phone.clone();
        wall.clone_into(&mut phone.wall);
        let entry = phone.file_text("what time is it?");
        bench.phone = Phone {
            wall: bench.phone.wall.clone(),
            ..phone
        };
        assert_eq!(
            bench.phone.send(&[&entry]).short(&entry),
            "stored",
            "{wall}"
        );
        bench.good.push(entry.hash());
        let shown = coordinator
            .get(&format!("/v1/reports/{}", phone::subject(&entry)))
            .ok();
        let off = shown["report"]["flags"]
            .as_array()
            .expect("flags")
            .contains(&json!("clock_off"));
        assert_eq!(off, wall != "1970-01-01T00:00:00Z", "{wall}: {shown}");
    }
}

/// Any Unicode text comes back as it was said, in every export.
fn odd_texts(bench: &mut Bench, coordinator: &Console) {
    let long = "ə".repeat(10_000);
    let marks = format!("e{}", "\u{301}".repeat(5_000));
    let texts = [
        "",
        " ",
        "a\0b",
        "\0",
        "\u{feff}BOM",
        "line\r\nline\u{2028}line",
        "=HYPERLINK(\"http://x\")",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "<script>alert(1)</script>",
        "{{7*7}}",
        "\u{1b}[31mred",
        "'; DROP TABLE reports;--",
        "%s%n",
        "\u{202e}evil\u{202c}",
        "👩🏽‍🦱 \u{10ffff} \u{fffe}",
        "İıIi",
        long.as_str(),
        marks.as_str(),
    ];
    for text in texts {
        let entry = bench.phone.file_text(text);
        assert_eq!(
            bench.phone.send(&[&entry]).short(&entry),
            "stored",
            "{text:.20?}"
        );
        bench.good.push(entry.hash());
        let shown = coordinator
            .get(&format!("/v1/reports/{}", phone::subject(&entry)))
            .ok();
        // The signed words are the words; the table's copy has no U+0000.
        assert_eq!(shown["history"][0]["body"]["text"], text, "{text:.20?}");
        assert_eq!(
            shown["report"]["text"],
            text.replace('\0', "\u{fffd}"),
            "{text:.20?}"
        );
    }
    // U+0000 in a code.
    let fields = ReportFields {
        category: Some("a\0b".into()),
        station: Patch::Set("8\0-1".into()),
        ..report("NUL in codes")
    };
    let entry = bench.phone.file(&fields);
    let became = bench.phone.send(&[&entry]).short(&entry);
    assert!(
        became.starts_with("stored") || became.starts_with("quarantined"),
        "{became}"
    );
    bench.good.push(entry.hash());
}

/// Signed and odd: kept, apart.
fn apart(bench: &mut Bench) {
    let subject = |phone: &mut Phone| SubjectId(phone.chance.uuid());
    let long = bench.phone.file_text(&"x".repeat(10_001));
    let code = bench.phone.file(&ReportFields {
        category: Some("c".repeat(201)),
        ..report("x")
    });
    let id = subject(&mut bench.phone);
    let unknown_kind =
        bench
            .phone
            .entry(Kind::Unknown("dance".into()), id, None, Map::new(), vec![]);
    let office = bench
        .phone
        .entry(Kind::Decide, id, None, Map::new(), vec![]);
    let no_category =
        bench
            .phone
            .entry(Kind::File, id, None, Map::new(), vec![("text", json!("x"))]);
    let wrong_type = bench.phone.entry(
        Kind::File,
        id,
        None,
        Map::new(),
        vec![("text", json!(7)), ("category", json!("x"))],
    );
    let base = bench.phone.file_text("the base");
    let no_base = bench.phone.entry(
        Kind::Amend,
        phone::subject(&base),
        None,
        Map::new(),
        vec![("text", json!("y"))],
    );
    let lost_base = bench.phone.amend(&base, EntryHash([7; 32]), "on nothing");
    let sent = bench.phone.send(&[&base]);
    assert_eq!(sent.short(&base), "stored");
    let mut other = Phone::enrolled(&bench.site, bench.mission, "D-2");
    let foreign = other.amend(&base, base.hash(), "not mine");
    let (clear, disclosed) = report("my id too").to_body();
    let conflict = other.entry(Kind::File, phone::subject(&base), None, clear, disclosed);
    let withheld = bench.phone.file_text("words that come later");
    let part = withheld.withhold(|name| name == "at");
    let mut elsewhere = bench.phone.clone();
    elsewhere.invitation.mission = MissionId(bench.phone.chance.uuid());
    let stray = elsewhere.file_text("for another mission");
    bench.phone = Phone {
        invitation: bench.phone.invitation.clone(),
        ..elsewhere
    };
    for (entry, expected) in [
        (&long, "quarantined:over_limit"),
        (&code, "quarantined:over_limit"),
        (&unknown_kind, "quarantined:unknown_version"),
        (&office, "quarantined:unknown_version"),
        (&no_category, "quarantined:unreadable"),
        (&wrong_type, "quarantined:unreadable"),
        (&no_base, "quarantined:unreadable"),
        (&lost_base, "held"),
        (&base, "already_stored"),
        (&part, "quarantined:disclosure_missing"),
        (&part, "already_stored:disclosure_missing"),
        (&stray, "quarantined:wrong_mission"),
    ] {
        assert_eq!(bench.phone.send(&[entry]).short(entry), expected);
        bench.good.push(entry.hash());
    }
    assert_eq!(
        other.send(&[&foreign]).short(&foreign),
        "quarantined:foreign_subject"
    );
    assert_eq!(
        other.send(&[&conflict]).short(&conflict),
        "quarantined:subject_conflict"
    );
    // A replay, alone, in company and twice in one body.
    let again = bench.phone.send(&[&base, &base]);
    let first = sent.outcome(&base).number;
    assert!(
        again
            .response
            .outcomes
            .iter()
            .all(|outcome| outcome.number == first),
        "{again:?}"
    );
    // The same place in the journal with other bytes.
    let mut clone = bench.phone.clone();
    clone.chance = Chance::seeded(99);
    let one = bench.phone.file_text("the phone");
    let two = clone.file_text("its clone");
    assert_eq!(bench.phone.send(&[&one]).short(&one), "stored");
    assert_eq!(clone.send(&[&two]).short(&two), "stored fork");
    bench.good.extend([one.hash(), two.hash()]);
}

/// Signed by an enrolled key, and no entry that can be read: kept.
fn not_readable(bench: &mut Bench) {
    let key = bench.phone.key.clone();
    let header = json!({ "alg": "EdDSA", "kid": bench.phone.kid(), "typ": DEVICE_TYP }).to_string();
    let sound = bench.phone.file_text("to be spoilt").to_wire().payload;
    let member =
        |name: &str, value: &str| sound.replacen('{', &format!("{{\"{name}\":{value},"), 1);
    let payloads = [
        String::new(),
        "null".into(),
        "[]".into(),
        "{}".into(),
        sound[..sound.len() - 5].to_owned(),
        format!("{sound} x"),
        "[".repeat(20_000),
        member("v", "1"),
        member("kind", "\"file\""),
        member("extra", "NaN"),
        member("kind", "\"\\ud800\""),
        sound.replace("\"v\":1", "\"v\":-1"),
        sound.replace("\"v\":1", "\"v\":1e999"),
        sound.replace("\"seq\":", "\"seq\":184467440737095516160,\"s\":"),
    ];
    let wires: Vec<WireEntry> = payloads
        .iter()
        .map(|payload| sign_raw(&key, &header, payload, &[]))
        .collect();
    for (wire, became) in wires.iter().zip(outcomes(bench, &wires)) {
        assert_eq!(became, "quarantined:unreadable", "{:.60}", wire.payload);
        bench.good.push(hash_of(wire));
    }
    let extremes = [
        // Well-formed, and in a member that nobody knows.
        (member("extra", "1e999"), "quarantined:disclosure_missing"),
        (
            sound.replace("\"v\":1", "\"v\":4294967295"),
            "quarantined:unknown_version",
        ),
        (
            sound.replace("\"seq\":", "\"seq\":18446744073709551615,\"s\":"),
            "quarantined:disclosure_missing",
        ),
    ];
    for (payload, expected) in extremes {
        let wire = sign_raw(&key, &header, &payload, &[]);
        assert_eq!(
            outcomes(bench, std::slice::from_ref(&wire)),
            [expected],
            "{payload:.80}"
        );
        bench.good.push(hash_of(&wire));
    }
    // Disclosures that fit nothing, or are none.
    let entry = bench.phone.file_text("the words").to_wire();
    for disclosure in [
        "[]",
        "[\"salt\",\"text\"]",
        "not JSON",
        "[\"salt\",\"text\",\"\\ud800\"]",
        "[\"salt\",\"text\",NaN]",
    ] {
        let mut odd = bench.phone.file_text("other words").to_wire();
        odd.disclosures.push(disclosure.to_owned());
        assert_eq!(
            outcomes(bench, std::slice::from_ref(&odd)),
            ["quarantined:unreadable"],
            "{disclosure}"
        );
        bench.good.push(hash_of(&odd));
    }
    assert_eq!(outcomes(bench, std::slice::from_ref(&entry)), ["stored"]);
    bench.good.push(hash_of(&entry));
    // The journal's places above are taken by what could not be read: a new one.
    bench.phone.journal = protocol::ids::JournalId(bench.phone.chance.uuid());
    (bench.phone.seq, bench.phone.prev) = (0, None);
}

/// No valid signature of an enrolled key: not stored, and told so.
fn refused(bench: &mut Bench) {
    let key = bench.phone.key.clone();
    let kid = bench.phone.kid();
    let stranger = SoftwareKey::ed25519(&[9; 32]);
    let sound = bench.phone.file_text("words").to_wire();
    let header =
        |alg: &str, kid: &str, typ: &str| json!({ "alg": alg, "kid": kid, "typ": typ }).to_string();
    let signed = |header: String| WireEntry {
        disclosures: sound.disclosures.clone(),
        ..sign_raw(&key, &header, &sound.payload, &[])
    };
    let with = |change: &dyn Fn(&mut WireEntry)| {
        let mut wire = sound.clone();
        change(&mut wire);
        wire
    };
    let x = bench.phone.key.public().to_jwk().x;
    let hs256 = {
        // "The public key is the secret": 32 bytes of HMAC, and the same padded to 64.
        let header = header("HS256", &kid, DEVICE_TYP);
        let input = format!("{}.{}", b64(&header), b64(&sound.payload));
        let secret = jsonwebtoken::EncodingKey::from_secret(
            &protocol::encoding::unb64(&x).expect("the public key"),
        );
        let mac =
            jsonwebtoken::crypto::sign(input.as_bytes(), &secret, jsonwebtoken::Algorithm::HS256)
                .expect("a MAC");
        WireEntry {
            header,
            signature: mac,
            ..sound.clone()
        }
    };
    let table: Vec<(&str, WireEntry, &[&str])> = vec![
        (
            "alg none",
            signed(header("none", &kid, DEVICE_TYP)),
            &["bad_algorithm"],
        ),
        (
            "alg none, no signature",
            with(&|w| {
                w.header = header("none", &kid, DEVICE_TYP);
                w.signature.clear();
            }),
            &["malformed_entry", "bad_algorithm"],
        ),
        (
            "HS256 under the public key",
            hs256,
            &["malformed_entry", "bad_algorithm"],
        ),
        (
            "HS256 of 64 bytes",
            signed(header("HS256", &kid, DEVICE_TYP)),
            &["bad_algorithm"],
        ),
        (
            "ES256 for an Ed25519 key",
            signed(header("ES256", &kid, DEVICE_TYP)),
            &["bad_algorithm"],
        ),
        (
            "Ed448",
            signed(header("EdDSA448", &kid, DEVICE_TYP)),
            &["bad_algorithm"],
        ),
        (
            "unknown kid",
            signed(header("EdDSA", &stranger.public().thumbprint(), DEVICE_TYP)),
            &["unknown_key"],
        ),
        (
            "kid as a path",
            signed(header("EdDSA", "../../../../etc/passwd", DEVICE_TYP)),
            &["unknown_key"],
        ),
        (
            "kid as SQL",
            signed(header("EdDSA", "' OR 1=1 --", DEVICE_TYP)),
            &["unknown_key"],
        ),
        (
            "kid of 10 kB",
            signed(header("EdDSA", &"k".repeat(10_000), DEVICE_TYP)),
            &["unknown_key"],
        ),
        (
            "kid with U+0000",
            signed(header("EdDSA", "\0", DEVICE_TYP)),
            &["unknown_key"],
        ),
        (
            "empty kid",
            signed(header("EdDSA", "", DEVICE_TYP)),
            &["unknown_key"],
        ),
        (
            "typ of a decision",
            signed(header("EdDSA", &kid, "scrutineer-decision+sd-jwt")),
            &["wrong_type"],
        ),
        (
            "typ of an assertion",
            signed(header("EdDSA", &kid, "scrutineer-assertion+jwt")),
            &["wrong_type"],
        ),
        (
            "typ in capitals",
            signed(header("EdDSA", &kid, "SCRUTINEER-ENTRY+SD-JWT")),
            &["wrong_type"],
        ),
        (
            "crit",
            signed(
                json!({ "alg": "EdDSA", "kid": kid, "typ": DEVICE_TYP, "crit": null }).to_string(),
            ),
            &["bad_signature"],
        ),
        (
            "no typ",
            signed(json!({ "alg": "EdDSA", "kid": kid }).to_string()),
            &["malformed_entry"],
        ),
        (
            "header is a list",
            signed(json!(["EdDSA", kid, DEVICE_TYP]).to_string()),
            &["malformed_entry"],
        ),
        (
            "header NaN",
            signed(format!(
                "{{\"alg\":\"EdDSA\",\"kid\":\"{kid}\",\"typ\":NaN}}"
            )),
            &["malformed_entry"],
        ),
        (
            "a changed payload",
            with(&|w| w.payload.push(' ')),
            &["bad_signature"],
        ),
        (
            "a changed signature",
            with(&|w| w.signature = b64([1_u8; 64])),
            &["bad_signature"],
        ),
        (
            "a padded signature",
            with(&|w| w.signature.push('=')),
            &["malformed_entry"],
        ),
        (
            "signature in plain base64",
            with(&|w| {
                w.signature = base64::engine::general_purpose::STANDARD.encode([255_u8; 64]);
            }),
            &["malformed_entry"],
        ),
        (
            "another's signature",
            with(&|w| {
                w.signature = sign_raw(&stranger, &sound.header, &sound.payload, &[]).signature;
            }),
            &["bad_signature"],
        ),
        (
            "too large",
            with(&|w| w.disclosures.push("x".repeat(70_000))),
            &["entry_too_large"],
        ),
        (
            "65 disclosures",
            with(&|w| w.disclosures = vec!["[]".into(); 65]),
            &["entry_too_large"],
        ),
    ];
    for (name, wire, codes) in table {
        let mut request = bench.phone.request(&[]);
        request.entries = vec![wire.clone()];
        let exchanged = bench.phone.exchange(&request, None);
        let outcome = &exchanged.response.outcomes[0];
        let code = outcome.code.map(|code| code.name()).unwrap_or_default();
        assert!(
            !outcome.outcome.is_delivered() && codes.contains(&code),
            "{name}: {outcome:?}"
        );
        assert!(
            exchanged.receipt.is_none() && outcome.number.is_none(),
            "{name}"
        );
    }
    // One bad entry costs its neighbours nothing.
    let good = SdJwt::from_wire(&sound).expect("a good entry");
    let bad = with(&|w| w.signature = b64([1_u8; 64]));
    let mut request = bench.phone.request(&[&good]);
    request.entries.insert(
        0,
        WireEntry {
            payload: format!("{} ", bad.payload),
            ..bad
        },
    );
    let exchanged = bench.phone.exchange(&request, None);
    assert_eq!(exchanged.short(&good), "stored");
    bench.good.push(good.hash());
}

/// Tokens that are not good open nothing, and cost no report.
fn tokens(kind: Db) {
    let mut bench = Bench::new(kind);
    let good = bench.phone.token();
    let keys = scrutineer::keys::Keys::load(&bench.site.data.join("keys")).expect("the keys");
    let signing = keys.token_signing(0).expect("a token key");
    let part = |at: usize| -> Value {
        let part = good.split('.').nth(at).expect("three parts");
        serde_json::from_slice(&protocol::encoding::unb64(part).expect("base64url")).expect("JSON")
    };
    let (header, claims) = (part(0), part(1));
    let sign = |header: &Value, claims: &Value| {
        let input = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = jsonwebtoken::crypto::sign(
            input.as_bytes(),
            &signing.encoding,
            jsonwebtoken::Algorithm::EdDSA,
        )
        .expect("signs");
        format!("{input}.{signature}")
    };
    let changed = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        sign(&header, &claims)
    };
    let claim = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        sign(&header, &claims)
    };
    let without = |name: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().expect("an object").remove(name);
        sign(&header, &claims)
    };
    let now = claims["iat"].as_i64().expect("a time");
    let hs256 = |secret: &[u8]| {
        let mut header = header.clone();
        header["alg"] = json!("HS256");
        let input = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let secret = jsonwebtoken::EncodingKey::from_secret(secret);
        let mac =
            jsonwebtoken::crypto::sign(input.as_bytes(), &secret, jsonwebtoken::Algorithm::HS256)
                .expect("a MAC");
        format!("{input}.{mac}")
    };
    let public = protocol::encoding::unb64(&signing.jwk.x).expect("the public key");
    let unsigned = {
        let mut header = header.clone();
        header["alg"] = json!("none");
        format!("{}.{}.", b64(header.to_string()), b64(claims.to_string()))
    };
    assert_eq!(
        Console::with_token(&bench.site.origin(), &sign(&header, &claims))
            .get("/v1/me")
            .status,
        200,
        "the forge works"
    );
    let table: Vec<(&str, String, &str)> = vec![
        ("alg none", unsigned, "token_invalid"),
        (
            "alg none, signed",
            changed("alg", json!("none")),
            "token_invalid",
        ),
        (
            "HS256 under the public key",
            hs256(&public),
            "token_invalid",
        ),
        (
            "HS256 under its text",
            hs256(signing.jwk.x.as_bytes()),
            "token_invalid",
        ),
        ("RS256", changed("alg", json!("RS256")), "token_invalid"),
        (
            "unknown kid",
            changed("kid", json!("A".repeat(43))),
            "token_invalid",
        ),
        (
            "kid as a path",
            changed("kid", json!("../../../../etc/passwd")),
            "token_invalid",
        ),
        (
            "kid as a file of ours",
            changed("kid", json!("tokens/1.json")),
            "token_invalid",
        ),
        (
            "kid of 10 kB",
            changed("kid", json!("k".repeat(10_000))),
            "token_invalid",
        ),
        ("no kid", changed("kid", Value::Null), "token_invalid"),
        ("wrong typ", changed("typ", json!("JWT")), "token_invalid"),
        ("crit", changed("crit", json!(["exp"])), "token_invalid"),
        (
            "jku",
            changed("jku", json!("http://127.0.0.1:1/jwks.json")),
            "token_invalid",
        ),
        (
            "wrong aud",
            claim("aud", json!("someone-else")),
            "token_invalid",
        ),
        ("aud a number", claim("aud", json!(1)), "token_invalid"),
        ("no aud", without("aud"), "token_invalid"),
        (
            "the console's aud",
            claim("aud", json!("scrutineer:console")),
            "token_revoked",
        ),
        (
            "wrong iss",
            claim("iss", json!("urn:scrutineer:server:other")),
            "token_invalid",
        ),
        ("no iss", without("iss"), "token_invalid"),
        ("no exp", without("exp"), "token_invalid"),
        ("exp a text", claim("exp", json!("2999")), "token_invalid"),
        ("expired", claim("exp", json!(now - 60)), "token_expired"),
        (
            "not yet valid",
            claim("nbf", json!(now + 3600)),
            "token_invalid",
        ),
        (
            "a role more",
            claim("roles", json!(["observer", "lead"])),
            "token_invalid",
        ),
        (
            "another mission",
            claim("mission", json!("0b9a3f4e-1111-4222-8333-444455556666")),
            "token_revoked",
        ),
        (
            "cut off",
            good[..good.len() - 4].to_owned(),
            "token_invalid",
        ),
        ("5 kB", "x".repeat(5_000), "token_invalid"),
    ];
    for (name, token, code) in table {
        let me = Console::with_token(&bench.site.origin(), &token).get("/v1/me");
        if name == "a role more" {
            // A phone is an observer, whatever its token says.
            assert!(
                me.status == 401 || me.json()["roles"] == json!(["observer"]),
                "{name}: {}",
                me.text()
            );
        } else {
            assert_eq!(
                (me.status, me.code().as_str()),
                (401, code),
                "{name}: {}",
                me.text()
            );
            // The token is bad; the entry is not.
            let entry = bench.phone.file_text(name);
            let exchanged = bench
                .phone
                .exchange(&bench.phone.request(&[&entry]), Some(&token));
            assert_eq!(exchanged.short(&entry), "stored", "{name}");
            assert_eq!(
                exchanged.response.token.map(|code| code.name()),
                Some(code),
                "{name}"
            );
            assert!(
                exchanged.response.items.is_empty() && exchanged.response.cursor.is_none(),
                "{name}"
            );
            bench.good.push(entry.hash());
        }
    }
    assertions(&bench);
    bench.finish();
}

/// Assertions that prove nothing get no token.
fn assertions(bench: &Bench) {
    use protocol::assertion::{Assertion, audience};
    let phone = &bench.phone;
    let now = scrutineer::clock::Host::system().now().seconds();
    let good = Assertion {
        iss: phone.kid(),
        sub: phone.kid(),
        aud: audience(&phone.invitation.key),
        iat: now,
        exp: now + 300,
        jti: "one".into(),
    };
    let stranger = SoftwareKey::ed25519(&[8; 32]);
    let other = stranger.public().thumbprint();
    let changes: [(&str, Assertion); 8] = [
        (
            "aud",
            Assertion {
                aud: audience(&other),
                ..good.clone()
            },
        ),
        (
            "iss",
            Assertion {
                iss: other.clone(),
                ..good.clone()
            },
        ),
        (
            "sub",
            Assertion {
                sub: other.clone(),
                ..good.clone()
            },
        ),
        (
            "expired",
            Assertion {
                iat: now - 600,
                exp: now - 300,
                ..good.clone()
            },
        ),
        (
            "too long",
            Assertion {
                exp: now + 3600,
                ..good.clone()
            },
        ),
        (
            "in the future",
            Assertion {
                iat: now + 3600,
                exp: now + 3700,
                ..good.clone()
            },
        ),
        (
            "overflow",
            Assertion {
                iat: i64::MIN,
                exp: i64::MAX,
                ..good.clone()
            },
        ),
        (
            "backwards",
            Assertion {
                iat: i64::MAX,
                exp: i64::MIN,
                ..good.clone()
            },
        ),
    ];
    for (name, claims) in changes {
        let answer = phone.ask_token_with(&claims);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "invalid_grant"),
            "{name}: {}",
            answer.text()
        );
        assert!(
            answer.json()["server_time"].is_string(),
            "{name}: a phone with a wrong clock learns the time"
        );
    }
    let signed = good.sign(&stranger).expect("signs");
    phone
        .ask_token_signed(&signed)
        .refuses(400, "invalid_grant");
    // An entry is no assertion, and no text is.
    for text in [
        phone.clone().file_text("x").compact(),
        "",
        "a.b.c",
        &"x".repeat(5_000),
    ] {
        phone.ask_token_signed(text).refuses(400, "invalid_grant");
    }
    phone.ask_token_with(&good).ok();
}

fn revocation_and_quarantine(kind: Db) {
    let mut bench = Bench::new(kind);
    let lead = bench.site.console(bench.mission, "lead");
    let coordinator = bench.site.console(bench.mission, "coordinator");
    let mut phone = Phone::enrolled(&bench.site, bench.mission, "D-3");
    let before = phone.file_text("before");
    assert_eq!(phone.send(&[&before]).short(&before), "stored");
    let token = phone.token();
    let device = lead.get("/v1/devices?accreditation=D-3").ok()["devices"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let path = format!("/v1/devices/{device}/revocation");
    lead.post(&path, &json!({ "reason": " " }))
        .refuses(400, "reason_needed");
    lead.post(&path, &json!({ "reason": "lost in a taxi" }))
        .ok();
    lead.post(&path, &json!({ "reason": "again" }))
        .refuses(409, "already_done");
    // Its tokens die at once, and it gets no other.
    Console::with_token(&bench.site.origin(), &token)
        .get("/v1/me")
        .refuses(401, "token_revoked");
    phone.ask_token().refuses(400, "invalid_grant");
    // Its entries are kept, apart, and a decision lets one in.
    let after = phone.file_text("after");
    let more = phone.amend(&after, after.hash(), "after, and more");
    assert_eq!(
        phone.send(&[&after, &more]).short(&after),
        "quarantined:revoked_device"
    );
    assert_eq!(
        phone.send(&[&more]).short(&more),
        "already_stored:revoked_device"
    );
    let id = phone::subject(&after);
    coordinator
        .get(&format!("/v1/reports/{id}"))
        .refuses(404, "not_found");
    let waiting = coordinator.all("/v1/quarantine?limit=1&standing=quarantined", "entries");
    assert_eq!(waiting.len(), 2);
    assert!(
        waiting
            .iter()
            .all(|entry| entry["report"] == json!(id) && entry["quarantine"] == "revoked_device")
    );
    let admission = format!("/v1/quarantine/{}/admission", after.hash());
    coordinator
        .post(&admission, &json!({ "reason": "known to us" }))
        .ok();
    coordinator
        .post(&admission, &json!({ "reason": "again" }))
        .refuses(409, "already_done");
    assert_eq!(
        coordinator.get(&format!("/v1/reports/{id}")).ok()["report"]["text"],
        "after"
    );
    let admission = format!("/v1/quarantine/{}/admission", more.hash());
    coordinator
        .post(&admission, &json!({ "reason": "known to us" }))
        .ok();
    assert_eq!(
        coordinator.get(&format!("/v1/reports/{id}")).ok()["report"]["text"],
        "after, and more"
    );
    assert_eq!(coordinator.all("/v1/quarantine", "entries").len(), 0);
    bench
        .good
        .extend([before.hash(), after.hash(), more.hash()]);
    // The whole accreditation.
    let mut second = Phone::enrolled(&bench.site, bench.mission, "D-4");
    let token = second.token();
    lead.post(
        "/v1/accreditations/D-4/revocation",
        &json!({ "reason": "withdrawn by the commission" }),
    )
    .ok();
    Console::with_token(&bench.site.origin(), &token)
        .get("/v1/me")
        .refuses(401, "token_revoked");
    let late = second.file_text("late");
    assert_eq!(
        second.send(&[&late]).short(&late),
        "quarantined:revoked_device"
    );
    bench.good.push(late.hash());
    bench
        .site
        .run(&[
            "enrolment",
            "issue",
            "--mission",
            &bench.mission.to_string(),
            "--accreditation",
            "D-4",
        ])
        .refuses("accreditation_revoked");
    coordinator
        .post("/v1/enrolment-codes", &json!({ "accreditation": "D-4" }))
        .refuses(409, "accreditation_revoked");
    // An account that is disabled.
    coordinator.get("/v1/me").ok();
    let email = format!(
        "coordinator-{}@example.org",
        &bench.mission.to_string()[..8]
    );
    bench
        .site
        .run(&["user", "disable", "--email", &email])
        .json();
    coordinator.get("/v1/me").refuses(401, "token_revoked");
    bench.finish();
}

/// A phone whose key the server never took keeps everything it has.
fn a_key_never_enrolled(kind: Db) {
    let site = Site::new(kind);
    let mission = site.small_mission("Never enrolled");
    let link = site.invite(mission, "D-1");
    let observer = Observer::new();
    assert_eq!(
        observer.enrol(&link)["enrolled"],
        false,
        "the server is stopped"
    );
    let filed = observer.file(&[
        "--category",
        "ballot_stuffing",
        "--text",
        "kept on the phone",
    ]);
    let server = site.start();
    // Somebody else was quicker with the same link.
    Phone::new(&link, Chance::seeded(3)).enrol().ok();
    for _ in 0..2 {
        let _ = observer.run(&["sync", "--patience", "0"]);
        let status = observer.run(&["status"]).json();
        assert_eq!(
            (&status["pending"], &status["enrolled"]),
            (&json!(1), &json!(false)),
            "{status}"
        );
    }
    let list = observer.run(&["list"]).json();
    assert_eq!(list[0]["report"], filed["report"]);
    assert_eq!(list[0]["text"], "kept on the phone");
    let entries = ledger::audit(&site, mission);
    assert_eq!(
        entries
            .iter()
            .filter(|entry| entry.kind() == "file")
            .count(),
        0,
        "nothing was stored"
    );
    // And a phone of the test's own: refused, not stored.
    let mut phone = Phone::new(&site.invite(mission, "D-2"), Chance::seeded(4));
    let entry = phone.file_text("signed by nobody we know");
    assert_eq!(phone.send(&[&entry]).short(&entry), "refused:unknown_key");
    // Enrolled later, the very same entry goes in.
    phone.enrol().ok();
    assert_eq!(phone.send(&[&entry]).short(&entry), "stored");
    assert_eq!(http::faults(), Vec::<String>::new());
    let (status, log) = server.stop();
    assert_eq!(status, Some(0), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}
