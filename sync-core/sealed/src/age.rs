//! Writing an age v1 file (<https://c2sp.org/age>) to one X25519 recipient, as a
//! stream. A phone never reads one, so this is all of age that it carries; the
//! tests open what it writes with the `age` crate.

use std::io::{self, Write};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Nonce, aead::Aead as _};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// What a file begins with.
pub const MAGIC: &str = "age-encryption.org/v1";
/// Bytes of plaintext in a chunk.
const CHUNK: usize = 64 * 1024;

/// To whom a file is sealed: `age1…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient([u8; 32]);

impl Recipient {
    /// Reads the text; `None` for anything else, and for a key under which all
    /// secrets are the same.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (prefix, bytes) = bech32::decode(text.trim()).ok()?;
        let recipient = Self(bytes.try_into().ok()?);
        let probe = StaticSecret::from([1; 32]).diffie_hellman(&PublicKey::from(recipient.0));
        (prefix.as_str() == "age" && probe.was_contributory()).then_some(recipient)
    }
}

/// Fresh random bytes for one file; never used for another.
pub struct Secrets {
    /// Of the key that makes the shared secret.
    pub ephemeral: Zeroizing<[u8; 32]>,
    /// Of the file.
    pub file_key: Zeroizing<[u8; 16]>,
    /// Of the payload.
    pub nonce: [u8; 16],
}

impl Secrets {
    /// Takes them from a source of unpredictable bytes.
    pub fn fresh(mut random: impl FnMut(&mut [u8])) -> Self {
        let mut secrets = Self {
            ephemeral: Zeroizing::new([0; 32]),
            file_key: Zeroizing::new([0; 16]),
            nonce: [0; 16],
        };
        random(&mut *secrets.ephemeral);
        random(&mut *secrets.file_key);
        random(&mut secrets.nonce);
        secrets
    }
}

/// HKDF-SHA256 to 32 bytes.
fn derive(secret: &[u8], salt: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    let expanded = Hkdf::<Sha256>::new(Some(salt), secret).expand(info, &mut *out);
    debug_assert!(expanded.is_ok(), "only a longer output is refused");
    out
}

fn cipher(key: &[u8; 32]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(key.into())
}

fn refused<E>(_: E) -> io::Error {
    io::Error::other("the bytes could not be sealed")
}

/// Seals what is written. Whoever opens it notices a missing end, so
/// [`Self::finish`] it.
pub struct Writer<W> {
    out: W,
    cipher: ChaCha20Poly1305,
    chunk: u64,
    pending: Zeroizing<Vec<u8>>,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// What `out` returns.
    pub fn new(mut out: W, recipient: &Recipient, secrets: &Secrets) -> io::Result<Self> {
        let header = header(recipient, secrets)?;
        out.write_all(header.as_bytes())?;
        out.write_all(&secrets.nonce)?;
        let key = derive(&*secrets.file_key, &secrets.nonce, b"payload");
        Ok(Self {
            out,
            cipher: cipher(&key),
            chunk: 0,
            pending: Zeroizing::new(Vec::with_capacity(CHUNK)),
        })
    }

    /// Seals what waits, as the last chunk or not.
    fn seal(&mut self, last: bool) -> io::Result<()> {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&self.chunk.to_be_bytes());
        nonce[11] = u8::from(last);
        let sealed = self
            .cipher
            .encrypt(&Nonce::from(nonce), self.pending.as_slice())
            .map_err(refused)?;
        self.out.write_all(&sealed)?;
        self.chunk += 1;
        self.pending.clear();
        Ok(())
    }

    /// Writes the end, and hands back what was written to.
    ///
    /// # Errors
    /// What `out` returns.
    pub fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk may be the last: it is sealed once more comes.
        if self.pending.len() == CHUNK && !bytes.is_empty() {
            self.seal(false)?;
        }
        let taken = bytes.len().min(CHUNK - self.pending.len());
        self.pending.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn header(recipient: &Recipient, secrets: &Secrets) -> io::Result<String> {
    let ephemeral = StaticSecret::from(*secrets.ephemeral);
    let share = PublicKey::from(&ephemeral);
    let shared = ephemeral.diffie_hellman(&PublicKey::from(recipient.0));
    let salt = [share.as_bytes().as_slice(), &recipient.0].concat();
    let wrapping = derive(shared.as_bytes(), &salt, b"age-encryption.org/v1/X25519");
    let wrapped = cipher(&wrapping)
        .encrypt(&Nonce::from([0; 12]), secrets.file_key.as_slice())
        .map_err(refused)?;
    let text = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
    let mut header = format!(
        "{MAGIC}\n-> X25519 {}\n{}\n---",
        text(share.as_bytes()),
        text(&wrapped)
    );
    let key = derive(&*secrets.file_key, &[], b"header");
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&*key).map_err(refused)?;
    mac.update(header.as_bytes());
    header += &format!(" {}\n", text(&mac.finalize().into_bytes()));
    Ok(header)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use age::secrecy::ExposeSecret as _;

    use super::*;

    fn secrets(seed: u8) -> Secrets {
        let mut next = seed;
        Secrets::fresh(|bytes| {
            for byte in bytes {
                next = next.wrapping_mul(73).wrapping_add(41);
                *byte = next;
            }
        })
    }

    fn sealed(recipient: &str, plain: &[u8], step: usize) -> Vec<u8> {
        let recipient = Recipient::parse(recipient).expect("a recipient");
        let mut writer = Writer::new(Vec::new(), &recipient, &secrets(7)).expect("writes");
        for part in plain.chunks(step) {
            writer.write_all(part).expect("writes");
        }
        writer.finish().expect("ends")
    }

    fn opened(identity: &age::x25519::Identity, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut plain = Vec::new();
        age::Decryptor::new_buffered(sealed)
            .ok()?
            .decrypt(std::iter::once(identity as &dyn age::Identity))
            .ok()?
            .read_to_end(&mut plain)
            .ok()?;
        Some(plain)
    }

    #[test]
    fn the_age_crate_opens_every_size() {
        let identity = age::x25519::Identity::generate();
        let recipient = identity.to_public().to_string();
        for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 9] {
            let plain: Vec<u8> = (0..size).map(|at| (at % 251).to_le_bytes()[0]).collect();
            for step in [1000, CHUNK, 3 * CHUNK] {
                let sealed = sealed(&recipient, &plain, step);
                assert_eq!(opened(&identity, &sealed).as_deref(), Some(&*plain));
                let another = age::x25519::Identity::generate();
                assert_eq!(opened(&another, &sealed), None);
            }
        }
    }

    #[test]
    fn only_recipients_are_recipients() {
        let identity = age::x25519::Identity::generate();
        let secret = identity.to_string();
        let zero = bech32::encode::<bech32::Bech32>(bech32::Hrp::parse_unchecked("age"), &[0; 32]);
        for text in [
            "",
            "age1",
            "age1qqqq",
            secret.expose_secret(),
            &zero.expect("encodes"),
        ] {
            assert_eq!(Recipient::parse(text), None, "{text}");
        }
        assert!(Recipient::parse(&format!(" {}\n", identity.to_public())).is_some());
    }
}
