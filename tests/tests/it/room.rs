//! The room's wall and the map (`/v1/room`, `/v1/map`): their figures follow what happens.

use protocol::entry::{Move, Patch, Place, ReportFields, SdJwt, Severity};
use serde_json::{Value, json};
use tests::{
    console::Console,
    database::Kind,
    on_both_databases,
    phone::{self, Phone, report},
    site::{PASSWORD, Site},
    wait,
};

on_both_databases!(
    figures_follow_what_happens,
    the_silent_are_counted_until_they_are_heard_of,
    the_map_tells_of_every_report,
    limits_are_set_within_bounds
);

/// The figures, once they are as they have to be: an answer is kept for a moment.
#[track_caller]
fn figures(desk: &Console, what: &str, pick: impl Fn(&Value) -> Value, expected: &Value) -> Value {
    let mut last = Value::Null;
    let found = wait::until(what, || {
        let room = desk.get("/v1/room").ok();
        last = pick(&room);
        (last == *expected).then_some(room)
    });
    assert_eq!(last, *expected);
    found
}

fn counts(room: &Value) -> Value {
    json!([
        room["reports"]["total"],
        room["reports"]["withdrawn"],
        room["untouched"]["count"],
        room["coverage"]["reported"],
        room["coverage"]["covered"],
    ])
}

fn fields(text: &str, station: &str, severity: Severity) -> ReportFields {
    ReportFields {
        station: Patch::Set(station.into()),
        severity: Some(severity),
        ..report(text)
    }
}

fn path(report: &SdJwt, rest: &str) -> String {
    format!("/v1/reports/{}{rest}", phone::subject(report))
}

fn figures_follow_what_happens(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Room");
    let server = site.start();
    let [lead, second] = ["lead@example.org", "second@example.org"].map(|email| {
        site.add_user(Some(mission), "lead", email);
        Console::login(&site.origin(), email, PASSWORD)
    });
    let mut observer = Phone::enrolled(&site, mission, "D-1");
    figures(&lead, "nothing", counts, &json!([0, 0, 0, 0, 0]));

    // Filed, and somebody arrived.
    let shots = observer.file(&fields("Shots", "8-1", Severity::Critical));
    let bags = observer.file(&fields("Bags", "8-1", Severity::Critical));
    let queue = observer.file(&fields("A queue", "37-1", Severity::Low));
    let arrived = observer.check_in("8-1");
    let _ = observer.send(&[&shots, &bags, &queue, &arrived]);
    let room = figures(&lead, "what was filed", counts, &json!([3, 0, 2, 2, 1]));
    assert_eq!(
        room["reports"]["by_severity"],
        json!({"critical": 2, "low": 1})
    );
    assert_eq!(room["reports"]["by_status"], json!({"received": 3}));
    assert_eq!(
        room["untouched"]["oldest"][0]["id"],
        json!(phone::subject(&shots))
    );
    let minutes = room["incoming"]["minutes"].as_array().expect("minutes");
    assert_eq!(minutes.iter().filter_map(Value::as_i64).sum::<i64>(), 3);
    let part = &room["coverage"]["constituencies"][1];
    assert_eq!(
        *part,
        json!({"code": "8", "name": "Binagadi", "stations": 6, "covered": 1, "reported": 1,
               "reports": 2, "critical": 2})
    );

    // A note touches as a decision does; an observer's amendment does not.
    lead.post(&path(&shots, "/notes"), &json!({"text": "Seen"}))
        .ok();
    let amended = observer.amend(&bags, bags.hash(), "Two bags");
    let _ = observer.send(&[&amended]);
    figures(&lead, "a note", counts, &json!([3, 0, 1, 2, 1]));
    let bags_now = lead.get(&path(&bags, "")).ok();
    lead.post(
        &path(&bags, "/decisions"),
        &json!({"to": "in_review", "version": bags_now["report"]["version"]}),
    )
    .ok();
    let room = figures(&lead, "a decision", counts, &json!([3, 0, 0, 2, 1]));
    assert_eq!(
        room["reports"]["by_status"],
        json!({"in_review": 1, "received": 2})
    );

    // Withdrawn counts apart, erased counts on; who left covers nothing.
    let withdrawal = observer.withdraw(&queue, queue.hash(), "A mistake");
    let left = observer.move_to("8-1", Move::Left);
    let _ = observer.send(&[&withdrawal, &left]);
    figures(&lead, "a withdrawal", counts, &json!([2, 1, 0, 1, 0]));
    let knives = observer.file(&fields("Knives", "8-2", Severity::Critical));
    let _ = observer.send(&[&knives]);
    figures(&lead, "another", counts, &json!([3, 1, 1, 2, 0]));
    let reason = json!({"reason": "A court said so"});
    let asked = lead.post(&path(&knives, "/erasure"), &reason).ok();
    let id = asked["id"].as_str().expect("an id");
    second
        .post(&format!("/v1/erasures/{id}/approval"), &json!({}))
        .ok();
    // The station went with the words.
    figures(&lead, "an erasure", counts, &json!([3, 1, 0, 1, 0]));

    // A rebuild, and another server, say the same.
    let before = figures(&lead, "before", counts, &json!([3, 1, 0, 1, 0]));
    let (status, log) = server.stop();
    assert_eq!(status, Some(0), "{log}");
    site.run(&["rebuild"]).json();
    let _server = site.start();
    let after = lead.get("/v1/room").ok();
    for part in ["reports", "untouched", "coverage", "observers"] {
        assert_eq!(after[part], before[part], "{part}");
    }
}

fn silent(room: &Value) -> Value {
    room["observers"]["silent"].clone()
}

fn the_silent_are_counted_until_they_are_heard_of(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Room");
    let server = site.start();
    let lead = site.console(mission, "lead");
    let mut phones = ["D-1", "D-2", "D-3"].map(|number| Phone::enrolled(&site, mission, number));
    for phone in &mut phones[..2] {
        let arrived = phone.check_in("8-1");
        let _ = phone.send(&[&arrived]);
    }
    let room = figures(&lead, "nobody is silent", silent, &json!(0));
    assert_eq!(room["observers"]["present"], 2);
    assert_eq!(room["observers"]["never_came"], 1);
    let set = |limit: &str| {
        site.run(&["mission", "set", "--silent-after", limit])
            .json()
    };
    assert_eq!(
        set("1s")["limits"],
        json!({"silent_after": 1, "untouched_after": 600})
    );
    figures(&lead, "two are silent", silent, &json!(2));
    let listed = lead.all("/v1/room/silent?limit=1", "silent");
    let numbers: Vec<_> = listed.iter().map(|one| &one["number"]).collect();
    assert_eq!(numbers, ["D-1", "D-2"]);
    assert_eq!(listed[0]["station_name"], "Binagadi 1");

    // What was heard is there after the server's end, and revoked observers are not missed.
    let (status, log) = server.stop();
    assert_eq!(status, Some(0), "{log}");
    let heard = site.database.rows("SELECT heard_at FROM device_contacts");
    assert_eq!(heard.len(), 2);
    let _server = site.start();
    lead.post(
        "/v1/accreditations/D-2/revocation",
        &json!({"reason": "He left the country"}),
    )
    .ok();
    figures(&lead, "one is silent", silent, &json!(1));
    set("3h");
    let room = figures(&lead, "nobody is", silent, &json!(0));
    assert_eq!(room["observers"]["registered"], 4);
    assert_eq!(room["observers"]["enrolled"], 2);
}

fn the_map_tells_of_every_report(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Map");
    let other = site.small_mission("Beside it");
    let _server = site.start();
    let lead = site.console(mission, "lead");
    let mut observer = Phone::enrolled(&site, mission, "D-1");
    let mut stranger = Phone::enrolled(&site, other, "D-1");
    let place = Place {
        lat: 40.123_456_7,
        lon: 49.5,
        accuracy: None,
    };
    let first = observer.file(&ReportFields {
        place: Patch::Set(place),
        ..fields("First", "8-1", Severity::High)
    });
    let second = observer.file(&fields("Second", "not listed", Severity::Low));
    let arrived = observer.check_in("8-2");
    let _ = observer.send(&[&first, &second, &arrived]);
    let alien = stranger.file_text("In the other mission");
    let _ = stranger.send(&[&alien]);

    let map = wait::until("both reports", || {
        let map = lead.get("/v1/map/reports").ok();
        (map["id"].as_array().map(Vec::len) == Some(2)).then_some(map)
    });
    assert_eq!(
        map["id"],
        json!([phone::subject(&second), phone::subject(&first)])
    );
    assert_eq!(map["severity"], json!([1, 3]));
    assert_eq!(map["lat"], json!([null, 40.12346]));
    assert_eq!(map["lon"], json!([null, 49.5]));
    let station = |at: usize| {
        let place = map["station"][at].as_u64().expect("a station");
        map["stations"][usize::try_from(place).expect("small")].clone()
    };
    assert_eq!(station(0), "not listed");
    assert_eq!(station(1), "8-1");
    assert_eq!(map["more"], false);

    // A kept answer is too old for who knows of more.
    let third = observer.file_text("Third");
    let _ = observer.send(&[&third]);
    let number = lead.get("/v1/reports").ok()["reports"][0]["number"].clone();
    let now = lead.get(&format!("/v1/map/reports?least={number}")).ok();
    assert_eq!(now["id"][0], json!(phone::subject(&third)));
    assert_eq!(now["cursor"], number);
    lead.get("/v1/map/reports?least=x")
        .refuses(400, "malformed_query");

    // The list's filters.
    let some = lead.get("/v1/map/reports?severity=high&text=fir").ok();
    assert_eq!(some["id"], json!([phone::subject(&first)]));
    lead.get("/v1/map/reports?severity=worst")
        .refuses(400, "malformed_query");
    lead.get("/v1/map/reports?cursor=x")
        .refuses(400, "malformed_query");
    lead.get("/v1/room/silent?cursor=x")
        .refuses(400, "invalid_cursor");

    let stations = wait::until("the stations", || {
        let map = lead.get("/v1/map/stations").ok();
        (map["stations"][6]["reports"] == 1 || map["stations"][0]["reports"] == 1).then_some(map)
    });
    let of = |code: &str| {
        let all = stations["stations"].as_array().expect("stations");
        let found = all.iter().find(|one| one["code"] == code);
        let found = found.expect("the station");
        json!([found["observers"], found["reports"], found["worst"]])
    };
    assert_eq!(of("8-1"), json!([0, 1, 3]));
    assert_eq!(of("8-2"), json!([1, 0, 0]));
    assert_eq!(
        stations["constituencies"],
        json!([{"code": "37", "name": "Nizami"}, {"code": "8", "name": "Binagadi"}])
    );
    assert_eq!(
        lead.get("/v1/map").ok(),
        json!({"tiles": null, "attribution": null})
    );
}

fn limits_are_set_within_bounds(kind: Kind) {
    let mut site = Site::new(kind);
    let mission = site.small_mission("Limits");
    let set = |more: &[&str]| site.run(&[&["mission", "set"], more].concat());
    assert_eq!(
        set(&[]).json(),
        json!({"mission": mission, "limits": {"silent_after": 10800, "untouched_after": 600}})
    );
    assert_eq!(
        set(&["--untouched-after", "90s"]).json()["limits"],
        json!({"silent_after": 10800, "untouched_after": 90})
    );
    assert_eq!(
        set(&["--silent-after", "45m"]).json()["limits"],
        json!({"silent_after": 2700, "untouched_after": 90})
    );
    for bad in ["0s", "169h", "3", "h", "-1h", "1d", "3hh", "99999999999h"] {
        let refused = set(&[&format!("--silent-after={bad}")]);
        assert_eq!(refused.status, Some(2), "{refused:?}");
        assert_eq!(refused.error()["code"], "usage");
    }
    assert_eq!(set(&[]).json()["limits"]["silent_after"], 2700);

    // Tiles come from an address that a page may use, or not at all.
    for bad in [
        "http://tiles.example.org/{z}/{x}/{y}.png",
        "https://tiles.example.org/{z}/{x}.png",
        "https://me:secret@tiles.example.org/{z}/{x}/{y}.png",
        "tiles/{z}/{x}/{y}.png",
    ] {
        site.set("map_tiles", bad);
        site.run(&["config", "show"])
            .refuses("configuration_invalid");
    }
}
