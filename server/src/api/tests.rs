//! The interface as a whole, in one process: from the code to the export. What
//! crosses real sockets is tested in `tests/`.
//!
//! On SQLite; on PostgreSQL too where `SCRUTINEER_TEST_API_POSTGRES` names an
//! empty database. The suite in `tests/` always has both.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use actix_web::{
    App as Service,
    body::BoxBody,
    dev::{Service as _, ServiceResponse},
    http::{Method, StatusCode},
    test::{self, TestRequest},
};
use protocol::{
    assertion::{Assertion, GRANT_TYPE, audience},
    codes::Code,
    encoding::b64,
    enrolment::Proof,
    entry::{At, Draft, Kind, Link, Patch, Place, ReportFields, Severity},
    exchange::{JournalHead, Lane},
    ids::{EntryHash, JournalId, MissionId, SubjectId},
    jose::{Signer, SoftwareKey},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::{
    auth::Role,
    clock::{Clock, Host, Micros},
    config::Config,
    domain::{
        accounts,
        acts::MissionRef,
        missions::{self, Wish},
    },
    keys::Keys,
    store::registers::{self, Accreditation},
};

const PASSWORD: &str = "bulud-qatar-limon-97-sahil";
const START: i64 = 1_790_000_000;

/// A clock that a test moves.
struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Micros {
        Micros(self.0.load(Ordering::Relaxed))
    }
}

struct World {
    _folder: tempfile::TempDir,
    app: App,
    hands: Arc<Hands>,
    missions: [MissionRef; 2],
}

struct Answer {
    status: u16,
    headers: header::HeaderMap,
    body: Value,
    bytes: Vec<u8>,
}

impl World {
    fn new(database_url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hands = Arc::new(Hands(AtomicI64::new(START * 1_000_000)));
        let host = Host {
            clock: hands.clone(),
            ..Host::system()
        };
        let config = Config {
            data: folder.path().to_owned(),
            database_url: database_url.to_owned(),
            ..Config::default()
        };
        Keys::create(&config.keys_folder(), &host).unwrap();
        let app = App::open(config, host.clone()).unwrap();
        let missions = ["A", "B"].map(|name| {
            let wish = Wish {
                name: name.into(),
                election: "Parliamentary".into(),
                timezone: "Asia/Baku".into(),
                levels: vec!["constituency".into(), "station".into()],
            };
            let id = MissionId(host.uuid());
            app.store
                .write(|conn| {
                    let mission = missions::create(conn, host.now(), id, &wish, "age1")?;
                    let rows: Vec<_> = (1..=3)
                        .map(|n| {
                            let number = format!("{n:03}");
                            Accreditation {
                                mission: mission.no,
                                id: host.uuid().as_bytes().to_vec(),
                                pseudonym: app.keys.pseudonym(id, &number),
                                number,
                                name: format!("Leyla {name} {n}"),
                                kind: "domestic".into(),
                                institution: "Coalition".into(),
                                country: "AZ".into(),
                                stations: "[]".into(),
                            }
                        })
                        .collect();
                    registers::put_accreditations(conn, &rows, |_| {})?;
                    for role in [Role::Coordinator, Role::Lead, Role::Analyst, Role::Auditor] {
                        let email = format!("{}@{name}.example", role.name());
                        accounts::add_user(conn, &host, &email, PASSWORD, Some(mission), role)?;
                    }
                    accounts::add_user(
                        conn,
                        &host,
                        &format!("lead2@{name}.example"),
                        PASSWORD,
                        Some(mission),
                        Role::Lead,
                    )?;
                    Ok(mission)
                })
                .unwrap()
        });
        app.store
            .write(|conn| {
                accounts::add_user(
                    conn,
                    &host,
                    "root@x.example",
                    PASSWORD,
                    None,
                    Role::Operator,
                )?;
                for mission in missions {
                    accounts::add_user(
                        conn,
                        &host,
                        "both@x.example",
                        PASSWORD,
                        Some(mission),
                        Role::Analyst,
                    )?;
                }
                Ok(())
            })
            .unwrap();
        Self {
            _folder: folder,
            app,
            hands,
            missions,
        }
    }

    fn pass(&self, seconds: i64) {
        self.hands
            .0
            .fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }
}

macro_rules! serve {
    ($service:expr) => {{
        let service = test::init_service($service).await;
        async move |request: TestRequest| {
            service
                .call(request.to_request())
                .await
                .unwrap()
                .map_into_boxed_body()
        }
    }};
    (api $api:expr) => {{
        let api = $api;
        serve!(Service::new().configure(|config| api.configure(config)))
    }};
}

// After the macro that they use.
mod room;
mod sessions;

async fn send(
    service: &impl AsyncFn(TestRequest) -> ServiceResponse<BoxBody>,
    method: Method,
    path: &str,
    token: &str,
    body: Option<Value>,
) -> Answer {
    let mut request = TestRequest::default().method(method).uri(path);
    if !token.is_empty() {
        request = request.insert_header(("authorization", format!("Bearer {token}")));
    }
    if let Some(body) = body {
        request = request.set_json(body);
    }
    answer(service(request).await).await
}

async fn answer(response: ServiceResponse<BoxBody>) -> Answer {
    let status = response.status();
    let headers = response.headers().clone();
    let bytes = actix_web::body::to_bytes(response.into_body())
        .await
        .map_err(drop)
        .unwrap()
        .to_vec();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    if status.as_u16() >= 400 {
        assert_eq!(
            headers.get("content-type").unwrap(),
            "application/problem+json"
        );
        assert_eq!(body["status"], status.as_u16());
    }
    assert!(
        headers.contains_key("x-request-id") && headers.contains_key("content-security-policy")
    );
    Answer {
        status: status.as_u16(),
        headers,
        body,
        bytes,
    }
}

impl Answer {
    #[track_caller]
    fn ok(self) -> Value {
        assert!(
            (200..300).contains(&self.status),
            "{} {}",
            self.status,
            self.body
        );
        self.body
    }

    #[track_caller]
    fn refuses(&self, code: Code) {
        assert_eq!(
            self.body["code"],
            code.name(),
            "{} {}",
            self.status,
            self.body
        );
        assert_eq!(self.status, code.status());
    }
}

/// A phone with its journal.
struct Phone {
    key: SoftwareKey,
    mission: MissionId,
    journal: JournalId,
    seq: u64,
    prev: Option<EntryHash>,
    salt: u8,
}

impl Phone {
    fn new(mission: MissionId, seed: u8) -> Self {
        let journal = JournalId(Uuid::from_bytes([seed; 16]));
        Self {
            key: SoftwareKey::ed25519(&[seed; 32]),
            mission,
            journal,
            seq: 0,
            prev: None,
            salt: 0,
        }
    }

    fn enrolment(&self, app: &App, code: &str) -> Value {
        let proof = Proof {
            code: code.into(),
            aud: app.keys.receipt_kid.clone(),
        };
        json!({"code": code, "key": self.key.public().to_jwk(), "proof": proof.sign(&self.key).unwrap()})
    }

    fn assertion(&self, app: &App) -> String {
        let now = app.host.now().seconds();
        let kid = self.key.public().thumbprint();
        let aud = audience(&app.keys.receipt_kid);
        Assertion {
            iss: kid.clone(),
            sub: kid,
            aud,
            iat: now,
            exp: now + 60,
            jti: "1".into(),
        }
        .sign(&self.key)
        .unwrap()
    }

    fn sign(
        &mut self,
        subject: SubjectId,
        kind: Kind,
        base: Option<EntryHash>,
        fields: &ReportFields,
    ) -> Value {
        let body = fields.to_body();
        self.sign_body(subject, kind, base, body)
    }

    fn sign_body(
        &mut self,
        subject: SubjectId,
        kind: Kind,
        base: Option<EntryHash>,
        (clear, disclosed): (serde_json::Map<String, Value>, Vec<(&'static str, Value)>),
    ) -> Value {
        self.seq += 1;
        let draft = Draft {
            mission: self.mission,
            subject,
            kind,
            base,
            link: Link::Journal {
                journal: self.journal,
                seq: self.seq,
                prev: self.prev,
                seen: None,
            },
            at: At {
                wall: Micros(START * 1_000_000).rfc3339(),
                uptime: None,
                boot: None,
            },
            clear,
            disclosed,
        };
        let mut salt = || {
            self.salt = self.salt.wrapping_add(1);
            [self.salt; 16]
        };
        let entry = draft.sign(&self.key, &mut salt).unwrap();
        self.prev = Some(entry.hash());
        json!(entry.to_wire())
    }

    fn exchange(&self, entries: &[Value]) -> Value {
        let head = JournalHead {
            journal: self.journal,
            head: self.seq,
            pending: 0,
        };
        json!({"protocol": 1, "journals": [head], "entries": entries})
    }
}

fn fields(text: &str) -> ReportFields {
    ReportFields {
        category: Some("ballot-stuffing".into()),
        severity: Some(Severity::High),
        text: Patch::Set(text.into()),
        station: Patch::Set("1-1".into()),
        place: Patch::Set(Place {
            lat: 40.4,
            lon: 49.8,
            accuracy: Some(10.0),
        }),
        observed_at: Patch::Set("2026-09-21T10:00:00+04:00".into()),
    }
}

/// An answer with its values replaced by their types: its form.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => json!("null"),
        Value::Bool(_) => json!("bool"),
        Value::Number(number) => json!(if number.is_f64() { "float" } else { "integer" }),
        Value::String(_) => json!("string"),
        Value::Array(items) => items
            .first()
            .map_or_else(|| json!([]), |item| json!([shape(item)])),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

async fn flow(world: World) {
    let service = serve!(api Api::new(world.app.clone()));
    let [mission, other] = world.missions;
    let login = async |email: &str| {
        let body = json!({"email": email, "password": PASSWORD});
        let token = send(&service, Method::POST, "/v1/login", "", Some(body))
            .await
            .ok()["access_token"]
            .clone();
        token.as_str().unwrap().to_owned()
    };
    let get = async |token: &str, path: &str| send(&service, Method::GET, path, token, None).await;
    let post = async |token: &str, path: &str, body: Value| {
        send(&service, Method::POST, path, token, Some(body)).await
    };

    let coordinator = login("coordinator@A.example").await;
    let lead = login("LEAD@a.example").await;
    let lead2 = login("lead2@a.example").await;
    let analyst = login("analyst@a.example").await;
    let auditor = login("auditor@a.example").await;
    let stranger = login("lead@b.example").await;
    let operator = login("root@x.example").await;

    // who am I, and several missions
    let me = get(&coordinator, "/v1/me").await.ok();
    assert_eq!(
        (&me["roles"], &me["mission"]["name"]),
        (&json!(["coordinator"]), &json!("A"))
    );
    assert_eq!(get(&operator, "/v1/me").await.ok()["mission"], Value::Null);
    let choice = post(
        "",
        "/v1/login",
        json!({"email": "both@x.example", "password": PASSWORD}),
    )
    .await;
    choice.refuses(Code::MissionChoiceNeeded);
    assert_eq!(choice.body["missions"].as_array().unwrap().len(), 2);
    let picked = json!({"email": "both@x.example", "password": PASSWORD, "mission": other.id});
    assert_eq!(
        post("", "/v1/login", picked).await.ok()["mission"],
        json!(other.id)
    );
    let foreign = json!({"email": "lead@a.example", "password": PASSWORD, "mission": other.id});
    post("", "/v1/login", foreign)
        .await
        .refuses(Code::MissionUnknown);
    get(&operator, "/v1/reports").await.refuses(Code::Forbidden);
    assert_eq!(
        get(&operator, "/v1/missions").await.ok()["missions"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    // enrolment
    let code = |number: &str| json!({"accreditation": number});
    post(&coordinator, "/v1/enrolment-codes", code("999"))
        .await
        .refuses(Code::AccreditationUnknown);
    let issued = post(&coordinator, "/v1/enrolment-codes", code("001"))
        .await
        .ok();
    let mut phone = Phone::new(mission.id, 7);
    let request = phone.enrolment(&world.app, issued["code"].as_str().unwrap());
    let enrolled = post("", "/v1/enrolments", request.clone()).await.ok();
    let again = post("", "/v1/enrolments", request.clone()).await.ok();
    assert_eq!(enrolled["device"], again["device"]);
    let thief = Phone::new(mission.id, 8).enrolment(&world.app, issued["code"].as_str().unwrap());
    post("", "/v1/enrolments", thief)
        .await
        .refuses(Code::EnrolmentCodeUsed);
    let mut crossed = request.clone();
    crossed["code"] = json!("00000000000000000000000000");
    post("", "/v1/enrolments", crossed)
        .await
        .refuses(Code::EnrolmentProofInvalid);
    let unknown = phone.enrolment(&world.app, "00000000000000000000000000");
    post("", "/v1/enrolments", unknown)
        .await
        .refuses(Code::EnrolmentCodeUnknown);
    let second = post(&coordinator, "/v1/enrolment-codes", code("002"))
        .await
        .ok();
    let same_key = phone.enrolment(&world.app, second["code"].as_str().unwrap());
    post("", "/v1/enrolments", same_key)
        .await
        .refuses(Code::KeyNotAccepted);
    let third = post(&coordinator, "/v1/enrolment-codes", code("001"))
        .await
        .ok();
    let other_code = phone.enrolment(&world.app, third["code"].as_str().unwrap());
    for _ in 0..2 {
        let known = post("", "/v1/enrolments", other_code.clone()).await.ok();
        assert_eq!(known["device"], enrolled["device"]);
        assert_eq!(known["entry"], enrolled["entry"]);
    }
    let late = Phone::new(mission.id, 9).enrolment(&world.app, second["code"].as_str().unwrap());
    world.pass(73 * 3600);
    post("", "/v1/enrolments", late)
        .await
        .refuses(Code::EnrolmentCodeExpired);
    get(&coordinator, "/v1/reports")
        .await
        .refuses(Code::TokenExpired);
    world.pass(-73 * 3600);

    // a phone's token
    let form = |assertion: &str| {
        let form = [("grant_type", GRANT_TYPE), ("assertion", assertion)];
        TestRequest::post().uri("/v1/token").set_form(form)
    };
    let granted = answer(service(form(&phone.assertion(&world.app))).await)
        .await
        .ok();
    assert_eq!(granted["roles"], json!(["observer"]));
    let device_token = granted["access_token"].as_str().unwrap().to_owned();
    assert_eq!(get(&device_token, "/v1/me").await.ok()["kind"], "device");
    get(&device_token, "/v1/reports")
        .await
        .refuses(Code::Forbidden);
    let refused =
        answer(service(form(&Phone::new(mission.id, 77).assertion(&world.app))).await).await;
    refused.refuses(Code::InvalidGrant);
    assert!(refused.body["server_time"].is_string() && refused.body["error"] == "invalid_grant");

    // reports
    let mut ids = Vec::new();
    let mut entries = Vec::new();
    for n in 0..5 {
        let id = SubjectId(Uuid::from_bytes([0x40 + n; 16]));
        ids.push(id);
        let text = if n == 2 {
            "100% of the ballots at İsmayıllı_1".to_owned()
        } else {
            format!("report {n}")
        };
        entries.push(phone.sign(id, Kind::File, None, &fields(&text)));
    }
    let outcome = post("", "/v1/exchange", phone.exchange(&entries))
        .await
        .ok();
    assert_eq!(
        outcome["outcomes"].as_array().unwrap().len(),
        5,
        "{outcome}"
    );
    let list = get(&analyst, "/v1/reports").await.ok();
    let numbers = |list: &Value| -> Vec<i64> {
        list["reports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|report| report["number"].as_i64().unwrap())
            .collect()
    };
    let all = numbers(&list);
    assert_eq!(all.len(), 5);
    assert!(all.is_sorted_by(|a, b| a > b));
    assert!(
        list["reports"][0]["observer"]
            .as_str()
            .unwrap()
            .starts_with("obs-")
    );
    assert!(!list.to_string().contains("Leyla"));
    assert!(numbers(&get(&stranger, "/v1/reports").await.ok()).is_empty());

    // pages stay stable
    let mut paged = Vec::new();
    let mut path = "/v1/reports?limit=2".to_owned();
    let first_cursor = loop {
        let page = get(&auditor, &path).await.ok();
        paged.extend(numbers(&page));
        let Some(next) = page["next"].as_str().map(str::to_owned) else {
            break None;
        };
        path = format!("/v1/reports?limit=2&cursor={next}");
        if paged.len() == 2 {
            let other_filter = format!("/v1/reports?status=verified&cursor={next}");
            get(&auditor, &other_filter)
                .await
                .refuses(Code::InvalidCursor);
            get(&stranger, &path).await.refuses(Code::InvalidCursor);
        }
        if paged.len() >= 50 {
            break Some(next);
        }
    };
    assert_eq!((paged, first_cursor), (all.clone(), None));

    // filters
    let observer = list["reports"][0]["observer"].as_str().unwrap().to_owned();
    for (query, count) in [
        ("status=received", 5),
        ("status=verified,dismissed", 0),
        ("severity=high", 5),
        ("severity=none", 0),
        ("severity=none,high", 5),
        ("category=ballot-stuffing&category=other", 5),
        ("station=1-1", 5),
        ("constituency=1", 0),
        (&format!("observer={observer}"), 5),
        ("observer=obs-000000000000", 0),
        ("text=REPORT", 4),
        ("text=100%25", 1),
        ("text=%25", 1),
        ("text=_1", 1),
        ("text=ISMAYILLI", 1),
        ("text=%C4%B0smay%C4%B1ll%C4%B1", 1),
        ("text=!", 0),
        ("text=%00", 0),
        ("bbox=49,40,50,41", 5),
        ("bbox=170,40,-170,41", 0),
        ("bbox=49,40,-170,41", 5),
        ("withdrawn=false", 5),
        ("withdrawn=true", 0),
        (
            "received_from=2020-01-01T00:00:00Z&received_to=2100-01-01T00:00:00Z",
            5,
        ),
        ("observed_to=2020-01-01T00:00:00Z", 0),
        ("flag=fork,gap", 0),
    ] {
        let found = numbers(&get(&analyst, &format!("/v1/reports?{query}")).await.ok());
        assert_eq!(found.len(), count, "{query}");
    }
    for query in [
        "mission=1",
        "status=open",
        "limit=0",
        "bbox=1",
        "station=%00",
        "text=a&text=b",
    ] {
        get(&analyst, &format!("/v1/reports?{query}"))
            .await
            .refuses(Code::MalformedQuery);
    }

    // one report; another mission's is no different from none
    let target = format!("/v1/reports/{}", ids[0]);
    let shown = get(&analyst, &target).await.ok();
    assert_eq!(shown["history"][0]["kind"], "file");
    assert_eq!(shown["history"][0]["body"]["text"], "report 0");
    assert_eq!(
        shown["history"][0]["signer"],
        json!(phone.key.public().to_jwk())
    );
    let version = shown["report"]["version"].as_i64().unwrap();
    let nothing = get(
        &stranger,
        &format!("/v1/reports/{}", Uuid::from_bytes([1; 16])),
    )
    .await;
    for path in [
        &target,
        "/v1/reports/x",
        "/v1/reports/..%2f..%2fetc",
        "/v1/reports/%00",
        "/nowhere",
    ] {
        let answer = get(&stranger, path).await;
        answer.refuses(Code::NotFound);
        assert_eq!(answer.body, nothing.body, "{path}");
    }

    // decisions
    let decide = |to: &str, version: i64| json!({"to": to, "version": version});
    let decisions = format!("{target}/decisions");
    post(&analyst, &decisions, decide("in_review", version))
        .await
        .refuses(Code::Forbidden);
    let foreign = post(&stranger, &decisions, decide("in_review", version)).await;
    foreign.refuses(Code::NotFound);
    assert_eq!(foreign.body, nothing.body);
    post(&coordinator, &decisions, decide("verified", version))
        .await
        .refuses(Code::TransitionNotAllowed);
    post(&coordinator, &decisions, decide("odd", version))
        .await
        .refuses(Code::InvalidValue);
    let decided = post(&coordinator, &decisions, decide("in_review", version)).await;
    assert_eq!(decided.status, 201);
    let stale = post(&coordinator, &decisions, decide("verified", version)).await;
    stale.refuses(Code::StaleDecision);
    assert!(!stale.body["changed"].is_null(), "{}", stale.body);
    let now = decided.body["version"].as_i64().unwrap();
    post(&coordinator, &decisions, decide("needs_info", now))
        .await
        .refuses(Code::ReasonNeeded);
    let asked = json!({"to": "needs_info", "version": now, "question": "Which box?"});
    post(&lead, &decisions, asked).await.ok();
    assert_eq!(
        get(&analyst, &target).await.ok()["history"]
            .as_array()
            .unwrap()
            .len(),
        3
    );

    // held and quarantined entries
    let orphan = phone.sign(
        ids[1],
        Kind::Amend,
        Some(EntryHash([9; 32])),
        &fields("amended"),
    );
    post("", "/v1/exchange", phone.exchange(&[orphan]))
        .await
        .ok();
    let waiting = get(&auditor, "/v1/quarantine").await.ok();
    assert_eq!(waiting["entries"][0]["standing"], "held", "{waiting}");
    assert_eq!(waiting["entries"][0]["report"], json!(ids[1]));
    assert!(
        get(&auditor, "/v1/quarantine?standing=quarantined")
            .await
            .ok()["entries"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let none = format!("/v1/quarantine/{}/admission", b64([3; 32]));
    post(&coordinator, &none, json!({"reason": "known"}))
        .await
        .refuses(Code::NotFound);
    post(
        &coordinator,
        "/v1/quarantine/x/admission",
        json!({"reason": "known"}),
    )
    .await
    .refuses(Code::NotFound);

    // names are for leads
    let names = get(&lead, "/v1/accreditations?limit=2").await.ok();
    assert_eq!(names["accreditations"][0]["name"], "Leyla A 1");
    let rest = format!(
        "/v1/accreditations?limit=2&cursor={}",
        names["next"].as_str().unwrap()
    );
    assert_eq!(
        get(&lead, &rest).await.ok()["accreditations"][0]["number"],
        "003"
    );
    assert!(
        !get(&coordinator, "/v1/accreditations")
            .await
            .ok()
            .to_string()
            .contains("Leyla")
    );
    get(&analyst, "/v1/accreditations")
        .await
        .refuses(Code::Forbidden);
    let devices = get(&coordinator, "/v1/devices?accreditation=001")
        .await
        .ok();
    assert_eq!(devices["devices"][0]["id"], enrolled["device"]);
    assert!(
        get(&coordinator, "/v1/devices?accreditation=002")
            .await
            .ok()["devices"]
            .as_array()
            .unwrap()
            .is_empty()
    );

    // exports
    let csv = get(&analyst, "/v1/exports/csv?severity=high").await;
    assert_eq!(csv.status, 200);
    assert!(
        csv.headers
            .get("content-disposition")
            .unwrap()
            .to_str()
            .unwrap()
            .contains("attachment")
    );
    assert!(String::from_utf8(csv.bytes).unwrap().contains("report 0"));
    for format in ["geojson", "jsonl"] {
        let file = get(&analyst, &format!("/v1/exports/{format}")).await;
        assert!(file.status == 200 && file.bytes.len() > 500, "{format}");
    }
    get(&analyst, "/v1/exports/csv?names=true")
        .await
        .refuses(Code::Forbidden);
    let named = get(&lead, "/v1/exports/csv?names=true").await;
    assert!(
        String::from_utf8(named.bytes)
            .unwrap()
            .contains("Leyla A 1")
    );
    get(&lead, "/v1/exports/xlsx").await.refuses(Code::NotFound);
    get(&lead, "/v1/exports/csv?offset=1")
        .await
        .refuses(Code::MalformedQuery);
    get(&coordinator, "/v1/exports/csv")
        .await
        .refuses(Code::Forbidden);

    // erasure by two people
    let erasure = format!("{target}/erasure");
    post(&lead, &erasure, json!({"reason": "  "}))
        .await
        .refuses(Code::ReasonNeeded);
    post(&stranger, &erasure, json!({"reason": "law"}))
        .await
        .refuses(Code::NotFound);
    let requested = post(&lead, &erasure, json!({"reason": "court order 7"}))
        .await
        .ok();
    post(&lead2, &erasure, json!({"reason": "again"}))
        .await
        .refuses(Code::AlreadyDone);
    let approval = format!(
        "/v1/erasures/{}/approval",
        requested["id"].as_str().unwrap()
    );
    send(&service, Method::POST, &approval, &lead, None)
        .await
        .refuses(Code::SamePerson);
    send(&service, Method::POST, &approval, &stranger, None)
        .await
        .refuses(Code::NotFound);
    send(&service, Method::POST, &approval, &coordinator, None)
        .await
        .refuses(Code::Forbidden);
    let done = send(&service, Method::POST, &approval, &lead2, None).await;
    assert_eq!(done.status, 201, "{}", done.body);
    send(&service, Method::POST, &approval, &lead2, None)
        .await
        .refuses(Code::AlreadyDone);
    let erased = get(&analyst, &target).await.ok();
    assert_eq!(
        (&erased["report"]["erased"], &erased["report"]["text"]),
        (&json!(true), &Value::Null)
    );
    assert!(!erased.to_string().contains("report 0"));
    assert_eq!(
        get(&auditor, "/v1/erasures").await.ok()["erasures"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    // the form of every answer
    let erasures = get(&auditor, "/v1/erasures").await.ok();
    let forms = [
        (
            "login",
            &post(
                "",
                "/v1/login",
                json!({"email": "lead@a.example", "password": PASSWORD}),
            )
            .await
            .ok(),
        ),
        ("login, several missions", &choice.body),
        ("token", &granted),
        ("me", &me),
        ("reports", &list),
        ("report", &shown),
        ("report, erased", &erased),
        ("decision", &decided.body),
        ("decision, stale", &stale.body),
        ("quarantine", &waiting),
        ("accreditations", &names),
        ("devices", &devices),
        ("enrolment code", &issued),
        ("enrolment", &enrolled),
        ("erasure", &requested),
        ("erasure, approved", &done.body),
        ("erasures", &erasures),
        ("missions", &get(&operator, "/v1/missions").await.ok()),
        ("jwks", &get("", "/.well-known/jwks.json").await.ok()),
        ("problem", &nothing.body),
    ];
    let forms: std::collections::BTreeMap<_, _> = forms
        .into_iter()
        .map(|(name, value)| (name, shape(value)))
        .collect();
    insta::assert_json_snapshot!("forms", forms);

    // revocations count from the next request
    let revocation = format!(
        "/v1/devices/{}/revocation",
        enrolled["device"].as_str().unwrap()
    );
    post(&stranger, &revocation, json!({"reason": "lost"}))
        .await
        .refuses(Code::NotFound);
    post(&coordinator, &revocation, json!({"reason": "lost"}))
        .await
        .refuses(Code::Forbidden);
    assert_eq!(
        post(&lead, &revocation, json!({"reason": "lost"}))
            .await
            .status,
        201
    );
    get(&device_token, "/v1/me")
        .await
        .refuses(Code::TokenRevoked);
    let fourth = post(&coordinator, "/v1/enrolment-codes", code("001"))
        .await
        .ok();
    let revoked_key = phone.enrolment(&world.app, fourth["code"].as_str().unwrap());
    post("", "/v1/enrolments", revoked_key)
        .await
        .refuses(Code::KeyNotAccepted);
    answer(service(form(&phone.assertion(&world.app))).await)
        .await
        .refuses(Code::InvalidGrant);
    assert_eq!(
        get(&lead, "/v1/devices").await.ok()["devices"][0]["revoked"],
        true
    );
    post(
        &lead,
        "/v1/accreditations/nobody/revocation",
        json!({"reason": "left"}),
    )
    .await
    .refuses(Code::NotFound);
    assert_eq!(
        post(
            &lead,
            "/v1/accreditations/002/revocation",
            json!({"reason": "left"})
        )
        .await
        .status,
        201
    );
    let gone = get(&lead, "/v1/accreditations?revoked=true").await.ok();
    assert_eq!(gone["accreditations"].as_array().unwrap().len(), 1);
    assert_eq!(
        get(&lead, "/v1/accreditations?revoked=false").await.ok()["accreditations"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    post(&coordinator, "/v1/enrolment-codes", code("002"))
        .await
        .refuses(Code::AccreditationRevoked);
    let sent = phone.sign(
        SubjectId(Uuid::from_bytes([0x60; 16])),
        Kind::File,
        None,
        &fields("after"),
    );
    post("", "/v1/exchange", phone.exchange(&[sent])).await.ok();
    let waiting = get(&auditor, "/v1/quarantine?standing=quarantined")
        .await
        .ok();
    assert_eq!(waiting["entries"][0]["quarantine"], "revoked_device");
    let hash = waiting["entries"][0]["hash"].as_str().unwrap().to_owned();
    let admission = format!("/v1/quarantine/{hash}/admission");
    post(&auditor, &admission, json!({"reason": "known"}))
        .await
        .refuses(Code::Forbidden);
    post(&stranger, &admission, json!({"reason": "known"}))
        .await
        .refuses(Code::NotFound);
    assert_eq!(
        post(
            &coordinator,
            &admission,
            json!({"reason": "seen in person"})
        )
        .await
        .status,
        201
    );

    let store = world.app.store.clone();
    let host = world.app.host.clone();
    store
        .write(|conn| accounts::disable(conn, &host, "analyst@a.example"))
        .unwrap();
    get(&analyst, "/v1/me").await.refuses(Code::TokenRevoked);
    store
        .write(|conn| {
            accounts::remove_role(conn, "auditor@a.example", Some(mission), Role::Auditor)
        })
        .unwrap();
    get(&auditor, "/v1/me").await.refuses(Code::TokenRevoked);
    for email in [
        "analyst@a.example",
        "auditor@a.example",
        "nobody@a.example",
        "a\0b@x",
    ] {
        post(
            "",
            "/v1/login",
            json!({"email": email, "password": PASSWORD}),
        )
        .await
        .refuses(Code::LoginFailed);
    }
}

#[actix_web::test]
async fn the_whole_interface_on_sqlite() {
    flow(World::new("")).await;
}

#[actix_web::test]
async fn the_whole_interface_on_postgres() {
    if let Ok(url) = std::env::var("SCRUTINEER_TEST_API_POSTGRES") {
        flow(World::new(&url)).await;
    }
}

#[actix_web::test]
async fn what_surrounds_every_route() {
    let world = World::new("");
    let service = serve!(api Api::new(world.app.clone()));
    let get = async |path: &str| send(&service, Method::GET, path, "", None).await;
    assert_eq!(get("/healthz").await.status, 200);
    assert_eq!(get("/readyz").await.status, 200);
    get("/nowhere").await.refuses(Code::NotFound);
    get("/v1/me").await.refuses(Code::TokenMissing);
    assert_eq!(
        get("/v1/me").await.headers.get("www-authenticate").unwrap(),
        r#"Bearer realm="scrutineer""#
    );
    let wrong = get("/v1/login").await;
    wrong.refuses(Code::MethodNotAllowed);
    assert_eq!(wrong.headers.get("allow").unwrap(), "POST");
    let trace = send(&service, Method::TRACE, "/v1/me", "", None).await;
    trace.refuses(Code::MethodNotAllowed);
    let page = get("/docs").await;
    assert!(
        page.headers
            .get("content-security-policy")
            .unwrap()
            .to_str()
            .unwrap()
            .contains("style-src 'sha256-")
    );
    assert_eq!(
        get("/openapi.json").await.body["openapi"]
            .as_str()
            .unwrap()
            .split('.')
            .next(),
        Some("3")
    );
    let keys = get("/.well-known/jwks.json").await.ok();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);

    // metrics: from this machine, not by way of a proxy, or for an operator
    let ask = async |peer: &str, forwarded: bool| {
        let mut request = TestRequest::get()
            .uri("/metrics")
            .peer_addr(peer.parse().unwrap());
        if forwarded {
            request = request.insert_header(("x-forwarded-for", "192.0.2.1"));
        }
        answer(service(request).await).await
    };
    let figures = String::from_utf8(ask("127.0.0.1:9", false).await.bytes).unwrap();
    for label in [r#"route="/v1/me""#, r#"route="none""#, r#"status="405""#] {
        assert!(figures.contains(label), "{label}");
    }
    assert!(!figures.contains("nowhere"));
    ask("127.0.0.1:9", true).await.refuses(Code::TokenMissing);
    ask("192.0.2.1:9", false).await.refuses(Code::TokenMissing);

    // bodies
    let raw = async |content_type: &str, encoding: &str, body: Vec<u8>| {
        let mut request = TestRequest::post().uri("/v1/login").set_payload(body);
        if !content_type.is_empty() {
            request = request.insert_header(("content-type", content_type));
        }
        if !encoding.is_empty() {
            request = request.insert_header(("content-encoding", encoding));
        }
        answer(service(request).await).await
    };
    raw("", "", b"{}".to_vec())
        .await
        .refuses(Code::UnsupportedMediaType);
    raw("text/plain", "", b"{}".to_vec())
        .await
        .refuses(Code::UnsupportedMediaType);
    raw("application/json; charset=utf-16", "", b"{}".to_vec())
        .await
        .refuses(Code::UnsupportedMediaType);
    raw("application/json", "gzip", b"{}".to_vec())
        .await
        .refuses(Code::UnsupportedMediaType);
    raw("application/json", "", b"{".to_vec())
        .await
        .refuses(Code::MalformedJson);
    raw(
        "application/json; charset=UTF-8",
        "",
        br#"{"email":"a","password":"b","role":"lead"}"#.to_vec(),
    )
    .await
    .refuses(Code::MalformedJson);
    raw("application/json", "", vec![b' '; 65 * 1024])
        .await
        .refuses(Code::BodyTooLarge);
    raw("application/json", "", vec![b' '; 64 * 1024])
        .await
        .refuses(Code::MalformedJson);
    let long = format!(r#"{{"email":"a@b","password":"{}"}}"#, "x".repeat(1025));
    raw("application/json", "", long.into_bytes())
        .await
        .refuses(Code::InvalidValue);

    // the same account again and again
    let try_login = async || {
        send(
            &service,
            Method::POST,
            "/v1/login",
            "",
            Some(json!({"email": "x@y", "password": "no"})),
        )
        .await
    };
    for _ in 0..10 {
        try_login().await.refuses(Code::LoginFailed);
    }
    let limited = try_login().await;
    limited.refuses(Code::TooManyAttempts);
    let wait: i64 = limited
        .headers
        .get("retry-after")
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    world.pass(wait);
    try_login().await.refuses(Code::LoginFailed);
}

#[actix_web::test]
async fn a_panic_costs_one_request() {
    async fn boom() -> HttpResponse {
        panic!("a bug")
    }
    static ROUTE: routes::Route = routes::Route::for_test("/boom", |route| route.to(boom));
    let world = World::new("");
    let api = Api::new(world.app.clone());
    let service = serve!(
        Service::new().app_data(web::Data::new(api)).service(
            web::scope("")
                .wrap(from_fn(shell::shell))
                .service(web::resource("/boom").route(ROUTE.build())),
        )
    );
    for _ in 0..2 {
        let answer = send(&service, Method::GET, "/boom", "", None).await;
        answer.refuses(Code::Internal);
        assert!(answer.body["incident"].is_string());
        assert!(!answer.body.to_string().contains("a bug"));
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR.as_u16());
    }
}

#[actix_web::test]
async fn too_many_at_once_are_told_to_come_back() {
    let world = World::new("");
    let api = Api::new(world.app.clone());
    let most = world.app.config.max_in_flight;
    let busy = api.clone();
    let crowd: Vec<_> = (0..most).map(|_| busy.admission().enter_always()).collect();
    let service = serve!(api api);
    let busy = send(&service, Method::GET, "/docs", "", None).await;
    busy.refuses(Code::Overloaded);
    assert!(busy.headers.contains_key("retry-after"));
    assert_eq!(
        send(&service, Method::GET, "/healthz", "", None)
            .await
            .status,
        200
    );
    drop(crowd);
    assert_eq!(
        send(&service, Method::GET, "/docs", "", None).await.status,
        200
    );
}

/// With three quarters of the places taken, words get in and files do not; the
/// head alone decides, so the answer comes without the body.
#[actix_web::test]
async fn the_less_urgent_are_turned_away_first() {
    let world = World::new("");
    let api = Api::new(world.app.clone());
    let busy = api.clone();
    let _crowd: Vec<_> = (0..world.app.config.max_in_flight * 3 / 4)
        .map(|_| busy.admission().enter_always())
        .collect();
    let service = serve!(api api);
    for (lane, path, admitted) in [
        ("critical", "/v1/exchange", true),
        ("text", "/v1/exchange", true),
        ("news", "/v1/exchange", false),
        ("files", "/v1/exchange", false),
        ("gibberish", "/v1/exchange", true),
        // Whatever it calls itself.
        ("critical", "/v1/evidence/x", false),
    ] {
        let request = TestRequest::post()
            .uri(path)
            .insert_header((Lane::HEADER, lane))
            .set_json(json!({"protocol": 1, "entries": []}));
        let answer = answer(service(request).await).await;
        assert_eq!(answer.status != 503, admitted, "{lane} {path}");
        if admitted {
            // Those who were served are asked not to come back soon.
            let body = answer.ok();
            assert!(body["directives"]["retry_after"].is_u64(), "{body}");
        }
    }
}
