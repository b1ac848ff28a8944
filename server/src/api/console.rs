//! The console: pages for people, built from `server/web` and held in the binary.
//!
//! Its policy allows nothing inline and nothing from elsewhere. Files have the hash of
//! what they hold in their names, so a browser keeps them for ever and asks only for the
//! page itself.

use std::{
    collections::HashMap,
    io::Write as _,
    sync::{LazyLock, OnceLock},
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
    web::{self, Bytes},
};
use flate2::{Compression, write::GzEncoder};
use include_dir::{Dir, include_dir};
use protocol::codes::Code;

use super::error::ApiError;
use crate::{app::App, config::Config};

pub(super) const ERRORS: &[Code] = &[Code::NotFound];

static BUILT: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/web/dist");
static FILES: LazyLock<HashMap<String, File>> = LazyLock::new(|| {
    let mut files = HashMap::new();
    collect(&BUILT, &mut files);
    files
});

/// What the pages may load: what is here, and the map's tiles if there are any.
fn policy(config: &Config) -> String {
    let tiles = config
        .tiles_origin()
        .map_or(String::new(), |origin| format!(" {origin}"));
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; \
         img-src 'self' blob:{tiles}; media-src 'self'; font-src 'self'; \
         connect-src 'self'{tiles}; worker-src 'self'; manifest-src 'self'; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
}
/// What the page may ask of a browser: nothing but the clipboard, for recovery codes.
const PERMISSIONS: &str = "clipboard-write=(self), camera=(), geolocation=(), microphone=()";

struct File {
    kind: &'static str,
    plain: Bytes,
    /// Made when it is first asked for: the map's land is large, and most never see it.
    gzip: OnceLock<Option<Bytes>>,
}

fn collect(dir: &'static Dir<'static>, files: &mut HashMap<String, File>) {
    for file in dir.files() {
        let name = file.path().to_string_lossy().into_owned();
        files.insert(name, File::new(file));
    }
    for dir in dir.dirs() {
        collect(dir, files);
    }
}

impl File {
    fn new(file: &'static include_dir::File<'static>) -> Self {
        let ending = file.path().extension().and_then(|ending| ending.to_str());
        let kind = match ending {
            Some("html") => "text/html; charset=utf-8",
            Some("js" | "mjs") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("json") => "application/json",
            Some("svg") => "image/svg+xml",
            _ => "application/octet-stream",
        };
        Self {
            kind,
            plain: Bytes::from_static(file.contents()),
            gzip: OnceLock::new(),
        }
    }

    /// `None` where it saves nothing.
    fn gzip(&self) -> Option<&Bytes> {
        self.gzip.get_or_init(|| packed(&self.plain)).as_ref()
    }
}

fn packed(plain: &Bytes) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing into memory cannot fail.
    let gzip = encoder.write_all(plain).and_then(|()| encoder.finish());
    gzip.ok()
        .filter(|gzip| gzip.len() < plain.len())
        .map(Bytes::from)
}

/// The console.
#[utoipa::path(get, path = "/", tag = "documents",
    responses((status = 200, description = "A page", body = String, content_type = "text/html")))]
pub(super) async fn console_page(
    app: web::Data<App>,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    send(&app, &req, "index.html", "no-cache")
}

/// Its icon.
#[utoipa::path(get, path = "/icon.svg", tag = "documents",
    responses((status = 200, description = "A picture", content_type = "image/svg+xml")))]
pub(super) async fn console_icon(
    app: web::Data<App>,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    send(&app, &req, "icon.svg", "no-cache")
}

/// Its scripts and styles.
#[utoipa::path(get, path = "/assets/{file}", tag = "documents",
    params(("file" = String, Path, description = "A name with a hash in it")),
    responses((status = 200, description = "A file", content_type = "text/javascript")))]
pub(super) async fn console_asset(
    app: web::Data<App>,
    req: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let name = req.match_info().get("file").unwrap_or_default();
    let name = format!("assets/{name}");
    send(&app, &req, &name, "public, max-age=31536000, immutable")
}

fn send(
    app: &App,
    req: &HttpRequest,
    name: &str,
    keep: &'static str,
) -> Result<HttpResponse, ApiError> {
    let file = FILES.get(name).ok_or_else(ApiError::not_found)?;
    let mut response = HttpResponse::Ok();
    response
        .content_type(file.kind)
        .insert_header((header::CACHE_CONTROL, keep))
        .insert_header((header::VARY, "accept-encoding"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy(&app.config)))
        .insert_header(("permissions-policy", PERMISSIONS));
    let accepted = req.headers().get(header::ACCEPT_ENCODING);
    Ok(match file.gzip() {
        Some(gzip) if takes_gzip(accepted) => response
            .insert_header((header::CONTENT_ENCODING, "gzip"))
            .body(gzip.clone()),
        _ => response.body(file.plain.clone()),
    })
}

pub(super) fn takes_gzip(accepted: Option<&HeaderValue>) -> bool {
    let accepted = accepted.and_then(|value| value.to_str().ok());
    accepted.is_some_and(|list| {
        list.split(',').any(|one| {
            one.split(';')
                .next()
                .is_some_and(|name| name.trim() == "gzip")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page's own references, and none to elsewhere.
    #[test]
    fn the_page_asks_for_nothing_that_is_not_here() {
        let page = str::from_utf8(&FILES["index.html"].plain).unwrap();
        assert!(
            !page.contains("style=") && !page.contains("<style"),
            "{page}"
        );
        let mut found = 0;
        for part in page.split(['"', '\'']).filter(|part| part.starts_with('/')) {
            assert!(FILES.contains_key(&part[1..]), "{part}");
            found += 1;
        }
        assert!(found >= 3, "{page}");
        assert!(!page.contains("//"), "{page}");
    }

    /// What is loaded before anybody has signed in: under 250 kB compressed.
    #[test]
    fn the_first_load_is_small() {
        let page = str::from_utf8(&FILES["index.html"].plain).unwrap();
        let first: usize = FILES
            .iter()
            .filter(|(name, _)| *name == "index.html" || page.contains(name.as_str()))
            .map(|(_, file)| file.gzip().unwrap_or(&file.plain).len())
            .sum();
        assert!(first < 250_000, "{first} bytes");
    }

    #[test]
    fn the_policy_lets_tiles_in_from_their_origin_alone() {
        let mut config = Config::default();
        assert!(!policy(&config).contains("http"), "{}", policy(&config));
        config.map_tiles = "https://tiles.example.org:8443/a/{z}/{x}/{y}.png?key=1".into();
        let policy = policy(&config);
        assert!(policy.contains("img-src 'self' blob: https://tiles.example.org:8443;"));
        assert!(policy.contains("connect-src 'self' https://tiles.example.org:8443;"));
        assert_eq!(policy.matches("tiles.example.org").count(), 2, "{policy}");
    }

    #[test]
    fn encodings_are_read() {
        for (accepted, takes) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, gzip;q=0.8", true),
            ("gzipped", false),
            ("identity", false),
        ] {
            let value = HeaderValue::from_static(accepted);
            assert_eq!(takes_gzip(Some(&value)), takes, "{accepted}");
        }
        assert!(!takes_gzip(None));
    }
}
