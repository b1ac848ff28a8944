//! What a bad network makes of bytes.

use std::io::Read as _;

use flate2::read::GzDecoder;
use protocol::{
    exchange::{Directives, Outcome, OutcomeKind, Request, Response},
    ids::{EntryHash, EpochId, MissionId},
    jose::SoftwareKey,
    receipt::{Head, Held, Receipt},
};
use serde_json::Value;
use sync_core::transport::{Answer, Call, Unreachable};

/// Nothing came back.
pub(super) fn silence(connected: bool) -> Unreachable {
    Unreachable {
        message: "the simulated network lost it".into(),
        connected,
    }
}

/// The first thousandths of some bytes.
pub(super) fn cut(bytes: &mut Vec<u8>, thousandths: u32) {
    let length = bytes.len() as u64 * u64::from(thousandths) / 1_000;
    bytes.truncate(usize::try_from(length).unwrap_or(0));
}

/// Some bytes with one bit changed.
pub(super) fn flip(bytes: &mut [u8], at: u32) {
    let bits = bytes.len() as u64 * 8;
    if bits > 0 {
        let bit = u64::from(at) % bits;
        let byte = usize::try_from(bit / 8).unwrap_or(0);
        bytes[byte] ^= 1 << (bit % 8);
    }
}

/// The page of somebody who wants a login first.
pub(super) fn portal() -> Answer {
    page(200, "<html>Welcome to the hotel. Please log in.</html>")
}

/// A page of something between phone and server.
pub(super) fn page(status: u16, html: &str) -> Answer {
    Answer {
        status,
        content_type: "text/html".into(),
        body: html.into(),
        ..Answer::default()
    }
}

/// The server's own refusal, made up.
pub(super) fn problem(status: u16) -> Answer {
    let code = match status {
        400 => "malformed_json",
        401 => "token_invalid",
        403 => "forbidden",
        404 => "not_found",
        413 => "body_too_large",
        422 => "invalid_value",
        429 => "too_many_attempts",
        503 => "overloaded",
        _ => "internal",
    };
    let body = serde_json::json!({
        "type": format!("urn:scrutineer:problem:{code}"),
        "title": "made up", "status": status, "code": code,
    });
    Answer {
        status,
        content_type: "application/problem+json".into(),
        retry_after: if matches!(status, 429 | 503) {
            "400".into()
        } else {
            String::new()
        },
        body: body.to_string().into_bytes(),
        ..Answer::default()
    }
}

/// What an exchange says.
fn request(call: &Call) -> Option<Request> {
    let packed = call
        .headers
        .iter()
        .any(|(name, value)| *name == "content-encoding" && value == "gzip");
    let mut text = Vec::new();
    if packed {
        let mut unpacked = GzDecoder::new(call.body.as_slice());
        unpacked.read_to_end(&mut text).ok()?;
    } else {
        text.clone_from(&call.body);
    }
    serde_json::from_slice(&text).ok()
}

/// Whether it hands back what the server signed.
pub(super) fn hands_back(call: &Call) -> bool {
    is_exchange(call) && request(call).is_some_and(|request| !request.returned.is_empty())
}

/// The entries that an exchange carries: each one's name, and its payload.
pub(super) fn entries(call: &Call) -> Vec<(EntryHash, Value)> {
    let Some(request) = request(call) else {
        return Vec::new();
    };
    let entries = request.entries.iter();
    entries
        .map(|wire| {
            let payload = serde_json::from_str(&wire.payload).unwrap_or_default();
            (wire.hash(), payload)
        })
        .collect()
}

/// What somebody answers who knows the form and has not the key.
pub(super) fn impostor(call: &Call, mission: MissionId, epoch: EpochId) -> Answer {
    let entries = entries(call);
    let number = |at: usize| at as u64 + 1;
    let receipt = Receipt {
        v: 1,
        mission,
        epoch,
        at: "2024-09-01T08:00:00Z".into(),
        head: Head {
            number: number(entries.len()),
            chain: EntryHash([7; 32]),
        },
        entries: entries
            .iter()
            .enumerate()
            .map(|(at, (hash, _))| Held {
                hash: *hash,
                number: number(at),
            })
            .collect(),
        news: None,
    };
    let outcomes = entries.iter().enumerate().map(|(at, (hash, _))| Outcome {
        hash: *hash,
        outcome: OutcomeKind::Stored,
        number: Some(number(at)),
        code: None,
        fork: false,
    });
    let response = Response {
        protocol: 1,
        epoch,
        server_time: receipt.at.clone(),
        outcomes: outcomes.collect(),
        receipt: receipt.sign(&SoftwareKey::ed25519(&[66; 32])).ok(),
        items: Vec::new(),
        reference: Vec::new(),
        cursor: None,
        more: false,
        directives: Directives::default(),
        token: None,
        receipt_wanted: false,
    };
    Answer {
        status: 200,
        content_type: "application/json".into(),
        body: serde_json::json!(response).to_string().into_bytes(),
        ..Answer::default()
    }
}

/// Whether a call is an exchange.
pub(super) fn is_exchange(call: &Call) -> bool {
    call.url.ends_with("/v1/exchange")
}

/// Whether a call is about a file.
pub(super) fn is_file(call: &Call) -> bool {
    call.url.contains("/v1/evidence/")
}
