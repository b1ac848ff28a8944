//! A rebuild arrives at what ingest left.

use protocol::{
    entry::{Patch, Place, ReportFields},
    exchange::JournalHead,
    ids::{EntryHash, JournalId},
};
use serde_json::{Value, json};
use tests::{
    chance::Chance,
    console::Console,
    database::Kind,
    ledger, on_both_databases,
    phone::{self, Phone, report},
    site::{PASSWORD, Site},
    upload::{Sample, attach, attach_with},
};

on_both_databases!(
    a_rebuild_equals_what_ingest_left,
    a_rebuild_waits_for_no_server
);

/// What is rebuilt: projections, and the standing of each entry.
const REBUILT: [&str; 8] = [
    "entries",
    "evidence",
    "devices",
    "revoked_accreditations",
    "reports",
    "check_ins",
    "inbox",
    "journal_contacts",
];

fn a_rebuild_equals_what_ingest_left(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Rebuild");
    let other = site.small_mission("Beside it");
    let server = site.start();
    let [lead, second] = ["lead@example.org", "second@example.org"].map(|email| {
        site.add_user(Some(mission), "lead", email);
        Console::login(&site.origin(), email, PASSWORD)
    });
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let mut beside = Phone::enrolled(&site, other, "D-1");
    let alien = beside.file_text("in the other mission");
    let _ = beside.send(&[&alien]);

    // Amended after a decision; decided on again.
    let first = phone.file(&ReportFields {
        station: Patch::Set("8-1".into()),
        ..report("first")
    });
    let _ = phone.send(&[&first]);
    decide(&lead, &first, "in_review", None);
    decide(&lead, &first, "verified", None);
    let amended = phone.amend(&first, first.hash(), "first, amended");
    let _ = phone.send(&[&amended]);
    assert_eq!(show(&lead, &first)["report"]["status"], "reopened");
    decide(&lead, &first, "in_review", None);
    decide(&lead, &first, "needs_info", Some("Who was there?"));
    let question = show(&lead, &first)["history"]
        .as_array()
        .and_then(|h| h.last())
        .expect("a history")["hash"]
        .clone();
    let answer = phone.entry(
        protocol::entry::Kind::Answer,
        phone::subject(&first),
        Some(amended.hash()),
        [("question".to_owned(), question)].into_iter().collect(),
        vec![("text", json!("Nobody."))],
    );
    let check_in = phone.check_in("37-1");
    let withdrawn = phone.file(&ReportFields {
        place: Patch::Set(Place {
            lat: 0.0,
            lon: 0.0,
            accuracy: None,
        }),
        ..report("withdrawn")
    });
    let withdrawal = phone.withdraw(&withdrawn, withdrawn.hash(), "no");
    let _ = phone.send(&[&answer, &check_in, &withdrawn, &withdrawal]);

    // Held: what is amended comes after the amendments, in the wrong order.
    let base = phone.file_text("base");
    let one = phone.amend(&base, base.hash(), "one");
    let two = phone.amend(&base, one.hash(), "two");
    assert_eq!(phone.send(&[&two]).short(&two), "held");
    assert_eq!(phone.send(&[&one]).short(&one), "held");
    assert_eq!(phone.send(&[&base]).short(&base), "stored");
    assert_eq!(show(&lead, &base)["report"]["text"], "two");
    let never = phone.amend(&base, EntryHash([9; 32]), "its base never comes");
    assert_eq!(phone.send(&[&never]).short(&never), "held");

    // Forked: a clone of the phone.
    let mut clone = phone.clone();
    clone.chance = Chance::seeded(5);
    let (mine, its) = (phone.file_text("mine"), clone.file_text("its"));
    let _ = phone.send(&[&mine]);
    assert_eq!(clone.send(&[&its]).short(&its), "stored fork");

    // A gap: the phone says that nothing is left, and a place is empty.
    phone.journal = JournalId(phone.chance.uuid());
    (phone.seq, phone.prev) = (0, None);
    let (kept, lost, behind) = (
        phone.file_text("kept"),
        phone.file_text("lost"),
        phone.file_text("behind"),
    );
    let mut request = phone.request(&[&kept, &behind]);
    request.journals = vec![JournalHead {
        journal: phone.journal,
        head: 3,
        pending: 0,
    }];
    let _ = phone.exchange(&request, None);
    assert!(
        flags(&lead, &behind).contains(&json!("gap")),
        "{:?}",
        flags(&lead, &behind)
    );
    drop(lost);

    // Quarantined, one admitted and one not; another device of one observer.
    let mut twin = Phone::enrolled(&site, mission, "D-1");
    let from_twin = twin.amend(&kept, kept.hash(), "from the other phone");
    assert_eq!(twin.send(&[&from_twin]).short(&from_twin), "stored");
    let (long, longer) = (
        phone.file_text(&"y".repeat(10_001)),
        phone.file_text(&"z".repeat(10_001)),
    );
    let _ = phone.send(&[&long, &longer]);
    lead.post(
        &format!("/v1/quarantine/{}/admission", long.hash()),
        &json!({ "reason": "long, and true" }),
    )
    .ok();
    let device = twin_device(&lead);
    lead.post(
        &format!("/v1/devices/{device}/revocation"),
        &json!({ "reason": "lost" }),
    )
    .ok();
    let late = twin.file_text("late");
    let on_late = twin.amend(&late, late.hash(), "late, amended");
    assert_eq!(
        twin.send(&[&late, &on_late]).short(&late),
        "quarantined:revoked_device"
    );
    lead.post(
        &format!("/v1/quarantine/{}/admission", late.hash()),
        &json!({ "reason": "we spoke" }),
    )
    .ok();
    lead.post(
        "/v1/accreditations/D-5/revocation",
        &json!({ "reason": "returned" }),
    )
    .ok();

    // Erased.
    let secret = phone.file_text("a name that must go");
    let pictures = [1, 2, 3, 4].map(|size| Sample::of(size).file);
    let gone = attach(&mut phone, &secret, secret.hash(), &pictures[0]);
    let _ = phone.send(&[&secret, &gone]);

    // Announced: counting, held and then counting, held for ever, quarantined,
    // admitted.
    let shown = attach_with(
        &mut phone,
        &kept,
        kept.hash(),
        &pictures[1],
        Some(&pictures[2]),
    );
    let early = phone.file_text("its picture comes first");
    let ahead = attach(&mut phone, &early, early.hash(), &pictures[3]);
    assert_eq!(phone.send(&[&ahead]).short(&ahead), "held");
    let orphan = attach(&mut phone, &early, EntryHash([8; 32]), &pictures[3]);
    let _ = phone.send(&[&shown, &early, &orphan]);
    let of_twin =
        [&pictures[1], &pictures[2]].map(|file| attach(&mut twin, &kept, kept.hash(), file));
    let sent = twin.send(&[&of_twin[0], &of_twin[1]]);
    assert_eq!(sent.short(&of_twin[0]), "quarantined:revoked_device");
    lead.post(
        &format!("/v1/quarantine/{}/admission", of_twin[1].hash()),
        &json!({ "reason": "we saw it" }),
    )
    .ok();
    let path = format!("/v1/reports/{}/erasure", phone::subject(&secret));
    let erasure = lead.post(&path, &json!({ "reason": "asked for" })).ok();
    let id = erasure["id"].as_str().expect("an id");
    second
        .post(&format!("/v1/erasures/{id}/approval"), &json!({}))
        .ok();
    server.stop();

    let before = site.database.dump(&REBUILT);
    let entries = ledger::audit(&site, mission);
    for standing in ["applied", "held", "quarantined"] {
        assert!(
            entries.iter().any(|entry| entry.row.standing == standing),
            "no entry is {standing}"
        );
    }
    // Everything that a rebuild makes anew is lost first, twice.
    for spoil in [
        "DELETE FROM reports; DELETE FROM evidence; DELETE FROM check_ins; DELETE FROM inbox; DELETE FROM revoked_accreditations;
         UPDATE journal_contacts SET gap = FALSE;",
        "UPDATE reports SET status = 'dismissed', text = 'spoilt', flags = 0, version = 1;
         UPDATE entries SET standing = 'applied' WHERE standing = 'held';",
    ] {
        site.database.execute(spoil);
        let done = site.run(&["rebuild"]).json();
        assert!(done.is_object(), "{done}");
        let after = site.database.dump(&REBUILT);
        for table in REBUILT {
            pretty(table, &before[table], &after[table]);
        }
    }
    let _ = ledger::audit(&site, mission);
    let _ = ledger::audit(&site, other);
}

fn pretty(table: &str, before: &[String], after: &[String]) {
    let gone: Vec<_> = before.iter().filter(|row| !after.contains(row)).collect();
    let new: Vec<_> = after.iter().filter(|row| !before.contains(row)).collect();
    assert!(
        gone.is_empty() && new.is_empty(),
        "{table}:\nwas  {gone:#?}\nnow  {new:#?}"
    );
    assert_eq!(before.len(), after.len(), "{table}");
}

fn twin_device(lead: &Console) -> String {
    // The last enrolled stands first.
    lead.get("/v1/devices?accreditation=D-1").ok()["devices"][0]["id"]
        .as_str()
        .expect("a device")
        .to_owned()
}

fn show(console: &Console, report: &protocol::entry::SdJwt) -> Value {
    console
        .get(&format!("/v1/reports/{}", phone::subject(report)))
        .ok()
}

fn flags(console: &Console, report: &protocol::entry::SdJwt) -> Vec<Value> {
    show(console, report)["report"]["flags"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

fn decide(console: &Console, report: &protocol::entry::SdJwt, to: &str, question: Option<&str>) {
    let version = show(console, report)["report"]["version"].clone();
    let path = format!("/v1/reports/{}/decisions", phone::subject(report));
    console
        .post(
            &path,
            &json!({ "to": to, "version": version, "question": question }),
        )
        .ok();
}

fn a_rebuild_waits_for_no_server(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Rebuild");
    let server = site.start();
    site.run(&["rebuild"]).refuses("server_running");
    // From another folder on the same database, too.
    if kind == Kind::Postgres {
        site.twin().run(&["rebuild"]).refuses("server_running");
    }
    server.kill();
    site.run(&["rebuild"]).json();
    let _ = ledger::audit(&site, mission);
    let server = site.start();
    server.get("/readyz").ok();
}
