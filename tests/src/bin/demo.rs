//! `make demo`: a server with two sample missions, filled by real observers
//! through the real programs. What it shows: `tests/data/demo/README.md`.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::Write as _,
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    thread,
};

use clap::Parser;
use protocol::ids::MissionId;
use serde_json::{Value, json};
use tests::{
    console::Console,
    demo_data::{self, Act, Election},
    observer::Observer,
    programs, reaper, second_factor,
    site::Ended,
    wait,
};

/// Starts a server with two sample missions, and says what to try.
#[derive(Parser)]
struct Options {
    /// Folder to fill; it must be empty or missing. Otherwise a new one beside the programs
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Port to listen on; 8080, or the next free one, if not given
    #[arg(long)]
    port: Option<u16>,
    /// Do everything, check the counts, stop the server and end
    #[arg(long)]
    check: bool,
}

/// The people of a mission who sign in.
const ROLES: [&str; 3] = ["coordinator", "lead", "analyst"];
/// The accreditation for the screen's enrolment link: nobody of the script uses it.
const GUEST: &str = "AZ-2024-00091";

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("demo: {error}"));
            ExitCode::FAILURE
        }
    }
}

type Fallible<T> = Result<T, String>;

fn run(options: &Options) -> Fallible<()> {
    let folder = fresh_folder(options.folder.as_deref())?;
    let port = free_port(options.port)?;
    let demo = Demo {
        data: folder.join("data"),
        observers: folder.join("observers"),
        origin: format!("http://localhost:{port}"),
    };
    say(&format!("The demo's folder: {}", folder.display()));
    demo.scrutineer(&["init"])?;
    let mut missions = Vec::new();
    for election in [Election::Presidential, Election::Parliamentary] {
        missions.push(Mission::prepare(&demo, election)?);
    }
    say(
        "The server is off. The observers enrol and file what they saw, each on a device of their own.",
    );
    let mut tally = Tally::default();
    for mission in &mut missions {
        mission.file_offline(&demo, &mut tally)?;
    }
    say(&format!(
        "{} reports from {} observers wait on their devices. Nothing has left them.",
        tally.reports,
        missions
            .iter()
            .map(|mission| mission.observers.len())
            .sum::<usize>()
    ));

    let mut server = demo.start(port)?;
    say(&format!(
        "The server is on: {}. All observers synchronise at once.",
        demo.origin
    ));
    synchronise(
        missions
            .iter()
            .flat_map(|mission| mission.observers.values()),
        &mut tally,
    )?;
    say(&format!(
        "{} entries arrived, each with a signed receipt.",
        tally.delivered
    ));
    say("Coordinators decide and ask; observers amend, withdraw and answer.");
    for mission in &mut missions {
        mission.go_on(&demo, &mut tally)?;
    }
    say(&format!(
        "{} decisions, {} amendments, {} withdrawals, {} answers.",
        tally.decisions, tally.amendments, tally.withdrawals, tally.answers
    ));
    for mission in &missions {
        mission.check(&demo)?;
    }
    let mut codes = Vec::new();
    for mission in &missions {
        codes.extend(mission.second_factors(&demo)?);
    }
    if options.check {
        server.stop()?;
        say("checked: every report is there, and the server stopped.");
        return Ok(());
    }
    let parliamentary = &missions[1];
    let link = parliamentary.invite(&demo, GUEST)?;
    screen(&demo, &folder, &missions, &codes, &link, &tally)?;
    server.run_until_told()?;
    say(&format!(
        "Stopped. Everything is kept in {}.",
        folder.display()
    ));
    Ok(())
}

/// What was done.
#[derive(Debug, Default)]
struct Tally {
    reports: usize,
    delivered: u64,
    decisions: usize,
    amendments: usize,
    withdrawals: usize,
    answers: usize,
}

/// Where everything is.
#[derive(Debug)]
struct Demo {
    data: PathBuf,
    observers: PathBuf,
    origin: String,
}

impl Demo {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = programs::command("scrutineer");
        command
            .args(arguments)
            .arg("--data")
            .arg(&self.data)
            .env("SCRUTINEER_PUBLIC_URL", &self.origin);
        command
    }

    /// Runs a command to its end; its JSON.
    fn scrutineer(&self, arguments: &[&str]) -> Fallible<Value> {
        self.scrutineer_with(arguments, "")
    }

    fn scrutineer_with(&self, arguments: &[&str], input: &str) -> Fallible<Value> {
        let mut command = self.command(arguments);
        command
            .arg("--json")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| format!("scrutineer: {error}"))?;
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(input.as_bytes()).ok();
        }
        let output = child
            .wait_with_output()
            .map_err(|error| format!("scrutineer: {error}"))?;
        result(
            &format!("scrutineer {}", arguments.join(" ")),
            &Ended::of(&output),
        )
    }

    fn start(&self, port: u16) -> Fallible<Running> {
        let log = self.data.with_file_name("server.log");
        let file = fs::File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let mut command = self.command(&["serve", "--listen", &format!("127.0.0.1:{port}")]);
        command
            .env("SCRUTINEER_LOG", "info,scrutineer::access=warn")
            .stdout(Stdio::null())
            .stderr(file);
        // Ctrl-C is for this program, which then stops the server.
        command.process_group(0);
        let child = command
            .spawn()
            .map_err(|error| format!("scrutineer serve: {error}"))?;
        reaper::kill_later(child.id());
        let mut running = Running { child, log };
        let ready = format!("http://127.0.0.1:{port}/readyz");
        wait::until("the server's start", || {
            if let Ok(Some(status)) = running.child.try_wait() {
                return Some(Err(format!(
                    "the server ended with {status}: {}",
                    running.words()
                )));
            }
            let answer = tests::http::try_send("GET", &ready, &[], None).ok()?;
            (answer.status == 200).then_some(Ok(()))
        })?;
        Ok(running)
    }
}

/// The server's process.
#[derive(Debug)]
struct Running {
    child: std::process::Child,
    log: PathBuf,
}

impl Running {
    fn words(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn wait(&mut self) -> Fallible<()> {
        let status = self.child.wait().map_err(|error| error.to_string())?;
        reaper::ended(self.child.id());
        if status.success() {
            Ok(())
        } else {
            Err(format!("the server ended with {status}: {}", self.words()))
        }
    }

    /// Until Ctrl-C, a SIGTERM, or the server's own end.
    fn run_until_told(&mut self) -> Fallible<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        let ended = runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
            let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
            let mut look = tokio::time::interval(std::time::Duration::from_millis(500));
            loop {
                tokio::select! {
                    _ = interrupt.recv() => return Ok::<_, String>(false),
                    _ = terminate.recv() => return Ok(false),
                    _ = look.tick() => if !matches!(self.child.try_wait(), Ok(None)) { return Ok(true) },
                }
            }
        })?;
        if ended { self.wait() } else { self.stop() }
    }

    fn stop(&mut self) -> Fallible<()> {
        reaper::signal(self.child.id(), "TERM");
        self.wait()
    }
}

/// One of the two missions.
#[derive(Debug)]
struct Mission {
    election: Election,
    id: MissionId,
    /// E-mail address and password of each role.
    people: Vec<(&'static str, String, String)>,
    /// Homes by accreditation number.
    observers: BTreeMap<String, Observer>,
    /// What is still to be done, once what was filed offline is there.
    later: Vec<Act>,
    /// Who filed which incident, as which report.
    reports: HashMap<String, (String, String)>,
}

impl Mission {
    fn prepare(demo: &Demo, election: Election) -> Fallible<Self> {
        let name = match election {
            Election::Presidential => "Sample Observation, February 2024",
            Election::Parliamentary => "Sample Observation, September 2024",
        };
        let made = demo.scrutineer(&[
            "mission",
            "create",
            "--name",
            name,
            "--election",
            election.title(),
            "--timezone",
            "Asia/Baku",
        ])?;
        let id = made["mission"]
            .as_str()
            .and_then(|id| id.parse::<MissionId>().ok());
        let id = id.ok_or_else(|| format!("no mission in {made}"))?;
        let mut counts = Vec::new();
        for register in ["stations", "accreditations", "categories"] {
            let file = demo_data::folder().join(register).with_extension("csv");
            let file = file.display().to_string();
            let report =
                demo.scrutineer(&["import", register, &file, "--mission", &id.to_string()])?;
            counts.push(format!("{} {register}", report["created"]));
        }
        let mut people = Vec::new();
        for role in ROLES {
            let email = format!("{role}@{}.example", election.file());
            let password = password();
            let arguments = [
                "user",
                "add",
                "--mission",
                &id.to_string(),
                "--role",
                role,
                "--email",
                &email,
                "--password-stdin",
            ];
            demo.scrutineer_with(&arguments, &format!("{password}\n"))?;
            people.push((role, email, password));
        }
        say(&format!("{}: {}.", election.title(), counts.join(", ")));
        Ok(Self {
            election,
            id,
            people,
            observers: BTreeMap::new(),
            later: Vec::new(),
            reports: HashMap::new(),
        })
    }

    /// Sets second factors up, but for the analyst: to be seen, and for the example that
    /// signs in without. Answers addresses and recovery codes.
    fn second_factors(&self, demo: &Demo) -> Fallible<Vec<(String, Vec<String>)>> {
        self.people
            .iter()
            .filter(|(role, ..)| *role != "analyst")
            .map(|(_, email, password)| {
                let codes = second_factor::set_up(&demo.origin, email, password)?;
                Ok((email.clone(), codes))
            })
            .collect()
    }

    fn invite(&self, demo: &Demo, accreditation: &str) -> Fallible<String> {
        let mission = self.id.to_string();
        let issued = demo.scrutineer(&[
            "enrolment",
            "issue",
            "--mission",
            &mission,
            "--accreditation",
            accreditation,
        ])?;
        issued["url"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| format!("no link in {issued}"))
    }

    /// Enrols the observers and does the first of what they do: everything up
    /// to what needs the server.
    fn file_offline(&mut self, demo: &Demo, tally: &mut Tally) -> Fallible<()> {
        let (offline, later): (Vec<Act>, Vec<Act>) = self
            .election
            .acts()
            .into_iter()
            .partition(|act| matches!(act, Act::File(_)));
        self.later = later;
        for act in offline {
            let Act::File(filing) = act else { continue };
            if !self.observers.contains_key(&filing.observer) {
                let home =
                    demo.observers
                        .join(format!("{}-{}", self.election.file(), filing.observer));
                let observer = Observer::at(&home);
                let link = self.invite(demo, &filing.observer)?;
                observe(&observer, &["enrol", &link])?;
                self.observers.insert(filing.observer.clone(), observer);
            }
            let observer = &self.observers[&filing.observer];
            let arguments = filing.arguments();
            let arguments: Vec<&str> = std::iter::once("file")
                .chain(arguments.iter().map(String::as_str))
                .collect();
            let filed = observe(observer, &arguments)?;
            let report = filed["report"]
                .as_str()
                .ok_or_else(|| format!("no report in {filed}"))?
                .to_owned();
            self.reports
                .insert(filing.incident, (filing.observer, report));
            tally.reports += 1;
        }
        Ok(())
    }

    /// Does the rest, in order.
    fn go_on(&mut self, demo: &Demo, tally: &mut Tally) -> Fallible<()> {
        let mut consoles = HashMap::new();
        for (role, email, password) in &self.people {
            consoles.insert(*role, Console::login(&demo.origin, email, password));
        }
        for (at, act) in std::mem::take(&mut self.later).into_iter().enumerate() {
            let (owner, report) = self
                .reports
                .get(act.incident())
                .ok_or_else(|| format!("{} was not filed", act.incident()))?;
            let observer = &self.observers[owner];
            match act {
                Act::File(_) => {}
                Act::Decide {
                    to,
                    reason,
                    question,
                    ..
                } => {
                    // Most as the console does it, some as the command line does.
                    if at % 4 == 0 {
                        self.decide_by_command(
                            demo,
                            report,
                            &to,
                            reason.as_deref(),
                            question.as_deref(),
                        )?;
                    } else {
                        decide(
                            &consoles["coordinator"],
                            report,
                            &to,
                            reason.as_deref(),
                            question.as_deref(),
                        )?;
                    }
                    tally.decisions += 1;
                }
                Act::Amend { text, .. } => {
                    observe(observer, &["amend", report, &format!("--text={text}")])?;
                    observe(observer, &["sync"])?;
                    tally.amendments += 1;
                }
                Act::Withdraw { reason, .. } => {
                    observe(
                        observer,
                        &["withdraw", report, &format!("--reason={reason}")],
                    )?;
                    observe(observer, &["sync"])?;
                    tally.withdrawals += 1;
                }
                Act::Answer { text, .. } => {
                    // The question comes with a sync; the answer goes with the next.
                    observe(observer, &["sync"])?;
                    observe(observer, &["answer", report, &format!("--text={text}")])?;
                    observe(observer, &["sync"])?;
                    tally.answers += 1;
                }
            }
        }
        // Everybody learns what became of their reports.
        synchronise(self.observers.values(), tally)
    }

    fn decide_by_command(
        &self,
        demo: &Demo,
        report: &str,
        to: &str,
        reason: Option<&str>,
        question: Option<&str>,
    ) -> Fallible<()> {
        let mission = self.id.to_string();
        let (reason, question) = (
            reason.map(|r| format!("--reason={r}")),
            question.map(|q| format!("--question={q}")),
        );
        let mut arguments = vec![
            "report",
            "decide",
            report,
            "--mission",
            &mission,
            "--as",
            &self.people[0].1,
            "--to",
            to,
        ];
        arguments.extend(reason.as_deref());
        arguments.extend(question.as_deref());
        demo.scrutineer(&arguments).map(drop)
    }

    /// Every report is there once, as the script left it.
    fn check(&self, demo: &Demo) -> Fallible<()> {
        let file = demo
            .data
            .with_file_name(format!("{}.jsonl", self.election.file()));
        let path = file.display().to_string();
        demo.scrutineer(&[
            "export",
            "--mission",
            &self.id.to_string(),
            "--format",
            "jsonl",
            "-o",
            &path,
        ])?;
        let text = fs::read_to_string(&file).map_err(|error| format!("{path}: {error}"))?;
        let mut exported: HashMap<String, Value> = HashMap::new();
        for line in text.lines() {
            let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
            let id = value["report"].as_str().unwrap_or_default().to_owned();
            if exported.insert(id.clone(), value).is_some() {
                return Err(format!("{id} was exported twice"));
            }
        }
        if exported.len() != self.reports.len() {
            return Err(format!(
                "{} reports filed, {} exported",
                self.reports.len(),
                exported.len()
            ));
        }
        for (incident, (owner, report)) in &self.reports {
            let found = exported
                .get(report)
                .ok_or_else(|| format!("{incident} ({report}) is missing"))?;
            let shown = observe(&self.observers[owner], &["show", report])?;
            let (status, text) = (&found["status"], &found["text"]);
            if text != &shown["text"] {
                return Err(format!(
                    "{incident}: {text} is not what the observer's device says"
                ));
            }
            let expected = self.expected(incident);
            if status != &json!(expected) {
                return Err(format!("{incident}: {status} instead of {expected}"));
            }
        }
        for (number, observer) in &self.observers {
            let status = observe(observer, &["status"])?;
            if status["pending"] != json!(0) {
                return Err(format!(
                    "{number}: {} entries still wait",
                    status["pending"]
                ));
            }
        }
        Ok(())
    }

    /// The status that the script leaves a report in.
    fn expected(&self, incident: &str) -> String {
        let mut status = "received".to_owned();
        for act in self
            .election
            .acts()
            .iter()
            .filter(|act| act.incident() == incident)
        {
            match act {
                Act::Decide { to, .. } => status.clone_from(to),
                Act::Amend { .. } | Act::Withdraw { .. }
                    if ["verified", "not_verified", "dismissed"].contains(&&*status) =>
                {
                    "reopened".clone_into(&mut status);
                }
                _ => {}
            }
        }
        status
    }
}

/// All at once, as after a shutdown of the network.
fn synchronise<'a>(
    observers: impl Iterator<Item = &'a Observer>,
    tally: &mut Tally,
) -> Fallible<()> {
    let results: Vec<Fallible<Value>> = thread::scope(|scope| {
        let running: Vec<_> = observers
            .map(|observer| scope.spawn(|| observe(observer, &["sync"])))
            .collect();
        running
            .into_iter()
            .map(|one| one.join().unwrap_or_else(|_| Err("a sync panicked".into())))
            .collect()
    });
    for result in results {
        let report = result?;
        if report["pending"] != json!(0) {
            return Err(format!("entries still wait after a sync: {report}"));
        }
        tally.delivered += report["delivered"].as_u64().unwrap_or_default();
    }
    Ok(())
}

fn decide(
    console: &Console,
    report: &str,
    to: &str,
    reason: Option<&str>,
    question: Option<&str>,
) -> Fallible<()> {
    let read = console.get(&format!("/v1/reports/{report}"));
    let decision = json!({ "to": to, "version": read.json()["report"]["version"], "reason": reason, "question": question });
    let answer = console.post(&format!("/v1/reports/{report}/decisions"), &decision);
    if answer.status == 201 {
        Ok(())
    } else {
        Err(format!(
            "{report} to {to}: {} {}",
            answer.status,
            answer.text()
        ))
    }
}

fn observe(observer: &Observer, arguments: &[&str]) -> Fallible<Value> {
    result(
        &format!("observer {}", arguments.first().unwrap_or(&"")),
        &observer.run(arguments),
    )
}

fn result(what: &str, ended: &Ended) -> Fallible<Value> {
    if ended.status != Some(0) {
        return Err(format!(
            "{what}: {}{}",
            ended.output.trim(),
            ended.complaint.trim()
        ));
    }
    serde_json::from_str(&ended.output)
        .map_err(|error| format!("{what}: {error}: {}", ended.output))
}

/// Four words out of letters: easy to type, hard to guess.
fn password() -> String {
    const SYLLABLES: [&str; 32] = [
        "ba", "be", "bo", "da", "de", "do", "fa", "fe", "ga", "go", "ka", "ke", "ko", "la", "le",
        "lo", "ma", "me", "mo", "na", "ne", "no", "pa", "pe", "ra", "re", "ro", "sa", "se", "ta",
        "te", "to",
    ];
    // The system's own randomness; a seed would make it guessable.
    let bytes: [u8; 16] = scrutineer::clock::Host::system().bytes();
    let syllables: Vec<&str> = bytes
        .iter()
        .map(|byte| SYLLABLES[usize::from(byte % 32)])
        .collect();
    syllables
        .chunks(4)
        .map(<[&str]>::concat)
        .collect::<Vec<_>>()
        .join("-")
}

fn fresh_folder(wanted: Option<&Path>) -> Fallible<PathBuf> {
    let folder = match wanted {
        Some(folder) => folder.to_owned(),
        None => {
            let target = programs::folder()
                .parent()
                .map_or_else(std::env::temp_dir, Path::to_owned);
            let mut name = target.join("demo");
            // An earlier demo's folder stays: somebody may have filed in it.
            let mut number = 2;
            while name.exists() {
                name = target.join(format!("demo-{number}"));
                number += 1;
            }
            name
        }
    };
    if fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(format!("{} is not empty", folder.display()));
    }
    fs::create_dir_all(folder.join("observers"))
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    folder
        .canonicalize()
        .map_err(|error| format!("{}: {error}", folder.display()))
}

fn free_port(wanted: Option<u16>) -> Fallible<u16> {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    match wanted {
        Some(port) if is_free(port) => Ok(port),
        Some(port) => Err(format!("port {port} is taken")),
        None => (8080..8180)
            .find(|port| is_free(*port))
            .ok_or_else(|| "no port from 8080 to 8179 is free".into()),
    }
}

fn screen(
    demo: &Demo,
    folder: &Path,
    missions: &[Mission],
    codes: &[(String, Vec<String>)],
    link: &str,
    tally: &Tally,
) -> Fallible<()> {
    let kept = folder.join("recovery-codes.txt");
    let lines: String = codes
        .iter()
        .map(|(email, codes)| format!("{email}\n  {}\n", codes.join("\n  ")))
        .collect();
    fs::write(&kept, lines).map_err(|error| format!("{}: {error}", kept.display()))?;
    let program = |name: &str| shown(&programs::path(name));
    let (scrutineer, observer) = (program("scrutineer"), program("observer"));
    let data = shown(&demo.data);
    let mut text = format!(
        "
────────────────────────────────────────────────────────────────────────────
The demo runs at {origin}

Two missions with {reports} reports. The reports are public claims from the
press and from organisations, used as sample data; each report's text ends with
the address of its source. The observers, decisions, questions and answers are
invented, and say nothing about the events.

Open {origin} in a browser: the coordinators' console. Sign in as one of these,
with the code as the second factor. Each code works once; more are in
{kept}. The analysts have none yet: they are
asked to set a second factor up, with any authenticator app.

",
        origin = demo.origin,
        reports = tally.reports,
        kept = kept.display(),
    );
    for mission in missions {
        text.push_str(&format!(
            "  {}, mission {}\n",
            mission.election.title(),
            mission.id
        ));
        for (role, email, password) in &mission.people {
            let code = codes
                .iter()
                .find(|(owner, _)| owner == email)
                .and_then(|(_, codes)| codes.first());
            let code = code.map(String::as_str).unwrap_or_default();
            text.push_str(&format!("    {role:<12} {email:<34} {password}  {code}\n"));
        }
    }
    let mission = &missions[1];
    let (_, email, password) = &mission.people[2];
    text.push_str(&format!(
        "
The newest reports over HTTP, as the analyst (without a second factor yet):
  TOKEN=$(curl -s {origin}/v1/login -H 'content-type: application/json' \\
    -d '{{\"email\":\"{email}\",\"password\":\"{password}\"}}' | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')
  curl -s {origin}/v1/reports?limit=3 -H \"authorization: Bearer $TOKEN\"

Be an observer. This link enrols one device, once:
  {observer} --home {home} enrol '{link}'
  {observer} --home {home} file --category ballot_stuffing --station 8-12 --text 'What I saw'
  {observer} --home {home} sync
  {observer} --home {home} list

Take the reports away:
  {scrutineer} export --data {data} --mission {id} --format csv -o reports.csv
  {scrutineer} export --data {data} --mission {id} --format geojson -o reports.geojson
  {scrutineer} export --data {data} --mission {id} --format jsonl -o reports.jsonl

Read the API: {origin}/docs

Everything lies in {folder}. Ctrl-C stops the server.
────────────────────────────────────────────────────────────────────────────",
        origin = demo.origin,
        home = shown(&folder.join("me")),
        id = mission.id,
        folder = folder.display(),
    ));
    say(&text);
    Ok(())
}

/// A path as it is typed: from where we are, if that is shorter.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let short = path
        .strip_prefix(&here)
        .unwrap_or(path)
        .display()
        .to_string();
    if short
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c))
    {
        short
    } else {
        format!("'{short}'")
    }
}

/// One line for the person who watches. That nobody watches is no error.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).ok();
}
