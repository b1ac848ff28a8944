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
    store::DatabaseUrl,
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
            enrolment_hours: 72,
            login_attempts: 10,
            max_in_flight: 512,
            shutdown_seconds: 30,
            workers: 0,
            log: "info".into(),
            log_json: false,
        }
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
        if !(1..=24 * 90).contains(&self.enrolment_hours) {
            return Err("enrolment_hours must lie between 1 and 2160".into());
        }
        if self.max_in_flight == 0 || self.login_attempts == 0 {
            return Err("max_in_flight and login_attempts must be at least 1".into());
        }
        if !self.public_url.is_empty() && url::Url::parse(&self.public_url).is_err() {
            return Err("public_url is not an address".into());
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
