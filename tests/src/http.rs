//! HTTP, as tests need it: every answer is looked at, none is an exception.

use std::{cell::RefCell, sync::OnceLock};

use reqwest::{Method, blocking::Client};
use serde_json::Value;

/// A client without redirects and proxies.
///
/// # Panics
/// When it cannot be made.
pub fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        install_crypto();
        Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(crate::wait::LONG)
            .build()
            .expect("an HTTP client")
    })
}

/// reqwest is built without a cryptography of its own.
pub fn install_crypto() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
    });
}

thread_local! {
    static FAULTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Every 5xx that this thread got since the last call.
#[must_use]
pub fn faults() -> Vec<String> {
    FAULTS.take()
}

/// An answer, whatever it says.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, names in small letters.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Takes an answer over.
    ///
    /// # Panics
    /// When its body breaks off.
    #[must_use]
    pub fn read(response: reqwest::blocking::Response) -> Self {
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    value.to_str().unwrap_or_default().to_owned(),
                )
            })
            .collect();
        Self {
            status,
            headers,
            body: response.bytes().expect("the whole answer").to_vec(),
        }
    }

    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The problem's code; empty if it is no problem.
    #[must_use]
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The JSON of an answer that must be a success.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!(
            (200..300).contains(&self.status),
            "{}: {}",
            self.status,
            self.text()
        );
        self.json()
    }

    /// Checks that it refuses so.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn refuses(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, self.code().as_str()),
            (status, code),
            "{}",
            self.text()
        );
        assert_eq!(
            self.header("content-type").split(';').next(),
            Some("application/problem+json")
        );
        assert_eq!(self.header("scrutineer-code"), code);
    }
}

/// One request.
///
/// # Panics
/// When no answer comes.
#[track_caller]
#[must_use]
pub fn send(method: &str, url: &str, headers: &[(&str, &str)], body: Option<Vec<u8>>) -> Answer {
    try_send(method, url, headers, body).unwrap_or_else(|error| panic!("{method} {url}: {error:?}"))
}

/// One request that may get no answer.
///
/// # Errors
/// None came.
pub fn try_send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<Vec<u8>>,
) -> Result<Answer, reqwest::Error> {
    let mut request = client().request(
        Method::from_bytes(method.as_bytes()).unwrap_or_default(),
        url,
    );
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(body) = body {
        request = request.body(body);
    }
    let answer = Answer::read(request.send()?);
    if answer.status >= 500 {
        FAULTS.with_borrow_mut(|faults| {
            faults.push(format!(
                "{method} {url}: {} {}",
                answer.status,
                answer.text()
            ))
        });
    }
    Ok(answer)
}
