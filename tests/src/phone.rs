//! A phone in the test's own process: it signs whatever a test wants signed.

use protocol::{
    PROTOCOL_VERSION,
    assertion::{Assertion, GRANT_TYPE, audience},
    encoding::b64,
    enrolment::{self, Invitation, Proof},
    entry::{At, CheckIn, Draft, Kind, Link, Move, Patch, ReportFields, SdJwt, WireEntry},
    exchange::{JournalHead, Outcome, Request, Response},
    ids::{EntryHash, JournalId, MissionId, SubjectId},
    jose::{PublicKey, Signer as _, SoftwareKey},
    receipt::Receipt,
};
use serde_json::{Map, Value, json};

use crate::{
    chance::Chance,
    http::{self, Answer},
    site::Site,
};

/// See the module.
#[derive(Clone, Debug)]
pub struct Phone {
    /// Its key.
    pub key: SoftwareKey,
    /// What it was invited to.
    pub invitation: Invitation,
    /// Its journal.
    pub journal: JournalId,
    /// The last place taken.
    pub seq: u64,
    /// The last entry.
    pub prev: Option<EntryHash>,
    /// Where salts and ids come from.
    pub chance: Chance,
    /// The clock on its wall.
    pub wall: String,
}

/// What an exchange brought.
#[derive(Clone, Debug)]
pub struct Exchanged {
    /// The answer.
    pub response: Response,
    /// Its receipt, verified.
    pub receipt: Option<Receipt>,
}

impl Exchanged {
    /// The outcome of an entry.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    #[must_use]
    pub fn outcome(&self, entry: &SdJwt) -> &Outcome {
        self.of(entry.hash())
    }

    /// The same by its hash.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    #[must_use]
    pub fn of(&self, hash: EntryHash) -> &Outcome {
        let found = self
            .response
            .outcomes
            .iter()
            .find(|outcome| outcome.hash == hash);
        found.unwrap_or_else(|| panic!("no outcome for {hash} in {:?}", self.response.outcomes))
    }

    /// What became of an entry, in short: `stored`, `quarantined:revoked_device`, …
    #[track_caller]
    #[must_use]
    pub fn short(&self, entry: &SdJwt) -> String {
        let outcome = self.outcome(entry);
        let mut text = json!(outcome.outcome)
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if let Some(code) = outcome.code {
            text = format!("{text}:{code}");
        }
        if outcome.fork {
            text.push_str(" fork");
        }
        text
    }
}

/// The wall clock now, to the second.
#[must_use]
pub fn now() -> String {
    scrutineer::clock::Host::system().now().rfc3339()
}

impl Phone {
    /// A phone with a key of its own, not enrolled yet.
    ///
    /// # Panics
    /// For a link that is none.
    #[must_use]
    pub fn new(link: &str, mut chance: Chance) -> Self {
        Self {
            key: SoftwareKey::ed25519(&chance.bytes()),
            invitation: Invitation::from_url(link).unwrap_or_else(|| panic!("not a link: {link}")),
            journal: JournalId(chance.uuid()),
            seq: 0,
            prev: None,
            chance,
            wall: now(),
        }
    }

    /// An enrolled phone of an accreditation.
    #[track_caller]
    #[must_use]
    pub fn enrolled(site: &Site, mission: MissionId, accreditation: &str) -> Self {
        let phone = Self::new(&site.invite(mission, accreditation), Chance::new());
        phone.enrol().ok();
        phone
    }

    /// The mission.
    #[must_use]
    pub fn mission(&self) -> MissionId {
        self.invitation.mission
    }

    /// Where the server is.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.invitation.origin
    }

    /// The thumbprint of its key.
    #[must_use]
    pub fn kid(&self) -> String {
        self.key.public().thumbprint()
    }

    /// The request that enrols its key.
    ///
    /// # Panics
    /// When it cannot be signed.
    #[must_use]
    pub fn enrolment(&self) -> enrolment::Request {
        let proof = Proof {
            code: self.invitation.code.clone(),
            aud: self.invitation.key.clone(),
        };
        enrolment::Request {
            code: self.invitation.code.clone(),
            key: self.key.public().to_jwk(),
            proof: proof.sign(&self.key).expect("a software key signs"),
        }
    }

    /// Asks to be enrolled.
    #[track_caller]
    #[must_use]
    pub fn enrol(&self) -> Answer {
        post(self.origin(), "/v1/enrolments", &json!(self.enrolment()))
    }

    /// Asks for a token.
    #[track_caller]
    #[must_use]
    pub fn ask_token(&self) -> Answer {
        let now = scrutineer::clock::Host::system().now().seconds();
        self.ask_token_with(&Assertion {
            iss: self.kid(),
            sub: self.kid(),
            aud: audience(&self.invitation.key),
            iat: now,
            exp: now + 300,
            jti: b64(self.chance.clone().bytes::<16>()),
        })
    }

    /// Asks for a token with other claims.
    ///
    /// # Panics
    /// When it cannot be signed.
    #[track_caller]
    #[must_use]
    pub fn ask_token_with(&self, claims: &Assertion) -> Answer {
        self.ask_token_signed(&claims.sign(&self.key).expect("a software key signs"))
    }

    /// Asks for a token with an assertion signed elsewhere.
    #[track_caller]
    #[must_use]
    pub fn ask_token_signed(&self, assertion: &str) -> Answer {
        let form = format!(
            "grant_type={}&assertion={assertion}",
            GRANT_TYPE.replace(':', "%3A")
        );
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        http::send(
            "POST",
            &format!("{}/v1/token", self.origin()),
            &headers,
            Some(form.into_bytes()),
        )
    }

    /// A token.
    #[track_caller]
    #[must_use]
    pub fn token(&self) -> String {
        self.ask_token().ok()["access_token"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    fn draft(&mut self, kind: Kind, subject: SubjectId, base: Option<EntryHash>) -> Draft {
        self.seq += 1;
        Draft {
            mission: self.mission(),
            subject,
            kind,
            base,
            link: Link::Journal {
                journal: self.journal,
                seq: self.seq,
                prev: self.prev,
                seen: None,
            },
            at: At {
                wall: self.wall.clone(),
                uptime: Some(81_000_000 + self.seq),
                boot: None,
            },
            clear: Map::new(),
            disclosed: Vec::new(),
        }
    }

    /// Signs a draft as this journal's next entry.
    ///
    /// # Panics
    /// For a draft beyond the limits.
    #[track_caller]
    pub fn sign(&mut self, draft: Draft) -> SdJwt {
        let chance = &mut self.chance;
        let entry = draft
            .sign(&self.key, &mut || chance.bytes())
            .expect("an entry within the limits");
        self.prev = Some(entry.hash());
        entry
    }

    /// An entry of any kind and body.
    #[track_caller]
    pub fn entry(
        &mut self,
        kind: Kind,
        subject: SubjectId,
        base: Option<EntryHash>,
        clear: Map<String, Value>,
        disclosed: Vec<(&'static str, Value)>,
    ) -> SdJwt {
        let draft = Draft {
            clear,
            disclosed,
            ..self.draft(kind, subject, base)
        };
        self.sign(draft)
    }

    /// A new report.
    #[track_caller]
    pub fn file(&mut self, fields: &ReportFields) -> SdJwt {
        let subject = SubjectId(self.chance.uuid());
        let (clear, disclosed) = fields.to_body();
        self.entry(Kind::File, subject, None, clear, disclosed)
    }

    /// A new report with nothing but a text.
    #[track_caller]
    pub fn file_text(&mut self, text: &str) -> SdJwt {
        self.file(&report(text))
    }

    /// An amendment of a text.
    #[track_caller]
    pub fn amend(&mut self, report: &SdJwt, base: EntryHash, text: &str) -> SdJwt {
        let fields = ReportFields {
            text: Patch::Set(text.to_owned()),
            ..ReportFields::default()
        };
        let (clear, disclosed) = fields.to_body();
        self.entry(Kind::Amend, subject(report), Some(base), clear, disclosed)
    }

    /// A withdrawal.
    #[track_caller]
    pub fn withdraw(&mut self, report: &SdJwt, base: EntryHash, reason: &str) -> SdJwt {
        self.entry(
            Kind::Withdraw,
            subject(report),
            Some(base),
            Map::new(),
            vec![("reason", json!(reason))],
        )
    }

    /// A check-in: the observer arrived.
    #[track_caller]
    pub fn check_in(&mut self, station: &str) -> SdJwt {
        self.move_to(station, Move::Arrived)
    }

    /// A check-in of either kind.
    #[track_caller]
    pub fn move_to(&mut self, station: &str, event: Move) -> SdJwt {
        let check_in = CheckIn {
            event,
            station: station.to_owned(),
            place: None,
        };
        let (clear, disclosed) = check_in.to_body();
        let subject = SubjectId(self.chance.uuid());
        self.entry(Kind::CheckIn, subject, None, clear, disclosed)
    }

    /// The request that carries these entries; the phone has no others.
    #[must_use]
    pub fn request(&self, entries: &[&SdJwt]) -> Request {
        Request {
            protocol: PROTOCOL_VERSION,
            app: "tests".into(),
            journals: vec![JournalHead {
                journal: self.journal,
                head: self.seq,
                pending: 0,
            }],
            clock: Some(At {
                wall: now(),
                uptime: None,
                boot: None,
            }),
            entries: entries.iter().map(|entry| entry.to_wire()).collect(),
            cursor: None,
            seen: None,
            receipt: None,
            returned: Vec::new(),
            former: Vec::new(),
            reference: Vec::new(),
        }
    }

    /// Sends entries without a token; the receipt must name what is delivered.
    #[track_caller]
    #[must_use]
    pub fn send(&self, entries: &[&SdJwt]) -> Exchanged {
        self.exchange(&self.request(entries), None)
    }

    /// One exchange.
    ///
    /// # Panics
    /// When it is refused, or its receipt does not verify or lacks a delivered entry.
    #[track_caller]
    #[must_use]
    pub fn exchange(&self, request: &Request, token: Option<&str>) -> Exchanged {
        let answer = self.try_exchange(request, token);
        let response: Response = serde_json::from_value(answer.ok()).expect("an exchange's answer");
        self.check(response, &request.entries)
    }

    /// The answer to one exchange, whatever it is.
    #[track_caller]
    #[must_use]
    pub fn try_exchange(&self, request: &Request, token: Option<&str>) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        let body = serde_json::to_vec(request).expect("JSON");
        http::send(
            "POST",
            &format!("{}/v1/exchange", self.origin()),
            &headers,
            Some(body),
        )
    }

    /// Checks an answer as docs/protocol.md §7 demands.
    ///
    /// # Panics
    /// When its receipt does not verify or lacks a delivered entry.
    #[track_caller]
    #[must_use]
    pub fn check(&self, response: Response, entries: &[WireEntry]) -> Exchanged {
        let receipt = response.receipt.as_ref().map(|receipt| {
            let key = receipt_key(self.origin(), &self.invitation.key);
            Receipt::verify(receipt, &key).expect("the receipt verifies")
        });
        for outcome in &response.outcomes {
            if outcome.outcome.is_delivered() {
                let receipt = receipt.as_ref().expect("a receipt for what is delivered");
                assert_eq!(
                    receipt.number_of(&outcome.hash),
                    outcome.number,
                    "the receipt names each delivered entry"
                );
                assert_eq!(
                    (receipt.mission, receipt.epoch),
                    (self.mission(), response.epoch)
                );
            }
        }
        assert!(response.outcomes.len() <= entries.len());
        Exchanged { response, receipt }
    }
}

/// A report with nothing but a text.
#[must_use]
pub fn report(text: &str) -> ReportFields {
    ReportFields {
        category: Some("ballot_stuffing".into()),
        text: Patch::Set(text.to_owned()),
        ..ReportFields::default()
    }
}

/// What an entry is about.
///
/// # Panics
/// When it cannot be read.
#[must_use]
pub fn subject(entry: &SdJwt) -> SubjectId {
    entry.read().expect("a readable entry").payload.subject
}

/// The receipt key that a server publishes, if it is the one with this thumbprint.
fn receipt_key(origin: &str, thumbprint: &str) -> PublicKey {
    let set = http::send("GET", &format!("{origin}/.well-known/jwks.json"), &[], None).ok();
    let keys = set["keys"].as_array().cloned().unwrap_or_default();
    keys.into_iter()
        .filter_map(|key| PublicKey::from_jwk(&serde_json::from_value(key).ok()?).ok())
        .find(|key| key.thumbprint() == thumbprint)
        .expect("the server publishes its receipt key")
}

/// Posts JSON without a token.
#[track_caller]
#[must_use]
pub fn post(origin: &str, path: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    http::send(
        "POST",
        &format!("{origin}{path}"),
        &headers,
        Some(body.to_string().into_bytes()),
    )
}
