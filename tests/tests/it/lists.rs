//! The list of reports: filters, and pages that stay stable.

use std::collections::BTreeSet;

use protocol::entry::{Patch, Place, ReportFields, Severity};
use serde_json::{Value, json};
use tests::{
    console::Console,
    database::Kind,
    http, on_both_databases,
    phone::{self, Phone, report},
    site::Site,
};

on_both_databases!(
    filters,
    pages_stay_stable_while_reports_arrive,
    words_are_found_whether_indexed_or_not,
    an_import_counts_from_the_next_report_on
);

/// The server keeps what it has read of the registers; an import by another
/// process must reach it.
fn an_import_counts_from_the_next_report_on(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Registers");
    let _server = site.start();
    let coordinator = site.console(mission, "coordinator");
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let mut filed = |text: &str| {
        let entry = phone.file(&ReportFields {
            category: Some("brought_later".into()),
            station: Patch::Set("99-1".into()),
            ..report(text)
        });
        let _ = phone.send(&[&entry]);
        let path = format!("/v1/reports/{}", phone::subject(&entry));
        coordinator.get(&path).ok()["report"].clone()
    };
    let before = filed("before");
    assert_eq!(before["severity"], Value::Null);
    assert_eq!(before["flags"], json!(["unlisted_station"]));
    let stations = site.file(
        "later.csv",
        "code,name,constituency_no,constituency_name,lat,lon,registered_voters\n\
         99-1,Brought later,99,Later,40.1,48.1,100\n",
    );
    site.import("stations", &stations, mission);
    let categories = site.file(
        "categories.csv",
        "stage,code,definition,severity\nvoting,brought_later,Brought later,high\n",
    );
    site.import("categories", &categories, mission);
    let after = filed("after");
    assert_eq!(after["severity"], "high");
    assert_eq!(after["flags"], json!([]));
}

fn filters(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Filters");
    let server = site.start();
    let coordinator = site.console(mission, "coordinator");
    let mut one = Phone::enrolled(&site, mission, "D-1");
    let mut two = Phone::enrolled(&site, mission, "D-5");
    let at = |lat, lon| {
        Patch::Set(Place {
            lat,
            lon,
            accuracy: None,
        })
    };
    let a = one.file(&ReportFields {
        severity: Some(Severity::Critical),
        station: Patch::Set("8-1".into()),
        place: at(40.46, 49.82),
        observed_at: Patch::Set("2024-09-01T08:00:00+04:00".into()),
        ..report("İkinci qutuda BÜLLETEN")
    });
    let b = one.file(&ReportFields {
        category: Some("multiple_voting".into()),
        severity: Some(Severity::Low),
        station: Patch::Set("37-2".into()),
        place: at(40.68, 46.36),
        ..report("100% of_them \\ 'quoted'")
    });
    let c = two.file(&ReportFields {
        category: Some("ink_check_omitted".into()),
        station: Patch::Set("99-1".into()),
        place: at(0.0, 0.0),
        observed_at: Patch::Set("2024-09-01T19:00:00+04:00".into()),
        ..report("")
    });
    let d = two.file(&report("withdrawn later"));
    let withdrawn = two.withdraw(&d, d.hash(), "no");
    let _ = one.send(&[&a, &b]);
    let _ = two.send(&[&c, &d, &withdrawn]);
    let show = |entry| {
        coordinator
            .get(&format!("/v1/reports/{}", phone::subject(entry)))
            .ok()["report"]
            .clone()
    };
    let body = json!({ "to": "in_review", "version": show(&b)["version"] });
    coordinator
        .post(
            &format!("/v1/reports/{}/decisions", phone::subject(&b)),
            &body,
        )
        .ok();
    let names = [(&a, 'a'), (&b, 'b'), (&c, 'c'), (&d, 'd')]
        .map(|(entry, name)| (phone::subject(entry).to_string(), name));
    let ids = |query: &str| -> String {
        let found = coordinator.all(&format!("/v1/reports?{query}"), "reports");
        let name = |report: &Value| {
            names
                .iter()
                .find(|(id, _)| report["id"] == json!(id))
                .map_or('?', |(_, name)| *name)
        };
        let mut found: Vec<char> = found.iter().map(name).collect();
        found.sort_unstable();
        found.into_iter().collect()
    };
    let observer = show(&c)["observer"]
        .as_str()
        .expect("a pseudonym")
        .to_owned();
    let received = show(&c)["received_at"]
        .as_str()
        .expect("a time")
        .replace('+', "%2B");
    let table: Vec<(String, &str)> = vec![
        (String::new(), "abcd"),
        ("status=in_review".into(), "b"),
        ("status=in_review,received".into(), "abcd"),
        ("status=in_review&status=verified".into(), "b"),
        // Who gives no severity gets the category's.
        ("severity=critical".into(), "ad"),
        ("severity=low,critical".into(), "abd"),
        ("severity=medium".into(), "c"),
        ("severity=none".into(), ""),
        ("category=multiple_voting".into(), "b"),
        (
            "category=multiple_voting&category=ink_check_omitted".into(),
            "bc",
        ),
        ("station=8-1".into(), "a"),
        ("constituency=37".into(), "b"),
        (format!("observer={observer}"), "cd"),
        ("text=bülleten".into(), "a"),
        ("text=%C4%B0K%C4%B0NC%C4%B0".into(), "a"),
        ("text=100%25".into(), "b"),
        ("text=of_them".into(), "b"),
        ("text=ofXthem".into(), ""),
        ("text=%5C".into(), "b"),
        ("text='quoted'".into(), "b"),
        ("flag=outside_country".into(), "c"),
        ("flag=unlisted_station,outside_country".into(), "c"),
        ("bbox=49,40,50,41".into(), "a"),
        ("bbox=46,40,50,41".into(), "ab"),
        ("bbox=179,-1,1,1".into(), "c"),
        ("withdrawn=true".into(), "d"),
        ("withdrawn=false".into(), "abc"),
        ("observed_from=2024-09-01T12:00:00Z".into(), "c"),
        ("observed_to=2024-09-01T12:00:00Z".into(), "a"),
        (format!("received_from={received}"), "cd"),
        (format!("received_to={received}"), "ab"),
        ("received_to=1999-01-01T00:00:00Z".into(), ""),
        ("status=received&severity=critical&text=qutu".into(), "a"),
        ("status=received&severity=low".into(), ""),
    ];
    for (query, expected) in &table {
        assert_eq!(ids(query), *expected, "{query}");
    }
    // The command line understands the same.
    let listed = site
        .run(&[
            "report",
            "list",
            "--mission",
            &mission.to_string(),
            "--severity",
            "critical",
            "--text",
            "qutu",
        ])
        .json();
    assert!(
        listed.to_string().contains(&names[0].0) && !listed.to_string().contains(&names[1].0),
        "{listed}"
    );
    assert_eq!(http::faults(), Vec::<String>::new());
    server.stop();
}

fn pages_stay_stable_while_reports_arrive(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Pages");
    let server = site.start();
    let coordinator = site.console(mission, "coordinator");
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let first: Vec<_> = (0..25)
        .map(|at| phone.file_text(&format!("report {at}")))
        .collect();
    let _ = phone.send(&first.iter().collect::<Vec<_>>());
    let mut seen = Vec::new();
    let mut path = "/v1/reports?limit=7".to_owned();
    loop {
        let page = coordinator.get(&path).ok();
        let reports = page["reports"].as_array().expect("reports");
        assert!(reports.len() <= 7);
        seen.extend(
            reports
                .iter()
                .map(|report| report["id"].as_str().expect("an id").to_owned()),
        );
        // Between two pages: new ones come, old ones change.
        let new = phone.file_text("just now");
        let amended = phone.amend(&first[3], first[3].hash(), "changed meanwhile");
        let _ = phone.send(&[&new, &amended]);
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/reports?limit=7&cursor={next}"),
            None => break,
        }
    }
    let expected: Vec<String> = first
        .iter()
        .rev()
        .map(|entry| phone::subject(entry).to_string())
        .collect();
    assert_eq!(
        seen, expected,
        "each report of the beginning, once, the newest first"
    );
    assert_eq!(coordinator.all("/v1/reports?limit=3", "reports").len(), 29);
    // A cursor serves its own list and mission alone.
    let next = coordinator.get("/v1/reports?limit=7").ok()["next"]
        .as_str()
        .expect("a cursor")
        .to_owned();
    coordinator
        .get(&format!("/v1/reports?status=received&cursor={next}"))
        .refuses(400, "invalid_cursor");
    coordinator
        .get(&format!("/v1/devices?cursor={next}"))
        .refuses(400, "invalid_cursor");
    let other = site.small_mission("Beside");
    let foreign: Console = site.console(other, "coordinator");
    foreign
        .get(&format!("/v1/reports?limit=7&cursor={next}"))
        .refuses(400, "invalid_cursor");
    let unique: BTreeSet<&String> = seen.iter().collect();
    assert_eq!(unique.len(), seen.len());
    server.stop();
}

fn words_are_found_whether_indexed_or_not(kind: Kind) {
    let site = Site::new(kind);
    let mission = site.small_mission("Words");
    let other = site.small_mission("Another");
    let server = site.start();
    let coordinator = site.console(mission, "coordinator");
    let elsewhere = site.console(other, "coordinator");
    let mut phone = Phone::enrolled(&site, mission, "D-1");
    let mut stranger = Phone::enrolled(&site, other, "D-1");
    let theirs = stranger.file_text("purple elephants elsewhere");
    let _ = stranger.send(&[&theirs]);
    let first = phone.file_text("Purple elephants");
    let second = phone.file_text("Grey elephants");
    let _ = phone.send(&[&first, &second]);
    let found = |console: &Console, words: &str| -> Vec<String> {
        let list = console.get(&format!("/v1/reports?text={words}")).ok();
        let reports = list["reports"].as_array().expect("reports").iter();
        reports
            .map(|report| report["text"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let expect = |when: &str, words: &str, texts: &[&str]| {
        assert_eq!(found(&coordinator, words), texts, "{when}: {words}");
    };
    for when in ["at once", "indexed"] {
        expect(when, "ELEPHANT", &["Grey elephants", "Purple elephants"]);
        expect(when, "purple", &["Purple elephants"]);
        expect(when, "rp", &["Purple elephants"]);
        expect(when, "elephants%20purple", &[]);
        assert_eq!(
            found(&elsewhere, "elephant"),
            ["purple elephants elsewhere"]
        );
        indexed(&site);
    }

    // What is said anew is found, and what it said before is not.
    let amended = phone.amend(&first, first.hash(), "Yellow lions");
    let _ = phone.send(&[&amended]);
    for when in ["amended", "amended, indexed"] {
        expect(when, "elephant", &["Grey elephants"]);
        expect(when, "yellow", &["Yellow lions"]);
        indexed(&site);
    }

    // The index is what is asked: without a row in it, the report is not found.
    let number = site.database.count(
        "SELECT number FROM entries WHERE kind = 'file' ORDER BY mission, number DESC LIMIT 1",
    );
    site.database.execute(&match kind {
        Kind::Sqlite => format!(
            "DELETE FROM report_words WHERE rowid % {} = {number}",
            1_i64 << 40
        ),
        Kind::Postgres => format!("DELETE FROM report_words WHERE first_number = {number}"),
    });
    expect("out of the index", "grey", &[]);
    expect("out of the index", "gr", &["Grey elephants"]);
    // A rebuild fills it anew.
    server.stop();
    assert_eq!(site.run(&["rebuild"]).status, Some(0));
    let _server = site.start();
    for when in ["rebuilt", "rebuilt, indexed"] {
        expect(when, "grey", &["Grey elephants"]);
        indexed(&site);
    }
}

/// Waits until the index over words is at the ledger's end.
fn indexed(site: &Site) {
    tests::wait::until("the index", || {
        let behind = "SELECT count(*) FROM ledger_heads h LEFT JOIN search_progress p ON p.mission = h.mission
                      WHERE h.number > coalesce(p.number, 0)";
        (site.database.count(behind) == 0).then_some(())
    });
}
