//! The wire forms of the three calls, and how an answer is read. Whatever is not
//! recognisably this server's answer (a captive portal's page, a proxy's error,
//! a redirect) is a network failure: it says nothing about the entries.

use protocol::{
    assertion, bundle,
    codes::Code,
    enrolment,
    entry::{Severity, WireEntry},
    exchange::{self, Lane},
    problem,
    reference::Offer,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Answer, Call, Method, Unreachable};
use crate::{
    engine::{Failure, TokenGrant},
    pack::{pack, unpack},
};

/// Bodies below this gain nothing from gzip.
const GZIP_FROM: usize = 1024;
/// An answer's bytes after decompression: a full page of the largest items.
pub const ANSWER_BYTES: u64 = 16 * 1024 * 1024;
/// What kinds begin with in this server's problems.
const PROBLEM_PREFIX: &str = "urn:scrutineer:problem:";
/// Seconds to wait when the server asks for it without saying how long.
const DEFAULT_RETRY_AFTER: u32 = 30;

fn json(url: String, body: Vec<u8>) -> Call {
    let mut headers = vec![
        ("content-type", exchange::MEDIA_TYPE.to_owned()),
        (
            "accept",
            format!("{}, {}", exchange::MEDIA_TYPE, problem::MEDIA_TYPE),
        ),
        ("accept-encoding", "gzip".to_owned()),
    ];
    let mut body = body;
    if body.len() > GZIP_FROM
        && let Some(packed) = pack(&body)
    {
        headers.push(("content-encoding", "gzip".to_owned()));
        body = packed;
    }
    Call {
        method: Method::Post,
        url,
        headers,
        body,
    }
}

/// `POST /v1/enrolments`.
#[must_use]
pub fn enrolment(origin: &str, request: &enrolment::Request) -> Call {
    let mut call = json(format!("{origin}/v1/enrolments"), Vec::new());
    // Never compressed: it carries a secret, and is small.
    call.body = serde_json::json!(request).to_string().into_bytes();
    call
}

/// `POST /v1/exchange`.
#[must_use]
pub fn exchange(origin: &str, request: &exchange::Request, token: Option<&str>) -> Call {
    let body = serde_json::json!(request).to_string().into_bytes();
    let mut call = json(format!("{origin}/v1/exchange"), body);
    call.headers
        .push((Lane::HEADER, lane(request).name().to_owned()));
    if let Some(token) = token {
        call.headers
            .push(("authorization", format!("Bearer {token}")));
    }
    call
}

/// What an exchange is about, for a server that has to choose.
fn lane(request: &exchange::Request) -> Lane {
    let is_critical = |entry: &WireEntry| {
        serde_json::from_str::<Value>(&entry.payload)
            .is_ok_and(|payload| payload["body"]["severity"] == Severity::Critical.name())
    };
    if request.entries.is_empty() {
        Lane::News
    } else if request.entries.iter().any(is_critical) {
        Lane::Critical
    } else {
        Lane::Text
    }
}

/// `POST /v1/token` (RFC 7523 §2.1).
#[must_use]
pub fn token(origin: &str, assertion: &str) -> Call {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", assertion::GRANT_TYPE)
        .append_pair("assertion", assertion)
        .finish();
    let mut call = json(format!("{origin}/v1/token"), Vec::new());
    call.headers.retain(|(name, _)| *name != "content-type");
    call.headers.push((
        "content-type",
        "application/x-www-form-urlencoded".to_owned(),
    ));
    // A token only reads: it must not stand in the way of words.
    call.headers
        .push((Lane::HEADER, Lane::News.name().to_owned()));
    call.body = body.into_bytes();
    call
}

/// `POST /v1/bundles`.
#[must_use]
pub fn ask_bundle(origin: &str, wish: &bundle::Request) -> Call {
    let body = serde_json::json!(wish).to_string().into_bytes();
    json(format!("{origin}/v1/bundles"), body)
}

/// `PATCH /v1/bundles/{sha256}`.
#[must_use]
pub fn send_bundle(origin: &str, wish: &bundle::Request, offset: u64, part: Vec<u8>) -> Call {
    Call {
        method: Method::Patch,
        url: format!("{origin}/v1/bundles/{}", wish.bundle),
        headers: vec![
            ("content-type", protocol::evidence::MEDIA_TYPE.to_owned()),
            ("upload-offset", offset.to_string()),
            ("upload-length", wish.size.to_string()),
        ],
        body: part,
    }
}

/// Reads the answer to both.
///
/// # Errors
/// [`Failure`].
pub fn read_bundle(answer: Result<Answer, Unreachable>) -> Result<bundle::State, Failure> {
    read(answer)
}

/// Reads the answer to an enrolment.
///
/// # Errors
/// [`Failure`].
pub fn read_enrolment(answer: Result<Answer, Unreachable>) -> Result<enrolment::Response, Failure> {
    read(answer)
}

/// Reads the answer to an exchange. An outcome of a kind that this version does
/// not know counts as not processed, and so does an offer of an unknown register;
/// an item that cannot be read stays, as one that is not believed.
///
/// # Errors
/// [`Failure`].
pub fn read_exchange(answer: Result<Answer, Unreachable>) -> Result<exchange::Response, Failure> {
    let mut value: Value = read(answer)?;
    for (list, keeps) in [
        (
            "outcomes",
            (|value| exchange::Outcome::deserialize(value).is_ok()) as fn(&Value) -> bool,
        ),
        ("reference", |value| Offer::deserialize(value).is_ok()),
    ] {
        if let Some(Value::Array(values)) = value.get_mut(list) {
            values.retain(keeps);
        }
    }
    if let Some(Value::Array(items)) = value.get_mut("items") {
        for item in items {
            if exchange::Item::deserialize(&*item).is_err() {
                *item = unreadable_item();
            }
        }
    }
    exchange::Response::deserialize(value).map_err(|_| foreign(200, "an answer of another form"))
}

/// Stands for an item that cannot be read. Nobody's signature is on it, so it is
/// not believed, and counted.
fn unreadable_item() -> Value {
    let entry = WireEntry {
        header: String::new(),
        payload: String::new(),
        disclosures: Vec::new(),
        signature: String::new(),
    };
    serde_json::json!(exchange::Item { number: 0, entry })
}

/// Reads the answer to a request for a token.
///
/// # Errors
/// [`Failure`].
pub fn read_token(answer: Result<Answer, Unreachable>) -> Result<TokenGrant, Failure> {
    #[derive(Deserialize)]
    struct Granted {
        access_token: String,
        token_type: String,
        expires_in: u32,
    }
    let granted: Granted = read(answer)?;
    if !granted.token_type.eq_ignore_ascii_case("bearer") {
        return Err(foreign(200, "a token of another type"));
    }
    Ok(TokenGrant {
        access_token: granted.access_token,
        expires_in: granted.expires_in,
    })
}

/// Nothing came back.
pub(super) fn unreachable(none: Unreachable) -> Failure {
    Failure::Network {
        message: none.message,
        connected: none.connected,
        status: None,
    }
}

pub(super) fn media_type(answer: &Answer) -> &str {
    let media_type = answer.content_type.split(';').next();
    media_type.unwrap_or_default().trim()
}

fn read<T: DeserializeOwned>(answer: Result<Answer, Unreachable>) -> Result<T, Failure> {
    let answer = answer.map_err(unreachable)?;
    let media_type = media_type(&answer);
    if answer.status == 200 && media_type.eq_ignore_ascii_case(exchange::MEDIA_TYPE) {
        let body =
            decode(&answer).ok_or_else(|| foreign(200, "an answer that cannot be decoded"))?;
        return serde_json::from_slice(&body)
            .map_err(|_| foreign(200, "an answer of another form"));
    }
    Err(problem_of(&answer).unwrap_or_else(|| stranger(answer.status)))
}

/// The server's own refusal, if it is one. One without a body, to a `HEAD`, says
/// its code in a header.
pub(super) fn problem_of(answer: &Answer) -> Option<Failure> {
    if answer.status < 400 || !media_type(answer).eq_ignore_ascii_case(problem::MEDIA_TYPE) {
        return None;
    }
    if answer.body.is_empty() {
        return Code::from_name(answer.code.trim()).map(|code| Failure::Problem {
            status: answer.status,
            code,
            detail: String::new(),
            retry_after: retry_after(answer),
        });
    }
    let problem: problem::Problem = serde_json::from_slice(&decode(answer)?).ok()?;
    problem
        .kind
        .starts_with(PROBLEM_PREFIX)
        .then(|| Failure::Problem {
            status: answer.status,
            code: problem.code,
            detail: problem.detail,
            retry_after: retry_after(answer),
        })
}

/// Somebody else answered.
pub(super) fn stranger(status: u16) -> Failure {
    foreign(
        status,
        &format!("something else answered with HTTP status {status}"),
    )
}

fn foreign(status: u16, message: &str) -> Failure {
    Failure::Network {
        message: message.to_owned(),
        connected: true,
        status: Some(status),
    }
}

pub(super) fn retry_after(answer: &Answer) -> Option<u32> {
    let asks = matches!(answer.status, 429 | 503 | 507);
    // The other form, a date, says nothing to a device whose clock may be wrong.
    asks.then(|| {
        answer
            .retry_after
            .trim()
            .parse()
            .unwrap_or(DEFAULT_RETRY_AFTER)
    })
}

/// Decompresses within bounds; `None` for another encoding or too much.
fn decode(answer: &Answer) -> Option<Vec<u8>> {
    match answer.content_encoding.trim() {
        "" | "identity" => Some(answer.body.clone()),
        "gzip" => unpack(&answer.body, ANSWER_BYTES),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, content_type: &str, body: &str) -> Result<Answer, Unreachable> {
        Ok(Answer {
            status,
            content_type: content_type.into(),
            body: body.into(),
            ..Answer::default()
        })
    }

    const GOOD: &str = r#"{"protocol":1,"epoch":"00000000-0000-4000-8000-000000000000",
        "server_time":"2024-09-01T08:00:00Z","outcomes":[]}"#;

    #[test]
    fn only_the_server_s_own_answers_are_believed() {
        let problem = r#"{"type":"urn:scrutineer:problem:overloaded","title":"","status":503,"code":"overloaded"}"#;
        let foreign = [
            answer(
                200,
                "text/html",
                "<html>Please log in to the hotel's network</html>",
            ),
            answer(200, "text/html", GOOD),
            answer(200, "application/json", r#"{"status":"ok"}"#),
            answer(200, "application/json", "[]"),
            answer(200, "application/json", "<html>"),
            answer(200, "application/json", ""),
            answer(201, "application/json", GOOD),
            answer(204, "", ""),
            answer(302, "text/html", ""),
            answer(307, "application/json", GOOD),
            answer(401, "text/html", "log in"),
            answer(400, "application/json", r#"{"code":"malformed_json"}"#),
            answer(
                403,
                "application/problem+json",
                r#"{"type":"about:blank","title":"x","status":403}"#,
            ),
            answer(404, "text/plain", "not found"),
            answer(502, "text/html", "bad gateway"),
            answer(520, "text/html", "unknown error"),
            answer(200, "application/problem+json", problem),
            Err(Unreachable {
                message: "no route".into(),
                connected: false,
            }),
        ];
        for case in foreign {
            let shown = format!("{case:?}");
            assert!(
                matches!(read_exchange(case), Err(Failure::Network { .. })),
                "{shown}"
            );
        }
        assert!(read_exchange(answer(200, "application/json; charset=utf-8", GOOD)).is_ok());
        assert_eq!(
            read_exchange(answer(503, "application/problem+json", problem)),
            Err(Failure::Problem {
                status: 503,
                code: Code::Overloaded,
                detail: String::new(),
                retry_after: Some(DEFAULT_RETRY_AFTER)
            })
        );
    }

    #[test]
    fn outcomes_of_a_later_version_are_not_processed_and_harm_no_others() {
        let hash = protocol::encoding::b64([1; 32]);
        let body = GOOD.replace(
            r#""outcomes":[]"#,
            &format!(
                r#""outcomes":[{{"hash":"{hash}","outcome":"teleported"}},{{"hash":"{hash}","outcome":"stored","number":1,"new":2}}],"later":[]"#
            ),
        );
        let response = read_exchange(answer(200, "application/json", &body)).expect("reads");
        assert_eq!(response.outcomes.len(), 1);
    }

    #[test]
    fn gzip_is_decoded_within_bounds() {
        let packed = |body: &[u8]| Answer {
            status: 200,
            content_type: "application/json".into(),
            content_encoding: "gzip".into(),
            body: pack(body).expect("packs"),
            ..Answer::default()
        };
        assert!(read_exchange(Ok(packed(GOOD.as_bytes()))).is_ok());
        let bomb = vec![b' '; usize::try_from(ANSWER_BYTES).expect("fits") + 1];
        assert!(matches!(
            read_exchange(Ok(packed(&bomb))),
            Err(Failure::Network { .. })
        ));
        let mut cut = packed(GOOD.as_bytes());
        cut.body.truncate(cut.body.len() / 2);
        assert!(matches!(
            read_exchange(Ok(cut)),
            Err(Failure::Network { .. })
        ));
    }

    fn request() -> exchange::Request {
        exchange::Request {
            protocol: 1,
            app: "test/1".into(),
            journals: Vec::new(),
            clock: None,
            entries: Vec::new(),
            cursor: None,
            seen: None,
            receipt: None,
            returned: Vec::new(),
            former: Vec::new(),
            reference: Vec::new(),
        }
    }

    #[test]
    fn an_exchange_names_its_most_urgent_lane() {
        let entry = |severity: &str| WireEntry {
            header: String::new(),
            payload: format!(r#"{{"body":{{"severity":"{severity}"}}}}"#),
            disclosures: Vec::new(),
            signature: String::new(),
        };
        for (severities, expected) in [
            (&[][..], Lane::News),
            (&["low", "high"], Lane::Text),
            (&["low", "critical"], Lane::Critical),
        ] {
            let request = exchange::Request {
                entries: severities.iter().map(|severity| entry(severity)).collect(),
                ..request()
            };
            assert_eq!(lane(&request), expected, "{severities:?}");
        }
    }

    #[test]
    fn large_bodies_are_packed_and_small_ones_not() {
        let mut request = request();
        let small = exchange("https://host", &request, None);
        assert_eq!(small.url, "https://host/v1/exchange");
        assert!(small.headers.contains(&(Lane::HEADER, "news".into())));
        assert!(
            !small
                .headers
                .iter()
                .any(|(name, _)| *name == "content-encoding")
        );
        request.cursor = Some("x".repeat(5000));
        let large = exchange("https://host", &request, Some("T"));
        assert!(large.headers.contains(&("content-encoding", "gzip".into())));
        assert!(
            large
                .headers
                .contains(&("authorization", "Bearer T".into()))
        );
        let body = unpack(&large.body, ANSWER_BYTES).expect("unpacks");
        assert_eq!(body, serde_json::json!(request).to_string().into_bytes());
    }

    #[test]
    fn a_token_is_asked_for_in_a_form() {
        let call = token("https://host", "a.b.c");
        assert_eq!(call.url, "https://host/v1/token");
        assert!(
            call.headers
                .contains(&("content-type", "application/x-www-form-urlencoded".into()))
        );
        assert!(call.headers.contains(&(Lane::HEADER, "news".into())));
        assert_eq!(
            String::from_utf8(call.body).expect("text"),
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.b.c"
        );
        let grant = r#"{"access_token":"T","token_type":"Bearer","expires_in":900}"#;
        let granted = read_token(answer(200, "application/json", grant)).expect("reads");
        assert_eq!(
            granted,
            TokenGrant {
                access_token: "T".into(),
                expires_in: 900
            }
        );
    }
}
