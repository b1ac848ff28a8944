//! Stories in a real browser. A script of `tests/node/console` plays the people at the
//! desks; this is the stage behind them, which runs what a browser cannot: observers'
//! phones, accounts, the server's end and its start, and the verifier of exports.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::Stdio,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use protocol::ids::MissionId;
use serde_json::{Value, json};

use crate::{
    database::Kind,
    demo_data::{Act, Election},
    observer::Observer,
    programs, reaper,
    site::{PASSWORD, Server, Site},
};

/// The registers of a story's mission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registers {
    /// A dozen stations and five observers.
    Small,
    /// Those of the demo, so that its acts can be played.
    Demo,
}

/// Plays a story to its end, in a small mission.
///
/// # Panics
/// When it fails; what it found stands on standard error.
pub fn play(kind: Kind, story: &str) {
    play_in(kind, story, Registers::Small);
}

/// Plays a story to its end.
///
/// # Panics
/// When it fails; what it found stands on standard error.
pub fn play_in(kind: Kind, story: &str, registers: Registers) {
    let site = Site::new(kind);
    let mission = match registers {
        Registers::Small => site.small_mission("Parliamentary 2024"),
        Registers::Demo => site.demo_mission("Sample Observation 2024"),
    };
    let server = site.start();
    let pictures = programs::folder().join("stories");
    fs::create_dir_all(&pictures).expect("a folder for pictures");
    let mut child = programs::node(&format!("console/{story}.mjs"))
        .env("ORIGIN", site.origin())
        .env("SHOTS", pictures.join(format!("{story}-{kind:?}")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node runs");
    reaper::kill_later(child.id());
    let mut stage = Stage {
        site,
        mission,
        server: Some(server),
        phones: BTreeMap::new(),
        reports: BTreeMap::new(),
        accounts: 0,
    };
    let mut answers = child.stdin.take().expect("a pipe");
    let asked = BufReader::new(child.stdout.take().expect("a pipe"));
    for line in asked.lines() {
        let line = line.expect("a line");
        let ask: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{story}: {line}"));
        let answer = stage.run(&ask);
        writeln!(answers, "{answer}").expect("it listens");
    }
    let ended = child.wait().expect("it ends");
    reaper::ended(child.id());
    assert!(ended.success(), "{story}: {ended}");
}

struct Stage {
    site: Site,
    mission: MissionId,
    server: Option<Server>,
    phones: BTreeMap<String, Observer>,
    /// Who filed which incident of the demo, as which report.
    reports: BTreeMap<String, (String, String)>,
    accounts: usize,
}

impl Stage {
    fn run(&mut self, ask: &Value) -> Value {
        match ask["do"].as_str().unwrap_or_default() {
            "account" => self.account(text(&ask["role"])),
            "observe" => self.observe(text(&ask["as"]), &texts(&ask["args"])),
            "acts" => acts(text(&ask["election"])),
            "act" => self.act(&ask["act"]),
            "verify" => verify(&texts(&ask["files"])),
            "scrutineer" => self.site.run(&texts(&ask["args"])).json(),
            "enrol" => {
                let observer = Observer::new();
                observer.enrol(text(&ask["url"]));
                self.phones.insert(text(&ask["as"]).to_owned(), observer);
                Value::Null
            }
            "put" => {
                let bytes = STANDARD.decode(text(&ask["bytes"])).expect("base64");
                let path = self.site.scratch().join(text(&ask["name"]));
                fs::write(&path, bytes).expect("the file");
                json!(path)
            }
            "set" => {
                self.site.set(text(&ask["name"]), text(&ask["value"]));
                Value::Null
            }
            "kill" => {
                self.server.take().expect("it runs").kill();
                Value::Null
            }
            "stop" => {
                let (status, log) = self.server.take().expect("it runs").stop();
                assert_eq!(status, Some(0), "{log}");
                Value::Null
            }
            "start" => {
                self.server = Some(self.site.start());
                Value::Null
            }
            other => panic!("the stage cannot {other}"),
        }
    }

    fn account(&mut self, role: &str) -> Value {
        self.accounts += 1;
        let email = format!("{role}-{}@example.org", self.accounts);
        let mission = (role != "operator").then_some(self.mission);
        self.site.add_user(mission, role, &email);
        json!({ "email": email, "password": PASSWORD })
    }

    /// What an observer of the demo does, on a phone of their own; answers the report.
    fn act(&mut self, act: &Value) -> Value {
        let act: Act = serde_json::from_value(act.clone()).expect("an act of the demo");
        if let Act::File(filing) = &act {
            let arguments = filing.arguments();
            let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            arguments.insert(0, "file");
            let filed = self.observe(&filing.observer, &arguments);
            self.observe(&filing.observer, &["sync"]);
            let report = text(&filed["report"]).to_owned();
            let known = (filing.observer.clone(), report.clone());
            self.reports.insert(filing.incident.clone(), known);
            return json!(report);
        }
        let (observer, report) = self.reports[act.incident()].clone();
        let (verb, words) = match &act {
            Act::Amend { text, .. } => ("amend", format!("--text={text}")),
            Act::Withdraw { reason, .. } => ("withdraw", format!("--reason={reason}")),
            Act::Answer { text, .. } => ("answer", format!("--text={text}")),
            Act::File(_) | Act::Decide { .. } => panic!("no act of a phone: {act:?}"),
        };
        if verb == "answer" {
            // The question has to come first.
            self.observe(&observer, &["sync"]);
        }
        self.observe(&observer, &[verb, &report, &words]);
        self.observe(&observer, &["sync"]);
        json!(report)
    }

    fn observe(&mut self, name: &str, arguments: &[&str]) -> Value {
        if !self.phones.contains_key(name) {
            let observer = Observer::new();
            observer.enrol(&self.site.invite(self.mission, name));
            self.phones.insert(name.to_owned(), observer);
        }
        self.phones[name].run(arguments).json()
    }
}

/// The acts of one of the demo's elections.
fn acts(election: &str) -> Value {
    let found = [Election::Presidential, Election::Parliamentary]
        .into_iter()
        .find(|one| one.file() == election);
    json!(found.expect("an election of the demo").acts())
}

/// Reads an export's three files with programs that share no code with the server;
/// answers what was verified.
fn verify(files: &[&str]) -> Value {
    let mut command = programs::python_script("verify_export.py");
    let output = command.args(files).output().expect("Python runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    json!(String::from_utf8_lossy(&output.stdout).trim())
}

fn texts(values: &Value) -> Vec<&str> {
    let values = values.as_array().expect("texts");
    values.iter().map(text).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}"))
}
