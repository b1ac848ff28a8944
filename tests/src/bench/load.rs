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
    let mut requests = Vec::new();
    for request in world.exchanges(reports)? {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(&serde_json::to_vec(&request)?)?;
        let body = packed.finish()?;
        let mut message = format!(
            "POST /v1/exchange HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n\
             Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        message.extend(body);
        requests.push(message);
    }
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

fn ledger_number(world: &World) -> Result<i64, Error> {
    let head = world
        .app
        .store
        .read(|conn| scrutineer::store::ledger::head(conn, world.mission.no))?;
    Ok(head.number)
}

async fn connection(
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
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<(), Error> {
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
pub(super) fn print(connections: usize, figures: &mut [Figures], bound: f64, group: f64) {
    let of = |pick: fn(&Figures) -> f64| median(&mut figures.iter().map(pick).collect::<Vec<_>>());
    let rate = of(|f| f.rate);
    println!(
        "{connections:>3} connections: {rate:>6.0} reports/s, {:.0} % of the bound, {:.0} % of the one with {} a commit ({group:.0}/s); p50 {:.1} ms, p99 {:.1} ms; \
         memory {:.0} MB at rest, {:.0} MB at peak; start {:.3} s",
        rate / bound * 100.0,
        rate / group * 100.0,
        connections * PER_EXCHANGE,
        of(|f| f.p50),
        of(|f| f.p99),
        of(|f| f.rest),
        of(|f| f.peak),
        of(|f| f.start),
    );
}
