//! One connection: HTTP/1 or HTTP/2 with limits, and requests whose bodies have a minimum rate.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use base::Reservation;
use http::{HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::config::Http;
use crate::refusal::{self, refusal};

use super::bodies::{RateLimitedBody, ResponseBody};
use super::connection_state::{ConnectionState, InFlight};
use super::memory::MemoryBudgets;
use super::registry::Ticket;
use super::socket::{Protocol, TrackedSocket};

/// Maximum size of request line and headers. S3 user metadata of up to 64 KiB is in headers.
const MAX_HEADER_BYTES: usize = 128 << 10;
/// HTTP/1 buffer size for a request or response.
const MAX_BUFFER_BYTES: usize = 256 << 10;
/// Maximum number of concurrent streams per HTTP/2 connection.
const MAX_STREAMS: u32 = 128;
/// Maximum number of streams that a client opened and reset before they were accepted. Exceeding it
/// ends the connection.
const MAX_PENDING_RESETS: usize = 32;
/// Maximum number of streams reset because of client errors. Exceeding it ends the connection.
const MAX_ERROR_RESETS: usize = 128;
const MAX_FRAME_BYTES: u32 = 16 << 10;
/// HTTP/2 flow control windows for request bodies, per stream and per connection.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 512 << 10;
/// Maximum size of buffered response data per stream.
const MAX_SEND_BUFFER_BYTES: usize = 256 << 10;

/// What all connections of a server share.
#[derive(Debug)]
pub(super) struct Service {
    app: Router,
    limits: Http,
    memory: MemoryBudgets,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Service {
    pub(super) fn new(app: Router, limits: Http) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            // The sweep distinguishes idle connections from those with an incomplete request.
            .header_read_timeout(None)
            .max_header_size(MAX_HEADER_BYTES)
            .max_buf_size(MAX_BUFFER_BYTES);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(limits.http2_ping_interval)
            .keep_alive_timeout(limits.http2_ping_timeout)
            .max_concurrent_streams(MAX_STREAMS)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_local_error_reset_streams(MAX_ERROR_RESETS)
            .max_header_list_size(MAX_HEADER_BYTES as u32)
            .max_frame_size(MAX_FRAME_BYTES)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(MAX_SEND_BUFFER_BYTES);
        Self {
            app,
            memory: MemoryBudgets::new(limits.body_memory_bytes),
            limits,
            http1,
            http2,
        }
    }
}

/// Serves a connection until it ends.
pub(super) async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    ticket: Ticket,
    service: Arc<Service>,
) {
    let track = &ticket.track;
    let io = TrackedSocket::new(socket, Arc::clone(track), &service.limits);
    let requests = Requests {
        service,
        peer: api::Peer(peer),
        track: Arc::clone(track),
    };
    tokio::select! {
        biased;
        () = track.killed() => {}
        result = serve_protocol(io, track, requests) => {
            if let Err(e) = result {
                tracing::debug!(error = %e, "connection ended");
            }
        }
    }
}

async fn serve_protocol(
    mut io: TrackedSocket<TcpStream>,
    track: &ConnectionState,
    requests: Requests,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let protocol = tokio::select! {
        protocol = io.protocol() => protocol?,
        () = track.closing() => return Ok(()),
    };
    // A macro, because the two connection types differ.
    macro_rules! until_closed {
        ($connection:expr) => {{
            let mut connection = pin!($connection);
            tokio::select! {
                result = connection.as_mut() => return Ok(result?),
                () = track.closing() => connection.as_mut().graceful_shutdown(),
            }
            Ok(connection.await?)
        }};
    }
    let service = Arc::clone(&requests.service);
    match protocol {
        None => Ok(()),
        Some(Protocol::Http1) => {
            until_closed!(service.http1.serve_connection(TokioIo::new(io), requests))
        }
        Some(Protocol::Http2) => {
            track.set_http2();
            until_closed!(service.http2.serve_connection(TokioIo::new(io), requests))
        }
    }
}

/// The requests of one connection.
#[derive(Debug, Clone)]
struct Requests {
    service: Arc<Service>,
    peer: api::Peer,
    track: Arc<ConnectionState>,
}

impl hyper::service::Service<Request<Incoming>> for Requests {
    type Response = http::Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let extensions = request.extensions_mut();
        extensions.insert(self.peer);
        extensions.insert(self.track.trust().clone());
        let in_flight = self.track.begin_request();
        let service = Arc::clone(&self.service);
        Box::pin(async move {
            let (response, reservation) = answer(&service, request, &in_flight).await;
            let limits = &service.limits;
            Ok(response.map(|body| ResponseBody::new(body, in_flight, limits, reservation)))
        })
    }
}

/// Returns the response, with its memory if it needs some.
async fn answer(
    service: &Service,
    request: Request<Incoming>,
    in_flight: &InFlight,
) -> (Response, Option<Reservation>) {
    let Service { memory, limits, .. } = service;
    let (trust, is_http2) = (in_flight.trust(), in_flight.is_http2());
    let request_memory = match is_http2 {
        true => match memory.reserve_request(&request, trust) {
            Ok(reserved) => Some(reserved),
            Err(_) => return (out_of_memory_http2(), None),
        },
        false => None,
    };
    let method = request.method().clone();
    let (parts, body) = request.into_parts();
    let (body, was_too_slow) = RateLimitedBody::new(body, limits);
    let request = Request::from_parts(parts, Body::new(body));
    let response = match tower::ServiceExt::oneshot(service.app.clone(), request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let response = explain_slow_body(response, &was_too_slow);
    match memory.reserve_response(&response, trust, request_memory) {
        Ok(reservation) => (response, reservation),
        Err(_) => (without_memory(&response, &method, is_http2), None),
    }
}

/// Replaces a response for which there is no memory left. Keeps its request ids.
fn without_memory(response: &Response, method: &Method, is_http2: bool) -> Response {
    let refusal = match is_http2 {
        true => out_of_memory_http2(),
        false => out_of_memory(response, method),
    };
    replacement(response, refusal)
}

/// The refusal on HTTP/1 if there is no memory left for `response` to a request with this method.
fn out_of_memory(response: &Response, method: &Method) -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let is_change =
        !matches!(*method, Method::GET | Method::HEAD) && response.status().is_success();
    let refusal = match is_s3(response) {
        true => refusal::s3(status, "SlowDown", "Please reduce your request rate."),
        false if is_change => refusal(
            status,
            "the request succeeded, but the memory for responses is exhausted",
            "other clients do not read their responses: check the result before you send the request again",
        ),
        false => refusal(
            status,
            "the memory for responses is exhausted",
            "other clients do not read their responses: try again later, or ask for a smaller page",
        ),
    };
    with_retry_after(refusal)
}

/// The refusal on HTTP/2 if there is no memory left. It has no body, so that it is complete at once, even if the client's
/// window is closed.
fn out_of_memory_http2() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    with_retry_after(response)
}

fn with_retry_after(mut response: Response) -> Response {
    metrics::counter!("http_responses_refused_total").increment(1);
    let retry_after = RETRY_AFTER.as_secs().into();
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, retry_after);
    response
}

fn is_s3(response: &Response) -> bool {
    response.headers().contains_key("x-amz-request-id")
}

/// Copies the request ids of `response` to the response that replaces it, so that the request can be found in the log.
fn replacement(response: &Response, mut by: Response) -> Response {
    for (name, value) in response.headers() {
        if name.as_str().ends_with("request-id") {
            by.headers_mut().insert(name.clone(), value.clone());
        }
    }
    by
}

/// Replaces an error response by one that names the cause, if the cause is a slow client.
fn explain_slow_body(response: Response, was_too_slow: &AtomicBool) -> Response {
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    if !is_error || !was_too_slow.load(Ordering::Relaxed) {
        return response;
    }
    metrics::counter!("http_connections_closed_total", "reason" => "slow_body").increment(1);
    let explanation = if is_s3(&response) {
        // S3 clients know this code and status, and retry.
        refusal::s3(
            StatusCode::BAD_REQUEST,
            "RequestTimeout",
            "Your socket connection to the server was not read from or written to within the timeout period.",
        )
    } else {
        refusal(
            StatusCode::REQUEST_TIMEOUT,
            "the request body stopped arriving or arrived too slowly",
            "send the request again",
        )
    };
    let mut explained = replacement(&response, explanation);
    explained
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    explained
}

/// Value of `Retry-After` if all connections are in use.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn text(response: Response) -> String {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8_lossy(&body).into_owned()
    }

    #[tokio::test]
    async fn refusal_for_lack_of_memory_has_the_format_of_the_client() {
        for (header, expected) in [
            ("x-amz-request-id", "<Code>SlowDown</Code>"),
            ("x-request-id", "\"message\":\"the memory for responses"),
        ] {
            let mut response = Response::default();
            let id = HeaderValue::from_static("an-id");
            response.headers_mut().insert(header, id);
            let refusal = without_memory(&response, &Method::GET, false);
            assert_eq!(refusal.status(), 503);
            assert_eq!(refusal.headers()["retry-after"], "2");
            assert_eq!(refusal.headers()[header], "an-id");
            let text = text(refusal).await;
            assert!(text.contains(expected), "{text}");
        }
    }

    /// Guards against a bug: on HTTP/2, the refused response of a change could not be found in the log.
    #[test]
    fn refusal_for_lack_of_memory_keeps_the_request_id_on_http2() {
        let mut response = Response::default();
        let id = HeaderValue::from_static("an-id");
        response.headers_mut().insert("x-request-id", id);
        let refusal = without_memory(&response, &Method::POST, true);
        assert_eq!(refusal.status(), 503);
        assert_eq!(refusal.headers()["x-request-id"], "an-id");
    }

    /// If the client repeated the request, the change would be made twice.
    #[tokio::test]
    async fn change_whose_response_is_lost_is_reported() {
        for (method, status, is_reported) in [
            (Method::POST, StatusCode::CREATED, true),
            (Method::POST, StatusCode::CONFLICT, false),
            (Method::GET, StatusCode::OK, false),
        ] {
            let mut response = Response::default();
            *response.status_mut() = status;
            let text = text(out_of_memory(&response, &method)).await;
            let says_so = text.contains("the request succeeded");
            assert_eq!(says_so, is_reported, "{method} {status}: {text}");
        }
    }
}
