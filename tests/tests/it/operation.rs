//! Running a server: TLS, addresses, stopping, migrations, settings.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use protocol::exchange::Response;
use tests::{
    chance::Chance,
    database::Kind,
    ledger,
    observer::Observer,
    on_both_databases,
    phone::Phone,
    site::Site,
    wait::{self, Deadline},
};

on_both_databases!(
    a_graceful_stop_loses_nothing,
    every_command_honours_the_database_url,
    documents_are_served,
);

/// SIGTERM under load, several times: what was acknowledged is there, and
/// nothing is half done.
fn a_graceful_stop_loses_nothing(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Stop");
    let mut server = site.start();
    let phones: Vec<Phone> = (0..6)
        .map(|at| Phone::enrolled(&site, mission, &format!("D-{}", at % 5 + 1)))
        .collect();
    let mut chance = Chance::new();
    eprintln!("SCRUTINEER_SEED={}", chance.seed);
    let done = AtomicBool::new(false);
    let acknowledged: BTreeSet<String> = thread::scope(|scope| {
        let senders: Vec<_> = phones
            .into_iter()
            .map(|mut phone| {
                let done = &done;
                scope.spawn(move || {
                    let mut confirmed = Vec::new();
                    while !done.load(Ordering::Relaxed) {
                        let entries: Vec<_> =
                            (0..5).map(|_| phone.file_text("under load")).collect();
                        let request = phone.request(&entries.iter().collect::<Vec<_>>());
                        let headers = [("content-type", "application/json")];
                        let url = format!("{}/v1/exchange", phone.origin());
                        let body = serde_json::to_vec(&request).expect("JSON");
                        match tests::http::try_send("POST", &url, &headers, Some(body)) {
                            Ok(answer) if answer.status == 200 => {
                                let response: Response =
                                    serde_json::from_slice(&answer.body).expect("an answer");
                                assert_eq!(
                                    response.outcomes.len(),
                                    entries.len(),
                                    "all or nothing"
                                );
                                confirmed.extend(
                                    response
                                        .outcomes
                                        .iter()
                                        .map(|outcome| outcome.hash.to_string()),
                                );
                            }
                            Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
                            // The server is gone for a moment.
                            Err(_) => wait::pause(Duration::from_millis(10)),
                        }
                    }
                    confirmed
                })
            })
            .collect();
        for _ in 0..3 {
            wait::pause(Duration::from_millis(150 + chance.below(150)));
            server.ask_to_stop();
            let status = server.wait(Deadline::after(wait::LONG)).expect("it stops");
            assert!(status.success(), "{status}: {}", server.log());
            server = site.start();
        }
        wait::pause(Duration::from_millis(100));
        done.store(true, Ordering::Relaxed);
        senders
            .into_iter()
            .flat_map(|sender| sender.join().expect("a sender"))
            .collect()
    });
    server.stop();
    let there: BTreeSet<String> = ledger::audit(&site, mission)
        .into_iter()
        .map(|entry| entry.hash.to_string())
        .collect();
    let lost: Vec<_> = acknowledged.difference(&there).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(
        acknowledged.len() >= 50,
        "there was load: {}",
        acknowledged.len()
    );
}

fn every_command_honours_the_database_url(kind: Kind) {
    // The folder's own settings name no database; only the flag does.
    let mut site = Site::bare(kind);
    site.unset("database_url");
    let elsewhere;
    let url = match kind {
        Kind::Postgres => site.database.url(),
        Kind::Sqlite => {
            elsewhere = site.scratch().join("elsewhere.sqlite");
            format!("sqlite://{}", elsewhere.display())
        }
    };
    let with = |arguments: &[&str]| site.run(&[arguments, &["--database-url", &url]].concat());
    with(&["init"]).json();
    // `init` may remember the address; every command is told again.
    fs::write(site.data.join("scrutineer.toml"), "").expect("settings");
    let created = with(&[
        "mission",
        "create",
        "--name",
        "N",
        "--election",
        "E",
        "--timezone",
        "Asia/Baku",
    ])
    .json();
    let mission = created["mission"].as_str().expect("a mission");
    let stations = site
        .file("stations.csv", tests::site::SMALL_STATIONS)
        .display()
        .to_string();
    assert_eq!(
        with(&["import", "stations", &stations, "--mission", mission]).json()["created"],
        12
    );
    let accreditations = site
        .file("accreditations.csv", tests::site::SMALL_ACCREDITATIONS)
        .display()
        .to_string();
    with(&[
        "import",
        "accreditations",
        &accreditations,
        "--mission",
        mission,
    ])
    .json();
    let link = with(&[
        "enrolment",
        "issue",
        "--mission",
        mission,
        "--accreditation",
        "D-1",
    ])
    .json();
    let added = site.run_with(
        &[
            "user",
            "add",
            "--mission",
            mission,
            "--role",
            "lead",
            "--email",
            "l@example.org",
            "--password-stdin",
            "--database-url",
            &url,
        ],
        &format!("{}\n", tests::site::PASSWORD),
    );
    added.json();
    assert_eq!(
        with(&["mission", "list"]).json().as_array().map(Vec::len),
        Some(1)
    );
    let listen = format!("127.0.0.1:{}", site.port.number);
    let server = site.spawn_with(&["--listen", &listen, "--database-url", &url]);
    server.wait_ready();
    let mut phone = Phone::new(link["url"].as_str().expect("a link"), Chance::seeded(1));
    phone.enrol().ok();
    let entry = phone.file_text("through the flag");
    assert_eq!(phone.send(&[&entry]).short(&entry), "stored");
    server.stop();
    let report = tests::phone::subject(&entry).to_string();
    with(&["report", "show", &report]).json();
    with(&["report", "list"]).json();
    with(&[
        "report",
        "decide",
        &report,
        "--as",
        "l@example.org",
        "--to",
        "in_review",
    ])
    .json();
    let devices = with(&["device", "list"]).json();
    assert!(devices.to_string().contains("D-1"), "{devices}");
    with(&["quarantine", "list"]).json();
    let out = site.scratch().join("out.csv").display().to_string();
    with(&["export", "--format", "csv", "-o", &out]).json();
    assert!(
        fs::read_to_string(&out)
            .expect("the export")
            .contains("through the flag")
    );
    with(&["rebuild"]).json();
    assert!(
        !site.data.join("scrutineer.sqlite").exists(),
        "no command made a database of its own"
    );
}

fn documents_are_served(kind: Kind) {
    let site = Site::new(kind);
    let server = site.start();
    let openapi = server.get("/openapi.json").ok();
    assert!(
        openapi["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.1")),
        "{}",
        openapi["openapi"]
    );
    for route in scrutineer::api::routes::ROUTES
        .iter()
        .filter(|route| route.path.starts_with("/v1/"))
    {
        let method = route.method.as_str().to_lowercase();
        assert!(
            openapi["paths"][route.path][&method].is_object(),
            "{method} {} is not described",
            route.path
        );
    }
    let docs = server.get("/docs");
    assert_eq!(docs.status, 200);
    assert!(
        !docs.text().contains("src=\"http") && !docs.text().contains("href=\"http"),
        "no outside host"
    );
    for path in ["/healthz", "/readyz", "/.well-known/jwks.json"] {
        server.get(path).ok();
    }
    let answer = server.get("/v1/reports");
    answer.refuses(401, "token_missing");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(answer.header(name), value);
    }
    server.stop();
}

#[test]
fn tls_with_a_mission_s_own_authority() {
    let mut site = Site::new(Kind::Sqlite);
    let mission = site.small_mission("TLS");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/tls");
    let copy = |name: &str, mode: u32| {
        let path = site.file(name, fs::read(fixtures.join(name)).expect("the fixture"));
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        path
    };
    let (chain, key, authority) = (
        copy("server.pem", 0o644),
        copy("server.key", 0o644),
        copy("ca.pem", 0o644),
    );
    site.with_tls(&chain, &key);
    // A key that others may read is no secret.
    let mut refused = site.spawn();
    assert_eq!(
        refused
            .wait(Deadline::after(wait::LONG))
            .and_then(|status| status.code()),
        Some(1),
        "{}",
        refused.log()
    );
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("a mode");
    let server = site.start();
    let link = site.invite(mission, "D-1");
    assert!(link.starts_with("https://localhost:"), "{link}");
    // Without the authority the observer believes nobody, and loses nothing.
    let mut observer = Observer::new();
    assert_eq!(observer.enrol(&link)["enrolled"], false);
    let filed = observer.file(&["--category", "ballot_stuffing", "--text", "over TLS"]);
    observer
        .run(&["sync", "--patience", "0"])
        .refuses("network_failed");
    observer.options = vec!["--ca-file".into(), authority.display().to_string()];
    let synced = observer.sync();
    assert_eq!(
        (&synced["delivered"], &synced["pending"]),
        (&1.into(), &0.into()),
        "{synced}"
    );
    // Plain HTTP on that port gets nowhere.
    let plain = format!("http://localhost:{}/healthz", site.port.number);
    assert!(
        tests::http::try_send("GET", &plain, &[], None).map_or(true, |answer| answer.status >= 400)
    );
    server.stop();
    let entries = ledger::audit(&site, mission);
    assert!(
        entries
            .iter()
            .any(|entry| filed["entry"] == entry.hash.to_string())
    );
}

#[test]
fn no_plain_http_beyond_this_machine() {
    let mut site = Site::new(Kind::Sqlite);
    for listen in ["0.0.0.0", "[::]"] {
        let listen = format!("{listen}:{}", site.port.number);
        let mut server = site.spawn_with(&["--listen", &listen, "--json"]);
        let status = server
            .wait(Deadline::after(wait::LONG))
            .and_then(|status| status.code());
        assert_eq!(status, Some(1), "{listen}: {}", server.log());
        assert!(
            server.log().contains("configuration_invalid"),
            "{}",
            server.log()
        );
    }
    // Behind a proxy that ends TLS, and is named, it may.
    site.set("trusted_proxies", "[\"127.0.0.1\"]");
    let server = site.spawn_with(&["--listen", &format!("0.0.0.0:{}", site.port.number)]);
    server.wait_ready();
    server.stop();
    // And the observer does not, whatever the link says.
    let link = site
        .invite(site.small_mission("Plain"), "D-1")
        .replace("http://127.0.0.1", "http://192.0.2.1");
    Observer::new()
        .run(&["enrol", &link])
        .refuses("link_invalid");
}

#[test]
fn port_0_takes_any() {
    let site = Site::new(Kind::Sqlite);
    let server = site.spawn_with(&["--listen", "127.0.0.1:0", "--json"]);
    let line = server.wait_ready();
    let address = line.split("http://").nth(1).expect("an address");
    let address: String = address
        .chars()
        .take_while(|c| c.is_ascii_digit() || ".:".contains(*c))
        .collect();
    assert_eq!(
        tests::http::send("GET", &format!("http://{address}/healthz"), &[], None).status,
        200
    );
    server.stop();
}

#[test]
fn the_schemas_are_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let names = |database: &str| -> BTreeSet<String> {
        let folder = fs::read_dir(root.join(database)).expect("the migrations");
        folder
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    };
    assert_eq!(names("sqlite"), names("postgres"));
    let (sqlite, postgres) = (Site::new(Kind::Sqlite), Site::new(Kind::Postgres));
    let (sqlite, postgres) = (sqlite.database.schema(), postgres.database.schema());
    assert!(sqlite.contains_key("entries"));
    assert_eq!(sqlite, postgres);
    for (table, columns) in sqlite {
        assert!(
            columns.iter().any(|(_, nullable)| !nullable),
            "{table} has a column that must be there"
        );
    }
}

/// PostgreSQL's planner, without statistics, once read half the mission for each
/// batch (docs/adr/0006). The tests' cluster never analyses its tables.
#[test]
fn ingest_reads_what_it_needs_without_statistics() {
    const REPORTS: i64 = 1_000;
    let site = Site::new(Kind::Postgres);
    let mission = site.small_mission("Plans");
    let server = site.start();
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    for _ in 0..REPORTS / 50 {
        let entries: Vec<_> = (0..50)
            .map(|turn| phone.file_text(&format!("{turn}")))
            .collect();
        let _ = phone.send(&entries.iter().collect::<Vec<_>>());
    }
    // Its connections' counts are known once they have ended.
    server.stop();
    let read = site.database.count(
        "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_user_tables
         WHERE relname IN ('entries', 'reports')",
    );
    // The index over words reads each entry, the report's first entry and the report once.
    let index = 3 * REPORTS;
    assert!(
        read <= index + 2 * REPORTS,
        "{read} rows read to file {REPORTS}"
    );
    assert_eq!(site.database.count("SELECT count(*) FROM reports"), REPORTS);
}

/// Connections that PostgreSQL closed meanwhile (a restart, a fail-over) cost no
/// request: that they are gone shows before anything is done.
#[test]
fn connections_that_went_stale_cost_nothing() {
    let site = Site::new(Kind::Postgres);
    let mission = site.small_mission("Stale");
    let server = site.start();
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    for turn in 0..3 {
        let entry = phone.file_text(&format!("{turn}"));
        assert_eq!(phone.send(&[&entry]).short(&entry), "stored");
        let closed = site.database.count(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
        assert!(closed > 0, "the server has connections");
    }
    assert_eq!(site.database.count("SELECT count(*) FROM reports"), 3);
    drop(server);
}

/// Two servers that start at once on a new database migrate it once.
#[test]
fn starting_together() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let site = Site::new(kind);
        let twin = if kind == Kind::Postgres {
            site.twin()
        } else {
            Site::new(kind)
        };
        let servers = [site.spawn(), twin.spawn()];
        for server in &servers {
            server.wait_ready();
            server.get("/readyz").ok();
        }
    }
}
