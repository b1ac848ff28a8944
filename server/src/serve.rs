//! The listening server: sockets, TLS, who may connect, and how it stops.

use std::{
    fs,
    io::Write as _,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use actix_web::{
    App as Web, HttpMessage as _, HttpResponse, HttpServer,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    middleware::{Next, from_fn},
    web,
};
use protocol::{
    codes::Code,
    problem::{MEDIA_TYPE, Problem},
};
use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    api::Api,
    app::App,
    clock::Host,
    config::Config,
    domain::{evidence::Swept, missions, search},
    error::{Error, Result},
    store::presence::Presence,
};

/// Seconds for a request's head to arrive: whoever sends a byte at a time must
/// not hold a connection.
const HEAD_SECONDS: u64 = 10;
/// Seconds that an idle connection is kept: above the 60 of common proxies, or
/// they would write into connections that are just being closed.
const KEEP_ALIVE_SECONDS: u64 = 75;
/// Seconds for a TLS handshake.
const HANDSHAKE_SECONDS: u64 = 10;
/// Seconds for a client to take the end of an answer.
const DISCONNECT_SECONDS: u64 = 5;
/// Connections that the system queues until they are taken: after a shutdown
/// of the network all phones come at once.
const BACKLOG: u32 = 2048;
/// Connections of one worker thread.
const CONNECTIONS: usize = 10_000;
/// How often keys and certificates are looked at for changes.
const CARE: Duration = Duration::from_secs(60);
/// How often evidence is swept.
const SWEEP: Duration = Duration::from_secs(3600);
/// How often it is written down which phones were heard of.
const SETTLE: Duration = Duration::from_secs(10);
/// After a commit until its words are indexed, so that what comes in a burst goes together.
const INDEX_PAUSE: Duration = Duration::from_millis(200);
/// How long indexing waits at most.
const INDEX_AGAIN: Duration = Duration::from_secs(1);

/// The address that a request really comes from, behind trusted proxies too.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Runs the server until it is told to stop. `announce` gets the address once
/// connections are taken.
///
/// # Errors
/// A configuration that cannot be used, an address in use, a database that
/// cannot be reached.
pub fn run(
    config: Config,
    host: Host,
    announce: impl FnOnce(&str) -> Result<()> + 'static,
) -> Result<()> {
    start_log(&config)?;
    // Two providers may be linked; rustls must not have to guess.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    if CryptoProvider::install_default((*provider).clone()).is_err() {
        tracing::debug!("a crypto provider was installed before");
    }
    config.check_listen()?;
    let certificate = match (&config.tls_certificate, &config.tls_key) {
        (Some(chain), Some(key)) => {
            Some(Arc::new(Certificate::load(chain, key, provider.clone())?))
        }
        _ => None,
    };
    let presence = Presence::server(&config.data, &config.database()?, || {
        tracing::warn!("a rebuild is running on this data; waiting for its end");
    })?;
    let runtime = actix_web::rt::System::new();
    let outcome = runtime.block_on(listen(config, host, certificate, provider, announce));
    drop(presence);
    outcome
}

async fn listen(
    mut config: Config,
    host: Host,
    certificate: Option<Arc<Certificate>>,
    provider: Arc<CryptoProvider>,
    announce: impl FnOnce(&str) -> Result<()>,
) -> Result<()> {
    let listener = bind(config.listen)?;
    // Port 0 means any: links need the real one.
    config.listen = listener
        .local_addr()
        .map_err(|error| Error::Io("the socket".into(), error))?;
    let scheme = if certificate.is_some() {
        "https"
    } else {
        "http"
    };
    let address = format!("{scheme}://{}", config.listen);
    let app = App::open(config, host)?;
    let origin_file = app.data_file("serve.origin");
    fs::write(&origin_file, app.config.origin()).map_err(Error::io(&origin_file))?;
    let (store, epoch_host) = (app.store.clone(), app.host.clone());
    store.write(|conn| missions::ensure_epoch(conn, &epoch_host))?;

    // Before the first connection: a signal must not find nobody.
    let mut stop = Stop::new()?;
    let api = Api::new(app.clone());
    let server = server(&app, &api, listener, certificate.clone(), provider)?;
    let handle = server.handle();
    let mut running = actix_web::rt::spawn(server);
    let care = actix_web::rt::spawn(take_care(app.clone(), certificate));
    let sweeping = actix_web::rt::spawn(sweep(app.clone()));
    let indexing = actix_web::rt::spawn(index(app.clone()));
    let settling = actix_web::rt::spawn(settle(app.clone()));
    tracing::info!(address, database = ?app.store, "listening");
    announce(&address)?;

    let outcome = tokio::select! {
        ended = &mut running => ended.map_err(|error| Error::Internal(error.to_string()))
            .and_then(|ended| ended.map_err(|error| Error::Io("the server".into(), error))),
        () = stop.wait() => {
            tracing::info!("stopping: finishing the requests in flight");
            api.end_feeds();
            tokio::select! {
                () = handle.stop(true) => {}
                () = stop.wait() => {
                    tracing::warn!("told again: stopping at once");
                    handle.stop(false).await;
                }
            }
            Ok(())
        }
    };
    care.abort();
    sweeping.abort();
    indexing.abort();
    settling.abort();
    // What was taken before the stop is written before the end.
    let (batcher, store, heard) = (app.batcher.clone(), app.store.clone(), app.heard.clone());
    let drained = web::block(move || {
        batcher.stop();
        if let Err(error) = heard.settle(&store) {
            tracing::warn!(%error, "when phones were heard of last was not written down");
        }
        // So that nothing of it stands in SQLite's log alone. If somebody reads the
        // database meanwhile, the next start finds the log.
        if let Err(error) = store.scrub() {
            tracing::warn!(%error, "the database's log was not written back");
        }
    })
    .await;
    drained.map_err(|error| Error::Internal(error.to_string()))?;
    tracing::info!("stopped");
    outcome
}

fn server(
    app: &App,
    api: &Api,
    listener: std::net::TcpListener,
    certificate: Option<Arc<Certificate>>,
    provider: Arc<CryptoProvider>,
) -> Result<actix_web::dev::Server> {
    let workers = match app.config.workers {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        workers => workers,
    };
    let peers = web::Data::new(Peers::of(&app.config));
    let api = api.clone();
    let http = HttpServer::new(move || {
        Web::new()
            .app_data(peers.clone())
            .wrap(from_fn(check_peer))
            .configure(|routes| api.configure(routes))
    })
    .workers(workers)
    .max_connections(CONNECTIONS)
    .keep_alive(Duration::from_secs(KEEP_ALIVE_SECONDS))
    .client_request_timeout(Duration::from_secs(HEAD_SECONDS))
    .client_disconnect_timeout(Duration::from_secs(DISCONNECT_SECONDS))
    .tls_handshake_timeout(Duration::from_secs(HANDSHAKE_SECONDS))
    .shutdown_timeout(app.config.shutdown_seconds)
    .disable_signals();
    let http = match certificate {
        None => http.listen(listener),
        Some(certificate) => http.listen_rustls_0_23(listener, tls(certificate, provider)?),
    };
    Ok(http
        .map_err(|error| Error::Io("the server".into(), error))?
        .run())
}

fn bind(address: SocketAddr) -> Result<std::net::TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
    };
    socket
        .and_then(|socket| {
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)?.into_std()
        })
        .map_err(|error| {
            let detail = format!("cannot listen on {address}: {error}");
            Error::refused(Code::ConfigurationInvalid, detail)
        })
}

/// The signals that end the server.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> Result<Self> {
        let catch = |kind| signal(kind).map_err(|error| Error::Io("signals".into(), error));
        Ok(Self {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Destroys what erasures doomed and removes uploads that nobody goes on with: at
/// the start, because the last server may have died before, and each hour.
async fn sweep(app: App) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match app.evidence.sweep().await {
            Ok(swept) if swept == Swept::default() => {}
            Ok(swept) => tracing::info!(
                files = swept.destroyed,
                uploads = swept.uploads,
                "evidence was removed: files of erased reports, unfinished uploads"
            ),
            Err(error) => tracing::error!(%error, "evidence was not swept; tried again in an hour"),
        }
        if let Err(error) = app.bundles.sweep().await {
            tracing::error!(%error, "bundles were not looked through; tried again in an hour");
        }
    }
}

/// Keeps the index over reports' words behind the ledger. Between two steps others
/// write for four times as long as the step took.
async fn index(app: App) {
    let mut commits = app.store.commits();
    loop {
        let (store, began) = (app.store.clone(), app.host.now());
        let more = match web::block(move || search::step(&store)).await {
            Ok(Ok(more)) => more,
            Ok(Err(error)) => {
                tracing::error!(%error, "the index over reports' words waits; searches read every text meanwhile");
                false
            }
            // The server ends.
            Err(_) => return,
        };
        if more {
            let took = u64::try_from(app.host.now().0 - began.0).unwrap_or_default();
            tokio::time::sleep(Duration::from_micros(4 * took).min(INDEX_AGAIN)).await;
        } else {
            tokio::time::sleep(INDEX_PAUSE).await;
            // Another server may have written.
            let _ = tokio::time::timeout(INDEX_AGAIN, commits.changed()).await;
        }
    }
}

/// Writes down which phones were heard of.
async fn settle(app: App) {
    let mut ticks = tokio::time::interval(SETTLE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (heard, store) = (app.heard.clone(), app.store.clone());
        match web::block(move || heard.settle(&store)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "when phones were heard of waits to be written down");
            }
            // The server ends.
            Err(_) => return,
        }
    }
}

/// Other processes rotate token keys and renew certificates.
async fn take_care(app: App, certificate: Option<Arc<Certificate>>) {
    let mut ticks = tokio::time::interval(CARE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let (keys, certificate) = (app.keys.clone(), certificate.clone());
        let done = web::block(move || {
            if let Err(error) = keys.reload_tokens() {
                tracing::error!("token keys cannot be read again, the old ones stay: {error}");
            }
            if let Some(Err(error)) = certificate.map(|certificate| certificate.renew()) {
                tracing::error!(
                    "the TLS certificate cannot be read again, the old one stays: {error}"
                );
            }
        });
        if done.await.is_err() {
            return;
        }
    }
}

fn start_log(config: &Config) -> Result<()> {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_new(&config.log).map_err(|error| {
        Error::refused(
            Code::ConfigurationInvalid,
            format!("log `{}`: {error}", config.log),
        )
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = if config.log_json {
        log.json().flatten_event(true).try_init()
    } else {
        log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init()
    };
    if started.is_err() {
        writeln!(std::io::stderr(), "the log was started before").ok();
    }
    Ok(())
}

/// Who may connect.
struct Peers {
    proxies: Vec<IpAddr>,
    /// Without TLS of our own, only the proxies may.
    only_proxies: bool,
}

impl Peers {
    fn of(config: &Config) -> Self {
        let proxies: Vec<_> = config
            .trusted_proxies
            .iter()
            .map(IpAddr::to_canonical)
            .collect();
        Self {
            only_proxies: !proxies.is_empty() && config.tls_certificate.is_none(),
            proxies,
        }
    }

    fn may_connect(&self, peer: IpAddr) -> bool {
        !self.only_proxies || peer.is_loopback() || self.proxies.contains(&peer)
    }

    /// The last address of `X-Forwarded-For` that is no proxy of ours. What
    /// stands before it was written by strangers.
    fn client(&self, peer: IpAddr, forwarded_for: &str) -> IpAddr {
        let mut client = peer;
        for part in forwarded_for.rsplit(',') {
            if !self.proxies.contains(&client) {
                break;
            }
            match part.trim().parse::<IpAddr>() {
                Ok(address) => client = address.to_canonical(),
                Err(_) => break,
            }
        }
        client
    }
}

async fn check_peer(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> std::result::Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let peer = req.peer_addr().map(|peer| peer.ip().to_canonical());
    let peers = req.app_data::<web::Data<Peers>>();
    if let (Some(peer), Some(peers)) = (peer, peers) {
        if !peers.may_connect(peer) {
            let detail = "this server is reached through its proxy only";
            let problem = Problem::new(Code::Forbidden, detail);
            let answer = HttpResponse::Forbidden()
                .content_type(MEDIA_TYPE)
                .json(problem);
            return Ok(req.into_response(answer));
        }
        let forwarded: Vec<_> = req
            .headers()
            .get_all("x-forwarded-for")
            .map(|value| value.to_str().unwrap_or_default())
            .collect();
        let client = peers.client(peer, &forwarded.join(","));
        req.extensions_mut().insert(Peer(client));
    }
    next.call(req)
        .await
        .map(ServiceResponse::map_into_boxed_body)
}

fn tls(
    certificate: Arc<Certificate>,
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ServerConfig> {
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| Error::Internal(error.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    Ok(config)
}

/// The server's certificate, read again when its files change.
#[derive(Debug)]
struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<(Arc<CertifiedKey>, Option<SystemTime>)>,
}

impl Certificate {
    fn load(chain: &Path, key: &Path, provider: Arc<CryptoProvider>) -> Result<Self> {
        let current = read_certificate(chain, key, &provider)?;
        let changed = changed_at(chain, key);
        Ok(Self {
            chain: chain.to_owned(),
            key: key.to_owned(),
            provider,
            current: RwLock::new((current, changed)),
        })
    }

    fn renew(&self) -> Result<()> {
        let changed = changed_at(&self.chain, &self.key);
        if self
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            == changed
        {
            return Ok(());
        }
        let new = read_certificate(&self.chain, &self.key, &self.provider)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = (new, changed);
        tracing::info!("the TLS certificate was read again");
        Ok(())
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(
            self.current
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .0
                .clone(),
        )
    }
}

fn changed_at(chain: &Path, key: &Path) -> Option<SystemTime> {
    let of = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    of(chain).max(of(key))
}

fn read_certificate(
    chain: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>> {
    use std::os::unix::fs::PermissionsExt as _;
    let invalid = |path: &Path, what: String| {
        Error::refused(
            Code::ConfigurationInvalid,
            format!("{}: {what}", path.display()),
        )
    };
    let mode = fs::metadata(key)
        .map_err(Error::io(key))?
        .permissions()
        .mode();
    if mode & 0o007 != 0 {
        return Err(Error::refused(
            Code::WeakSecret,
            format!(
                "{} may be read by everybody (mode {:o}): chmod 640 it",
                key.display(),
                mode & 0o777
            ),
        ));
    }
    let pem = fs::read(chain).map_err(Error::io(chain))?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| invalid(chain, error.to_string()))?;
    if certificates.is_empty() {
        return Err(invalid(chain, "holds no certificate".into()));
    }
    let pem = zeroize::Zeroizing::new(fs::read(key).map_err(Error::io(key))?);
    let secret =
        PrivateKeyDer::from_pem_slice(&pem).map_err(|error| invalid(key, error.to_string()))?;
    CertifiedKey::from_der(certificates, secret, provider)
        .map(Arc::new)
        .map_err(|error| invalid(key, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(proxies: &[&str], tls: bool) -> Peers {
        let config = Config {
            trusted_proxies: proxies.iter().map(|proxy| proxy.parse().unwrap()).collect(),
            tls_certificate: tls.then(PathBuf::new),
            ..Config::default()
        };
        Peers::of(&config)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn strangers_may_not_pass_the_proxy() {
        let plain = peers(&["10.0.0.5"], false);
        assert!(plain.may_connect(ip("10.0.0.5")));
        assert!(plain.may_connect(ip("127.0.0.1")));
        assert!(!plain.may_connect(ip("10.0.0.6")));
        assert!(peers(&["10.0.0.5"], true).may_connect(ip("10.0.0.6")));
        assert!(peers(&[], false).may_connect(ip("10.0.0.6")));
    }

    #[test]
    fn only_proxies_are_believed() {
        let peers = peers(&["10.0.0.5", "10.0.0.6"], false);
        let client = |peer, header| peers.client(ip(peer), header);
        assert_eq!(client("10.0.0.5", "1.2.3.4"), ip("1.2.3.4"));
        assert_eq!(client("10.0.0.5", "6.6.6.6, 1.2.3.4"), ip("1.2.3.4"));
        assert_eq!(
            client("10.0.0.5", "6.6.6.6, 1.2.3.4, 10.0.0.6"),
            ip("1.2.3.4")
        );
        assert_eq!(client("10.0.0.5", "nonsense"), ip("10.0.0.5"));
        assert_eq!(client("10.0.0.5", ""), ip("10.0.0.5"));
        assert_eq!(client("9.9.9.9", "1.2.3.4"), ip("9.9.9.9"));
    }
}
