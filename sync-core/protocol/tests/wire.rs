//! Snapshots of every wire form. A change here is a change for phones in the
//! field: the commit says why it is safe for them.

use protocol::{
    assertion,
    codes::Code,
    enrolment,
    exchange::{Directives, OutcomeKind, Request},
    jose::{Jws, PublicKey, Signer as _},
    problem::Problem,
    receipt,
};
use serde_json::{Value, json};

use crate::{
    messages,
    samples::{key, keys, samples},
};

/// A compact JWS beside what it says, so that a reviewer can read the difference.
fn opened(compact: &str) -> Value {
    let jws = Jws::parse(compact).expect("a JWS");
    let payload: Value = serde_json::from_slice(&jws.payload).expect("JSON");
    json!({"compact": compact, "header": jws.header, "payload": payload})
}

#[test]
fn entries_of_every_kind() {
    for sample in samples() {
        let read = sample.entry.read().expect("reads");
        insta::with_settings!({snapshot_suffix => sample.name.clone()}, {
            insta::assert_json_snapshot!(json!({
                "wire": sample.entry.to_wire(),
                "compact": sample.entry.compact(),
                "hash": sample.entry.hash(),
                "read": {"payload": read.payload, "body": read.body, "at": read.at, "withheld": read.withheld},
            }));
        });
    }
}

#[test]
fn an_entry_with_disclosures_withheld() {
    let filed = &samples()[0];
    let redacted = filed.entry.withhold(|name| name == "station");
    let read = redacted.read().expect("reads");
    insta::assert_json_snapshot!(json!({
        "wire": redacted.to_wire(),
        "hash": redacted.hash(),
        "body": read.body,
        "at": read.at,
        "withheld": read.withheld,
    }));
}

#[test]
fn exchange_request_with_all_options() {
    insta::assert_json_snapshot!(messages::request());
}

#[test]
fn exchange_request_with_no_options() {
    let request = Request {
        protocol: 1,
        app: String::new(),
        journals: vec![],
        clock: None,
        entries: vec![],
        cursor: None,
        seen: None,
        receipt: None,
        returned: Vec::new(),
        former: Vec::new(),
        reference: Vec::new(),
    };
    insta::assert_json_snapshot!(request);
}

#[test]
fn exchange_request_after_a_new_history() {
    insta::assert_json_snapshot!(messages::recovery_request());
}

#[test]
fn exchange_response_with_all_options() {
    insta::assert_json_snapshot!(messages::response());
}

#[test]
fn exchange_response_with_no_options() {
    insta::assert_json_snapshot!(messages::empty_response());
}

#[test]
fn outcomes() {
    insta::assert_json_snapshot!(messages::outcomes());
}

#[test]
fn outcome_kinds_and_whether_they_are_delivered() {
    use OutcomeKind::{AlreadyStored, Held, Quarantined, Refused, Stored};
    let kinds = [Stored, AlreadyStored, Held, Quarantined, Refused];
    insta::assert_json_snapshot!(kinds.map(|kind| (kind, kind.is_delivered())));
}

#[test]
fn directives() {
    let cases = [
        (None, None),
        (Some(5), None),
        (None, Some(600)),
        (Some(5), Some(600)),
    ];
    insta::assert_json_snapshot!(cases.map(|(retry_after, spread)| Directives {
        retry_after,
        spread
    }));
}

#[test]
fn a_receipt() {
    insta::assert_json_snapshot!(opened(
        &messages::receipt().sign(&key("server")).expect("signs")
    ));
}

#[test]
fn enrolment_messages() {
    let request = messages::enrolment_request();
    insta::assert_json_snapshot!(json!({
        "link": messages::invitation().to_url(),
        "request": request,
        "proof": opened(&request.proof),
        "response": messages::enrolment_response(),
    }));
}

#[test]
fn an_assertion() {
    let compact = messages::assertion()
        .sign(&key("device-eddsa"))
        .expect("signs");
    insta::assert_json_snapshot!(json!({
        "grant_type": assertion::GRANT_TYPE,
        "assertion": opened(&compact),
    }));
}

#[test]
fn problems() {
    let plain = Problem::new(Code::NotFound, "");
    let mut with_more = Problem::new(Code::StaleDecision, "The report was amended at 11:52.");
    with_more.extra.insert("status".into(), json!("reopened"));
    insta::assert_json_snapshot!([plain, with_more]);
}

#[test]
fn the_table_of_codes() {
    let rows: Vec<String> = Code::ALL
        .iter()
        .map(|code| {
            format!(
                "{code} | {:?} | {} | {}",
                code.place(),
                code.status(),
                code.title()
            )
        })
        .collect();
    insta::assert_snapshot!(rows.join("\n"));
}

#[test]
fn keys_and_thumbprints() {
    let keys: Vec<Value> = keys()
        .iter()
        .map(|key| {
            let public = key.key.public();
            json!({"name": key.name, "alg": public.alg(), "jwk": public.to_jwk(), "kid": public.thumbprint()})
        })
        .collect();
    insta::assert_json_snapshot!(keys);
}

#[test]
fn types_and_media_types() {
    insta::assert_json_snapshot!(json!({
        "device entry": protocol::entry::DEVICE_TYP,
        "decision": protocol::entry::DECISION_TYP,
        "receipt": receipt::TYP,
        "enrolment": enrolment::TYP,
        "assertion": assertion::TYP,
        "exchange": protocol::exchange::MEDIA_TYPE,
        "problem": protocol::problem::MEDIA_TYPE,
    }));
}

/// What is written is also read, to the same value.
#[test]
fn every_message_is_read_back() {
    fn back<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
        message: &T,
    ) {
        let text = serde_json::to_string(message).expect("writes");
        assert_eq!(serde_json::from_str::<T>(&text).expect("reads"), *message);
        // and from a reader, where nothing can be borrowed
        assert_eq!(
            serde_json::from_reader::<_, T>(text.as_bytes()).expect("reads"),
            *message
        );
    }
    back(&messages::request());
    back(&messages::response());
    back(&messages::empty_response());
    back(&messages::outcomes());
    back(&messages::receipt());
    back(&messages::enrolment_request());
    back(&messages::enrolment_response());
    back(&messages::assertion());
    back(&messages::proof());
    back(&Problem::new(Code::Internal, "x"));
    for key in keys() {
        let jwk = key.key.public().to_jwk();
        back(&jwk);
        assert_eq!(PublicKey::from_jwk(&jwk).expect("a key"), key.key.public());
    }
}
