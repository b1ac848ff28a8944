//! Stations and categories from a CSV file to phones that have no network: real
//! programs, both databases.

use std::{fmt::Write as _, net::SocketAddr};

use protocol::{
    encoding::b64,
    ids::MissionId,
    reference::{self, Delta, Register, Snapshot},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tests::{
    chance::Chance,
    console::Console,
    database::Kind,
    demo_data, http,
    link::{Link, Shape},
    observer::Observer,
    on_both_databases,
    site::{Server, Site},
};

on_both_databases!(
    changes_come_along_with_the_news,
    a_line_that_breaks_off_resumes_and_shows_nothing_half,
    codes_help_and_never_stand_in_a_report_s_way,
    a_snapshot_is_read_whole_in_parts_and_as_a_difference,
);

/// The demo's 6,478 stations, of which these lines have another name.
fn stations(renamed: std::ops::Range<usize>) -> String {
    let path = demo_data::folder().join("stations.csv");
    let csv = std::fs::read_to_string(path).expect("the demo's stations");
    let mut out = String::new();
    for (at, line) in csv.lines().enumerate() {
        let line = if renamed.contains(&at) {
            line.replacen(" saylı məntəqə", " saylı məktəb", 1)
        } else {
            line.to_owned()
        };
        let _ = writeln!(out, "{line}");
    }
    out
}

struct Town {
    site: Site,
    mission: MissionId,
    server: Server,
    link: Link,
}

impl Town {
    fn new(kind: Kind) -> Self {
        let chance = Chance::new();
        let mut site = Site::new(kind);
        let mission = site.small_mission("Reference");
        site.import(
            "stations",
            &site.file("stations.csv", stations(0..0)),
            mission,
        );
        let address: SocketAddr = site.origin()["http://".len()..]
            .parse()
            .expect("an address");
        let link = Link::to(address, chance);
        site.set("public_url", &link.origin());
        let server = site.start();
        Self {
            site,
            mission,
            server,
            link,
        }
    }

    fn observer(&self, accreditation: &str) -> Observer {
        let observer = Observer::new();
        observer.enrol(&self.site.invite(self.mission, accreditation));
        observer
    }

    fn import(&self, renamed: std::ops::Range<usize>) {
        let file = self.site.file("stations.csv", stations(renamed));
        self.site.import("stations", &file, self.mission);
    }

    /// Requests that the server has answered, of each route.
    fn requests(&self, route: &str) -> usize {
        let log = self.server.log();
        let own = |line: &&str| line.contains("scrutineer::access") && line.contains(route);
        log.lines().filter(own).count()
    }
}

/// The snapshot that an observer holds, by its name.
#[track_caller]
fn held(observer: &Observer, register: &str) -> String {
    let status = observer.run(&["status"]).json();
    let registers = status["reference"].as_array().expect("registers");
    let found = registers.iter().find(|one| one["register"] == register);
    found.map_or_else(String::new, |one| {
        one["sha256"].as_str().expect("a name").to_owned()
    })
}

/// The text of a snapshot, as the server gives it.
#[track_caller]
fn text(lead: &Console, register: &str, name: &str) -> String {
    let answer = lead.get(&format!("/v1/reference/{register}/{name}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        b64(Sha256::digest(&answer.body)),
        name,
        "the hash is the name"
    );
    answer.text()
}

fn changes_come_along_with_the_news(kind: Kind) {
    let town = Town::new(kind);
    let lead = town.site.console(town.mission, "lead");
    let [near, far] = ["D-1", "D-2"].map(|number| town.observer(number));
    let before = town.link.received();
    assert_eq!(near.sync()["reference"], 2);
    let whole = town.link.received() - before;
    assert!(whole < 400_000, "{whole} bytes for 6,478 stations");
    assert_eq!(far.sync()["reference"], 2);
    let found = near.run(&["stations", "--search", "8-12"]).json();
    assert!(
        found
            .as_array()
            .is_some_and(|rows| rows.iter().any(|row| row["code"] == "8-12")),
        "{found}"
    );
    let listed = near.run(&["categories", "--lang", "az"]).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(33), "{listed}");
    assert!(listed[0]["label"].is_string());
    let first = held(&near, "stations");
    assert_eq!(near.sync()["reference"], 0);

    // Twenty stations have another name: one exchange, some kilobytes.
    town.import(100..120);
    let (before, exchanges) = (town.link.received(), town.requests("/v1/exchange"));
    let report = near.sync();
    assert_eq!(report["reference"], 1, "{report}");
    let cost = town.link.received() - before;
    assert!(cost < 6_000, "{cost} bytes for 20 stations of 6,478");
    assert_eq!(town.requests("/v1/exchange") - exchanges, 1);
    let second = held(&near, "stations");
    assert_ne!(first, second);
    let snapshot = Snapshot::parse(Register::Stations, &text(&lead, "stations", &second));
    let renamed = |name: &str| name.contains("məktəb");
    let stations: Vec<_> = snapshot.expect("a snapshot").stations().collect();
    assert_eq!(stations.len(), 6_478);
    assert_eq!(stations.iter().filter(|one| renamed(&one.name)).count(), 20);
    let here = near.run(&["stations"]).json();
    assert_eq!(here, json!(stations), "offline it is the same");

    // Three versions behind, and back to a text that was there before.
    town.import(100..140);
    town.import(0..0);
    town.import(200..210);
    let (exchanges, fetches) = (
        town.requests("/v1/exchange"),
        town.requests("/v1/reference/"),
    );
    assert_eq!(far.sync()["reference"], 1);
    assert_eq!(near.sync()["reference"], 1);
    assert_eq!(town.requests("/v1/exchange") - exchanges, 2);
    assert_eq!(town.requests("/v1/reference/"), fetches, "nothing apart");
    let newest = held(&far, "stations");
    assert_eq!(newest, held(&near, "stations"));
    text(&lead, "stations", &newest);

    // More than stands in an answer: the difference apart, not the whole.
    town.import(500..2_000);
    let before = town.link.received();
    assert_eq!(near.sync()["reference"], 1);
    let cost = town.link.received() - before;
    assert!(
        cost < whole / 2,
        "{cost} bytes of {whole} for 1,500 stations"
    );
    text(&lead, "stations", &held(&near, "stations"));

    // What was imported is what a rebuild and a second server find.
    town.site.run(&["rebuild"]).refuses("server_running");
    if matches!(kind, Kind::Postgres) {
        let twin = town.site.twin();
        let second = twin.start();
        let bearer = format!("Bearer {}", lead.token);
        let headers = [
            ("authorization", bearer.as_str()),
            ("accept-encoding", "gzip"),
        ];
        let path = format!("/v1/reference/stations/{}", held(&near, "stations"));
        let ask = |origin: &str| http::send("GET", &format!("{origin}{path}"), &headers, None);
        let (here, there) = (ask(town.server.origin()), ask(second.origin()));
        assert_eq!((here.status, there.status), (200, 200));
        assert_eq!(here.header("etag"), there.header("etag"));
        assert_eq!(here.body, there.body, "a phone may go on at the other one");
    }
}

fn a_line_that_breaks_off_resumes_and_shows_nothing_half(kind: Kind) {
    const CUTS: u32 = 8;
    let mut town = Town::new(kind);
    let observer = town.observer("D-1");
    town.link.shape(Shape {
        cut_down_after: Some(6_000..12_000),
        cuts: CUTS,
        ..Shape::default()
    });
    let before = town.link.received();
    let mut broken = 0;
    for _ in 0..CUTS * 4 {
        let ended = observer.run(&["sync"]);
        if ended.status == Some(0) && ended.json()["reference_pending"] == 0 {
            break;
        }
        assert_eq!(ended.error()["code"], "network_failed", "{ended:?}");
        broken += 1;
        assert_eq!(observer.run(&["stations"]).json(), Value::Null);
        // Nothing of this stands in a report's way.
        let filed = observer.file(&["--category", "ballot_stuffing", "--text", "Seen."]);
        assert!(filed["entry"].is_string());
    }
    assert!(
        broken > 0 && town.link.cuts() == CUTS,
        "{broken} syncs broke"
    );
    let got = town.link.received() - before;
    let rows = observer.run(&["stations"]).json();
    assert_eq!(rows.as_array().map(Vec::len), Some(6_478));
    assert_eq!(observer.run(&["status"]).json()["pending"], 0);
    // A cut costs what was on its way, and the next sync an exchange.
    let lead = town.site.console(town.mission, "lead");
    let path = format!("/v1/reference/stations/{}", held(&observer, "stations"));
    let bearer = format!("Bearer {}", lead.token);
    let headers = [
        ("authorization", bearer.as_str()),
        ("accept-encoding", "gzip"),
    ];
    let packed = http::send(
        "GET",
        &format!("{}{path}", town.server.origin()),
        &headers,
        None,
    );
    let whole = packed.body.len() as u64;
    assert!(whole > 60_000, "{whole} bytes");
    assert!(
        got < whole + u64::from(CUTS) * 20_000,
        "{got} bytes for {whole}"
    );

    // The server is restored from a backup that lacks the newest version.
    let folder = town.site.scratch().join("backup");
    let path = folder.display().to_string();
    town.site.run(&["backup", "-o", &path]).json();
    let old = held(&observer, "stations");
    town.import(0..50);
    assert_eq!(observer.sync()["reference"], 1);
    assert_ne!(held(&observer, "stations"), old);
    let mut new = Site::bare(kind);
    drop(town.server);
    std::mem::swap(&mut town.site.port, &mut new.port);
    let origin = town.link.origin();
    new.set("public_url", &origin);
    let keys = town.site.data.join("keys").display().to_string();
    new.run(&["restore", &path, "--keys", &keys]).json();
    let _server = new.start();
    let report = observer.sync();
    assert_eq!(
        (&report["new_epoch"], &report["reference"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(
        held(&observer, "stations"),
        old,
        "what the server has counts"
    );
}

fn codes_help_and_never_stand_in_a_report_s_way(kind: Kind) {
    let town = Town::new(kind);
    let observer = town.observer("D-1");
    // Before anything is here, everything is filed.
    let early = observer.file(&["--category", "no_such", "--text", "Early."]);
    assert_eq!(early["notes"], json!([]));
    observer.sync();
    let refused = observer.run(&["file", "--category", "balot_stufing", "--text", "x"]);
    refused.refuses("category_unknown");
    assert!(refused.complaint.contains("ballot_stuffing"), "{refused:?}");
    assert!(refused.complaint.contains("--unlisted-category"));
    let forced = observer.file(&[
        "--category",
        "something_new",
        "--unlisted-category",
        "--text",
        "x",
        "--station",
        "99-999",
    ]);
    let codes: Vec<&Value> = forced["notes"]
        .as_array()
        .expect("notes")
        .iter()
        .map(|note| &note["code"])
        .collect();
    assert_eq!(codes, ["category_unlisted", "station_unlisted"]);
    let filed = observer.file(&[
        "--category",
        "ballot_stuffing",
        "--station",
        "8-1",
        "--text",
        "x",
    ]);
    assert_eq!(filed["notes"], json!([]));
    let report = filed["report"].as_str().expect("an id");
    observer
        .run(&["amend", report, "--category", "nothing"])
        .refuses("category_unknown");
    assert_eq!(observer.sync()["delivered"], 2);

    // The signed entry says what it was written against, and exports carry it.
    let analyst = town.site.console(town.mission, "analyst");
    let export = analyst.get("/v1/exports/jsonl").text();
    let bodies: Vec<Value> = export
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|report| {
            let compact = report["entries"][0]["sd_jwt"]
                .as_str()
                .expect("an entry")
                .to_owned();
            let entry = protocol::entry::SdJwt::parse(&compact).expect("an entry");
            Value::Object(entry.read().expect("reads").payload.body)
        })
        .collect();
    assert_eq!(bodies[0].get("reference"), None);
    let names = json!({
        "categories": held(&observer, "categories"),
        "stations": held(&observer, "stations"),
    });
    for body in &bodies[1..] {
        assert_eq!(body["reference"], names);
    }
}

fn a_snapshot_is_read_whole_in_parts_and_as_a_difference(kind: Kind) {
    let town = Town::new(kind);
    let observer = town.observer("D-1");
    observer.sync();
    let old = held(&observer, "stations");
    town.import(10..15);
    observer.sync();
    let new = held(&observer, "stations");
    let lead = town.site.console(town.mission, "lead");
    let bearer = format!("Bearer {}", lead.token);
    let get = |path: &str, headers: &[(&str, &str)]| {
        let headers = [&[("authorization", bearer.as_str())], headers].concat();
        http::send(
            "GET",
            &format!("{}{path}", town.server.origin()),
            &headers,
            None,
        )
    };
    let path = format!("/v1/reference/stations/{new}");
    let whole = get(&path, &[]);
    assert_eq!(whole.header("content-type"), reference::MEDIA_TYPE);
    assert_eq!(
        whole.header("cache-control"),
        "private, max-age=31536000, immutable"
    );
    let (etag, size) = (whole.header("etag").to_owned(), whole.body.len());
    assert!(etag.starts_with(&format!("\"{new}")));
    assert_eq!(get(&path, &[("if-none-match", &etag)]).status, 304);
    let part = get(&path, &[("range", "bytes=10-19"), ("if-range", &etag)]);
    assert_eq!((part.status, &part.body[..]), (206, &whole.body[10..20]));
    assert_eq!(part.header("content-range"), format!("bytes 10-19/{size}"));
    let other = get(
        &path,
        &[("range", "bytes=10-19"), ("if-range", "\"other\"")],
    );
    assert_eq!((other.status, other.body.len()), (200, size));
    get(&path, &[("range", "bytes=99999999-")]).refuses(416, "range_not_satisfiable");
    let packed = get(&path, &[("accept-encoding", "gzip")]);
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert_ne!(packed.header("etag"), etag);
    assert!(
        packed.body.len() < size / 4,
        "{} of {size}",
        packed.body.len()
    );

    let difference = get(&format!("{path}?from={old}"), &[]);
    assert_eq!(difference.header("content-type"), "application/json");
    let delta: Delta = serde_json::from_slice(&difference.body).expect("a delta");
    assert_eq!(delta.put.len(), 5);
    let old_text = text(&lead, "stations", &old);
    let mut snapshot = Snapshot::parse(Register::Stations, &old_text).expect("a snapshot");
    snapshot.apply(&delta).expect("applies");
    assert_eq!(Snapshot::name(&snapshot.text()).to_string(), new);

    let nothing = b64([7; 32]);
    for (path, status, code) in [
        (
            format!("/v1/reference/stations/{nothing}"),
            404,
            "not_found",
        ),
        (format!("/v1/reference/forms/{new}"), 404, "not_found"),
        (format!("/v1/reference/categories/{new}"), 404, "not_found"),
        ("/v1/reference/stations/abc".to_owned(), 404, "not_found"),
        (format!("{path}?from={nothing}"), 404, "not_found"),
        (format!("{path}?from=abc"), 400, "malformed_query"),
        (
            format!("{path}?from={old}&from={old}"),
            400,
            "malformed_query",
        ),
        (format!("{path}?since={old}"), 400, "malformed_query"),
    ] {
        get(&path, &[]).refuses(status, code);
    }
}
