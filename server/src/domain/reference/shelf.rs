//! Snapshots and deltas ready to be sent. They never change, so a crowd of phones
//! that asks for the same costs one reading.

use std::{
    collections::VecDeque,
    io::{Read as _, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use protocol::{
    encoding::b64,
    ids::ReferenceHash,
    limits,
    reference::{Delta, Holding, Offer, Register},
};
use sha2::{Digest as _, Sha256};

use super::snapshot_at;
use crate::{
    domain::acts::MissionRef,
    error::{Error, Result},
    store::{Conn, reference as store},
};

/// What is kept ready, at most.
const KEPT: usize = 64;
/// Bytes of it, at most.
const KEPT_BYTES: usize = 64 << 20;

/// Which snapshot of which mission, whole or from another one on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    mission: i32,
    register: Register,
    to: ReferenceHash,
    from: Option<ReferenceHash>,
}

/// A snapshot, or the way to it.
#[derive(Debug)]
pub struct Built {
    /// As gzip.
    packed: Vec<u8>,
    /// Bytes before that.
    size: usize,
    /// The same for an answer, if it is short enough to stand in one.
    delta: Option<Delta>,
    /// Names exactly these packed bytes (RFC 9110 §8.8.3).
    etag: String,
}

impl Built {
    fn new(key: Key, text: &str, delta: Delta) -> Result<Self> {
        let failed = |error: std::io::Error| Error::Internal(error.to_string());
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text.as_bytes()).map_err(failed)?;
        let packed = encoder.finish().map_err(failed)?;
        let bytes = Sha256::digest(&packed);
        let from = key.from.map(|from| format!(".{from}")).unwrap_or_default();
        Ok(Self {
            // Another version of this program may pack otherwise.
            etag: format!("\"{}{from}.{}\"", key.to, b64(&bytes[..9])),
            delta: (delta.bytes() <= limits::REFERENCE_INLINE_BYTES).then_some(delta),
            size: text.len(),
            packed,
        })
    }

    /// The bytes as gzip.
    #[must_use]
    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// The bytes as they are.
    ///
    /// # Errors
    /// Never, unless memory was damaged.
    pub fn plain(&self) -> Result<Vec<u8>> {
        let mut plain = Vec::with_capacity(self.size);
        GzDecoder::new(self.packed.as_slice())
            .read_to_end(&mut plain)
            .map_err(|error| Error::Internal(error.to_string()))?;
        Ok(plain)
    }

    /// The entity tag of the packed bytes.
    #[must_use]
    pub fn etag(&self) -> &str {
        &self.etag
    }
}

/// The one used last stands last.
type Kept = VecDeque<(Key, Arc<Built>)>;

/// See the module. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Shelf(Arc<Mutex<Kept>>);

impl Shelf {
    /// What the phone that holds `holdings` is to know: the newest snapshot of each
    /// register that it names, and how to come by it.
    ///
    /// # Errors
    /// The database's.
    pub fn offers(
        &self,
        conn: &mut Conn,
        mission: MissionRef,
        holdings: &[Holding],
    ) -> Result<Vec<Offer>> {
        let mut room = limits::REFERENCE_INLINE_BYTES;
        let mut offers = Vec::new();
        for register in Register::ALL {
            let asked = holdings
                .iter()
                .take(limits::REFERENCE_REGISTERS)
                .find(|holding| holding.register == register.name());
            let Some(holding) = asked else { continue };
            let newest = store::newest(conn, mission.no, register.name())?;
            // One that is larger than phones take is none for them.
            let most = i64::try_from(limits::REFERENCE_BYTES).unwrap_or(i64::MAX);
            let Some(newest) = newest.filter(|row| row.bytes <= most) else {
                continue;
            };
            let sha256 = name_of(&newest.sha256)?;
            let bytes = usize::try_from(newest.bytes).unwrap_or(usize::MAX);
            let mut offer = Offer {
                register,
                version: u64::try_from(newest.version).unwrap_or_default(),
                sha256,
                bytes: bytes as u64,
                delta: None,
                from: None,
            };
            if holding.sha256 == Some(sha256) {
                offers.push(offer);
                continue;
            }
            let known = match &holding.sha256 {
                Some(from) => store::named(conn, mission.no, register.name(), &from.0)?,
                None => None,
            };
            let from = holding.sha256.filter(|_| known.is_some());
            if from.is_some() || bytes <= room {
                let built = self.build(conn, mission, register, &sha256, from.as_ref())?;
                if let Some(built) = built {
                    let size = built.delta.as_ref().map_or(usize::MAX, Delta::bytes);
                    if size <= room {
                        room -= size;
                        offer.delta.clone_from(&built.delta);
                    } else if built.size < bytes / 2 {
                        offer.from = from;
                    }
                }
            }
            offers.push(offer);
        }
        Ok(offers)
    }

    /// A snapshot, or the way to it from another one. `None` if this mission has
    /// had no such.
    ///
    /// # Errors
    /// The database's.
    pub fn build(
        &self,
        conn: &mut Conn,
        mission: MissionRef,
        register: Register,
        to: &ReferenceHash,
        from: Option<&ReferenceHash>,
    ) -> Result<Option<Arc<Built>>> {
        let key = Key {
            mission: mission.no,
            register,
            to: *to,
            from: from.copied(),
        };
        // Held while it is made: whoever comes meanwhile finds it done.
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = shelf.iter().position(|(known, _)| *known == key) {
            let found = shelf.remove(at);
            let built = found.as_ref().map(|(_, built)| built.clone());
            shelf.extend(found);
            return Ok(built);
        }
        let Some(built) = make(conn, key)? else {
            return Ok(None);
        };
        let built = Arc::new(built);
        shelf.push_back((key, built.clone()));
        let weight =
            |shelf: &Kept| -> usize { shelf.iter().map(|(_, built)| built.packed.len()).sum() };
        while shelf.len() > KEPT || (shelf.len() > 1 && weight(&shelf) > KEPT_BYTES) {
            shelf.pop_front();
        }
        Ok(Some(built))
    }
}

fn make(conn: &mut Conn, key: Key) -> Result<Option<Built>> {
    let kind = key.register.name();
    let Some(to) = store::named(conn, key.mission, kind, &key.to.0)? else {
        return Ok(None);
    };
    let Some(from) = key.from else {
        let snapshot = snapshot_at(conn, key.mission, key.register, to.version)?;
        let put = snapshot.lines().values().cloned().collect();
        let delta = Delta {
            put,
            ..Delta::default()
        };
        return Built::new(key, &snapshot.text(), delta).map(Some);
    };
    let Some(from) = store::named(conn, key.mission, kind, &from.0)? else {
        return Ok(None);
    };
    let delta = if from.version <= to.version {
        between(conn, key, from.version, to.version)?
    } else {
        // Somebody wants to go back: not what phones do, and right all the same.
        let newer = snapshot_at(conn, key.mission, key.register, from.version)?;
        snapshot_at(conn, key.mission, key.register, to.version)?.since(&newer, key.from)
    };
    let text = serde_json::to_string(&delta).map_err(|error| Error::Internal(error.to_string()))?;
    Built::new(key, &text, delta).map(Some)
}

fn between(conn: &mut Conn, key: Key, after: i64, upto: i64) -> Result<Delta> {
    let mut delta = Delta {
        from: key.from,
        ..Delta::default()
    };
    for (code, line) in store::changed(conn, key.mission, key.register.name(), after, upto)? {
        match line {
            Some(line) => delta.put.push(line),
            None => delta.removed.push(code),
        }
    }
    Ok(delta)
}

fn name_of(bytes: &[u8]) -> Result<ReferenceHash> {
    let bytes = bytes.try_into();
    bytes
        .map(ReferenceHash)
        .map_err(|_| Error::Internal("a snapshot's name is not 32 bytes".into()))
}
