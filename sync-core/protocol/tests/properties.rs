//! Property tests over entries with any content.

use proptest::{collection::vec, option, prelude::*, sample::subsequence};
use protocol::{
    entry::{
        At, DECISION_TYP, DEVICE_TYP, Draft, Kind, Link, Patch, Place, ReportFields, SdJwt, Seen,
        Severity, WireEntry,
    },
    ids::{EntryHash, JournalId, MissionId, SubjectId, UserId},
    jose::{Signer as _, SoftwareKey},
};
use serde_json::{Map, Value};

use crate::tamper::{accept, accept_wire};

/// Texts as people and broken keyboards write them: any scalar value, and the awkward ones often.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let awkward = prop_oneof![
        Just('\0'),
        Just('"'),
        Just('\\'),
        Just('\u{7f}'),
        Just('\u{85}'),
        Just('\u{301}'),
        Just('\u{200d}'),
        Just('\u{202e}'),
        Just('\u{2028}'),
        Just('\u{feff}'),
        Just('\u{fffd}'),
        Just('\u{ffff}'),
        Just('\u{1f5f3}'),
        Just('\u{10ffff}'),
        Just('ə'),
        Just('İ'),
    ];
    prop_oneof![
        any::<String>(),
        vec(prop_oneof![awkward, any::<char>()], 0..40).prop_map(String::from_iter)
    ]
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn hash() -> impl Strategy<Value = EntryHash> {
    any::<[u8; 32]>().prop_map(EntryHash)
}

fn uuid() -> impl Strategy<Value = uuid::Uuid> {
    any::<[u8; 16]>().prop_map(|bytes| uuid::Builder::from_random_bytes(bytes).into_uuid())
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        prop::sample::select(vec![
            "file", "amend", "withdraw", "answer", "check_in", "attach", "decide", "erase"
        ])
        .prop_map(|name| Kind::from(name.to_owned())),
        text().prop_map(Kind::from),
    ]
}

fn link() -> impl Strategy<Value = Link> {
    let seen = (uuid(), any::<u64>(), hash()).prop_map(|(epoch, number, chain)| Seen {
        epoch,
        number,
        chain,
    });
    prop_oneof![
        3 => (uuid(), any::<u64>(), option::of(hash()), option::of(seen)).prop_map(|(journal, seq, prev, seen)| {
            Link::Journal { journal: JournalId(journal), seq, prev, seen }
        }),
        1 => uuid().prop_map(|user| Link::Actor(UserId(user))),
    ]
}

fn at() -> impl Strategy<Value = At> {
    (text(), option::of(any::<u64>()), option::of(uuid())).prop_map(|(wall, uptime, boot)| At {
        wall,
        uptime,
        boot,
    })
}

const NAMES: [&str; 8] = [
    "text",
    "station",
    "place",
    "observed_at",
    "reason",
    "question",
    "at",
    "later",
];

prop_compose! {
    fn draft()(
        mission in uuid(),
        subject in uuid(),
        kind in kind(),
        base in option::of(hash()),
        link in link(),
        at in at(),
        clear in proptest::collection::btree_map("c_[a-z]{0,6}", json(), 0..4),
        names in subsequence(NAMES.to_vec(), 0..=NAMES.len()),
        values in vec(json(), NAMES.len()),
    ) -> Draft {
        Draft {
            mission: MissionId(mission),
            subject: SubjectId(subject),
            kind,
            base,
            link,
            at,
            clear: Map::from_iter(clear),
            disclosed: names.into_iter().zip(values).collect(),
        }
    }
}

fn signer() -> impl Strategy<Value = SoftwareKey> {
    (any::<bool>(), any::<[u8; 31]>()).prop_map(|(ed25519, bytes)| {
        let mut secret = [1_u8; 32];
        secret[1..].copy_from_slice(&bytes);
        if ed25519 {
            SoftwareKey::ed25519(&secret)
        } else {
            // begins with 1: neither zero nor beyond the group's order
            SoftwareKey::p256(&secret).expect("a scalar of P-256")
        }
    })
}

/// A draft, its key and salts, and the entry made of them.
fn signed() -> impl Strategy<Value = (Draft, SoftwareKey, SdJwt)> {
    (draft(), signer(), any::<u64>()).prop_filter_map(
        "larger than an entry may be",
        |(draft, key, seed)| {
            let mut number = seed;
            let mut salt = || {
                number = number
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let mut out = [0; 16];
                out[..8].copy_from_slice(&number.to_le_bytes());
                out
            };
            let entry = draft.clone().sign(&key, &mut salt).ok()?;
            Some((draft, key, entry))
        },
    )
}

fn typ(draft: &Draft) -> &'static str {
    match draft.link {
        Link::Journal { .. } => DEVICE_TYP,
        Link::Actor(_) => DECISION_TYP,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_entry_round_trips_byte_for_byte((draft, key, entry) in signed()) {
        let compact = entry.compact().to_owned();
        let parsed = SdJwt::parse(&compact).expect("parses");
        prop_assert_eq!(&parsed, &entry);
        // through the wire form as JSON, and back
        let json = serde_json::to_string(&parsed.to_wire()).expect("writes");
        let wire: WireEntry = serde_json::from_str(&json).expect("reads");
        let rebuilt = SdJwt::from_wire(&wire).expect("rebuilds");
        prop_assert_eq!(rebuilt.compact(), &compact);
        prop_assert_eq!(rebuilt.to_wire(), wire);
        prop_assert_eq!(rebuilt.hash(), entry.hash());
        prop_assert_eq!(EntryHash::of_signing_input(rebuilt.signing_input().as_bytes()), entry.hash());
        rebuilt.verify(&key.public(), typ(&draft)).expect("verifies");

        let read = rebuilt.read().expect("reads");
        prop_assert_eq!(read.withheld, 0);
        prop_assert_eq!(read.at.as_ref(), Some(&draft.at));
        prop_assert_eq!(read.payload.mission, draft.mission);
        prop_assert_eq!(read.payload.subject, draft.subject);
        prop_assert_eq!(&read.payload.kind, &draft.kind);
        prop_assert_eq!(read.payload.base, draft.base);
        match draft.link {
            Link::Journal { journal, seq, prev, seen } => {
                prop_assert_eq!(read.payload.journal, Some(journal));
                prop_assert_eq!(read.payload.seq, Some(seq));
                prop_assert_eq!(read.payload.prev, prev);
                prop_assert_eq!(read.payload.seen, seen);
                prop_assert_eq!(read.payload.actor, None);
            }
            Link::Actor(actor) => {
                prop_assert_eq!(read.payload.actor, Some(actor));
                prop_assert_eq!(read.payload.journal, None);
            }
        }
        let mut expected = draft.clear;
        expected.extend(draft.disclosed.into_iter().map(|(name, value)| (name.to_owned(), value)));
        prop_assert_eq!(read.body, expected);
    }

    #[test]
    fn any_flipped_bit_is_noticed((draft, key, entry) in signed(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut bytes = entry.compact().as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert_eq!(accept(&bytes, &key.public(), typ(&draft)), None);
    }

    #[test]
    fn any_changed_text_is_noticed(
        (draft, key, entry) in signed(),
        part in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        put in any::<char>(),
    ) {
        let mut wire = entry.to_wire();
        let part = part.index(wire.disclosures.len() + 3);
        let text = match part {
            0 => &mut wire.header,
            1 => &mut wire.payload,
            2 => &mut wire.signature,
            other => &mut wire.disclosures[other - 3],
        };
        let mut chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        prop_assume!(chars[at] != put);
        chars[at] = put;
        *text = chars.into_iter().collect();
        prop_assert_eq!(accept_wire(&wire, &key.public(), typ(&draft)), None);
    }

    #[test]
    fn another_key_does_not_verify((draft, _key, entry) in signed(), other in signer()) {
        prop_assert_eq!(accept(entry.compact().as_bytes(), &other.public(), typ(&draft)), None);
    }

    #[test]
    fn whatever_is_withheld_signature_and_hash_stay((draft, key, entry) in signed(), keep in subsequence(NAMES.to_vec(), 0..=NAMES.len())) {
        let redacted = entry.withhold(|name| keep.contains(&name));
        redacted.verify(&key.public(), typ(&draft)).expect("still verifies");
        prop_assert_eq!(redacted.hash(), entry.hash());
        let (whole, read) = (entry.read().expect("reads"), redacted.read().expect("reads"));
        prop_assert_eq!(&read.payload, &whole.payload);
        prop_assert_eq!(read.withheld, entry.disclosure_count() - redacted.disclosure_count());
        for (name, value) in &draft.disclosed {
            let shown = keep.contains(name).then_some(value);
            prop_assert_eq!(read.body.get(*name), shown, "{}", name);
        }
        for (name, value) in &draft.clear {
            prop_assert_eq!(read.body.get(name), Some(value));
        }
        prop_assert_eq!(read.at, keep.contains(&"at").then_some(draft.at));
        // the bytes too survive another journey
        prop_assert_eq!(&SdJwt::parse(redacted.compact()).expect("parses"), &redacted);
        // nothing of a withheld text stays behind
        for text in entry.to_wire().disclosures {
            let gone = !redacted.to_wire().disclosures.contains(&text);
            prop_assert_eq!(gone, !redacted.compact().contains(&protocol::encoding::b64(&text)));
        }
    }

    #[test]
    fn any_report_is_read_as_it_was_written(
        category in option::of(text()),
        severity in option::of(prop::sample::select(Severity::ALL.to_vec())),
        words in patch(text()),
        station in patch(text()),
        place in patch(place()),
        observed_at in patch(text()),
    ) {
        let fields = ReportFields { category, severity, text: words, station, place, observed_at };
        let (mut body, disclosed) = fields.to_body();
        body.extend(disclosed.into_iter().map(|(name, value)| (name.to_owned(), value)));
        // as it arrives: through text
        let body: Map<String, Value> = serde_json::from_str(&Value::Object(body).to_string()).expect("reads");
        prop_assert_eq!(ReportFields::from_body(&body), Ok(fields));
    }

    /// No bytes make any of the readers panic.
    #[test]
    fn noise_is_refused_in_peace(bytes in vec(any::<u8>(), 0..200), parts in vec("[A-Za-z0-9_-]{0,90}", 0..6), noise in text()) {
        if let Ok(text) = std::str::from_utf8(&bytes) {
            prop_assert!(SdJwt::parse(text).is_err());
        }
        let _ = SdJwt::parse(&format!("{}~", parts.join(".")));
        let _ = SdJwt::parse(&format!("{}~", parts.join("~")));
        let _ = protocol::jose::Jws::parse(&parts.join("."));
        let _ = protocol::enrolment::Invitation::from_url(&format!("https://x/enrol#{noise}"));
        let wire = WireEntry {
            header: noise.clone(),
            payload: noise.clone(),
            disclosures: vec![noise],
            signature: protocol::encoding::b64([0; 64]),
        };
        let entry = SdJwt::from_wire(&wire).expect("any texts can be carried");
        prop_assert_eq!(entry.to_wire(), wire);
        prop_assert!(entry.read().is_err());
        prop_assert!(SdJwt::parse(entry.compact()).is_ok_and(|parsed| parsed == entry));
    }
}

fn patch<T: Clone + std::fmt::Debug>(
    value: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Patch<T>> {
    prop_oneof![
        Just(Patch::Keep),
        Just(Patch::Clear),
        value.prop_map(Patch::Set)
    ]
}

/// Coordinates as devices give them: to nine places, which is a tenth of a millimetre.
fn place() -> impl Strategy<Value = Place> {
    (
        -90_000_000_000..=90_000_000_000_i64,
        -180_000_000_000..=180_000_000_000_i64,
        option::of(0..100_000_u32),
    )
        .prop_map(|(lat, lon, accuracy)| Place {
            lat: lat as f64 / 1e9,
            lon: lon as f64 / 1e9,
            accuracy: accuracy.map(|decimetres| f64::from(decimetres) / 10.0),
        })
}
