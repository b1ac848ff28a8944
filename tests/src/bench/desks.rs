//! What coordinators wait for: the page with many reports, and the way of a report from an
//! observer's sync to fifty desks, one of them a real browser.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use protocol::{entry::SdJwt, exchange::Request};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    Error,
    data::{PER_EXCHANGE, World},
    load::{connection, message, read_answer},
    process::{Serving, cli_with},
};
use crate::{console::Console, programs};

/// Desks beside the browser's.
const DESKS: usize = 49;
/// Reports a second that come in.
const RATE: usize = 500;
/// Connections that send what comes in.
const SENDERS: usize = 8;
const EMAIL: &str = "bench@example.org";
const WATCHER: &str = "watcher@example.org";
const PASSWORD: &str = "eleven purple station clerks";

/// Measures with `rows` reports on the server, and more coming in for `seconds`.
pub(super) fn measure(
    name: &str,
    database_url: &str,
    rows: usize,
    seconds: usize,
) -> Result<(), Error> {
    let folder = tempfile::tempdir()?;
    let world = World::create(folder.path(), database_url)?;
    let mission = world.mission.id.to_string();
    for email in [EMAIL, WATCHER] {
        let arguments = [
            "user",
            "add",
            "--mission",
            &mission,
            "--role",
            "lead",
            "--email",
            email,
            "--password-stdin",
            "--json",
        ];
        cli_with(folder.path(), database_url, &arguments, PASSWORD)?;
    }
    let arriving = RATE * seconds / PER_EXCHANGE;
    let mut requests = world.exchanges(rows + arriving * PER_EXCHANGE)?;
    let fresh = requests.split_off(rows / PER_EXCHANGE);
    let server = Serving::start(folder.path(), database_url)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let stored: Vec<_> = requests.iter().map(message).collect::<Result<_, _>>()?;
    runtime.block_on(fill(&server.address, stored))?;
    let behind = Instant::now();
    while !indexed(&world)? {
        std::thread::sleep(Duration::from_millis(100));
    }
    println!(
        "{name}: {rows} reports; the words of those filed in a burst are indexed {:.0} s after it",
        behind.elapsed().as_secs_f64()
    );

    let mut page = Page::open(&server.address)?;
    let figures = page.next()?;
    let at = |name: &str| figures[name].as_f64().unwrap_or(f64::NAN);
    let frame = |name: &str| figures["frames"][name].as_f64().unwrap_or(f64::NAN);
    println!(
        "  first list {:.0} ms; search, with the 250 ms that the page waits for another key: a rare word {:.0} ms, a common one {:.0} ms, none {:.0} ms; \
         open a report {:.0} ms",
        at("first"),
        at("rare"),
        at("common"),
        at("none"),
        at("opened")
    );
    println!(
        "  scrolling over {:.0} rows in 5 s: {:.0} frames, {:.1} ms at the median, {:.1} ms at 95 %, {:.1} ms at most",
        frame("rows"),
        frame("frames"),
        frame("p50"),
        frame("p95"),
        frame("most")
    );
    for name in ["map", "room"] {
        let opened = &figures[name];
        let answers = opened["answers"].as_object().ok_or("no answers")?;
        let answers: Vec<_> = answers
            .iter()
            .map(|(path, took)| format!("{path} {:.0} ms", took.as_f64().unwrap_or(f64::NAN)))
            .collect();
        println!(
            "  the {name}, from the click: {:.0} ms; the server's answers: {}",
            opened["shown"].as_f64().unwrap_or(f64::NAN),
            answers.join(", ")
        );
    }
    page.next()?;

    let token = Console::login(&format!("http://{}", server.address), WATCHER, PASSWORD).token;
    let subjects = subjects(&fresh)?;
    let fresh: Vec<_> = fresh.iter().map(message).collect::<Result<_, _>>()?;
    let (sent, told) = runtime.block_on(watch(&server.address, &token, fresh, head(&world)?))?;
    let mut desks: Vec<f64> = told.iter().flatten().copied().collect();
    let mut screen = page.seen(&subjects, &sent)?;
    let (arrived, shown) = (desks.len(), screen.len());
    desks.sort_by(f64::total_cmp);
    screen.sort_by(f64::total_cmp);
    let part = |all: &[f64], share: f64| all[((all.len() - 1) as f64 * share) as usize];
    println!(
        "  {RATE} reports a second for {seconds} s, {} desks: from the sync to a desk {:.0} ms at the median, {:.0} ms at 99 % ({arrived} arrivals); \
         to the browser's screen {:.0} ms and {:.0} ms ({shown} rows that it showed); memory {:.0} MB at peak",
        DESKS + 1,
        part(&desks, 0.5),
        part(&desks, 0.99),
        part(&screen, 0.5),
        part(&screen, 0.99),
        server.memory("VmHWM"),
    );
    Ok(())
}

async fn fill(address: &str, requests: Vec<Vec<u8>>) -> Result<(), Error> {
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..SENDERS)
        .map(|_| {
            tokio::spawn(connection(
                address.to_owned(),
                requests.clone(),
                next.clone(),
            ))
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

fn head(world: &World) -> Result<i64, Error> {
    let read = |conn: &mut scrutineer::store::Conn| {
        scrutineer::store::ledger::head(conn, world.mission.no)
    };
    Ok(world.app.store.read(read)?.number)
}

fn indexed(world: &World) -> Result<bool, Error> {
    let done = world
        .app
        .store
        .read(|conn| scrutineer::store::search::progress(conn, world.mission.no))?;
    Ok(done == head(world)?)
}

/// Which reports each exchange brings.
fn subjects(requests: &[Request]) -> Result<Vec<Vec<String>>, Error> {
    let subject = |entry: &protocol::entry::WireEntry| -> Result<String, Error> {
        Ok(SdJwt::from_wire(entry)?
            .read()?
            .payload
            .subject
            .0
            .to_string())
    };
    requests
        .iter()
        .map(|request| request.entries.iter().map(subject).collect())
        .collect()
}

/// When each exchange was sent (by the wall clock), and for each desk the milliseconds from
/// there to its event.
async fn watch(
    address: &str,
    token: &str,
    requests: Vec<Vec<u8>>,
    head: i64,
) -> Result<(Vec<SystemTime>, Vec<Vec<f64>>), Error> {
    let count = requests.len();
    let last = head + i64::try_from(count * PER_EXCHANGE)?;
    let mut desks = Vec::new();
    for _ in 0..DESKS {
        let (address, token) = (address.to_owned(), token.to_owned());
        desks.push(tokio::spawn(desk(address, token, head, last)));
    }
    let (requests, start) = (Arc::new(requests), Instant::now());
    let every = Duration::from_secs_f64(PER_EXCHANGE as f64 / RATE as f64);
    let next = Arc::new(AtomicUsize::new(0));
    let mut senders = Vec::new();
    for _ in 0..SENDERS {
        let (requests, next, address) = (requests.clone(), next.clone(), address.to_owned());
        senders.push(tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (mut sent, mut answer) = (Vec::new(), Vec::new());
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(message) = requests.get(at) else {
                    return Ok::<_, Error>(sent);
                };
                tokio::time::sleep_until((start + every * u32::try_from(at)?).into()).await;
                let times = (Instant::now(), SystemTime::now());
                stream.write_all(message).await?;
                answer.clear();
                read_answer(&mut stream, &mut answer).await?;
                sent.push((at, times, numbers(&answer)));
            }
        }));
    }
    let mut all = Vec::new();
    for sender in senders {
        all.extend(sender.await??);
    }
    all.sort_by_key(|(at, ..)| *at);
    let mut told = Vec::new();
    for desk in desks {
        let events = desk.await??;
        let mut waits = Vec::new();
        for (_, (sent, _), numbers) in &all {
            for number in numbers {
                let at = events.partition_point(|(cursor, _)| cursor < number);
                let (_, came) = events.get(at).ok_or("a desk missed a report")?;
                waits.push(came.saturating_duration_since(*sent).as_secs_f64() * 1000.0);
            }
        }
        told.push(waits);
    }
    Ok((
        all.into_iter().map(|(_, (_, wall), _)| wall).collect(),
        told,
    ))
}

/// The ledger numbers that an answer gives to its entries.
fn numbers(answer: &[u8]) -> Vec<i64> {
    let text = String::from_utf8_lossy(answer);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let value: Value = serde_json::from_str(body).unwrap_or_default();
    let outcomes = value["outcomes"].as_array().cloned().unwrap_or_default();
    outcomes
        .iter()
        .filter_map(|outcome| outcome["number"].as_i64())
        .collect()
}

/// Listens until the last number; answers how far each event told, and when it came.
async fn desk(
    address: String,
    token: String,
    from: i64,
    last: i64,
) -> Result<Vec<(i64, Instant)>, Error> {
    let mut stream = TcpStream::connect(&address).await?;
    let request = format!(
        "GET /v1/events?cursor={from} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut lines = tokio::io::BufReader::new(stream).lines();
    let mut events = Vec::new();
    while let Some(line) = lines.next_line().await? {
        let Some(cursor) = line.strip_prefix("id: ").and_then(|id| id.parse().ok()) else {
            continue;
        };
        events.push((cursor, Instant::now()));
        if cursor >= last {
            return Ok(events);
        }
    }
    Err("a desk's line ended".into())
}

/// The browser.
struct Page {
    child: Child,
    told: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Page {
    fn open(address: &str) -> Result<Self, Error> {
        let mut child = programs::node("console/bench.mjs")
            .env("ORIGIN", format!("http://{address}"))
            .env("EMAIL", EMAIL)
            .env("PASSWORD", PASSWORD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let told = child.stdin.take().ok_or("no pipe")?;
        let said = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        Ok(Self { child, told, said })
    }

    fn next(&mut self) -> Result<Value, Error> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        serde_json::from_str(&line).map_err(|_| format!("the browser said {line:?}").into())
    }

    /// Milliseconds from the sync to the row, for the reports that it showed.
    fn seen(&mut self, subjects: &[Vec<String>], sent: &[SystemTime]) -> Result<Vec<f64>, Error> {
        writeln!(self.told, "end")?;
        let answer = self.next()?;
        let sent_of: HashMap<&str, &SystemTime> = subjects
            .iter()
            .zip(sent)
            .flat_map(|(subjects, at)| subjects.iter().map(move |id| (id.as_str(), at)))
            .collect();
        let seen = answer["seen"].as_object().ok_or("no rows")?;
        let mut waits = Vec::new();
        for (id, at) in seen {
            let (Some(sent), Some(at)) = (sent_of.get(id.as_str()), at.as_f64()) else {
                continue;
            };
            waits.push(at - sent.duration_since(UNIX_EPOCH)?.as_secs_f64() * 1000.0);
        }
        if waits.is_empty() {
            return Err("the browser showed nothing of what came in".into());
        }
        Ok(waits)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
