//! What later versions may send, what people may write, and the limits: survives or is an error,
//! and never something in between.

use protocol::{
    encoding::b64,
    entry::{DEVICE_TYP, Draft, Kind, Patch, Place, ReadError, ReportFields, SdJwt, WireEntry},
    jose::{Signer as _, SoftwareKey},
    limits,
};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::samples::{key, sample, uuid};

fn device() -> SoftwareKey {
    key("device-eddsa")
}

/// Signs any texts at all, as another implementation or a later version might.
pub(crate) fn raw(header: &str, payload: &str, disclosures: &[String]) -> Result<SdJwt, ReadError> {
    let input = format!("{}.{}", b64(header), b64(payload));
    let signature = device().sign(input.as_bytes()).expect("signs");
    SdJwt::from_wire(&WireEntry {
        header: header.into(),
        payload: payload.into(),
        disclosures: disclosures.to_vec(),
        signature: b64(signature),
    })
}

fn header() -> Value {
    json!({"alg": "EdDSA", "kid": device().public().thumbprint(), "typ": DEVICE_TYP})
}

fn digest(disclosure: &str) -> String {
    b64(Sha256::digest(b64(disclosure)))
}

fn disclosure(number: usize, name: &str, value: &Value) -> String {
    json!([b64([u8::try_from(number).expect("small"); 16]), name, value]).to_string()
}

fn payload(body: Value) -> Value {
    json!({
        "v": 1, "mission": uuid("mission"), "subject": uuid("report"), "kind": "file",
        "journal": uuid("journal"), "seq": 1, "body": body,
    })
}

/// An entry whose body discloses these, signed with nobody checking.
fn disclosing(members: &[(&str, Value)]) -> SdJwt {
    let texts: Vec<String> = members
        .iter()
        .enumerate()
        .map(|(at, (name, value))| disclosure(at, name, value))
        .collect();
    let digests: Vec<String> = texts.iter().map(|text| digest(text)).collect();
    raw(
        &header().to_string(),
        &payload(json!({"_sd": digests})).to_string(),
        &texts,
    )
    .expect("fits")
}

#[test]
fn unknown_members_kinds_and_versions_survive() {
    let mut header = header();
    header["x5t#S256"] = json!("later");
    header["zip"] = Value::Null;
    let hidden = disclosure(1, "mood", &json!({"scale": [1, 2, {"deep": null}]}));
    let mut payload =
        payload(json!({"urgency": 7, "nested": {"list": [1.5, "x"]}, "_sd": [digest(&hidden)]}));
    payload["v"] = json!(7);
    payload["kind"] = json!("teleport");
    payload["lane"] = json!(["a", {"b": 1}]);
    let later = disclosure(2, "weather", &json!("rain"));
    payload["_sd"] = json!([digest(&later)]);
    payload["_sd_alg"] = json!("sha-256");
    let entry = raw(&header.to_string(), &payload.to_string(), &[hidden, later]).expect("fits");

    entry
        .verify(&device().public(), DEVICE_TYP)
        .expect("verifies");
    let read = entry.read().expect("reads");
    assert_eq!(read.payload.v, 7);
    assert_eq!(read.payload.kind, Kind::Unknown("teleport".into()));
    assert_eq!((read.at, read.withheld), (None, 0));
    assert_eq!(read.body["mood"], json!({"scale": [1, 2, {"deep": null}]}));
    assert_eq!(read.body["nested"]["list"], json!([1.5, "x"]));
    // stored and handed on byte for byte
    assert_eq!(
        SdJwt::parse(entry.compact()).expect("parses").to_wire(),
        entry.to_wire()
    );
    // and a release may withhold what this version has never heard of
    let redacted = entry.withhold(|name| name == "mood");
    redacted
        .verify(&device().public(), DEVICE_TYP)
        .expect("verifies");
    assert_eq!(redacted.read().expect("reads").withheld, 1);
}

/// An unknown member may be as deep as it likes: it is skipped, and no stack runs out.
#[test]
fn unknown_members_may_be_deep() {
    let deep = format!("{{\"deep\":{}{},", "[".repeat(20_000), "]".repeat(20_000));
    let text = payload(json!({})).to_string().replacen('{', &deep, 1);
    let entry = raw(&header().to_string(), &text, &[]).expect("fits");
    entry
        .verify(&device().public(), DEVICE_TYP)
        .expect("verifies");
    assert_eq!(entry.read().expect("reads").payload.seq, Some(1));
}

#[test]
fn texts_are_kept_as_signed_however_they_were_written() {
    let plain = payload(json!({"category": "other"})).to_string();
    let spellings = [
        plain.replace(',', " ,\r\n\t").replace(':', " : "),
        plain.replace("other", "\\u006f\\u0074her"),
        format!("  {plain}\n"),
        plain.replacen('{', "{\"zzz\":1,\"aaa\":2,", 1),
    ];
    for spelling in spellings {
        let entry = raw(&header().to_string().replace(',', " , "), &spelling, &[]).expect("fits");
        entry
            .verify(&device().public(), DEVICE_TYP)
            .expect("verifies");
        assert_eq!(entry.read().expect("reads").body["category"], "other");
        let again = SdJwt::parse(entry.compact()).expect("parses");
        assert_eq!(again.to_wire().payload, spelling);
        assert_eq!(again.hash(), entry.hash());
    }
}

#[test]
fn payloads_that_cannot_be_read_are_kept_all_the_same() {
    let good = payload(json!({}));
    let broken = |name: &str, value: Value| {
        let mut payload = good.clone();
        payload[name] = value;
        payload.to_string()
    };
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let cases = [
        String::new(),
        "null".into(),
        "[]".into(),
        "{}".into(),
        deep,
        format!(
            "[1,{},{},\"file\",null,null,null,null,null,null,{{}}]",
            json!(uuid("a")),
            json!(uuid("b"))
        ),
        broken("v", json!(-1)),
        broken("v", json!("1")),
        broken("v", json!(4_294_967_296_u64)),
        broken("seq", json!(-1)),
        broken("seq", json!(1.5)),
        broken("kind", json!(7)),
        broken("mission", json!("not-a-uuid")),
        broken("prev", json!("c2hvcnQ")),
        broken("body", json!("text")),
        broken("_sd", json!("text")),
        broken("_sd_alg", json!("sha-512")),
        good.to_string().replacen("\"seq\":1", "\"seq\":1e999", 1),
        good.to_string().replacen("\"seq\":1", "\"seq\":NaN", 1),
        good.to_string()
            .replacen("\"seq\":1", "\"seq\":1,\"seq\":2", 1),
        good.to_string()
            .replacen("\"kind\":\"file\"", "\"kind\":\"\\ud800\"", 1),
    ];
    for payload in cases {
        let entry = raw(&header().to_string(), &payload, &[]).expect("fits");
        entry
            .verify(&device().public(), DEVICE_TYP)
            .expect("the signature is good");
        assert!(
            matches!(entry.read(), Err(ReadError::Payload(_))),
            "{payload:.200}"
        );
        assert_eq!(
            SdJwt::parse(entry.compact())
                .expect("parses")
                .to_wire()
                .payload,
            payload
        );
    }
}

#[test]
fn disclosures_that_do_not_fit_are_errors() {
    let fails = |entry: &SdJwt| {
        entry
            .verify(&device().public(), DEVICE_TYP)
            .expect("the signature is good");
        assert!(
            matches!(entry.read(), Err(ReadError::Disclosure(_))),
            "{:?}",
            entry.to_wire()
        );
    };
    let text = json!("x");
    // reserved and doubled names, in the body
    fails(&disclosing(&[("_sd", json!([]))]));
    fails(&disclosing(&[("...", text.clone())]));
    fails(&disclosing(&[
        ("text", text.clone()),
        ("text", text.clone()),
    ]));
    fails(&disclosing(&[("text", text.clone()), ("text", json!("y"))]));
    let one = disclosure(1, "category", &text);
    let clash = payload(json!({"category": "clear", "_sd": [digest(&one)]})).to_string();
    fails(&raw(&header().to_string(), &clash, std::slice::from_ref(&one)).expect("fits"));
    // and at the top, where a claim could be replaced
    for name in ["kind", "seq", "body", "_sd", "...", "_sd_alg"] {
        let hidden = disclosure(1, name, &json!(2));
        let mut payload = payload(json!({}));
        payload["_sd"] = json!([digest(&hidden)]);
        payload["_sd_alg"] = json!("sha-256");
        fails(&raw(&header().to_string(), &payload.to_string(), &[hidden]).expect("fits"));
    }
    for clear_too in [true, false] {
        let (first, second) = (
            disclosure(1, "at", &json!({"wall": "a"})),
            disclosure(2, "at", &json!({"wall": "b"})),
        );
        let mut payload = payload(json!({}));
        payload["_sd"] = json!([digest(&first), digest(&second)]);
        let mut texts = vec![first, second];
        if clear_too {
            payload["at"] = Value::Null;
            texts.pop();
        }
        fails(&raw(&header().to_string(), &payload.to_string(), &texts).expect("fits"));
    }
    // doubled digests and disclosures, also across the two levels
    for (top, body, texts) in [
        (vec![], vec![&one, &one], vec![one.clone()]),
        (vec![&one, &one], vec![], vec![one.clone()]),
        (vec![&one], vec![&one], vec![one.clone()]),
        (vec![], vec![&one], vec![one.clone(), one.clone()]),
        (vec![], vec![], vec![one.clone()]),
    ] {
        let digests = |texts: Vec<&String>| {
            texts
                .into_iter()
                .map(|text| digest(text))
                .collect::<Vec<_>>()
        };
        let mut payload = payload(json!({"_sd": digests(body)}));
        payload["_sd"] = json!(digests(top));
        fails(&raw(&header().to_string(), &payload.to_string(), &texts).expect("fits"));
    }
    // not a list of salt, name and value
    for bad in [
        "",
        "{}",
        "[]",
        "[\"s\",\"n\"]",
        "[\"s\",\"n\",1,2]",
        "[1,\"n\",2]",
        "[\"s\",1,2]",
        "[\"s\",\"n\",1e999]",
        "[\"s\",\"n\",NaN]",
        "[\"s\",\"n\",\"\\ud800\"]",
    ] {
        let payload = payload(json!({"_sd": [digest(bad)]})).to_string();
        fails(&raw(&header().to_string(), &payload, &[bad.to_owned()]).expect("fits"));
    }
    for bad in [json!("x"), json!([1]), json!({}), Value::Null] {
        fails(
            &raw(
                &header().to_string(),
                &payload(json!({"_sd": bad})).to_string(),
                &[],
            )
            .expect("fits"),
        );
    }
}

#[test]
fn a_disclosure_that_did_not_come_is_counted() {
    let text = disclosure(1, "text", &json!("x"));
    let payload = payload(json!({"_sd": [digest(&text), digest("never sent")]})).to_string();
    let entry = raw(&header().to_string(), &payload, &[]).expect("fits");
    assert_eq!(entry.read().expect("reads").withheld, 2);
    let completed = raw(&header().to_string(), &payload, &[text]).expect("fits");
    assert_eq!(completed.read().expect("reads").withheld, 1);
    assert_eq!(completed.hash(), entry.hash());
}

fn draft(disclosed: Vec<(&'static str, Value)>) -> Draft {
    Draft {
        clear: Map::new(),
        disclosed,
        ..sample("file-eddsa").draft
    }
}

fn sign(draft: Draft) -> Result<SdJwt, String> {
    let mut number = 0;
    let mut salt = || {
        number += 1;
        [number; 16]
    };
    draft
        .sign(&device(), &mut salt)
        .map_err(|error| error.to_string())
}

#[test]
fn nothing_is_signed_that_could_not_be_read_back() {
    let text = || json!("x");
    assert!(sign(draft(vec![("text", text())])).is_ok());
    assert!(sign(draft(vec![("text", text()), ("text", text())])).is_err());
    assert!(sign(draft(vec![("_sd", text())])).is_err());
    assert!(sign(draft(vec![("...", text())])).is_err());
    for name in ["_sd", "...", "text"] {
        let mut clashing = draft(vec![("text", text())]);
        clashing.clear.insert(name.into(), text());
        assert!(sign(clashing).is_err(), "{name}");
    }
    let names: Vec<&'static str> = (0..limits::DISCLOSURES)
        .map(|n| &*Box::leak(format!("n{n}").into_boxed_str()))
        .collect();
    let with = |count: usize| draft(names[..count].iter().map(|name| (*name, text())).collect());
    // one more is taken by `at`
    assert_eq!(
        sign(with(limits::DISCLOSURES - 1))
            .expect("fits")
            .disclosure_count(),
        limits::DISCLOSURES
    );
    assert!(sign(with(limits::DISCLOSURES)).is_err());
}

#[test]
fn oversize_is_an_error_at_every_door() {
    let of_chars = |count: usize| sign(draft(vec![("text", json!("x".repeat(count)))]));
    // the longest text that is allowed fits by far, even where one character takes four bytes
    assert!(
        sign(draft(vec![(
            "text",
            json!("\u{1F5F3}".repeat(limits::TEXT_CHARS))
        )]))
        .is_ok()
    );
    let (mut low, mut high) = (0, limits::ENTRY_BYTES);
    while high - low > 1 {
        let middle = usize::midpoint(low, high);
        if of_chars(middle).is_ok() {
            low = middle
        } else {
            high = middle
        }
    }
    let fits = of_chars(low).expect("fits");
    assert!(fits.compact().len() <= limits::ENTRY_BYTES);
    assert!(fits.compact().len() > limits::ENTRY_BYTES - 4);
    assert!(SdJwt::parse(fits.compact()).is_ok());

    let mut wire = fits.to_wire();
    wire.disclosures.push("[\"\",\"\",1]".into());
    assert_eq!(SdJwt::from_wire(&wire), Err(ReadError::TooLarge));
    let longer = format!("{}{}~", fits.compact(), "A".repeat(8));
    assert_eq!(SdJwt::parse(&longer), Err(ReadError::TooLarge));

    let mut many = sample("file-eddsa").entry.to_wire();
    many.disclosures = (0..=limits::DISCLOSURES)
        .map(|n| format!("[\"\",\"{n}\",1]"))
        .collect();
    assert_eq!(SdJwt::from_wire(&many), Err(ReadError::TooLarge));
    many.disclosures.pop();
    assert!(SdJwt::from_wire(&many).is_ok());
    let many = format!(
        "{}{}",
        fits.compact().split('~').next().expect("a JWS"),
        "~e30".repeat(65)
    );
    assert_eq!(SdJwt::parse(&format!("{many}~")), Err(ReadError::TooLarge));
}

#[test]
fn places_at_the_ends_of_the_earth() {
    let places = [
        (0.0, 0.0, None),
        (-0.0, -0.0, Some(0.0)),
        (90.0, 180.0, Some(1e7)),
        (-90.0, -180.0, None),
        (40.409_264_123_456_7, 49.867_092_000_000_1, Some(3.9)),
        (f64::MIN_POSITIVE, 1e-300, None),
        (91.0, 0.0, None),
        (0.0, -180.000_1, None),
        (f64::MAX, f64::MIN, Some(-1.0)),
    ];
    for (at, (lat, lon, accuracy)) in places.into_iter().enumerate() {
        let place = Place { lat, lon, accuracy };
        assert_eq!(place.is_valid(), at < 6, "{place:?}");
        let (_, disclosed) = ReportFields {
            place: Patch::Set(place),
            ..ReportFields::default()
        }
        .to_body();
        let read = sign(draft(disclosed))
            .expect("signs")
            .read()
            .expect("reads");
        // kept as it came, also beyond the globe: the server flags it
        let fields = ReportFields::from_body(&read.body).expect("reads");
        assert_eq!(fields.place, Patch::Set(place));
    }
    for invalid in [f64::NAN, f64::INFINITY] {
        assert!(
            !Place {
                lat: invalid,
                lon: 0.0,
                accuracy: None
            }
            .is_valid()
        );
        assert!(
            !Place {
                lat: 0.0,
                lon: 0.0,
                accuracy: Some(invalid)
            }
            .is_valid()
        );
    }
    for wrong in [
        json!({}),
        json!({"lat": 1}),
        json!([1, 2]),
        json!("1,2"),
        json!({"lat": "1", "lon": 2}),
        json!({"lat": null, "lon": 2}),
    ] {
        let body = Map::from_iter([("place".to_owned(), wrong)]);
        assert_eq!(ReportFields::from_body(&body), Err("place"));
    }
}

#[test]
fn members_of_the_wrong_type_are_named() {
    for name in ["category", "severity", "text", "station", "observed_at"] {
        let body = Map::from_iter([(name.to_owned(), json!(7))]);
        assert_eq!(ReportFields::from_body(&body), Err(name));
    }
    let unknown = Map::from_iter([("severity".to_owned(), json!("Critical"))]);
    assert_eq!(ReportFields::from_body(&unknown), Err("severity"));
}

/// Readers of messages ignore what they do not know, so that a later server can add.
#[test]
fn messages_of_a_later_server_are_read() {
    let mut response = json!(crate::messages::response());
    response["later"] = json!({"a": [1]});
    response["directives"]["later"] = json!(1);
    response["outcomes"][0]["later"] = json!("x");
    response["outcomes"][0]["code"] = json!("a_code_of_next_year");
    response["items"][0]["entry"]["later"] = json!(1);
    let read: protocol::exchange::Response = serde_json::from_value(response).expect("reads");
    assert_eq!(read.outcomes[0].code, Some(protocol::codes::Code::Internal));
    assert_eq!(read.items, crate::messages::response().items);
}
