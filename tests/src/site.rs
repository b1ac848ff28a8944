//! An installation: a data folder, a database, an address. It runs commands,
//! and the server as a real process.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use protocol::{
    ids::MissionId,
    jose::{PublicKey, Signer as _, SoftwareKey},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    console::Console,
    database::{Database, Kind},
    demo_data,
    http::{self, Answer},
    programs, reaper,
    wait::{self, Deadline},
};

/// The password of every account that tests make.
pub const PASSWORD: &str = "eleven purple station clerks";

/// A port of our own, below those that the system hands out by itself (a
/// client once connected to itself); no other test takes it while this lives.
#[derive(Debug)]
pub struct Port {
    /// The number.
    pub number: u16,
    _lease: File,
}

impl Port {
    /// A free one.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn free() -> Self {
        let leases = std::env::temp_dir().join("scrutineer-test-ports");
        fs::create_dir_all(&leases).expect("a folder for leases");
        let start = u16::try_from(std::process::id() % 9_000).unwrap_or_default();
        for step in 0..9_000_u16 {
            let number = 20_000 + (start + step) % 9_000;
            let lease = File::create(leases.join(number.to_string())).expect("a lease");
            if lease.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Self {
                    number,
                    _lease: lease,
                };
            }
        }
        panic!("no port is free");
    }
}

/// A command's end, as JSON where it speaks JSON.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub complaint: String,
}

impl Ended {
    /// Takes the result over.
    #[must_use]
    pub fn of(output: &Output) -> Self {
        Self {
            status: output.status.code(),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            complaint: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The JSON value on standard output: one, and nothing else.
    ///
    /// # Panics
    /// When the command failed, or printed something else.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.status, Some(0), "{}{}", self.output, self.complaint);
        serde_json::from_str(&self.output)
            .unwrap_or_else(|error| panic!("{error}: {}", self.output))
    }

    /// The error object on standard error.
    ///
    /// # Panics
    /// When there is none, or something on standard output.
    #[track_caller]
    #[must_use]
    pub fn error(&self) -> Value {
        assert!(self.status.is_some_and(|status| status > 0), "{self:?}");
        let last = self.complaint.lines().last().unwrap_or_default();
        let error: Value = serde_json::from_str(self.complaint.trim())
            .or_else(|_| serde_json::from_str(last))
            .unwrap_or_else(|error| panic!("{error}: {}", self.complaint));
        assert!(error["code"].is_string(), "{error}");
        error
    }

    /// Checks that it refused so: exit status 1, this code.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn refuses(&self, code: &str) {
        assert_eq!(
            (self.status, self.error()["code"].as_str()),
            (Some(1), Some(code)),
            "{self:?}"
        );
    }
}

/// See the module.
#[derive(Debug)]
pub struct Site {
    /// The data folder.
    pub data: PathBuf,
    /// Its database.
    pub database: Database,
    /// Its address.
    pub port: Port,
    /// `http`, or `https` with [`Site::with_tls`].
    scheme: &'static str,
    variables: Vec<(String, String)>,
    folder: TempDir,
}

impl Site {
    /// A new one, initialised.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        let site = Self::bare(kind);
        site.run(&["init"]).json();
        site
    }

    /// One whose data folder has not been made.
    #[must_use]
    pub fn bare(kind: Kind) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("scrutineer-")
            .tempdir()
            .expect("a temporary folder");
        let data = folder.path().join("data");
        let database = Database::new(kind, &data);
        Self::of(folder, data, database)
    }

    fn of(folder: TempDir, data: PathBuf, database: Database) -> Self {
        let port = Port::free();
        let mut variables = vec![
            (
                "SCRUTINEER_PUBLIC_URL".to_owned(),
                format!("http://127.0.0.1:{}", port.number),
            ),
            // Tests sign in more often than people.
            ("SCRUTINEER_LOGIN_ATTEMPTS".to_owned(), "10000".to_owned()),
            ("SCRUTINEER_WORKERS".to_owned(), "2".to_owned()),
        ];
        if matches!(database, Database::Postgres { .. }) {
            variables.push(("SCRUTINEER_DATABASE_URL".to_owned(), database.url()));
        }
        Self {
            data,
            database,
            port,
            scheme: "http",
            variables,
            folder,
        }
    }

    /// A second server on the same database, with copies of the keys.
    #[must_use]
    pub fn twin(&self) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("scrutineer-")
            .tempdir()
            .expect("a temporary folder");
        let data = folder.path().join("data");
        let copied = Command::new("cp")
            .arg("-a")
            .arg(&self.data)
            .arg(&data)
            .status()
            .expect("cp runs");
        assert!(copied.success());
        Self::of(folder, data, self.database.clone())
    }

    /// Sets one setting by its environment variable, for commands and server.
    pub fn set(&mut self, name: &str, value: &str) {
        let name = format!("SCRUTINEER_{}", name.to_uppercase());
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.to_owned()));
    }

    /// Forgets a setting.
    pub fn unset(&mut self, name: &str) {
        let name = format!("SCRUTINEER_{}", name.to_uppercase());
        self.variables.retain(|(known, _)| *known != name);
    }

    /// Serves HTTPS with these PEM files.
    pub fn with_tls(&mut self, certificate: &Path, key: &Path) {
        self.scheme = "https";
        self.set("tls_certificate", &certificate.display().to_string());
        self.set("tls_key", &key.display().to_string());
        let origin = format!("https://localhost:{}", self.port.number);
        self.set("public_url", &origin);
    }

    /// Where the server is reached.
    #[must_use]
    pub fn origin(&self) -> String {
        let host = if self.scheme == "https" {
            "localhost"
        } else {
            "127.0.0.1"
        };
        format!("{}://{host}:{}", self.scheme, self.port.number)
    }

    /// A folder beside the data folder, for a test's own files.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// A command on this installation: `--data` is added.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = programs::command("scrutineer");
        command.args(arguments).arg("--data").arg(&self.data);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end, with `--json`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Ended {
        let output = self
            .command(arguments)
            .arg("--json")
            .output()
            .expect("scrutineer runs");
        Ended::of(&output)
    }

    /// As [`Self::run`], with something on standard input.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = self.command(arguments);
        command
            .arg("--json")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("scrutineer runs");
        let mut pipe = child.stdin.take().expect("a pipe");
        // A command that refuses early does not read.
        pipe.write_all(input.as_bytes()).ok();
        drop(pipe);
        Ended::of(&child.wait_with_output().expect("it ends"))
    }

    /// Makes a mission.
    #[track_caller]
    #[must_use]
    pub fn create_mission(&self, name: &str) -> MissionId {
        let made = self
            .run(&[
                "mission",
                "create",
                "--name",
                name,
                "--election",
                "Parliamentary, 1 September 2024",
                "--timezone",
                "Asia/Baku",
            ])
            .json();
        made["mission"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .unwrap_or_else(|| panic!("no mission in {made}"))
    }

    /// Imports a file that must be sound.
    #[track_caller]
    pub fn import(&self, register: &str, file: &Path, mission: MissionId) -> Value {
        let file = file.display().to_string();
        let report = self
            .run(&["import", register, &file, "--mission", &mission.to_string()])
            .json();
        assert_eq!(report["errors"], json!([]), "{report}");
        report
    }

    /// Writes a file beside the data folder and names it.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).expect("the file");
        path
    }

    /// A mission with a small register: a dozen stations, five observers (`D-1`
    /// to `D-5`), and the demo's categories.
    #[track_caller]
    #[must_use]
    pub fn small_mission(&self, name: &str) -> MissionId {
        let mission = self.create_mission(name);
        self.import(
            "stations",
            &self.file("stations.csv", SMALL_STATIONS),
            mission,
        );
        self.import(
            "accreditations",
            &self.file("accreditations.csv", SMALL_ACCREDITATIONS),
            mission,
        );
        self.import(
            "categories",
            &demo_data::folder().join("categories.csv"),
            mission,
        );
        mission
    }

    /// A mission with the demo's registers: 6,478 stations and 17 observers.
    #[track_caller]
    #[must_use]
    pub fn demo_mission(&self, name: &str) -> MissionId {
        let mission = self.create_mission(name);
        for register in ["stations", "accreditations", "categories"] {
            let file = demo_data::folder().join(register).with_extension("csv");
            self.import(register, &file, mission);
        }
        mission
    }

    /// An enrolment link.
    ///
    /// # Panics
    /// When none is issued.
    #[track_caller]
    #[must_use]
    pub fn invite(&self, mission: MissionId, accreditation: &str) -> String {
        let issued = self
            .run(&[
                "enrolment",
                "issue",
                "--mission",
                &mission.to_string(),
                "--accreditation",
                accreditation,
            ])
            .json();
        assert!(issued["code"].is_string(), "{issued}");
        issued["url"]
            .as_str()
            .unwrap_or_else(|| panic!("no url in {issued}"))
            .to_owned()
    }

    /// Adds somebody with [`PASSWORD`].
    #[track_caller]
    pub fn add_user(&self, mission: Option<MissionId>, role: &str, email: &str) {
        let mission = mission.map(|mission| mission.to_string());
        let mut arguments = vec![
            "user",
            "add",
            "--role",
            role,
            "--email",
            email,
            "--password-stdin",
        ];
        if let Some(mission) = &mission {
            arguments.extend(["--mission", mission]);
        }
        let ended = self.run_with(&arguments, &format!("{PASSWORD}\n"));
        assert_eq!(ended.status, Some(0), "{ended:?}");
    }

    /// Adds somebody and signs them in.
    #[track_caller]
    #[must_use]
    pub fn console(&self, mission: MissionId, role: &str) -> Console {
        let email = format!("{role}-{}@example.org", &mission.to_string()[..8]);
        self.add_user(Some(mission), role, &email);
        Console::login(&self.origin(), &email, PASSWORD)
    }

    /// The key that receipts are signed with.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn receipt_key(&self) -> PublicKey {
        self.receipt_signer().public()
    }

    /// The same with its secret half: for tokens and entries that only this server could have made.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn receipt_signer(&self) -> SoftwareKey {
        let text =
            fs::read_to_string(self.data.join("keys/receipt.json")).expect("the receipt key");
        let file: Value = serde_json::from_str(&text).expect("JSON");
        let secret = file["secret"]
            .as_str()
            .and_then(protocol::encoding::unb64_array)
            .expect("32 bytes");
        SoftwareKey::ed25519(&secret)
    }

    /// Starts the server and waits until it listens.
    #[track_caller]
    #[must_use]
    pub fn start(&self) -> Server {
        let server = self.spawn();
        server.wait_ready();
        server
    }

    /// Starts the server and waits for nothing.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn spawn(&self) -> Server {
        let listen = format!("127.0.0.1:{}", self.port.number);
        self.spawn_with(&["--listen", &listen])
    }

    /// As [`Self::spawn`], with other arguments.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn spawn_with(&self, arguments: &[&str]) -> Server {
        let mut command = self.command(&["serve"]);
        command.args(arguments);
        self.run_server(command)
    }

    /// As [`Self::spawn`], with the command changed first.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn spawn_under(&self, change: impl FnOnce(&mut Command)) -> Server {
        let listen = format!("127.0.0.1:{}", self.port.number);
        let mut command = self.command(&["serve", "--listen", &listen]);
        change(&mut command);
        self.run_server(command)
    }

    fn run_server(&self, mut command: Command) -> Server {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("scrutineer starts");
        reaper::kill_later(child.id());
        let log = Arc::new(Mutex::new(String::new()));
        let (ready, listening) = mpsc::channel();
        let stdout = child.stdout.take().expect("a pipe");
        let stderr = child.stderr.take().expect("a pipe");
        let readers = vec![
            follow(stdout, log.clone(), ready.clone()),
            follow(stderr, log.clone(), ready),
        ];
        Server {
            child: Some(child),
            log,
            listening,
            readers,
            origin: self.origin(),
        }
    }
}

fn follow(
    pipe: impl std::io::Read + Send + 'static,
    log: Arc<Mutex<String>>,
    ready: mpsc::Sender<String>,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { break };
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
            drop(log);
            if line.to_lowercase().contains("listening") {
                ready.send(line).ok();
            }
        }
    })
}

/// A running server. It is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Option<Child>,
    log: Arc<Mutex<String>>,
    listening: mpsc::Receiver<String>,
    readers: Vec<std::thread::JoinHandle<()>>,
    origin: String,
}

impl Server {
    /// Waits until it says that it listens. Answers that line.
    ///
    /// # Panics
    /// When it ends instead.
    #[track_caller]
    pub fn wait_ready(&self) -> String {
        self.listening
            .recv_timeout(wait::LONG)
            .unwrap_or_else(|_| panic!("the server did not start:\n{}", self.log()))
    }

    /// Its process.
    ///
    /// # Panics
    /// When it was ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Where it is reached.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What it has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Memory that it holds now, in kB.
    #[must_use]
    pub fn memory(&self) -> u64 {
        status_line(self.pid(), "VmRSS:")
    }

    /// Memory that it held at most, in kB.
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        peak_memory(self.pid())
    }

    /// Whether it runs still.
    #[must_use]
    pub fn is_alive(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.end();
    }

    /// Asks it to stop. Answers its exit status and what it wrote.
    ///
    /// # Panics
    /// When it does not stop.
    #[track_caller]
    pub fn stop(mut self) -> (Option<i32>, String) {
        reaper::signal(self.pid(), "TERM");
        let status = self
            .wait(Deadline::after(wait::LONG))
            .unwrap_or_else(|| panic!("it does not stop:\n{}", self.log()));
        (status.code(), self.log())
    }

    /// Asks it to stop, and waits for nothing.
    pub fn ask_to_stop(&self) {
        reaper::signal(self.pid(), "TERM");
    }

    /// Waits for its end.
    pub fn wait(&mut self, deadline: Deadline) -> Option<std::process::ExitStatus> {
        let child = self.child.as_mut()?;
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                let pid = child.id();
                self.child = None;
                self.finish(pid);
                return Some(status);
            }
            if deadline.is_over() {
                return None;
            }
            wait::pause(std::time::Duration::from_millis(5));
        }
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
            self.finish(child.id());
        }
    }

    fn finish(&mut self, pid: u32) {
        reaper::ended(pid);
        for reader in self.readers.drain(..) {
            reader.join().ok();
        }
    }

    /// A request without a token.
    #[track_caller]
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        http::send("GET", &format!("{}{path}", self.origin), &[], None)
    }

    /// A body without a token.
    #[track_caller]
    #[must_use]
    pub fn post(&self, path: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Answer {
        http::send(
            "POST",
            &format!("{}{path}", self.origin),
            &[("content-type", content_type)],
            Some(body.into()),
        )
    }
}

/// Memory that a process held at most, in kB; 0 once it has ended.
#[must_use]
pub fn peak_memory(pid: u32) -> u64 {
    status_line(pid, "VmHWM:")
}

/// Memory that a process holds now for its data alone, without the program's own
/// code, in kB; 0 once it has ended.
#[must_use]
pub fn own_memory(pid: u32) -> u64 {
    status_line(pid, "RssAnon:")
}

fn status_line(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or("0");
    line.split_whitespace()
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() && self.child.is_some() {
            let log = self.log();
            let tail: Vec<&str> = log
                .lines()
                .rev()
                .filter(|line| !line.contains("scrutineer::access"))
                .take(40)
                .collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            // Shown with the failed test, and nowhere else.
            #[expect(
                clippy::print_stderr,
                reason = "a failed test shows what the server said"
            )]
            {
                eprintln!("the server's last words:\n{}", tail.join("\n"));
            }
        }
        self.end();
    }
}

/// A dozen stations in two constituencies of Baku and Ganja.
pub const SMALL_STATIONS: &str = "\
code,name,constituency_no,constituency_name,lat,lon,registered_voters
8-1,Binagadi 1,8,Binagadi,40.4600,49.8200,812
8-2,Binagadi 2,8,Binagadi,40.4610,49.8210,900
8-3,Binagadi 3,8,Binagadi,40.4620,49.8220,1011
8-4,Binagadi 4,8,Binagadi,40.4630,49.8230,700
8-5,Binagadi 5,8,Binagadi,40.4640,49.8240,650
8-6,Binagadi 6,8,Binagadi,,,
37-1,Ganja 1,37,Nizami,40.6800,46.3600,900
37-2,Ganja 2,37,Nizami,40.6810,46.3610,905
37-3,Ganja 3,37,Nizami,40.6820,46.3620,910
37-4,Ganja 4,37,Nizami,40.6830,46.3630,915
37-5,Ganja 5,37,Nizami,40.6840,46.3640,920
37-6,Ganja 6,37,Nizami,40.6850,46.3650,925
";

/// Five observers.
pub const SMALL_ACCREDITATIONS: &str = "\
number,name,kind,institution,country,stations
D-1,Aygün Sınaq,domestic,Sample Alliance (invented),AZ,8-1;8-2
D-2,Bəhruz Sınaq,domestic,Sample Alliance (invented),AZ,8-3
D-3,Cavid Sınaq,domestic,Sample Party (invented),AZ,
D-4,Dilarə Sınaq,domestic,Sample Party (invented),AZ,37-1
D-5,Erik Sample,international,Sample Mission (invented),SE,
";
