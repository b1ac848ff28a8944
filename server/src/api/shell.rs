//! What surrounds every request: a bound on how many are answered at once, a
//! request id, headers, one line in the log, the metrics.

use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::{
    HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    web,
};
use protocol::codes::Code;

use super::{Api, error::ApiError, metrics};

/// Answered however busy the server is.
const ALWAYS: [&str; 2] = ["/healthz", "/readyz"];

const HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// The outermost middleware.
pub(super) async fn shell(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(api) = req.app_data::<web::Data<Api>>().cloned() else {
        return Err(ApiError::internal("no Api").into());
    };
    let host = &api.app().host;
    let started = host.now();
    let id = protocol::encoding::b64(host.bytes::<9>());
    let method = req.method().clone();
    let turn = Turn::take(
        api.in_flight(),
        api.app().config.max_in_flight,
        ALWAYS.contains(&req.path()),
    );
    let mut response = match turn {
        None => req.into_response(HttpResponse::from_error(ApiError::new(
            Code::Overloaded,
            "",
        ))),
        Some(_turn) => next.call(req).await?.map_into_boxed_body(),
    };
    let fault = response
        .response()
        .error()
        .and_then(|error| error.as_error::<ApiError>())
        .and_then(|error| {
            let cause = error.cause()?;
            tracing::error!(incident = id, code = %error.code(), cause, "a request failed");
            Some(error.response(Some(&id)))
        });
    if let Some(answer) = fault {
        let (request, _) = response.into_parts();
        response = ServiceResponse::new(request, answer);
    }
    let tls = api.app().config.tls_certificate.is_some();
    add_headers(response.headers_mut(), &id, tls);
    let seconds = (host.now().0.saturating_sub(started.0).max(0) as f64) / 1e6;
    let status = response.status().as_u16();
    let route = response
        .request()
        .match_pattern()
        .filter(|route| !route.is_empty())
        .unwrap_or_else(|| "none".to_owned());
    metrics::record(method.as_str(), &route, status, seconds);
    // Neither address nor query, body, token or IP: only what was asked of which route.
    tracing::info!(target: "scrutineer::access", id, method = method.as_str(), route, status, seconds);
    Ok(response)
}

fn add_headers(headers: &mut HeaderMap, id: &str, tls: bool) {
    for (name, value) in HEADERS {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    if tls {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
}

/// One request among those answered at once.
struct Turn<'a>(&'a AtomicUsize);

impl<'a> Turn<'a> {
    fn take(count: &'a AtomicUsize, most: usize, always: bool) -> Option<Self> {
        // Counted first: the turn gives it back, also when it is refused.
        let turn = Self(count);
        let before = count.fetch_add(1, Ordering::Relaxed);
        ::metrics::gauge!("scrutineer_http_in_flight").increment(1);
        (always || before < most).then_some(turn)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        ::metrics::gauge!("scrutineer_http_in_flight").decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_back() {
        let count = AtomicUsize::new(0);
        let first = Turn::take(&count, 1, false);
        assert!(first.is_some());
        assert!(Turn::take(&count, 1, false).is_none());
        assert!(Turn::take(&count, 1, true).is_some());
        drop(first);
        assert_eq!(count.load(Ordering::Relaxed), 0);
        assert!(Turn::take(&count, 1, false).is_some());
    }
}
