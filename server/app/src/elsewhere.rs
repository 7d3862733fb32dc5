//! The response to requests outside the API, the documentation and S3. It says what the server offers, and where.

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use crate::refusal;

const ENDPOINTS: &str = "this server offers the REST API below /api/v1 (the contract is at /openapi.json), \
     S3 for signed requests, /_health, /metrics, and its documentation at /";
const MUST_BE_SIGNED: &str =
    "an S3 request must be signed: configure an access key, and leave out --no-sign-request";

/// Handles requests for which there is no route.
pub(crate) async fn not_found(request: Request) -> Response {
    let path = request.uri().path();
    // The response contains neither the path nor header values.
    let hint = match path {
        "/health" | "/healthz" | "/_health/" | "/healthcheck" => {
            format!("the health check is GET /_health; {ENDPOINTS}")
        }
        _ if path.contains("/api/v1") || path == "/lakefs" || path.starts_with("/lakefs/") => {
            format!(
                "set the endpoint of the client to this server's address, without a folder; {ENDPOINTS}"
            )
        }
        _ if path.starts_with("/api/") => {
            format!("the only version of the REST API is /api/v1; {ENDPOINTS}")
        }
        _ => format!("{ENDPOINTS}; {MUST_BE_SIGNED}"),
    };
    refuse(
        StatusCode::NOT_FOUND,
        request.headers(),
        "there is nothing at this address",
        &hint,
    )
}

/// Handles methods that a route of this server does not have. The router adds the header `Allow`.
pub(crate) async fn wrong_method(headers: HeaderMap) -> Response {
    refuse(
        StatusCode::METHOD_NOT_ALLOWED,
        &headers,
        "this address does not have this method",
        &format!("{ENDPOINTS}; {MUST_BE_SIGNED}"),
    )
}

/// Returns the body as S3's error document to S3 clients, and as the REST API's to all others.
fn refuse(status: StatusCode, headers: &HeaderMap, message: &str, hint: &str) -> Response {
    let is_s3_client = headers.keys().any(|name| {
        let name = name.as_str();
        name.starts_with("x-amz-") || name.starts_with("amz-sdk-")
    });
    match is_s3_client {
        true => refusal::s3(status, "AccessDenied", MUST_BE_SIGNED),
        false => refusal::refusal(status, message, hint),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::{not_found, wrong_method};

    async fn ask(request: http::request::Builder) -> (u16, http::HeaderMap, String) {
        let routes = Router::new()
            .route("/", get(async || "page"))
            .fallback(not_found)
            .method_not_allowed_fallback(wrong_method);
        let request = request.body(Body::empty()).unwrap();
        let (parts, body) = routes.oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        (parts.status.as_u16(), parts.headers, body)
    }

    /// Guards against a bug: these responses had an empty body.
    #[tokio::test]
    async fn unknown_addresses_say_what_is_there() {
        for (path, says) in [
            ("/foo/bar", "must be signed"),
            ("/lake/main/a.csv", "must be signed"),
            ("/health", "GET /_health"),
            ("/api/v2/repositories", "is /api/v1"),
            ("/lakefs", "without a folder"),
            ("/lakefs/api/v1/repositories", "without a folder"),
        ] {
            let (status, _, body) = ask(Request::get(path)).await;
            assert_eq!(status, 404, "{path}");
            for part in [says, "below /api/v1", "/_health", "documentation at /"] {
                assert!(body.contains(part), "{path}: {body}");
            }
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert!(body["message"].is_string() && body["hint"].is_string());
        }
    }

    #[tokio::test]
    async fn wrong_method_names_the_right_ones() {
        let (status, headers, body) = ask(Request::post("/")).await;
        assert_eq!(
            (status, headers["allow"].to_str().unwrap()),
            (405, "GET,HEAD")
        );
        assert!(body.contains("below /api/v1"), "{body}");
    }

    #[tokio::test]
    async fn unsigned_s3_requests_are_told_to_sign() {
        let request = Request::get("/lake/main/a.csv").header("x-amz-checksum-mode", "ENABLED");
        let (status, headers, body) = ask(request).await;
        assert_eq!(
            (status, &headers["content-type"]),
            (404, &"application/xml".parse().unwrap())
        );
        assert!(
            body.contains("<Code>AccessDenied</Code><Message>an S3 request must be signed"),
            "{body}"
        );
    }
}
