//! One of every message, for snapshots and for the examples of `docs/protocol.md`.

use protocol::{
    assertion::{Assertion, audience},
    codes::Code,
    encoding::b64,
    enrolment::{self, Invitation, Proof},
    entry::{At, Seen},
    exchange::{Directives, Former, Item, JournalHead, Outcome, OutcomeKind, Request, Response},
    ids::{DeviceId, EntryHash, EpochId, JournalId},
    jose::Signer as _,
    ledger,
    receipt::{Head, Held, Receipt},
    reference::{Category, Holding, Offer, Register, Snapshot, Station},
};
use serde::Serialize;
use serde_json::json;

use crate::samples::{key, mission, sample, uuid};

pub(crate) const CODE: &str = "K5ZX3QWM7TJ2RD6HBNE4YAVPOU";

pub(crate) fn request() -> Request {
    Request {
        protocol: protocol::PROTOCOL_VERSION,
        app: "observer/0.1.0".into(),
        journals: vec![JournalHead {
            journal: JournalId(uuid("journal eddsa")),
            head: 7,
            pending: 5,
        }],
        clock: Some(At {
            wall: "2024-02-07T12:10:00+04:00".into(),
            uptime: Some(82_000_000),
            boot: Some(uuid("boot")),
        }),
        entries: ["file-eddsa", "amend-eddsa"]
            .map(|name| sample(name).entry.to_wire())
            .to_vec(),
        cursor: Some("MTI".into()),
        seen: Some(Seen {
            epoch: uuid("epoch"),
            number: receipt().head.number,
            chain: receipt().head.chain,
        }),
        receipt: None,
        returned: vec![],
        former: vec![],
        reference: vec![
            Holding {
                register: "categories".into(),
                sha256: None,
            },
            Holding {
                register: "stations".into(),
                sha256: Some(Snapshot::name(&stations(false).text())),
            },
        ],
    }
}

/// What a phone sends once the server's history has another name.
pub(crate) fn recovery_request() -> Request {
    let (entry, decision) = (sample("file-eddsa").entry, sample("decide-question").entry);
    let former = |hash, number| Former {
        hash,
        epoch: EpochId(uuid("epoch")),
        number,
    };
    Request {
        entries: vec![entry.to_wire()],
        cursor: None,
        seen: None,
        receipt: Some(receipt().sign(&key("server")).expect("signs")),
        returned: vec![decision.withhold(|name| name != "reason").to_wire()],
        former: vec![former(entry.hash(), 1), former(decision.hash(), 12)],
        reference: vec![],
        ..request()
    }
}

pub(crate) fn outcomes() -> Vec<Outcome> {
    let outcome = |name: &str, outcome, number, code| Outcome {
        hash: sample(name).entry.hash(),
        outcome,
        number,
        code,
        fork: false,
    };
    vec![
        outcome("file-eddsa", OutcomeKind::Stored, Some(13), None),
        outcome(
            "file-odd-text-eddsa",
            OutcomeKind::AlreadyStored,
            Some(9),
            None,
        ),
        outcome("amend-eddsa", OutcomeKind::Held, Some(14), None),
        outcome(
            "answer-eddsa",
            OutcomeKind::Quarantined,
            Some(15),
            Some(Code::RevokedDevice),
        ),
        outcome(
            "withdraw-eddsa",
            OutcomeKind::Refused,
            None,
            Some(Code::BadSignature),
        ),
        Outcome {
            fork: true,
            ..outcome("check-in-left-eddsa", OutcomeKind::Stored, Some(16), None)
        },
    ]
}

pub(crate) fn receipt() -> Receipt {
    let (first, second) = (
        sample("file-eddsa").entry.hash(),
        sample("amend-eddsa").entry.hash(),
    );
    let one = ledger::extend(&ledger::genesis(mission()), 1, &first);
    let two = ledger::extend(&one, 2, &second);
    Receipt {
        v: 1,
        mission: mission(),
        epoch: EpochId(uuid("epoch")),
        at: "2024-02-07T08:10:01.204518Z".into(),
        head: Head {
            number: 2,
            chain: EntryHash(two),
        },
        entries: vec![
            Held {
                hash: first,
                number: 1,
            },
            Held {
                hash: second,
                number: 2,
            },
        ],
        news: None,
    }
}

/// The answer to [`request`].
pub(crate) fn response() -> Response {
    let mut receipt = receipt();
    let outcome = |at: usize| Outcome {
        hash: receipt.entries[at].hash,
        outcome: OutcomeKind::Stored,
        number: Some(receipt.entries[at].number),
        code: None,
        fork: false,
    };
    let mut response = Response {
        protocol: protocol::PROTOCOL_VERSION,
        epoch: EpochId(uuid("epoch")),
        server_time: "2024-02-07T08:10:01.204518Z".into(),
        outcomes: vec![outcome(0), outcome(1)],
        receipt: None,
        items: vec![Item {
            number: 12,
            entry: sample("decide-question")
                .entry
                .withhold(|name| name != "reason")
                .to_wire(),
        }],
        cursor: Some("MTM".into()),
        more: true,
        directives: Directives {
            retry_after: Some(30),
            spread: Some(60),
        },
        token: Some(Code::TokenExpired),
        receipt_wanted: true,
        reference: vec![
            Offer {
                register: Register::Categories,
                version: 1,
                sha256: Snapshot::name(&categories().text()),
                bytes: categories().text().len() as u64,
                delta: Some(categories().since(&Snapshot::empty(Register::Categories), None)),
                from: None,
            },
            offer(&stations(false), &stations(true)),
        ],
    };
    receipt.news = Some(response.news());
    response.receipt = Some(receipt.sign(&key("server")).expect("signs"));
    response
}

pub(crate) fn empty_response() -> Response {
    Response {
        outcomes: vec![],
        receipt: None,
        items: vec![],
        cursor: None,
        more: false,
        directives: Directives::default(),
        token: None,
        receipt_wanted: false,
        reference: vec![],
        ..response()
    }
}

pub(crate) fn invitation() -> Invitation {
    Invitation {
        origin: "https://observers.example".into(),
        code: CODE.into(),
        mission: mission(),
        key: key("server").public().thumbprint(),
    }
}

pub(crate) fn proof() -> Proof {
    Proof {
        code: CODE.into(),
        aud: key("server").public().thumbprint(),
    }
}

pub(crate) fn enrolment_request() -> enrolment::Request {
    let device = key("device-eddsa");
    enrolment::Request {
        code: CODE.into(),
        key: device.public().to_jwk(),
        proof: proof().sign(&device).expect("signs"),
    }
}

pub(crate) fn enrolment_response() -> enrolment::Response {
    enrolment::Response {
        device: DeviceId(uuid("device")),
        mission: enrolment::Mission {
            id: mission(),
            name: "Civic Watch".into(),
            election: "Presidential election, 7 February 2024".into(),
            timezone: "Asia/Baku".into(),
        },
        accreditation: "D-0042".into(),
        receipt_key: key("server").public().to_jwk(),
        sealing_key: "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p".into(),
        epoch: EpochId(uuid("epoch")),
        server_time: "2024-02-06T05:00:00.000000Z".into(),
        entry: Some(sample("enrol").entry.to_wire()),
        number: Some(11),
    }
}

pub(crate) fn assertion() -> Assertion {
    let thumbprint = key("device-eddsa").public().thumbprint();
    Assertion {
        iss: thumbprint.clone(),
        sub: thumbprint,
        aud: audience(&key("server").public().thumbprint()),
        iat: 1_707_293_401,
        exp: 1_707_293_701,
        jti: b64([7_u8; 16]),
    }
}

fn snapshot<T: Serialize>(register: Register, lines: &[(&str, T)]) -> Snapshot {
    let line = |(code, line): &(&str, T)| {
        let text = serde_json::to_string(line).expect("JSON");
        ((*code).to_owned(), text)
    };
    Snapshot::of(register, lines.iter().map(line).collect())
}

/// Two versions of a register: in the second, one station has another name.
pub(crate) fn stations(later: bool) -> Snapshot {
    let station = |code: &str, name: &str, lat, lon| Station {
        code: code.into(),
        constituency: Some("8".into()),
        constituency_name: Some("Binəqədi".into()),
        lat,
        lon,
        name: name.into(),
        registered_voters: Some(812),
        ..Station::default()
    };
    let name = if later { "Məktəb 12" } else { "Məktəb 11" };
    snapshot(
        Register::Stations,
        &[
            ("8-1", station("8-1", "Məktəb 7", Some(40.46), Some(49.82))),
            ("8-2", station("8-2", name, None, None)),
        ],
    )
}

pub(crate) fn categories() -> Snapshot {
    let category = Category {
        code: "ballot_stuffing".into(),
        definition: "Several ballots put into a box at once.".into(),
        labels: [
            ("az", "Bülletenlərin topa halında atılması"),
            ("en", "Ballot stuffing"),
        ]
        .map(|(language, label)| (language.to_owned(), label.to_owned()))
        .into(),
        severity: Some("critical".into()),
        stage: "voting".into(),
    };
    snapshot(Register::Categories, &[("ballot_stuffing", category)])
}

fn offer(from: &Snapshot, to: &Snapshot) -> Offer {
    let name = Snapshot::name(&from.text());
    Offer {
        register: to.register(),
        version: 2,
        sha256: Snapshot::name(&to.text()),
        bytes: to.text().len() as u64,
        delta: Some(to.since(from, Some(name))),
        from: None,
    }
}

/// The difference alone, as it is fetched with `?from=`.
pub(crate) fn difference() -> serde_json::Value {
    json!(offer(&stations(false), &stations(true)).delta)
}

/// A courier asks where a bundle stands.
pub(crate) fn bundle_request() -> protocol::bundle::Request {
    protocol::bundle::Request {
        bundle: protocol::ids::FileHash([0x42; 32]),
        size: 1_048_576,
    }
}

/// Half of it has come.
pub(crate) fn bundle_state() -> protocol::bundle::State {
    protocol::bundle::State {
        bundle: protocol::ids::FileHash([0x42; 32]),
        offset: 524_288,
        state: protocol::bundle::Standing::Receiving,
        code: None,
    }
}
