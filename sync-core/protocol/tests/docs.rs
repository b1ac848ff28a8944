//! The documents say what the code does. UPDATE_DOCS=1 rewrites the made parts.

use std::{fmt::Write as _, fs, path::PathBuf};

use protocol::{
    codes::{Code, Place},
    enrolment,
    entry::WireEntry,
    exchange, limits,
    problem::Problem,
};
use serde_json::{Value, json};

use crate::{messages, samples::sample};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name)
}

fn compare(name: &str, text: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path(name), text).expect("writes the document");
    }
    let stored = fs::read_to_string(path(name)).unwrap_or_default();
    assert!(
        stored == text,
        "docs/{name} is out of date: run with UPDATE_DOCS=1"
    );
}

#[test]
fn codes_md() {
    let mut text = String::from(
        "# Codes\n\n\
         Made from `sync-core/protocol/src/codes.rs` by a test; run it with `UPDATE_DOCS=1` after a \
         change of the table.\n\n\
         A code is stable: it is never renamed, never given another meaning and never used again. \
         Program against the code; the words are for people and may improve. A client that meets a \
         code it does not know goes by the place where it stands: the HTTP status of a problem, the \
         outcome of an entry.\n",
    );
    for (place, title, words) in [
        (
            Place::Problem,
            "Problems",
            "Answers of type `application/problem+json` (RFC 9457) over HTTP, where `code` holds the \
             code; and the errors of the commands `scrutineer` and `observer`, which print \
             code and message as one JSON value with `--json`. Codes that only a command gives have the status they would have.",
        ),
        (
            Place::Quarantine,
            "Reasons of a quarantined entry",
            "The entry is durable and counts as delivered; a coordinator sees it and decides whether \
             it counts. They stand in an outcome, under HTTP status 200.",
        ),
        (
            Place::Refusal,
            "Reasons of a refused entry",
            "The entry is not stored, because nothing shows that an enrolled device made it. The \
             phone keeps it. They stand in an outcome, under HTTP status 200.",
        ),
    ] {
        write!(text, "\n## {title}\n\n{words}\n\n").expect("writes");
        let codes = Code::ALL.iter().filter(|code| code.place() == place);
        if place == Place::Problem {
            text.push_str("| code | HTTP status | meaning |\n|---|---|---|\n");
            for code in codes {
                writeln!(text, "| `{code}` | {} | {} |", code.status(), code.title())
                    .expect("writes");
            }
        } else {
            text.push_str("| code | meaning |\n|---|---|\n");
            for code in codes {
                writeln!(text, "| `{code}` | {} |", code.title()).expect("writes");
            }
        }
    }
    compare("codes.md", &text);
}

#[test]
fn codes_are_unique_and_well_formed() {
    for (at, code) in Code::ALL.iter().enumerate() {
        let name = code.name();
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "{name}"
        );
        assert_eq!(Code::from_name(name), Some(*code));
        assert!(
            Code::ALL[..at].iter().all(|other| other.name() != name),
            "{name} stands twice"
        );
        assert!(
            !code.title().contains('|') && code.title().ends_with('.'),
            "{name}"
        );
        match code.place() {
            Place::Problem => assert!((400..600).contains(&code.status()), "{name}"),
            Place::Quarantine | Place::Refusal => assert_eq!(code.status(), 200, "{name}"),
        }
    }
}

/// Every example of the document, made by the code that it describes.
fn examples() -> Vec<(&'static str, Value)> {
    let entry = sample("file-eddsa").entry;
    let wire = entry.to_wire();
    let parse = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let decision = sample("decide-question").entry.to_wire();
    let stale = Problem::new(Code::StaleDecision, "The report was amended at 11:52.");
    vec![
        ("entry-header", parse(&wire.header)),
        ("entry-payload", parse(&wire.payload)),
        (
            "entry-disclosures",
            wire.disclosures.iter().map(|text| parse(text)).collect(),
        ),
        ("entry-wire", json!(wire)),
        ("decision-payload", parse(&decision.payload)),
        ("exchange-request", json!(messages::request())),
        ("exchange-response", json!(messages::response())),
        ("outcomes", json!(messages::outcomes())),
        ("recovery-request", json!(messages::recovery_request())),
        ("receipt", json!(messages::receipt())),
        ("enrolment-proof", json!(messages::proof())),
        ("enrolment-request", json!(messages::enrolment_request())),
        ("enrolment-response", json!(messages::enrolment_response())),
        ("assertion", json!(messages::assertion())),
        ("reference-delta", messages::difference()),
        ("problem", json!(stale)),
        ("bundle-request", json!(messages::bundle_request())),
        ("bundle-state", json!(messages::bundle_state())),
    ]
}

/// In `docs/protocol.md`, `<!-- example: NAME -->` stands before each block of JSON.
#[test]
fn protocol_md_examples() {
    let document = fs::read_to_string(path("protocol.md")).expect("docs/protocol.md");
    let mut out = String::new();
    let mut rest = document.as_str();
    let mut shown = Vec::new();
    while let Some((before, after)) = rest.split_once("<!-- example: ") {
        let (name, after) = after
            .split_once(" -->\n```json\n")
            .expect("a block of JSON follows");
        let (_, after) = after.split_once("\n```\n").expect("the block ends");
        let examples = examples();
        let (_, value) = examples
            .iter()
            .find(|(known, _)| *known == name)
            .expect(name);
        let text = serde_json::to_string_pretty(value).expect("writes");
        write!(
            out,
            "{before}<!-- example: {name} -->\n```json\n{text}\n```\n"
        )
        .expect("writes");
        shown.push(name);
        rest = after;
    }
    out.push_str(rest);
    assert!(!rest.contains("```json"), "a JSON block without a name");
    let known: Vec<&str> = examples().into_iter().map(|(name, _)| name).collect();
    assert_eq!(shown, known, "each example is shown once, in this order");
    compare("protocol.md", &out);
}

/// A client that reads the document's examples gets the very values.
#[test]
fn protocol_md_examples_are_read() {
    let get = |name: &str| {
        let document = fs::read_to_string(path("protocol.md")).expect("docs/protocol.md");
        let (_, block) = document
            .split_once(&format!("<!-- example: {name} -->\n```json\n"))
            .expect(name);
        block
            .split_once("\n```")
            .expect("the block ends")
            .0
            .to_owned()
    };
    let entry: WireEntry = serde_json::from_str(&get("entry-wire")).expect("reads");
    assert_eq!(entry, sample("file-eddsa").entry.to_wire());
    let request: exchange::Request = serde_json::from_str(&get("exchange-request")).expect("reads");
    assert_eq!(request, messages::request());
    let response: exchange::Response =
        serde_json::from_str(&get("exchange-response")).expect("reads");
    assert_eq!(response, messages::response());
    let enrol: enrolment::Request = serde_json::from_str(&get("enrolment-request")).expect("reads");
    assert_eq!(enrol, messages::enrolment_request());
}

/// The table of limits in the document is the table in the code.
#[test]
fn protocol_md_limits() {
    let document = fs::read_to_string(path("protocol.md")).expect("docs/protocol.md");
    for (name, value) in [
        ("ENTRY_BYTES", limits::ENTRY_BYTES),
        ("TEXT_CHARS", limits::TEXT_CHARS),
        ("CODE_BYTES", limits::CODE_BYTES),
        ("DISCLOSURES", limits::DISCLOSURES),
        ("EXCHANGE_ENTRIES", limits::EXCHANGE_ENTRIES),
        ("EXCHANGE_BYTES", limits::EXCHANGE_BYTES),
        ("EXCHANGE_JOURNALS", limits::EXCHANGE_JOURNALS),
        ("EXCHANGE_ITEMS", limits::EXCHANGE_ITEMS),
        ("REQUEST_BYTES", limits::REQUEST_BYTES),
        ("TOKEN_BYTES", limits::TOKEN_BYTES),
        ("TITLE_CHARS", limits::TITLE_CHARS),
        ("AUDIENCE_CODES", limits::AUDIENCE_CODES),
        ("REFERENCE_BYTES", limits::REFERENCE_BYTES),
        ("REFERENCE_INLINE_BYTES", limits::REFERENCE_INLINE_BYTES),
        ("REFERENCE_REGISTERS", limits::REFERENCE_REGISTERS),
        (
            "ASSERTION_SECONDS",
            usize::try_from(limits::ASSERTION_SECONDS).expect("positive"),
        ),
    ] {
        let digits = value.to_string();
        let grouped = digits
            .as_bytes()
            .rchunks(3)
            .rev()
            .map(|group| std::str::from_utf8(group).expect("digits"));
        let grouped = grouped.collect::<Vec<_>>().join(",");
        let row = format!("| `{name}` | {grouped} |");
        assert!(
            document.contains(&row),
            "docs/protocol.md lacks the row {row}"
        );
    }
}
