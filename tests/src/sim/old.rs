//! A phone on which version 0.1.0 of the program runs. Its code cannot be linked
//! beside today's, so this is a model of what it leaves and says, put around
//! today's: `tests/fixtures/0.1.0`, and the types of that time.
//!
//! - It knows four of the store's spaces. The others it neither reads nor writes.
//! - Records that it rewrites lose the members it does not know.
//! - It keeps the last receipt's state of the ledger, not the highest.
//! - It has no files, no reference data, and hands nothing back. Its requests lack
//!   what was added for these, and so does what it takes from an answer.
//!
//! How it decides apart from this (batches, waits, what it does about a damaged
//! item) is today's. What it keeps of decisions it does not show.

use std::{
    cell::RefCell,
    io::{Read as _, Write as _},
    rc::Rc,
};

use async_trait::async_trait;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use protocol::{
    entry::Seen,
    jose::{Jws, Signer},
    receipt::Receipt,
};
use serde_json::{Value, json};
use sync_core::{
    Error,
    client::Vault,
    engine::keys,
    seal::{DataKey, Place, SUITE_1, Sealed},
    store::{Batch, Record, Row, Space, Store, StoreError},
    transport::{Answer, Call, Transport, Unreachable},
};

use super::{bytes, clock::PhoneClock, disk::Disk, line::Line, pocket::Pocket};

/// The members of the state of syncing that it knows.
const SYNC: &[&str] = &[
    "epoch",
    "cursor",
    "clock_offset",
    "last_contact",
    "token",
    "seen",
    "wait",
    "failures",
    "batch_bytes",
];
/// The members of an exchange's request.
const REQUEST: &[&str] = &["protocol", "app", "journals", "clock", "entries", "cursor"];
/// The members of its answer.
const ANSWER: &[&str] = &[
    "protocol",
    "epoch",
    "server_time",
    "outcomes",
    "receipt",
    "items",
    "cursor",
    "more",
    "directives",
    "token",
];
/// The members of the answer to an enrolment.
const ENROLLED: &[&str] = &[
    "device",
    "mission",
    "accreditation",
    "receipt_key",
    "sealing_key",
    "epoch",
    "server_time",
];

/// Leaves of an object what is known.
fn only(value: &mut Value, known: &[&str]) {
    if let Value::Object(members) = value {
        members.retain(|name, _| known.contains(&name.as_str()));
    }
}

/// An identity as it reads it.
fn old_identity(mut identity: Value) -> Value {
    only(&mut identity, &["link", "enrolled", "refused"]);
    if let Some(enrolled) = identity.get_mut("enrolled") {
        only(enrolled, ENROLLED);
    }
    identity
}

/// Opens and seals what is on the phone.
#[derive(Clone)]
struct Keys {
    data: DataKey,
    clock: Rc<PhoneClock>,
}

impl Keys {
    fn open(&self, place: &Place, sealed: &Sealed) -> Option<Value> {
        let plain = self.data.open(place, sealed)?;
        serde_json::from_slice(&plain).ok()
    }

    fn seal(&self, place: &Place, value: &Value) -> Sealed {
        let plain = value.to_string();
        let sealed = self.data.seal(place, plain.as_bytes(), self.clock.as_ref());
        sealed.expect("short texts seal")
    }

    fn read(&self, record: &Record) -> Option<Value> {
        let place = Place::Record(record.space, record.key.clone());
        self.open(&place, &record.sealed)
    }

    fn record(&self, key: &[u8], value: &Value) -> Record {
        let place = Place::Record(Space::State, key.to_vec());
        Record {
            space: Space::State,
            key: key.to_vec(),
            sealed: self.seal(&place, value),
        }
    }
}

/// Its store.
pub(super) struct OldStore {
    disk: Disk,
    keys: Keys,
    /// The ledger as the last receipt told it.
    heard: RefCell<Option<Seen>>,
}

impl OldStore {
    pub(super) fn new(disk: Disk, data: DataKey, clock: Rc<PhoneClock>) -> Self {
        Self {
            disk,
            keys: Keys { data, clock },
            heard: RefCell::default(),
        }
    }

    /// What it writes where today's program writes this.
    fn written(&self, record: Record, heard: Option<&Seen>) -> Option<Record> {
        match record.space {
            Space::Delivery | Space::Item | Space::Receipt => Some(record),
            Space::State if record.key == keys::SETTINGS => None,
            Space::State if record.key == keys::SYNC => {
                let mut sync = self.keys.read(&record)?;
                only(&mut sync, SYNC);
                if let Some(Value::Object(wait)) = sync.get_mut("wait") {
                    wait.remove("asked");
                }
                if let Some(seen) = heard {
                    sync["seen"] = json!(seen);
                }
                Some(self.keys.record(keys::SYNC, &sync))
            }
            // Its members are what came over the wire, where nothing newer passes.
            Space::State => Some(record),
            Space::Upload | Space::Reference | Space::Read => None,
        }
    }

    /// What it sees of a record of the state.
    fn seen(&self, record: Record) -> Option<Record> {
        if record.key == keys::IDENTITY {
            let identity = old_identity(self.keys.read(&record)?);
            return Some(self.keys.record(keys::IDENTITY, &identity));
        }
        if record.key == keys::SYNC {
            let mut sync = self.keys.read(&record)?;
            only(&mut sync, SYNC);
            // It keeps each wait as long as it was written down.
            if let Some(Value::Object(wait)) = sync.get_mut("wait") {
                wait.insert("asked".into(), true.into());
            }
            return Some(self.keys.record(keys::SYNC, &sync));
        }
        Some(record)
    }

    /// The state of the ledger that a batch's receipt tells.
    fn heard(&self, batch: &Batch) -> Option<Seen> {
        let mut receipts = batch
            .put
            .iter()
            .filter(|record| record.space == Space::Receipt);
        let compact = self.keys.read(receipts.next()?)?;
        let jws = Jws::parse(compact.as_str()?).ok()?;
        let receipt: Receipt = serde_json::from_slice(&jws.payload).ok()?;
        Some(Seen {
            epoch: receipt.epoch.0,
            number: receipt.head.number,
            chain: receipt.head.chain,
        })
    }
}

#[async_trait(?Send)]
impl Store for OldStore {
    async fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        let heard = self.heard(&batch).or_else(|| self.heard.borrow().clone());
        let put: Vec<_> = batch
            .put
            .into_iter()
            .filter_map(|record| self.written(record, heard.as_ref()))
            .collect();
        if put.is_empty() && batch.append.is_empty() {
            return Ok(());
        }
        let append = batch.append;
        self.disk.apply(Batch { append, put }).await?;
        *self.heard.borrow_mut() = heard;
        Ok(())
    }

    async fn rows(&self, after: i64) -> Result<Vec<Row>, StoreError> {
        self.disk.rows(after).await
    }

    async fn records(&self, space: Space) -> Result<Vec<Record>, StoreError> {
        match space {
            Space::Delivery | Space::Receipt => self.disk.records(space).await,
            // Today's program would hand back what it sees here.
            Space::Item | Space::Upload | Space::Reference | Space::Read => Ok(Vec::new()),
            Space::State => unreachable!("nobody reads all of the state"),
        }
    }

    async fn record(&self, space: Space, key: &[u8]) -> Result<Option<Record>, StoreError> {
        match space {
            // Nothing of files: not a setting of its own, but what comes of having none.
            Space::State if key == keys::SETTINGS => {
                let none = json!({ "files": "never" });
                Ok(Some(self.keys.record(key, &none)))
            }
            Space::State => {
                let record = self.disk.record(space, key).await?;
                Ok(record.and_then(|record| self.seen(record)))
            }
            Space::Delivery | Space::Receipt => self.disk.record(space, key).await,
            Space::Item | Space::Upload | Space::Reference | Space::Read => Ok(None),
        }
    }
}

/// Its secrets: the same, with nothing for the mission.
pub(super) struct OldVault {
    pocket: Pocket,
    keys: Keys,
}

impl OldVault {
    pub(super) fn new(pocket: Pocket, clock: Rc<PhoneClock>) -> Self {
        let data = pocket.data();
        Self {
            pocket,
            keys: Keys { data, clock },
        }
    }
}

impl Vault for OldVault {
    fn device_key(&self) -> Result<Rc<dyn Signer>, Error> {
        self.pocket.device_key()
    }

    fn data_key(&self) -> Result<DataKey, Error> {
        self.pocket.data_key()
    }

    fn anchor(&self) -> Result<Option<Vec<u8>>, Error> {
        let kept = self.pocket.anchor()?;
        Ok(kept.and_then(|bytes| {
            let (nonce, sealed) = bytes.split_at_checked(24)?;
            let sealed = Sealed {
                suite: SUITE_1,
                nonce: nonce.to_vec(),
                bytes: sealed.to_vec(),
            };
            let identity = old_identity(self.keys.open(&Place::Anchor, &sealed)?);
            let sealed = self.keys.seal(&Place::Anchor, &identity);
            Some([sealed.nonce, sealed.bytes].concat())
        }))
    }

    fn set_anchor(&self, sealed: &[u8]) -> Result<(), Error> {
        self.pocket.set_anchor(sealed)
    }
}

/// Its network.
pub(super) struct OldLine(pub(super) Line);

#[async_trait(?Send)]
impl Transport for OldLine {
    async fn send(&self, mut call: Call) -> Result<Answer, Unreachable> {
        assert!(
            !bytes::is_file(&call) && !call.url.contains("/v1/reference/"),
            "version 0.1.0 asks for no {}",
            call.url
        );
        let exchange = bytes::is_exchange(&call);
        let enrolment = call.url.ends_with("/v1/enrolments");
        call.headers
            .retain(|(name, _)| *name != protocol::exchange::Lane::HEADER);
        if exchange {
            say(&mut call);
        }
        let mut answer = self.0.send(call).await?;
        if exchange {
            hear(&mut answer, ANSWER);
        } else if enrolment {
            hear(&mut answer, ENROLLED);
        }
        Ok(answer)
    }
}

/// Leaves of a request what it says.
fn say(call: &mut Call) {
    let packed = |(name, _): &(&str, String)| *name == "content-encoding";
    let packed = call.headers.iter().any(packed);
    let mut text = Vec::new();
    if packed {
        let mut unpacked = GzDecoder::new(call.body.as_slice());
        unpacked.read_to_end(&mut text).expect("packed here");
    } else {
        text.clone_from(&call.body);
    }
    let mut request: Value = serde_json::from_slice(&text).expect("JSON");
    only(&mut request, REQUEST);
    call.body = request.to_string().into_bytes();
    if packed {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&call.body).expect("memory");
        call.body = encoder.finish().expect("memory");
    }
}

/// Leaves of an answer what it takes in; what is no answer of the server's it
/// leaves as it is.
fn hear(answer: &mut Answer, known: &[&str]) {
    if answer.status == 200
        && let Ok(mut response) = serde_json::from_slice::<Value>(&answer.body)
    {
        only(&mut response, known);
        answer.body = response.to_string().into_bytes();
    }
}
