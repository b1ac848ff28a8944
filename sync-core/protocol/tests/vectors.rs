//! The test vectors of `tests/vectors/`: made here from fixed keys and salts, compared at every
//! run, rewritten with UPDATE_VECTORS=1. `foreign` has independent libraries verify them.

use std::{fs, path::PathBuf};

use protocol::{
    encoding::b64,
    entry::{DEVICE_TYP, Draft, Link, SdJwt, WireEntry},
    ids::EntryHash,
    jose::Signer as _,
    ledger,
};
use serde_json::{Value, json};

use crate::{
    messages,
    samples::{Sample, key, keys, mission, sample, samples},
};

fn compare(file: &str, value: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/vectors")
        .join(file);
    let text = serde_json::to_string_pretty(value).expect("writes") + "\n";
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        fs::write(&path, &text).expect("writes the vectors");
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == text,
        "{} is not what this code makes. If the change is meant, and safe for the phones in the \
         field, run with UPDATE_VECTORS=1",
        path.display()
    );
}

fn draft(draft: &Draft) -> Value {
    let link = match &draft.link {
        Link::Journal {
            journal,
            seq,
            prev,
            seen,
        } => {
            json!({"journal": journal, "seq": seq, "prev": prev, "seen": seen})
        }
        Link::Actor(actor) => json!({"actor": actor}),
    };
    json!({
        "mission": draft.mission,
        "subject": draft.subject,
        "kind": draft.kind,
        "base": draft.base,
        "link": link,
        "at": draft.at,
        "clear": draft.clear,
        "disclosed": draft.disclosed,
    })
}

fn entry(sample: &Sample) -> Value {
    let read = sample.entry.read().expect("reads");
    let redacted = sample.entry.withhold(|name| name == "station");
    json!({
        "name": sample.name,
        "key": sample.key,
        "typ": sample.typ,
        "draft": draft(&sample.draft),
        "salts": sample.salts.iter().map(b64).collect::<Vec<_>>(),
        "wire": sample.entry.to_wire(),
        "compact": sample.entry.compact(),
        "hash": sample.entry.hash(),
        "body": read.body,
        "at": read.at,
        "redacted": {
            "compact": redacted.compact(),
            "withheld": redacted.read().expect("reads").withheld,
        },
    })
}

#[test]
fn keys_json() {
    let keys: Vec<Value> = keys()
        .iter()
        .map(|key| {
            let public = key.key.public();
            json!({
                "name": key.name,
                "alg": public.alg(),
                "secret": b64(key.secret),
                "jwk": public.to_jwk(),
                "thumbprint": public.thumbprint(),
            })
        })
        .collect();
    compare("keys.json", &json!(keys));
}

#[test]
fn entries_json() {
    compare(
        "entries.json",
        &json!(samples().iter().map(entry).collect::<Vec<_>>()),
    );
}

#[test]
fn ledger_json() {
    let mut chain = ledger::genesis(mission());
    let genesis = EntryHash(chain);
    let mut rows = Vec::new();
    for (number, sample) in (1..).zip(samples()) {
        chain = ledger::extend(&chain, number, &sample.entry.hash());
        rows.push(
            json!({"number": number, "entry": sample.entry.hash(), "chain": EntryHash(chain)}),
        );
    }
    compare(
        "ledger.json",
        &json!({"mission": mission(), "genesis": genesis, "rows": rows}),
    );
}

#[test]
fn signed_json() {
    let (device, server) = (key("device-eddsa"), key("server"));
    let (receipt, assertion, proof) = (
        messages::receipt(),
        messages::assertion(),
        messages::proof(),
    );
    let es256 = key("device-es256");
    compare(
        "signed.json",
        &json!([
            {"name": "receipt", "key": "server", "typ": protocol::receipt::TYP,
             "claims": receipt, "compact": receipt.sign(&server).expect("signs")},
            {"name": "assertion", "key": "device-eddsa", "typ": protocol::assertion::TYP,
             "claims": assertion, "compact": assertion.sign(&device).expect("signs")},
            {"name": "enrolment-proof", "key": "device-eddsa", "typ": protocol::enrolment::TYP,
             "claims": proof, "compact": proof.sign(&device).expect("signs")},
            {"name": "enrolment-proof-es256", "key": "device-es256", "typ": protocol::enrolment::TYP,
             "claims": proof, "compact": proof.sign(&es256).expect("signs")},
        ]),
    );
}

#[test]
fn messages_json() {
    let invitation = messages::invitation();
    compare(
        "messages.json",
        &json!({
            "link": {
                "url": invitation.to_url(),
                "origin": invitation.origin,
                "code": invitation.code,
                "mission": invitation.mission,
                "key": invitation.key,
            },
            "enrolment_request": messages::enrolment_request(),
            "enrolment_response": messages::enrolment_response(),
            "exchange_request": messages::request(),
            "exchange_response": messages::response(),
            "outcomes": messages::outcomes(),
        }),
    );
}

/// Entries that nobody may accept, with the step at which we notice.
#[test]
fn refused_json() {
    let good = sample("file-eddsa");
    let device = key("device-eddsa");
    let wire = good.entry.to_wire();
    let kid = device.public().thumbprint();
    let signed = |header: &Value, payload: &str, disclosures: &[String]| {
        let header = header.to_string();
        let input = format!("{}.{}", b64(&header), b64(payload));
        let signature = b64(device.sign(input.as_bytes()).expect("signs"));
        let disclosures = disclosures.to_vec();
        let wire = WireEntry {
            header,
            payload: payload.into(),
            disclosures,
            signature,
        };
        SdJwt::from_wire(&wire)
            .expect("an entry")
            .compact()
            .to_owned()
    };
    let header = |alg: &str, typ: &str| json!({"alg": alg, "kid": kid, "typ": typ});
    let ours = header("EdDSA", DEVICE_TYP);
    let mut critical = ours.clone();
    critical["crit"] = json!(["exp"]);
    let changed = |change: &dyn Fn(&mut WireEntry)| {
        let mut wire = wire.clone();
        change(&mut wire);
        SdJwt::from_wire(&wire)
            .expect("an entry")
            .compact()
            .to_owned()
    };
    let hidden = json!([b64([1; 16]), "kind", "withdraw"]).to_string();
    let mut replaced: Value = serde_json::from_str(&wire.payload).expect("JSON");
    replaced["_sd"] = json!([sha256(&hidden)]);
    let compact = good.entry.compact();
    let cases = [
        ("no end", "parse", compact.trim_end_matches('~').to_owned()),
        ("padded header", "parse", compact.replacen('.', "=.", 1)),
        (
            "no signature",
            "parse",
            compact.replacen(&wire.signature, "", 1),
        ),
        (
            "alg none",
            "verify",
            signed(
                &header("none", DEVICE_TYP),
                &wire.payload,
                &wire.disclosures,
            ),
        ),
        (
            "alg HS256",
            "verify",
            signed(
                &header("HS256", DEVICE_TYP),
                &wire.payload,
                &wire.disclosures,
            ),
        ),
        (
            "alg of another key",
            "verify",
            signed(
                &header("ES256", DEVICE_TYP),
                &wire.payload,
                &wire.disclosures,
            ),
        ),
        (
            "typ of a receipt",
            "verify",
            signed(
                &header("EdDSA", protocol::receipt::TYP),
                &wire.payload,
                &wire.disclosures,
            ),
        ),
        (
            "crit",
            "verify",
            signed(&critical, &wire.payload, &wire.disclosures),
        ),
        (
            "signature of another entry",
            "verify",
            changed(&|wire| {
                wire.signature = sample("amend-eddsa").entry.to_wire().signature;
            }),
        ),
        (
            "a word of the payload changed",
            "verify",
            changed(&|wire| {
                wire.payload = wire.payload.replace("ballot_stuffing", "ballot_snuffing");
            }),
        ),
        (
            "a word of a disclosure changed",
            "read",
            changed(&|wire| {
                wire.disclosures[2] = wire.disclosures[2].replace("23-014", "23-015");
            }),
        ),
        (
            "a disclosure twice",
            "read",
            changed(&|wire| {
                wire.disclosures.push(wire.disclosures[1].clone());
            }),
        ),
        (
            "a disclosure of another entry",
            "read",
            changed(&|wire| {
                wire.disclosures
                    .push(sample("amend-eddsa").entry.to_wire().disclosures[1].clone());
            }),
        ),
        (
            "a disclosure that replaces a claim",
            "read",
            signed(&ours, &replaced.to_string(), &[hidden]),
        ),
    ];
    let public = device.public();
    let cases: Vec<Value> = cases
        .into_iter()
        .map(|(name, step, compact)| {
            let noticed = match SdJwt::parse(&compact) {
                Err(_) => "parse",
                Ok(entry) if entry.verify(&public, DEVICE_TYP).is_err() => "verify",
                Ok(entry) if entry.read().is_err() => "read",
                Ok(_) => "never",
            };
            assert_eq!(noticed, step, "{name}");
            json!({"name": name, "key": "device-eddsa", "typ": DEVICE_TYP, "fails": step, "compact": compact})
        })
        .collect();
    compare("refused.json", &json!(cases));
}

fn sha256(disclosure: &str) -> String {
    use sha2::Digest as _;
    b64(sha2::Sha256::digest(b64(disclosure)))
}

/// The vectors are read as a stranger would read them: from the compact form alone.
#[test]
fn vectors_are_accepted_here() {
    for sample in samples() {
        let parsed = SdJwt::parse(sample.entry.compact()).expect("parses");
        parsed
            .verify(&key(sample.key).public(), sample.typ)
            .expect("verifies");
        assert_eq!(parsed.hash(), sample.entry.hash());
        let kid = parsed.header().expect("a header").kid;
        assert_eq!(kid, key(sample.key).public().thumbprint());
    }
}
