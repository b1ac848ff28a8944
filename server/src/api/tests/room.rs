//! The room's figures by a clock that is moved: what is late, and who is silent.

use protocol::entry::{CheckIn, Move};

use super::*;

/// A mission's desk and its phones, at hours that the test chooses.
struct Day<S> {
    world: World,
    service: S,
    phones: u8,
}

impl<S: AsyncFn(TestRequest) -> ServiceResponse<BoxBody>> Day<S> {
    async fn login(&self, email: &str) -> String {
        let body = json!({"email": email, "password": PASSWORD});
        let answer = send(&self.service, Method::POST, "/v1/login", "", Some(body)).await;
        answer.ok()["access_token"].as_str().unwrap().to_owned()
    }

    /// Tokens do not last as long as the day.
    async fn get(&self, email: &str, path: &str) -> Value {
        let token = self.login(email).await;
        send(&self.service, Method::GET, path, &token, None)
            .await
            .ok()
    }

    async fn room(&self) -> Value {
        // Beyond what is kept of the last answer.
        self.world.pass(3);
        self.get("analyst@A.example", "/v1/room").await
    }

    async fn enrolled(&mut self, number: &str) -> Phone {
        self.phones += 1;
        let token = self.login("lead@A.example").await;
        let wish = json!({"accreditation": number});
        let issued = send(
            &self.service,
            Method::POST,
            "/v1/enrolment-codes",
            &token,
            Some(wish),
        )
        .await
        .ok();
        let phone = Phone::new(self.world.missions[0].id, self.phones);
        let request = phone.enrolment(&self.world.app, issued["code"].as_str().unwrap());
        send(
            &self.service,
            Method::POST,
            "/v1/enrolments",
            "",
            Some(request),
        )
        .await
        .ok();
        phone
    }

    async fn send(&self, phone: &Phone, entries: &[Value], token: &str) {
        let request = phone.exchange(entries);
        let answer = send(
            &self.service,
            Method::POST,
            "/v1/exchange",
            token,
            Some(request),
        )
        .await;
        let outcomes = answer.ok()["outcomes"].clone();
        for outcome in outcomes.as_array().unwrap() {
            assert_eq!(outcome["outcome"], "stored", "{outcome}");
        }
    }

    /// An exchange of a phone that has nothing to say.
    async fn look_for_news(&self, phone: &Phone) {
        let form = format!(
            "grant_type={GRANT_TYPE}&assertion={}",
            phone.assertion(&self.world.app)
        );
        let request = TestRequest::post()
            .uri("/v1/token")
            .insert_header(("content-type", "application/x-www-form-urlencoded"))
            .set_payload(form);
        let token = answer((self.service)(request).await).await.ok();
        self.send(phone, &[], token["access_token"].as_str().unwrap())
            .await;
    }

    async fn check_in(&self, phone: &mut Phone, event: Move) {
        let body = CheckIn {
            event,
            station: "8-1".into(),
            place: None,
        }
        .to_body();
        let subject = SubjectId(self.world.app.host.uuid());
        let entry = phone.sign_body(subject, Kind::CheckIn, None, body);
        self.send(phone, &[entry], "").await;
    }
}

fn observers(room: &Value) -> [i64; 5] {
    ["enrolled", "present", "departed", "never_came", "silent"]
        .map(|name| room["observers"][name].as_i64().unwrap())
}

async fn day(world: World) {
    let service = serve!(api Api::new(world.app.clone()));
    let mut day = Day {
        world,
        service,
        phones: 0,
    };
    let (mut first, second) = (day.enrolled("001").await, day.enrolled("002").await);
    assert_eq!(observers(&day.room().await), [2, 0, 0, 2, 0]);
    day.check_in(&mut first, Move::Arrived).await;
    assert_eq!(observers(&day.room().await), [2, 1, 0, 1, 0]);

    // Three hours without a word; a word ends it, also an empty one.
    day.world.pass(3 * 3600 - 60);
    assert_eq!(observers(&day.room().await), [2, 1, 0, 1, 0]);
    day.world.pass(60);
    let room = day.room().await;
    assert_eq!(observers(&room), [2, 1, 0, 1, 1]);
    let time = |value: &Value| Micros::parse(value.as_str().unwrap()).unwrap();
    let list = day.get("lead@A.example", "/v1/room/silent").await;
    let one = &list["silent"][0];
    assert_eq!(one["station"], "8-1");
    assert_eq!(
        time(&room["observers"]["last_silent_at"]).0 - time(&one["heard_at"]).0,
        3 * 3_600_000_000
    );
    assert_eq!(list["silent"].as_array().unwrap().len(), 1);
    assert_eq!(list["silent"][0]["number"], "001");
    assert_eq!(list["silent"][0]["name"], "Leyla A 1");
    let list = day.get("auditor@A.example", "/v1/room/silent").await;
    assert_eq!(list["silent"][0].get("name"), None);
    day.look_for_news(&first).await;
    assert_eq!(observers(&day.room().await), [2, 1, 0, 1, 0]);

    // Who never checked in is missed for a day.
    day.look_for_news(&second).await;
    day.world.pass(3 * 3600);
    assert_eq!(observers(&day.room().await), [2, 1, 0, 1, 2]);
    let page = day.get("lead@A.example", "/v1/room/silent?limit=1").await;
    assert_eq!(page["silent"][0]["number"], "001");
    let next = page["next"].as_str().unwrap();
    let path = format!("/v1/room/silent?limit=1&cursor={next}");
    let page = day.get("lead@A.example", &path).await;
    assert_eq!(page["silent"][0]["number"], "002");
    assert_eq!(page["silent"][0]["station"], Value::Null);
    assert_eq!(page["next"], Value::Null);
    day.world.pass(21 * 3600);
    assert_eq!(observers(&day.room().await), [2, 1, 0, 1, 1]);

    // Who has gone home is not missed.
    day.check_in(&mut first, Move::Left).await;
    day.world.pass(4 * 3600);
    assert_eq!(observers(&day.room().await), [2, 0, 1, 1, 0]);

    untouched(&day, &mut first).await;
}

/// Ten minutes, counted from when it came in.
async fn untouched(
    day: &Day<impl AsyncFn(TestRequest) -> ServiceResponse<BoxBody>>,
    phone: &mut Phone,
) {
    let subject = SubjectId(day.world.app.host.uuid());
    let critical = ReportFields {
        severity: Some(Severity::Critical),
        ..fields("Shots")
    };
    let entry = phone.sign(subject, Kind::File, None, &critical);
    day.send(phone, &[entry], "").await;
    let filed = day.world.app.host.now();
    day.world.pass(590);
    let room = day.room().await;
    assert_eq!(
        (&room["untouched"]["count"], &room["untouched"]["due"]),
        (&json!(1), &json!(0)),
    );
    assert_eq!(room["untouched"]["last_due_at"], Value::Null);
    day.world.pass(10);
    let room = day.room().await;
    assert_eq!(room["untouched"]["due"], 1);
    assert_eq!(
        room["untouched"]["last_due_at"],
        filed.plus_seconds(600).rfc3339()
    );
    // Ten minutes ago, on a curve of which the last minute runs.
    let minutes = room["incoming"]["minutes"].as_array().unwrap();
    let at = minutes.iter().position(|count| count == 1).unwrap();
    assert!((48..=50).contains(&at), "{at}");
    assert_eq!(minutes.len(), 60);
}

#[actix_web::test]
async fn silence_and_alarms_on_sqlite() {
    day(World::new("")).await;
}

#[actix_web::test]
async fn silence_and_alarms_on_postgres() {
    if let Ok(url) = std::env::var("SCRUTINEER_TEST_API_POSTGRES") {
        day(World::new(&url)).await;
    }
}

/// Fifty desks ask at once: one answer is made.
#[actix_web::test]
async fn answers_are_made_once_and_kept_for_a_moment() {
    let world = World::new("");
    let service = serve!(api Api::new(world.app.clone()));
    let mut day = Day {
        world,
        service,
        phones: 0,
    };
    let token = day.login("analyst@A.example").await;
    let ask = async || send(&day.service, Method::GET, "/v1/room", &token, None).await;
    let first = ask().await.ok();
    day.world.pass(1);
    assert_eq!(ask().await.ok(), first);
    day.world.pass(1);
    assert_ne!(ask().await.ok()["at"], first["at"]);
    // Another mission has an answer of its own.
    drop(token);
    let other = day.get("analyst@b.example", "/v1/room").await;
    let _ = day.enrolled("001").await;
    assert_eq!(other["observers"]["enrolled"], 0);
}
