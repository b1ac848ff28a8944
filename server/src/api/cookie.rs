//! The cookie of a session, and who may use it.
//!
//! `__Host-` binds it to this very host over TLS (RFC 6265bis §4.1.3.2), no script can
//! read it, and other sites' pages do not send it. A browser that sends it all the same
//! says where a request comes from; what does not come from here is refused.

use actix_web::{
    HttpRequest,
    cookie::{Cookie, SameSite},
    http::{Method, header},
};
use protocol::codes::Code;

use super::error::ApiError;

/// The name.
const NAME: &str = "__Host-scrutineer";
/// Where a browser says where a request comes from (W3C Fetch Metadata).
const SITE: &str = "sec-fetch-site";
/// What kind of request it is.
const MODE: &str = "sec-fetch-mode";

/// The token in the request's cookie.
pub(super) fn read(req: &HttpRequest) -> Option<String> {
    req.cookie(NAME).map(|cookie| cookie.value().to_owned())
}

/// The cookie with a token. It goes when the browser is closed, if not before.
pub(super) fn holding(token: &str) -> Cookie<'static> {
    Cookie::build(NAME, token.to_owned())
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Strict)
        .finish()
}

/// The cookie that takes it away.
pub(super) fn removal() -> Cookie<'static> {
    let mut cookie = holding("");
    cookie.make_removal();
    cookie
}

/// Lets a request with a session pass if it comes from a page of this server's own.
/// A browser that does not say so must at least name the origin of what it changes.
///
/// # Errors
/// `cross_site`.
pub(super) fn refuse_other_sites(req: &HttpRequest) -> Result<(), ApiError> {
    let text = |name: &str| {
        let value = req.headers().get(name)?;
        Some(value.to_str().unwrap_or_default())
    };
    let reads = matches!(*req.method(), Method::GET | Method::HEAD);
    let ours = match (text(SITE), text(header::ORIGIN.as_str())) {
        (Some("same-origin"), _) => true,
        // Typed in, or a bookmark.
        (Some("none"), _) => reads && text(MODE) == Some("navigate"),
        (Some(_), _) => false,
        (None, Some(origin)) => is_own(req, origin),
        (None, None) => reads,
    };
    if ours {
        Ok(())
    } else {
        Err(ApiError::new(Code::CrossSite, ""))
    }
}

fn is_own(req: &HttpRequest, origin: &str) -> bool {
    let host = req.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok());
    let named = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    named.is_some() && named == host
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_our_own_pages_use_a_session() {
        let passes = |method: Method, headers: &[(&'static str, &str)]| {
            let mut req = TestRequest::default()
                .method(method)
                .insert_header((header::HOST, "desk.example:8443"));
            for header in headers {
                req = req.insert_header(*header);
            }
            refuse_other_sites(&req.to_http_request()).is_ok()
        };
        const ORIGIN: &str = "origin";
        for (headers, get, post) in [
            (&[(SITE, "same-origin")][..], true, true),
            (&[(SITE, "same-site")], false, false),
            (&[(SITE, "cross-site")], false, false),
            (
                &[(SITE, "cross-site"), (ORIGIN, "https://desk.example:8443")],
                false,
                false,
            ),
            (&[(SITE, "none"), (MODE, "navigate")], true, false),
            (&[(SITE, "none"), (MODE, "cors")], false, false),
            (&[(ORIGIN, "https://desk.example:8443")], true, true),
            (&[(ORIGIN, "https://desk.example")], false, false),
            (
                &[(ORIGIN, "https://desk.example:8443.evil.example")],
                false,
                false,
            ),
            (&[(ORIGIN, "null")], false, false),
            (&[], true, false),
        ] {
            assert_eq!(passes(Method::GET, headers), get, "GET {headers:?}");
            assert_eq!(passes(Method::POST, headers), post, "POST {headers:?}");
            assert_eq!(passes(Method::DELETE, headers), post, "DELETE {headers:?}");
        }
    }

    #[test]
    fn the_cookie_keeps_to_itself() {
        assert_eq!(
            holding("abc").to_string(),
            "__Host-scrutineer=abc; HttpOnly; SameSite=Strict; Secure; Path=/"
        );
        let gone = removal().to_string();
        assert!(
            gone.contains("Max-Age=0") && gone.contains("Secure"),
            "{gone}"
        );
    }
}
