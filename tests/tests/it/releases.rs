//! A phone that was never updated: its database and its words, as every release
//! left them (`tests/fixtures`), with the programs of today.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use protocol::{
    enrolment::{self, Invitation, Proof},
    exchange,
    ids::{EntryHash, MissionId},
    jose::{Jwk, PublicKey, Signer as _, SoftwareKey},
    receipt::Receipt,
};
use rusqlite::Connection;
use serde_json::{Value, json};
use tests::{
    database::Kind,
    ledger,
    observer::Observer,
    phone,
    site::{Server, Site},
};

/// Where the fixtures' servers were: their enrolment links name it.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 53, 21, 7)), 18473);

fn releases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the fixtures")
        .map(|entry| entry.expect("a name").path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

fn json_of(path: PathBuf) -> Value {
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// The home as the release left it.
fn home(release: &Path) -> Observer {
    let observer = Observer::new();
    fs::create_dir_all(&observer.home).expect("a folder");
    private_copy(&release.join("keys.json"), &observer.home.join("keys.json"));
    let sql = fs::read_to_string(release.join("journal.sql")).expect("the journal");
    let store = Connection::open(observer.home.join("journal.db")).expect("a database");
    store.execute_batch(&sql).expect("the journal's SQL");
    observer
}

fn private_copy(from: &Path, to: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::copy(from, to).expect("copied");
    fs::set_permissions(to, fs::Permissions::from_mode(0o600)).expect("private");
}

/// What the phone and its server said, by path.
fn said(release: &Path, path: &str) -> Vec<Value> {
    let wire = json_of(release.join("wire.json"));
    let all = wire.as_array().expect("a list").iter();
    all.filter(|turn| turn["path"] == path).cloned().collect()
}

/// A server of today with that server's receipt key, mission id and address,
/// that knows the phone's key. Its ledger is empty.
fn server(release: &Path, kind: Kind) -> (Site, MissionId, Server) {
    let site = Site::new(kind);
    private_copy(
        &release.join("receipt.json"),
        &site.data.join("keys/receipt.json"),
    );
    let made = site.small_mission("Fixture");
    let old: enrolment::Response =
        serde_json::from_value(said(release, "/v1/enrolments")[0]["response"].clone())
            .expect("an old server's answer reads");
    let mission = old.mission.id;
    let bytes = |bytes: &[u8]| {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match kind {
            Kind::Sqlite => format!("X'{hex}'"),
            Kind::Postgres => format!("'\\x{hex}'::bytea"),
        }
    };
    site.database.execute(&format!(
        "UPDATE ledger_heads SET chain = {} WHERE mission = (SELECT no FROM missions WHERE id = {});
         UPDATE missions SET id = {} WHERE id = {};",
        bytes(&protocol::ledger::genesis(mission)),
        bytes(made.0.as_bytes()),
        bytes(mission.0.as_bytes()),
        bytes(made.0.as_bytes()),
    ));
    let server = site.spawn_with(&["--listen", &ADDRESS.to_string()]);
    server.wait_ready();
    enrol(release, &site.invite(mission, "D-1"));
    (site, mission, server)
}

/// Binds the phone's old key at the new server.
fn enrol(release: &Path, link: &str) {
    let invitation = Invitation::from_url(link).expect("a link");
    let keys = json_of(release.join("keys.json"));
    let secret = protocol::encoding::unb64_array(keys["device"].as_str().expect("a key"));
    let key = SoftwareKey::ed25519(&secret.expect("32 bytes"));
    let proof = Proof {
        code: invitation.code.clone(),
        aud: invitation.key,
    };
    let request = enrolment::Request {
        code: invitation.code,
        key: key.public().to_jwk(),
        proof: proof.sign(&key).expect("signs"),
    };
    phone::post(
        &format!("http://{ADDRESS}"),
        "/v1/enrolments",
        &json!(request),
    )
    .ok();
}

#[test]
fn an_old_home_reads_as_it_did() {
    for release in releases() {
        let observer = home(&release);
        let now = observer.run(&["list"]).json();
        let then = json_of(release.join("list.json"));
        let (now, then) = (
            now.as_array().expect("a list"),
            then.as_array().expect("a list"),
        );
        assert_eq!(now.len(), then.len());
        for (now, then) in now.iter().zip(then) {
            // Later versions may say more, never something else.
            for (name, value) in then.as_object().expect("a report") {
                assert_eq!(now[name], *value, "{}: {name}", release.display());
            }
        }
    }
}

/// Both databases one after the other: the address can be had once.
#[test]
fn an_old_phone_goes_on_at_a_server_of_today() {
    for release in releases() {
        for kind in [Kind::Sqlite, Kind::Postgres] {
            goes_on(&release, kind);
        }
    }
}

fn goes_on(release: &Path, kind: Kind) {
    let (site, mission, server) = server(release, kind);
    // Word for word what the old phone said, on a server of today.
    let mut known = 0;
    for turn in said(release, "/v1/exchange") {
        let count = turn["request"]["entries"].as_array().map_or(0, Vec::len);
        let answer = phone::post(
            &format!("http://{ADDRESS}"),
            "/v1/exchange",
            &turn["request"],
        )
        .ok();
        let outcomes = answer["outcomes"].as_array().cloned().unwrap_or_default();
        assert_eq!(outcomes.len(), count);
        assert!(
            outcomes
                .iter()
                .all(|outcome| outcome["outcome"] == "stored"),
            "{answer}"
        );
        known += count;
    }
    assert!(known > 0);
    let observer = home(release);
    let pending = observer.run(&["status"]).json();
    let report = observer.sync();
    assert_eq!(report["pending"], 0, "{report}");
    assert_eq!(
        (&report["quarantined"], &report["refused"], &report["held"]),
        (&json!(0), &json!(0), &json!(0)),
        "{report}"
    );
    let entries = ledger::audit(&site, mission);
    let of_devices = entries.iter().filter(|entry| entry.row.device.is_some());
    let mine = Connection::open(observer.home.join("journal.db")).expect("the home");
    let filed: i64 = mine
        .query_row("SELECT count(*) FROM journal", [], |row| row.get(0))
        .expect("a count");
    let filed = usize::try_from(filed).expect("not negative");
    assert_eq!(of_devices.count(), filed, "every entry once: {pending}");
    assert!(filed > known, "some were filed without a network");
    drop(server);
}

/// What an old server said is understood: its receipts prove what they proved.
#[test]
fn old_answers_are_understood() {
    for release in releases() {
        let keys = said(&release, "/v1/enrolments");
        let jwk: Jwk =
            serde_json::from_value(keys[0]["response"]["receipt_key"].clone()).expect("a key");
        let key = PublicKey::from_jwk(&jwk).expect("a key");
        let mut receipts = 0;
        for turn in said(&release, "/v1/exchange") {
            let response: exchange::Response =
                serde_json::from_value(turn["response"].clone()).expect("an answer");
            let Some(receipt) = &response.receipt else {
                continue;
            };
            let receipt = Receipt::verify(receipt, &key).expect("it verifies");
            for outcome in &response.outcomes {
                let number: Option<u64> = receipt.number_of(&outcome.hash);
                assert!(number.is_some() && number == outcome.number);
            }
            let hashes: Vec<EntryHash> = receipt.entries.iter().map(|held| held.hash).collect();
            receipts += hashes.len();
        }
        assert!(receipts > 0, "{}", release.display());
    }
}
