//! Fixed keys and one entry of every kind, for snapshots, vectors and the
//! examples of `docs/protocol.md`. The keys are published here: never use them.

use protocol::{
    entry::{
        At, Attach, CheckIn, Draft, FileRef, Kind, Link, Move, Patch, Place, ReportFields, SdJwt,
        Seen, Severity,
    },
    ids::{EntryHash, FileHash, JournalId, MissionId, SubjectId, UserId},
    jose::{Signer, SoftwareKey},
    reference::Snapshot,
};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// A key that the samples are signed with.
pub(crate) struct NamedKey {
    pub(crate) name: &'static str,
    pub(crate) secret: [u8; 32],
    pub(crate) key: SoftwareKey,
}

/// The device's two keys and the server's.
pub(crate) fn keys() -> Vec<NamedKey> {
    ["device-eddsa", "device-es256", "server"]
        .into_iter()
        .map(|name| {
            let secret: [u8; 32] = Sha256::digest(format!("scrutineer test key {name}")).into();
            let key = if name == "device-es256" {
                SoftwareKey::p256(&secret).expect("a scalar of P-256")
            } else {
                SoftwareKey::ed25519(&secret)
            };
            NamedKey { name, secret, key }
        })
        .collect()
}

pub(crate) fn key(name: &str) -> SoftwareKey {
    keys()
        .into_iter()
        .find(|key| key.name == name)
        .expect("a known key")
        .key
}

/// A UUID of version 4 that says what it is for.
pub(crate) fn uuid(name: &str) -> Uuid {
    let digest = Sha256::digest(format!("scrutineer test id {name}"));
    uuid::Builder::from_random_bytes(digest[..16].try_into().expect("16 bytes")).into_uuid()
}

pub(crate) fn mission() -> MissionId {
    MissionId(uuid("mission"))
}

/// An entry with all that went into it.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) key: &'static str,
    pub(crate) typ: &'static str,
    pub(crate) draft: Draft,
    pub(crate) salts: Vec<[u8; 16]>,
    pub(crate) entry: SdJwt,
}

/// Every kind: a device's journal under each algorithm, then the server's decisions.
pub(crate) fn samples() -> Vec<Sample> {
    let mut out = Vec::new();
    for key in ["device-eddsa", "device-es256"] {
        journal(key, &mut out);
    }
    decisions(&mut out);
    with_reference(&mut out);
    out
}

/// A report that names the snapshots which it was written against.
fn with_reference(out: &mut Vec<Sample>) {
    let fields = ReportFields {
        category: Some("ballot_stuffing".into()),
        station: Patch::Set("8-2".into()),
        ..ReportFields::default()
    };
    let (mut clear, disclosed) = fields.to_body();
    let names = json!({
        "categories": Snapshot::name(&crate::messages::categories().text()),
        "stations": Snapshot::name(&crate::messages::stations(false).text()),
    });
    clear.insert("reference".into(), names);
    let draft = Draft {
        mission: mission(),
        subject: SubjectId(uuid("report with reference")),
        kind: Kind::File,
        base: None,
        link: Link::Journal {
            journal: JournalId(uuid("journal with reference")),
            seq: 1,
            prev: None,
            seen: None,
        },
        at: At {
            wall: "2024-02-07T11:51:07.250+04:00".into(),
            uptime: None,
            boot: None,
        },
        clear,
        disclosed,
    };
    out.push(sign(
        "file-with-reference".into(),
        "device-eddsa",
        protocol::entry::DEVICE_TYP,
        draft,
    ));
}

pub(crate) fn sample(name: &str) -> Sample {
    samples()
        .into_iter()
        .find(|sample| sample.name == name)
        .expect("a known sample")
}

fn sign(name: String, key_name: &'static str, typ: &'static str, draft: Draft) -> Sample {
    let mut salts = Vec::new();
    let mut salt = || {
        let digest = Sha256::digest(format!("scrutineer test salt {name} {}", salts.len()));
        let salt: [u8; 16] = digest[..16].try_into().expect("16 bytes");
        salts.push(salt);
        salt
    };
    let entry = draft
        .clone()
        .sign(&key(key_name), &mut salt)
        .expect("within the limits");
    Sample {
        name,
        key: key_name,
        typ,
        draft,
        salts,
        entry,
    }
}

type Body = (Map<String, Value>, Vec<(&'static str, Value)>);

fn journal(key: &'static str, out: &mut Vec<Sample>) {
    let start = out.len();
    let alg = key.trim_start_matches("device-");
    let report = SubjectId(uuid(&format!("report {alg}")));
    let other = SubjectId(uuid(&format!("another report {alg}")));
    let visit = SubjectId(uuid(&format!("visit {alg}")));
    let full = ReportFields {
        category: Some("ballot_stuffing".into()),
        severity: Some(Severity::High),
        text: Patch::Set(
            "Seçki qutusuna bir dəstə bülleten atıldı. Видели трое наблюдателей.".into(),
        ),
        station: Patch::Set("23-014".into()),
        place: Patch::Set(Place {
            lat: 40.4093,
            lon: 49.8671,
            accuracy: Some(12.5),
        }),
        observed_at: Patch::Set("2024-02-07T11:42:00+04:00".into()),
    };
    // NUL, a character beyond the BMP, bidirectional marks, a combining accent,
    // line ends and what JSON must escape
    let odd = ReportFields {
        category: Some("other".into()),
        text: Patch::Set(
            "\u{0}\u{1f}\u{7f} \u{1F5F3}\u{FE0F} \u{202E}abc\u{202C} e\u{301} \"\\/\r\n\t\u{2028}"
                .into(),
        ),
        place: Patch::Set(Place {
            lat: -90.0,
            lon: 180.0,
            accuracy: None,
        }),
        ..ReportFields::default()
    };
    let amended = ReportFields {
        severity: Some(Severity::Critical),
        text: Patch::Set("Two bundles, not one.".into()),
        station: Patch::Clear,
        place: Patch::Clear,
        ..ReportFields::default()
    };
    let arrived = CheckIn {
        event: Move::Arrived,
        station: "23-014".into(),
        place: Some(Place {
            lat: 40.4093,
            lon: 49.8671,
            accuracy: None,
        }),
    };
    let left = CheckIn {
        event: Move::Left,
        station: "23-014".into(),
        place: None,
    };
    let file = |content: &str, size, media_type: &str| FileRef {
        sha256: FileHash(Sha256::digest(content).into()),
        size,
        media_type: media_type.into(),
    };
    let picture = Attach {
        file: file("a picture", 3_145_728, "image/jpeg"),
        preview: Some(file("its preview", 18_211, "image/jpeg")),
        taken_at: Some("2024-02-07T11:43:10+04:00".into()),
    };
    let video = Attach {
        file: file("a video", 524_288_000, "video/mp4"),
        preview: None,
        taken_at: None,
    };
    let question = EntryHash(Sha256::digest("a question").into());
    let mut answer = Map::new();
    answer.insert("question".into(), json!(question));
    let acts: Vec<(&str, Kind, SubjectId, Body)> = vec![
        ("file", Kind::File, report, full.to_body()),
        ("file-odd-text", Kind::File, other, odd.to_body()),
        ("amend", Kind::Amend, report, amended.to_body()),
        (
            "answer",
            Kind::Answer,
            report,
            (
                answer,
                vec![("text", json!("Three of them, all from the commission."))],
            ),
        ),
        (
            "withdraw",
            Kind::Withdraw,
            other,
            (Map::new(), vec![("reason", json!("Filed twice."))]),
        ),
        ("check-in-arrived", Kind::CheckIn, visit, arrived.to_body()),
        ("check-in-left", Kind::CheckIn, visit, left.to_body()),
        ("attach-picture", Kind::Attach, report, picture.to_body()),
        ("attach-video", Kind::Attach, report, video.to_body()),
    ];
    for (number, (what, kind, subject, (clear, disclosed))) in (1_u64..).zip(acts) {
        let mine = &out[start..];
        let base = kind.needs_base().then(|| {
            mine.iter()
                .rev()
                .find(|s| s.draft.subject == subject)
                .map(|s| s.entry.hash())
        });
        let draft = Draft {
            mission: mission(),
            subject,
            kind,
            base: base.flatten(),
            link: Link::Journal {
                journal: JournalId(uuid(&format!("journal {alg}"))),
                seq: number,
                prev: mine.last().map(|sample| sample.entry.hash()),
                seen: (number > 2).then(|| Seen {
                    epoch: uuid("epoch"),
                    number: 4711,
                    chain: EntryHash(Sha256::digest("a chain value").into()),
                }),
            },
            at: At {
                wall: format!("2024-02-07T11:5{number}:07.250+04:00"),
                uptime: (number != 2).then_some(81_000_000 + number),
                boot: (number != 2).then(|| uuid("boot")),
            },
            clear,
            disclosed,
        };
        let sample = sign(
            format!("{what}-{alg}"),
            key,
            protocol::entry::DEVICE_TYP,
            draft,
        );
        out.push(sample);
    }
}

/// Name, kind, subject, base, clear members, disclosed members.
type Act = (
    &'static str,
    Kind,
    SubjectId,
    Option<EntryHash>,
    Value,
    Value,
);

fn decisions(out: &mut Vec<Sample>) {
    let report = out[0].draft.subject;
    let filed = out[0].entry.hash();
    let device = uuid("device");
    let accreditation = uuid("accreditation");
    let call = SubjectId(uuid("a call"));
    let (requester, approver) = (uuid("requester"), uuid("approver"));
    let jwk = key("device-eddsa").public().to_jwk();
    let acts: Vec<Act> = vec![
        (
            "decide",
            Kind::Decide,
            report,
            Some(filed),
            json!({"from": "in_review", "to": "verified"}),
            json!({"reason": "Two others saw it too."}),
        ),
        (
            "decide-question",
            Kind::Decide,
            report,
            Some(filed),
            json!({"from": "in_review", "to": "needs_info"}),
            json!({"question": "How many people were there?"}),
        ),
        (
            "admit",
            Kind::Admit,
            report,
            None,
            json!({"entry": filed}),
            json!({"reason": "The phone was found."}),
        ),
        (
            "enrol",
            Kind::Enrol,
            SubjectId(device),
            None,
            json!({"device": device, "accreditation": accreditation, "key": jwk}),
            json!({}),
        ),
        (
            "revoke-device",
            Kind::RevokeDevice,
            SubjectId(device),
            None,
            json!({"device": device}),
            json!({"reason": "Lost."}),
        ),
        (
            "revoke-accreditation",
            Kind::RevokeAccreditation,
            SubjectId(accreditation),
            None,
            json!({"accreditation": accreditation}),
            json!({"reason": "Left the mission."}),
        ),
        (
            "erase",
            Kind::Erase,
            report,
            Some(filed),
            json!({"requested_by": requester, "approved_by": approver}),
            json!({"reason": "Names a witness."}),
        ),
        (
            "message",
            Kind::Message,
            SubjectId(uuid("message")),
            None,
            json!({"audience": {"constituencies": ["8"], "institutions": ["Civic Watch"]}, "urgent": true}),
            json!({"title": "Counting", "text": "Stay in the room until the protocol is signed."}),
        ),
        (
            "file-telephone-observer",
            Kind::File,
            call,
            None,
            json!({
                "category": "violence",
                "severity": "critical",
                "caller": {"kind": "observer", "accreditation": accreditation}
            }),
            json!({
                "text": "She calls: they are pushing observers out.",
                "station": "23-014",
                "observed_at": "2024-02-07T11:42:00+04:00"
            }),
        ),
        (
            "file-telephone-citizen",
            Kind::File,
            SubjectId(uuid("a citizen's call")),
            None,
            json!({"category": "other", "caller": {"kind": "citizen"}}),
            json!({
                "text": "Buses from another town stand before the school.",
                "contact": "A teacher; 050 000 00 00 after six."
            }),
        ),
        (
            "amend-telephone",
            Kind::Amend,
            call,
            Some(filed),
            json!({}),
            json!({"text": "They pushed two observers out.", "station": null}),
        ),
        (
            "merge",
            Kind::Merge,
            call,
            Some(filed),
            json!({"into": report}),
            json!({"reason": "Her own report came."}),
        ),
        (
            "unmerge",
            Kind::Unmerge,
            call,
            Some(filed),
            json!({"from": report}),
            json!({}),
        ),
    ];
    for (name, kind, subject, base, clear, disclosed) in acts {
        let Value::Object(clear) = clear else {
            unreachable!("written above as an object")
        };
        let members = [
            "reason",
            "question",
            "title",
            "text",
            "station",
            "observed_at",
            "contact",
        ];
        let disclosed = members
            .into_iter()
            .filter_map(|member| disclosed.get(member).map(|value| (member, value.clone())))
            .collect();
        // What is done to a call stands on its own last entry.
        let last = out.iter().rev().find(|one| one.draft.subject == call);
        let base = match last {
            Some(last) if subject == call => base.map(|_| last.entry.hash()),
            _ => base,
        };
        let draft = Draft {
            mission: mission(),
            subject,
            kind,
            base,
            link: Link::Actor(UserId(uuid("coordinator"))),
            at: At {
                wall: "2024-02-07T09:03:11.000000Z".into(),
                uptime: None,
                boot: None,
            },
            clear,
            disclosed,
        };
        out.push(sign(
            name.into(),
            "server",
            protocol::entry::DECISION_TYP,
            draft,
        ));
    }
}
