//! One large file over a link that keeps breaking off: what is sent again, and what
//! both programs hold in memory.

use std::{
    fs::File,
    io::{BufWriter, Read, Write as _},
    net::SocketAddr,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use protocol::ids::FileHash;
use sha2::{Digest as _, Sha256};

use super::{Error, Options};
use crate::{
    chance::Chance,
    database::Kind,
    http,
    link::{Link, Shape},
    observer::Observer,
    site::{Ended, Site},
    wait::{self, Stopwatch},
};

/// A part of a file is at most that large (`docs/client.md`).
const LARGEST_PART: u64 = 8 << 20;
/// What either program may hold itself at its peak, in kB
/// (`docs/adr/0070-memory-is-what-a-program-holds-itself.md`).
const MEMORY: u64 = 32 << 10;
/// How often the memory of a program that will end is looked at.
const LOOK: Duration = Duration::from_millis(5);

pub(super) fn measure(options: &Options) -> Result<(), Error> {
    let size = options.megabytes << 20;
    let mut site = Site::new(Kind::Sqlite);
    let mission = site.small_mission("Road");
    let server: SocketAddr = site.origin().trim_start_matches("http://").parse()?;
    let link = Link::to(server, Chance::seeded(options.seed));
    site.set("public_url", &link.origin());
    let running = site.start();
    let observer = Observer::new();
    observer.enrol(&site.invite(mission, "D-1"));
    let filed = observer.file(&["--category=voting", "--text=On the video."]);
    let report = filed["report"].as_str().ok_or("no report")?.to_owned();
    let path = site.scratch().join("video.bin");
    let hash = write_file(&path, size, options.seed)?;
    let path = path.to_str().ok_or("a path that is no text")?;
    println!(
        "a file of {} MB, {} cuts (seed {})",
        options.megabytes, options.file_cuts, options.seed
    );

    let watch = Stopwatch::start();
    let attached = run(&observer, &["attach", &report, path]);
    let took = watch.elapsed().as_secs_f64();
    let told = attached.ended.json();
    if told["attached"][0]["file"]["sha256"].as_str() != Some(&hash.to_string()) {
        return Err(format!("another file was attached: {told}").into());
    }
    println!("attach: {took:.1} s, the phone at most {}", attached.memory);

    // The cuts fall into nine tenths of the file.
    let apart = size * 9 / 10 / u64::from(options.file_cuts.max(1));
    link.shape(Shape {
        cut_after: Some(apart / 2..apart * 3 / 2),
        cuts: options.file_cuts,
        ..Shape::default()
    });
    let (before, at_rest) = (link.sent(), Memory::of(running.pid()));
    let watch = Stopwatch::start();
    let (done, on_server) = watching(running.pid(), || send(&observer));
    let (syncs, phone) = done?;
    let took = watch.elapsed().as_secs_f64();
    let sent = link.sent() - before;
    let again = sent.saturating_sub(size);
    let each = again / u64::from(link.cuts().max(1));
    println!(
        "sync: {took:.1} s, {syncs} runs, {} cuts, {sent} bytes up, of these {again} again or heads",
        link.cuts()
    );
    println!(
        "sent again: {each} bytes a cut, {:.1} % of the largest part of {LARGEST_PART}",
        each as f64 * 100.0 / LARGEST_PART as f64
    );
    println!("memory at most: phone {phone}; server {on_server}, at rest {at_rest}");

    let lead = site.console(mission, "lead");
    let stored = read_hash(
        &format!("{}{}", site.origin(), protocol::evidence::path(&hash)),
        &lead.token,
    )?;
    println!("SHA-256: attached {hash}, stored {stored}");
    let peaks = [phone, attached.memory, on_server].map(|memory| memory.data);
    if stored != hash || link.cuts() != options.file_cuts {
        return Err("the file is not what was attached, or a cut is missing".into());
    }
    if each >= LARGEST_PART || peaks.iter().any(|peak| *peak >= MEMORY) {
        return Err("a bound is missed: one part a cut, 32 MB of data a side".into());
    }
    Ok(())
}

/// The most that a program held, in kB: with its code, and its own data alone.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    all: u64,
    data: u64,
}

impl Memory {
    fn of(pid: u32) -> Self {
        Self {
            all: crate::site::peak_memory(pid),
            data: crate::site::own_memory(pid),
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            all: self.all.max(other.all),
            data: self.data.max(other.data),
        }
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} kB (data {} kB)", self.all, self.data)
    }
}

/// Looks at a program's memory while something is done.
fn watching<T>(pid: u32, work: impl FnOnce() -> T) -> (T, Memory) {
    let (most, over) = (Mutex::new(Memory::default()), AtomicBool::new(false));
    let done = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let mut most = most.lock().unwrap_or_else(PoisonError::into_inner);
                *most = most.or(Memory::of(pid));
                drop(most);
                wait::pause(LOOK);
            }
        });
        let done = work();
        over.store(true, Ordering::Relaxed);
        done
    });
    let most = most.into_inner().unwrap_or_else(PoisonError::into_inner);
    (done, most)
}

/// Synchronises until nothing waits. Answers how often, and what the phone held.
fn send(observer: &Observer) -> Result<(u32, Memory), Error> {
    let mut most = Memory::default();
    for run_no in 1.. {
        let went = run(observer, &["sync"]);
        most = most.or(went.memory);
        if went.ended.status == Some(0) {
            let told = went.ended.json();
            if told["files_pending"] == 0 {
                return Ok((run_no, most));
            }
        } else if went.ended.error()["code"] != "network_failed" {
            return Err(format!("{:?}", went.ended).into());
        }
    }
    Err("it never ends".into())
}

/// A command's end, and the most memory it held.
struct Went {
    ended: Ended,
    memory: Memory,
}

fn run(observer: &Observer, arguments: &[&str]) -> Went {
    let running = observer.spawn(arguments);
    // What a program did in its last milliseconds is not seen.
    let (ended, memory) = watching(running.pid(), || running.wait());
    Went { ended, memory }
}

/// Writes a file no two pages of which are alike. Answers its name.
fn write_file(path: &Path, size: u64, seed: u64) -> Result<FileHash, Error> {
    let mut chance = Chance::seeded(seed);
    let mut page = [0; 4096];
    for part in page.chunks_mut(32) {
        part.copy_from_slice(&chance.bytes::<32>());
    }
    let (mut out, mut digest) = (BufWriter::new(File::create(path)?), Sha256::new());
    for number in 0..size / page.len() as u64 {
        page[..8].copy_from_slice(&number.to_le_bytes());
        digest.update(page);
        out.write_all(&page)?;
    }
    out.flush()?;
    Ok(FileHash(digest.finalize().into()))
}

/// What is stored, read as a coordinator reads it.
fn read_hash(url: &str, token: &str) -> Result<FileHash, Error> {
    let mut answer = http::client().get(url).bearer_auth(token).send()?;
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match answer.read(&mut buffer)? {
            0 => return Ok(FileHash(digest.finalize().into())),
            count => digest.update(&buffer[..count]),
        }
    }
}
