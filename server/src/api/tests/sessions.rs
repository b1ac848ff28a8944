//! Signing in at the console: cookie, second factor, recovery codes, ends.

use super::*;

/// A browser: keeps the cookie, and says where a request comes from.
struct Browser<S> {
    service: S,
    cookie: Option<String>,
}

impl<S: AsyncFn(TestRequest) -> ServiceResponse<BoxBody>> Browser<S> {
    async fn ask(&mut self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = TestRequest::default()
            .method(method)
            .uri(path)
            .insert_header(("sec-fetch-site", "same-origin"));
        if let Some(cookie) = &self.cookie {
            request = request.insert_header(("cookie", cookie.as_str()));
        }
        if let Some(body) = body {
            request = request.set_json(body);
        }
        let answer = answer((self.service)(request).await).await;
        if let Some(set) = answer.headers.get("set-cookie") {
            let set = set.to_str().unwrap();
            for attribute in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/"] {
                assert!(set.contains(attribute), "{set}");
            }
            let pair = set.split(';').next().unwrap();
            self.cookie = (!pair.ends_with('=')).then(|| pair.to_owned());
        }
        answer
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, Some(body)).await
    }

    async fn sign_in(&mut self, email: &str, code: Option<&str>) -> Answer {
        let mut body = json!({"email": email, "password": PASSWORD});
        if let Some(code) = code {
            body["code"] = json!(code);
        }
        self.post("/v1/session", body).await
    }

    /// Sets a second factor up; answers its secret and the recovery codes.
    async fn set_up(&mut self, world: &World, current: Option<&str>) -> (String, Vec<String>) {
        let offer = self.post("/v1/second-factor", json!({})).await.ok();
        let secret = offer["secret"].as_str().unwrap().to_owned();
        let mut body = json!({"setup": offer["setup"], "code": code(&secret, world)});
        if let Some(current) = current {
            body["current"] = json!(current);
        }
        let kept = self.post("/v1/second-factor/confirmation", body).await.ok();
        let codes = serde_json::from_value(kept["recovery_codes"].clone()).unwrap();
        (secret, codes)
    }
}

/// What an app shows now.
fn code(secret: &str, world: &World) -> String {
    let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
    let totp = totp_rs::Builder::new()
        .with_algorithm(totp_rs::Algorithm::SHA1)
        .with_secret(secret)
        .build()
        .unwrap();
    let now = u64::try_from(world.app.host.now().seconds()).unwrap();
    totp.generate(now).to_string()
}

macro_rules! browser {
    ($world:expr) => {
        Browser {
            service: serve!(api Api::new($world.app.clone())),
            cookie: None,
        }
    };
}

const LEAD: &str = "lead@a.example";

#[actix_web::test]
async fn without_a_second_factor_a_session_opens_nothing_else() {
    let world = World::new("");
    let mut browser = browser!(world);
    browser.get("/v1/session").await.refuses(Code::TokenMissing);
    let session = browser.sign_in(LEAD, None).await.ok();
    assert_eq!(session["proven"], false);
    assert_eq!(session["email"], LEAD);
    assert_eq!(session["mission"]["name"], "A");
    assert_eq!(session["roles"], json!(["lead"]));
    for path in ["/v1/reports", "/v1/me", "/v1/quarantine"] {
        browser.get(path).await.refuses(Code::SecondFactorMissing);
    }
    let (_, codes) = browser.set_up(&world, None).await;
    assert_eq!(codes.len(), 10);
    browser.get("/v1/reports").await.ok();
    let session = browser.get("/v1/session").await.ok();
    assert_eq!(
        (&session["proven"], &session["recovery_codes"]),
        (&json!(true), &json!(10))
    );
}

#[actix_web::test]
async fn each_code_works_once() {
    let world = World::new("");
    let mut browser = browser!(world);
    browser.sign_in(LEAD, None).await.ok();
    let (secret, recovery) = browser.set_up(&world, None).await;
    let mut other = browser!(world);
    other
        .sign_in(LEAD, None)
        .await
        .refuses(Code::SecondFactorNeeded);
    other
        .sign_in(LEAD, Some("000000"))
        .await
        .refuses(Code::SecondFactorInvalid);
    // The one that set the factor up was the first.
    let first = code(&secret, &world);
    other
        .sign_in(LEAD, Some(&first))
        .await
        .refuses(Code::SecondFactorInvalid);
    world.pass(30);
    let second = code(&secret, &world);
    assert_eq!(
        other.sign_in(LEAD, Some(&second)).await.ok()["proven"],
        true
    );
    other
        .sign_in(LEAD, Some(&second))
        .await
        .refuses(Code::SecondFactorInvalid);
    // As somebody types it from paper.
    let typed = format!(" {} ", recovery[3].to_uppercase().replace('-', " "));
    let session = other.sign_in(LEAD, Some(&typed)).await.ok();
    assert_eq!(session["recovery_codes"], 9);
    other
        .sign_in(LEAD, Some(&recovery[3]))
        .await
        .refuses(Code::SecondFactorInvalid);
    // A token needs it as well.
    world.pass(60);
    let login = json!({"email": LEAD, "password": PASSWORD});
    other
        .post("/v1/login", login.clone())
        .await
        .refuses(Code::SecondFactorNeeded);
    let mut whole = login;
    whole["code"] = json!(code(&secret, &world));
    other.post("/v1/login", whole).await.ok();
}

#[actix_web::test]
async fn a_code_is_not_spent_on_choosing_a_mission() {
    let world = World::new("");
    let mut browser = browser!(world);
    let both = "both@x.example";
    let choice = browser.sign_in(both, None).await;
    choice.refuses(Code::MissionChoiceNeeded);
    let mission = choice.body["missions"][0]["id"].clone();
    let body =
        |code: &str| json!({"email": both, "password": PASSWORD, "mission": mission, "code": code});
    browser.post("/v1/session", body("")).await.ok();
    let (secret, _) = browser.set_up(&world, None).await;
    world.pass(30);
    let now = code(&secret, &world);
    browser
        .sign_in(both, Some(&now))
        .await
        .refuses(Code::MissionChoiceNeeded);
    browser.post("/v1/session", body(&now)).await.ok();
}

#[actix_web::test]
async fn a_second_factor_is_replaced_with_the_old_one_in_hand() {
    let world = World::new("");
    let mut browser = browser!(world);
    browser.sign_in(LEAD, None).await.ok();
    let (old, recovery) = browser.set_up(&world, None).await;
    let mut elsewhere = browser!(world);
    elsewhere.sign_in(LEAD, Some(&recovery[0])).await.ok();
    let offer = browser.post("/v1/second-factor", json!({})).await.ok();
    let new = offer["secret"].as_str().unwrap();
    let body = json!({"setup": offer["setup"], "code": code(new, &world)});
    let confirmation = "/v1/second-factor/confirmation";
    browser
        .post(confirmation, body.clone())
        .await
        .refuses(Code::SecondFactorNeeded);
    elsewhere.get("/v1/reports").await.ok();
    world.pass(30);
    let mut whole = json!({"setup": offer["setup"], "code": code(new, &world)});
    whole["current"] = json!(code(&old, &world));
    browser.post(confirmation, whole.clone()).await.ok();
    // The other sessions are over, the old codes too.
    elsewhere
        .get("/v1/reports")
        .await
        .refuses(Code::SessionEnded);
    elsewhere
        .sign_in(LEAD, Some(&recovery[1]))
        .await
        .refuses(Code::SecondFactorInvalid);
    browser.get("/v1/reports").await.ok();
    // An offer is for one account, and not for long.
    let mut colleague = browser!(world);
    colleague.sign_in("coordinator@a.example", None).await.ok();
    colleague
        .post(confirmation, body)
        .await
        .refuses(Code::InvalidValue);
    let late = colleague.post("/v1/second-factor", json!({})).await.ok();
    world.pass(901);
    let secret = late["secret"].as_str().unwrap();
    let body = json!({"setup": late["setup"], "code": code(secret, &world)});
    colleague
        .post(confirmation, body)
        .await
        .refuses(Code::SecondFactorInvalid);
}

#[actix_web::test]
async fn a_session_ends_when_nobody_works_and_after_a_shift() {
    let world = World::new("");
    let mut browser = browser!(world);
    browser.sign_in(LEAD, None).await.ok();
    browser.set_up(&world, None).await;
    let times = |session: &Value| {
        ["ends_at", "ends_at_last"].map(|name| {
            let time = Micros::parse(session[name].as_str().unwrap()).unwrap();
            time.seconds() - world.app.host.now().seconds()
        })
    };
    let session = browser.get("/v1/session").await.ok();
    assert_eq!(times(&session), [30 * 60, 14 * 3600]);
    world.pass(29 * 60);
    // Looking does not keep it, saying so does.
    assert_eq!(times(&browser.get("/v1/session").await.ok())[0], 60);
    let kept = browser.post("/v1/session/renewal", json!({})).await.ok();
    assert_eq!(times(&kept), [30 * 60, 14 * 3600 - 29 * 60]);
    for _ in 0..27 {
        world.pass(29 * 60);
        browser.post("/v1/session/renewal", json!({})).await.ok();
    }
    let last = browser.get("/v1/session").await.ok();
    assert_eq!(last["ends_at"], last["ends_at_last"]);
    world.pass(29 * 60);
    browser
        .post("/v1/session/renewal", json!({}))
        .await
        .refuses(Code::SessionEnded);
    // Signing out ends it at once, also for a copy of the cookie.
    let mut browser = browser!(world);
    browser.sign_in("coordinator@a.example", None).await.ok();
    let copy = browser.cookie.clone();
    assert_eq!(
        browser
            .ask(Method::DELETE, "/v1/session", None)
            .await
            .status,
        204
    );
    assert_eq!(browser.cookie, None);
    browser.cookie = copy;
    browser.get("/v1/session").await.refuses(Code::SessionEnded);
    // So does the account's end.
    let mut browser = browser!(world);
    browser.sign_in("auditor@a.example", None).await.ok();
    let host = &world.app.host;
    let disable = |conn: &mut _| accounts::disable(conn, host, "auditor@a.example");
    world.app.store.write(disable).unwrap();
    browser.get("/v1/session").await.refuses(Code::SessionEnded);
}

#[actix_web::test]
async fn other_sites_use_no_session() {
    let world = World::new("");
    let mut browser = browser!(world);
    browser.sign_in(LEAD, None).await.ok();
    browser.set_up(&world, None).await;
    let cookie = browser.cookie.clone().unwrap();
    for (method, path) in [
        (Method::GET, "/v1/reports"),
        (Method::POST, "/v1/session/renewal"),
        (Method::DELETE, "/v1/session"),
    ] {
        for site in ["cross-site", "same-site"] {
            let request = TestRequest::default()
                .method(method.clone())
                .uri(path)
                .insert_header(("cookie", cookie.as_str()))
                .insert_header(("sec-fetch-site", site));
            answer((browser.service)(request).await)
                .await
                .refuses(Code::CrossSite);
        }
    }
    let foreign = TestRequest::post()
        .uri("/v1/session")
        .insert_header(("sec-fetch-site", "cross-site"))
        .set_json(json!({"email": LEAD, "password": PASSWORD}));
    answer((browser.service)(foreign).await)
        .await
        .refuses(Code::CrossSite);
    browser.get("/v1/reports").await.ok();
}
