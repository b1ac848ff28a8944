//! Nothing that was changed is taken for what was signed. Exhaustively here, for
//! samples; at random in `properties`.

use protocol::{
    entry::{Read, SdJwt, WireEntry},
    jose::{PublicKey, Signer as _},
};

use crate::{
    messages,
    samples::{Sample, key, sample, samples},
};

/// What a server takes an entry for: parsed, verified and read; `None` if it fails at any step.
pub(crate) fn accept(compact: &[u8], key: &PublicKey, typ: &str) -> Option<Read> {
    let entry = SdJwt::parse(std::str::from_utf8(compact).ok()?).ok()?;
    entry.verify(key, typ).ok()?;
    entry.read().ok()
}

pub(crate) fn accept_wire(wire: &WireEntry, key: &PublicKey, typ: &str) -> Option<Read> {
    let entry = SdJwt::from_wire(wire).ok()?;
    entry.verify(key, typ).ok()?;
    entry.read().ok()
}

fn public(sample: &Sample) -> PublicKey {
    key(sample.key).public()
}

#[test]
fn the_samples_are_accepted() {
    for sample in samples() {
        let read = accept(
            sample.entry.compact().as_bytes(),
            &public(&sample),
            sample.typ,
        );
        assert_eq!(read.expect("accepted").withheld, 0, "{}", sample.name);
    }
}

/// One bit of every byte of every sample; all eight bits for one entry of each algorithm.
#[test]
fn every_flipped_byte_is_noticed() {
    let mut cases = 0;
    for sample in samples() {
        let public = public(&sample);
        let all_bits = sample.name.starts_with("answer-");
        let bytes = sample.entry.compact().as_bytes();
        for at in 0..bytes.len() {
            let bits = if all_bits { 0..8 } else { at % 7..at % 7 + 1 };
            for bit in bits {
                let mut changed = bytes.to_vec();
                changed[at] ^= 1 << bit;
                let read = accept(&changed, &public, sample.typ);
                assert_eq!(read, None, "{}: bit {bit} of byte {at}", sample.name);
                cases += 1;
            }
        }
    }
    assert!(cases > 30_000, "{cases}");
}

/// In the wire form too, where texts stand unencoded: each character becomes its neighbour.
#[test]
fn every_changed_character_of_the_wire_form_is_noticed() {
    let change = |text: &str, at: usize| {
        let mut chars: Vec<char> = text.chars().collect();
        chars[at] = char::from_u32(u32::from(chars[at]) ^ 1).expect("a scalar value");
        chars.into_iter().collect::<String>()
    };
    for name in ["check-in-left-eddsa", "amend-es256", "decide"] {
        let sample = sample(name);
        let (public, wire) = (public(&sample), sample.entry.to_wire());
        let mut changed = Vec::new();
        for at in 0..wire.header.chars().count() {
            changed.push(WireEntry {
                header: change(&wire.header, at),
                ..wire.clone()
            });
        }
        for at in 0..wire.payload.chars().count() {
            changed.push(WireEntry {
                payload: change(&wire.payload, at),
                ..wire.clone()
            });
        }
        for at in 0..wire.signature.chars().count() {
            changed.push(WireEntry {
                signature: change(&wire.signature, at),
                ..wire.clone()
            });
        }
        for (which, disclosure) in wire.disclosures.iter().enumerate() {
            for at in 0..disclosure.chars().count() {
                let mut other = wire.clone();
                other.disclosures[which] = change(disclosure, at);
                changed.push(other);
            }
        }
        for other in changed {
            assert_eq!(
                accept_wire(&other, &public, sample.typ),
                None,
                "{name}: {other:?}"
            );
        }
    }
}

#[test]
fn a_cut_or_lengthened_entry_is_noticed() {
    for name in ["check-in-arrived-eddsa", "file-es256"] {
        let sample = sample(name);
        let (public, whole) = (public(&sample), sample.entry.compact());
        let ends: Vec<usize> = whole.match_indices('~').map(|(at, _)| at + 1).collect();
        for cut in 0..whole.len() {
            let read = accept(&whole.as_bytes()[..cut], &public, sample.typ);
            // cut behind a `~`, it is the same entry with disclosures missing, and says so
            assert_eq!(read.is_some(), ends.contains(&cut), "{name}: {cut}");
            assert!(read.is_none_or(|read| read.withheld > 0));
        }
        for extra in ["~", "x", "~~", "e30~", " ", "\n", "\0"] {
            assert_eq!(
                accept(format!("{whole}{extra}").as_bytes(), &public, sample.typ),
                None
            );
            assert_eq!(
                accept(format!("{extra}{whole}").as_bytes(), &public, sample.typ),
                None
            );
        }
    }
}

/// Parts of two genuine entries do not make a third.
#[test]
fn parts_of_different_entries_do_not_fit() {
    let (one, two) = (sample("file-eddsa"), sample("amend-eddsa"));
    let public = public(&one);
    let (a, b) = (one.entry.to_wire(), two.entry.to_wire());
    let mixed = [
        WireEntry {
            payload: b.payload.clone(),
            ..a.clone()
        },
        WireEntry {
            signature: b.signature.clone(),
            ..a.clone()
        },
        WireEntry {
            disclosures: b.disclosures.clone(),
            ..a.clone()
        },
        WireEntry {
            disclosures: [a.disclosures.clone(), b.disclosures.clone()].concat(),
            ..a.clone()
        },
    ];
    for wire in mixed {
        assert_eq!(accept_wire(&wire, &public, one.typ), None, "{wire:?}");
    }
    // the header is the same for both: it names only algorithm, key and type
    assert!(
        accept_wire(
            &WireEntry {
                header: b.header,
                ..a
            },
            &public,
            one.typ
        )
        .is_some()
    );
}

/// The other signed forms: receipts, assertions and proofs.
#[test]
fn every_flipped_byte_of_the_other_forms_is_noticed() {
    let (server, device) = (key("server"), key("device-eddsa"));
    let receipt = messages::receipt().sign(&server).expect("signs");
    let assertion = messages::assertion().sign(&device).expect("signs");
    let proof = messages::proof().sign(&device).expect("signs");
    let audience = messages::assertion().aud;
    let now = messages::assertion().iat;
    let flipped = |text: &str| -> Vec<String> {
        (0..text.len())
            .filter_map(|at| {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] ^= 1 << (at % 7);
                String::from_utf8(bytes).ok()
            })
            .collect()
    };
    for text in flipped(&receipt) {
        protocol::receipt::Receipt::verify(&text, &server.public()).expect_err(&text);
    }
    for text in flipped(&proof) {
        protocol::enrolment::Proof::verify(&text, &device.public()).expect_err(&text);
    }
    for text in flipped(&assertion) {
        if let Ok(jws) = protocol::jose::Jws::parse(&text) {
            protocol::assertion::Assertion::verify(&jws, &device.public(), &audience, now)
                .expect_err(&text);
        }
    }
}

/// Whoever holds an ECDSA signature (r, s) can make another, (r, n − s). Both are genuine; since
/// the hash does not cover the signature, both are the same entry.
#[test]
fn a_second_ecdsa_signature_is_the_same_entry() {
    let sample = sample("file-es256");
    let mut wire = sample.entry.to_wire();
    let bytes = protocol::encoding::unb64(&wire.signature).expect("base64url");
    let signature = p256::ecdsa::Signature::from_slice(&bytes).expect("a signature");
    let (r, s) = signature.split_scalars();
    let other = p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-s).to_bytes()).expect("one");
    wire.signature = protocol::encoding::b64(other.to_bytes());
    let twin = SdJwt::from_wire(&wire).expect("an entry");
    assert_ne!(twin.compact(), sample.entry.compact());
    twin.verify(&public(&sample), sample.typ).expect("verifies");
    assert_eq!(twin.hash(), sample.entry.hash());
}
