//! What must never be taken for a key, a signature or an entry.

use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use protocol::{
    assertion::{self, Assertion, AssertionError},
    encoding::{b64, unb64},
    enrolment,
    entry::{DECISION_TYP, DEVICE_TYP, ReadError, SdJwt},
    jose::{Jwk, Jws, JwsError, KeyError, PublicKey, Signer as _},
    receipt::{self, Receipt, ReceiptError},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    messages,
    rfc::unhex,
    samples::{key, sample},
};

fn okp(bytes: &[u8]) -> Jwk {
    Jwk {
        crv: "Ed25519".into(),
        kty: "OKP".into(),
        x: b64(bytes),
        y: None,
    }
}

/// Every spelling of a point of small order: the eight points, and the six non-canonical ones.
const SMALL_ORDER: [&str; 14] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

#[test]
fn ed25519_keys_of_small_order() {
    for hex in SMALL_ORDER {
        let error = PublicKey::from_jwk(&okp(&unhex(hex))).expect_err(hex);
        assert!(
            matches!(error, KeyError::Weak | KeyError::Invalid),
            "{hex}: {error}"
        );
    }
}

/// Under the neutral element, R = neutral and S = 0 is a signature of everything: plain
/// verification takes it, ours does not, even where such a key had slipped in.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "shows what plain verification would accept"
)]
fn the_universal_signature() {
    let neutral: [u8; 32] = unhex(SMALL_ORDER[2]).try_into().expect("32 bytes");
    let mut universal = [0_u8; 64];
    universal[..32].copy_from_slice(&neutral);
    let weak = VerifyingKey::from_bytes(&neutral).expect("decompresses");
    for message in ["", "pay nobody", "pay everybody"] {
        weak.verify(message.as_bytes(), &Signature::from_bytes(&universal))
            .expect("plain verification");
        assert!(
            PublicKey::Ed25519(weak)
                .verify(message.as_bytes(), &universal)
                .is_err()
        );
    }
    // an R of small order is refused under a good key too
    let good = key("device-eddsa");
    for hex in SMALL_ORDER {
        let mut signature = good.sign(b"message").expect("signs");
        signature[..32].copy_from_slice(&unhex(hex));
        assert!(good.public().verify(b"message", &signature).is_err());
    }
}

/// RFC 8032 §5.1.3: y below the field's prime; and no second spelling of a point.
#[test]
fn ed25519_keys_spelled_another_way() {
    let mut decompressed = 0;
    for low in 0xed..=0xff_u8 {
        for high in [0x7f, 0xff_u8] {
            let mut bytes = [0xff_u8; 32];
            (bytes[0], bytes[31]) = (low, high);
            decompressed += usize::from(VerifyingKey::from_bytes(&bytes).is_ok());
            assert!(
                PublicKey::from_jwk(&okp(&bytes)).is_err(),
                "{low:x} {high:x}"
            );
        }
    }
    assert!(
        decompressed > 6,
        "some are points, and refused by us alone: {decompressed}"
    );
}

/// RFC 8032 §5.1.7: S below the group's order, or a third party could make a second signature.
#[test]
fn ed25519_signatures_with_a_large_s() {
    let order = unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let good = key("device-eddsa");
    let mut signature = good.sign(b"message").expect("signs");
    good.public()
        .verify(b"message", &signature)
        .expect("verifies");
    let mut carry = 0_u16;
    for at in 0..32 {
        let sum = u16::from(signature[32 + at]) + u16::from(order[at]) + carry;
        signature[32 + at] = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert!(good.public().verify(b"message", &signature).is_err());
}

#[test]
fn p256_keys_that_are_no_points() {
    let ec = |x: &[u8], y: &[u8]| Jwk {
        crv: "P-256".into(),
        kty: "EC".into(),
        x: b64(x),
        y: Some(b64(y)),
    };
    // x = 5 is on the curve; spelled as 5 + p it is not accepted
    let y = unhex("459243b9aa581806fe913bce99817ade11ca503c64d9a3c533415c083248fbcc");
    let mut five = [0_u8; 32];
    five[31] = 5;
    PublicKey::from_jwk(&ec(&five, &y)).expect("a point");
    let beyond = unhex("ffffffff00000001000000000000000000000001000000000000000000000004");
    let mut off = y.clone();
    off[31] ^= 1;
    for (x, y) in [
        (&beyond[..], &y[..]),
        (&five, &off),
        (&y, &five),
        (&[0; 32], &[0; 32]),
        (&[0xff; 32], &[0xff; 32]),
        (&five[1..], &y),
        (&five, &y[1..]),
        (&[&[0], &five[..]].concat(), &y),
        (&[], &[]),
    ] {
        assert_eq!(PublicKey::from_jwk(&ec(x, y)), Err(KeyError::Invalid));
    }
}

#[test]
fn p256_signatures_out_of_range() {
    let good = key("device-es256");
    let signature = good.sign(b"message").expect("signs");
    let order = unhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    for half in [0..32, 32..64] {
        for value in [&[0; 32][..], &order, &[0xff; 32]] {
            let mut other = signature;
            other[half.clone()].copy_from_slice(value);
            assert!(good.public().verify(b"message", &other).is_err());
        }
    }
    assert!(protocol::jose::SoftwareKey::p256(&[0; 32]).is_err());
    assert!(protocol::jose::SoftwareKey::p256(&order.try_into().expect("32 bytes")).is_err());
}

#[test]
fn keys_of_other_kinds() {
    let x = b64([9; 32]);
    for (crv, kty, y) in [
        ("X25519", "OKP", None),
        ("Ed448", "OKP", None),
        ("Ed25519", "EC", None),
        ("Ed25519", "OKP", Some(&x)),
        ("P-256", "EC", None),
        ("P-256", "OKP", Some(&x)),
        ("P-384", "EC", Some(&x)),
        ("secp256k1", "EC", Some(&x)),
        ("ed25519", "okp", None),
        ("", "oct", None),
    ] {
        let jwk = Jwk {
            crv: crv.into(),
            kty: kty.into(),
            x: x.clone(),
            y: y.cloned(),
        };
        assert_eq!(
            PublicKey::from_jwk(&jwk),
            Err(KeyError::Unsupported),
            "{crv} {kty}"
        );
    }
    for x in [
        "",
        "AA",
        "not base64url!",
        &b64([1; 31]),
        &b64([1; 33]),
        &format!("{}=", b64([1; 32])),
    ] {
        let jwk = Jwk {
            crv: "Ed25519".into(),
            kty: "OKP".into(),
            x: x.into(),
            y: None,
        };
        assert_eq!(PublicKey::from_jwk(&jwk), Err(KeyError::Invalid), "{x}");
    }
}

/// An entry with another header, signed over it by whoever `sign` is.
fn with_header(header: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let payload = sample("file-eddsa").entry.to_wire().payload;
    let input = format!("{}.{}", b64(header.to_string()), b64(payload));
    format!("{input}.{}", b64(sign(input.as_bytes())))
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let pad = |with: u8| {
        let mut block = [with; 64];
        for (at, byte) in key.iter().enumerate() {
            block[at] ^= byte;
        }
        block
    };
    let inner = Sha256::new()
        .chain_update(pad(0x36))
        .chain_update(message)
        .finalize();
    Sha256::new()
        .chain_update(pad(0x5c))
        .chain_update(inner)
        .finalize()
        .to_vec()
}

#[test]
fn no_algorithm_but_the_keys_own() {
    let device = key("device-eddsa");
    let kid = device.public().thumbprint();
    let ours = |input: &[u8]| device.sign(input).expect("signs").to_vec();
    for alg in [
        "none", "None", "NONE", "HS256", "ES256", "RS256", "PS256", "Ed25519", "eddsa", "EdDSA ",
        "",
    ] {
        let header = json!({"alg": alg, "kid": kid, "typ": DEVICE_TYP});
        let jws = with_header(&header, ours);
        let entry = SdJwt::parse(&format!("{jws}~")).expect("parses");
        let expected = JwsError::Algorithm(alg.into());
        assert_eq!(
            entry.verify(&device.public(), DEVICE_TYP),
            Err(ReadError::Jws(expected.clone()))
        );
        let parsed = Jws::parse(&jws).expect("parses");
        assert_eq!(parsed.verify(&device.public(), DEVICE_TYP), Err(expected));
    }
    // without a signature there is not even an entry
    let header = json!({"alg": "none", "kid": kid, "typ": DEVICE_TYP});
    assert!(SdJwt::parse(&format!("{}~", with_header(&header, |_| vec![]))).is_err());
    // the public key, which everybody knows, as the secret of an HMAC
    let header = json!({"alg": "HS256", "kid": kid, "typ": DEVICE_TYP});
    let public = unb64(&device.public().to_jwk().x).expect("base64url");
    assert!(
        SdJwt::parse(&format!(
            "{}~",
            with_header(&header, |input| hmac(&public, input))
        ))
        .is_err()
    );
    let twice = |input: &[u8]| [hmac(&public, input), hmac(&public, input)].concat();
    for alg in ["HS256", "EdDSA"] {
        let header = json!({"alg": alg, "kid": kid, "typ": DEVICE_TYP});
        let entry = SdJwt::parse(&format!("{}~", with_header(&header, twice))).expect("parses");
        assert!(entry.verify(&device.public(), DEVICE_TYP).is_err(), "{alg}");
    }
    // the hash function that `hmac` is: RFC 4231, test case 2
    assert_eq!(
        hmac(b"Jefe", b"what do ya want for nothing?"),
        unhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    );
}

#[test]
fn algorithm_and_key_must_match() {
    for (name, other) in [
        ("file-eddsa", "device-es256"),
        ("file-es256", "device-eddsa"),
    ] {
        let sample = sample(name);
        let foreign = key(other).public();
        assert!(matches!(
            sample.entry.verify(&foreign, sample.typ),
            Err(ReadError::Jws(JwsError::Algorithm(_)))
        ));
    }
}

#[test]
fn headers_that_are_not_ours() {
    let device = key("device-eddsa");
    let kid = device.public().thumbprint();
    let ours = |input: &[u8]| device.sign(input).expect("signs").to_vec();
    let verify = |header: &Value| {
        let entry = SdJwt::parse(&format!("{}~", with_header(header, ours))).expect("parses");
        entry.verify(&device.public(), DEVICE_TYP)
    };
    verify(&json!({"alg": "EdDSA", "kid": kid, "typ": DEVICE_TYP})).expect("verifies");
    for typ in [
        "",
        "JWT",
        "sd+jwt",
        "Scrutineer-Entry+SD-JWT",
        "application/scrutineer-entry+sd-jwt",
        DECISION_TYP,
        receipt::TYP,
    ] {
        let error = verify(&json!({"alg": "EdDSA", "kid": kid, "typ": typ})).expect_err(typ);
        assert_eq!(error, ReadError::Jws(JwsError::Type(typ.into())));
    }
    for crit in [
        json!(["exp"]),
        json!(["b64"]),
        json!([]),
        json!("x"),
        Value::Null,
    ] {
        let header =
            json!({"alg": "EdDSA", "kid": kid, "typ": DEVICE_TYP, "crit": crit, "b64": false});
        assert_eq!(
            verify(&header),
            Err(ReadError::Jws(JwsError::Critical)),
            "{crit}"
        );
    }
    for header in [
        json!({"alg": "EdDSA", "kid": kid}),
        json!({"alg": "EdDSA", "typ": DEVICE_TYP}),
        json!({"kid": kid, "typ": DEVICE_TYP}),
        json!({"alg": ["EdDSA"], "kid": kid, "typ": DEVICE_TYP}),
        json!({"alg": "EdDSA", "kid": 1, "typ": DEVICE_TYP}),
        json!([]),
        json!(["EdDSA", kid, DEVICE_TYP]),
        json!("x"),
        Value::Null,
    ] {
        assert_eq!(
            verify(&header),
            Err(ReadError::Malformed("header")),
            "{header}"
        );
    }
}

/// What was signed for one use serves for no other.
#[test]
fn each_type_is_accepted_only_as_itself() {
    let device = key("device-eddsa");
    let types = [
        DEVICE_TYP,
        DECISION_TYP,
        receipt::TYP,
        enrolment::TYP,
        assertion::TYP,
    ];
    for signed in types {
        let jws = Jws::parse(&Jws::sign(&device, signed, b"{}").expect("signs")).expect("parses");
        for expected in types {
            assert_eq!(
                jws.verify(&device.public(), expected).is_ok(),
                signed == expected
            );
        }
    }
    let decision = sample("decide");
    assert!(
        decision
            .entry
            .verify(&key("server").public(), DEVICE_TYP)
            .is_err()
    );
}

#[test]
fn base64url_has_one_spelling() {
    let whole = sample("check-in-left-eddsa").entry.compact().to_owned();
    // padding, the other alphabet, white space, and bits that do not count
    for text in [
        "Zg==",
        "Zg=",
        "Zm8=",
        "Zh",
        "Zm9",
        "A+z/4ME",
        "Zm 9v",
        "Zm9v\n",
        "Zm9v.",
        "Z",
        "Zm9vY",
        "Zm9vYmF\u{0}",
    ] {
        assert_eq!(unb64(text), None, "{text:?}");
    }
    for (at, end) in whole.match_indices(['.', '~']) {
        for extra in ["=", "==", "\n", " ", "\0"] {
            let padded = format!("{}{extra}{end}{}", &whole[..at], &whole[at + 1..]);
            assert!(SdJwt::parse(&padded).is_err(), "{at} {extra:?}");
        }
    }
    // the last character of a signature holds four bits that do not count
    let signature = whole
        .split('~')
        .next()
        .and_then(|jws| jws.rsplit('.').next())
        .expect("a signature");
    for last in ["B", "R", "h", "x", "9", "_"] {
        let spelled = format!("{}{last}", &signature[..85]);
        assert!(SdJwt::parse(&whole.replace(signature, &spelled)).is_err());
    }
    for parts in [
        "",
        "~",
        ".",
        "..",
        "..~",
        "a.b~",
        "a.b.c",
        "a.b.c.d~",
        "~~~",
        "e30.e30.~",
    ] {
        assert!(SdJwt::parse(parts).is_err(), "{parts}");
        assert!(Jws::parse(parts).is_err(), "{parts}");
    }
}

#[test]
fn assertions_for_others_or_for_another_time() {
    let device = key("device-eddsa");
    let good = messages::assertion();
    let check = |claims: &Assertion, now: i64| {
        let jws = Jws::parse(&claims.sign(&device).expect("signs")).expect("parses");
        Assertion::verify(&jws, &device.public(), &good.aud, now)
    };
    for now in [good.iat - 60, good.iat, good.exp - 1] {
        assert_eq!(check(&good, now).as_ref(), Ok(&good));
    }
    for now in [i64::MIN, 0, good.iat - 61, good.exp, i64::MAX] {
        assert_eq!(check(&good, now), Err(AssertionError::Time), "{now}");
    }
    let changed = |change: fn(&mut Assertion)| {
        let mut claims = good.clone();
        change(&mut claims);
        check(&claims, good.iat)
    };
    assert_eq!(changed(|claims| claims.exp += 1), Err(AssertionError::Time));
    assert_eq!(
        changed(|claims| claims.iat = i64::MIN),
        Err(AssertionError::Time)
    );
    assert_eq!(
        changed(|claims| claims.exp = i64::MAX),
        Err(AssertionError::Time)
    );
    assert_eq!(
        changed(|claims| claims.iss = "x".into()),
        Err(AssertionError::Subject)
    );
    assert_eq!(
        changed(|claims| claims.sub = "x".into()),
        Err(AssertionError::Subject)
    );
    assert_eq!(
        changed(|claims| claims.aud = "https://observers.example".into()),
        Err(AssertionError::Audience)
    );
    let jws = Jws::parse(&good.sign(&device).expect("signs")).expect("parses");
    assert!(Assertion::verify(&jws, &key("server").public(), &good.aud, good.iat).is_err());
}

#[test]
fn receipts_of_others_or_of_another_version() {
    let (server, device) = (key("server"), key("device-eddsa"));
    let receipt = messages::receipt();
    let compact = receipt.sign(&server).expect("signs");
    let read = Receipt::verify(&compact, &server.public()).expect("verifies");
    assert_eq!(read, receipt);
    for held in &receipt.entries {
        assert_eq!(read.number_of(&held.hash), Some(held.number));
    }
    assert_eq!(read.number_of(&sample("withdraw-eddsa").entry.hash()), None);
    assert!(Receipt::verify(&receipt.sign(&device).expect("signs"), &server.public()).is_err());
    let later = Receipt { v: 2, ..receipt }.sign(&server).expect("signs");
    assert!(matches!(
        Receipt::verify(&later, &server.public()),
        Err(ReceiptError::Unreadable)
    ));
    let nothing = Jws::sign(&server, receipt::TYP, b"{}").expect("signs");
    assert!(matches!(
        Receipt::verify(&nothing, &server.public()),
        Err(ReceiptError::Unreadable)
    ));
}
