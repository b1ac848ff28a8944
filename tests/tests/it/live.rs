//! The line on which desks are told what is new (`GET /v1/events`).

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
};

use serde_json::{Value, json};
use tests::{
    console::Console,
    database::Kind,
    on_both_databases,
    phone::{self, Phone},
    site::Site,
    wait,
};

on_both_databases!(
    a_desk_is_told_and_catches_up,
    a_number_of_another_history_means_read_all_anew,
    a_desk_hears_of_its_own_mission_alone,
    colleagues_see_what_somebody_has_open,
    a_line_does_not_hold_up_the_servers_end
);

/// An open line.
struct Line(BufReader<TcpStream>);

/// Something that came on it.
#[derive(Debug)]
struct Event {
    name: String,
    id: Option<i64>,
    data: Value,
}

impl Line {
    fn open(site: &Site, desk: &Console, cursor: Option<i64>) -> Self {
        let address = &site.origin()["http://".len()..];
        let stream = TcpStream::connect(address).expect("a connection");
        stream
            .set_read_timeout(Some(wait::LONG))
            .expect("a time-out");
        let cursor = cursor.map_or(String::new(), |cursor| format!("?cursor={cursor}"));
        let request = format!(
            "GET /v1/events{cursor} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\r\n",
            desk.token
        );
        (&stream).write_all(request.as_bytes()).expect("it is sent");
        Self(BufReader::new(stream))
    }

    /// The next event; `None` at the end.
    fn next(&mut self) -> Option<Event> {
        let (mut name, mut id, mut text) = (String::new(), None, String::new());
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).expect("a line") == 0 {
                return None;
            }
            let line = line.trim_end();
            if let Some(value) = line.strip_prefix("event: ") {
                value.clone_into(&mut name);
            } else if let Some(value) = line.strip_prefix("id: ") {
                id = value.parse().ok();
            } else if let Some(value) = line.strip_prefix("data: ") {
                value.clone_into(&mut text);
            } else if line.is_empty() && !text.is_empty() {
                let data = serde_json::from_str(&text).expect("JSON");
                return Some(Event { name, id, data });
            }
        }
    }

    /// The next event of a name.
    fn until(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().expect("the line is open");
            if event.name == name {
                return event;
            }
        }
    }

    /// Reads on until a report with this text has come; answers the event.
    fn until_report(&mut self, text: &str) -> Event {
        loop {
            let event = self.until("changes");
            let reports = event.data["reports"].as_array().expect("reports");
            if reports.iter().any(|report| report["text"] == text) {
                return event;
            }
        }
    }
}

fn a_desk_is_told_and_catches_up(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Live");
    let _server = site.start();
    let lead = site.console(mission, "lead");
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let mut line = Line::open(&site, &lead, None);
    let hello = line.until("hello");
    let from = hello.id.expect("a number");
    assert_eq!(hello.data, json!({ "cursor": from }));

    let report = phone.file_text("just now");
    let _ = phone.send(&[&report]);
    let told = line.until_report("just now");
    assert!(told.id > Some(from), "{told:?}");
    assert_eq!(told.data["cursor"], json!(told.id));
    assert_eq!(told.data["kinds"], json!(["file"]));
    assert_eq!(told.data["quarantined"], false);

    // Who comes back from where it was gets the same, and then what is new.
    drop(line);
    let path = format!("/v1/reports/{}/assignment", phone::subject(&report));
    let _ = lead.post(&path, &json!({ "assignee": null })).ok();
    let mut line = Line::open(&site, &lead, Some(from));
    let told = line.until_report("just now");
    assert_eq!(told.data["kinds"], json!(["assign", "file"]));
    let second = phone.file_text("and now");
    let _ = phone.send(&[&second]);
    line.until_report("and now");
}

fn a_number_of_another_history_means_read_all_anew(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Live");
    let _server = site.start();
    let lead = site.console(mission, "lead");
    let mut line = Line::open(&site, &lead, Some(1_000_000));
    let reset = line.until("reset");
    assert_eq!(reset.data, json!({ "cursor": reset.id }));
    assert!(reset.id < Some(1_000_000));
}

fn a_desk_hears_of_its_own_mission_alone(kind: Kind) {
    let site = Site::new(kind);
    let [own, other] = ["Own", "Other"].map(|name| site.small_mission(name));
    let _server = site.start();
    let lead = site.console(own, "lead");
    let mut line = Line::open(&site, &lead, None);
    line.until("hello");
    let mut stranger = Phone::enrolled(&site, other, "D-1");
    let theirs = stranger.file_text("theirs");
    let _ = stranger.send(&[&theirs]);
    let mut phone = Phone::enrolled(&site, own, "D-1");
    let ours = phone.file_text("ours");
    let _ = phone.send(&[&ours]);
    loop {
        let event = line.until("changes");
        assert!(!event.data.to_string().contains("theirs"), "{event:?}");
        if event.data.to_string().contains("ours") {
            break;
        }
    }
}

fn colleagues_see_what_somebody_has_open(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Live");
    let _server = site.start();
    let [lead, coordinator] = ["lead", "coordinator"].map(|role| site.console(mission, role));
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let report = phone.file_text("looked at");
    let _ = phone.send(&[&report]);
    let subject = phone::subject(&report);
    let mut line = Line::open(&site, &lead, None);
    assert_eq!(line.until("attention").data, json!({ "people": [] }));
    let look = |report: Value, deciding: bool| {
        let body = json!({ "report": report, "deciding": deciding });
        assert_eq!(coordinator.put("/v1/attention", &body).status, 204);
    };
    look(json!(subject), true);
    let told = line.until("attention").data;
    assert_eq!(told["people"][0]["report"], json!(subject));
    assert_eq!(told["people"][0]["deciding"], true);
    // Whoever comes later is told at once.
    let mut late = Line::open(&site, &lead, None);
    assert_eq!(late.until("attention").data, told);
    look(Value::Null, false);
    assert_eq!(line.until("attention").data, json!({ "people": [] }));
}

fn a_line_does_not_hold_up_the_servers_end(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Live");
    let server = site.start();
    let lead = site.console(mission, "lead");
    let mut line = Line::open(&site, &lead, None);
    line.until("hello");
    let (status, log) = server.stop();
    assert_eq!(status, Some(0), "{log}");
    while line.next().is_some() {}
}
