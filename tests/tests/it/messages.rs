//! Messages from a coordinator to exactly the phones they are for.

use protocol::{
    entry::{SdJwt, WireEntry},
    ids::MissionId,
};
use serde_json::{Value, json};
use tests::{
    console::Console,
    database::Kind,
    http, ledger,
    observer::Observer,
    on_both_databases,
    phone::Phone,
    site::{Server, Site},
};

on_both_databases!(
    messages_reach_those_they_are_for,
    a_week_away_costs_one_exchange,
    a_restore_loses_no_message_and_doubles_none,
    what_cannot_be_sent_is_told,
);

/// What a rebuild must reproduce.
const PROJECTED: [&str; 4] = ["inbox", "reports", "devices", "message_audiences"];

struct Town {
    site: Site,
    mission: MissionId,
    server: Server,
    lead: Console,
}

impl Town {
    fn new(kind: Kind) -> Self {
        let site = Site::new(kind);
        let mission = site.small_mission("Messages");
        let server = site.start();
        let lead = site.console(mission, "lead");
        Self {
            site,
            mission,
            server,
            lead,
        }
    }

    fn observer(&self, accreditation: &str) -> Observer {
        let observer = Observer::new();
        observer.enrol(&self.site.invite(self.mission, accreditation));
        observer
    }

    /// From the command line, on behalf of the lead.
    #[track_caller]
    fn tell(&self, text: &str, filters: &[&str]) -> Value {
        let mission = self.mission.to_string();
        let email = format!("lead-{}@example.org", &mission[..8]);
        let own = [
            "message",
            "send",
            "--mission",
            &mission,
            "--as",
            &email,
            "--text",
            text,
        ];
        self.site.run(&[&own, filters].concat()).json()
    }
}

fn texts(observer: &Observer) -> Vec<String> {
    observer.run(&["sync"]).json();
    let messages = observer.run(&["messages"]).json();
    let messages = messages.as_array().expect("messages").iter();
    messages
        .map(|message| message["text"].as_str().expect("a text").to_owned())
        .collect()
}

fn messages_reach_those_they_are_for(kind: Kind) {
    const ALLIANCE: &str = "Sample Alliance (invented)";
    const PARTY: &str = "Sample Party (invented)";
    let town = Town::new(kind);
    let numbers = ["D-1", "D-2", "D-3", "D-4", "D-5"];
    let observers = numbers.map(|number| town.observer(number));
    // D-1 is assigned to 8-1 and 8-2, D-2 to 8-3, D-4 to 37-1.
    let sent: [(&str, &[&str], &[usize]); 8] = [
        ("everybody", &[], &[0, 1, 2, 3, 4]),
        ("constituency", &["--constituency", "8"], &[0, 1]),
        ("station", &["--station", "8-2"], &[0]),
        ("institution", &["--institution", PARTY], &[2, 3]),
        (
            "place and institution",
            &[
                "--constituency",
                "8",
                "--constituency",
                "37",
                "--institution",
                PARTY,
            ],
            &[3],
        ),
        (
            "two places",
            &["--station", "8-3", "--constituency", "37"],
            &[1, 3],
        ),
        ("named", &["--accreditation", "D-5", "--urgent"], &[4]),
        (
            "named beside a filter",
            &["--institution", ALLIANCE, "--accreditation", "D-3"],
            &[0, 1, 2],
        ),
    ];
    for (text, filters, to) in sent {
        let done = town.tell(text, filters);
        assert_eq!(done["recipients"], json!(to.len()), "{text}");
    }
    for (at, observer) in observers.iter().enumerate() {
        let expected: Vec<&str> = sent
            .iter()
            .filter(|(_, _, to)| to.contains(&at))
            .map(|(text, ..)| *text)
            .collect();
        assert_eq!(texts(observer), expected, "{}", numbers[at]);
        assert_eq!(texts(observer), expected, "once");
    }
    // Read marks, and what is urgent.
    let message = &observers[4].run(&["messages"]).json()[1];
    assert_eq!(
        (&message["urgent"], &message["read"]),
        (&json!(true), &json!(true))
    );
    town.tell("news", &["--accreditation", "D-5", "--subject", "Title"]);
    assert_eq!(observers[4].sync()["messages"], 1);
    let status = observers[4].run(&["status"]).json();
    assert_eq!(
        (&status["messages"], &status["messages_unread"]),
        (&json!(3), &json!(1))
    );
    let unread = observers[4].run(&["messages", "--unread", "--peek"]).json();
    assert_eq!(unread[0]["title"], "Title");
    assert_eq!(observers[4].run(&["messages", "--unread"]).json(), unread);
    assert_eq!(
        observers[4].run(&["messages", "--unread"]).json(),
        json!([])
    );

    // Who is registered or assigned later gets what is sent later.
    let csv = "number,name,kind,institution,stations\n\
               D-6,Fərid Sınaq,domestic,Sample Party (invented),8-1\n\
               D-3,Cavid Sınaq,domestic,Sample Party (invented),8-5\n";
    let file = town.site.file("more.csv", csv);
    town.site.import("accreditations", &file, town.mission);
    let late = town.observer("D-6");
    assert_eq!(texts(&late), Vec::<String>::new());
    town.tell("later", &["--constituency", "8"]);
    assert_eq!(texts(&late), ["later"]);
    assert_eq!(
        texts(&observers[2]).last().map(String::as_str),
        Some("later")
    );

    // Coordinators see what was said to whom; a rebuild arrives at the same inboxes.
    let page = town.lead.all("/v1/messages?limit=3", "messages");
    assert_eq!(page.len(), sent.len() + 2);
    assert_eq!(page[0]["text"], "later");
    assert_eq!(page[0]["recipients"], 4);
    assert_eq!(page[0]["audience"], json!({"constituencies": ["8"]}));
    let mission = town.mission.to_string();
    let listed = town
        .site
        .run(&["message", "list", "--mission", &mission])
        .json();
    assert_eq!(listed.as_array().map(Vec::len), Some(page.len()));
    assert_eq!(listed[0]["entry"], page[0]["entry"]);
    let entries = ledger::audit(&town.site, town.mission);
    let messages = entries.iter().filter(|entry| entry.kind() == "message");
    assert_eq!(messages.count(), page.len());
    town.server.stop();
    let before = town.site.database.dump(&PROJECTED);
    town.site.run(&["rebuild"]).json();
    assert_eq!(town.site.database.dump(&PROJECTED), before);
}

fn a_week_away_costs_one_exchange(kind: Kind) {
    let town = Town::new(kind);
    let observer = town.observer("D-1");
    let mut reports = Vec::new();
    for text in ["one", "two"] {
        let filed = observer.file(&["--category", "ballot_stuffing", "--text", text]);
        reports.push(filed["report"].as_str().expect("an id").to_owned());
    }
    observer.sync();
    for (report, to, question) in [
        (&reports[0], "in_review", None),
        (&reports[0], "verified", None),
        (&reports[1], "in_review", None),
        (&reports[1], "needs_info", Some("How many?")),
    ] {
        let path = format!("/v1/reports/{report}");
        let version = town.lead.get(&path).ok()["report"]["version"].clone();
        let decision =
            json!({"to": to, "version": version, "question": question, "reason": "seen"});
        town.lead.post(&format!("{path}/decisions"), &decision).ok();
    }
    let message = json!({"text": "Counting begins at 19:00.", "urgent": true});
    let sent = town.lead.post("/v1/messages", &message);
    assert_eq!(sent.status, 201, "{}", sent.text());
    let stations = town.site.file(
        "stations.csv",
        "code,name,constituency_no\n8-1,Renamed,8\n8-77,New,8\n",
    );
    town.site.import("stations", &stations, town.mission);
    let categories = town.site.file(
        "categories.csv",
        "stage,code,definition\ncounting,new_one,Something new.\n",
    );
    town.site.import("categories", &categories, town.mission);

    let requests = |route: &str| {
        let log = town.server.log();
        let own = |line: &&str| line.contains("scrutineer::access") && line.contains(route);
        log.lines().filter(own).count()
    };
    let before = [requests("/v1/exchange"), requests("/v1/reference")];
    let report = observer.sync();
    assert_eq!(report["items"], 4, "{report}");
    assert_eq!(report["messages"], 1);
    assert_eq!(report["reference"], 2);
    assert_eq!(
        [requests("/v1/exchange"), requests("/v1/reference")],
        [before[0] + 1, before[1]],
        "everything in one exchange"
    );
    let shown = observer.run(&["show", &reports[1]]).json();
    assert_eq!(shown["question"]["text"], "How many?");
    let found = observer.run(&["stations", "--search", "renamed"]).json();
    assert_eq!(found[0]["code"], "8-1");
    let filed = observer.file(&["--category", "new_one", "--text", "Listed now."]);
    assert_eq!(filed["notes"], json!([]));
}

fn a_restore_loses_no_message_and_doubles_none(kind: Kind) {
    let mut town = Town::new(kind);
    let [one, two] = ["D-1", "D-2"].map(|number| town.observer(number));
    town.tell("before", &["--constituency", "8"]);
    one.sync();
    let folder = town.site.scratch().join("backup");
    let path = folder.display().to_string();
    town.site.run(&["backup", "-o", &path]).json();
    town.tell("after", &["--constituency", "8"]);
    assert_eq!(texts(&one), ["before", "after"]);

    let mut new = Site::bare(kind);
    drop(town.server);
    std::mem::swap(&mut town.site.port, &mut new.port);
    let origin = new.origin();
    new.set("public_url", &origin);
    let keys = town.site.data.join("keys").display().to_string();
    new.run(&["restore", &path, "--keys", &keys]).json();
    let server = new.start();
    // Only the first phone has the second message; it brings it back, with the other
    // and its enrolment.
    let report = one.sync();
    assert_eq!(report["new_epoch"], json!(true));
    assert_eq!(
        (&report["returned"], &report["messages"]),
        (&json!(3), &json!(0)),
        "{report}"
    );
    assert_eq!(texts(&one), ["before", "after"]);
    assert_eq!(texts(&two), ["before", "after"]);
    assert_eq!(texts(&two), ["before", "after"]);
    assert_eq!(texts(&one), ["before", "after"]);
    let lead = Console::login(
        &new.origin(),
        &format!("lead-{}@example.org", &town.mission.to_string()[..8]),
        tests::site::PASSWORD,
    );
    let listed = lead.all("/v1/messages", "messages");
    let said: Vec<&Value> = listed.iter().map(|message| &message["text"]).collect();
    assert_eq!(said, ["after", "before"]);
    let entries = ledger::audit(&new, town.mission);
    let messages = entries.iter().filter(|entry| entry.kind() == "message");
    assert_eq!(messages.count(), 2);
    server.stop();
    let before = new.database.dump(&PROJECTED);
    new.run(&["rebuild"]).json();
    assert_eq!(new.database.dump(&PROJECTED), before);
}

fn what_cannot_be_sent_is_told(kind: Kind) {
    let town = Town::new(kind);
    let send = |body: Value| town.lead.post("/v1/messages", &body);
    for (body, status, code) in [
        (json!({}), 400, "malformed_json"),
        (json!({"text": 1}), 400, "malformed_json"),
        (json!({"text": "x", "mission": "y"}), 400, "malformed_json"),
        (json!({"text": " "}), 400, "value_missing"),
        (json!({"text": "x".repeat(10_001)}), 400, "too_long"),
        (
            json!({"text": "x", "title": "x".repeat(201)}),
            400,
            "too_long",
        ),
        // Ten thousand characters, each of which takes six bytes as JSON.
        (json!({"text": "\u{1}".repeat(10_000)}), 400, "too_long"),
        (
            json!({"text": "x", "stations": vec!["8-1"; 201]}),
            400,
            "too_long",
        ),
        (
            json!({"text": "x", "stations": ["8-99"]}),
            400,
            "station_unknown",
        ),
        (
            json!({"text": "x", "stations": ["8\u{0}"]}),
            400,
            "station_unknown",
        ),
        (
            json!({"text": "x", "constituencies": ["99"]}),
            400,
            "invalid_value",
        ),
        (
            json!({"text": "x", "institutions": ["Nobody"]}),
            400,
            "invalid_value",
        ),
        (
            json!({"text": "x", "institutions": [""]}),
            400,
            "invalid_value",
        ),
        (
            json!({"text": "x", "accreditations": ["X-1"]}),
            404,
            "accreditation_unknown",
        ),
        (
            json!({"text": "x", "stations": ["8-6"]}),
            400,
            "invalid_value",
        ),
        (json!({"text": "x", "id": "7"}), 400, "malformed_json"),
    ] {
        send(body).refuses(status, code);
    }
    assert_eq!(town.lead.all("/v1/messages", "messages").len(), 0);
    let odd = "\u{0} \u{202e}odd\u{1F5F3}";
    let body = json!({"id": "0b9a3f4e-1111-4222-8333-444455556666", "text": odd, "title": " "});
    assert_eq!(send(body.clone()).status, 201);
    send(body).refuses(409, "already_done");
    let listed = town.lead.all("/v1/messages", "messages");
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["text"], &listed[0]["title"]),
        (&json!(odd), &Value::Null)
    );
    let observer = town.observer("D-3");
    assert_eq!(texts(&observer), [odd]);
    // A phone that has never heard of registers is told nothing of them, and gets the
    // message as an item like any other.
    let phone = Phone::enrolled(&town.site, town.mission, "D-4");
    let bearer = format!("Bearer {}", phone.token());
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let exchange = |body: Value| {
        let url = format!("{}/v1/exchange", town.server.origin());
        http::send("POST", &url, &headers, Some(body.to_string().into_bytes()))
    };
    let answer = exchange(json!({"protocol": 1})).ok();
    assert_eq!(answer.get("reference"), None, "{answer}");
    let wire: WireEntry =
        serde_json::from_value(answer["items"][0]["entry"].clone()).expect("an entry");
    assert!(wire.payload.contains(r#""kind":"message""#), "{answer}");
    let odd =
        json!({"protocol": 1, "reference": [{"register": "forms"}, {"register": "stations"}]});
    let told = exchange(odd).ok();
    assert_eq!(told["reference"][0]["register"], "stations");
    assert_eq!(told["reference"].as_array().map(Vec::len), Some(1));
    // Without its words it is not taken back.
    let bare = SdJwt::from_wire(&wire)
        .expect("an entry")
        .withhold(|_| false);
    let returned = exchange(json!({"protocol": 1, "returned": [bare.to_wire()]})).ok();
    assert_eq!(returned["outcomes"][0]["outcome"], "refused");
    let whole = exchange(json!({"protocol": 1, "returned": [wire]})).ok();
    assert_eq!(whole["outcomes"][0]["outcome"], "already_stored");
    town.lead
        .get("/v1/messages?limit=0")
        .refuses(400, "malformed_query");
    town.lead
        .get("/v1/messages?cursor=x")
        .refuses(400, "invalid_cursor");
    let mission = town.mission.to_string();
    let own = [
        "message",
        "send",
        "--mission",
        &mission,
        "--text",
        "x",
        "--as",
    ];
    town.site
        .run(&[&own[..], &["nobody@example.org"]].concat())
        .refuses("user_unknown");
    let analyst = format!("analyst-{}@example.org", &mission[..8]);
    town.site.add_user(Some(town.mission), "analyst", &analyst);
    town.site
        .run(&[&own[..], &[&analyst]].concat())
        .refuses("forbidden");
}
