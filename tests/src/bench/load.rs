//! Load over real sockets: connections that each send an exchange, wait for the
//! answer, and send the next. Bodies are signed and packed beforehand.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use flate2::{Compression, write::GzEncoder};
use protocol::exchange::Request;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    Error,
    data::{PER_EXCHANGE, World},
    median,
    process::Serving,
};

/// One measurement.
pub(super) struct Figures {
    rate: f64,
    p50: f64,
    p99: f64,
    start: f64,
    rest: f64,
    peak: f64,
}

pub(super) fn measure(
    database_url: &str,
    reports: usize,
    connections: usize,
) -> Result<Figures, Error> {
    let folder = tempfile::tempdir()?;
    let world = World::create(folder.path(), database_url)?;
    let requests: Vec<_> = world
        .exchanges(reports)?
        .iter()
        .map(message)
        .collect::<Result<_, _>>()?;
    let before = ledger_number(&world)?;
    let server = Serving::start(folder.path(), database_url)?;
    let rest = server.memory("VmRSS");
    let requests = Arc::new(requests);
    let next = Arc::new(AtomicUsize::new(0));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let start = Instant::now();
    let mut latencies = runtime.block_on(async {
        let tasks: Vec<_> = (0..connections)
            .map(|_| {
                tokio::spawn(connection(
                    server.address.clone(),
                    requests.clone(),
                    next.clone(),
                ))
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await??);
        }
        Ok::<_, Error>(all)
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let stored = usize::try_from(ledger_number(&world)? - before)?;
    if stored != requests.len() * PER_EXCHANGE {
        return Err(format!(
            "{stored} of {} reports are in the ledger",
            requests.len() * PER_EXCHANGE
        )
        .into());
    }
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize] * 1000.0;
    Ok(Figures {
        rate: stored as f64 / seconds,
        p50: at(0.5),
        p99: at(0.99),
        start: server.start,
        rest,
        peak: server.memory("VmHWM"),
    })
}

/// An exchange as it goes over the socket.
pub(super) fn message(request: &Request) -> Result<Vec<u8>, Error> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&serde_json::to_vec(request)?)?;
    let body = packed.finish()?;
    let mut message = format!(
        "POST /v1/exchange HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n\
         Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    message.extend(body);
    Ok(message)
}

fn ledger_number(world: &World) -> Result<i64, Error> {
    let head = world
        .app
        .store
        .read(|conn| scrutineer::store::ledger::head(conn, world.mission.no))?;
    Ok(head.number)
}

pub(super) async fn connection(
    address: String,
    requests: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
) -> Result<Vec<f64>, Error> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut latencies = Vec::new();
    let mut answer = Vec::new();
    loop {
        let Some(message) = requests.get(next.fetch_add(1, Ordering::Relaxed)) else {
            return Ok(latencies);
        };
        let start = Instant::now();
        stream.write_all(message).await?;
        answer.clear();
        read_answer(&mut stream, &mut answer).await?;
        latencies.push(start.elapsed().as_secs_f64());
    }
}

/// Reads one answer to its end; anything but 200 is an error.
pub(super) async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<(), Error> {
    loop {
        if stream.read_buf(answer).await? == 0 {
            return Err("the server hung up".into());
        }
        let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&answer[..end])?.to_ascii_lowercase();
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|value| value.trim().parse().ok())
            .ok_or("no content length")?;
        while answer.len() < end + 4 + length {
            if stream.read_buf(answer).await? == 0 {
                return Err("the server hung up".into());
            }
        }
        let body = String::from_utf8_lossy(&answer[end + 4..]);
        if !head.starts_with("http/1.1 200")
            || body.contains("\"refused\"")
            || body.contains("\"quarantined\"")
        {
            return Err(format!("{head}\n{body}").into());
        }
        return Ok(());
    }
}

/// `bound` is that of commits of 1,000, `group` that of commits of as many
/// reports as can be on their way at once.
/// One measurement beside the bounds taken right before it.
pub(super) struct Round {
    pub(super) figures: Figures,
    /// With a thousand rows a commit.
    pub(super) bound: f64,
    /// With as many rows on their way as the connections have.
    pub(super) group: f64,
}

pub(super) fn print(connections: usize, rounds: &[Round]) {
    let of = |pick: fn(&Round) -> f64| median(&mut rounds.iter().map(pick).collect::<Vec<_>>());
    println!(
        "{connections:>3} connections: {:>6.0} reports/s, {:.0} % of the bound; {:.0} % of the one with {} reports on their way ({:.0}/s); \
         p50 {:.1} ms, p99 {:.1} ms; memory {:.0} MB at rest, {:.0} MB at peak; start {:.3} s",
        of(|r| r.figures.rate),
        of(|r| r.figures.rate / r.bound * 100.0),
        of(|r| r.figures.rate / r.group * 100.0),
        connections * PER_EXCHANGE,
        of(|r| r.group),
        of(|r| r.figures.p50),
        of(|r| r.figures.p99),
        of(|r| r.figures.rest),
        of(|r| r.figures.peak),
        of(|r| r.figures.start),
    );
}
