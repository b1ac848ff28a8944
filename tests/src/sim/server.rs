//! The server's end: the production service, routes and all, in this process and
//! on a real SQLite, asked one request at a time.
//!
//! The service's own threads (blocking work, the committing thread) do what one
//! request needs while everything else waits for it, so a story still repeats.

use std::{
    future::Future,
    io::Read,
    path::{Path, PathBuf},
    pin::Pin,
    rc::Rc,
    sync::{Arc, OnceLock},
};

use actix_web::{body::to_bytes, dev::Service as _, dev::ServiceResponse, http, test};
use protocol::{enrolment::Invitation, ids::MissionId, jose::PublicKey};
use scrutineer::{
    api::Api,
    app::App,
    clock::Host,
    config::{Config, Durability},
    domain::{
        acts::MissionRef,
        bundles::{Holders, Imported, Importer, Source},
        enrolment, epoch,
        missions::{self, Wish},
    },
    error::Error,
    keys::Keys,
    store::{
        DatabaseUrl, Store,
        registers::{self, Accreditation},
    },
};
use sync_core::transport::{Answer, Call, Method};

use super::{
    clock::{BEGIN, ServerClock, Time},
    restore,
};

/// The address in the simulated phones' links.
pub const ORIGIN: &str = "https://sim.example";
/// Requests that a server answers at once.
const PLACES: usize = 40;
/// Hours that a code is valid: longer than any story.
const CODE_HOURS: i64 = 24 * 365;

/// What all stories of a process begin from: keys, and a database with a mission.
pub struct Template {
    folder: tempfile::TempDir,
    /// Tables, and nothing in them.
    empty: Vec<u8>,
    database: Vec<u8>,
    mission: MissionRef,
}

/// How many accreditations the mission has.
pub const OBSERVERS: usize = 64;

/// Makes folders in memory where there is such a place: a story's disk needs no
/// disk.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        tempfile::Builder::new().prefix("sim-").tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.expect("a folder")
}

impl Template {
    /// The one of this process.
    pub fn get() -> &'static Self {
        static TEMPLATE: OnceLock<Template> = OnceLock::new();
        TEMPLATE.get_or_init(Self::make)
    }

    fn make() -> Self {
        let folder = folder();
        let host = ServerClock::new(1).host();
        let keys = Keys::create(&folder.path().join("keys"), &host).expect("keys");
        let file = folder.path().join("template.sqlite");
        let store = Store::open(&DatabaseUrl::Sqlite(file.clone()), 2).expect("a database");
        store.scrub().expect("one file");
        let empty = std::fs::read(&file).expect("a file");
        let wish = Wish {
            name: "Simulation".into(),
            election: "Parliamentary".into(),
            timezone: "Asia/Baku".into(),
            levels: vec!["constituency".into(), "station".into()],
        };
        let id = MissionId(host.uuid());
        let (sealing_key, _) = keys.create_sealing_key(id, &host).expect("a key");
        let mission = store
            .write(|conn| {
                missions::ensure_epoch(conn, &host)?;
                let mission = missions::create(conn, host.now(), id, &wish, &sealing_key)?;
                let rows: Vec<_> = (0..OBSERVERS)
                    .map(|observer| {
                        let number = number(observer);
                        Accreditation {
                            mission: mission.no,
                            id: host.uuid().as_bytes().to_vec(),
                            pseudonym: keys.pseudonym(id, &number),
                            number,
                            name: "Observer".into(),
                            kind: "domestic".into(),
                            institution: "Coalition".into(),
                            country: "AZ".into(),
                            stations: "[]".into(),
                        }
                    })
                    .collect();
                registers::put_accreditations(conn, &rows, |_| {})?;
                Ok(mission)
            })
            .expect("a mission");
        store.scrub().expect("one file");
        let database = std::fs::read(&file).expect("a file");
        Self {
            folder,
            empty,
            database,
            mission,
        }
    }
}

/// The number of an observer's accreditation.
pub(super) fn number(observer: usize) -> String {
    format!("{observer:04}")
}

type Answered = Pin<Box<dyn Future<Output = ServiceResponse<actix_web::body::BoxBody>>>>;

/// A bundle.
struct InMemory(Arc<Vec<u8>>);

impl Source for InMemory {
    fn open(&self) -> Result<Box<dyn Read + '_>, Error> {
        Ok(Box::new(self.0.as_slice()))
    }
}

/// One running server.
struct Running {
    app: App,
    ask: Box<dyn Fn(test::TestRequest) -> Answered>,
}

/// A copy of the database.
#[derive(Clone)]
pub struct Backup {
    bytes: Rc<Vec<u8>>,
    /// When it was made, by the server's clock.
    at: Time,
}

/// The servers of a story, on one database.
pub struct Servers {
    folder: tempfile::TempDir,
    database: PathBuf,
    /// How often the database was put back: each state has a file of its own.
    generation: u32,
    count: usize,
    durable: Durability,
    places: usize,
    runtime: tokio::runtime::Runtime,
    local: tokio::task::LocalSet,
    running: Vec<Running>,
    clock: Arc<ServerClock>,
    host: Host,
    /// The key that signs receipts and decisions.
    pub receipt_key: PublicKey,
    /// The mission.
    pub mission: MissionRef,
}

impl Servers {
    pub(super) fn new(seed: u64, count: usize, durable_at_once: bool) -> Self {
        let template = Template::get();
        let folder = folder();
        let database = folder.path().join("0.sqlite");
        std::fs::write(&database, &template.database).expect("a copy");
        let clock = ServerClock::new(seed ^ 0x5e72_6e72);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let keys = Keys::load(&template.folder.path().join("keys")).expect("keys");
        let mut servers = Self {
            folder,
            database,
            generation: 0,
            count,
            durable: if durable_at_once {
                Durability::Stored
            } else {
                Durability::Backup
            },
            places: PLACES,
            runtime,
            local: tokio::task::LocalSet::new(),
            running: Vec::new(),
            host: clock.host(),
            clock,
            receipt_key: keys.receipt_public.clone(),
            mission: template.mission,
        };
        servers.start();
        servers
    }

    fn config(&self) -> Config {
        Config {
            data: Template::get().folder.path().to_owned(),
            database_url: format!("sqlite://{}", self.database.display()),
            database_connections: 2,
            evidence_folder: self.folder.path().join("evidence"),
            evidence_durable: self.durable,
            max_in_flight: self.places,
            ..Config::default()
        }
    }

    fn start(&mut self) {
        for _ in 0..self.count {
            let app = App::open(self.config(), self.host.clone()).expect("the server starts");
            let api = Api::new(app.clone());
            let service = self.local.block_on(
                &self.runtime,
                test::init_service(actix_web::App::new().configure(|config| api.configure(config))),
            );
            let service = Rc::new(service);
            let ask = Box::new(move |request: test::TestRequest| {
                let service = service.clone();
                Box::pin(async move {
                    let request = request.to_request();
                    match service.call(request).await {
                        Ok(response) => response.map_into_boxed_body(),
                        Err(error) => panic!("the service failed: {error}"),
                    }
                }) as Answered
            });
            self.running.push(Running { app, ask });
        }
    }

    /// The servers have so many places from now on: without any they turn all
    /// away, with one they ask whom they serve to stay away for a while.
    pub(super) fn fill(&mut self, places: usize) {
        self.places = places;
        self.running.clear();
        self.start();
    }

    /// All processes end at once and start anew.
    pub(super) fn crash(&mut self) {
        self.places = PLACES;
        self.running.clear();
        self.start();
    }

    pub(super) fn set_time(&self, now: Time, offset: i64) {
        self.clock.set(BEGIN + now + offset);
    }

    pub(super) fn store(&self) -> &Store {
        &self.running[0].app.store
    }

    pub(super) fn app(&self) -> &App {
        &self.running[0].app
    }

    /// A link for an observer.
    pub(super) fn invite(&self, observer: usize) -> String {
        let (code, _) = self
            .store()
            .write(|conn| {
                enrolment::issue(
                    conn,
                    &self.host,
                    self.mission,
                    &number(observer),
                    CODE_HOURS,
                )
            })
            .expect("a code");
        let invitation = Invitation {
            origin: ORIGIN.into(),
            code,
            mission: self.mission.id,
            key: self.receipt_key.thumbprint(),
        };
        invitation.to_url()
    }

    /// Copies the database as it is. A server that writes its log back in the
    /// background keeps others from doing so, for a moment: until the log is empty the
    /// file is no whole database.
    pub(super) fn backup(&self) -> Backup {
        let log = self
            .folder
            .path()
            .join(format!("{}.sqlite-wal", self.generation));
        let is_empty = || std::fs::metadata(&log).map_or(0, |log| log.len()) == 0;
        let mut tries = 0..10_000;
        loop {
            self.store().scrub().expect("it is written back");
            if is_empty() {
                break;
            }
            tries.next().expect("the log is never empty");
            std::thread::yield_now();
        }
        Backup {
            bytes: Rc::new(std::fs::read(&self.database).expect("a file")),
            at: self.host.now().0,
        }
    }

    /// Puts a copy in place of the database: by `restore`, which renews the
    /// history, or raw.
    pub(super) fn put_back(&mut self, backup: &Backup, renewed: bool) {
        self.running.clear();
        self.generation += 1;
        self.database = self
            .folder
            .path()
            .join(format!("{}.sqlite", self.generation));
        if renewed {
            self.restore(backup);
        } else {
            std::fs::write(&self.database, backup.bytes.as_slice()).expect("a copy");
        }
        self.start();
    }

    /// Makes a backup of a copy, as it would have been made then, and fills the
    /// database from it.
    fn restore(&self, backup: &Backup) {
        let template = Template::get();
        let keys = Keys::load(&template.folder.path().join("keys")).expect("keys");
        let [copy, folder] = ["copy", "backup"].map(|name| {
            self.folder
                .path()
                .join(format!("{}.{name}", self.generation))
        });
        let (config, host) = (self.config(), &self.host);
        std::fs::write(&copy, backup.bytes.as_slice()).expect("a copy");
        std::fs::write(&self.database, &template.empty).expect("a copy");
        let now = self.host.now().0;
        self.clock.set(backup.at);
        restore::back_up(&copy, &folder, &config, &keys, host).expect("a backup");
        self.clock.set(now);
        restore::restore(&folder, &self.database, &config, &keys, host).expect("a restore");
    }

    /// The mission's key holder imports a bundle on the server's machine.
    pub(super) fn import(&self, bundle: &Arc<Vec<u8>>) -> Imported {
        let app = self.app();
        let importer = Importer {
            store: app.store.clone(),
            host: self.host.clone(),
            device_keys: app.device_keys.clone(),
            server_key: app.keys.receipt_public.clone(),
            batcher: app.batcher.clone(),
            evidence: app.evidence.clone(),
        };
        let keys = Template::get().folder.path().join("keys");
        let holders = Holders::left_in(&keys).expect("the mission's key");
        let source = InMemory(bundle.clone());
        let work = self
            .runtime
            .spawn_blocking(move || importer.import(&source, &holders));
        let imported = self.local.block_on(&self.runtime, work);
        imported.expect("no panic").expect("an import")
    }

    /// The name of the history.
    pub(super) fn epoch(&self) -> protocol::ids::EpochId {
        self.store().read(epoch::current).expect("reads")
    }

    /// Where the bytes of a complete file are.
    pub(super) fn file(&self, file: &protocol::ids::FileHash) -> PathBuf {
        let hex: String = file.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let mission = self.mission.id.0.to_string();
        self.folder
            .path()
            .join("evidence")
            .join("files")
            .join(mission)
            .join(hex)
    }

    /// Answers a call, or what is left of it.
    pub(super) fn answer(&self, server: usize, call: &Call) -> Answer {
        let running = &self.running[server % self.running.len()];
        let path = call.url.strip_prefix(ORIGIN).unwrap_or(&call.url);
        let method = match call.method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
            Method::Head => http::Method::HEAD,
            Method::Patch => http::Method::PATCH,
        };
        let mut request = test::TestRequest::with_uri(path).method(method);
        for (name, value) in &call.headers {
            request = request.insert_header((*name, value.as_str()));
        }
        request = request.insert_header(("content-length", call.body.len().to_string()));
        let request = request.set_payload(call.body.clone());
        let answered = async {
            let response = (running.ask)(request).await;
            let status = response.status().as_u16();
            let headers = response.headers().clone();
            let body = to_bytes(response.into_body()).await.unwrap_or_default();
            let header = |name: &str| {
                headers
                    .get(name)
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or_default()
                    .to_owned()
            };
            Answer {
                status,
                content_type: header("content-type"),
                content_encoding: header("content-encoding"),
                code: header("scrutineer-code"),
                retry_after: header("retry-after"),
                content_range: header("content-range"),
                etag: header("etag"),
                tus_resumable: header("tus-resumable"),
                upload_offset: header("upload-offset"),
                upload_length: header("upload-length"),
                evidence_durable: header("evidence-durable"),
                body: body.to_vec(),
            }
        };
        self.local.block_on(&self.runtime, answered)
    }
}
