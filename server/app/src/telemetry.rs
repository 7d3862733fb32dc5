//! Logs, request ids and metrics.
//!
//! Each request logs one line, at level `warn` if the server failed and `debug` otherwise. Failures are logged
//! where they are handled. Bodies are never logged, and of the headers only the request id.

use std::any::Any;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::Context as _;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use base::IdGenerator;
use futures::FutureExt as _;
use http::{HeaderName, HeaderValue, StatusCode};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tower_http::request_id::{MakeRequestId, RequestId};
use tracing::Instrument as _;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::config::Logging;
use crate::refusal;

/// Header of the request id, in requests and responses.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longer ids are replaced, and so are ids with characters that [`is_fit`] does not allow.
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

/// Initializes metrics. The returned handle renders them.
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

/// Which API a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interface {
    S3,
    Rest,
    Other,
}

impl Interface {
    /// The value of the label `surface` in metrics and logs.
    fn label(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Rest => "api",
            Self::Other => "other",
        }
    }
}

/// Generates ids for requests without one.
#[derive(Debug, Clone)]
pub(crate) struct RequestIds(pub(crate) Arc<dyn IdGenerator>);

impl MakeRequestId for RequestIds {
    fn make_request_id<B>(&mut self, _: &http::Request<B>) -> Option<RequestId> {
        let id = HeaderValue::from_str(&self.0.uuid()).expect("generated ids are plain ASCII");
        Some(RequestId::new(id))
    }
}

/// Removes an id that is too long for the log or contains unusual characters.
pub(crate) fn remove_unfit_request_id(mut request: Request) -> Request {
    let headers = request.headers_mut();
    if headers.get(REQUEST_ID).is_some_and(|id| !is_fit(id)) {
        headers.remove(REQUEST_ID);
    }
    request
}

/// Runs the request in a span with its id, writes the log line and the metrics.
pub(crate) async fn observe<F, R>(request: Request, interface: Interface, run: F) -> Response
where
    F: FnOnce(Request) -> R,
    R: Future<Output = Response>,
{
    let surface = interface.label();
    let id = request.headers().get(REQUEST_ID);
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
    let (method, path) = (request.method().clone(), request.uri().path());
    let span = tracing::info_span!("request", id, surface, %method, path);
    let started = Instant::now();
    let response = run(request).instrument(span.clone()).await;
    let elapsed = started.elapsed();

    let status = response.status();
    metrics::counter!("http_requests_total", "surface" => surface, "method" => method_label(&method), "code" => status.as_str().to_owned()).increment(1);
    metrics::histogram!("http_request_duration_seconds", "surface" => surface, "method" => method_label(&method)).record(elapsed.as_secs_f64());
    let _entered = span.enter();
    if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED {
        tracing::warn!(status = status.as_u16(), ?elapsed, "request failed");
    } else {
        tracing::debug!(status = status.as_u16(), ?elapsed, "request done");
    }
    response
}

/// Runs a handler. Logs a panic and returns a response for it. The panic fails only its own request and not the connection,
/// which other requests may share.
pub(crate) async fn catch_panics(
    interface: Interface,
    handler: impl Future<Output = Response>,
) -> Response {
    // Requests share only state that stays consistent if a handler is dropped. Such state also stays consistent if a
    // handler panics.
    match AssertUnwindSafe(handler).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            tracing::error!(panic = panic_text(panic.as_ref()), "a handler panicked");
            internal_error(interface)
        }
    }
}

fn internal_error(interface: Interface) -> Response {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    if interface == Interface::S3 {
        let message = "We encountered an internal error. Please try again.";
        return refusal::s3(status, "InternalError", message);
    }
    let body = serde_json::json!({"message": "internal error"});
    (status, axum::Json(body)).into_response()
}

/// Returns the message of a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without text")
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
    use axum::middleware::{self, Next};
    use axum::routing::get;
    use base::{SystemClock, SystemIds};
    use http_body_util::BodyExt as _;
    use tower::util::MapRequestLayer;
    use tower::{ServiceBuilder, ServiceExt as _};
    use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};

    use super::*;

    /// A server whose only handler panics.
    fn panicking() -> Router {
        let ids = RequestIds(Arc::new(SystemIds::new(Arc::new(SystemClock))));
        Router::new()
            .route("/panic", get(async || -> &'static str { panic!("secret") }))
            .layer(
                ServiceBuilder::new()
                    .layer(MapRequestLayer::new(remove_unfit_request_id))
                    .layer(SetRequestIdLayer::new(REQUEST_ID, ids))
                    .layer(PropagateRequestIdLayer::new(REQUEST_ID))
                    .layer(middleware::from_fn(async |request: Request, next: Next| {
                        let interface = request.extensions().get::<Interface>().copied();
                        let interface = interface.unwrap_or(Interface::Other);
                        observe(request, interface, |request| {
                            catch_panics(interface, next.run(request))
                        })
                        .await
                    })),
            )
    }

    #[tokio::test]
    async fn panic_gets_a_response_with_the_id_of_its_request() {
        let request = Request::get("/panic")
            .header(REQUEST_ID, "an-id")
            .body(Body::empty())
            .expect("a request");
        let Ok(response) = panicking().oneshot(request).await;
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()[REQUEST_ID], "an-id");
        let body = response.into_body().collect().await.expect("a body");
        assert_eq!(body.to_bytes(), r#"{"message":"internal error"}"#);
    }

    /// Guards against a bug: S3 clients got JSON, which they report as a malformed response.
    #[tokio::test]
    async fn panic_gets_xml_in_s3() {
        let mut request = Request::get("/panic")
            .body(Body::empty())
            .expect("a request");
        request.extensions_mut().insert(Interface::S3);
        let Ok(response) = panicking().oneshot(request).await;
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["content-type"], "application/xml");
        let body = response.into_body().collect().await.expect("a body");
        let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        assert!(body.contains("<Code>InternalError</Code>"), "{body}");
        assert!(!body.contains("secret"), "{body}");
    }

    #[tokio::test]
    async fn unfit_and_missing_request_ids_are_replaced() {
        for given in [
            None,
            Some("a b"),
            Some(&*"x".repeat(MAX_REQUEST_ID_BYTES + 1)),
        ] {
            let mut request = Request::get("/panic");
            if let Some(id) = given {
                request = request.header(REQUEST_ID, id);
            }
            let request = request.body(Body::empty()).expect("a request");
            let Ok(response) = panicking().oneshot(request).await;
            let id = &response.headers()[REQUEST_ID];
            assert!(is_fit(id) && id.len() == 36, "{given:?}: {id:?}");
        }
    }
}
