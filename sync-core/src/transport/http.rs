//! The reqwest transport: rustls with ring, the web's roots, no redirects.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use reqwest::{Client, header, redirect};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::{Answer, Call, Method, Transport, Unreachable, wire};

/// How to connect.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// A PEM file of further certificate authorities to trust: a mission's own.
    pub ca_file: Option<PathBuf>,
    /// To establish a connection.
    pub connect: Duration,
    /// Without a byte.
    pub idle: Duration,
    /// In all: half a megabyte over a very slow link.
    pub total: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            ca_file: None,
            connect: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(300),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct HttpTransport {
    client: Client,
    /// Without proxies, for the machine itself.
    local: Client,
}

impl HttpTransport {
    /// Sets the client up; connects to nothing yet. Needs a tokio runtime with
    /// I/O and time when it posts.
    ///
    /// # Errors
    /// A CA file that cannot be read, said for a person.
    pub fn new(options: &HttpOptions) -> Result<Self, String> {
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        if let Some(path) = &options.ca_file {
            let unreadable = |error: &dyn std::fmt::Display| {
                format!("the CA file {} cannot be used: {error}", path.display())
            };
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| unreadable(&error))?;
                roots.add(certificate).map_err(|error| unreadable(&error))?;
            }
        }
        // Handed in, not installed: a program that embeds this has its own.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let builder = || {
            Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .connect_timeout(options.connect)
                .read_timeout(options.idle)
                .timeout(options.total)
        };
        let client = builder().build().map_err(|error| error.to_string())?;
        let local = builder()
            .no_proxy()
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { client, local })
    }
}

/// Whether a URL stays on this machine.
fn is_local(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether the address may be used: HTTPS, or plain HTTP to this machine.
#[must_use]
pub(crate) fn is_allowed_origin(origin: &str) -> bool {
    let Ok(url) = url::Url::parse(origin) else {
        return false;
    };
    let bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && !origin.ends_with('/');
    bare && (url.scheme() == "https" || (url.scheme() == "http" && is_local(&url)))
}

#[async_trait(?Send)]
impl Transport for HttpTransport {
    async fn send(&self, call: Call) -> Result<Answer, Unreachable> {
        let url = url::Url::parse(&call.url).map_err(|error| refused(error.to_string()))?;
        let local = is_local(&url);
        if url.scheme() != "https" && !local {
            return Err(refused("plain HTTP is allowed to this machine only".into()));
        }
        let client = if local { &self.local } else { &self.client };
        let method = match call.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Head => reqwest::Method::HEAD,
            Method::Patch => reqwest::Method::PATCH,
        };
        let mut request = client.request(method, url);
        if !matches!(call.method, Method::Get | Method::Head) {
            request = request.body(call.body);
        }
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let mut response = request.send().await.map_err(|error| unreachable(&error))?;
        let header = |name: &str| {
            let value = response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let mut answer = Answer {
            status: response.status().as_u16(),
            content_type: header(header::CONTENT_TYPE.as_str()),
            content_encoding: header(header::CONTENT_ENCODING.as_str()),
            code: header(protocol::problem::CODE_HEADER),
            retry_after: header(header::RETRY_AFTER.as_str()),
            content_range: header(header::CONTENT_RANGE.as_str()),
            etag: header(header::ETAG.as_str()),
            tus_resumable: header("tus-resumable"),
            upload_offset: header("upload-offset"),
            upload_length: header("upload-length"),
            evidence_durable: header(protocol::evidence::DURABLE),
            body: Vec::new(),
        };
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| unreachable(&error))?
        {
            if (answer.body.len() + chunk.len()) as u64 > wire::ANSWER_BYTES {
                return Err(Unreachable {
                    message: "the answer is too large".into(),
                    connected: true,
                });
            }
            answer.body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}

fn refused(message: String) -> Unreachable {
    Unreachable {
        message,
        connected: false,
    }
}

/// The innermost cause says most: "connection refused", "certificate expired".
/// Never the URL: it is the same each time, and logs need not have it.
fn unreachable(error: &reqwest::Error) -> Unreachable {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let message = if error.is_timeout() {
        "it took too long".to_owned()
    } else {
        cause.to_string()
    };
    Unreachable {
        message,
        connected: !error.is_connect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        for good in [
            "https://example.org",
            "https://example.org:8443",
            "http://127.0.0.1:8080",
            "http://localhost:1",
            "http://[::1]:80",
        ] {
            assert!(is_allowed_origin(good), "{good}");
        }
        for bad in [
            "http://example.org",
            "http://192.168.1.4:8080",
            "http://localhost.example.org",
            "http://127.0.0.1.example.org",
            "ftp://localhost",
            "https://user@example.org",
            "https://example.org/path",
            "https://example.org/",
            "https://example.org?x",
            "",
        ] {
            assert!(!is_allowed_origin(bad), "{bad}");
        }
    }

    #[tokio::test]
    async fn plain_http_leaves_no_machine() {
        let transport = HttpTransport::new(&HttpOptions::default()).expect("sets up");
        let call = Call {
            method: Method::Post,
            url: "http://example.org/v1/exchange".into(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        assert!(!transport.send(call).await.expect_err("refuses").connected);
    }

    /// Answers each connection with these bytes and closes it; tells what came.
    fn serve(answers: Vec<Vec<u8>>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let thread = std::thread::spawn(move || {
            let mut seen = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                // The bodies of these tests end with a full stop.
                while !request.ends_with(b".") {
                    match stream.read(&mut buffer).expect("reads") {
                        0 => break,
                        length => request.extend_from_slice(&buffer[..length]),
                    }
                }
                seen.push(String::from_utf8_lossy(&request).into_owned());
                // The other side may hang up on an answer it does not want.
                let _ = stream.write_all(&answer);
            }
            seen
        });
        (origin, thread)
    }

    fn call(origin: &str) -> Call {
        Call {
            method: Method::Post,
            url: format!("{origin}/v1/exchange"),
            headers: vec![
                ("content-type", "application/json".into()),
                ("accept-encoding", "gzip".into()),
            ],
            body: b"body.".to_vec(),
        }
    }

    #[tokio::test]
    async fn answers_come_as_they_are() {
        let (origin, server) = serve(vec![
            b"HTTP/1.1 503 X\r\ncontent-type: application/problem+json\r\ncontent-encoding: gzip\r\n\
              retry-after: 9\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc"
                .to_vec(),
            b"HTTP/1.1 307 X\r\nlocation: http://127.0.0.1:1/x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec(),
            b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\ncut off".to_vec(),
        ]);
        let transport = HttpTransport::new(&HttpOptions::default()).expect("sets up");
        let answer = transport.send(call(&origin)).await.expect("answers");
        let expected = Answer {
            status: 503,
            content_type: "application/problem+json".into(),
            content_encoding: "gzip".into(),
            retry_after: "9".into(),
            body: b"abc".to_vec(),
            ..Answer::default()
        };
        assert_eq!(answer, expected, "undecoded and unjudged");
        assert_eq!(
            transport.send(call(&origin)).await.expect("answers").status,
            307,
            "not followed"
        );
        assert!(
            transport
                .send(call(&origin))
                .await
                .expect_err("cut off")
                .connected
        );
        let seen = server.join().expect("ends");
        assert!(
            seen[0].starts_with("POST /v1/exchange HTTP/1.1\r\n"),
            "{}",
            seen[0]
        );
        assert!(seen[0].contains("accept-encoding: gzip\r\n"), "{}", seen[0]);
        assert!(seen[0].ends_with("\r\n\r\nbody."), "{}", seen[0]);
    }

    #[tokio::test]
    async fn an_endless_answer_is_cut_off() {
        let length = usize::try_from(wire::ANSWER_BYTES).expect("fits") + 1;
        let mut endless = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
        endless.resize(endless.len() + length, b'x');
        let (origin, server) = serve(vec![endless]);
        let transport = HttpTransport::new(&HttpOptions::default()).expect("sets up");
        let error = transport.send(call(&origin)).await.expect_err("too large");
        assert_eq!(error.message, "the answer is too large");
        server.join().expect("ends");
    }

    #[tokio::test]
    async fn nobody_there() {
        let transport = HttpTransport::new(&HttpOptions::default()).expect("sets up");
        assert!(
            !transport
                .send(call("http://127.0.0.1:1"))
                .await
                .expect_err("refused")
                .connected
        );
    }

    #[test]
    fn a_ca_file_that_cannot_be_used_is_told() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(
            &file,
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        )
        .expect("writes");
        for path in [file.path().to_owned(), PathBuf::from("/nonexistent.pem")] {
            let options = HttpOptions {
                ca_file: Some(path),
                ..HttpOptions::default()
            };
            assert!(HttpTransport::new(&options).is_err());
        }
    }
}
