use protocol::{
    entry::{
        At, DECISION_TYP, DEVICE_TYP, Draft, Kind, Link, Patch, Place, ReportFields, Severity,
    },
    exchange::Request,
    ids::{AccreditationId, EntryHash, JournalId, MissionId, SubjectId, UserId},
    jose::{PublicKey, SoftwareKey},
};
use uuid::Uuid;

use super::*;
use crate::{
    clock::Host,
    domain::{
        acts::{self, Decision},
        import::{self, Register},
        ingest::{self, DeviceKeys},
        ledger,
        missions::{self, Wish},
        telephone::{self, From, Telling},
    },
    keys::Keys,
    store::{DatabaseUrl, Store, bulk, registers},
};

/// One mission with two observers and a handful of reports of every fate.
struct World {
    _folder: tempfile::TempDir,
    store: Store,
    keys: Keys,
    host: Host,
    mission: Mission,
    now: i64,
}

struct Phone {
    key: SoftwareKey,
    journal: JournalId,
    seq: u64,
    prev: Option<EntryHash>,
}

const STATIONS: &str = "code,name,constituency_no,constituency_name,lat,lon\n\
    8-1,=School no. 1,8,Binagadi,40.45,49.82\n8-2,Library,8,Binagadi,40.46,49.83\n";
const CATEGORIES: &str = "stage,code,definition,severity,label_en,label_az\n\
    voting,ballot_stuffing,Many ballots,critical,Ballot stuffing,Doldurma\n";
const ACCREDITATIONS: &str = "number,name,kind,institution,country,stations\n\
    AZ-1,\"Ann, Observer\",domestic,Org,AZ,8-1\nAZ-2,Bob,international,,GB,\n";

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::counting();
        let keys = Keys::create(&folder.path().join("keys"), &host).unwrap();
        let store = Store::open(&DatabaseUrl::Sqlite(folder.path().join("db.sqlite")), 2).unwrap();
        let wish = Wish {
            name: "M".into(),
            election: "E".into(),
            timezone: "Asia/Baku".into(),
            levels: vec!["constituency".into(), "station".into()],
        };
        let id = MissionId(host.uuid());
        let mission = store
            .write(|conn| {
                missions::create(conn, host.now(), id, &wish, "age1")?;
                missions::get(conn, id)
            })
            .unwrap();
        let now = host.now().0;
        let world = Self {
            _folder: folder,
            store,
            keys,
            host,
            mission,
            now,
        };
        for (register, text) in [
            (Register::Stations, STATIONS),
            (Register::Categories, CATEGORIES),
            (Register::Accreditations, ACCREDITATIONS),
        ] {
            let desk = import::Desk {
                store: &world.store,
                keys: &world.keys,
                host: &world.host,
                by: crate::domain::audit::By::CommandLine,
            };
            let options = import::Options::default();
            let report = import::run(
                desk,
                &world.mission,
                register,
                text.as_bytes(),
                &options,
                &mut |_| {},
            );
            assert_eq!(report.unwrap().errors, []);
        }
        world
    }

    fn office(&self) -> Office<'_> {
        Office {
            host: &self.host,
            key: &self.keys.receipt,
        }
    }

    fn phone(&self, number: &str) -> Phone {
        let key = SoftwareKey::ed25519(&self.host.bytes());
        let no = self.mission.reference.no;
        let rows = self
            .store
            .read(|conn| registers::accreditations(conn, no))
            .unwrap();
        let accreditation = AccreditationId(Uuid::from_slice(&rows[number].id).unwrap());
        let (office, mission) = (self.office(), self.mission.reference);
        self.store
            .write(|conn| acts::enrol(conn, office, mission, accreditation, &key.public().to_jwk()))
            .unwrap();
        Phone {
            key,
            journal: JournalId(self.host.uuid()),
            seq: 0,
            prev: None,
        }
    }

    /// Signs an entry and has it ingested.
    fn send(
        &mut self,
        phone: &mut Phone,
        kind: Kind,
        target: Option<(Uuid, EntryHash)>,
        fields: &ReportFields,
    ) -> (Uuid, EntryHash) {
        let (clear, mut disclosed) = fields.to_body();
        if kind == Kind::Withdraw {
            disclosed.push(("reason", json!("a mistake")));
        }
        let subject = target.map_or_else(|| self.host.uuid(), |(subject, _)| subject);
        phone.seq += 1;
        let entry = Draft {
            mission: self.mission.reference.id,
            subject: SubjectId(subject),
            kind,
            base: target.map(|(_, base)| base),
            link: Link::Journal {
                journal: phone.journal,
                seq: phone.seq,
                prev: phone.prev,
                seen: None,
            },
            at: At {
                wall: "2024-09-01T12:00:00Z".into(),
                uptime: None,
                boot: None,
            },
            clear,
            disclosed,
        }
        .sign(&phone.key, &mut || self.host.bytes())
        .unwrap();
        phone.prev = Some(entry.hash());
        self.now += 1_000_000;
        let request = Request {
            protocol: 1,
            app: String::new(),
            journals: Vec::new(),
            clock: None,
            entries: vec![entry.to_wire()],
            cursor: None,
            seen: None,
            receipt: None,
            returned: Vec::new(),
            former: Vec::new(),
            reference: Vec::new(),
        };
        let now = Micros(self.now);
        let prepared = ingest::prepare(
            &DeviceKeys::default(),
            &self.store,
            &request,
            Vec::new(),
            now,
        )
        .unwrap();
        let (_, batch, ..) = prepared.into_parts();
        self.store
            .write(|conn| {
                ledger::append(
                    conn,
                    &mut None,
                    self.mission.reference,
                    &batch.entries,
                    &batch.contacts,
                    u64::MAX,
                    now,
                )
            })
            .unwrap();
        (subject, entry.hash())
    }

    fn decide(&self, report: Uuid, to: &str, reason: Option<&str>) {
        let (office, mission) = (self.office(), self.mission.reference);
        self.store
            .write(|conn| {
                let ids = [report.as_bytes().to_vec()];
                let row = bulk::reports_by_id(conn, mission.no, &ids)?.pop().unwrap();
                let decision = Decision {
                    to: to.into(),
                    version: row.version,
                    reason: reason.map(str::to_owned),
                    question: None,
                };
                acts::decide(
                    conn,
                    office,
                    mission,
                    UserId(Uuid::from_u128(9)),
                    report,
                    decision,
                )
            })
            .unwrap();
    }

    fn erase(&self, report: Uuid) {
        let (office, mission) = (self.office(), self.mission.reference);
        let (one, two) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        self.store
            .write(|conn| acts::erase(conn, office, mission, one, two, report, "asked"))
            .unwrap();
    }

    /// Six reports: plain, awkward words, amended often, withdrawn, erased, bare.
    fn with_reports() -> Self {
        let mut world = Self::new();
        let (mut ann, mut bob) = (world.phone("AZ-1"), world.phone("AZ-2"));
        let file = |text: &str| ReportFields {
            category: Some("ballot_stuffing".into()),
            text: Patch::Set(text.into()),
            ..ReportFields::default()
        };
        let plain = ReportFields {
            severity: Some(Severity::Critical),
            station: Patch::Set("8-1".into()),
            place: Patch::Set(Place {
                lat: 40.451,
                lon: 49.821,
                accuracy: Some(12.5),
            }),
            observed_at: Patch::Set("2024-09-01T15:30:00+04:00".into()),
            ..file("Ten ballots at once, seen by two.")
        };
        let (decided, _) = world.send(&mut ann, Kind::File, None, &plain);
        world.decide(decided, "in_review", None);
        world.decide(decided, "not_verified", Some("-no second witness"));
        let awkward = ReportFields {
            station: Patch::Set("8-999".into()),
            place: Patch::Set(Place {
                lat: -33.9,
                lon: -70.6,
                accuracy: None,
            }),
            ..file("=HYPERLINK(\"http://x\")\r\nsecond line; \u{0}ə")
        };
        world.send(&mut bob, Kind::File, None, &awkward);
        let mut amended = world.send(&mut ann, Kind::File, None, &file("first"));
        for text in ["second", "third", "fourth", "fifth"] {
            let fields = ReportFields {
                text: Patch::Set(text.into()),
                ..ReportFields::default()
            };
            amended = world.send(&mut ann, Kind::Amend, Some(amended), &fields);
        }
        let withdrawn = world.send(&mut bob, Kind::File, None, &file("mistaken"));
        world.send(
            &mut bob,
            Kind::Withdraw,
            Some(withdrawn),
            &ReportFields::default(),
        );
        let (erased, _) = world.send(&mut ann, Kind::File, None, &file("a name"));
        world.erase(erased);
        let off = Place {
            lat: 95.0,
            lon: 49.0,
            accuracy: None,
        };
        let bare = ReportFields {
            category: Some("unknown_category".into()),
            place: Patch::Set(off),
            ..ReportFields::default()
        };
        world.send(&mut bob, Kind::File, None, &bare);
        world
    }

    fn export(&self, options: &Options) -> String {
        let mut out = Vec::new();
        self.store
            .read(|conn| write(conn, self.office(), &self.mission, options, &mut out))
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    fn whole(&self, format: Format) -> String {
        self.export(&Options::new(format))
    }
}

fn rows(text: &str) -> Vec<HashMap<String, String>> {
    let text = text.strip_prefix('\u{feff}').unwrap();
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    reader
        .deserialize()
        .collect::<std::result::Result<_, _>>()
        .unwrap()
}

#[test]
fn csv() {
    let world = World::with_reports();
    let text = world.whole(Format::Csv);
    insta::assert_snapshot!(text.replace('\0', "␀"));
    let rows = rows(&text);
    assert_eq!(rows.len(), 6);
    assert_eq!(rows[0]["station_name"], "'=School no. 1");
    assert_eq!(rows[0]["decision_reason"], "'-no second witness");
    assert_eq!(rows[0]["observed_at"], "2024-09-01T11:30:00.000000Z");
    assert_eq!(rows[1]["lon"], "-70.6");
    assert!(rows[1]["text"].starts_with("'=HYPER"));
    assert_eq!(
        (rows[2]["text"].as_str(), rows[2]["revisions"].as_str()),
        ("fifth", "4")
    );
    assert_eq!(rows[3]["withdrawn"], "true");
    assert_eq!(
        (rows[4]["erased"].as_str(), rows[4]["text"].as_str()),
        ("true", "")
    );
    assert_eq!(rows[0]["observer"], rows[2]["observer"]);
    assert!(!text.contains("Ann"));
    assert!(text.lines().count() > 7 && text.ends_with("\r\n"));
}

#[test]
fn names_only_when_asked_for() {
    let world = World::with_reports();
    let named = Options {
        names: true,
        language: "az".into(),
        ..Options::new(Format::Csv)
    };
    let rows = rows(&world.export(&named));
    assert_eq!(rows[0]["observer_name"], "Ann, Observer");
    assert_eq!(rows[1]["accreditation_number"], "AZ-2");
    assert_eq!(rows[1]["category_label"], "Doldurma");
    for format in Format::ALL {
        let text = world.whole(format);
        assert!(
            !text.contains("Ann, Observer") && !text.contains("AZ-2"),
            "{format:?}"
        );
    }
}

#[test]
fn geojson() {
    let world = World::with_reports();
    let text = world.whole(Format::GeoJson);
    insta::assert_snapshot!(text);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["type"], "FeatureCollection");
    let features = value["features"].as_array().unwrap();
    assert_eq!(features.len(), 6);
    assert_eq!(
        features[0]["geometry"]["coordinates"],
        json!([49.821, 40.451])
    );
    // No place, and a place that is not on the globe.
    assert_eq!(
        (&features[2]["geometry"], &features[5]["geometry"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(features[5]["properties"]["flags"], json!(["invalid_place"]));
}

#[test]
fn json_lines_hold_the_signed_bytes() {
    let world = World::with_reports();
    let text = world.whole(Format::JsonLines);
    let ledger = world
        .store
        .read(|conn| crate::store::ledger::after(conn, world.mission.reference.no, 0, 1000));
    let ledger = ledger.unwrap();
    let (mut reports, mut entries) = (0, 0);
    for line in text.lines() {
        let report: Value = serde_json::from_str(line).unwrap();
        reports += 1;
        assert_eq!(report["mission"], json!(world.mission.reference.id));
        let mut last = 0;
        for entry in report["entries"].as_array().unwrap() {
            entries += 1;
            let number = entry["number"].as_i64().unwrap();
            assert!(number > last, "out of order");
            last = number;
            let row = ledger.iter().find(|row| row.number == number).unwrap();
            let sd_jwt = entry["sd_jwt"].as_str().unwrap();
            assert_eq!(sd_jwt.as_bytes(), row.sd_jwt);
            let parsed = SdJwt::parse(sd_jwt).unwrap();
            assert_eq!(entry["hash"], json!(parsed.hash()));
            let jwk: Jwk = serde_json::from_value(entry["signer"]["jwk"].clone()).unwrap();
            assert_eq!(entry["signer"]["kid"], jwk.thumbprint());
            let kind = entry["kind"].as_str().unwrap();
            let is_device = matches!(kind, "file" | "amend" | "withdraw");
            let typ = if is_device { DEVICE_TYP } else { DECISION_TYP };
            parsed
                .verify(&PublicKey::from_jwk(&jwk).unwrap(), typ)
                .unwrap();
        }
        let number = report["number"].as_i64();
        assert_eq!(report["entries"][0]["number"].as_i64(), number);
    }
    // 6 filed, 4 amended, 1 withdrawn, 2 decided, 1 erased.
    assert_eq!((reports, entries), (6, 14));
    insta::assert_snapshot!(text.lines().next().unwrap());
}

#[test]
fn the_same_data_gives_the_same_bytes() {
    let world = World::with_reports();
    for format in Format::ALL {
        assert_eq!(world.whole(format), world.whole(format));
    }
    let other = World::with_reports();
    assert_eq!(
        world.whole(Format::JsonLines),
        other.whole(Format::JsonLines)
    );
}

#[test]
fn nothing_is_a_valid_export() {
    let world = World::new();
    let csv = world.whole(Format::Csv);
    assert_eq!(csv.matches("\r\n").count(), 1);
    let value: Value = serde_json::from_str(&world.whole(Format::GeoJson)).unwrap();
    assert_eq!(value["features"], json!([]));
    assert_eq!(world.whole(Format::JsonLines), "");
}

#[test]
fn filters_are_those_of_the_list() {
    let world = World::with_reports();
    let with = |name: &str, value: &str| {
        let mut options = Options::new(Format::JsonLines);
        assert!(options.filter.set(name, value).unwrap());
        let lines = world.export(&options);
        let page = world
            .store
            .read(|conn| page(conn, world.office(), &world.mission, &options, None, 100));
        assert_eq!(page.unwrap().len(), lines.lines().count(), "{name}={value}");
        lines.lines().count()
    };
    assert_eq!(with("status", "not_verified"), 1);
    assert_eq!(with("severity", "none"), 1);
    assert_eq!(with("category", "ballot_stuffing"), 5);
    assert_eq!(with("constituency", "8"), 1);
    assert_eq!(with("withdrawn", "true"), 1);
    assert_eq!(with("bbox", "49,40,50,41"), 1);
    assert_eq!(with("flag", "unlisted_station"), 1);
    assert_eq!(with("text", "FIFTH"), 1);
}

#[test]
fn one_report_is_its_line() {
    let world = World::with_reports();
    let text = world.whole(Format::JsonLines);
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let id = line["report"].as_str().unwrap().parse().unwrap();
        let found = world
            .store
            .read(|conn| one(conn, world.office(), &world.mission, id, false))
            .unwrap();
        assert_eq!(found, Some(line));
    }
    let none = world
        .store
        .read(|conn| one(conn, world.office(), &world.mission, Uuid::nil(), false));
    assert_eq!(none.unwrap(), None);
}

#[test]
fn what_was_told_twice_is_marked_and_a_citizens_number_stays_here() {
    let mut world = World::new();
    let mut phone = world.phone("AZ-1");
    let actor = UserId(world.host.uuid());
    let enter = |from: From, text: &str, contact: Option<&str>| {
        let wish = telephone::Wish {
            id: world.host.uuid(),
            from,
            telling: Telling {
                category: "ballot_stuffing".into(),
                text: text.into(),
                contact: contact.map(str::to_owned),
                ..Telling::default()
            },
        };
        let (office, mission) = (world.office(), world.mission.reference);
        let enter = |conn: &mut Conn| telephone::enter(conn, office, mission, actor, wish);
        world.store.write(enter).unwrap()
    };
    let call = enter(From::Observer("AZ-1".into()), "she calls", None);
    enter(From::Citizen, "a neighbour calls", Some("050 000 00 00"));
    let fields = ReportFields {
        category: Some("ballot_stuffing".into()),
        text: Patch::Set("she files".into()),
        ..ReportFields::default()
    };
    let (own, _) = world.send(&mut phone, Kind::File, None, &fields);
    let (office, mission) = (world.office(), world.mission.reference);
    world
        .store
        .write(|conn| {
            let which = (call.report, call.version);
            telephone::merge(conn, office, mission, actor, which, own, None)
        })
        .unwrap();
    for format in Format::ALL {
        let text = world.whole(format);
        assert!(text.contains("a neighbour calls") && text.contains("she calls"));
        assert!(text.contains("by_telephone") && text.contains(&own.to_string()));
        assert!(!text.contains("050 000"), "{text}");
    }
    // Whoever may know names may call back; the signatures hold either way.
    for (names, disclosed) in [(false, false), (true, true)] {
        let options = Options {
            names,
            ..Options::new(Format::JsonLines)
        };
        let text = world.export(&options);
        let mut found = false;
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            for entry in line["entries"].as_array().unwrap() {
                let sd_jwt = SdJwt::parse(entry["sd_jwt"].as_str().unwrap()).unwrap();
                let jwk: Jwk = serde_json::from_value(entry["signer"]["jwk"].clone()).unwrap();
                let typ = match line["caller"].is_null() {
                    true => DEVICE_TYP,
                    false => DECISION_TYP,
                };
                sd_jwt
                    .verify(&PublicKey::from_jwk(&jwk).unwrap(), typ)
                    .unwrap();
                found |= sd_jwt.read().unwrap().body.contains_key("contact");
            }
        }
        assert_eq!(found, disclosed);
    }
    let counted = |merged: &str| {
        let mut options = Options::new(Format::JsonLines);
        options.filter.set("merged", merged).unwrap();
        world.export(&options).lines().count()
    };
    assert_eq!(["true", "false", "any"].map(counted), [1, 2, 3]);
}

/// `docs/exports.md` explains each column and each flag.
#[test]
fn the_manual_lists_every_column() {
    let mut table = String::from("| column | meaning |\n|---|---|\n");
    for column in COLUMNS {
        table.push_str(&format!("| `{}` | {} |\n", column.name, column.doc));
    }
    crate::cli::manual::check("exports.md", "columns", &table);
    let manual = include_str!("../../../../docs/exports.md");
    for (_, name) in crate::domain::flags::ALL {
        assert!(
            manual.contains(&format!("| `{name}` | ")),
            "docs/exports.md lacks `{name}`"
        );
    }
}
