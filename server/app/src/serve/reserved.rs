//! Connections beyond the limit. Each gets a response to one short request. `/_health` and
//! `/metrics` work, so that a full server is not mistaken for a dead one. Everything else gets
//! status 503.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::connection::RETRY_AFTER;
use super::registry::Ticket;
use crate::refusal::refusal;

/// Time limit for reading the request's head, writing the response and closing the connection.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The smallest buffer that hyper accepts.
const MAX_BUFFER_BYTES: usize = 8 << 10;

/// Responds to one request and closes the connection.
pub(super) async fn serve(socket: TcpStream, ticket: Ticket, app: Router) {
    let answer = hyper::service::service_fn(move |request| {
        let app = app.clone();
        async move { Ok::<_, Infallible>(answer(app, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(TIMEOUT)
        .keep_alive(false)
        .max_buf_size(MAX_BUFFER_BYTES)
        .serve_connection(TokioIo::new(socket), answer);
    match tokio::time::timeout(TIMEOUT, connection).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(e)) => tracing::debug!(error = %e, "connection ended"),
    }
    drop(ticket);
}

async fn answer(app: Router, request: Request<Incoming>) -> Response {
    let path = request.uri().path();
    if matches!(path, "/_health" | "/metrics") {
        // The body is not read.
        let request = request.map(|_| Body::empty());
        return match tower::ServiceExt::oneshot(app, request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
    }
    let mut response = refusal(
        StatusCode::SERVICE_UNAVAILABLE,
        "the server has reached its maximum number of connections",
        "try again later",
    );
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, RETRY_AFTER.as_secs().into());
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
