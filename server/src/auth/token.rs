//! Access tokens: short EdDSA JWTs (RFC 9068's `at+jwt`). What a token must
//! look like is fixed here to the letter; nothing in it is followed or guessed.

use jsonwebtoken::{Algorithm, Header, Validation};
use protocol::{assertion::audience, codes::Code, encoding::unb64, ids::MissionId, limits};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Role;
use crate::{
    clock::{Host, Micros},
    error::{Error, Result},
    keys::Keys,
};

/// `typ` of an access token.
pub const TYP: &str = "at+jwt";
/// `aud` of people's tokens.
pub const CONSOLE: &str = "scrutineer:console";
/// `aud` of phones' tokens.
pub const DEVICE: &str = "scrutineer:device";
/// Seconds by which servers' clocks may differ.
const LEEWAY: i64 = 5;
/// Characters of an RFC 7638 thumbprint.
const KID_CHARS: usize = 43;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// This server, by its receipt key.
    pub iss: String,
    /// [`CONSOLE`] or [`DEVICE`].
    pub aud: String,
    /// Account or device.
    pub sub: Uuid,
    /// The one mission it opens; operators' tokens have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mission: Option<MissionId>,
    /// Roles in that mission.
    pub roles: Vec<Role>,
    /// Issued at, seconds since 1970.
    pub iat: i64,
    /// Not valid before.
    pub nbf: i64,
    /// Not valid from then on.
    pub exp: i64,
    /// Names this token.
    pub jti: Uuid,
}

/// The whole header: a token with any other member (`crit`, `jku`, `x5u`,
/// `jwk`, …) is not one of ours.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnHeader {
    alg: String,
    kid: String,
    typ: String,
}

/// Whom a token is for.
#[derive(Clone, Debug)]
pub struct Bearer {
    /// [`CONSOLE`] or [`DEVICE`].
    pub aud: &'static str,
    /// Account or device.
    pub sub: Uuid,
    /// The mission it opens.
    pub mission: Option<MissionId>,
    /// Roles there.
    pub roles: Vec<Role>,
}

/// Signs a token that is valid for `seconds`.
///
/// # Errors
/// Without a token key.
pub fn issue(keys: &Keys, host: &Host, bearer: Bearer, seconds: i64) -> Result<String> {
    let now = host.now().seconds();
    let key = keys.token_signing(now)?;
    let claims = Claims {
        iss: audience(&keys.receipt_kid),
        aud: bearer.aud.to_owned(),
        sub: bearer.sub,
        mission: bearer.mission,
        roles: bearer.roles,
        iat: now,
        nbf: now,
        exp: now.saturating_add(seconds),
        jti: host.uuid(),
    };
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(TYP.to_owned());
    header.kid = Some(key.kid.clone());
    jsonwebtoken::encode(&header, &claims, &key.encoding)
        .map_err(|error| Error::Internal(error.to_string()))
}

/// Verifies a token at `now`. Says nothing about whether its subject still may
/// act: [`super::authenticate`] does.
///
/// # Errors
/// `token_invalid`, `token_expired`.
pub fn verify(keys: &Keys, now: Micros, token: &str) -> Result<Claims> {
    let invalid = || Error::refused(Code::TokenInvalid, "");
    if token.len() > limits::TOKEN_BYTES {
        return Err(invalid());
    }
    let header = token
        .split_once('.')
        .and_then(|(header, _)| unb64(header))
        .ok_or_else(invalid)?;
    let header: OwnHeader = serde_json::from_slice(&header).map_err(|_| invalid())?;
    if header.alg != "EdDSA" || header.typ != TYP || header.kid.len() != KID_CHARS {
        return Err(invalid());
    }
    let key = keys
        .token_verifying_fresh(&header.kid, now.seconds())
        .ok_or_else(invalid)?;

    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
    rules.set_issuer(&[audience(&keys.receipt_kid)]);
    rules.set_audience(&[CONSOLE, DEVICE]);
    // Against our own clock, below.
    rules.validate_exp = false;
    rules.validate_nbf = false;
    rules.leeway = 0;
    let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &rules)
        .map_err(|_| invalid())?
        .claims;
    let seconds = now.seconds();
    if claims.nbf > seconds.saturating_add(LEEWAY) || claims.iat > seconds.saturating_add(LEEWAY) {
        return Err(invalid());
    }
    if claims.exp.saturating_add(LEEWAY) <= seconds {
        return Err(Error::refused(Code::TokenExpired, ""));
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    };

    use protocol::encoding::b64;
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::{Clock, Random};

    struct Fixed(AtomicI64);
    impl Clock for Fixed {
        fn now(&self) -> Micros {
            Micros(self.0.load(Ordering::Relaxed) * 1_000_000)
        }
    }
    struct Count(AtomicI64);
    impl Random for Count {
        fn fill(&self, bytes: &mut [u8]) {
            for byte in bytes {
                *byte = self.0.fetch_add(7, Ordering::Relaxed).to_le_bytes()[0];
            }
        }
    }

    const NOW: i64 = 1_790_000_000;

    struct Bench {
        _folder: tempfile::TempDir,
        keys: Keys,
        host: Host,
    }

    fn bench() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let host = Host {
            clock: Arc::new(Fixed(AtomicI64::new(NOW))),
            random: Arc::new(Count(AtomicI64::new(1))),
        };
        let keys = Keys::create(&folder.path().join("keys"), &host).unwrap();
        Bench {
            _folder: folder,
            keys,
            host,
        }
    }

    fn bearer() -> Bearer {
        Bearer {
            aud: CONSOLE,
            sub: Uuid::from_bytes([1; 16]),
            mission: Some(MissionId(Uuid::from_bytes([2; 16]))),
            roles: vec![Role::Coordinator],
        }
    }

    fn code(bench: &Bench, at: i64, token: &str) -> Option<Code> {
        verify(&bench.keys, Micros(at * 1_000_000), token)
            .err()
            .map(|error| error.code())
    }

    /// A token of our own key with any header and claims.
    fn forge(
        bench: &Bench,
        change_header: impl Fn(&mut Value),
        change: impl Fn(&mut Value),
    ) -> String {
        let own = issue(&bench.keys, &bench.host, bearer(), 900).unwrap();
        let mut parts = own.split('.');
        let mut part =
            || serde_json::from_slice::<Value>(&unb64(parts.next().unwrap()).unwrap()).unwrap();
        let (mut header, mut claims) = (part(), part());
        change_header(&mut header);
        change(&mut claims);
        let input = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let key = bench.keys.token_signing(NOW).unwrap();
        let signature =
            jsonwebtoken::crypto::sign(input.as_bytes(), &key.encoding, Algorithm::EdDSA).unwrap();
        format!("{input}.{signature}")
    }

    #[test]
    fn a_token_verifies_until_it_expires() {
        let bench = bench();
        let token = issue(&bench.keys, &bench.host, bearer(), 900).unwrap();
        let claims = verify(&bench.keys, bench.host.now(), &token).unwrap();
        assert_eq!(claims.sub, bearer().sub);
        assert_eq!(code(&bench, NOW + 904, &token), None);
        assert_eq!(code(&bench, NOW + 905, &token), Some(Code::TokenExpired));
        assert_eq!(code(&bench, NOW - 5, &token), None);
        assert_eq!(code(&bench, NOW - 6, &token), Some(Code::TokenInvalid));
    }

    #[test]
    fn only_our_exact_form_passes() {
        let bench = bench();
        let same = |_: &mut Value| {};
        assert_eq!(
            code(&bench, NOW, &forge(&bench, same, same)),
            None,
            "the forge itself works"
        );
        let headers: [fn(&mut Value); 9] = [
            |h| h["typ"] = json!("JWT"),
            |h| h["typ"] = json!("AT+JWT"),
            |h| h["alg"] = json!("none"),
            |h| h["alg"] = json!("HS256"),
            |h| h["crit"] = json!([]),
            |h| h["jku"] = json!("https://evil.example/jwks"),
            |h| h["jwk"] = json!({"kty": "OKP"}),
            |h| h["kid"] = json!("../../etc/passwd"),
            |h| h["kid"] = json!("A".repeat(43)),
        ];
        for change in headers {
            let token = forge(&bench, change, same);
            assert_eq!(
                code(&bench, NOW, &token),
                Some(Code::TokenInvalid),
                "{token}"
            );
        }
        let claims: [fn(&mut Value); 13] = [
            |c| c["iss"] = json!("urn:scrutineer:server:other"),
            |c| c["aud"] = json!("scrutineer:other"),
            |c| c["aud"] = json!([CONSOLE, DEVICE]),
            |c| c["aud"] = json!(7),
            |c| c["exp"] = json!("2999-01-01"),
            |c| c["exp"] = json!(1e300),
            |c| c["sub"] = json!("admin"),
            |c| c["roles"] = json!(["root"]),
            |c| c["admin"] = json!(true),
            |c| drop(c.as_object_mut().unwrap().remove("iss")),
            |c| drop(c.as_object_mut().unwrap().remove("aud")),
            |c| drop(c.as_object_mut().unwrap().remove("nbf")),
            |c| drop(c.as_object_mut().unwrap().remove("exp")),
        ];
        for change in claims {
            let token = forge(&bench, same, change);
            assert_eq!(
                code(&bench, NOW, &token),
                Some(Code::TokenInvalid),
                "{token}"
            );
        }
    }

    #[test]
    fn no_byte_can_be_changed() {
        let bench = bench();
        let token = issue(&bench.keys, &bench.host, bearer(), 900).unwrap();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(code(&bench, NOW, &changed).is_some(), "byte {at}");
        }
        for text in ["", ".", "..", "...", "a.b.c", &"x".repeat(5000)] {
            assert_eq!(code(&bench, NOW, text), Some(Code::TokenInvalid));
        }
    }

    #[test]
    fn a_rotated_key_is_found_and_a_deleted_one_is_gone() {
        let bench = bench();
        let other = Keys::load(&bench._folder.path().join("keys")).unwrap();
        other.rotate_tokens(&bench.host).unwrap();
        // ten minutes on, the other server signs with the new key
        let later = NOW + 700;
        let host = Host {
            clock: Arc::new(Fixed(AtomicI64::new(later))),
            ..bench.host.clone()
        };
        let token = issue(&other, &host, bearer(), 900).unwrap();
        assert_eq!(code(&bench, later, &token), None);
    }
}
