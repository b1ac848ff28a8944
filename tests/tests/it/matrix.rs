//! Every endpoint × role × own mission and another's, from the route table.

use std::sync::Arc;

use protocol::{entry::FileRef, ids::MissionId};
use scrutineer::{
    api::routes::{Policy, ROUTES, Route},
    auth::{
        Role,
        token::{self, Bearer},
    },
    clock::{Clock, Host, Micros},
    keys::Keys,
};
use serde_json::{Value, json};
use tests::{
    chance::Chance,
    console::Console,
    database::Kind,
    http::{self, Answer},
    on_both_databases,
    phone::{self, Phone},
    site::{PASSWORD, Server, Site},
    upload,
};
use uuid::Uuid;

on_both_databases!(nobody_sees_or_does_what_is_not_theirs);

/// Whose token is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Nobody,
    Expired,
    Garbage,
    Holder(Role),
}

const WHO: [Who; 9] = [
    Who::Nobody,
    Who::Expired,
    Who::Garbage,
    Who::Holder(Role::Observer),
    Who::Holder(Role::Coordinator),
    Who::Holder(Role::Lead),
    Who::Holder(Role::Analyst),
    Who::Holder(Role::Auditor),
    Who::Holder(Role::Operator),
];

/// Whose things are named in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Own,
    Other,
    Nobodys,
}

/// Things of one mission that a path or a body can name.
#[derive(Clone, Debug)]
struct Things {
    report: String,
    quarantined: String,
    accreditation: String,
    device: String,
    erasure: String,
    account: String,
    file: String,
    snapshot: String,
}

fn nobody_sees_or_does_what_is_not_theirs(kind: Kind) {
    let site = Site::new(kind);
    let (mine, theirs) = (site.small_mission("Mine"), site.small_mission("Theirs"));
    let numbers = |first: &str| {
        format!("number,name,kind,institution,country,stations\n{first},A Name,domestic,I,AZ,\n")
    };
    site.import(
        "accreditations",
        &site.file("mine.csv", numbers("M-1")),
        mine,
    );
    site.import(
        "accreditations",
        &site.file("theirs.csv", numbers(THEIRS)),
        theirs,
    );
    let server = site.start();
    let mut callers = Callers::new(&site, mine);
    // The observer among the callers announces the file that is theirs.
    upload::announced(&mut callers.phone, &file_of(mine));
    let callers = callers;
    let (mut own, other) = (things(&site, mine, "M-1"), things(&site, theirs, THEIRS));
    let before = site.database.dump(&["entries", "erasures"]);
    let before = rows_of(&before, theirs, &site);
    let mut tried = 0;
    for route in ROUTES {
        for who in WHO {
            for whose in [Whose::Own, Whose::Other, Whose::Nobodys] {
                // Each try finds its things untouched.
                if route.method != "GET" && whose == Whose::Own && is_allowed(route, who) {
                    own = refreshed(&site, mine, "M-1", route, &own);
                }
                check(&server, &site, &callers, route, who, whose, &own, &other);
                tried += 1;
            }
        }
    }
    assert!(tried >= ROUTES.len() * WHO.len() * 3);
    let after = site.database.dump(&["entries", "erasures"]);
    assert_eq!(
        rows_of(&after, theirs, &site),
        before,
        "nothing was written into the other mission"
    );
    assert_eq!(http::faults(), Vec::<String>::new());
}

fn rows_of(
    dump: &std::collections::BTreeMap<String, Vec<String>>,
    mission: MissionId,
    site: &Site,
) -> Vec<String> {
    let id = mission.0.simple().to_string();
    let numbers = site.database.rows("SELECT no, id FROM missions");
    let no = &numbers
        .iter()
        .find(|row| row[1] == id)
        .expect("the mission")[0];
    let mark = format!("mission={no} ");
    dump.values()
        .flatten()
        .filter(|row| row.contains(&mark))
        .cloned()
        .collect()
}

struct Callers {
    tokens: Vec<(Who, String)>,
    phone: Phone,
}

impl Callers {
    fn new(site: &Site, mission: MissionId) -> Self {
        let phone = Phone::enrolled(site, mission, "D-1");
        let mut tokens = vec![
            (Who::Nobody, String::new()),
            (Who::Garbage, "not.a.token".into()),
        ];
        tokens.push((Who::Holder(Role::Observer), phone.token()));
        for role in [Role::Coordinator, Role::Lead, Role::Analyst, Role::Auditor] {
            tokens.push((Who::Holder(role), site.console(mission, role.name()).token));
        }
        site.add_user(None, "operator", "operator@example.org");
        let operator = Console::login(&site.origin(), "operator@example.org", PASSWORD);
        tokens.push((Who::Holder(Role::Operator), operator.token));
        // A lead's token that was good an hour ago.
        let me: Value = Console::with_token(&site.origin(), &tokens[4].1)
            .get("/v1/me")
            .ok();
        let user: Uuid = me["id"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .expect("an id");
        tokens.push((Who::Expired, expired(site, mission, user)));
        Self { tokens, phone }
    }

    fn token(&self, who: Who) -> Option<&str> {
        let found = self
            .tokens
            .iter()
            .find(|(known, _)| *known == who)
            .map(|(_, token)| token.as_str());
        found.filter(|token| !token.is_empty())
    }
}

/// A token as the server itself would have issued it an hour ago.
pub(crate) fn expired(site: &Site, mission: MissionId, user: Uuid) -> String {
    struct Past(Micros);
    impl Clock for Past {
        fn now(&self) -> Micros {
            self.0
        }
    }
    let keys = Keys::load(&site.data.join("keys")).expect("the keys");
    let system = Host::system();
    let host = Host {
        clock: Arc::new(Past(system.now().plus_seconds(-3600))),
        ..system
    };
    let bearer = Bearer {
        aud: token::CONSOLE,
        sub: user,
        mission: Some(mission),
        roles: vec![Role::Lead],
    };
    token::issue(&keys, &host, bearer, 900).expect("a token")
}

/// Makes one of everything.
fn things(site: &Site, mission: MissionId, accreditation: &str) -> Things {
    let mut phone = Phone::enrolled(site, mission, accreditation);
    let report = phone.file_text("Seen by one mission alone");
    let picture = upload::attach(&mut phone, &report, report.hash(), &file_of(mission));
    let _ = phone.send(&[&report, &picture]);
    let leads = leads(site, mission);
    let devices = leads[0]
        .get(&format!("/v1/devices?accreditation={accreditation}"))
        .ok();
    let device = devices["devices"][0]["id"]
        .as_str()
        .expect("a device")
        .to_owned();
    let report = phone::subject(&report).to_string();
    let erasure = leads[0]
        .post(&format!("/v1/reports/{report}/erasure"), &reason())
        .ok();
    // An entry that waits: its text is too long.
    let long = phone.file_text(&"x".repeat(10_001));
    assert_eq!(phone.send(&[&long]).short(&long), "quarantined:over_limit");
    Things {
        report,
        quarantined: long.hash().to_string(),
        accreditation: accreditation.to_owned(),
        device,
        erasure: erasure["id"].as_str().expect("an id").to_owned(),
        account: somebody(&leads[0]),
        file: file_of(mission).sha256.to_string(),
        snapshot: snapshot_of(site, mission),
    }
}

/// The newest snapshot of a mission's stations. One is the mission's own, so that no
/// other has a snapshot of this name.
fn snapshot_of(site: &Site, mission: MissionId) -> String {
    let csv = format!("code,name,constituency_no\n{mission},Its own,\n");
    site.import("stations", &site.file("own.csv", csv), mission);
    let id = mission.0.simple().to_string();
    let rows = site.database.rows(
        "SELECT missions.id, register_snapshots.sha256 FROM register_snapshots \
         JOIN missions ON missions.no = register_snapshots.mission \
         WHERE register_snapshots.kind = 'stations' ORDER BY register_snapshots.version DESC",
    );
    let newest = rows.iter().find(|row| row[0] == id).expect("a snapshot");
    let byte = |at: usize| u8::from_str_radix(&newest[1][at..at + 2], 16).expect("hex");
    let bytes: Vec<u8> = (0..newest[1].len()).step_by(2).map(byte).collect();
    protocol::encoding::b64(bytes)
}

/// A file that a mission's phones announce; its bytes never come.
fn file_of(mission: MissionId) -> FileRef {
    FileRef {
        sha256: upload::hash_of(mission.0.as_bytes()),
        size: 1_000,
        media_type: "image/png".into(),
    }
}

/// A number that no base64 of a list spells by chance, as a short one does.
const THEIRS: &str = "Theirs-accreditation-1";

/// An account that nobody else needs.
fn somebody(lead: &Console) -> String {
    let email = format!(
        "somebody-{}@example.org",
        Uuid::from_bytes(Host::system().bytes())
    );
    let body = json!({ "email": email, "roles": ["coordinator"] });
    let made = lead.post("/v1/accounts", &body).ok();
    made["account"]["id"].as_str().expect("an id").to_owned()
}

/// Leads who are none of the callers: what they ask for, a caller may approve.
fn leads(site: &Site, mission: MissionId) -> Vec<Console> {
    let email = format!("first-{}@example.org", &mission.to_string()[..8]);
    site.add_user(Some(mission), "lead", &email);
    vec![Console::login(&site.origin(), &email, PASSWORD)]
}

/// Things that this route has not used up yet.
fn refreshed(
    site: &Site,
    mission: MissionId,
    accreditation: &str,
    route: &Route,
    old: &Things,
) -> Things {
    match route.path {
        "/v1/accreditations/{number}/revocation"
        | "/v1/enrolment-codes"
        | "/v1/exchange"
        | "/v1/enrolments"
        | "/v1/login"
        | "/v1/accounts"
        | "/v1/imports/{register}"
        | "/v1/imports/{register}/preview"
        | "/v1/token"
        | "/v1/bundles"
        | "/v1/bundles/{sha256}"
        | "/v1/evidence/{sha256}"
        | "/v1/reference/{register}/{sha256}" => old.clone(),
        "/v1/reports/{id}/decisions" => old.clone(),
        _ => things(site, mission, accreditation),
    }
}

fn reason() -> Value {
    json!({ "reason": "for the test" })
}

fn nobodys() -> Things {
    Things {
        report: "0b9a3f4e-1111-4222-8333-444455556666".into(),
        quarantined: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into(),
        accreditation: "X-9999".into(),
        device: "0b9a3f4e-1111-4222-8333-444455556667".into(),
        erasure: "0b9a3f4e-1111-4222-8333-444455556668".into(),
        account: "0b9a3f4e-1111-4222-8333-444455556669".into(),
        file: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into(),
        snapshot: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into(),
    }
}

/// What to send to a route, or `None` where a request cannot name a thing.
/// A new route needs a line here.
fn sample(
    route: &Route,
    things: &Things,
    phone: &Phone,
    site: &Site,
) -> (String, Option<(&'static str, Vec<u8>)>, bool) {
    let json = |value: Value| Some(("application/json", value.to_string().into_bytes()));
    let path = route.path;
    match (route.method.as_str(), path) {
        ("POST", "/v1/exchange") => (path.into(), json(json!({ "protocol": 1 })), false),
        ("POST", "/v1/enrolments") => {
            let link = site.invite(phone.mission(), "D-2");
            let fresh = Phone::new(&link, Chance::seeded(rand_seed(&link)));
            (path.into(), json(json!(fresh.enrolment())), false)
        }
        ("POST", "/v1/login") => (
            path.into(),
            json(json!({ "email": "operator@example.org", "password": PASSWORD })),
            false,
        ),
        ("POST", "/v1/token") => {
            let now = Host::system().now().seconds();
            let assertion = protocol::assertion::Assertion {
                iss: phone.kid(),
                sub: phone.kid(),
                aud: protocol::assertion::audience(&phone.invitation.key),
                iat: now,
                exp: now + 60,
                jti: "x".into(),
            };
            let assertion = assertion.sign(&phone.key).expect("signs");
            let grant = protocol::assertion::GRANT_TYPE;
            let form = format!("grant_type={grant}&assertion={assertion}");
            (
                path.into(),
                Some(("application/x-www-form-urlencoded", form.into_bytes())),
                false,
            )
        }
        ("POST", "/v1/session") => (
            path.into(),
            json(json!({ "email": "operator@example.org", "password": PASSWORD })),
            false,
        ),
        ("POST", "/v1/second-factor/confirmation") => (
            path.into(),
            json(json!({ "setup": "x", "code": "000000" })),
            false,
        ),
        ("DELETE" | "POST", "/v1/session" | "/v1/session/renewal" | "/v1/second-factor") => {
            (path.into(), json(json!({})), false)
        }
        // What could be read would not end: whoever may gets as far as the cursor.
        ("GET", "/v1/events") => (format!("{path}?cursor=none"), None, false),
        ("GET", "/assets/{file}") => ("/assets/none".into(), None, false),
        ("PUT", "/v1/attention") => (path.into(), json(json!({ "report": null })), false),
        // Nothing in it can name a thing.
        ("GET", path) if !path.contains('{') => (path.into(), None, false),
        ("GET", "/v1/reports/{id}") => (path.replace("{id}", &things.report), None, true),
        ("POST", "/v1/reports/{id}/decisions") => {
            let body = json!({ "to": "in_review", "version": 1 });
            (path.replace("{id}", &things.report), json(body), true)
        }
        ("POST", "/v1/reports/{id}/assignment") => {
            let body = json!({ "assignee": null });
            (path.replace("{id}", &things.report), json(body), true)
        }
        ("POST", "/v1/reports/{id}/priority") => {
            let body = json!({ "priority": "high" });
            (path.replace("{id}", &things.report), json(body), true)
        }
        ("POST", "/v1/reports/{id}/notes") => {
            let body = json!({ "text": "for the test" });
            (path.replace("{id}", &things.report), json(body), true)
        }
        ("GET", "/v1/reports/{id}/case") => (path.replace("{id}", &things.report), None, true),
        ("POST", "/v1/reports/{id}/case") => {
            let body = json!({ "with": null });
            (path.replace("{id}", &things.report), json(body), true)
        }
        ("POST", "/v1/reports/{id}/apart") => {
            let body = json!({ "other": things.report, "apart": true });
            (path.replace("{id}", &things.report), json(body), true)
        }
        ("POST", "/v1/reports") => {
            let telling = json!({ "category": "violence", "text": "for the test" });
            let id = "0b9a3f4e-1111-4222-8333-444455556669";
            let caller = json!({ "kind": "citizen" });
            let body = json!({ "id": id, "caller": caller, "telling": telling });
            (path.into(), json(body), false)
        }
        ("POST", "/v1/reports/{id}/corrections") => {
            let telling = json!({ "category": "violence", "text": "for the test" });
            let body = json!({ "version": 1, "telling": telling });
            (path.replace("{id}", &things.report), json(body), true)
        }
        ("GET", "/v1/reports/{id}/counterparts") => {
            (path.replace("{id}", &things.report), None, true)
        }
        ("POST", "/v1/reports/{id}/merging") => {
            let body = json!({ "into": things.report, "version": 1 });
            (path.replace("{id}", &things.report), json(body), true)
        }
        ("POST", "/v1/reports/{id}/unmerging") => {
            let body = json!({ "version": 1 });
            (path.replace("{id}", &things.report), json(body), true)
        }
        ("POST", "/v1/bundles") => {
            let bundle = upload::hash_of(b"a bundle");
            (
                path.into(),
                json(json!({ "bundle": bundle, "size": 8 })),
                false,
            )
        }
        // What comes is no bundle of any mission, whoever sends it.
        ("PATCH", "/v1/bundles/{sha256}") => (
            path.replace("{sha256}", &upload::hash_of(b"a bundle").to_string()),
            Some((protocol::evidence::MEDIA_TYPE, b"some".to_vec())),
            false,
        ),
        ("OPTIONS", "/v1/evidence/{sha256}") => {
            (path.replace("{sha256}", &things.file), None, false)
        }
        ("PATCH", "/v1/evidence/{sha256}") => (
            path.replace("{sha256}", &things.file),
            Some((protocol::evidence::MEDIA_TYPE, b"some".to_vec())),
            true,
        ),
        ("HEAD" | "GET", "/v1/evidence/{sha256}") => {
            (path.replace("{sha256}", &things.file), None, true)
        }
        ("GET", "/v1/reference/{register}/{sha256}") => (
            format!("/v1/reference/stations/{}", things.snapshot),
            None,
            true,
        ),
        ("POST", "/v1/messages") => (path.into(), json(json!({ "text": "for the test" })), false),
        ("GET", "/v1/exports/{format}") => (path.replace("{format}", "jsonl"), None, false),
        ("POST", "/v1/quarantine/{hash}/admission") => (
            path.replace("{hash}", &things.quarantined),
            json(reason()),
            true,
        ),
        ("POST", "/v1/accreditations/{number}/revocation") => {
            // Nobody's own phone shall lose its token on the way.
            let number = if things.accreditation == "M-1" {
                "D-5"
            } else {
                &things.accreditation
            };
            (path.replace("{number}", number), json(reason()), true)
        }
        ("POST", "/v1/enrolment-codes") => (
            path.into(),
            json(json!({ "accreditation": things.accreditation })),
            true,
        ),
        ("POST", "/v1/devices/{id}/revocation") => {
            (path.replace("{id}", &things.device), json(reason()), true)
        }
        ("POST", "/v1/reports/{id}/erasure") => {
            (path.replace("{id}", &things.report), json(reason()), true)
        }
        ("POST", "/v1/accounts") => {
            let id = Uuid::from_bytes(Host::system().bytes());
            let email = format!("new-{id}@example.org");
            (
                path.into(),
                json(json!({ "email": email, "roles": ["analyst"] })),
                false,
            )
        }
        ("PUT", "/v1/accounts/{id}/roles") => {
            let body = json!({ "roles": ["analyst"], "reason": "for the test" });
            (path.replace("{id}", &things.account), json(body), true)
        }
        ("PUT", "/v1/accounts/{id}/standing") => {
            let body = json!({ "enabled": false, "reason": "for the test" });
            (path.replace("{id}", &things.account), json(body), true)
        }
        ("POST", "/v1/accounts/{id}/second-factor-reset" | "/v1/accounts/{id}/password-reset") => {
            (path.replace("{id}", &things.account), json(reason()), true)
        }
        ("GET", "/v1/registers/{register}") => {
            (path.replace("{register}", "stations"), None, false)
        }
        ("POST", "/v1/imports/{register}/preview" | "/v1/imports/{register}") => {
            let path = path.replace("{register}", "stations");
            let file = b"code,name,constituency_no\n8-1,Binagadi 1,8\n".to_vec();
            (
                format!("{path}?sha256=x&state="),
                Some(("text/csv", file)),
                false,
            )
        }
        ("POST", "/v1/erasures/{id}/approval") => {
            (path.replace("{id}", &things.erasure), None, true)
        }
        (method, path) => panic!("give {method} {path} a sample request in tests/it/matrix.rs"),
    }
}

fn rand_seed(text: &str) -> u64 {
    text.bytes().fold(7_u64, |seed, byte| {
        seed.wrapping_mul(31).wrapping_add(u64::from(byte))
    })
}

fn is_allowed(route: &Route, who: Who) -> bool {
    match (route.roles(), who) {
        (None, _) => true,
        (Some(roles), Who::Holder(role)) => roles.contains(&role),
        (Some(_), _) => false,
    }
}

fn ask(
    server: &Server,
    route: &Route,
    token: Option<&str>,
    sample: &(String, Option<(&str, Vec<u8>)>, bool),
) -> Answer {
    let bearer = token.map(|token| format!("Bearer {token}"));
    // Not from this machine, as far as the server is told.
    let mut headers = vec![
        ("x-forwarded-for", "192.0.2.7"),
        ("sec-fetch-site", "same-origin"),
    ];
    if route.method == "PATCH" {
        headers.extend([("tus-resumable", "1.0.0"), ("upload-offset", "0")]);
    }
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    headers.extend(
        sample
            .1
            .as_ref()
            .map(|(content_type, _)| ("content-type", *content_type)),
    );
    let body = sample.1.as_ref().map(|(_, body)| body.clone());
    http::send(
        route.method.as_str(),
        &format!("{}{}", server.origin(), sample.0),
        &headers,
        body,
    )
}

#[expect(
    clippy::too_many_arguments,
    reason = "one cell of a matrix of many dimensions"
)]
fn check(
    server: &Server,
    site: &Site,
    callers: &Callers,
    route: &Route,
    who: Who,
    whose: Whose,
    own: &Things,
    other: &Things,
) {
    let things = match whose {
        Whose::Own => own,
        Whose::Other => other,
        Whose::Nobodys => &nobodys(),
    };
    let request = sample(route, things, &callers.phone, site);
    if !request.2 && whose != Whose::Own {
        return;
    }
    let answer = ask(server, route, callers.token(who), &request);
    let cell = format!(
        "{} {} as {who:?}, {whose:?}: {} {}",
        route.method,
        request.0,
        answer.status,
        answer.text()
    );
    // An answer to HEAD has no body: its status has to do.
    let code = |expected: &str| match route.method.as_str() {
        "HEAD" => expected.to_owned(),
        _ => answer.code(),
    };
    assert!(answer.status < 500, "{cell}");
    if matches!(route.policy, Policy::Public) {
        assert!(![401, 403].contains(&answer.status), "{cell}");
        return;
    }
    match who {
        Who::Nobody => {
            return assert_eq!(
                (answer.status, code("token_missing").as_str()),
                (401, "token_missing"),
                "{cell}"
            );
        }
        Who::Expired => {
            return assert_eq!(
                (answer.status, code("token_expired").as_str()),
                (401, "token_expired"),
                "{cell}"
            );
        }
        Who::Garbage => {
            return assert_eq!(
                (answer.status, code("token_invalid").as_str()),
                (401, "token_invalid"),
                "{cell}"
            );
        }
        // A token opens no session, whoever holds it.
        Who::Holder(_) if matches!(route.policy, Policy::Session) => {
            return assert_eq!(
                (answer.status, code("session_ended").as_str()),
                (401, "session_ended"),
                "{cell}"
            );
        }
        Who::Holder(_) if !is_allowed(route, who) => {
            return assert_eq!(
                (answer.status, code("forbidden").as_str()),
                (403, "forbidden"),
                "{cell}"
            );
        }
        Who::Holder(_) => {}
    }
    match whose {
        Whose::Own => {
            assert!(![401, 403, 404].contains(&answer.status), "{cell}");
            // Lists and files show nothing of the other mission.
            let text = answer.text();
            for foreign in [
                &other.report,
                &other.device,
                &other.quarantined,
                &other.erasure,
                &other.account,
                &other.accreditation,
            ] {
                let known = route.path == "/v1/missions" || route.path == "/metrics";
                assert!(
                    known || !text.contains(foreign.as_str()),
                    "{foreign} in {cell}"
                );
            }
        }
        Whose::Other => {
            assert_eq!(answer.status, 404, "{cell}");
            let nothing = ask(
                server,
                route,
                callers.token(who),
                &sample(route, &nobodys(), &callers.phone, site),
            );
            assert_eq!(
                (nothing.status, nothing.text()),
                (404, answer.text()),
                "{cell}"
            );
            let names = |answer: &Answer| {
                let mut names: Vec<String> = answer
                    .headers
                    .iter()
                    .map(|(name, _)| name.clone())
                    // Whether it stays open depends on how much of a body had come.
                    .filter(|name| name != "connection")
                    .collect();
                names.sort();
                names
            };
            assert_eq!(names(&nothing), names(&answer), "{cell}");
        }
        Whose::Nobodys => assert_eq!(answer.status, 404, "{cell}"),
    }
}

#[test]
fn metrics_are_for_this_machine_and_operators() {
    let site = Site::new(Kind::Sqlite);
    let server = site.start();
    server.get("/healthz").ok();
    let text = server.get("/metrics");
    assert_eq!(text.status, 200);
    assert!(
        text.text().contains("scrutineer_http_requests_total"),
        "{}",
        text.text()
    );
    let far = http::send(
        "GET",
        &format!("{}/metrics", site.origin()),
        &[("x-forwarded-for", "192.0.2.7")],
        None,
    );
    far.refuses(401, "token_missing");
}
