//! Missions, devices and signed reports for the benchmark.

use std::path::Path;

use protocol::{
    entry::{At, Draft, Kind, Link, Patch, Place, ReportFields, SdJwt, Severity},
    exchange::{JournalHead, Request},
    ids::{AccreditationId, EntryHash, JournalId, MissionId, SubjectId},
    jose::{Signer as _, SoftwareKey},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use scrutineer::{
    app::App,
    clock::Host,
    config::{Config, Overrides},
    domain::acts::{self, MissionRef},
};
use uuid::Uuid;

use super::Error;

/// Reports of one exchange.
pub(super) const PER_EXCHANGE: usize = 10;
/// Phones that take turns.
const DEVICES: usize = 200;

/// A data folder with a mission and enrolled phones.
pub(super) struct World {
    pub(super) app: App,
    pub(super) mission: MissionRef,
    keys: Vec<SoftwareKey>,
    texts: Vec<String>,
}

impl World {
    /// Makes folder, mission and phones by the server's own code.
    pub(super) fn create(folder: &Path, database_url: &str) -> Result<Self, Error> {
        super::process::cli(folder, database_url, &["init", "--json"])?;
        let created = super::process::cli(
            folder,
            database_url,
            &[
                "mission",
                "create",
                "--name",
                "Bench",
                "--election",
                "Bench",
                "--timezone",
                "Asia/Baku",
                "--json",
            ],
        )?;
        let id: MissionId = created["mission"]
            .as_str()
            .ok_or("no mission id")?
            .parse()?;
        let stations = concat!(env!("CARGO_MANIFEST_DIR"), "/data/demo/stations.csv");
        super::process::cli(
            folder,
            database_url,
            &[
                "import",
                "stations",
                stations,
                "--mission",
                &id.to_string(),
                "--json",
            ],
        )?;
        let overrides = Overrides {
            database_url: Some(database_url.to_owned()),
            ..Overrides::default()
        };
        let app = App::open(Config::load(folder, &overrides)?, Host::system())?;
        let mission = app
            .store
            .read(|conn| scrutineer::domain::missions::get(conn, id))?
            .reference;
        let mut random = StdRng::seed_from_u64(1);
        let mut keys = Vec::new();
        for _ in 0..DEVICES {
            let key = SoftwareKey::ed25519(&random.random());
            let accreditation = AccreditationId(Uuid::from_bytes(random.random()));
            app.store.write(|conn| {
                acts::enrol(
                    conn,
                    app.office(),
                    mission,
                    accreditation,
                    &key.public().to_jwk(),
                )
            })?;
            keys.push(key);
        }
        Ok(Self {
            app,
            mission,
            keys,
            texts: texts()?,
        })
    }

    /// The phones' keys.
    pub(super) fn signers(&self) -> &[SoftwareKey] {
        &self.keys
    }

    /// Signs reports: phones take turns, ten reports each time.
    pub(super) fn exchanges(&self, reports: usize) -> Result<Vec<Request>, Error> {
        let mut random = StdRng::seed_from_u64(2);
        let mut journals: Vec<Journal> = self
            .keys
            .iter()
            .map(|_| Journal {
                id: JournalId(Uuid::from_bytes(random.random())),
                seq: 0,
                prev: None,
            })
            .collect();
        let mut requests = Vec::new();
        for turn in 0..reports.div_ceil(PER_EXCHANGE) {
            let phone = turn % self.keys.len();
            let mut entries = Vec::new();
            for _ in 0..PER_EXCHANGE {
                let text = &self.texts[random.random_range(0..self.texts.len())];
                let entry =
                    self.report(&self.keys[phone], &mut journals[phone], text, &mut random)?;
                entries.push(entry.to_wire());
            }
            requests.push(Request {
                protocol: protocol::PROTOCOL_VERSION,
                app: "bench/0".into(),
                journals: vec![JournalHead {
                    journal: journals[phone].id,
                    head: journals[phone].seq,
                    pending: 0,
                }],
                clock: None,
                entries,
                cursor: None,
                seen: None,
                receipt: None,
                returned: Vec::new(),
                former: Vec::new(),
                reference: Vec::new(),
            });
        }
        Ok(requests)
    }

    fn report(
        &self,
        key: &SoftwareKey,
        journal: &mut Journal,
        text: &str,
        random: &mut StdRng,
    ) -> Result<SdJwt, Error> {
        let station = format!(
            "{}-{}",
            random.random_range(1..126),
            random.random_range(1..20)
        );
        let fields = ReportFields {
            category: Some("ballot_stuffing".into()),
            severity: Some(Severity::ALL[random.random_range(0..4)]),
            text: Patch::Set(text.to_owned()),
            station: Patch::Set(station),
            place: Patch::Set(Place {
                lat: 40.4,
                lon: 49.9,
                accuracy: Some(12.0),
            }),
            observed_at: Patch::Set("2024-09-01T10:15:00+04:00".into()),
        };
        let (clear, disclosed) = fields.to_body();
        journal.seq += 1;
        let draft = Draft {
            mission: self.mission.id,
            subject: SubjectId(uuid::Builder::from_random_bytes(random.random()).into_uuid()),
            kind: Kind::File,
            base: None,
            link: Link::Journal {
                journal: journal.id,
                seq: journal.seq,
                prev: journal.prev,
                seen: None,
            },
            at: At {
                wall: "2024-09-01T06:20:00.000Z".into(),
                uptime: Some(7_200_000),
                boot: None,
            },
            clear,
            disclosed,
        };
        let entry = draft.sign(key, &mut || random.random())?;
        journal.prev = Some(entry.hash());
        Ok(entry)
    }
}

struct Journal {
    id: JournalId,
    seq: u64,
    prev: Option<EntryHash>,
}

/// The summaries of the public claims: real lengths and words.
fn texts() -> Result<Vec<String>, Error> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/sources/incidents.csv");
    let mut reader = csv::Reader::from_path(path)?;
    let column = reader
        .headers()?
        .iter()
        .position(|name| name == "summary")
        .ok_or("no summaries")?;
    reader
        .records()
        .map(|record| Ok(record?.get(column).unwrap_or_default().to_owned()))
        .collect()
}
