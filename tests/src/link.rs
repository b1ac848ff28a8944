//! A bad network: a proxy in user space between phones and a server, which is
//! slow, breaks connections off, is down, repeats what it carried, or answers in the
//! server's place.
#![expect(
    clippy::disallowed_methods,
    reason = "a link's speed is real time; no test decides anything by it"
)]

use std::{
    net::SocketAddr,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Runtime,
    sync::{Notify, mpsc},
    time::{Instant, sleep_until},
};

use crate::chance::Chance;

/// Bytes that go through at once: a segment.
const SEGMENT: usize = 1_400;
/// Segments of one direction on their way.
const WINDOW: usize = 64;
/// Bytes of a connection that are kept to be repeated; one that carried more is not.
const REPEATED: usize = 1 << 20;
/// How long a repeated connection may take to be answered. Nobody reads the answer.
const REPEAT_PATIENCE: Duration = Duration::from_secs(2);

/// What the link is like.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// Bits a second in each direction, shared by all connections.
    pub bits_per_second: Option<u64>,
    /// From one end to the other. A new connection takes twice that before
    /// anything goes through.
    pub delay: Duration,
    /// After how many bytes towards the server a connection breaks off.
    pub cut_after: Option<Range<u64>>,
    /// After how many bytes from the server a connection breaks off.
    pub cut_down_after: Option<Range<u64>>,
    /// How many connections break off; the others hold.
    pub cuts: u32,
    /// Once a connection is over, what the phone sent on it reaches the server again.
    pub repeats: bool,
}

/// Who answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answers {
    /// The server.
    #[default]
    Server,
    /// A captive portal: 200 with a page.
    Portal,
    /// A proxy whose server is gone: 502 with a page.
    BadGateway,
    /// Nobody: connections are closed as soon as they are made.
    Nobody,
}

impl Answers {
    fn text(self) -> Option<&'static str> {
        match self {
            Self::Server => None,
            Self::Nobody => Some(""),
            Self::Portal => Some(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 18\r\nConnection: close\r\n\r\n<p>Please sign in.",
            ),
            Self::BadGateway => Some(
                "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 18\r\nConnection: close\r\n\r\n<p>No such server.",
            ),
        }
    }
}

/// See the module. It is down once this is dropped.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    shape: Mutex<Shape>,
    answers: Mutex<Answers>,
    chance: Mutex<Chance>,
    cuts: AtomicU32,
    connections: AtomicU32,
    repeats: AtomicU32,
    up: Lane,
    down: Lane,
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    bytes: AtomicU64,
    /// When the link is free again.
    free: Mutex<Option<Instant>>,
}

impl Link {
    /// A good link to a server. What is random about it later follows from `chance`.
    ///
    /// # Panics
    /// When there is no port or no thread.
    #[must_use]
    pub fn to(target: SocketAddr, chance: Chance) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("link")
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            target,
            cuts: AtomicU32::new(0),
            shape: Mutex::default(),
            answers: Mutex::default(),
            chance: Mutex::new(chance),
            connections: AtomicU32::new(0),
            repeats: AtomicU32::new(0),
            up: Lane::default(),
            down: Lane::default(),
        });
        let serving = shared.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = serving.clone();
                tokio::spawn(async move { shared.carry(stream).await });
            }
        });
        Self {
            address,
            shared,
            runtime: Some(runtime),
        }
    }

    /// Where phones reach the server through it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as an origin.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Bytes towards the server so far, TCP's own apart.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.shared.up.bytes.load(Ordering::Relaxed)
    }

    /// Bytes from the server so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.shared.down.bytes.load(Ordering::Relaxed)
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Connections that were broken off so far.
    #[must_use]
    pub fn cuts(&self) -> u32 {
        self.shared.cuts.load(Ordering::Relaxed)
    }

    /// Connections that reached the server twice so far.
    #[must_use]
    pub fn repeats(&self) -> u32 {
        self.shared.repeats.load(Ordering::Relaxed)
    }

    /// What new connections are like from now on.
    pub fn shape(&self, shape: Shape) {
        *lock(&self.shared.shape) = shape;
    }

    /// Has somebody else answer from now on, on new connections.
    pub fn answer(&self, answers: Answers) {
        *lock(&self.shared.answers) = answers;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// One connection, from beginning to end. Whatever fails is what a network does.
    async fn carry(self: Arc<Self>, mut phone: TcpStream) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let (shape, [allowance, allowance_down]) = self.shape();
        sleep_until(Instant::now() + shape.delay * 2).await;
        let answers = *lock(&self.answers);
        if let Some(text) = answers.text() {
            if !text.is_empty() {
                answer_request(&mut phone, text).await;
            }
            return;
        }
        let Ok(server) = TcpStream::connect(self.target).await else {
            return;
        };
        phone.set_nodelay(true).ok();
        server.set_nodelay(true).ok();
        let (from_phone, to_phone) = phone.into_split();
        let (from_server, to_server) = server.into_split();
        let cut = Arc::new(Notify::new());
        let kept = shape.repeats.then(Mutex::default);
        let up = self
            .up
            .pump(&shape, from_phone, to_server, allowance, &cut, &kept);
        let down = self
            .down
            .pump(&shape, from_server, to_phone, allowance_down, &cut, &None);
        tokio::select! {
            // Broken off: both ends are dropped with what is on its way.
            () = cut.notified() => {
                self.cuts.fetch_add(1, Ordering::Relaxed);
            }
            _ = async { tokio::join!(up, down) } => {}
        }
        if let Some(bytes) = kept.map(|kept| std::mem::take(&mut *lock(&kept)))
            && (1..REPEATED).contains(&bytes.len())
        {
            self.repeat(&bytes).await;
        }
    }

    /// Sends the same bytes on a connection of their own.
    async fn repeat(&self, bytes: &[u8]) {
        let Ok(mut server) = TcpStream::connect(self.target).await else {
            return;
        };
        self.repeats.fetch_add(1, Ordering::Relaxed);
        let over = Instant::now() + REPEAT_PATIENCE;
        let sent = async {
            server.write_all(bytes).await?;
            server.shutdown().await?;
            tokio::io::copy(&mut server, &mut tokio::io::sink()).await
        };
        tokio::select! {
            // Whatever comes of it: the phone knows nothing of this.
            _ = sent => {}
            () = sleep_until(over) => {}
        }
    }

    /// What this connection is like, and after how many bytes in each direction it
    /// breaks off.
    fn shape(&self) -> (Shape, [Option<u64>; 2]) {
        let mut shape = lock(&self.shape);
        let ranges = [shape.cut_after.clone(), shape.cut_down_after.clone()];
        if shape.cuts == 0 || ranges.iter().all(Option::is_none) {
            return (shape.clone(), [None; 2]);
        }
        shape.cuts -= 1;
        let allowances = ranges.map(|range| {
            let range = range?;
            Some(range.start + lock(&self.chance).below(range.end - range.start))
        });
        (shape.clone(), allowances)
    }
}

async fn deliver(mut queue: mpsc::Receiver<(Instant, Vec<u8>)>, mut to: OwnedWriteHalf) {
    while let Some((at, bytes)) = queue.recv().await {
        sleep_until(at).await;
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
    to.shutdown().await.ok();
}

/// Reads a request's head and answers it.
async fn answer_request(phone: &mut TcpStream, text: &str) {
    let mut head = Vec::new();
    let mut buffer = [0; SEGMENT];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match phone.read(&mut buffer).await {
            Ok(count @ 1..) => head.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
    phone.write_all(text.as_bytes()).await.ok();
}

impl Lane {
    async fn pump(
        &self,
        shape: &Shape,
        mut from: OwnedReadHalf,
        to: OwnedWriteHalf,
        mut allowance: Option<u64>,
        cut: &Notify,
        kept: &Option<Mutex<Vec<u8>>>,
    ) {
        let (segments, queue) = mpsc::channel(WINDOW);
        let reading = async move {
            let mut buffer = [0; SEGMENT];
            while let Ok(count @ 1..) = from.read(&mut buffer).await {
                let room = usize::try_from(allowance.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
                let count = count.min(room);
                self.pass(count, shape.bits_per_second).await;
                self.bytes.fetch_add(count as u64, Ordering::Relaxed);
                if let Some(kept) = kept {
                    let mut kept = lock(kept);
                    if kept.len() < REPEATED {
                        kept.extend_from_slice(&buffer[..count]);
                    }
                }
                let at = Instant::now() + shape.delay;
                if segments.send((at, buffer[..count].to_vec())).await.is_err() {
                    return;
                }
                if let Some(left) = &mut allowance {
                    *left -= count as u64;
                    if *left == 0 {
                        cut.notify_one();
                        return;
                    }
                }
            }
        };
        tokio::join!(reading, deliver(queue, to));
    }

    /// Waits until so many bytes are through.
    async fn pass(&self, count: usize, bits_per_second: Option<u64>) {
        let Some(rate) = bits_per_second else { return };
        let takes = Duration::from_secs_f64(count as f64 * 8.0 / rate as f64);
        let through = {
            let mut free = lock(&self.free);
            let begins = free.unwrap_or_else(Instant::now).max(Instant::now());
            *free.insert(begins + takes)
        };
        sleep_until(through).await;
    }
}
