//! From wire entries to verified ones: the part of ingest that costs time and
//! touches nothing. It runs on blocking threads, never on the async ones.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use protocol::{
    codes::Code,
    entry::{Attach, CheckIn, DEVICE_TYP, Kind, Read, ReadError, ReportFields, SdJwt, WireEntry},
    ids::{EntryHash, EpochId, MissionId},
    jose::{Header, Jwk, JwsError, PublicKey},
};
use uuid::Uuid;

use crate::{
    domain::{
        acts::MissionRef,
        ledger::{Incoming, Origin},
    },
    error::{Error, Result},
    store::{Store, ledger},
};

/// An enrolled device's key, ready to verify with. It never changes, so it may
/// be kept; whether the device is revoked is asked in the transaction.
#[derive(Debug)]
pub struct DeviceKey {
    /// The device's mission.
    pub mission: MissionRef,
    /// The device.
    pub device: Uuid,
    /// Whose it is.
    pub accreditation: Uuid,
    key: PublicKey,
}

/// Keys of devices seen lately, by thumbprint.
#[derive(Clone, Debug)]
pub struct DeviceKeys(
    moka::sync::Cache<String, Arc<DeviceKey>>,
    Arc<Mutex<Option<EpochId>>>,
);

impl Default for DeviceKeys {
    fn default() -> Self {
        Self(moka::sync::Cache::new(20_000), Arc::default())
    }
}

/// One entry of a request.
#[derive(Debug)]
pub enum Checked {
    /// Not of an enrolled key, or no entry at all. Not stored.
    Refused(EntryHash, Code),
    /// Signed by an enrolled device.
    Signed(Arc<DeviceKey>, Box<Incoming>),
}

impl DeviceKeys {
    /// Forgets everything if the history is another one than at the last call:
    /// it may lack devices that the one before had enrolled.
    pub fn enter(&self, epoch: EpochId) {
        let mut known = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        if known.replace(epoch).is_some_and(|before| before != epoch) {
            self.0.invalidate_all();
        }
    }

    /// Splits, verifies and reads entries, in order.
    ///
    /// # Errors
    /// The database's, when a key must be looked up.
    pub fn check(
        &self,
        store: &Store,
        entries: &[WireEntry],
        clock_skew: Option<i64>,
    ) -> Result<Vec<Checked>> {
        let mut parsed = Vec::with_capacity(entries.len());
        let mut wanted = HashMap::new();
        let mut headers = Headers::default();
        for wire in entries {
            let entry = SdJwt::from_wire(wire).and_then(|entry| {
                let header = headers.read(&entry)?;
                if !wanted.contains_key(&header.kid) {
                    wanted.insert(header.kid.clone(), self.0.get(&header.kid));
                }
                Ok((header, entry))
            });
            parsed.push(entry.map_err(|error| (wire.hash(), error)));
        }
        self.look_up(store, &mut wanted)?;
        Ok(parsed
            .into_iter()
            .map(|entry| match entry {
                Err((hash, error)) => Checked::Refused(hash, refusal(&error)),
                Ok((header, entry)) => match wanted.get(&header.kid).and_then(Option::as_ref) {
                    None => Checked::Refused(entry.hash(), unknown_key(&header.alg)),
                    Some(key) => verify(key, &header, entry, clock_skew),
                },
            })
            .collect())
    }

    /// Finds keys that are not cached.
    fn look_up(
        &self,
        store: &Store,
        wanted: &mut HashMap<String, Option<Arc<DeviceKey>>>,
    ) -> Result<()> {
        let missing: Vec<String> = wanted
            .iter()
            .filter(|(kid, key)| {
                key.is_none() && protocol::encoding::unb64_array::<32>(kid).is_some()
            })
            .map(|(kid, _)| kid.clone())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        for row in store.read(|conn| ledger::devices_by_kid(conn, &missing))? {
            let damaged = || Error::Internal(format!("device key {} cannot be read", row.kid));
            let jwk: Jwk = serde_json::from_str(&row.jwk).map_err(|_| damaged())?;
            let id = |bytes: &[u8]| Uuid::from_slice(bytes).map_err(|_| damaged());
            let key = Arc::new(DeviceKey {
                mission: MissionRef {
                    no: row.mission,
                    id: MissionId(id(&row.mission_id)?),
                },
                device: id(&row.id)?,
                accreditation: id(&row.accreditation)?,
                key: PublicKey::from_jwk(&jwk).map_err(|_| damaged())?,
            });
            self.0.insert(row.kid.clone(), key.clone());
            wanted.insert(row.kid, Some(key));
        }
        Ok(())
    }
}

/// One phone's entries have one header, text for text: it is read once.
#[derive(Default)]
struct Headers(Option<(String, Arc<Header>)>);

impl Headers {
    fn read(&mut self, entry: &SdJwt) -> std::result::Result<Arc<Header>, ReadError> {
        match &self.0 {
            Some((text, header)) if text == entry.header_text() => Ok(header.clone()),
            _ => {
                let header = Arc::new(entry.header()?);
                self.0 = Some((entry.header_text().to_owned(), header.clone()));
                Ok(header)
            }
        }
    }
}

fn verify(
    key: &Arc<DeviceKey>,
    header: &Header,
    sd_jwt: SdJwt,
    clock_skew: Option<i64>,
) -> Checked {
    let hash = sd_jwt.hash();
    if let Err(error) = sd_jwt.verify_under(header, &key.key, DEVICE_TYP) {
        return Checked::Refused(hash, refusal(&error));
    }
    let (read, verdict) = match sd_jwt.read() {
        Err(_) => (None, Some(Code::Unreadable)),
        Ok(read) => {
            let verdict = judge(&read);
            (Some(read), verdict)
        }
    };
    let origin = Origin::Device {
        device: key.device,
        accreditation: key.accreditation,
    };
    Checked::Signed(
        key.clone(),
        Box::new(Incoming {
            hash,
            sd_jwt,
            read,
            verdict,
            origin,
            clock_skew,
        }),
    )
}

/// What keeps a device's entry from counting before anything is looked up.
#[must_use]
pub fn judge(read: &Read) -> Option<Code> {
    let payload = &read.payload;
    if payload.v != 1 || !payload.kind.is_device() {
        return Some(Code::UnknownVersion);
    }
    if read.withheld > 0 {
        return Some(Code::DisclosureMissing);
    }
    let linked = payload.journal.is_some()
        && payload
            .seq
            .is_some_and(|seq| seq > 0 && i64::try_from(seq).is_ok())
        && (payload.base.is_some() || !payload.kind.needs_base());
    let text = |name: &str| {
        read.body
            .get(name)
            .is_some_and(serde_json::Value::is_string)
    };
    let readable = match payload.kind {
        Kind::File => {
            ReportFields::from_body(&read.body).is_ok_and(|fields| fields.category.is_some())
        }
        Kind::Amend => ReportFields::from_body(&read.body).is_ok(),
        Kind::Withdraw => text("reason"),
        Kind::Answer => text("text"),
        Kind::Attach => Attach::from_body(&read.body).is_ok(),
        Kind::CheckIn => CheckIn::from_body(&read.body).is_ok(),
        _ => false,
    };
    (!linked || !readable).then_some(Code::Unreadable)
}

/// A key that is not enrolled; an algorithm that no key of ours can have is
/// named as what it is.
fn unknown_key(alg: &str) -> Code {
    if alg == "EdDSA" || alg == "ES256" {
        Code::UnknownKey
    } else {
        Code::BadAlgorithm
    }
}

pub(super) fn refusal(error: &ReadError) -> Code {
    match error {
        ReadError::TooLarge => Code::EntryTooLarge,
        ReadError::Jws(JwsError::Algorithm(_)) => Code::BadAlgorithm,
        ReadError::Jws(JwsError::Type(_)) => Code::WrongType,
        ReadError::Jws(JwsError::Signature | JwsError::Critical) => Code::BadSignature,
        ReadError::Jws(JwsError::Malformed(_))
        | ReadError::Malformed(_)
        | ReadError::Payload(_)
        | ReadError::Disclosure(_) => Code::MalformedEntry,
    }
}
