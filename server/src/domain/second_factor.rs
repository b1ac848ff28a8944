//! Second factors: codes that change with time (RFC 6238), and recovery codes for
//! whoever lost the app. Each code works once.
//!
//! The secret is sealed under a key of the data folder and recovery codes are keyed
//! with another, so a copy of the database alone opens nothing.

use hmac::{Hmac, KeyInit as _, Mac as _};
use protocol::{
    codes::Code,
    encoding::{b64, unb64},
    ids::UserId,
};
use sealed::Key;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use totp_rs::{Algorithm, Builder, Totp};
use zeroize::Zeroizing;

use crate::{
    clock::{Host, Micros},
    error::{Error, Result},
    keys::Keys,
    store::{
        Conn,
        second_factors::{self, FactorRow},
        sessions,
    },
};

/// Bytes of a secret: what RFC 4226 §4 recommends.
const SECRET_BYTES: usize = 20;
/// Bytes of a nonce before what is sealed.
const NONCE_BYTES: usize = 24;
/// How long one may take to set a factor up.
const SET_UP_SECONDS: i64 = 900;
/// How many recovery codes there are.
pub const RECOVERY_CODES: usize = 10;
/// Characters of a recovery code: 50 bits.
const RECOVERY_CHARS: usize = 10;
/// Crockford's base32 in small letters.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// What an app is shown.
#[derive(Debug)]
pub struct Offer {
    /// The secret, for typing it in.
    pub secret: String,
    /// The same as `otpauth://…`, for a QR code.
    pub uri: String,
    /// Comes back with the first code. Sealed: it holds the secret.
    pub setup: String,
}

#[derive(Serialize, Deserialize)]
struct Setup {
    user: UserId,
    secret: Zeroizing<String>,
    until: i64,
}

/// Offers a secret. Nothing is kept until a code of it comes back.
///
/// # Errors
/// None in practice.
pub fn offer(keys: &Keys, host: &Host, user: UserId, email: &str) -> Result<Offer> {
    let secret = Zeroizing::new(host.bytes::<SECRET_BYTES>());
    let totp = totp(&secret[..])?;
    let shown = totp.secret().to_base32();
    let label = |text: &str| -> String {
        url::form_urlencoded::byte_serialize(text.as_bytes())
            .collect::<String>()
            .replace('+', "%20")
    };
    let setup = Setup {
        user,
        secret: Zeroizing::new(b64(&secret[..])),
        until: host.now().seconds() + SET_UP_SECONDS,
    };
    let plain = Zeroizing::new(
        serde_json::to_vec(&setup).map_err(|error| Error::Internal(error.to_string()))?,
    );
    Ok(Offer {
        uri: format!(
            "otpauth://totp/Scrutineer:{}?secret={shown}&issuer=Scrutineer",
            label(email)
        ),
        secret: shown,
        setup: b64(seal(&offers(keys), host, user, &plain)?),
    })
}

/// Takes the first code of an offered secret: from now on the account needs one to
/// sign in. Answers the recovery codes, which nobody is shown again.
///
/// # Errors
/// `second_factor_invalid`, also for an offer that is too old; `invalid_value` for
/// what is no offer to this account.
pub fn confirm(
    conn: &mut Conn,
    keys: &Keys,
    host: &Host,
    user: UserId,
    setup: &str,
    code: &str,
) -> Result<Vec<String>> {
    let offer = unb64(setup).and_then(|sealed| open(&offers(keys), user, &sealed));
    let offer: Setup = offer
        .and_then(|plain| serde_json::from_slice(&plain).ok())
        .filter(|setup: &Setup| setup.user == user)
        .ok_or_else(|| Error::refused(Code::InvalidValue, "`setup` is not of this server"))?;
    let now = host.now();
    if offer.until < now.seconds() {
        return Err(invalid("this took too long; begin once more"));
    }
    let secret = Zeroizing::new(unb64(&offer.secret).unwrap_or_default());
    let step = step(&secret, code, now)?.ok_or_else(|| invalid("the code does not fit"))?;
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| recovery_code(host)).collect();
    let hashes: Vec<Vec<u8>> = codes
        .iter()
        .map(|code| code_hash(keys, user, code))
        .collect();
    let kept = seal(&factors(keys), host, user, &secret)?;
    second_factors::set(conn, user, &kept, (now, step), &hashes)?;
    Ok(codes)
}

/// Whether an account needs a second factor, and if so takes the code that was
/// given. Runs inside `Store::write`: what fails later gives the code back.
///
/// # Errors
/// `second_factor_needed` without a code, `second_factor_invalid` with a wrong one.
pub fn take(
    conn: &mut Conn,
    keys: &Keys,
    now: Micros,
    user: UserId,
    code: Option<&str>,
) -> Result<bool> {
    let Some(factor) = second_factors::find(conn, user)? else {
        return Ok(false);
    };
    let code = code
        .map(str::trim)
        .filter(|code| !code.is_empty())
        .ok_or_else(|| Error::refused(Code::SecondFactorNeeded, ""))?;
    let taken = match step(&secret_of(keys, user, &factor)?, code, now)? {
        Some(step) => second_factors::take_step(conn, user, step)?,
        None => second_factors::take_code(conn, user, &code_hash(keys, user, code), now)?,
    };
    if taken {
        Ok(true)
    } else {
        Err(invalid(
            "wrong, or used already; the app shows another every 30 seconds",
        ))
    }
}

fn invalid(why: &str) -> Error {
    Error::refused(Code::SecondFactorInvalid, why)
}

/// The time step that a code is of, if it is one of now, of 30 seconds ago or of 30
/// seconds ahead.
fn step(secret: &[u8], code: &str, now: Micros) -> Result<Option<i64>> {
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let seconds = u64::try_from(now.seconds()).unwrap_or(0);
    Ok(totp(secret)?
        .check(&digits, seconds)
        .and_then(|step| i64::try_from(step).ok()))
}

/// SHA-1, six digits, 30 seconds: what every app can do.
fn totp(secret: &[u8]) -> Result<Totp> {
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_step_duration(30)
        .with_skew(1)
        .with_secret(secret.to_vec())
        .build()
        .map_err(|error| Error::Internal(format!("totp: {error}")))
}

fn factors(keys: &Keys) -> Key {
    Key::new(keys.secret_for("second factors"))
}

fn offers(keys: &Keys) -> Key {
    Key::new(keys.secret_for("offered second factors"))
}

fn secret_of(keys: &Keys, user: UserId, factor: &FactorRow) -> Result<Zeroizing<Vec<u8>>> {
    open(&factors(keys), user, &factor.secret).ok_or_else(|| {
        Error::Internal("a second factor that the keys of this data folder do not open".into())
    })
}

fn seal(key: &Key, host: &Host, user: UserId, plain: &[u8]) -> Result<Vec<u8>> {
    let nonce = host.bytes::<NONCE_BYTES>();
    let sealed = key
        .seal(user.0.as_bytes(), nonce, plain)
        .map_err(|error| Error::Internal(error.to_string()))?;
    Ok([&nonce[..], &sealed].concat())
}

fn open(key: &Key, user: UserId, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES)?;
    key.open(user.0.as_bytes(), nonce, sealed)
}

fn recovery_code(host: &Host) -> String {
    let mut code: String = host
        .bytes::<RECOVERY_CHARS>()
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte & 31)]))
        .collect();
    code.insert(RECOVERY_CHARS / 2, '-');
    code
}

/// What is kept of a recovery code, as somebody may have typed it.
fn code_hash(keys: &Keys, user: UserId, code: &str) -> Vec<u8> {
    let canonical: String = code
        .chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .map(|c| match c.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        })
        .collect();
    // 32 bytes are a valid HMAC key of any hash.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&keys.secret_for("recovery codes")) else {
        return Vec::new();
    };
    mac.update(user.0.as_bytes());
    mac.update(canonical.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Takes an account's second factor away: whoever signs in next with its password sets
/// another up. Its sessions end. Runs inside `Store::write`.
///
/// # Errors
/// `already_done` if it has none.
pub fn reset(conn: &mut Conn, user: UserId) -> Result<()> {
    if !second_factors::remove(conn, user)? {
        return Err(Error::refused(
            Code::AlreadyDone,
            "the account has no second factor",
        ));
    }
    sessions::end_all(conn, user, None)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, with six of its eight digits.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let secret = b"12345678901234567890";
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let at = |seconds: i64| Micros(seconds * 1_000_000);
            assert_eq!(step(secret, code, at(seconds)).unwrap(), Some(seconds / 30));
            assert_eq!(
                step(secret, code, at(seconds + 30)).unwrap(),
                Some(seconds / 30)
            );
            assert_eq!(step(secret, code, at(seconds + 90)).unwrap(), None);
        }
        for odd in ["", "28708", "2870822", "28708x", "００００００"] {
            assert_eq!(
                step(secret, odd, Micros(59_000_000)).unwrap(),
                None,
                "{odd}"
            );
        }
    }
}
