//! What surrounds every request: a bound on how many are answered at once, a
//! request id, headers, one line in the log, the metrics.

use actix_web::{
    HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    web,
};
use protocol::{codes::Code, exchange::Lane};

use super::{Api, cookie, error::ApiError, metrics};
use crate::domain::admission::Later;

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
    let turn = if ALWAYS.contains(&req.path()) {
        Ok(api.admission().enter_always())
    } else {
        api.admission().enter(lane(&req), started)
    };
    ::metrics::gauge!("scrutineer_http_in_flight").set(api.admission().inside() as f64);
    let mut response = match turn {
        Err(Later(seconds)) => {
            let error = ApiError::new(Code::Overloaded, "").retry_after(seconds);
            req.into_response(HttpResponse::from_error(error))
        }
        Ok(_turn) => next.call(req).await?.map_into_boxed_body(),
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

/// What a request is about, by its head alone.
fn lane(req: &ServiceRequest) -> Lane {
    if req.path().starts_with("/v1/evidence/") || req.path().starts_with("/v1/bundles") {
        return Lane::Files;
    }
    if req.path().starts_with("/v1/reference/") {
        return Lane::News;
    }
    // Desks are few, and all others wait for what they decide.
    if cookie::read(req.request()).is_some() {
        return Lane::Critical;
    }
    req.headers()
        .get(Lane::HEADER)
        .and_then(|name| Lane::from_name(name.to_str().ok()?))
        .unwrap_or(Lane::Text)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_head_tells_the_lane() {
        let session = ("cookie", "__Host-scrutineer=abc");
        for (path, header, expected) in [
            ("/v1/exchange", ("accept", "*/*"), Lane::Text),
            ("/v1/exchange", (Lane::HEADER, "critical"), Lane::Critical),
            ("/v1/exchange", (Lane::HEADER, "news"), Lane::News),
            ("/v1/exchange", (Lane::HEADER, "first"), Lane::Text),
            ("/v1/evidence/x", (Lane::HEADER, "critical"), Lane::Files),
            ("/v1/reference/stations/x", ("accept", "*/*"), Lane::News),
            ("/v1/reports", session, Lane::Critical),
            ("/v1/evidence/x", session, Lane::Files),
        ] {
            let req = TestRequest::with_uri(path).insert_header(header);
            assert_eq!(lane(&req.to_srv_request()), expected, "{path} {header:?}");
        }
    }
}
