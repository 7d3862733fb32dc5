//! Connections beyond the limit. Each gets a response to one short request. `/_health` and
//! `/metrics` work, so that a full server is not mistaken for a dead one. Everything else gets
//! status 503.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::connection::RETRY_AFTER;
use super::registry::Ticket;
use crate::refusal::{self, refusal};

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
    refuse(request.headers(), request.uri())
}

fn refuse(headers: &HeaderMap, uri: &Uri) -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let message = "the server has reached its maximum number of connections";
    let hint = "try again later";
    let mut response = match gateway::appears_signed(headers, uri) {
        true => refusal::s3(status, "SlowDown", &format!("{message}: {hint}")),
        false => refusal(status, message, hint),
    };
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, RETRY_AFTER.as_secs().into());
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    /// Guards against a bug: S3 clients got JSON, which they report as a malformed response.
    #[tokio::test]
    async fn refusal_has_the_format_of_the_client() {
        let signed = ("authorization", "AWS4-HMAC-SHA256 Credential=AKIA");
        for (uri, header, expected) in [
            ("/lake/main/a", signed, "<Code>SlowDown</Code>"),
            (
                "/lake/main/a?X-Amz-Signature=0",
                ("a", "b"),
                "<Code>SlowDown</Code>",
            ),
            (
                "/api/v1/repositories",
                ("a", "b"),
                "\"message\":\"the server has",
            ),
        ] {
            let request = Request::get(uri).header(header.0, header.1);
            let request = request.body(()).unwrap();
            let response = refuse(request.headers(), request.uri());
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers()["retry-after"], "2");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let body = String::from_utf8_lossy(&body).into_owned();
            assert!(body.contains(expected), "{body}");
        }
    }
}
