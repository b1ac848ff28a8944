//! `GET /metrics`: what Prometheus reads.

use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering},
};

use actix_web::HttpResponse;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use protocol::codes::Code;

pub(super) const ERRORS: &[Code] = &[];

/// Requests between two tidyings of the histograms.
const UPKEEP: u32 = 1024;
/// Seconds.
const BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
static REQUESTS: AtomicU32 = AtomicU32::new(0);

/// Starts counting; once a process.
pub(super) fn install() {
    HANDLE.get_or_init(|| {
        let builder = PrometheusBuilder::new();
        // Only an empty list of buckets is refused.
        let builder = builder
            .set_buckets(&BUCKETS)
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed; /metrics stays empty");
        }
        metrics::describe_counter!("scrutineer_http_requests_total", "Requests answered.");
        metrics::describe_histogram!(
            "scrutineer_http_request_seconds",
            "Seconds to an answer's head."
        );
        metrics::describe_gauge!("scrutineer_http_in_flight", "Requests being answered.");
        metrics::describe_counter!(
            "scrutineer_evidence_bytes_total",
            "Bytes of evidence received."
        );
        metrics::describe_counter!(
            "scrutineer_evidence_files_total",
            "Files of evidence completed and verified."
        );
        metrics::describe_counter!(
            "scrutineer_evidence_mismatches_total",
            "Files that came whole and were not what had been announced."
        );
        handle
    });
}

/// Counts one answer. The labels come from fixed sets: nobody can grow them.
pub(super) fn record(method: &str, route: &str, status: u16, seconds: f64) {
    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let method = METHODS
        .iter()
        .copied()
        .find(|known| *known == method)
        .unwrap_or("other");
    let route = route.to_owned();
    metrics::counter!(
        "scrutineer_http_requests_total",
        "method" => method, "route" => route.clone(), "status" => status.to_string()
    )
    .increment(1);
    metrics::histogram!("scrutineer_http_request_seconds", "route" => route).record(seconds);
    let due = REQUESTS.fetch_add(1, Ordering::Relaxed) % UPKEEP == UPKEEP - 1;
    if let Some(handle) = HANDLE.get().filter(|_| due) {
        handle.run_upkeep();
    }
}

/// Counters, gauges and histograms as text, for Prometheus.
///
/// For whoever asks from this machine without a proxy between, and for
/// operators.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "Prometheus text format", body = String, content_type = "text/plain")))]
pub(super) async fn metrics_text() -> HttpResponse {
    let text = HANDLE
        .get()
        .map(PrometheusHandle::render)
        .unwrap_or_default();
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text)
}
