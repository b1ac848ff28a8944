//! The RFCs' own examples.

use protocol::{
    encoding::{b64, unb64, unb64_array},
    entry::{ReadError, SdJwt},
    jose::{Alg, Jwk, Jws, JwsError, PublicKey, Signer as _, SoftwareKey},
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

fn okp(x: &str) -> Jwk {
    Jwk {
        crv: "Ed25519".into(),
        kty: "OKP".into(),
        x: x.into(),
        y: None,
    }
}

fn ec(x: &str, y: &str) -> Jwk {
    Jwk {
        crv: "P-256".into(),
        kty: "EC".into(),
        x: x.into(),
        y: Some(y.into()),
    }
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let text: String = text.split_whitespace().collect();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex"))
        .collect()
}

const RFC8037_D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const RFC8037_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const RFC8037_INPUT: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
const RFC8037_SIGNATURE: &str =
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

#[test]
fn rfc_8037_a1_and_a2_keys() {
    let key = SoftwareKey::ed25519(&unb64_array(RFC8037_D).expect("32 bytes"));
    assert_eq!(key.public().to_jwk(), okp(RFC8037_X));
    assert_eq!(key.public().alg(), Alg::EdDSA);
    let jwk: Jwk = serde_json::from_value(json!({"kty": "OKP", "crv": "Ed25519", "x": RFC8037_X}))
        .expect("a JWK");
    assert_eq!(PublicKey::from_jwk(&jwk).expect("a key"), key.public());
}

#[test]
fn rfc_8037_a3_thumbprint() {
    let canonical =
        r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    assert_eq!(
        b64(Sha256::digest(canonical)),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
    assert_eq!(
        okp(RFC8037_X).thumbprint(),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
}

#[test]
fn rfc_8037_a4_and_a5_signature() {
    let key = SoftwareKey::ed25519(&unb64_array(RFC8037_D).expect("32 bytes"));
    let payload = "Example of Ed25519 signing";
    assert_eq!(
        RFC8037_INPUT,
        format!("{}.{}", b64(r#"{"alg":"EdDSA"}"#), b64(payload))
    );
    assert_eq!(
        b64(key.sign(RFC8037_INPUT.as_bytes()).expect("signs")),
        RFC8037_SIGNATURE
    );
    let signature = unb64_array(RFC8037_SIGNATURE).expect("64 bytes");
    key.public()
        .verify(RFC8037_INPUT.as_bytes(), &signature)
        .expect("verifies");
}

/// The RFC's example is a good signature, and still none of ours: no `typ`, no `kid`.
#[test]
fn rfc_8037_a4_is_not_taken_for_one_of_ours() {
    let compact = format!("{RFC8037_INPUT}.{RFC8037_SIGNATURE}");
    assert_eq!(
        Jws::parse(&compact).err(),
        Some(JwsError::Malformed("header"))
    );
}

const RFC7515_A3_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const RFC7515_A3_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const RFC7515_A3_D: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
const RFC7515_A3_INPUT: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const RFC7515_A3_SIGNATURE: &str =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

#[test]
fn rfc_7515_a3_es256() {
    let jwk = ec(RFC7515_A3_X, RFC7515_A3_Y);
    let public = PublicKey::from_jwk(&jwk).expect("a key");
    assert_eq!(public.alg(), Alg::ES256);
    assert_eq!(public.to_jwk(), jwk);
    let signature = unb64_array(RFC7515_A3_SIGNATURE).expect("64 bytes");
    public
        .verify(RFC7515_A3_INPUT.as_bytes(), &signature)
        .expect("verifies");
    // the private half is the same key, and what it signs verifies
    let key = SoftwareKey::p256(&unb64_array(RFC7515_A3_D).expect("32 bytes")).expect("a scalar");
    assert_eq!(key.public(), public);
    let mine = key.sign(RFC7515_A3_INPUT.as_bytes()).expect("signs");
    public
        .verify(RFC7515_A3_INPUT.as_bytes(), &mine)
        .expect("verifies");
}

/// RFC 6979 A.2.5: P-256, SHA-256, messages "sample" and "test". Deterministic, so that the
/// snapshots and vectors of ES256 entries are reproducible.
#[test]
fn rfc_6979_a25_deterministic_es256() {
    let secret = unhex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721");
    let key = SoftwareKey::p256(&secret.try_into().expect("32 bytes")).expect("a scalar");
    for (message, signature) in [
        (
            "sample",
            "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
             F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
        ),
        (
            "test",
            "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367
             019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083",
        ),
    ] {
        assert_eq!(
            key.sign(message.as_bytes()).expect("signs").to_vec(),
            unhex(signature)
        );
    }
}

/// RFC 7638 §3.1 gives an RSA key, which we do not read. The form is the same for ours: required
/// members only, in lexicographic order, no white space; other members change nothing.
#[test]
fn rfc_7638_form() {
    for (jwk, canonical) in [
        (
            okp(RFC8037_X),
            format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{RFC8037_X}"}}"#),
        ),
        (
            ec(RFC7515_A3_X, RFC7515_A3_Y),
            format!(r#"{{"crv":"P-256","kty":"EC","x":"{RFC7515_A3_X}","y":"{RFC7515_A3_Y}"}}"#),
        ),
    ] {
        assert_eq!(serde_json::to_string(&jwk).expect("writes"), canonical);
        assert_eq!(jwk.thumbprint(), b64(Sha256::digest(&canonical)));
        let mut more = json!(jwk);
        more["use"] = json!("sig");
        more["kid"] = json!("2011-04-29");
        let read: Jwk = serde_json::from_value(more).expect("reads");
        assert_eq!(read.thumbprint(), jwk.thumbprint());
    }
}

/// RFC 8032 §7.1: secret key, public key, message, signature of TEST 1, 2, 3 and 1024.
const RFC8032: [[&str; 4]; 4] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
    [
        "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
        "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
        include_str!("rfc8032_test1024.hex"),
        "0aab4c900501b3e24d7cdf4663326a3a87df5e4843b2cbdb67cbf6e460fec350aa5371b1508f9f4528ecea23c436d94b5e8fcd4f681e30a6ac00a9704a188a03",
    ],
];

#[test]
fn rfc_8032_tests_1_2_3_and_1024() {
    for [secret, public, message, signature] in RFC8032 {
        let key = SoftwareKey::ed25519(&unhex(secret).try_into().expect("32 bytes"));
        let message = unhex(message);
        let signature: [u8; 64] = unhex(signature).try_into().expect("64 bytes");
        assert_eq!(key.public().to_jwk().x, b64(unhex(public)));
        assert_eq!(key.sign(&message).expect("signs"), signature);
        key.public().verify(&message, &signature).expect("verifies");
        for at in 0..64 {
            let mut other = signature;
            other[at] ^= 1;
            assert!(key.public().verify(&message, &other).is_err());
        }
        let mut longer = message;
        longer.push(0);
        assert!(key.public().verify(&longer, &signature).is_err());
    }
    assert_eq!(unhex(RFC8032[3][2]).len(), 1023);
}

/// RFC 9901 §5.1: the disclosures with their digests.
const RFC9901: [(&str, &str); 8] = [
    (
        r#"["2GLC42sKQveCfGfryNRN9w", "given_name", "John"]"#,
        "jsu9yVulwQQlhFlM_3JlzMaSFzglhQG0DpfayQwLUK4",
    ),
    (
        r#"["eluV5Og3gSNII8EYnsxA_A", "family_name", "Doe"]"#,
        "TGf4oLbgwd5JQaHyKVQZU9UdGE0w5rtDsrZzfUaomLo",
    ),
    (
        r#"["6Ij7tM-a5iVPGboS5tmvVA", "email", "johndoe@example.com"]"#,
        "JzYjH4svliH0R3PyEMfeZu6Jt69u5qehZo7F7EPYlSE",
    ),
    (
        r#"["eI8ZWm9QnKPpNPeNenHdhQ", "phone_number", "+1-202-555-0101"]"#,
        "PorFbpKuVu6xymJagvkFsFXAbRoc2JGlAUA2BA4o7cI",
    ),
    (
        r#"["Qg_O64zqAxe412a108iroA", "phone_number_verified", true]"#,
        "XQ_3kPKt1XyX7KANkqVR6yZ2Va5NrPIvPYbyMvRKBMM",
    ),
    (
        r#"["AJx-095VPrpTtN4QMOqROA", "address", {"street_address": "123 Main St", "locality": "Anytown", "region": "Anystate", "country": "US"}]"#,
        "XzFrzwscM6Gn6CJDc6vVK8BkMnfG8vOSKfpPIZdAfdE",
    ),
    (
        r#"["Pc33JM2LchcU_lHggv_ufQ", "birthdate", "1940-01-01"]"#,
        "gbOsI4Edq2x2Kw-w5wPEzakob9hV1cRD0ATN3oQL9JM",
    ),
    (
        r#"["G02NSrQfjFXQ7Io09syajA", "updated_at", 1570000000]"#,
        "CrQe7S5kqBAHt-nMYXgc6bdt2SH5aTY1sU_M-PgkjPI",
    ),
];

/// An entry whose body holds these digests and which comes with these disclosures.
fn entry_with(digests: &[&str], disclosures: Vec<String>) -> SdJwt {
    let mut digests = digests.to_vec();
    digests.sort_unstable();
    let id = uuid::Uuid::nil();
    SdJwt::from_wire(&protocol::entry::WireEntry {
        header: "{}".into(),
        payload:
            json!({"v": 1, "mission": id, "subject": id, "kind": "file", "body": {"_sd": digests}})
                .to_string(),
        disclosures,
        signature: b64([0; 64]),
    })
    .expect("an entry")
}

#[test]
fn rfc_9901_s51_disclosures() {
    let (texts, digests): (Vec<&str>, Vec<&str>) = RFC9901.into_iter().unzip();
    // the same order as in the RFC's payload, which is sorted as ours is
    let mut sorted = digests.clone();
    sorted.sort_unstable();
    assert_eq!(sorted[0], "CrQe7S5kqBAHt-nMYXgc6bdt2SH5aTY1sU_M-PgkjPI");
    let entry = entry_with(&digests, texts.iter().map(ToString::to_string).collect());
    let read = entry.read().expect("reads");
    assert_eq!(read.withheld, 0);
    assert_eq!(read.body["given_name"], "John");
    assert_eq!(read.body["phone_number_verified"], true);
    assert_eq!(read.body["address"]["locality"], "Anytown");
    assert_eq!(read.body["updated_at"], 1_570_000_000);
    assert_eq!(
        entry
            .withhold(|name| name == "email")
            .read()
            .expect("reads")
            .withheld,
        7
    );
}

/// RFC 9901 §4.2.1 and §4.2.3: one value in several spellings, each with a digest of its own.
#[test]
fn rfc_9901_s42_moebius() {
    let spelled = r#"["_26bc4LT-ac6q2KI6cBW5es", "family_name", "Möbius"]"#;
    assert_eq!(
        b64(spelled),
        "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
    );
    let digest = "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0";
    let read = entry_with(&[digest], vec![spelled.into()])
        .read()
        .expect("reads");
    assert_eq!(read.body["family_name"], "Möbius");
    // the same value written otherwise has another digest, so this one does not fit
    let otherwise = r#"["_26bc4LT-ac6q2KI6cBW5es", "family_name", "M\u00f6bius"]"#;
    let error = entry_with(&[digest], vec![otherwise.into()])
        .read()
        .expect_err("does not fit");
    assert!(matches!(error, ReadError::Disclosure(_)));
}

/// RFC 9901 §5.1: the issuer-signed JWT, under the key of its appendix A.5.
#[test]
fn rfc_9901_s51_issuer_signature() {
    let compact: String = include_str!("rfc9901_s51.jwt").split_whitespace().collect();
    let disclosures: String = RFC9901.iter().map(|(text, _)| b64(text) + "~").collect();
    let entry = SdJwt::parse(&format!("{compact}~{disclosures}")).expect("parses");
    let key = PublicKey::from_jwk(&ec(
        "b28d4MwZMjw8-00CG4xfnn9SLMVMM19SlqZpVb_uNtQ",
        "Xv5zWwuoaTgdS6hV43yI6gBwTnjukmFQQnJ_kCxzqk8",
    ))
    .expect("a key");
    let signature = compact
        .rsplit('.')
        .next()
        .and_then(unb64)
        .expect("base64url");
    key.verify(
        entry.signing_input().as_bytes(),
        &signature.try_into().expect("64 bytes"),
    )
    .expect("verifies");
    let payload: serde_json::Value = serde_json::from_str(&entry.to_wire().payload).expect("JSON");
    for (_, digest) in RFC9901 {
        assert!(
            payload["_sd"]
                .as_array()
                .expect("a list")
                .contains(&json!(digest))
        );
    }
    // a good SD-JWT, and still no entry of ours
    assert!(entry.verify(&key, protocol::entry::DEVICE_TYP).is_err());
    assert!(matches!(entry.read(), Err(ReadError::Payload(_))));
}

/// RFC 4648 §10, in the alphabet of §5 without padding.
#[test]
fn rfc_4648_base64url() {
    for (text, encoded) in [
        ("", ""),
        ("f", "Zg"),
        ("fo", "Zm8"),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg"),
        ("fooba", "Zm9vYmE"),
        ("foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(b64(text), encoded);
        assert_eq!(unb64(encoded).as_deref(), Some(text.as_bytes()));
    }
    // RFC 7515 appendix C
    assert_eq!(b64([3, 236, 255, 224, 193]), "A-z_4ME");
}
