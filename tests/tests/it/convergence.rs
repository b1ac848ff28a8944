//! Everything arrives once, whatever is killed: observers file with the server
//! stopped and then synchronise all at once, while server and clients are
//! killed at random moments.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs, thread,
    time::Duration,
};

use protocol::{
    entry::{DECISION_TYP, DEVICE_TYP, SdJwt},
    ids::MissionId,
    jose::{Jwk, PublicKey},
};
use serde_json::Value;
use tests::{
    chance::Chance,
    database::Kind,
    demo_data::{self, Act, Election},
    ledger,
    observer::Observer,
    site::Site,
    wait,
};

const ROUNDS: usize = 5;

#[test]
fn on_sqlite() {
    everything_arrives_once(vec![Site::new(Kind::Sqlite)]);
}

#[test]
fn on_postgres() {
    everything_arrives_once(vec![Site::new(Kind::Postgres)]);
}

#[test]
fn on_postgres_with_two_servers() {
    let first = Site::new(Kind::Postgres);
    let second = first.twin();
    everything_arrives_once(vec![first, second]);
}

/// An observer, and which entries `observer` confirmed to have kept.
struct Witness {
    observer: Observer,
    confirmed: BTreeSet<String>,
}

impl Witness {
    fn confirm(&mut self, answer: &Value) {
        self.confirmed
            .insert(answer["entry"].as_str().expect("an entry").to_owned());
    }

    /// Every entry on the device.
    fn entries(&self) -> BTreeSet<String> {
        let reports = self.observer.run(&["list"]).json();
        let steps = reports
            .as_array()
            .expect("a list")
            .iter()
            .flat_map(|report| report["entries"].as_array().expect("entries"));
        steps
            .map(|step| step["entry"].as_str().expect("a hash").to_owned())
            .collect()
    }

    fn pending(&self) -> u64 {
        self.observer.run(&["status"]).json()["pending"]
            .as_u64()
            .expect("a number")
    }
}

fn everything_arrives_once(sites: Vec<Site>) {
    let mut chance = Chance::new();
    let seed = chance.seed;
    eprintln!("SCRUTINEER_SEED={seed}");
    let mission = sites[0].create_mission("Convergence");
    for register in ["stations", "accreditations", "categories"] {
        sites[0].import(
            register,
            &demo_data::folder().join(register).with_extension("csv"),
            mission,
        );
    }
    let mut witnesses = file_offline(&sites, mission);
    assert!(witnesses.len() >= 8);
    for round in 0..ROUNDS {
        chaos(&sites, &mut witnesses, &mut chance, round);
    }
    let servers: Vec<_> = sites.iter().map(Site::start).collect();
    for attempt in 0.. {
        let left: u64 = thread::scope(|scope| {
            let all: Vec<_> = witnesses
                .iter()
                .map(|witness| {
                    scope.spawn(|| {
                        // A phone that was shed waits and comes again.
                        let _ = witness.observer.run(&["sync"]);
                        witness.pending()
                    })
                })
                .collect();
            all.into_iter().map(|one| one.join().expect("a sync")).sum()
        });
        if left == 0 {
            break;
        }
        assert!(
            attempt < 5,
            "{left} entries still wait; SCRUTINEER_SEED={seed}"
        );
    }
    drop(servers);
    check(&sites, mission, &witnesses, seed);
}

/// The demo's reports, amendments and withdrawals, with no server running.
fn file_offline(sites: &[Site], mission: MissionId) -> Vec<Witness> {
    let mut plans: BTreeMap<String, Vec<Act>> = BTreeMap::new();
    let mut owners: HashMap<String, String> = HashMap::new();
    for act in Election::Parliamentary.acts() {
        match &act {
            Act::File(filing) => {
                owners.insert(filing.incident.clone(), filing.observer.clone());
                plans.entry(filing.observer.clone()).or_default().push(act);
            }
            Act::Amend { incident, .. } | Act::Withdraw { incident, .. } => {
                plans.entry(owners[incident].clone()).or_default().push(act);
            }
            Act::Answer { .. } | Act::Decide { .. } => {}
        }
    }
    let plans: Vec<_> = plans.into_iter().enumerate().collect();
    let halves = plans.len().div_ceil(2);
    thread::scope(|scope| {
        let workers: Vec<_> = plans
            .chunks(halves)
            .map(|plans| {
                scope.spawn(move || {
                    plans
                        .iter()
                        .map(|(at, (number, acts))| {
                            let link = sites[at % sites.len()].invite(mission, number);
                            file_all(&link, acts)
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("filing"))
            .collect()
    })
}

fn file_all(link: &str, acts: &[Act]) -> Witness {
    let mut witness = Witness {
        observer: Observer::new(),
        confirmed: BTreeSet::new(),
    };
    let enrolled = witness.observer.enrol(link);
    assert_eq!(enrolled["enrolled"], false, "the server is stopped");
    let mut reports: HashMap<&str, String> = HashMap::new();
    for act in acts {
        let answer = match act {
            Act::File(filing) => {
                let arguments = filing.arguments();
                let answer = witness
                    .observer
                    .file(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
                reports.insert(
                    &filing.incident,
                    answer["report"].as_str().expect("a report").to_owned(),
                );
                answer
            }
            Act::Amend { incident, text } => witness
                .observer
                .run(&[
                    "amend",
                    &reports[incident.as_str()],
                    &format!("--text={text}"),
                ])
                .json(),
            Act::Withdraw { incident, reason } => witness
                .observer
                .run(&[
                    "withdraw",
                    &reports[incident.as_str()],
                    &format!("--reason={reason}"),
                ])
                .json(),
            Act::Answer { .. } | Act::Decide { .. } => continue,
        };
        witness.confirm(&answer);
    }
    witness
}

/// All synchronise, some file on, and anything may be killed.
fn chaos(sites: &[Site], witnesses: &mut [Witness], chance: &mut Chance, round: usize) {
    let mut servers: Vec<_> = sites.iter().map(|site| Some(site.start())).collect();
    let text = format!("--text=Filed in round {round} while everything was being killed");
    let mut running = Vec::new();
    for (at, witness) in witnesses.iter().enumerate() {
        if chance.below(2) == 0 {
            running.push((
                at,
                witness
                    .observer
                    .spawn(&["file", "--category", "ballot_stuffing", &text]),
            ));
        }
        running.push((at, witness.observer.spawn(&["sync", "--patience", "0"])));
    }
    chance.shuffle(&mut running);
    let mut ended = Vec::new();
    for _ in 0..8 {
        wait::pause(Duration::from_millis(chance.below(60)));
        match chance.below(3) {
            0 => {
                let at = usize::try_from(chance.below(sites.len() as u64)).expect("small");
                // Killed while it works, or while it starts.
                if let Some(server) = servers[at].take() {
                    server.kill();
                }
                servers[at] = Some(sites[at].spawn());
            }
            _ => {
                if let Some((at, process)) = running.pop() {
                    ended.push((at, process.kill()));
                }
            }
        }
    }
    ended.extend(
        running
            .into_iter()
            .map(|(at, process)| (at, process.wait())),
    );
    for (at, end) in ended {
        // What was said before the end counts: it was kept.
        if let Ok(answer) = serde_json::from_str::<Value>(&end.output)
            && answer["entry"].is_string()
        {
            witnesses[at].confirm(&answer);
        }
    }
    for server in servers.into_iter().flatten() {
        server.kill();
    }
}

fn check(sites: &[Site], mission: MissionId, witnesses: &[Witness], seed: u64) {
    let entries = ledger::audit(&sites[0], mission);
    let in_ledger: Vec<String> = entries
        .iter()
        .filter(|entry| entry.row.device.is_some())
        .map(|entry| entry.hash.to_string())
        .collect();
    let once: BTreeSet<String> = in_ledger.iter().cloned().collect();
    assert_eq!(once.len(), in_ledger.len());
    let mut on_devices = BTreeSet::new();
    for witness in witnesses {
        let entries = witness.entries();
        let lost: Vec<_> = witness.confirmed.difference(&entries).collect();
        assert!(
            lost.is_empty(),
            "confirmed and not on the device: {lost:?}; SCRUTINEER_SEED={seed}"
        );
        on_devices.extend(entries);
    }
    assert_eq!(
        once, on_devices,
        "the ledger holds what the devices hold; SCRUTINEER_SEED={seed}"
    );
    assert!(
        entries.iter().all(|entry| entry.row.standing == "applied"),
        "nothing waits or is apart"
    );
    assert_eq!(
        entries
            .iter()
            .filter(|entry| entry.kind() == "enrol")
            .count(),
        witnesses.len()
    );
    // The same from outside: the file that a third party gets.
    let exports: Vec<String> = sites.iter().map(|site| export(site, mission)).collect();
    assert!(
        exports.windows(2).all(|pair| pair[0] == pair[1]),
        "every server exports the same bytes"
    );
    let mut exported = BTreeSet::new();
    let mut reports = BTreeSet::new();
    for line in exports[0].lines() {
        let report: Value = serde_json::from_str(line).expect("JSON");
        assert!(
            reports.insert(report["report"].as_str().expect("an id").to_owned()),
            "a report stands twice"
        );
        for entry in report["entries"].as_array().expect("entries") {
            exported.insert(verify(entry));
        }
    }
    assert_eq!(exported, once, "the export holds every entry");
    assert!(reports.len() >= 43);
}

/// Verifies an exported entry with nothing but what stands beside it.
fn verify(exported: &Value) -> String {
    let entry = SdJwt::parse(exported["sd_jwt"].as_str().expect("an SD-JWT")).expect("well-formed");
    let jwk: Jwk = serde_json::from_value(exported["signer"]["jwk"].clone()).expect("a key");
    let typ = if exported["kind"] == "decide" {
        DECISION_TYP
    } else {
        DEVICE_TYP
    };
    entry
        .verify(&PublicKey::from_jwk(&jwk).expect("a good key"), typ)
        .expect("the signature verifies");
    assert_eq!(exported["hash"], entry.hash().to_string());
    assert_eq!(entry.read().expect("readable").withheld, 0);
    entry.hash().to_string()
}

fn export(site: &Site, mission: MissionId) -> String {
    let file = site.scratch().join("reports.jsonl");
    let path = file.display().to_string();
    site.run(&[
        "export",
        "--mission",
        &mission.to_string(),
        "--format",
        "jsonl",
        "-o",
        &path,
    ])
    .json();
    fs::read_to_string(file).expect("the export")
}
