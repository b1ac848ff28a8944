//! Reports by telephone, over HTTP and on both databases.

use protocol::entry::{Patch, ReportFields};
use serde_json::{Value, json};
use tests::{
    console::Console,
    database::Kind,
    ledger, on_both_databases,
    phone::{self, Phone, report},
    site::Site,
};

on_both_databases!(a_call_is_entered_once_and_merged, what_cannot_be_entered);

const CALL: &str = "0b9a3f4e-1111-4222-8333-444455556601";
const CITIZEN: &str = "0b9a3f4e-1111-4222-8333-444455556602";
/// What a rebuild makes anew of it.
const REBUILT: [&str; 4] = ["entries", "reports", "inbox", "triage"];

fn call(id: &str, caller: Value, text: &str) -> Value {
    let telling = json!({ "category": "violence", "text": text, "station": "8-1" });
    json!({ "id": id, "caller": caller, "telling": telling })
}

fn observer(number: &str) -> Value {
    json!({ "kind": "observer", "accreditation": number })
}

fn show(desk: &Console, id: &str) -> Value {
    desk.get(&format!("/v1/reports/{id}")).ok()
}

fn version(desk: &Console, id: &str) -> Value {
    show(desk, id)["report"]["version"].clone()
}

fn listed(desk: &Console, query: &str) -> usize {
    desk.all(&format!("/v1/reports{query}"), "reports").len()
}

fn a_call_is_entered_once_and_merged(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Telephone");
    let server = site.start();
    let desk = site.console(mission, "coordinator");
    let analyst = site.console(mission, "analyst");
    let mut citizen = call(CITIZEN, json!({ "kind": "citizen" }), "Buses stand there");
    citizen["telling"]["contact"] = json!("a teacher, 050 000 00 00");
    let body = call(CALL, observer("D-1"), "They push us out");
    let first = desk.post("/v1/reports", &body);
    assert_eq!(first.status, 201, "{}", first.text());
    let again = desk.post("/v1/reports", &body);
    assert_eq!((again.status, again.ok()), (200, first.ok()));
    desk.post("/v1/reports", &call(CALL, observer("D-1"), "Otherwise"))
        .refuses(409, "report_id_taken");
    assert_eq!(desk.post("/v1/reports", &citizen).status, 201);
    assert_eq!(listed(&desk, "?flag=by_telephone"), 2);

    // Who a citizen is stays with those who may call back.
    let contact = |desk: &Console| show(desk, CITIZEN)["history"][0]["body"]["contact"].clone();
    assert_eq!(contact(&desk), "a teacher, 050 000 00 00");
    assert_eq!(contact(&analyst), Value::Null);
    let export = analyst.get("/v1/exports/jsonl").text();
    assert!(export.contains("Buses stand there") && !export.contains("050 000"));

    // Misheard; the answer to the correction was lost, and it is sent again.
    let correction = json!({ "version": version(&desk, CALL), "telling": {
        "category": "violence", "text": "They push two of us out", "station": "8-1" } });
    let path = format!("/v1/reports/{CALL}/corrections");
    assert_eq!(desk.post(&path, &correction).status, 201);
    assert_eq!(desk.post(&path, &correction).status, 200);

    // The observer's own comes, and is found.
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let own = phone.file(&ReportFields {
        station: Patch::Set("8-1".into()),
        ..report("They push two of us out, I filmed it")
    });
    let _ = phone.send(&[&own]);
    let own = phone::subject(&own).to_string();
    for (of, found) in [(CALL, own.as_str()), (own.as_str(), CALL)] {
        let likest = desk.get(&format!("/v1/reports/{of}/counterparts")).ok();
        assert_eq!(likest["counterparts"][0]["report"]["id"], found, "{likest}");
    }
    let merging = format!("/v1/reports/{CALL}/merging");
    let merge = json!({ "into": own, "version": version(&desk, CALL), "reason": "hers" });
    assert_eq!(desk.post(&merging, &merge).status, 201);
    assert_eq!(desk.post(&merging, &merge).status, 200);
    let decision = json!({ "to": "in_review", "version": version(&desk, CALL) });
    desk.post(&format!("/v1/reports/{CALL}/decisions"), &decision)
        .refuses(409, "report_merged");
    assert_eq!(show(&desk, &own)["report"]["merged"], json!([CALL]));
    assert_eq!(show(&desk, CALL)["report"]["telephone"]["merged_into"], own);
    let counts = ["", "?merged=true", "?merged=any"].map(|query| listed(&desk, query));
    assert_eq!(counts, [2, 1, 3]);
    let csv = analyst.get("/v1/exports/csv").text();
    assert_eq!(csv.lines().filter(|line| line.starts_with(CALL)).count(), 1);
    assert!(
        csv.lines()
            .any(|line| line.starts_with(CALL) && line.contains(&own))
    );

    // Taken back, and merged again.
    let unmerge = json!({ "version": version(&desk, CALL) });
    let unmerging = format!("/v1/reports/{CALL}/unmerging");
    assert_eq!(desk.post(&unmerging, &unmerge).status, 201);
    desk.post(&unmerging, &unmerge).refuses(409, "already_done");
    assert_eq!(show(&desk, &own)["report"]["merged"], json!([]));
    let merge = json!({ "into": own, "version": version(&desk, CALL) });
    assert_eq!(desk.post(&merging, &merge).status, 201);

    server.stop();
    let before = site.database.dump(&REBUILT);
    site.run(&["rebuild"]).json();
    let after = site.database.dump(&REBUILT);
    for table in REBUILT {
        assert_eq!(before[table], after[table], "{table}");
    }
    let _ = ledger::audit(&site, mission);
}

fn what_cannot_be_entered(kind: Kind) {
    let site = Site::new(kind);
    let [mission, other] = ["Telephone", "Other"].map(|name| site.small_mission(name));
    let server = site.start();
    let desk = site.console(mission, "lead");
    let with = |member: &str, value: Value| {
        let mut body = call(CALL, observer("D-1"), "heard");
        body["telling"][member] = value;
        body
    };
    let long = "x".repeat(10_001);
    for (body, status, code) in [
        (
            call(CALL, observer("X-9"), "heard"),
            404,
            "accreditation_unknown",
        ),
        (
            call(CALL, json!({ "kind": "agent" }), "heard"),
            400,
            "malformed_json",
        ),
        (
            call(
                "0b9a3f4e-1111-1222-8333-444455556601",
                observer("D-1"),
                "heard",
            ),
            400,
            "invalid_value",
        ),
        (with("text", json!(" ")), 400, "value_missing"),
        (with("text", json!(long)), 400, "too_long"),
        (with("text", json!("a\0b")), 400, "invalid_value"),
        (with("category", json!("no_such")), 400, "invalid_value"),
        (with("station", json!("9".repeat(201))), 400, "too_long"),
        (
            with("place", json!({ "lat": 91, "lon": 0 })),
            400,
            "invalid_value",
        ),
        (with("observed_at", json!("at noon")), 400, "invalid_value"),
        (with("contact", json!("hers")), 400, "invalid_value"),
        (with("name", json!("hers")), 400, "malformed_json"),
    ] {
        let answer = desk.post("/v1/reports", &body);
        assert_eq!(answer.status, status, "{body:.200}: {}", answer.text());
        answer.refuses(status, code);
    }
    desk.post(
        "/v1/accreditations/D-2/revocation",
        &json!({ "reason": "left" }),
    )
    .ok();
    desk.post("/v1/reports", &call(CALL, observer("D-2"), "heard"))
        .refuses(409, "accreditation_revoked");
    assert_eq!(listed(&desk, ""), 0);

    // Another mission's report is nobody's here.
    let mut stranger = Phone::enrolled(&site, other, "D-1");
    let theirs = stranger.file_text("theirs");
    let _ = stranger.send(&[&theirs]);
    let _ = desk
        .post("/v1/reports", &call(CALL, observer("D-1"), "heard"))
        .ok();
    let into = phone::subject(&theirs).to_string();
    let merge = json!({ "into": into, "version": version(&desk, CALL) });
    desk.post(&format!("/v1/reports/{CALL}/merging"), &merge)
        .refuses(409, "merge_not_allowed");
    desk.post(
        &format!("/v1/reports/{into}/unmerging"),
        &json!({ "version": 1 }),
    )
    .refuses(404, "not_found");

    // Found by number, by pseudonym, and by name for leads alone.
    let found = |desk: &Console, like: &str| {
        desk.all(&format!("/v1/accreditations?like={like}"), "accreditations")
            .len()
    };
    assert_eq!(found(&desk, "d-1"), 1);
    assert_eq!(found(&desk, "AYG%C3%9CN"), 1);
    assert_eq!(
        found(&site.console(mission, "coordinator"), "AYG%C3%9CN"),
        0
    );
    server.stop();
}
