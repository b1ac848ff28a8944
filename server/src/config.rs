//! The configuration: one struct, filled from defaults, `scrutineer.toml` in
//! the data folder, `SCRUTINEER_…` variables and flags, the later over the
//! earlier. `docs/configuration.md` is made from the field comments.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
};
use protocol::codes::Code;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    store::{DatabaseUrl, objects},
};

/// Every setting of the server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The data folder: database (SQLite), keys, locks.
    pub data: PathBuf,
    /// Address to listen on. Beyond loopback it needs TLS or trusted proxies.
    pub listen: SocketAddr,
    /// How phones and people reach the server, in links: `https://reports.example.org`.
    /// Empty means the address listened on.
    pub public_url: String,
    /// `sqlite://PATH` or `postgres://…`. Empty means `scrutineer.sqlite` in the data folder.
    /// An address with a password belongs in the environment or in `database_url_file`.
    pub database_url: String,
    /// A file that holds the database address.
    pub database_url_file: Option<PathBuf>,
    /// Connections to the database.
    pub database_connections: u32,
    /// PEM file with the TLS certificate chain.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file with its private key.
    pub tls_key: Option<PathBuf>,
    /// Proxies that end TLS before this server; `X-Forwarded-For` is believed from these alone.
    pub trusted_proxies: Vec<IpAddr>,
    /// Seconds that an access token is valid.
    pub token_seconds: i64,
    /// Minutes after which a session at the console ends that nobody uses.
    pub session_minutes: i64,
    /// Hours after which it ends in any case.
    pub session_hours: i64,
    /// Hours that an enrolment code is valid.
    pub enrolment_hours: i64,
    /// Sign-in attempts a minute for one account.
    pub login_attempts: u32,
    /// Requests answered at once; more get 503 with `Retry-After`.
    pub max_in_flight: usize,
    /// Seconds that a stopping server waits for requests in flight.
    pub shutdown_seconds: u64,
    /// Worker threads; 0 means one a core.
    pub workers: usize,
    /// The folder of evidence files. Not used with `evidence_s3_bucket`.
    pub evidence_folder: PathBuf,
    /// The bucket of evidence files in an S3-compatible store. Empty means the folder.
    pub evidence_s3_bucket: String,
    /// Its address, such as `https://s3.example.org`. Empty means Amazon's, in the region.
    pub evidence_s3_endpoint: String,
    /// Its region.
    pub evidence_s3_region: String,
    /// The id of the access key.
    pub evidence_s3_key: String,
    /// The secret of the access key. It belongs in the environment or in `evidence_s3_secret_file`.
    pub evidence_s3_secret: Secret,
    /// A file that holds the secret of the access key.
    pub evidence_s3_secret_file: Option<PathBuf>,
    /// When phones may let go of their copies: `backup`, once a backup holds the file; or
    /// `stored`, at once, for a store that keeps copies of its own.
    pub evidence_durable: Durability,
    /// Bytes of evidence that one accreditation may announce.
    pub evidence_quota: u64,
    /// Days after which an upload that gets no more bytes is removed.
    pub evidence_upload_days: i64,
    /// Bytes of one bundle that a courier may hand in; 0 takes none over the network.
    pub bundle_bytes: u64,
    /// Bytes of all bundles that wait for their key, or are on their way.
    pub bundles_bytes: u64,
    /// Requests a minute with bundles from one address.
    pub bundle_requests: u32,
    /// Raster tiles under the console's map, such as `https://tiles.example.org/{z}/{x}/{y}.png`.
    /// Whoever runs that address sees from where and at which places the map is looked at.
    /// Empty means land and borders of the server's own, and no request elsewhere.
    pub map_tiles: String,
    /// Whom the tiles are to be credited to, as shown on the map.
    pub map_attribution: String,
    /// Log filter: `info`, `debug`, `scrutineer=debug`.
    pub log: String,
    /// Log as JSON lines.
    pub log_json: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: String::new(),
            database_url: String::new(),
            database_url_file: None,
            database_connections: 8,
            tls_certificate: None,
            tls_key: None,
            trusted_proxies: Vec::new(),
            token_seconds: 900,
            session_minutes: 30,
            session_hours: 14,
            enrolment_hours: 72,
            login_attempts: 10,
            max_in_flight: 512,
            shutdown_seconds: 30,
            workers: 0,
            evidence_folder: PathBuf::from("evidence"),
            evidence_s3_bucket: String::new(),
            evidence_s3_endpoint: String::new(),
            evidence_s3_region: "us-east-1".into(),
            evidence_s3_key: String::new(),
            evidence_s3_secret: Secret::default(),
            evidence_s3_secret_file: None,
            evidence_durable: Durability::Backup,
            evidence_quota: 4 * 1024 * 1024 * 1024,
            evidence_upload_days: 30,
            bundle_bytes: 2 * 1024 * 1024 * 1024,
            bundles_bytes: 8 * 1024 * 1024 * 1024,
            bundle_requests: 300,
            map_tiles: String::new(),
            map_attribution: String::new(),
            log: "info".into(),
            log_json: false,
        }
    }
}

/// When a complete file of evidence outlives the disk that it lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Once a backup has copied it.
    Backup,
    /// As soon as it is stored.
    Stored,
}

/// A setting that no log may show.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "***" })
    }
}

/// Flags that override the rest.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--database-url`.
    pub database_url: Option<String>,
}

impl Config {
    /// Puts the configuration of a data folder together and checks it.
    ///
    /// # Errors
    /// `configuration_invalid`, naming the setting.
    pub fn load(data: &Path, overrides: &Overrides) -> Result<Self> {
        let invalid = |what: String| Error::refused(Code::ConfigurationInvalid, what);
        let mut config: Self = Figment::from(Serialized::defaults(Self::default()))
            .merge(Toml::file(data.join("scrutineer.toml")))
            // The tests of this repository have variables of their own.
            .merge(Env::prefixed("SCRUTINEER_").filter(|name| !name.starts_with("test_")))
            .extract()
            .map_err(|error| invalid(error.to_string()))?;
        data.clone_into(&mut config.data);
        // Files named in the data folder's own configuration lie beside it.
        let files = [
            &mut config.database_url_file,
            &mut config.evidence_s3_secret_file,
            &mut config.tls_certificate,
            &mut config.tls_key,
        ];
        for path in files.into_iter().flatten() {
            *path = data.join(&*path);
        }
        if let Some(listen) = overrides.listen {
            config.listen = listen;
        }
        if let Some(url) = &overrides.database_url {
            config.database_url.clone_from(url);
            config.database_url_file = None;
        }
        config.check().map_err(invalid)?;
        Ok(config)
    }

    fn check(&self) -> std::result::Result<(), String> {
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            return Err("tls_certificate and tls_key belong together".into());
        }
        if !(60..=3600).contains(&self.token_seconds) {
            return Err("token_seconds must lie between 60 and 3600".into());
        }
        if !(2..=24 * 60).contains(&self.session_minutes) || !(1..=72).contains(&self.session_hours)
        {
            return Err(
                "session_minutes must lie between 2 and 1440, session_hours between 1 and 72"
                    .into(),
            );
        }
        if !(1..=24 * 90).contains(&self.enrolment_hours) {
            return Err("enrolment_hours must lie between 1 and 2160".into());
        }
        if self.max_in_flight == 0 || self.login_attempts == 0 || self.bundle_requests == 0 {
            return Err(
                "max_in_flight, login_attempts and bundle_requests must be at least 1".into(),
            );
        }
        if !(1..=3650).contains(&self.evidence_upload_days) {
            return Err("evidence_upload_days must lie between 1 and 3650".into());
        }
        let s3 = !self.evidence_s3_bucket.is_empty();
        if s3 && self.evidence_s3_key.is_empty() {
            return Err("evidence_s3_bucket needs evidence_s3_key and its secret".into());
        }
        if s3
            && !self.evidence_s3_endpoint.is_empty()
            && url::Url::parse(&self.evidence_s3_endpoint).is_err()
        {
            return Err("evidence_s3_endpoint is not an address".into());
        }
        if !self.public_url.is_empty() && url::Url::parse(&self.public_url).is_err() {
            return Err("public_url is not an address".into());
        }
        if !self.map_tiles.is_empty() && self.tiles_origin().is_none() {
            return Err("map_tiles must be an https address with {z}, {x} and {y}, such as https://tiles.example.org/{z}/{x}/{y}.png".into());
        }
        Ok(())
    }

    /// Checks what only a listening server needs.
    ///
    /// # Errors
    /// Plain HTTP beyond loopback.
    pub fn check_listen(&self) -> Result<()> {
        let open = !self.listen.ip().is_loopback();
        if open && self.tls_certificate.is_none() && self.trusted_proxies.is_empty() {
            return Err(Error::refused(
                Code::ConfigurationInvalid,
                "no plain HTTP beyond loopback: set tls_certificate and tls_key, or name trusted_proxies",
            ));
        }
        Ok(())
    }

    /// Where the database is.
    ///
    /// # Errors
    /// An address of neither kind, or an unreadable `database_url_file`.
    pub fn database(&self) -> Result<DatabaseUrl> {
        let url = match &self.database_url_file {
            Some(path) if self.database_url.is_empty() => {
                crate::keys::refuse_shared(path)?;
                std::fs::read_to_string(path)
                    .map_err(Error::io(path))?
                    .trim()
                    .to_owned()
            }
            _ => self.database_url.clone(),
        };
        if url.is_empty() {
            return Ok(DatabaseUrl::Sqlite(self.data.join("scrutineer.sqlite")));
        }
        url.parse()
            .map_err(|detail: String| Error::refused(Code::ConfigurationInvalid, detail))
    }

    /// Where the bytes of evidence are.
    ///
    /// # Errors
    /// An unreadable `evidence_s3_secret_file`.
    pub fn evidence(&self) -> Result<objects::Place> {
        if self.evidence_s3_bucket.is_empty() {
            return Ok(objects::Place::Folder(
                self.data.join(&self.evidence_folder),
            ));
        }
        let secret = match &self.evidence_s3_secret_file {
            Some(path) if self.evidence_s3_secret.0.is_empty() => {
                crate::keys::refuse_shared(path)?;
                std::fs::read_to_string(path)
                    .map_err(Error::io(path))?
                    .trim()
                    .to_owned()
            }
            _ => self.evidence_s3_secret.0.clone(),
        };
        Ok(objects::Place::S3 {
            bucket: self.evidence_s3_bucket.clone(),
            endpoint: self.evidence_s3_endpoint.clone(),
            region: self.evidence_s3_region.clone(),
            key: self.evidence_s3_key.clone(),
            secret,
        })
    }

    /// The origin of the map's tiles, for the policy of the pages; `None` without tiles,
    /// and for an address that cannot be used.
    #[must_use]
    pub fn tiles_origin(&self) -> Option<String> {
        let whole = ["{z}", "{x}", "{y}"]
            .iter()
            .all(|part| self.map_tiles.contains(part));
        let url = url::Url::parse(&self.map_tiles).ok().filter(|_| whole)?;
        let here = match url.host()? {
            url::Host::Domain(name) => name == "localhost",
            url::Host::Ipv4(address) => address.is_loopback(),
            url::Host::Ipv6(address) => address.is_loopback(),
        };
        let safe = url.scheme() == "https" || url.scheme() == "http" && here;
        let bare = url.username().is_empty() && url.password().is_none();
        (safe && bare).then(|| url.origin().ascii_serialization())
    }

    /// Where the keys are.
    #[must_use]
    pub fn keys_folder(&self) -> PathBuf {
        self.data.join("keys")
    }

    /// The address in links.
    #[must_use]
    pub fn origin(&self) -> String {
        if !self.public_url.is_empty() {
            return self.public_url.trim_end_matches('/').to_owned();
        }
        let scheme = if self.tls_certificate.is_some() {
            "https"
        } else {
            "http"
        };
        let host = if self.listen.ip().is_loopback() {
            "localhost".to_owned()
        } else {
            self.listen.ip().to_string()
        };
        format!("{scheme}://{host}:{}", self.listen.port())
    }
}
