//! Passwords: argon2id with the crate's defaults (19 MiB, 2 passes, 1 lane),
//! which are OWASP's.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _},
};
use protocol::codes::Code;

use crate::{
    clock::Host,
    error::{Error, Result},
};

/// Characters of a password, at least.
pub const MIN_CHARS: usize = 12;
/// Bytes of a password, at most.
pub const MAX_BYTES: usize = 1024;

/// What a password is checked against when there is no account: made with the
/// same parameters, of nothing that anybody can type.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2NydXRpbmVlcm5vYm9keQ$0000000000000000000000000000000000000000000";

/// Hashes a password into a PHC string.
///
/// # Errors
/// None in practice.
pub fn hash(host: &Host, password: &str) -> Result<String> {
    Argon2::default()
        .hash_password_with_salt(password.as_bytes(), &host.bytes::<16>())
        .map(|hash| hash.to_string())
        .map_err(|error| Error::Internal(format!("argon2: {error}")))
}

/// Whether the password is the hash's. Without a hash it is not, and takes the
/// same time to say so.
#[must_use]
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    if password.len() > MAX_BYTES {
        return false;
    }
    let matches = Argon2::default()
        .verify_password(password.as_bytes(), hash.unwrap_or(NOBODY))
        .is_ok();
    matches && hash.is_some()
}

/// Refuses what others would guess.
///
/// # Errors
/// `weak_secret`, saying what is missing.
pub fn check_strength(password: &str, email: &str) -> Result<()> {
    let weak = |why: String| Err(Error::refused(Code::WeakSecret, why));
    if password.chars().count() < MIN_CHARS {
        return weak(format!("a password has at least {MIN_CHARS} characters"));
    }
    if password.len() > MAX_BYTES {
        return weak(format!("a password has at most {MAX_BYTES} bytes"));
    }
    let mut own: Vec<&str> = email
        .split(['@', '.', '-', '_', '+'])
        .filter(|part| part.len() > 2)
        .collect();
    own.extend(["scrutineer", email]);
    let rest = own
        .iter()
        .fold(password.to_lowercase(), |rest, word| rest.replace(word, ""));
    if rest.chars().count() < MIN_CHARS / 2 {
        return weak("the password is little more than the e-mail address".into());
    }
    if zxcvbn::zxcvbn(password, &own).score() < zxcvbn::Score::Three {
        return weak(
            "the password is easy to guess; four or five unrelated words are better".into(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_verify_and_say_their_parameters() {
        let hash = hash(&Host::system(), "correct horse battery staple").unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert!(verify("correct horse battery staple", Some(&hash)));
        assert!(!verify("correct horse battery stapl", Some(&hash)));
        assert!(!verify("", Some(&hash)));
    }

    #[test]
    fn nobody_is_hashed_in_full_and_never_matches() {
        use argon2::password_hash::phc::PasswordHash;
        let parsed = PasswordHash::new(NOBODY).unwrap();
        assert_eq!(parsed.params.to_string(), "m=19456,t=2,p=1");
        assert!(!verify("anything", None));
    }

    #[test]
    fn weak_passwords_are_refused() {
        for password in [
            "short",
            "passwordpassword",
            "123456789012",
            "aaaaaaaaaaaaaaaa",
            "leyla.observer",
        ] {
            let code = check_strength(password, "leyla@observer.example")
                .err()
                .map(|error| error.code());
            assert_eq!(code, Some(Code::WeakSecret), "{password}");
        }
        check_strength("bulud-qatar-limon-97-sahil", "leyla@observer.example").unwrap();
    }
}
