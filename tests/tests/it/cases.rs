//! Cases: suggested, joined, kept apart, and counted by independent people.

use protocol::entry::{Patch, ReportFields};
use serde_json::{Value, json};
use tests::{
    console::Console,
    database::Kind,
    on_both_databases,
    phone::{self, Phone, report},
    site::Site,
};

on_both_databases!(
    accounts_of_one_event_are_suggested_and_joined,
    corroboration_counts_people_and_organisations,
    two_cases_become_one,
    calls_do_not_count_twice,
    who_looked_too_early_is_told
);

struct Stage {
    _site: Site,
    lead: Console,
    phones: Vec<Phone>,
    _server: tests::site::Server,
}

impl Stage {
    fn new(kind: Kind) -> Self {
        let site = Site::new(kind);
        let mission = site.small_mission("Cases");
        let server = site.start();
        let lead = site.console(mission, "lead");
        let phones = (1..=5)
            .map(|number| Phone::enrolled(&site, mission, &format!("D-{number}")))
            .collect();
        Self {
            _site: site,
            lead,
            phones,
            _server: server,
        }
    }

    /// Has an observer file a report about a station; answers its id.
    fn file(&mut self, observer: usize, station: &str, text: &str) -> String {
        let phone = &mut self.phones[observer - 1];
        let entry = phone.file(&ReportFields {
            category: Some("ballot_stuffing".into()),
            station: Patch::Set(station.into()),
            ..report(text)
        });
        let _ = phone.send(&[&entry]);
        phone::subject(&entry).to_string()
    }

    fn case(&self, report: &str) -> Value {
        self.lead.get(&format!("/v1/reports/{report}/case")).ok()
    }

    fn join(&self, report: &str, body: &Value) -> tests::http::Answer {
        self.lead.post(&format!("/v1/reports/{report}/case"), body)
    }

    /// Observers, organisations, contradicting.
    fn corroboration(&self, report: &str) -> Value {
        let shown = self.lead.get(&format!("/v1/reports/{report}")).ok();
        let case = &shown["report"]["corroboration"];
        json!([
            case["observers"],
            case["organisations"],
            case["contradicting"]
        ])
    }
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array()
        .expect("a list")
        .iter()
        .map(|one| {
            one["report"]["id"]
                .as_str()
                .or_else(|| one["id"].as_str())
                .expect("an id")
        })
        .collect()
}

fn accounts_of_one_event_are_suggested_and_joined(kind: Kind) {
    let mut stage = Stage::new(kind);
    let one = stage.file(1, "8-1", "A bundle of ballots was put into the box");
    let two = stage.file(3, "8-1", "Somebody threw a bundle of ballots in the box");
    let other = stage.file(4, "37-1", "The lights went out");
    let case = stage.case(&one);
    assert_eq!(case["case"], Value::Null);
    assert_eq!(ids(&case["suggestions"]), [&two]);
    assert_eq!(case["suggestions"][0]["likeness"]["same_station"], true);

    // Joined, they are one case seen from either side, and suggested no more.
    let _ = stage.join(&one, &json!({ "with": two })).ok();
    for report in [&one, &two] {
        let case = stage.case(report);
        assert_eq!(ids(&case["case"]["accounts"]), [&one, &two]);
        assert_eq!(case["suggestions"], json!([]));
    }
    assert_eq!(stage.corroboration(&one), json!([2, 2, 0]));
    let cases = stage.lead.get("/v1/cases").ok();
    assert_eq!(cases["cases"].as_array().map(Vec::len), Some(1));
    let id = cases["cases"][0]["id"].as_str().expect("an id").to_owned();
    let filtered = stage.lead.all(&format!("/v1/reports?case={id}"), "reports");
    assert_eq!(filtered.len(), 2);
    assert_eq!(
        stage.join(&one, &json!({ "with": two, "was": id })).code(),
        "already_done"
    );

    // Taken out again, neither is in a case; kept apart, they are not suggested.
    let _ = stage.join(&one, &json!({ "with": null, "was": id })).ok();
    assert_eq!(stage.case(&two)["case"], Value::Null);
    assert_eq!(stage.lead.get("/v1/cases").ok()["cases"], json!([]));
    let apart = format!("/v1/reports/{two}/apart");
    let _ = stage
        .lead
        .post(&apart, &json!({ "other": one, "apart": true }))
        .ok();
    let case = stage.case(&one);
    assert_eq!(case["suggestions"], json!([]));
    assert_eq!(ids(&case["apart"]), [&two]);
    let again = stage
        .lead
        .post(&apart, &json!({ "other": one, "apart": true }));
    assert_eq!(again.code(), "already_done");
    let _ = stage
        .lead
        .post(&apart, &json!({ "other": one, "apart": false }))
        .ok();
    assert_eq!(ids(&stage.case(&one)["suggestions"]), [&two]);
    assert_eq!(ids(&stage.case(&other)["suggestions"]), [] as [&str; 0]);

    for (report, body) in [
        (&one, json!({ "with": one })),
        (&one, json!({ "with": two, "stance": "perhaps" })),
    ] {
        assert_eq!(stage.join(report, &body).code(), "invalid_value");
    }
    let nobody = "00000000-0000-4000-8000-000000000000";
    assert_eq!(
        stage.join(&one, &json!({ "with": nobody })).code(),
        "not_found"
    );
    let missing = stage.lead.get(&format!("/v1/reports/{nobody}/case"));
    assert_eq!(missing.code(), "not_found");
}

fn corroboration_counts_people_and_organisations(kind: Kind) {
    let mut stage = Stage::new(kind);
    let first = stage.file(1, "8-1", "Seen by the first");
    let again = stage.file(1, "8-1", "Seen by the first, once more");
    let colleague = stage.file(2, "8-1", "Seen by a colleague");
    let party = stage.file(3, "8-1", "Seen by somebody else");
    let commission = stage.file(5, "8-1", "Nothing of the kind happened");
    let mut was = Value::Null;
    for (report, stance, counted) in [
        // the same observer twice is one observer
        (&again, "agrees", json!([1, 1, 0])),
        // of the same organisation
        (&colleague, "agrees", json!([2, 1, 0])),
        (&party, "agrees", json!([3, 2, 0])),
        (&commission, "contradicts", json!([3, 2, 1])),
    ] {
        let _ = stage
            .join(report, &json!({ "with": first, "stance": stance }))
            .ok();
        assert_eq!(stage.corroboration(&first), counted);
        was = stage.case(&first)["case"]["id"].clone();
    }
    // One who is found to agree after all, one who takes it back, one that is dismissed.
    let _ = stage
        .join(
            &commission,
            &json!({ "with": first, "was": was, "stance": "agrees" }),
        )
        .ok();
    assert_eq!(stage.corroboration(&first), json!([4, 3, 0]));
    let version = stage.lead.get(&format!("/v1/reports/{party}")).ok()["report"]["version"].clone();
    let path = format!("/v1/reports/{party}/decisions");
    let decided = stage
        .lead
        .post(&path, &json!({ "to": "in_review", "version": version }))
        .ok();
    let dismissed =
        json!({ "to": "dismissed", "version": decided["version"], "reason": "invented" });
    let _ = stage.lead.post(&path, &dismissed).ok();
    assert_eq!(stage.corroboration(&first), json!([3, 2, 0]));

    // Exports say the same.
    let export = stage.lead.get("/v1/exports/geojson").ok();
    let row = export["features"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["properties"]["report"] == first))
        .expect("the report");
    let row = &row["properties"];
    assert_eq!(row["case"], was);
    let found = ["case_stance", "case_observers", "case_organisations"].map(|name| &row[name]);
    assert_eq!(json!(found), json!(["agrees", 3, 2]));
}

fn two_cases_become_one(kind: Kind) {
    let mut stage = Stage::new(kind);
    let reports: Vec<String> = (1..=4)
        .map(|observer| stage.file(observer, "8-1", &format!("account {observer}")))
        .collect();
    let [a, b, c, d] = reports.as_slice() else {
        unreachable!()
    };
    let _ = stage.join(a, &json!({ "with": b })).ok();
    let _ = stage.join(c, &json!({ "with": d })).ok();
    let was = stage.case(c)["case"]["id"].clone();
    let _ = stage
        .join(c, &json!({ "with": a, "was": was, "whole": true }))
        .ok();
    assert_eq!(ids(&stage.case(d)["case"]["accounts"]), [a, b, c, d]);
    assert_eq!(
        stage.lead.get("/v1/cases").ok()["cases"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    // Without the word, one moves alone.
    let was = stage.case(a)["case"]["id"].clone();
    let other = stage.file(5, "8-1", "account 5");
    let _ = stage.join(a, &json!({ "with": other, "was": was })).ok();
    assert_eq!(ids(&stage.case(a)["case"]["accounts"]), [a, &other]);
    assert_eq!(ids(&stage.case(b)["case"]["accounts"]), [b, c, d]);
}

fn who_looked_too_early_is_told(kind: Kind) {
    let mut stage = Stage::new(kind);
    let one = stage.file(1, "8-1", "one");
    let two = stage.file(2, "8-1", "two");
    let three = stage.file(3, "8-1", "three");
    let _ = stage.join(&one, &json!({ "with": two })).ok();
    let case = stage.case(&one)["case"]["id"].clone();
    let late = stage.join(&one, &json!({ "with": three }));
    assert_eq!(late.code(), "joined_otherwise");
    assert_eq!(late.json()["case"], case);
    let apart = stage.lead.post(
        &format!("/v1/reports/{one}/apart"),
        &json!({ "other": two, "apart": true }),
    );
    assert_eq!(apart.code(), "joined_otherwise");
}

/// A call and the caller's own report are one voice, merged or not; a citizen is no observer.
fn calls_do_not_count_twice(kind: Kind) {
    let mut stage = Stage::new(kind);
    let own = stage.file(1, "8-1", "A bundle went into the box");
    let colleague = stage.file(3, "8-1", "Somebody threw in a bundle");
    let call = |stage: &Stage, id: &str, caller: Value| {
        let telling = json!({ "category": "ballot_stuffing", "text": "They call: a bundle in the box", "station": "8-1" });
        let body = json!({ "id": id, "caller": caller, "telling": telling });
        let _ = stage.lead.post("/v1/reports", &body).ok();
        id.to_owned()
    };
    let theirs = call(
        &stage,
        "0b9a3f4e-1111-4222-8333-444455556601",
        json!({ "kind": "observer", "accreditation": "D-1" }),
    );
    let citizen = call(
        &stage,
        "0b9a3f4e-1111-4222-8333-444455556602",
        json!({ "kind": "citizen" }),
    );
    for report in [&colleague, &theirs, &citizen] {
        let _ = stage.join(report, &json!({ "with": own })).ok();
    }
    assert_eq!(stage.corroboration(&own), json!([2, 2, 0]));
    let shown = stage.lead.get(&format!("/v1/reports/{theirs}")).ok();
    let merging = json!({ "into": own, "version": shown["report"]["version"] });
    let path = format!("/v1/reports/{theirs}/merging");
    let _ = stage.lead.post(&path, &merging).ok();
    assert_eq!(stage.corroboration(&own), json!([2, 2, 0]));
    // What was merged is suggested to nobody.
    let other = stage.file(4, "8-1", "A bundle, once more");
    let case = stage.case(&other);
    assert!(
        !ids(&case["suggestions"]).contains(&theirs.as_str()),
        "{case}"
    );
}
