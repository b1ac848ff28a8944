//! Random histories: entries of several phones, delivered in any order, twice,
//! in any batches, between revocations, decisions, admissions and erasures.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use protocol::{
    entry::{At, Attach, Draft, FileRef, Kind, Link, Patch, Place, ReportFields, SdJwt, WireEntry},
    exchange::{JournalHead, Request},
    ids::{
        AccreditationId, DeviceId, EntryHash, FileHash, JournalId, MissionId, SubjectId, UserId,
    },
    jose::{Signer as _, SoftwareKey},
    ledger::{extend, genesis},
};
use serde_json::json;
use uuid::Uuid;

use super::append;
use crate::{
    clock::{Host, Micros},
    domain::{
        acts::{self, Decision, MissionRef, Office},
        cases,
        ingest::{self, DeviceKeys},
        missions, rebuild, status,
        telephone::{self, From, Telling, Wish},
        triage,
    },
    store::{DatabaseUrl, Store, bulk, ledger, projections, registers},
};

/// Bytes of evidence: two or three of the files that the phones attach.
const QUOTA: u64 = 300;

struct World {
    _folder: tempfile::TempDir,
    store: Store,
    host: Host,
    key: SoftwareKey,
    mission: MissionRef,
    phones: Vec<Phone>,
    cache: DeviceKeys,
    registers: Option<super::Registers>,
    now: i64,
    /// Reports by telephone.
    calls: Vec<Uuid>,
}

struct Phone {
    key: SoftwareKey,
    device: DeviceId,
    accreditation: AccreditationId,
    journal: JournalId,
    seq: u64,
    prev: Option<EntryHash>,
    reports: Vec<(Uuid, EntryHash)>,
    entries: Vec<WireEntry>,
}

impl World {
    /// Three phones; the last two belong to one observer.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&DatabaseUrl::Sqlite(folder.path().join("db.sqlite")), 4).unwrap();
        let host = Host::system();
        let key = SoftwareKey::ed25519(&host.bytes());
        let wish = missions::Wish {
            name: "Test".into(),
            election: "Test".into(),
            timezone: "Asia/Baku".into(),
            levels: vec!["constituency".into(), "station".into()],
        };
        let mission = store
            .write(|conn| {
                missions::ensure_epoch(conn, &host)?;
                missions::create(conn, Micros(0), MissionId(host.uuid()), &wish, "age1test")
            })
            .unwrap();
        let mut world = Self {
            _folder: folder,
            store,
            host,
            key,
            mission,
            phones: Vec::new(),
            cache: DeviceKeys::default(),
            registers: None,
            now: 1_725_000_000_000_000,
            calls: Vec::new(),
        };
        let shared = AccreditationId(world.host.uuid());
        for accreditation in [AccreditationId(world.host.uuid()), shared, shared] {
            let key = SoftwareKey::ed25519(&world.host.bytes());
            let device = world
                .act(|conn, office, mission| {
                    acts::enrol(conn, office, mission, accreditation, &key.public().to_jwk())
                })
                .unwrap();
            world.phones.push(Phone {
                key,
                device,
                accreditation,
                journal: JournalId(world.host.uuid()),
                seq: 0,
                prev: None,
                reports: Vec::new(),
                entries: Vec::new(),
            });
        }
        world.register();
        world
    }

    /// Puts the observers into the register, as `N0` and `N1`.
    fn register(&self) {
        let rows: Vec<registers::Accreditation> = self.phones[..2]
            .iter()
            .enumerate()
            .map(|(at, phone)| registers::Accreditation {
                mission: self.mission.no,
                id: phone.accreditation.0.as_bytes().to_vec(),
                number: format!("N{at}"),
                name: "A Name".into(),
                kind: "domestic".into(),
                institution: String::new(),
                country: String::new(),
                stations: "[]".into(),
                pseudonym: format!("observer-{at}"),
            })
            .collect();
        self.store
            .write(|conn| registers::put_accreditations(conn, &rows, |_| ()))
            .unwrap();
    }

    fn call(&mut self, from: From, text: &str) -> crate::error::Result<Uuid> {
        let id = self.host.uuid();
        let contact = matches!(from, From::Citizen).then(|| "her number".to_owned());
        let telling = Telling {
            contact,
            ..telling(text)
        };
        let wish = Wish { id, from, telling };
        let actor = UserId(Uuid::from_u128(9));
        self.act(|conn, office, mission| telephone::enter(conn, office, mission, actor, wish))?;
        self.calls.push(id);
        Ok(id)
    }

    fn correct(&self, id: Uuid, telling: Telling) -> crate::error::Result<telephone::Stands> {
        let which = (id, self.report(id).map_or(0, |row| row.version));
        let actor = UserId(Uuid::from_u128(8));
        self.act(|conn, office, mission| {
            telephone::correct(conn, office, mission, actor, which, telling)
        })
    }

    fn merge(&self, id: Uuid, into: Uuid) -> crate::error::Result<telephone::Stands> {
        let which = (id, self.report(id).map_or(0, |row| row.version));
        let actor = UserId(Uuid::from_u128(8));
        self.act(|conn, office, mission| {
            telephone::merge(
                conn,
                office,
                mission,
                actor,
                which,
                into,
                Some("same".into()),
            )
        })
    }

    fn unmerge(&self, id: Uuid) -> crate::error::Result<telephone::Stands> {
        let which = (id, self.report(id).map_or(0, |row| row.version));
        let actor = UserId(Uuid::from_u128(8));
        self.act(|conn, office, mission| {
            telephone::unmerge(conn, office, mission, actor, which, None)
        })
    }

    fn erase(&self, id: Uuid) -> crate::error::Result<i64> {
        let (one, two) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        self.act(|conn, office, mission| acts::erase(conn, office, mission, one, two, id, "asked"))
    }

    fn act<T>(
        &self,
        act: impl FnOnce(&mut crate::store::Conn, Office<'_>, MissionRef) -> crate::error::Result<T>,
    ) -> crate::error::Result<T> {
        let office = Office {
            host: &self.host,
            key: &self.key,
        };
        self.store.write(|conn| act(conn, office, self.mission))
    }

    fn sign(
        &mut self,
        phone: usize,
        kind: Kind,
        target: Option<(Uuid, EntryHash)>,
        text: &str,
    ) -> SdJwt {
        let subject = target.map_or_else(|| self.host.uuid(), |(subject, _)| subject);
        let (clear, disclosed) = match kind {
            Kind::File | Kind::Amend => ReportFields {
                category: (kind == Kind::File).then(|| "violence".into()),
                text: Patch::Set(text.into()),
                station: Patch::Set("1-1".into()),
                place: Patch::Set(Place {
                    lat: 0.0,
                    lon: 0.0,
                    accuracy: None,
                }),
                ..ReportFields::default()
            }
            .to_body(),
            // Few files: some are announced twice, and some as another size.
            Kind::Attach => {
                let seq = self.phones[phone].seq;
                let file = |name: u64, size| FileRef {
                    sha256: FileHash([u8::try_from(name).unwrap(); 32]),
                    size,
                    media_type: "image/jpeg".into(),
                };
                Attach {
                    file: file(seq % 5, 100 + seq % 3),
                    preview: (seq.is_multiple_of(2)).then(|| file(5 + seq % 2, 10)),
                    taken_at: Some("2024-09-01T06:00:00Z".into()),
                }
                .to_body()
            }
            Kind::Withdraw => (serde_json::Map::new(), vec![("reason", json!(text))]),
            _ => (serde_json::Map::new(), vec![("text", json!(text))]),
        };
        let phone = &mut self.phones[phone];
        phone.seq += 1;
        let entry = Draft {
            mission: self.mission.id,
            subject: SubjectId(subject),
            kind: kind.clone(),
            base: target.map(|(_, base)| base),
            link: Link::Journal {
                journal: phone.journal,
                seq: phone.seq,
                prev: phone.prev,
                seen: None,
            },
            at: At {
                wall: "2024-09-01T06:00:00.000Z".into(),
                uptime: None,
                boot: None,
            },
            clear,
            disclosed,
        }
        .sign(&phone.key, &mut || self.host.bytes())
        .unwrap();
        phone.prev = Some(entry.hash());
        match phone.reports.iter_mut().find(|(id, _)| *id == subject) {
            Some(report) => report.1 = entry.hash(),
            None => phone.reports.push((subject, entry.hash())),
        }
        phone.entries.push(entry.to_wire());
        entry
    }

    /// Delivers entries as one exchange; answers the outcomes' names.
    fn deliver(&mut self, entries: Vec<WireEntry>, journals: Vec<JournalHead>) -> Vec<String> {
        self.now += 1_000_000;
        let request = Request {
            protocol: 1,
            app: String::new(),
            journals,
            clock: None,
            entries,
            cursor: None,
            seen: None,
            receipt: None,
            returned: Vec::new(),
            former: Vec::new(),
            reference: Vec::new(),
        };
        let prepared = ingest::prepare(
            &self.cache,
            &self.store,
            &request,
            Vec::new(),
            Micros(self.now),
        )
        .unwrap();
        let (_, batch, ..) = prepared.into_parts();
        let outcome = self
            .store
            .write(|conn| {
                append(
                    conn,
                    &mut self.registers,
                    self.mission,
                    &batch.entries,
                    &batch.contacts,
                    QUOTA,
                    Micros(self.now),
                )
            })
            .unwrap();
        outcome
            .appended
            .iter()
            .map(|appended| format!("{:?}", appended.outcome))
            .collect()
    }

    fn report(&self, id: Uuid) -> Option<projections::ReportRow> {
        self.store
            .read(|conn| bulk::reports_by_id(conn, self.mission.no, &[id.as_bytes().to_vec()]))
            .unwrap()
            .pop()
    }

    fn decide(&self, id: Uuid, to: &str) -> crate::error::Result<acts::Decided> {
        let version = self.report(id).map_or(0, |row| row.version);
        let decision = Decision {
            to: to.into(),
            version,
            reason: Some("r".into()),
            question: Some("q".into()),
        };
        self.act(|conn, office, mission| {
            acts::decide(
                conn,
                office,
                mission,
                UserId(Uuid::from_u128(9)),
                id,
                decision,
            )
        })
    }

    /// Numbers without holes, a chain that follows, each entry once, and a
    /// rebuild that arrives at the same tables.
    fn check(&self) {
        let rows = self
            .store
            .read(|conn| ledger::after(conn, self.mission.no, 0, 100_000))
            .unwrap();
        let mut chain = genesis(self.mission.id);
        let mut seen = HashSet::new();
        for (index, row) in rows.iter().enumerate() {
            let number = u64::try_from(index).unwrap() + 1;
            let hash = EntryHash(row.hash.clone().try_into().unwrap());
            assert_eq!(row.number, i64::try_from(number).unwrap());
            assert!(seen.insert(hash), "an entry stands twice");
            chain = extend(&chain, number, &hash);
            assert_eq!(row.chain, chain);
            let entry = SdJwt::parse(std::str::from_utf8(&row.sd_jwt).unwrap()).unwrap();
            assert_eq!(entry.hash(), hash);
        }
        let before = self
            .store
            .read(|conn| projections::dump(conn, self.mission.no))
            .unwrap();
        self.store
            .write(|conn| rebuild::run(conn, &mut |_| {}))
            .unwrap();
        let after = self
            .store
            .read(|conn| projections::dump(conn, self.mission.no))
            .unwrap();
        let differ: Vec<_> = before
            .iter()
            .zip(&after)
            .filter(|(a, b)| a != b)
            .take(1)
            .collect();
        assert!(
            differ.is_empty() && before.len() == after.len(),
            "a rebuild differs from what ingest left: {differ:#?}"
        );
    }
}

fn telling(text: &str) -> Telling {
    Telling {
        category: "violence".into(),
        text: text.into(),
        station: Some("1-1".into()),
        ..Telling::default()
    }
}

#[derive(Clone, Debug)]
enum Step {
    File(usize),
    Revise(usize, u8),
    /// Delivers some of a phone's entries, from here on, in this order.
    Deliver(usize, Vec<prop::sample::Index>, bool),
    Decide(usize, u8),
    Erase(usize),
    /// Joins two phones' last reports, takes one out, keeps them apart, or assigns one.
    Triage(usize, usize, u8),
    Revoke(usize),
    AdmitAll,
    Clone(usize),
    /// An observer, or beyond them a citizen, calls.
    Call(usize),
    /// Something is done to a report by telephone: with which other.
    OnCall(prop::sample::Index, u8, prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize).prop_map(Step::File),
        4 => (0..3_usize, 0..5_u8).prop_map(|(phone, kind)| Step::Revise(phone, kind)),
        6 => (0..3_usize, prop::collection::vec(any::<prop::sample::Index>(), 1..6), any::<bool>())
            .prop_map(|(phone, picks, idle)| Step::Deliver(phone, picks, idle)),
        4 => (0..3_usize, 0..7_u8).prop_map(|(phone, to)| Step::Decide(phone, to)),
        1 => (0..3_usize).prop_map(Step::Erase),
        3 => (0..3_usize, 0..3_usize, 0..6_u8)
            .prop_map(|(phone, other, what)| Step::Triage(phone, other, what)),
        1 => (0..3_usize).prop_map(Step::Revoke),
        1 => Just(Step::AdmitAll),
        1 => (0..3_usize).prop_map(Step::Clone),
        3 => (0..3_usize).prop_map(Step::Call),
        6 => (any::<prop::sample::Index>(), 0..6_u8, any::<prop::sample::Index>())
            .prop_map(|(which, what, other)| Step::OnCall(which, what, other)),
    ]
}

fn run(world: &mut World, step: Step) {
    match step {
        Step::File(phone) => {
            world.sign(phone, Kind::File, None, "seen");
        }
        Step::Revise(phone, kind) => {
            // The third phone revises its colleague's reports.
            let owner = if phone == 2 { 1 } else { phone };
            let Some(target) = world.phones[owner].reports.last().copied() else {
                return;
            };
            let kinds = [
                Kind::Amend,
                Kind::Withdraw,
                Kind::Answer,
                Kind::Attach,
                Kind::Attach,
            ];
            let kind = kinds[usize::from(kind)].clone();
            world.sign(phone, kind, Some(target), "more");
        }
        Step::Deliver(phone, picks, idle) => {
            let entries = world.phones[phone].entries.clone();
            if entries.is_empty() {
                return;
            }
            let head = JournalHead {
                journal: world.phones[phone].journal,
                head: world.phones[phone].seq,
                pending: u64::from(!idle),
            };
            let picked = picks
                .iter()
                .map(|pick| pick.get(&entries).clone())
                .collect();
            world.deliver(picked, vec![head]);
        }
        Step::Decide(phone, to) => {
            let Some((id, _)) = world.phones[phone].reports.last().copied() else {
                return;
            };
            world.decide(id, status::ALL[usize::from(to)]).ok();
        }
        Step::Erase(phone) => {
            let Some((id, _)) = world.phones[phone].reports.last().copied() else {
                return;
            };
            world.erase(id).ok();
        }
        Step::Triage(phone, other, what) => {
            let one = world.phones[phone].reports.last().copied();
            let two = world.phones[other].reports.first().copied();
            if let Some(((one, _), (two, _))) = one.zip(two) {
                triage(world, one, two, what);
            }
        }
        Step::Revoke(phone) => {
            let (device, accreditation) = (
                world.phones[phone].device,
                world.phones[phone].accreditation,
            );
            let actor = UserId(Uuid::from_u128(1));
            let seq = world.phones[phone].seq;
            world
                .act(|conn, office, mission| match seq % 2 {
                    0 => acts::revoke_device(conn, office, mission, actor, device, "lost"),
                    _ => acts::revoke_accreditation(
                        conn,
                        office,
                        mission,
                        actor,
                        accreditation,
                        "gone",
                    ),
                })
                .ok();
        }
        Step::AdmitAll => {
            let rows = world
                .store
                .read(|conn| ledger::after(conn, world.mission.no, 0, 100_000))
                .unwrap();
            for row in rows.iter().filter(|row| row.standing == "quarantined") {
                let hash = EntryHash(row.hash.clone().try_into().unwrap());
                let actor = UserId(Uuid::from_u128(1));
                world
                    .act(|conn, office, mission| {
                        acts::admit(conn, office, mission, actor, hash, "looked")
                    })
                    .ok();
            }
        }
        Step::Clone(phone) => {
            // A restored phone takes a place again that it has used.
            let phone = &mut world.phones[phone];
            phone.seq = phone.seq.saturating_sub(1);
        }
        Step::Call(2) => {
            world.call(From::Citizen, "heard from her").unwrap();
        }
        Step::Call(observer) => {
            // Refused once the accreditation is revoked.
            world
                .call(From::Observer(format!("N{observer}")), "heard")
                .ok();
        }
        Step::OnCall(which, what, other) => on_call(world, which, what, other),
    }
}

/// Some of it is refused; what is not must survive a rebuild.
fn on_call(world: &World, which: prop::sample::Index, what: u8, other: prop::sample::Index) {
    if world.calls.is_empty() {
        return;
    }
    let call = *which.get(&world.calls);
    let others: Vec<Uuid> = world
        .phones
        .iter()
        .flat_map(|phone| phone.reports.iter().map(|(id, _)| *id))
        .chain(world.calls.iter().copied())
        .collect();
    match what {
        0 => drop(world.correct(call, telling("heard better"))),
        1 | 2 => drop(world.merge(call, *other.get(&others))),
        3 => drop(world.unmerge(call)),
        4 => drop(world.decide(call, status::ALL[other.index(status::ALL.len())])),
        _ => drop(world.erase(call)),
    }
    // Nothing is merged into what is merged itself.
    for call in &world.calls {
        let Some(into) = world.report(*call).and_then(|row| row.merged_into) else {
            continue;
        };
        let into = world.report(Uuid::from_slice(&into).unwrap()).unwrap();
        assert!(into.merged_into.is_none() && into.id != call.as_bytes());
    }
}

fn triage(world: &World, one: Uuid, two: Uuid, what: u8) {
    let actor = UserId(Uuid::from_u128(9));
    world
        .act(|conn, office, mission| {
            let was = cases::of_report(conn, mission, one)?.map(|case| case.id);
            let wish = cases::Wish {
                with: two,
                was,
                stance: cases::STANCES[usize::from(what % 2)].into(),
                whole: what == 1,
            };
            match what {
                0..=2 => cases::join(conn, office, mission, actor, one, &wish),
                3 => cases::part(conn, office, mission, actor, one, was),
                4 => {
                    let apart = cases::apart(conn, mission, one)?.is_empty();
                    cases::keep_apart(conn, office, mission, actor, (one, two), apart)
                }
                _ => triage::prioritise(conn, office, mission, actor, one, "high"),
            }
        })
        .ok();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_rebuilds_to_what_ingest_left(steps in prop::collection::vec(step(), 1..40)) {
        let mut world = World::new();
        for step in steps {
            run(&mut world, step);
        }
        world.check();
        // Whatever happened, offering everything makes the ledger hold it all, once.
        let offered: Vec<WireEntry> = world.phones.iter().flat_map(|phone| phone.entries.clone()).collect();
        let wanted = offered.iter().map(|wire| SdJwt::from_wire(wire).unwrap().hash()).collect::<HashSet<_>>();
        world.deliver(offered.clone(), Vec::new());
        let again = world.deliver(offered, Vec::new());
        prop_assert!(again.iter().all(|outcome| outcome == "AlreadyStored"));
        world.check();
        let rows = world.store.read(|conn| ledger::after(conn, world.mission.no, 0, 100_000)).unwrap();
        let held: HashSet<EntryHash> = rows
            .iter()
            .filter(|row| row.device.is_some())
            .map(|row| EntryHash(row.hash.clone().try_into().unwrap()))
            .collect();
        prop_assert_eq!(held, wanted);
    }
}

#[test]
fn an_amendment_that_overtakes_its_report_waits_for_it() {
    let mut world = World::new();
    let file = world.sign(0, Kind::File, None, "first");
    let id = world.phones[0].reports[0].0;
    let amend = world.sign(0, Kind::Amend, Some((id, file.hash())), "second");
    let third = world.sign(0, Kind::Amend, Some((id, amend.hash())), "third");
    assert_eq!(world.deliver(vec![third.to_wire()], vec![]), ["Held"]);
    assert_eq!(world.deliver(vec![amend.to_wire()], vec![]), ["Held"]);
    assert!(world.report(id).is_none());
    assert_eq!(world.deliver(vec![file.to_wire()], vec![]), ["Stored"]);
    let report = world.report(id).unwrap();
    assert_eq!(
        (report.text.as_deref(), report.revisions),
        (Some("third"), 2)
    );
    world.check();
}

#[test]
fn a_late_report_releases_what_waited_in_the_same_batch() {
    let mut world = World::new();
    let file = world.sign(0, Kind::File, None, "first");
    let id = world.phones[0].reports[0].0;
    let amend = world.sign(0, Kind::Amend, Some((id, file.hash())), "second");
    assert_eq!(
        world.deliver(
            vec![amend.to_wire(), file.to_wire(), file.to_wire()],
            vec![]
        ),
        ["Held", "Stored", "AlreadyStored"]
    );
    assert_eq!(world.report(id).unwrap().text.as_deref(), Some("second"));
    world.check();
}

#[test]
fn an_amendment_after_a_decision_reopens() {
    let mut world = World::new();
    let file = world.sign(0, Kind::File, None, "first");
    let id = world.phones[0].reports[0].0;
    world.deliver(vec![file.to_wire()], vec![]);
    world.decide(id, "in_review").unwrap();
    world.decide(id, "verified").unwrap();
    let amend = world.sign(0, Kind::Amend, Some((id, file.hash())), "second");
    world.deliver(vec![amend.to_wire()], vec![]);
    assert_eq!(world.report(id).unwrap().status, "reopened");
    assert_eq!(
        world.decide(id, "verified").unwrap_err().code().name(),
        "transition_not_allowed"
    );
    world.check();
}

#[test]
fn revoked_waits_until_admitted() {
    let mut world = World::new();
    let file = world.sign(0, Kind::File, None, "first");
    let id = world.phones[0].reports[0].0;
    let amend = world.sign(0, Kind::Amend, Some((id, file.hash())), "second");
    let (device, actor) = (world.phones[0].device, UserId(Uuid::from_u128(1)));
    world
        .act(|conn, office, mission| {
            acts::revoke_device(conn, office, mission, actor, device, "lost")
        })
        .unwrap();
    assert_eq!(
        world.deliver(vec![file.to_wire(), amend.to_wire()], vec![]),
        ["Quarantined", "Quarantined"]
    );
    assert!(world.report(id).is_none());
    for entry in [&amend, &file] {
        world
            .act(|conn, office, mission| {
                acts::admit(conn, office, mission, actor, entry.hash(), "it is hers")
            })
            .unwrap();
    }
    assert_eq!(world.report(id).unwrap().text.as_deref(), Some("second"));
    world.check();
}

#[test]
fn an_erasure_leaves_the_skeleton() {
    let mut world = World::new();
    let file = world.sign(0, Kind::File, None, "a name that must go");
    let id = world.phones[0].reports[0].0;
    world.deliver(vec![file.to_wire()], vec![]);
    let (one, two) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
    let same = world
        .act(|conn, office, mission| acts::erase(conn, office, mission, one, one, id, "asked"));
    assert_eq!(same.unwrap_err().code().name(), "same_person");
    world
        .act(|conn, office, mission| acts::erase(conn, office, mission, one, two, id, "asked"))
        .unwrap();
    let report = world.report(id).unwrap();
    assert!(report.erased && report.text.is_none() && report.lat.is_none());
    let row = world
        .store
        .read(|conn| ledger::by_hash(conn, world.mission.no, &file.hash().0))
        .unwrap()
        .unwrap();
    let left = SdJwt::parse(std::str::from_utf8(&row.sd_jwt).unwrap()).unwrap();
    assert_eq!(left.disclosure_count(), 0);
    left.verify(&world.phones[0].key.public(), protocol::entry::DEVICE_TYP)
        .unwrap();
    // The same entry offered again does not bring the words back.
    assert_eq!(
        world.deliver(vec![file.to_wire()], vec![]),
        ["AlreadyStored"]
    );
    assert!(world.report(id).unwrap().text.is_none());
    world.check();
}

#[test]
fn forks_and_gaps_are_flagged_and_gaps_clear() {
    let mut world = World::new();
    let mut filed = BTreeMap::new();
    for name in ["one", "two", "three"] {
        filed.insert(name, world.sign(0, Kind::File, None, name));
    }
    let ids: Vec<Uuid> = world.phones[0].reports.iter().map(|(id, _)| *id).collect();
    let head = |pending| {
        vec![JournalHead {
            journal: world.phones[0].journal,
            head: 3,
            pending,
        }]
    };
    let (busy, idle) = (head(1), head(0));
    let flags = |world: &World, id| crate::domain::flags::names(world.report(id).unwrap().flags);
    world.deliver(vec![filed["one"].to_wire(), filed["three"].to_wire()], busy);
    assert!(!flags(&world, ids[2]).contains(&"gap"));
    world.deliver(vec![filed["three"].to_wire()], idle.clone());
    assert!(flags(&world, ids[2]).contains(&"gap"));
    assert!(!flags(&world, ids[0]).contains(&"gap"));
    world.check();
    world.deliver(vec![filed["two"].to_wire()], idle);
    assert!(!flags(&world, ids[2]).contains(&"gap"));
    world.phones[0].seq = 1;
    let cloned = world.sign(0, Kind::File, None, "clone");
    let id = world.phones[0].reports[3].0;
    assert_eq!(world.deliver(vec![cloned.to_wire()], vec![]), ["Stored"]);
    assert!(flags(&world, id).contains(&"fork") && flags(&world, ids[1]).contains(&"fork"));
    world.check();
}

#[test]
fn a_call_is_entered_once_whatever_is_sent_again() {
    let world = World::new();
    let id = world.host.uuid();
    let actor = UserId(Uuid::from_u128(9));
    let enter = |from: From, text: &str| {
        let wish = Wish {
            id,
            from,
            telling: telling(text),
        };
        world.act(|conn, office, mission| telephone::enter(conn, office, mission, actor, wish))
    };
    let first = enter(From::Observer("N0".into()), "heard").unwrap();
    assert!(first.fresh);
    let again = enter(From::Observer("N0".into()), " heard ").unwrap();
    assert!(!again.fresh);
    assert_eq!((again.number, again.version), (first.number, first.version));
    for (from, text) in [
        (From::Observer("N0".into()), "heard otherwise"),
        (From::Observer("N1".into()), "heard"),
        (From::Citizen, "heard"),
    ] {
        assert_eq!(
            enter(from, text).unwrap_err().code().name(),
            "report_id_taken"
        );
    }
    let strange = enter(From::Observer("N9".into()), "heard").unwrap_err();
    assert_eq!(strange.code().name(), "accreditation_unknown");
    // An answer that was lost is given again whatever happened meanwhile.
    world.correct(id, telling("heard better")).unwrap();
    world.erase(id).unwrap();
    let last = enter(From::Observer("N0".into()), "heard").unwrap();
    assert!(!last.fresh && last.version > first.version);
    world.check();
}

#[test]
fn a_phone_can_touch_no_report_by_telephone_and_hears_nothing_of_it() {
    let mut world = World::new();
    let id = world.call(From::Observer("N0".into()), "heard").unwrap();
    let row = world.report(id).unwrap();
    let head = EntryHash(row.head.clone().try_into().unwrap());
    let amend = world.sign(0, Kind::Amend, Some((id, head)), "not mine to say");
    assert_eq!(
        world.deliver(vec![amend.to_wire()], vec![]),
        ["Quarantined"]
    );
    let file = world.sign(0, Kind::File, None, "my own");
    assert_eq!(world.deliver(vec![file.to_wire()], vec![]), ["Stored"]);
    world.decide(id, "in_review").unwrap();
    world.decide(id, "needs_info").unwrap();
    let observer = world.phones[0].accreditation;
    let news = world
        .store
        .read(|conn| ledger::inbox_after(conn, world.mission.no, observer.0.as_bytes(), (0, 0), 9))
        .unwrap();
    assert!(news.is_empty());
    // Called back: the correction answers the question.
    world.correct(id, telling("heard better")).unwrap();
    let row = world.report(id).unwrap();
    let flags = crate::domain::flags::names(row.flags);
    assert!(flags.contains(&"by_telephone") && flags.contains(&"answered"));
    assert_eq!(row.revisions, 1);
    assert!(!world.correct(id, telling("heard better")).unwrap().fresh);
    world.check();
}

#[test]
fn a_merged_call_takes_no_decision_until_that_is_taken_back() {
    let mut world = World::new();
    let id = world.call(From::Observer("N0".into()), "heard").unwrap();
    let second = world.call(From::Citizen, "heard from her").unwrap();
    let file = world.sign(0, Kind::File, None, "seen");
    let own = world.phones[0].reports[0].0;
    world.deliver(vec![file.to_wire()], vec![]);
    let why = |result: crate::error::Result<telephone::Stands>| match result.unwrap_err() {
        crate::error::Error::Refused { code, extra, .. } => (code.name(), extra),
        other => panic!("{other}"),
    };
    for (into, reason) in [(id, "itself"), (Uuid::from_u128(7), "unknown")] {
        let (code, extra) = why(world.merge(id, into));
        assert_eq!((code, &extra["why"]), ("merge_not_allowed", &json!(reason)));
    }
    assert_eq!(why(world.merge(own, id)).0, "not_by_telephone");
    world.merge(second, id).unwrap();
    assert_eq!(why(world.merge(id, own)).1["why"], "holds_others");
    world.unmerge(second).unwrap();
    let merged = world.merge(id, own).unwrap();
    assert!(merged.fresh);
    assert!(!world.merge(id, own).unwrap().fresh);
    assert_eq!(why(world.merge(second, id)).1["why"], "target_merged");
    assert_eq!(why(world.merge(id, second)).0, "report_merged");
    assert_eq!(why(world.correct(id, telling("late"))).0, "report_merged");
    assert_eq!(
        world.decide(id, "in_review").unwrap_err().code().name(),
        "report_merged"
    );
    world.check();
    // The words of one go; the link stays, and so do the words of the other.
    world.erase(id).unwrap();
    let row = world.report(id).unwrap();
    assert!(row.erased && row.merged_into.as_deref() == Some(own.as_bytes()));
    assert!(row.entered_by.is_some() && row.flags & crate::domain::flags::BY_TELEPHONE != 0);
    assert_eq!(world.report(own).unwrap().text.as_deref(), Some("seen"));
    world.check();
    world.unmerge(id).unwrap();
    world.decide(id, "in_review").unwrap();
    assert_eq!(why(world.unmerge(id)).0, "already_done");
    world.check();
}
