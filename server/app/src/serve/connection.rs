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
use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::config::Http;
use crate::refusal::{self, refusal};

use super::bodies::{Paced, ResponseBody};
use super::connection_state::ConnectionState;
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

/// HTTP/1 and HTTP/2 settings of a server.
#[derive(Debug, Clone)]
pub(super) struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Protocols {
    pub(super) fn new(limits: &Http) -> Self {
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
        Self { http1, http2 }
    }
}

/// Serves a connection until it ends.
pub(super) async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    ticket: Ticket,
    protocols: Arc<Protocols>,
    limits: Arc<Http>,
    app: Router,
) {
    let track = &ticket.track;
    let io = TrackedSocket::new(socket, Arc::clone(track), &limits);
    let requests = Requests {
        app,
        peer: api::Peer(peer),
        track: Arc::clone(track),
        limits,
    };
    tokio::select! {
        biased;
        () = track.killed() => {}
        result = serve_protocol(io, track, &protocols, requests) => {
            if let Err(e) = result {
                tracing::debug!(error = %e, "connection ended");
            }
        }
    }
}

async fn serve_protocol(
    mut io: TrackedSocket<TcpStream>,
    track: &ConnectionState,
    protocols: &Protocols,
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
    match protocol {
        None => Ok(()),
        Some(Protocol::Http1) => {
            until_closed!(protocols.http1.serve_connection(TokioIo::new(io), requests))
        }
        Some(Protocol::Http2) => {
            track.set_http2();
            until_closed!(protocols.http2.serve_connection(TokioIo::new(io), requests))
        }
    }
}

/// The requests of one connection.
#[derive(Debug, Clone)]
struct Requests {
    app: Router,
    peer: api::Peer,
    track: Arc<ConnectionState>,
    limits: Arc<Http>,
}

impl hyper::service::Service<Request<Incoming>> for Requests {
    type Response = http::Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        let in_flight = self.track.begin_request();
        let (app, limits) = (self.app.clone(), Arc::clone(&self.limits));
        Box::pin(async move {
            let response = answer(app, request, &limits).await;
            Ok(response.map(|body| ResponseBody::new(body, in_flight, &limits)))
        })
    }
}

async fn answer(app: Router, request: Request<Incoming>, limits: &Http) -> Response {
    let (parts, body) = request.into_parts();
    let (body, was_too_slow) = Paced::new(body, limits);
    let request = Request::from_parts(parts, Body::new(body));
    let response = match tower::ServiceExt::oneshot(app, request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    explain_slow_body(response, &was_too_slow)
}

/// Replaces an error response by one that names the cause, if the cause is a slow client.
fn explain_slow_body(response: Response, was_too_slow: &AtomicBool) -> Response {
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    if !is_error || !was_too_slow.load(Ordering::Relaxed) {
        return response;
    }
    metrics::counter!("http_connections_closed_total", "reason" => "slow_body").increment(1);
    let is_s3 = response.headers().contains_key("x-amz-request-id");
    let mut told = if is_s3 {
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
    // Keep the request ids, with which the request is found in the log.
    for (name, value) in response.headers() {
        if name.as_str().ends_with("request-id") {
            told.headers_mut().insert(name.clone(), value.clone());
        }
    }
    told.headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    told
}

/// Value of `Retry-After` if all connections are in use.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(2);
