//! Logs, request ids and metrics.
//!
//! Each request logs one line, at level `debug` if it succeeded and `info` or `warn` if it failed.
//! Failures are logged where they are handled. Headers and bodies are never logged.

use std::any::Any;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::Context as _;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use http::HeaderValue;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing::Instrument as _;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::config::Logging;

/// Header of the request id, in requests and responses.
pub(crate) const REQUEST_ID: &str = "x-request-id";
/// Ids that are longer or contain other characters are replaced.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// Bucket boundaries of request durations, in seconds.
const DURATION_BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
];

/// Initializes logging according to the configuration.
pub(crate) fn init_logging(logging: &Logging) -> anyhow::Result<()> {
    let writer = match logging.output.as_str() {
        "-" | "" => BoxMakeWriter::new(io::stdout),
        "=" => BoxMakeWriter::new(io::stderr),
        path => {
            let file = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path);
            BoxMakeWriter::new(Mutex::new(
                file.with_context(|| format!("logging.output: failed to open {path}"))?,
            ))
        }
    };
    let filter = tracing_subscriber::EnvFilter::try_new(format!(
        "{},sqlx=warn,wasmtime=warn,cranelift=warn,hyper=warn,s3s=off",
        logging.level
    ))
    .context("logging.level is not a valid filter")?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(false)
        .with_target(false);
    // Initialization fails only in tests that run several servers in one process.
    let _already = if logging.json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
    Ok(())
}

/// Initializes metrics. The handle renders them.
pub(crate) fn init_metrics() -> anyhow::Result<PrometheusHandle> {
    let recorder = PrometheusBuilder::new()
        .set_buckets(DURATION_BUCKETS)
        .context("failed to set up metrics")?
        .build_recorder();
    let handle = recorder.handle();
    // Fails only if one process runs several servers, which then share their metrics.
    let _already = metrics::set_global_recorder(recorder);
    Ok(handle)
}

/// Middleware: assigns a request id and a span, writes the log line and the metrics. A panic in a
/// handler fails only its own request and not the connection, which other requests may share.
pub(crate) async fn observe(
    mut request: Request,
    next: Next,
    surface: &'static str,
    new_id: String,
) -> Response {
    let id = request
        .headers()
        .get(REQUEST_ID)
        .filter(|v| is_fit(v))
        .cloned();
    let id = id
        .unwrap_or_else(|| HeaderValue::from_str(&new_id).expect("generated ids are plain ASCII"));
    request.headers_mut().insert(REQUEST_ID, id.clone());

    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!("request", id = id.to_str().unwrap_or_default(), surface, %method, path);
    let started = Instant::now();
    // Unwind safe: state of the handler is dropped, and shared state is never left inconsistent.
    let answer = AssertUnwindSafe(next.run(request))
        .catch_unwind()
        .instrument(span.clone());
    let mut response = match answer.await {
        Ok(response) => response,
        Err(panic) => span.in_scope(|| after_panic(panic.as_ref())),
    };
    let elapsed = started.elapsed();

    let status = response.status();
    metrics::counter!("http_requests_total", "surface" => surface, "method" => method_label(&method), "code" => status.as_str().to_owned()).increment(1);
    metrics::histogram!("http_request_duration_seconds", "surface" => surface, "method" => method_label(&method)).record(elapsed.as_secs_f64());
    let _entered = span.enter();
    if status.is_server_error() && status != http::StatusCode::NOT_IMPLEMENTED {
        tracing::warn!(status = status.as_u16(), ?elapsed, "request failed");
    } else {
        tracing::debug!(status = status.as_u16(), ?elapsed, "request done");
    }
    response.headers_mut().entry(REQUEST_ID).or_insert(id);
    response
}

/// Logs a panic and returns the response for it.
fn after_panic(panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("without text"), "a handler panicked");
    let body = serde_json::json!({"message": "internal error"});
    (http::StatusCode::INTERNAL_SERVER_ERROR, axum::Json(body)).into_response()
}

/// Maps methods to a bounded set of labels.
fn method_label(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "PUT" => "PUT",
        "POST" => "POST",
        "HEAD" => "HEAD",
        "DELETE" => "DELETE",
        "PATCH" => "PATCH",
        _ => "other",
    }
}

fn is_fit(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_./:=+".contains(b);
    !bytes.is_empty() && bytes.len() <= MAX_REQUEST_ID_BYTES && bytes.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware;
    use axum::routing::get;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn panic_gets_a_response_and_is_logged_with_its_request() {
        let app = Router::new()
            .route("/panic", get(async || -> &'static str { panic!("secret") }))
            .layer(middleware::from_fn(|request: Request, next: Next| {
                observe(request, next, "other", "an-id".to_owned())
            }));
        let request = Request::get("/panic")
            .body(Body::empty())
            .expect("a request");
        let Ok(response) = app.oneshot(request).await;
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()[REQUEST_ID], "an-id");
        let body = response.into_body().collect().await.expect("a body");
        assert_eq!(body.to_bytes(), r#"{"message":"internal error"}"#);
    }
}
