//! What leads do at the mission's own desk: accounts, registers, the audit trail.

use std::thread;

use serde_json::{Value, json};
use tests::{
    console::Console,
    database::Kind,
    http::{self, Answer},
    on_both_databases,
    phone::{self, Phone},
    second_factor,
    site::{PASSWORD, Site},
    wait,
};

on_both_databases!(
    leads_manage_accounts,
    two_leads_at_once_leave_one,
    imports_do_what_their_preview_said,
    odd_files_are_told_and_bounded,
    registers_come_back_as_they_went,
    the_trail_tells_who_did_what,
    the_trail_survives_a_restore
);

fn add(lead: &Console, email: &str, roles: &[&str]) -> Value {
    lead.post("/v1/accounts", &json!({ "email": email, "roles": roles }))
        .ok()
}

fn id(account: &Value) -> &str {
    account["account"]["id"].as_str().expect("an id")
}

fn because(mut body: Value) -> Value {
    body["reason"] = json!("for the test");
    body
}

fn leads_manage_accounts(kind: Kind) {
    let site = Site::new(kind);
    let (mission, other) = (site.small_mission("Mine"), site.small_mission("Theirs"));
    let server = site.start();
    let lead = site.console(mission, "lead");
    let origin = site.origin();

    // A new account gets a password that works, once shown.
    let made = add(&lead, " Nigar@Example.org", &["coordinator"]);
    assert_eq!(made["account"]["email"], "nigar@example.org");
    let password = made["password"].as_str().expect("a password");
    let nigar = Console::login(&origin, "nigar@example.org", password);
    nigar.get("/v1/reports").ok();
    let nigars = id(&made).to_owned();
    let path = |what: &str| format!("/v1/accounts/{nigars}/{what}");

    // What is no address, no role, not a lead's to give, or there already.
    for (body, status, code) in [
        (
            json!({ "email": "x", "roles": ["lead"] }),
            400,
            "invalid_value",
        ),
        (
            json!({ "email": "a@b.example", "roles": [] }),
            400,
            "invalid_value",
        ),
        (
            json!({ "email": "a@b.example", "roles": ["operator"] }),
            400,
            "invalid_value",
        ),
        (
            json!({ "email": "a@b.example", "roles": ["observer"] }),
            400,
            "invalid_value",
        ),
        (
            json!({ "email": "a@b.example", "roles": ["king"] }),
            400,
            "malformed_json",
        ),
        (
            json!({ "email": "nigar@example.org", "roles": ["lead"] }),
            409,
            "already_exists",
        ),
        (
            json!({ "email": "a@b.example", "roles": ["lead"], "mission": other }),
            400,
            "malformed_json",
        ),
    ] {
        lead.post("/v1/accounts", &body).refuses(status, code);
    }

    // Roles change what a token may from the next request on.
    lead.put(
        &path("roles"),
        &json!({ "roles": ["analyst"], "reason": " " }),
    )
    .refuses(400, "reason_needed");
    let roles = because(json!({ "roles": ["analyst"] }));
    let changed = lead.put(&path("roles"), &roles).ok();
    assert_eq!(changed["account"]["roles"], json!(["analyst"]));
    lead.put(&path("roles"), &roles)
        .refuses(409, "already_done");
    nigar.get("/v1/reports").refuses(401, "token_revoked");
    let nigar = Console::login(&origin, "nigar@example.org", password);
    lead.put(&path("roles"), &because(json!({ "roles": ["operator"] })))
        .refuses(400, "invalid_value");

    // Disabled: at once, and no sign-in; enabled: again.
    let off = because(json!({ "enabled": false }));
    assert_eq!(
        lead.put(&path("standing"), &off).ok()["account"]["enabled"],
        false
    );
    lead.put(&path("standing"), &off)
        .refuses(409, "already_done");
    nigar.get("/v1/reports").refuses(401, "token_revoked");
    let login = json!({ "email": "nigar@example.org", "password": password });
    Console::try_login(&origin, &login).refuses(401, "login_failed");
    lead.put(&path("standing"), &because(json!({ "enabled": true })))
        .ok();
    Console::login(&origin, "nigar@example.org", password)
        .get("/v1/reports")
        .ok();

    // The second factor goes, and its owner signs in without.
    second_factor::set_up(&origin, "nigar@example.org", password).expect("a second factor");
    Console::try_login(&origin, &login).refuses(401, "second_factor_needed");
    let shown = |member: &str| {
        let all = lead.get("/v1/accounts").ok();
        let found = all["accounts"].as_array().expect("accounts").iter();
        let mut found = found.filter(|one| one["id"] == nigars.as_str());
        found.next().expect("the account")[member].clone()
    };
    assert_eq!(shown("second_factor"), true);
    assert!(shown("last_sign_in").is_string());
    let reason = because(json!({}));
    lead.post(&path("second-factor-reset"), &reason).ok();
    assert_eq!(shown("second_factor"), false);
    lead.post(&path("second-factor-reset"), &reason)
        .refuses(409, "already_done");
    let nigar = Console::login(&origin, "nigar@example.org", password);

    // Another password: the old one is nobody's.
    let fresh = lead.post(&path("password-reset"), &reason).ok();
    Console::try_login(&origin, &login).refuses(401, "login_failed");
    let fresh = fresh["password"].as_str().expect("a password");
    assert_ne!(fresh, password);
    Console::login(&origin, "nigar@example.org", fresh)
        .get("/v1/reports")
        .ok();
    nigar.get("/v1/me").ok();

    // Nobody changes an account of their own.
    let me = lead.get("/v1/me").ok();
    let own = format!("/v1/accounts/{}", me["id"].as_str().expect("an id"));
    lead.put(&format!("{own}/roles"), &roles)
        .refuses(403, "own_account");
    lead.put(&format!("{own}/standing"), &off)
        .refuses(403, "own_account");
    lead.post(&format!("{own}/second-factor-reset"), &reason)
        .refuses(403, "own_account");
    lead.post(&format!("{own}/password-reset"), &reason)
        .refuses(403, "own_account");

    // Somebody of another mission too keeps the password, and the rest of the account.
    let stranger = site.console(other, "lead");
    let strangers = stranger.get("/v1/me").ok();
    let email = strangers["email"].as_str().expect("an address");
    let joined = add(&lead, email, &["auditor"]);
    assert_eq!(joined["password"], Value::Null);
    assert_eq!(joined["account"]["elsewhere"], true);
    let theirs = format!("/v1/accounts/{}", id(&joined));
    lead.put(&format!("{theirs}/standing"), &off)
        .refuses(409, "account_elsewhere");
    lead.post(&format!("{theirs}/second-factor-reset"), &reason)
        .refuses(409, "account_elsewhere");
    lead.post(&format!("{theirs}/password-reset"), &reason)
        .refuses(409, "account_elsewhere");
    let gone = lead
        .put(&format!("{theirs}/roles"), &because(json!({ "roles": [] })))
        .ok();
    assert_eq!(gone["account"], Value::Null);
    stranger.get("/v1/reports").ok();
    lead.put(&format!("{theirs}/roles"), &roles)
        .refuses(404, "not_found");
    assert_eq!(http::faults(), Vec::<String>::new());
    server.stop();
}

/// Two leads take the role from each other at the same moment: one is first, and the
/// other is no lead any more.
fn two_leads_at_once_leave_one(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Rivals");
    let server = site.start();
    for round in 0..5 {
        let leads: Vec<(Console, String)> = ["one", "two"]
            .iter()
            .map(|name| {
                let email = format!("{name}-{round}@example.org");
                site.add_user(Some(mission), "lead", &email);
                let console = Console::login(&site.origin(), &email, PASSWORD);
                let id = console.get("/v1/me").ok()["id"]
                    .as_str()
                    .expect("an id")
                    .to_owned();
                (console, id)
            })
            .collect();
        let body = because(json!({ "roles": ["analyst"] }));
        let answers: Vec<Answer> = thread::scope(|scope| {
            let turns: Vec<_> = [(0, 1), (1, 0)]
                .into_iter()
                .map(|(who, whom)| {
                    let (leads, body) = (&leads, &body);
                    scope.spawn(move || {
                        let path = format!("/v1/accounts/{}/roles", leads[whom].1);
                        leads[who].0.put(&path, body)
                    })
                })
                .collect();
            turns
                .into_iter()
                .map(|turn| turn.join().expect("it ends"))
                .collect()
        });
        let won = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(
            won,
            1,
            "{:?}",
            answers.iter().map(Answer::text).collect::<Vec<_>>()
        );
        let lost = answers
            .iter()
            .find(|answer| answer.status != 200)
            .expect("the other");
        assert!(
            ["forbidden", "token_revoked"].contains(&lost.code().as_str()),
            "{}",
            lost.text()
        );
    }
    server.stop();
}

/// Sends a file.
fn send(who: &Console, path: &str, file: &str) -> Answer {
    send_as(who, path, file, "text/csv; charset=utf-8")
}

fn send_as(who: &Console, path: &str, file: &str, media_type: &str) -> Answer {
    let bearer = format!("Bearer {}", who.token);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", media_type),
    ];
    let url = format!("{}{path}", who.origin());
    http::send("POST", &url, &headers, Some(file.as_bytes().to_vec()))
}

fn apply(register: &str, seen: &Value) -> String {
    let text = |name: &str| seen[name].as_str().expect("a text");
    let (sha256, state) = (text("sha256"), text("state"));
    format!("/v1/imports/{register}?sha256={sha256}&state={state}")
}

const CHANGED: &str = "\
code,name,constituency_no,constituency_name,lat,lon,registered_voters
8-1,Binagadi 1 (new hall),8,Binagadi,40.4600,49.8200,812
8-2,Binagadi 2,8,Binagadi,40.4610,49.8210,901
8-3,Binagadi 3,8,Binagadi,40.4620,49.8220,1011
99-1,Far away,99,Elsewhere,,,
";

fn imports_do_what_their_preview_said(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Imports");
    let server = site.start();
    let lead = site.console(mission, "lead");
    let preview = "/v1/imports/stations/preview";
    let before = site.database.dump(&["stations", "locations", "registers"]);
    let seen = send(&lead, preview, CHANGED).ok();
    let count = |name: &str| seen[name].as_u64().expect("a number");
    assert_eq!(
        [
            "read",
            "created",
            "updated",
            "unchanged",
            "missing",
            "errors"
        ]
        .map(count),
        [4, 1, 2, 1, 9, 0]
    );
    assert_eq!(
        seen["updated_rows"],
        json!([
            { "line": 2, "key": "8-1", "fields": [
                { "field": "name", "before": "Binagadi 1", "after": "Binagadi 1 (new hall)" }] },
            { "line": 3, "key": "8-2", "fields": [
                { "field": "registered_voters", "before": "900", "after": "901" }] },
        ])
    );
    assert_eq!(seen["created_rows"][0]["key"], "99-1");
    assert_eq!(seen["created_rows"][0]["values"]["constituency_no"], "99");
    assert_eq!(seen["missing_keys"][0], "37-1");
    assert_eq!(
        site.database.dump(&["stations", "locations", "registers"]),
        before
    );
    // The next window begins where it is asked to.
    let later = send(&lead, &format!("{preview}?from=1"), CHANGED).ok();
    assert_eq!(later["updated_rows"].as_array().expect("rows").len(), 1);
    assert_eq!(later["updated_rows"][0]["key"], "8-2");

    // Another file, or none that was previewed.
    let path = apply("stations", &seen);
    send(&lead, &path, &CHANGED.replace("812", "813")).refuses(409, "preview_stale");
    send(&lead, "/v1/imports/stations", CHANGED).refuses(400, "malformed_query");
    // Another register meanwhile.
    let own = "code,name,constituency_no\n8-6,Binagadi 6 (annex),8\n";
    site.import("stations", &site.file("meanwhile.csv", own), mission);
    send(&lead, &path, CHANGED).refuses(409, "preview_stale");
    let kept = site
        .database
        .rows("SELECT name FROM stations WHERE code = '8-1'");
    assert_eq!(kept[0][0], "Binagadi 1");

    // Seen again, it does just that; and then there is nothing left to do.
    let seen = send(&lead, preview, CHANGED).ok();
    let done = send(&lead, &apply("stations", &seen), CHANGED).ok();
    assert_eq!(
        done,
        json!({ "read": 4, "created": 1, "updated": 2, "unchanged": 1, "missing": 9 })
    );
    let now = send(&lead, preview, CHANGED).ok();
    assert_eq!(
        (&now["created"], &now["updated"], &now["unchanged"]),
        (&json!(0), &json!(0), &json!(4))
    );
    send(&lead, &apply("stations", &seen), CHANGED).refuses(409, "preview_stale");

    // A renamed constituency is a change of its stations.
    let renamed = CHANGED.replace("Elsewhere", "Elsewhere (renamed)");
    let seen = send(&lead, preview, &renamed).ok();
    assert_eq!(
        seen["updated_rows"][0]["fields"],
        json!([{ "field": "constituency_name", "before": "Elsewhere", "after": "Elsewhere (renamed)" }])
    );

    // Accreditations and categories, by the same way.
    let people = "number,name,kind,institution,country,stations\n\
                  D-1,Aygün Sınaq,domestic,Sample Alliance (invented),AZ,8-1\n\
                  D-6,Fidan Sınaq,domestic,,AZ,\n";
    let seen = send(&lead, "/v1/imports/accreditations/preview", people).ok();
    assert_eq!(seen["updated_rows"][0]["fields"][0]["before"], "8-1;8-2");
    send(&lead, &apply("accreditations", &seen), people).ok();
    let words = "stage;code;definition;label_en;label_az\nvoting;queue;A long queue;Queue;Növbə\n";
    let seen = send(
        &lead,
        "/v1/imports/categories/preview?delimiter=semicolon",
        words,
    )
    .ok();
    assert_eq!(seen["created_rows"][0]["values"]["label_az"], "Növbə");
    let path = format!("{}&delimiter=semicolon", apply("categories", &seen));
    send(&lead, &path, words).ok();
    let categories = lead.get("/v1/categories").ok();
    assert!(categories.to_string().contains("Növbə"));
    assert_eq!(http::faults(), Vec::<String>::new());
    server.stop();
}

fn odd_files_are_told_and_bounded(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Odd files");
    let server = site.start();
    let lead = site.console(mission, "lead");
    let preview = "/v1/imports/stations/preview";

    send_as(&lead, preview, CHANGED, "application/json").refuses(415, "unsupported_media_type");
    send(&lead, "/v1/imports/reports/preview", CHANGED).refuses(404, "not_found");
    send(&lead, &format!("{preview}?decimal=dot"), CHANGED).refuses(400, "malformed_query");
    send(&lead, &format!("{preview}?map=height%3Dh"), CHANGED).refuses(400, "usage");

    // Errors by line, and nothing else; a window of them, and none longer than a line.
    let long = "x".repeat(10_000);
    let mut file = String::from("code,name,constituency_no,lat,lon\n");
    for number in 0..120 {
        file.push_str(&format!("9-{number},\"{long}\",9,north,49\n"));
    }
    let told = send(&lead, preview, &file).ok();
    assert_eq!(
        (&told["errors"], &told["created"]),
        (&json!(240), &json!(0))
    );
    let rows = told["error_rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 50);
    assert_eq!(
        (&rows[0]["line"], &rows[0]["code"]),
        (&json!(2), &json!("too_long"))
    );
    assert_eq!(
        (&rows[1]["column"], &rows[1]["code"]),
        (&json!("lat"), &json!("number_invalid"))
    );
    let wild = file.replace("north", &long);
    let told = send(&lead, &format!("{preview}?from=200"), &wild).ok();
    let rows = told["error_rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 40);
    assert!(rows.iter().all(|row| {
        row["message"]
            .as_str()
            .is_some_and(|text| text.chars().count() <= 301)
    }));
    send(&lead, &apply("stations", &told), &wild).refuses(400, "import_rejected");
    for (file, code) in [
        ("", "row_malformed"),
        ("code\n1\n", "column_missing"),
        ("code,name,constituency_no\n\"1,2\n", "row_malformed"),
    ] {
        let told = send(&lead, preview, file).ok();
        assert_eq!(told["error_rows"][0]["code"], code, "{file:?}: {told}");
    }

    // Hostile words are words.
    let hostile = "code,name,constituency_no,constituency_name\n\
                   66-1,<script>alert(1)</script>,66,\u{202e}gnp.exe\n\
                   66-2,=HYPERLINK(\"http://x\"),66,\u{202e}gnp.exe\n"
        .replace(
            "=HYPERLINK(\"http://x\")",
            "\"=HYPERLINK(\"\"http://x\"\")\"",
        );
    let seen = send(&lead, preview, &hostile).ok();
    assert_eq!(
        seen["created_rows"][0]["values"]["name"],
        "<script>alert(1)</script>"
    );
    send(&lead, &apply("stations", &seen), &hostile).ok();
    let found = lead.get("/v1/registers/stations/rows?text=66-2").ok();
    assert_eq!(found["stations"][0]["name"], "=HYPERLINK(\"http://x\")");
    assert_eq!(http::faults(), Vec::<String>::new());
    server.stop();
}

/// A file that is taken away and imported again changes nothing; edited, just that.
fn registers_come_back_as_they_went(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Round trip");
    let odd = "code,name,constituency_no,constituency_name,lat,lon,registered_voters,generated\n\
               -7,'=1+1,7,\"A, \"\"B\"\"\",-33.5,-0.25,0,true\n\
               +8,@x,7,\"A, \"\"B\"\"\",,,,\n\
               9,''-x,,,,,,\n";
    site.import("stations", &site.file("odd.csv", odd), mission);
    let numbers = "number,name,kind,institution,country,stations\n\
                   =9,\"-Name\nof two lines\",international,@home,,8-1;+8\n";
    site.import(
        "accreditations",
        &site.file("odd-people.csv", numbers),
        mission,
    );
    let server = site.start();
    let lead = site.console(mission, "lead");
    let before = site
        .database
        .dump(&["stations", "locations", "accreditations", "categories"]);
    for (register, rows) in [("stations", 15), ("accreditations", 6), ("categories", 30)] {
        let answer = lead.get(&format!("/v1/registers/{register}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let file = answer.text();
        let seen = send(&lead, &format!("/v1/imports/{register}/preview"), &file).ok();
        let read = seen["read"].as_u64().expect("a number");
        assert!(
            read >= rows || register == "categories",
            "{register}: {read}"
        );
        assert_eq!(seen["unchanged"], seen["read"], "{register}: {seen}");
        assert_eq!(
            (&seen["missing"], &seen["errors"]),
            (&json!(0), &json!(0)),
            "{register}"
        );
        let edited = match register {
            "stations" => file.replace("Ganja 1", "Ganja 1a"),
            "accreditations" => file.replace("Cavid", "Cavidan"),
            _ => file.replace("Ballot stuffing", "Stuffed ballots"),
        };
        let seen = send(&lead, &format!("/v1/imports/{register}/preview"), &edited).ok();
        assert_eq!(
            (&seen["updated"], &seen["created"]),
            (&json!(1), &json!(0)),
            "{register}: {seen}"
        );
    }
    assert_eq!(
        site.database
            .dump(&["stations", "locations", "accreditations", "categories"]),
        before
    );
    // Names are for leads.
    let auditor = site.console(mission, "auditor");
    assert_eq!(auditor.get("/v1/registers/stations").status, 200);
    auditor
        .get("/v1/registers/accreditations")
        .refuses(403, "forbidden");
    lead.get("/v1/registers/reports").refuses(404, "not_found");

    // Stations are found by words of what they lie in, a page at a time.
    let rows = lead.all(
        "/v1/registers/stations/rows?limit=2&text=bINAGADI",
        "stations",
    );
    let codes: Vec<_> = rows
        .iter()
        .map(|row| row["code"].as_str().expect("a code"))
        .collect();
    assert_eq!(codes, ["8-1", "8-2", "8-3", "8-4", "8-5", "8-6"]);
    assert_eq!(
        rows[0]["path"],
        json!([{ "level": "constituency", "code": "8", "name": "Binagadi" }])
    );
    assert_eq!(rows[0]["reports"], 0);
    lead.get("/v1/registers/stations/rows?text=a&text=b")
        .refuses(400, "malformed_query");
    assert_eq!(http::faults(), Vec::<String>::new());
    server.stop();
}

fn acts(who: &Console, query: &str) -> Vec<Value> {
    who.all(&format!("/v1/audit?limit=7&{query}"), "items")
}

fn count(items: &[Value], act: &str) -> usize {
    items.iter().filter(|item| item["act"] == act).count()
}

fn the_trail_tells_who_did_what(kind: Kind) {
    let site = Site::new(kind);
    let (mission, other) = (site.small_mission("Trail"), site.small_mission("Elsewhere"));
    let server = site.start();
    let lead = site.console(mission, "lead");
    let me = lead.get("/v1/me").ok()["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let origin = site.origin();

    // Everything once.
    let made = add(&lead, "nigar@example.org", &["coordinator"]);
    let nigar = id(&made).to_owned();
    let password = made["password"].as_str().expect("a password").to_owned();
    let path = |what: &str| format!("/v1/accounts/{nigar}/{what}");
    lead.put(
        &path("roles"),
        &because(json!({ "roles": ["coordinator", "analyst"] })),
    )
    .ok();
    second_factor::set_up(&origin, "nigar@example.org", &password).expect("a second factor");
    lead.post(&path("second-factor-reset"), &because(json!({})))
        .ok();
    lead.post("/v1/enrolment-codes", &json!({ "accreditation": "D-5" }))
        .ok();
    let seen = send(&lead, "/v1/imports/stations/preview", CHANGED).ok();
    send(&lead, &apply("stations", &seen), CHANGED).ok();
    assert_eq!(lead.get("/v1/exports/csv?status=verified").status, 200);
    assert_eq!(lead.get("/v1/registers/stations").status, 200);
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let filed = phone.file_text("To be erased");
    let _ = phone.send(&[&filed]);
    let report = phone::subject(&filed).to_string();
    lead.post(
        &format!("/v1/reports/{report}/notes"),
        &json!({ "text": "seen" }),
    )
    .ok();
    lead.post(
        &format!("/v1/reports/{report}/erasure"),
        &because(json!({})),
    )
    .ok();
    lead.put(&path("standing"), &because(json!({ "enabled": false })))
        .ok();
    lead.put(&path("standing"), &because(json!({ "enabled": true })))
        .ok();
    let fresh = lead.post(&path("password-reset"), &because(json!({}))).ok();
    // At the command line, and from nobody known.
    site.run(&["user", "disable", "--email", "nigar@example.org"])
        .json();
    site.run(&["user", "enable", "--email", "nigar@example.org"])
        .json();
    for (email, password) in [
        ("nigar@example.org", "not the one"),
        ("nobody@example.org", "hunter2hunter2"),
    ] {
        Console::try_login(&origin, &json!({ "email": email, "password": password }))
            .refuses(401, "login_failed");
    }
    wait::until("the failed sign-in in the trail", || {
        (count(&acts(&lead, "act=sign_in_failed"), "sign_in_failed") == 1).then_some(())
    });

    let all = acts(&lead, "");
    for act in [
        "mission_created",
        "sign_in",
        "account_added",
        "roles_changed",
        "second_factor_set",
        "second_factor_reset",
        "enrolment_code",
        "import",
        "export",
        "register_taken",
        "enrol",
        "note",
        "erasure_requested",
        "account_disabled",
        "account_enabled",
        "password_set",
        "sign_in_failed",
    ] {
        assert!(count(&all, act) > 0, "{act} in {all:?}");
    }
    let times: Vec<_> = all
        .iter()
        .map(|item| item["at"].as_str().expect("a time"))
        .collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "newest first: {times:?}");
    let one = |act: &str| {
        let mut found = all.iter().filter(|item| item["act"] == act);
        found.next().expect("it").clone()
    };
    let export = one("export");
    assert_eq!(
        (&export["actor"], &export["via"]),
        (&json!(me), &json!("network"))
    );
    assert_eq!(export["details"]["status"], json!(["verified"]));
    assert_eq!(one("roles_changed")["account"], nigar.as_str());
    assert_eq!(
        one("roles_changed")["details"]["before"],
        json!(["coordinator"])
    );
    assert_eq!(one("account_enabled")["via"], "command_line");
    assert_eq!(one("account_enabled")["actor"], Value::Null);
    assert_eq!(one("import")["details"]["created"], 1);
    assert_eq!(one("erasure_requested")["report"], report.as_str());
    assert_eq!(one("note")["report"], report.as_str());
    assert_eq!(one("enrol")["details"]["accreditation_number"], "D-1");

    // No secret, and nothing of another mission.
    let text = Value::from(all.clone()).to_string();
    let fresh = fresh["password"].as_str().expect("a password");
    for secret in [
        PASSWORD,
        &password,
        fresh,
        "not the one",
        "hunter2",
        "nobody@example.org",
    ] {
        assert!(!text.contains(secret), "{secret}");
    }
    let stranger = site.console(other, "auditor");
    let theirs = Value::from(acts(&stranger, "")).to_string();
    assert!(!theirs.contains(&me) && !theirs.contains(&nigar));

    // By person, by act, by time.
    let hers = acts(&lead, &format!("person={nigar}"));
    assert!(
        hers.iter()
            .all(|item| item["actor"] == nigar.as_str() || item["account"] == nigar.as_str())
    );
    assert!(count(&hers, "roles_changed") == 1 && count(&hers, "export") == 0);
    assert_eq!(acts(&lead, "act=note&act=export").len(), 2);
    let at = export["at"].as_str().expect("a time");
    let until = acts(&lead, &format!("until={at}"));
    let since = acts(&lead, &format!("since={at}"));
    assert_eq!(until.len() + since.len(), acts(&lead, "").len());
    for query in [
        "person=x",
        "act=DROP",
        "since=yesterday",
        "until=1&until=2",
        "who=me",
    ] {
        lead.get(&format!("/v1/audit?{query}"))
            .refuses(400, "malformed_query");
    }

    // As a file, which is an act too.
    let auditor = site.console(mission, "auditor");
    let file = auditor.get("/v1/audit.csv?act=export").text();
    let lines: Vec<_> = file.lines().collect();
    assert_eq!(lines.len(), 2, "{file}");
    assert!(
        lines[1].contains(",export,,") && lines[1].contains("lead-"),
        "{file}"
    );
    assert_eq!(count(&acts(&lead, "act=audit_taken"), "audit_taken"), 1);
    site.console(mission, "coordinator")
        .get("/v1/audit")
        .refuses(403, "forbidden");
    assert_eq!(http::faults(), Vec::<String>::new());
    server.stop();
}

fn the_trail_survives_a_restore(kind: Kind) {
    let mut site = Site::new(kind);
    let mission = site.small_mission("Kept");
    site.add_user(Some(mission), "lead", "lead@example.org");
    let rows = "SELECT act FROM audit ORDER BY at, id";
    let before = site.database.rows(rows);
    let folder = crate::recovery::back_up(&site, "backup", &[]);
    assert_eq!(
        site.database.rows(rows).len(),
        before.len() + 2,
        "the mission's trail and the server's"
    );
    let new = crate::recovery::elsewhere(&mut site, kind);
    crate::recovery::restore(&new, &folder, &site);
    let after = new.database.rows(rows);
    assert_eq!(after[..before.len()], before[..]);
    assert_eq!(
        after[before.len()..],
        [vec!["restore".to_owned()], vec!["restore".to_owned()]]
    );
    let server = new.start();
    let lead = Console::login(&new.origin(), "lead@example.org", PASSWORD);
    let all = acts(&lead, "");
    assert!(
        count(&all, "import") == 3 && count(&all, "restore") == 1,
        "{all:?}"
    );
    server.stop();
}
