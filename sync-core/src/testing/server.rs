//! A whole server in memory, with the rules that matter to a phone.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::Read as _,
    rc::Rc,
};

use async_trait::async_trait;
use protocol::{
    assertion::{self, Assertion},
    codes::Code,
    enrolment::{self, Invitation, Proof},
    entry::{At, DECISION_TYP, DEVICE_TYP, Draft, Kind, Link, SdJwt},
    exchange::{self, Item, Outcome, OutcomeKind},
    ids::{DeviceId, EntryHash, EpochId, FileHash, MissionId, SubjectId, UserId},
    jose::{Jws, PublicKey, Signer, SoftwareKey},
    ledger,
    problem::Problem,
    receipt::{Head, Held, Receipt},
    reference::Snapshot,
};
use serde_json::{Map, json};
use uuid::Uuid;

use super::ELECTION_DAY;
use crate::transport::{Answer, Call, Method, Transport, Unreachable};

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request is lost.
    LostRequest,
    /// The server does it; the answer is lost.
    LostAnswer,
    /// A captive portal answers.
    Portal,
    /// The server has an error of its own.
    Problem(u16, Code),
    /// Only the first entries are processed.
    Partly,
    /// The receipt is signed with another key.
    ForgedReceipt,
    /// The receipt is missing.
    NoReceipt,
    /// The server asks to wait, on a good answer.
    Slot(u32),
    /// The body is too large for it.
    TooLarge,
    /// Of a part of a file so many bytes are stored; the answer is lost.
    Cut(usize),
    /// This status, as tus has it, and nothing else.
    Bare(u16),
    /// A bit of the reference data flips.
    Damaged,
}

/// An outcome, its code, and whether the place is taken twice.
pub(crate) type Verdict = (OutcomeKind, Option<Code>, bool);

/// A whole server in memory, with the rules that matter to a phone.
pub(crate) struct FakeServer {
    key: SoftwareKey,
    pub(crate) mission: MissionId,
    pub(crate) epoch: Cell<EpochId>,
    /// The ledger: entries and decisions in order, with what they are.
    pub(crate) ledger: RefCell<Vec<(EntryHash, SdJwt)>>,
    device: RefCell<Option<PublicKey>>,
    /// One for each of the next calls, by its path's end; the front comes first.
    pub(crate) faults: RefCell<VecDeque<Option<Fault>>>,
    /// Entries for which the whole request gets a 400.
    pub(crate) poison: RefCell<BTreeSet<EntryHash>>,
    /// What it answers to these.
    pub(crate) poison_status: Cell<u16>,
    /// Knows the device no more, until it gets the enrolment.
    pub(crate) forgot_device: Cell<bool>,
    /// Entries that get a verdict of their own.
    pub(crate) verdicts: RefCell<BTreeMap<EntryHash, Verdict>>,
    pub(crate) calls: RefCell<Vec<String>>,
    pub(crate) requests: RefCell<Vec<exchange::Request>>,
    pub(crate) code_problem: Cell<Option<Code>>,
    pub(crate) token_problem: Cell<Option<Code>>,
    pub(crate) clock: Cell<i64>,
    pub(crate) page: Cell<usize>,
    other_key: Cell<bool>,
    /// Files, as far as they came.
    pub(crate) evidence: RefCell<BTreeMap<FileHash, Vec<u8>>>,
    /// Whether whole files are called durable.
    pub(crate) durable: Cell<bool>,
    /// Files whose entry is in quarantine.
    pub(crate) waits: RefCell<BTreeSet<FileHash>>,
    /// Bytes that came in parts of files.
    pub(crate) part_bytes: Cell<u64>,
    /// Done at each part, before it is answered: its number is given.
    pub(crate) at_part: RefCell<Option<Hook>>,
    pub(crate) parts: Cell<usize>,
    /// The signed enrolment that phones are given.
    pub(crate) enrolment: RefCell<Option<SdJwt>>,
    /// Its database was put back without a word; it finds out by a receipt.
    pub(crate) rolled_back: Cell<bool>,
    /// How often it found out.
    renewals: Cell<u8>,
    /// The registers' versions, the newest last.
    pub(crate) reference: RefCell<Vec<Snapshot>>,
    /// Bytes of a delta that stands in an answer.
    pub(crate) inline: Cell<usize>,
    /// The next answer loses its items on the way.
    pub(crate) loses_items: Cell<bool>,
    /// So many items are damaged on their way.
    pub(crate) damage_items: Cell<u32>,
    /// Deltas lack a line.
    pub(crate) false_deltas: Cell<bool>,
    /// Names how it packs.
    pub(crate) packing: Cell<u32>,
    /// Every snapshot that it sends is damaged.
    pub(crate) damages: Cell<bool>,
    /// Bytes of reference data that were fetched apart, and arrived.
    pub(crate) reference_bytes: Cell<u64>,
}

/// What a test does in the middle of an upload.
pub(crate) type Hook = Box<dyn Fn(usize)>;

impl FakeServer {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            key: SoftwareKey::ed25519(&[5; 32]),
            mission: MissionId(Uuid::from_bytes([3; 16])),
            epoch: Cell::new(EpochId(Uuid::from_bytes([1; 16]))),
            ledger: RefCell::default(),
            device: RefCell::default(),
            faults: RefCell::default(),
            poison: RefCell::default(),
            poison_status: Cell::new(400),
            forgot_device: Cell::default(),
            verdicts: RefCell::default(),
            calls: RefCell::default(),
            requests: RefCell::default(),
            code_problem: Cell::new(None),
            token_problem: Cell::new(None),
            clock: Cell::new(ELECTION_DAY / 1_000_000),
            page: Cell::new(100),
            other_key: Cell::new(false),
            evidence: RefCell::default(),
            durable: Cell::new(false),
            waits: RefCell::default(),
            part_bytes: Cell::new(0),
            at_part: RefCell::default(),
            parts: Cell::new(0),
            enrolment: RefCell::default(),
            rolled_back: Cell::new(false),
            renewals: Cell::new(0),
            loses_items: Cell::new(false),
            reference: RefCell::default(),
            inline: Cell::new(1_000),
            damage_items: Cell::new(0),
            false_deltas: Cell::new(false),
            packing: Cell::new(0),
            damages: Cell::new(false),
            reference_bytes: Cell::new(0),
        })
    }

    pub(crate) fn link(&self) -> String {
        self.link_with("CODE1")
    }

    pub(crate) fn link_with(&self, code: &str) -> String {
        let key = self.key.public().thumbprint();
        Invitation {
            origin: "https://server.test".into(),
            code: code.into(),
            mission: self.mission,
            key,
        }
        .to_url()
    }

    pub(crate) fn fail_next(&self, fault: Fault) {
        self.faults.borrow_mut().push_back(Some(fault));
    }

    pub(crate) fn impersonate(&self) {
        self.other_key.set(true);
    }

    pub(crate) fn restore_backup(&self, keep: usize, epoch: u8) {
        self.ledger.borrow_mut().truncate(keep);
        self.epoch.set(EpochId(Uuid::from_bytes([epoch; 16])));
    }

    pub(crate) fn holds(&self, hash: &EntryHash) -> usize {
        self.ledger
            .borrow()
            .iter()
            .filter(|(held, _)| held == hash)
            .count()
    }

    /// The entry that enrols the device.
    pub(crate) fn sign_enrolment(&self) -> EntryHash {
        let entry = self.sign(
            Kind::Enrol,
            SubjectId(Uuid::from_bytes([4; 16])),
            None,
            Map::new(),
            Vec::new(),
        );
        *self.enrolment.borrow_mut() = Some(entry.clone());
        self.ledger.borrow_mut().push((entry.hash(), entry.clone()));
        entry.hash()
    }

    fn sign(
        &self,
        kind: Kind,
        subject: SubjectId,
        base: Option<EntryHash>,
        clear: Map<String, serde_json::Value>,
        disclosed: Vec<(&'static str, serde_json::Value)>,
    ) -> SdJwt {
        let draft = Draft {
            mission: self.mission,
            subject,
            kind,
            base,
            link: Link::Actor(UserId(Uuid::from_bytes([8; 16]))),
            at: At::default(),
            clear,
            disclosed,
        };
        let number = self.ledger.borrow().len();
        draft
            .sign(&self.key, &mut || {
                [u8::try_from(number % 256).expect("small"); 16]
            })
            .expect("signs")
    }

    /// A coordinator's decision.
    pub(crate) fn decide(&self, subject: SubjectId, to: &str, question: Option<&str>) -> EntryHash {
        self.decide_on(None, subject, to, question)
    }

    /// A coordinator's decision on a state of the report.
    pub(crate) fn decide_on(
        &self,
        base: Option<EntryHash>,
        subject: SubjectId,
        to: &str,
        question: Option<&str>,
    ) -> EntryHash {
        let mut clear = Map::new();
        clear.insert("to".into(), json!(to));
        let disclosed = question.map(|question| ("question", json!(question)));
        let entry = self.sign(
            Kind::Decide,
            subject,
            base,
            clear,
            disclosed.into_iter().collect(),
        );
        self.ledger.borrow_mut().push((entry.hash(), entry.clone()));
        entry.hash()
    }

    /// A message to everybody.
    pub(crate) fn tell(&self, text: &str) -> EntryHash {
        let mut clear = Map::new();
        clear.insert("audience".into(), json!({}));
        let subject = SubjectId(Uuid::from_bytes([6; 16]));
        let entry = self.sign(
            Kind::Message,
            subject,
            None,
            clear,
            vec![("text", json!(text))],
        );
        self.ledger.borrow_mut().push((entry.hash(), entry.clone()));
        entry.hash()
    }

    pub(super) fn time(&self) -> String {
        crate::host::rfc3339(self.clock.get() * 1_000_000)
    }

    fn exchange(&self, request: &exchange::Request, token: bool, fault: Option<Fault>) -> Answer {
        self.requests.borrow_mut().push(request.clone());
        let shown = request.receipt.as_deref().map(|compact| {
            Receipt::verify(compact, &self.key.public()).expect("a receipt of its own")
        });
        if self.rolled_back.get() && shown.is_some_and(|shown| shown.epoch == self.epoch.get()) {
            self.rolled_back.set(false);
            self.renewals.set(self.renewals.get() + 1);
            self.epoch
                .set(EpochId(Uuid::from_bytes([76 + self.renewals.get(); 16])));
        }
        let receipt_wanted = self.rolled_back.get() && request.seen.is_some();
        let entries: Vec<SdJwt> = request
            .entries
            .iter()
            .map(|wire| SdJwt::from_wire(wire).expect("an entry"))
            .collect();
        let returned: Vec<SdJwt> = request
            .returned
            .iter()
            .map(|wire| SdJwt::from_wire(wire).expect("an entry"))
            .collect();
        if entries
            .iter()
            .chain(&returned)
            .any(|entry| self.poison.borrow().contains(&entry.hash()))
        {
            return problem(self.poison_status.get(), Code::MalformedJson);
        }
        let enrols = |entry: &SdJwt| {
            entry
                .read()
                .is_ok_and(|read| read.payload.kind == Kind::Enrol)
        };
        if returned.iter().any(enrols) {
            self.forgot_device.set(false);
        }
        let stranger = Some((OutcomeKind::Refused, Some(Code::UnknownKey), false))
            .filter(|_| self.forgot_device.get());
        let take = if fault == Some(Fault::Partly) {
            entries.len() / 2
        } else {
            entries.len()
        };
        let key = self.device.borrow().clone().expect("enrolled");
        let mut outcomes = Vec::new();
        for entry in entries.iter().take(take) {
            let hash = entry.hash();
            entry.verify(&key, DEVICE_TYP).expect("a good signature");
            let known = self
                .ledger
                .borrow()
                .iter()
                .position(|(held, _)| *held == hash);
            let verdicts = self.verdicts.borrow();
            let (kind, code, fork) = match stranger.as_ref().or_else(|| verdicts.get(&hash)) {
                Some((OutcomeKind::Refused, code, _)) => (OutcomeKind::Refused, *code, false),
                _ if known.is_some() => (OutcomeKind::AlreadyStored, None, false),
                Some(verdict) => *verdict,
                None => {
                    let base = entry.read().expect("reads").payload.base;
                    let waits = base.is_some_and(|base| self.holds(&base) == 0);
                    (
                        if waits {
                            OutcomeKind::Held
                        } else {
                            OutcomeKind::Stored
                        },
                        None,
                        false,
                    )
                }
            };
            let number = kind.is_delivered().then(|| {
                let at = known.unwrap_or_else(|| {
                    self.ledger.borrow_mut().push((hash, entry.clone()));
                    self.ledger.borrow().len() - 1
                });
                at as u64 + 1
            });
            outcomes.push(Outcome {
                hash,
                outcome: kind,
                number,
                code,
                fork,
            });
        }
        for entry in returned {
            entry
                .verify(&self.key.public(), DECISION_TYP)
                .expect("its own signature");
            let hash = entry.hash();
            let verdict = self.verdicts.borrow().get(&hash).copied();
            let known = self.holds(&hash) > 0;
            if !known {
                self.ledger.borrow_mut().push((hash, entry));
            }
            let ledger = self.ledger.borrow();
            let at = ledger.iter().position(|(held, _)| *held == hash);
            let stored = if known {
                OutcomeKind::AlreadyStored
            } else {
                OutcomeKind::Stored
            };
            let (outcome, code, fork) = verdict.unwrap_or((stored, None, false));
            outcomes.push(Outcome {
                hash,
                outcome,
                number: at.map(|at| at as u64 + 1),
                code,
                fork,
            });
        }
        let cursor: usize = request
            .cursor
            .as_deref()
            .map_or(0, |cursor| cursor.parse().expect("a cursor"));
        let ledger = self.ledger.borrow();
        if cursor > ledger.len() {
            return problem(400, Code::InvalidCursor);
        }
        let decisions = ledger
            .iter()
            .enumerate()
            .skip(cursor)
            .filter(|(_, (_, entry))| {
                entry
                    .read()
                    .is_ok_and(|read| matches!(read.payload.kind, Kind::Decide | Kind::Message))
            });
        let found: Vec<Item> = decisions
            .map(|(at, (_, entry))| Item {
                number: at as u64 + 1,
                entry: entry.to_wire(),
            })
            .take(if token { self.page.get() + 1 } else { 0 })
            .collect();
        let more = found.len() > self.page.get();
        let mut items: Vec<Item> = found.into_iter().take(self.page.get()).collect();
        for item in &mut items {
            if let Some(left) = self.damage_items.get().checked_sub(1) {
                self.damage_items.set(left);
                item.entry.payload.push(' ');
            }
        }
        let end = if more {
            items.last().map_or(cursor as u64, |item| item.number)
        } else {
            ledger.len() as u64
        };
        drop(ledger);
        let mut response = exchange::Response {
            protocol: 1,
            epoch: self.epoch.get(),
            server_time: self.time(),
            receipt: None,
            outcomes,
            items,
            cursor: token.then(|| end.to_string()),
            more,
            directives: exchange::Directives {
                retry_after: match fault {
                    Some(Fault::Slot(seconds)) => Some(seconds),
                    _ => None,
                },
                spread: None,
            },
            token: None,
            receipt_wanted,
            reference: self.offers(request, token),
        };
        response.receipt = self.receipt(&response, fault);
        if self.loses_items.take() {
            response.items.clear();
        }
        good(&json!(response))
    }

    fn receipt(&self, response: &exchange::Response, fault: Option<Fault>) -> Option<String> {
        let outcomes = &response.outcomes;
        let news = (!response.items.is_empty()).then(|| response.news());
        let entries: Vec<Held> = outcomes
            .iter()
            .filter_map(|outcome| {
                Some(Held {
                    hash: outcome.hash,
                    number: outcome.number?,
                })
            })
            .collect();
        if (entries.is_empty() && news.is_none()) || fault == Some(Fault::NoReceipt) {
            return None;
        }
        let chain = ledger::genesis(self.mission);
        let receipt = Receipt {
            v: 1,
            mission: self.mission,
            epoch: self.epoch.get(),
            at: self.time(),
            head: Head {
                number: self.ledger.borrow().len() as u64,
                chain: EntryHash(chain),
            },
            entries,
            news,
        };
        let forged = SoftwareKey::ed25519(&[6; 32]);
        let key = if fault == Some(Fault::ForgedReceipt) {
            &forged
        } else {
            &self.key
        };
        Some(receipt.sign(key).expect("signs"))
    }

    fn enrol(&self, request: &enrolment::Request) -> Answer {
        if let Some(code) = self.code_problem.get() {
            return problem(code.status(), code);
        }
        let key = PublicKey::from_jwk(&request.key).expect("a key");
        let proof = Proof::verify(&request.proof, &key).expect("a proof");
        assert_eq!(
            (proof.code, proof.aud),
            (request.code.clone(), self.key.public().thumbprint())
        );
        *self.device.borrow_mut() = Some(key);
        let shown = if self.other_key.get() {
            SoftwareKey::ed25519(&[6; 32])
        } else {
            self.key.clone()
        };
        good(&json!(enrolment::Response {
            device: DeviceId(Uuid::from_bytes([4; 16])),
            mission: enrolment::Mission {
                id: self.mission,
                name: "Observers".into(),
                election: "Parliament".into(),
                timezone: "Asia/Baku".into(),
            },
            accreditation: "A-17".into(),
            receipt_key: shown.public().to_jwk(),
            sealing_key: "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p".into(),
            epoch: self.epoch.get(),
            server_time: self.time(),
            entry: self.enrolment.borrow().as_ref().map(SdJwt::to_wire),
            // It is the first that this server signs.
            number: self.enrolment.borrow().as_ref().map(|_| 1),
        }))
    }

    fn token(&self, body: &[u8]) -> Answer {
        if let Some(code) = self.token_problem.get() {
            return problem(code.status(), code);
        }
        let pairs: BTreeMap<_, _> = url::form_urlencoded::parse(body).into_owned().collect();
        assert_eq!(pairs["grant_type"], assertion::GRANT_TYPE);
        let jws = Jws::parse(&pairs["assertion"]).expect("an assertion");
        let aud = assertion::audience(&self.key.public().thumbprint());
        let key = self.device.borrow().clone().expect("enrolled");
        match Assertion::verify(&jws, &key, &aud, self.clock.get()) {
            Ok(_) => good(&json!({"access_token": "T", "token_type": "Bearer", "expires_in": 900})),
            Err(_) => problem(400, Code::InvalidGrant),
        }
    }
}

fn good(value: &serde_json::Value) -> Answer {
    Answer {
        status: 200,
        content_type: "application/json".into(),
        body: value.to_string().into_bytes(),
        ..Answer::default()
    }
}

pub(crate) fn problem(status: u16, code: Code) -> Answer {
    Answer {
        status,
        content_type: "application/problem+json".into(),
        retry_after: if status == 503 {
            "7".into()
        } else {
            String::new()
        },
        body: json!(Problem::new(code, "detail")).to_string().into_bytes(),
        ..Answer::default()
    }
}

#[async_trait(?Send)]
impl Transport for Rc<FakeServer> {
    async fn send(&self, call: Call) -> Result<Answer, Unreachable> {
        let path = call
            .url
            .strip_prefix("https://server.test")
            .expect("its own address");
        self.calls.borrow_mut().push(match call.method {
            Method::Post => path.to_owned(),
            method => format!("{method:?} {path}"),
        });
        let fault = self.faults.borrow_mut().pop_front().flatten();
        let lost = |connected| {
            Err(Unreachable {
                message: "cut off".into(),
                connected,
            })
        };
        match fault {
            Some(Fault::LostRequest) => return lost(false),
            Some(Fault::Portal) => {
                let body = b"<html>log in</html>".to_vec();
                return Ok(Answer {
                    status: 200,
                    content_type: "text/html".into(),
                    body,
                    ..Answer::default()
                });
            }
            Some(Fault::Bare(status)) => {
                return Ok(Answer {
                    status,
                    tus_resumable: "1.0.0".into(),
                    ..Answer::default()
                });
            }
            Some(Fault::Problem(status, code)) => return Ok(problem(status, code)),
            Some(Fault::TooLarge) => return Ok(problem(413, Code::BodyTooLarge)),
            _ => {}
        }
        if let Some(path) = path.strip_prefix("/v1/reference/") {
            let answer = self.read_reference(path, &call, fault);
            return match fault {
                Some(Fault::LostAnswer) => lost(true),
                _ => {
                    let came = self.reference_bytes.get() + answer.body.len() as u64;
                    self.reference_bytes.set(came);
                    Ok(answer)
                }
            };
        }
        let packed = call
            .headers
            .iter()
            .any(|(name, value)| *name == "content-encoding" && value == "gzip");
        let body = if packed {
            let mut body = Vec::new();
            flate2::read::GzDecoder::new(call.body.as_slice())
                .read_to_end(&mut body)
                .expect("unpacks");
            body
        } else {
            call.body
        };
        let token = call.headers.contains(&("authorization", "Bearer T".into()));
        if let Some(file) = path.strip_prefix("/v1/evidence/") {
            assert!(token, "evidence needs a token");
            let file = file.parse().expect("a hash");
            let answer = self.evidence(call.method, file, &call.headers, &body, fault);
            return match fault {
                Some(Fault::LostAnswer | Fault::Cut(_)) => lost(true),
                _ => Ok(answer),
            };
        }
        let answer = match path {
            "/v1/enrolments" => self.enrol(&serde_json::from_slice(&body).expect("a request")),
            "/v1/exchange" => self.exchange(
                &serde_json::from_slice(&body).expect("a request"),
                token,
                fault,
            ),
            "/v1/token" => self.token(&body),
            other => panic!("no such address: {other}"),
        };
        if fault == Some(Fault::LostAnswer) {
            lost(true)
        } else {
            Ok(answer)
        }
    }
}
