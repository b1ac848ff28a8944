//! Enrolment, decisions, erasure: what people do, also two at once.

use std::{collections::BTreeSet, thread};

use protocol::{entry::SdJwt, jose::SoftwareKey};
use serde_json::{Value, json};
use tests::{
    chance::Chance,
    console::Console,
    database::{Database, Kind},
    http, ledger,
    observer::Observer,
    on_both_databases,
    phone::{self, Phone},
    site::{PASSWORD, Site},
};

on_both_databases!(
    a_code_is_redeemed_once,
    every_transition,
    two_coordinators_at_once,
    a_question_and_its_answer,
    erasure_by_two_people,
    signing_in,
);

fn a_code_is_redeemed_once(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Enrolment");
    let server = site.start();
    let link = site.invite(mission, "D-1");
    let answers: Vec<http::Answer> = thread::scope(|scope| {
        let all: Vec<_> = (0..50)
            .map(|seed| {
                let link = &link;
                scope.spawn(move || Phone::new(link, Chance::seeded(seed)).enrol())
            })
            .collect();
        all.into_iter()
            .map(|one| one.join().expect("an answer"))
            .collect()
    });
    let won: Vec<usize> = (0..50).filter(|at| answers[*at].status == 200).collect();
    assert_eq!(
        won.len(),
        1,
        "{:?}",
        answers
            .iter()
            .map(|answer| answer.status)
            .collect::<Vec<_>>()
    );
    for (at, answer) in answers.iter().enumerate() {
        if at != won[0] {
            answer.refuses(409, "enrolment_code_used");
        }
    }
    // A lost answer costs nothing: the same key gets the same.
    let winner = Phone::new(&link, Chance::seeded(won[0] as u64));
    let mut again = winner.enrol().ok();
    let mut first = answers[won[0]].json();
    for answer in [&mut again, &mut first] {
        answer["server_time"] = Value::Null;
    }
    assert_eq!(again, first);
    assert_eq!(
        (&first["accreditation"], &first["mission"]["id"]),
        (&json!("D-1"), &json!(mission))
    );
    // A key serves one code.
    let second = site.invite(mission, "D-2");
    let mut same_key = Phone::new(&second, Chance::seeded(1));
    same_key.key = winner.key.clone();
    same_key.enrol().refuses(400, "key_not_accepted");
    same_key.key = SoftwareKey::ed25519(&[1; 32]);
    same_key.enrol().ok();
    odd_enrolments(&site, &second);
    // Expired.
    let late = site.invite(mission, "D-3");
    site.database
        .execute("UPDATE enrolment_codes SET expires_at = 1 WHERE redeemed_at IS NULL");
    Phone::new(&late, Chance::seeded(2))
        .enrol()
        .refuses(410, "enrolment_code_expired");
    let entries = ledger::audit(&site, mission);
    assert_eq!(
        entries
            .iter()
            .filter(|entry| entry.kind() == "enrol")
            .count(),
        2
    );
    assert_eq!(http::faults(), Vec::<String>::new());
    server.stop();
}

fn odd_enrolments(site: &Site, link: &str) {
    let phone = Phone::new(link, Chance::seeded(77));
    let good = phone.enrolment();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut request = json!(good);
        change(&mut request);
        phone::post(&site.origin(), "/v1/enrolments", &request)
    };
    with(&|request| request["code"] = json!("00000000000000000000000000"))
        .refuses(400, "enrolment_proof_invalid");
    with(&|request| request["proof"] = json!("a.b.c")).refuses(400, "enrolment_proof_invalid");
    with(&|request| request["key"]["x"] = json!("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
        .refuses(400, "key_not_accepted");
    with(&|request| request["key"]["crv"] = json!("secp256k1")).refuses(400, "key_not_accepted");
    with(&|request| request["role"] = json!("lead")).refuses(400, "malformed_json");
    let mut nowhere = Phone::new(link, Chance::seeded(78));
    nowhere.invitation.code = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ".into();
    nowhere.enrol().refuses(404, "enrolment_code_unknown");
    let mut elsewhere = Phone::new(link, Chance::seeded(79));
    elsewhere.invitation.key = protocol::encoding::b64([3; 32]);
    elsewhere.enrol().refuses(400, "enrolment_proof_invalid");
}

fn show(console: &Console, report: &SdJwt) -> Value {
    console
        .get(&format!("/v1/reports/{}", phone::subject(report)))
        .ok()
}

fn version(console: &Console, report: &SdJwt) -> i64 {
    show(console, report)["report"]["version"]
        .as_i64()
        .expect("a version")
}

fn try_decide(console: &Console, report: &SdJwt, body: &Value) -> http::Answer {
    console.post(
        &format!("/v1/reports/{}/decisions", phone::subject(report)),
        body,
    )
}

fn every_transition(kind: Kind) {
    use scrutineer::domain::status::{ALL, Demand, transition};
    // How to get to each status from `received`, by decisions alone.
    let way = |to: &str| -> Vec<&str> {
        match to {
            "received" => vec![],
            "in_review" => vec!["in_review"],
            other => vec!["in_review", other],
        }
        .into_iter()
        .map(|status| {
            ALL.into_iter()
                .find(|known| *known == status)
                .expect("a status")
        })
        .collect()
    };
    let site = Site::new(kind);
    let mission = site.small_mission("Decisions");
    let server = site.start();
    let coordinator = site.console(mission, "coordinator");
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let words = |to: &str, version: i64| json!({ "to": to, "version": version, "reason": "a reason", "question": "a question?" });
    for from in ALL {
        for to in ALL {
            let report = phone.file_text(&format!("{from} to {to}"));
            let _ = phone.send(&[&report]);
            if from == "reopened" {
                for step in way("verified") {
                    try_decide(
                        &coordinator,
                        &report,
                        &words(step, version(&coordinator, &report)),
                    )
                    .ok();
                }
                let amended = phone.amend(&report, report.hash(), "amended after the decision");
                let _ = phone.send(&[&amended]);
            } else {
                for step in way(from) {
                    try_decide(
                        &coordinator,
                        &report,
                        &words(step, version(&coordinator, &report)),
                    )
                    .ok();
                }
            }
            assert_eq!(show(&coordinator, &report)["report"]["status"], from);
            let now = version(&coordinator, &report);
            let Some(demand) = transition(from, to) else {
                let refusal = try_decide(&coordinator, &report, &words(to, now));
                refusal.refuses(409, "transition_not_allowed");
                assert_eq!(refusal.json()["current_status"], from);
                continue;
            };
            if demand != Demand::Nothing {
                let bare = json!({ "to": to, "version": now, "reason": "  " });
                try_decide(&coordinator, &report, &bare).refuses(400, "reason_needed");
            }
            let decided = try_decide(&coordinator, &report, &words(to, now));
            assert_eq!((decided.status, &decided.ok()["status"]), (201, &json!(to)));
        }
    }
    let report = phone.file_text("odd decisions");
    let _ = phone.send(&[&report]);
    let now = version(&coordinator, &report);
    for odd in [
        json!({ "to": "great", "version": now }),
        json!({ "to": "in_review", "version": now, "reason": "x".repeat(10_001) }),
    ] {
        assert_eq!(try_decide(&coordinator, &report, &odd).status, 400);
    }
    try_decide(&coordinator, &report, &json!({ "to": "in_review" })).refuses(400, "malformed_json");
    assert_eq!(http::faults(), Vec::<String>::new());
    let _ = ledger::audit(&site, mission);
    server.stop();
}

fn two_coordinators_at_once(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("At once");
    let server = site.start();
    let coordinator = site.console(mission, "coordinator");
    let lead = site.console(mission, "lead");
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let report = phone.file_text("first words");
    let _ = phone.send(&[&report]);
    let read = version(&coordinator, &report);
    // The observer is quicker: the decision was taken on other words.
    let amended = phone.amend(&report, report.hash(), "other words");
    let _ = phone.send(&[&amended]);
    let stale = try_decide(
        &coordinator,
        &report,
        &json!({ "to": "in_review", "version": read }),
    );
    stale.refuses(409, "stale_decision");
    let told = stale.json();
    assert_eq!(told["changed"][0]["kind"], "amend", "{told}");
    assert_eq!(
        told["version"],
        json!(version(&coordinator, &report)),
        "{told}"
    );
    // Many at once: one wins, the others learn of it.
    for round in 0..5 {
        let report = phone.file_text(&format!("round {round}"));
        let _ = phone.send(&[&report]);
        let read = version(&coordinator, &report);
        let body = json!({ "to": "in_review", "version": read });
        let answers: Vec<http::Answer> = thread::scope(|scope| {
            let all: Vec<_> = (0..8)
                .map(|at| {
                    let (who, report, body) = (
                        if at % 2 == 0 { &coordinator } else { &lead },
                        &report,
                        &body,
                    );
                    scope.spawn(move || try_decide(who, report, body))
                })
                .collect();
            all.into_iter()
                .map(|one| one.join().expect("an answer"))
                .collect()
        });
        assert_eq!(
            answers.iter().filter(|answer| answer.status == 201).count(),
            1
        );
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            answer.refuses(409, "stale_decision");
            assert_eq!(answer.json()["changed"][0]["kind"], "decide");
        }
    }
    let _ = ledger::audit(&site, mission);
    server.stop();
}

/// Through the real client, and by the command line's `--as`.
fn a_question_and_its_answer(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Question");
    let id = mission.to_string();
    let server = site.start();
    let coordinator = site.console(mission, "coordinator");
    let email = format!("coordinator-{}@example.org", &id[..8]);
    let observer = Observer::new();
    assert_eq!(
        observer.enrol(&site.invite(mission, "D-2"))["enrolled"],
        true
    );
    let filed = observer.file(&[
        "--category",
        "ballot_stuffing",
        "--station",
        "8-3",
        "--text",
        "a full box",
    ]);
    let report = filed["report"].as_str().expect("a report");
    observer
        .run(&["answer", report, "--text", "too early"])
        .refuses("question_none");
    assert_eq!(observer.sync()["delivered"], 1);
    let decide = |arguments: &[&str]| {
        site.run(
            &[
                &["report", "decide", report, "--mission", &id, "--as", &email][..],
                arguments,
            ]
            .concat(),
        )
    };
    decide(&["--to", "in_review"]).json();
    decide(&["--to", "needs_info"]).refuses("reason_needed");
    decide(&["--to", "needs_info", "--question", "How full?"]).json();
    decide(&["--to", "in_review", "--version", "1"]).refuses("stale_decision");
    site.run(&[
        "report",
        "decide",
        report,
        "--mission",
        &id,
        "--as",
        "nobody@example.org",
        "--to",
        "in_review",
    ])
    .refuses("user_unknown");
    assert_eq!(observer.sync()["items"], 2);
    let shown = observer.run(&["show", report]).json();
    assert_eq!(
        (&shown["status"], &shown["question"]["text"]),
        (&json!("needs_info"), &json!("How full?")),
        "{shown}"
    );
    observer
        .run(&["answer", report, "--text", "To the brim."])
        .json();
    observer.sync();
    let seen = coordinator.get(&format!("/v1/reports/{report}")).ok();
    assert!(
        seen["report"]["flags"]
            .as_array()
            .expect("flags")
            .contains(&json!("answered")),
        "{seen}"
    );
    assert_eq!(
        seen["report"]["status"], "needs_info",
        "an answer alone changes no status"
    );
    decide(&["--to", "in_review"]).json();
    decide(&["--to", "verified", "--reason", "between coordinators"]).json();
    observer.sync();
    let shown = observer.run(&["show", report]).json();
    assert_eq!(shown["status"], "verified");
    assert!(
        !shown.to_string().contains("between coordinators"),
        "the reason stays with the coordinators"
    );
    server.stop();
}

fn erasure_by_two_people(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Erasure");
    let server = site.start();
    let [first, second] = ["first@example.org", "second@example.org"].map(|email| {
        site.add_user(Some(mission), "lead", email);
        Console::login(&site.origin(), email, PASSWORD)
    });
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let secret = "Zümrüd-Canary-7431";
    let report = phone.file_text(&format!("{secret} lives at number 7"));
    let more = phone.amend(
        &report,
        report.hash(),
        &format!("{secret} lives at number 8"),
    );
    let beside = phone.file_text("another report");
    let _ = phone.send(&[&report, &more, &beside]);
    let path = format!("/v1/reports/{}/erasure", phone::subject(&report));
    first
        .post(&path, &json!({ "reason": "" }))
        .refuses(400, "reason_needed");
    let asked = first
        .post(&path, &json!({ "reason": "a court asked" }))
        .ok();
    first
        .post(&path, &json!({ "reason": "again" }))
        .refuses(409, "already_done");
    let approval = format!(
        "/v1/erasures/{}/approval",
        asked["id"].as_str().expect("an id")
    );
    first
        .post(&approval, &json!({}))
        .refuses(403, "same_person");
    assert_eq!(
        show(&first, &report)["report"]["erased"],
        false,
        "one person erases nothing"
    );
    assert!(found(&site, secret), "and it is there still");
    // Two approve at once: it is done once.
    let answers: Vec<u16> = thread::scope(|scope| {
        let all: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| second.post(&approval, &json!({})).status))
            .collect();
        all.into_iter()
            .map(|one| one.join().expect("an answer"))
            .collect()
    });
    assert_eq!(
        answers.iter().filter(|status| **status == 201).count(),
        1,
        "{answers:?}"
    );
    assert!(
        answers.iter().all(|status| [201, 409].contains(status)),
        "{answers:?}"
    );
    let shown = show(&second, &report);
    assert_eq!(
        (&shown["report"]["erased"], &shown["report"]["text"]),
        (&json!(true), &Value::Null)
    );
    assert!(!shown.to_string().contains(secret));
    for format in ["csv", "geojson", "jsonl"] {
        let export = first.get(&format!("/v1/exports/{format}"));
        assert_eq!(export.status, 200);
        assert!(!export.text().contains(secret), "{format}");
    }
    // Signature, hash, number and chain stand.
    let entries = ledger::audit(&site, mission);
    let skeleton = entries
        .iter()
        .find(|entry| entry.hash == report.hash())
        .expect("the skeleton");
    let read = skeleton.read.as_ref().expect("readable");
    assert!(read.body.get("text").is_none() && read.withheld > 0 && read.at.is_none());
    assert_eq!(
        entries
            .iter()
            .filter(|entry| entry.kind() == "erase")
            .count(),
        1
    );
    // The phone sends it again, words and all: they do not come back.
    assert_eq!(phone.send(&[&report]).short(&report), "already_stored");
    assert!(!show(&first, &report).to_string().contains(secret));
    assert!(
        !found(&site, secret),
        "the words are in no file of the database, while the server runs"
    );
    server.stop();
    assert!(!found(&site, secret), "nor when it has stopped");
}

/// Whether words stand in the database's tables, or, on SQLite, anywhere in its files.
fn found(site: &Site, words: &str) -> bool {
    let tables = site.database.schema().into_keys().collect::<Vec<_>>();
    let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
    // Entries hold them in base64url, at any of three offsets.
    let mut needles: BTreeSet<String> = BTreeSet::from([words.to_owned()]);
    for shift in 0..3 {
        let text = format!("{}{words}", "x".repeat(shift));
        let encoded = protocol::encoding::b64(&text);
        needles.insert(encoded[4..encoded.len() - 4].to_owned());
    }
    let hex = |text: &str| {
        text.bytes()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let in_tables = site.database.dump(&tables).values().flatten().any(|row| {
        needles
            .iter()
            .any(|needle| row.contains(needle.as_str()) || row.contains(&hex(needle)))
    });
    let Database::Sqlite(path) = &site.database else {
        return in_tables;
    };
    let in_files = std::fs::read_dir(path.parent().expect("a folder"))
        .expect("the folder")
        .any(|file| {
            let bytes = std::fs::read(file.expect("a file").path()).unwrap_or_default();
            needles.iter().any(|needle| {
                bytes
                    .windows(needle.len())
                    .any(|window| window == needle.as_bytes())
            })
        });
    in_tables || in_files
}

fn signing_in(kind: Kind) {
    let mut site = Site::new(kind);
    site.set("login_attempts", "10");
    let (one, two) = (site.create_mission("One"), site.create_mission("Two"));
    site.add_user(Some(one), "coordinator", "both@example.org");
    site.add_user(Some(two), "lead", "both@example.org");
    let server = site.start();
    let try_login = |body: Value| Console::try_login(&site.origin(), &body);
    let several = try_login(json!({ "email": "both@example.org", "password": PASSWORD }));
    several.refuses(409, "mission_choice_needed");
    assert_eq!(several.json()["missions"].as_array().map(Vec::len), Some(2));
    let chosen =
        try_login(json!({ "email": " Both@Example.ORG", "password": PASSWORD, "mission": two }))
            .ok();
    assert_eq!(
        (&chosen["roles"], &chosen["mission"]),
        (&json!(["lead"]), &json!(two))
    );
    // A wrong password and an unknown address look alike.
    let wrong = try_login(json!({ "email": "both@example.org", "password": "wrong" }));
    let nobody = try_login(json!({ "email": "nobody@example.org", "password": "wrong" }));
    wrong.refuses(401, "login_failed");
    assert_eq!((wrong.status, wrong.text()), (nobody.status, nobody.text()));
    let tries: Vec<u16> = (0..12)
        .map(|_| try_login(json!({ "email": "guess@example.org", "password": "x" })).status)
        .collect();
    assert!(tries.ends_with(&[429]), "{tries:?}");
    // Weak passwords are refused.
    for weak in ["password", "12345678", "w@example.org"] {
        let arguments = [
            "user",
            "add",
            "--mission",
            &one.to_string(),
            "--role",
            "analyst",
            "--email",
            "w@example.org",
            "--password-stdin",
        ];
        site.run_with(&arguments, &format!("{weak}\n"))
            .refuses("weak_secret");
    }
    server.stop();
}
