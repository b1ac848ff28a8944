//! Stories in a real browser. A script of `tests/node/console` plays the people at the
//! desks; this is the stage behind them, which runs what a browser cannot: observers'
//! phones, accounts, the server's end and its start.

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
    observer::Observer,
    programs, reaper,
    site::{PASSWORD, Server, Site},
};

/// Plays a story to its end.
///
/// # Panics
/// When it fails; what it found stands on standard error.
pub fn play(kind: Kind, story: &str) {
    let site = Site::new(kind);
    let mission = site.small_mission("Parliamentary 2024");
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
    accounts: usize,
}

impl Stage {
    fn run(&mut self, ask: &Value) -> Value {
        match ask["do"].as_str().unwrap_or_default() {
            "account" => self.account(text(&ask["role"])),
            "observe" => self.observe(text(&ask["as"]), &ask["args"]),
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

    fn observe(&mut self, name: &str, arguments: &Value) -> Value {
        if !self.phones.contains_key(name) {
            let observer = Observer::new();
            observer.enrol(&self.site.invite(self.mission, name));
            self.phones.insert(name.to_owned(), observer);
        }
        self.phones[name].run(&texts(arguments)).json()
    }
}

fn texts(values: &Value) -> Vec<&str> {
    let values = values.as_array().expect("texts");
    values.iter().map(text).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}"))
}
