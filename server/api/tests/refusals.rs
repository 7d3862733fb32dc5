//! Refused requests: unknown routes, unauthenticated callers, malformed requests, operations that are not implemented.

use axum::body::Body;
use http::{Method, Request};
use serde_json::json;

use crate::harness::{Ask, TestApi};

#[tokio::test]
async fn unknown_routes_and_methods_are_not_found() {
    let api = TestApi::new().await;
    for (method, path) in [
        (Method::GET, "/no/such/route"),
        (Method::PATCH, "/repositories"),
        (Method::HEAD, "/user"),
        (Method::GET, "/repositories/x/"),
    ] {
        let answer = api
            .ask(method.clone(), path, Ask::default())
            .await
            .expect(404);
        if method != Method::HEAD {
            assert_eq!(answer.message(), "invalid API endpoint", "{path}");
        }
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    assert_eq!(
        api.get_anonymous("/no/such/route")
            .await
            .expect(404)
            .message(),
        "invalid API endpoint"
    );
}

/// Operations without authentication.
const OPEN: &[&str] = &[
    "setupCommPrefs",
    "getSetupState",
    "setup",
    "login",
    "externalPrincipalLogin",
    "stsLogin",
    "getAuthCapabilities",
    "healthCheck",
    "oauthCallback",
];

#[tokio::test]
async fn all_other_operations_require_authentication() {
    let api = TestApi::new().await;
    let mut asked = 0;
    for route in api::ROUTES
        .iter()
        .filter(|route| !OPEN.contains(&route.operation))
    {
        let (method, path, operation) = (route.method, route.path, route.operation);
        // Parameters that some operations require.
        let query = "path=a&dest_path=a&ref=main&id=x&task_id=x&principalId=x";
        let uri = format!("/api/v1{}?{query}", path.replace(['{', '}'], ""));
        let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap();
        let answer = api
            .send(
                Request::builder()
                    .method(method)
                    .uri(uri)
                    .body(Body::empty())
                    .unwrap(),
            )
            .await;
        assert_eq!(answer.status, 401, "{operation}: {:?}", answer.body);
        asked += 1;
    }
    assert_eq!(asked, api::ROUTES.len() - OPEN.len());
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let api = TestApi::new().await;
    let send = async |kind: &str, body: &[u8]| {
        let headers = vec![("content-type", kind.to_owned())];
        api.ask(
            Method::POST,
            "/repositories",
            Ask {
                headers,
                body: body.to_vec(),
                anonymous: false,
            },
        )
        .await
    };
    for (kind, body, status, words) in [
        (
            "application/json",
            &b"{"[..],
            400,
            "failed to decode request body",
        ),
        (
            "application/json",
            b"",
            400,
            "value is required but missing",
        ),
        ("text/plain", b"{}", 400, "Content-Type"),
        (
            "application/json; charset=utf-8",
            b"{}",
            400,
            "\"name\" is missing",
        ),
        (
            "application/json",
            &vec![b' '; (10 << 20) + 1],
            413,
            "10485760 bytes",
        ),
    ] {
        let answer = send(kind, body).await.expect(status);
        assert!(
            answer.message().contains(words),
            "{words:?} in {:?}",
            answer.message()
        );
        assert_eq!(answer.header("content-type"), "application/json");
    }
    for (path, words) in [
        ("/repositories?amount=1001", "number must be at most 1000"),
        (
            "/repositories/lake/refs/main/objects/stat",
            "\"path\" in query",
        ),
        ("/repositories/lake/refs/%FF/objects/stat?path=a", ""),
    ] {
        assert!(
            api.get(path).await.expect(400).message().contains(words),
            "{path}"
        );
    }
}

#[tokio::test]
async fn unimplemented_operations_answer_501_with_their_name() {
    let api = TestApi::new().await;
    for (path, operation) in [
        ("/auth/groups", "listGroups"),
        ("/auth/policies", "listPolicies"),
    ] {
        let answer = api.get(path).await.expect(501);
        assert_eq!(answer.message(), "Not Implemented");
        let hint = answer.hint();
        assert!(
            hint.starts_with(&format!("{operation} is not implemented")),
            "{hint}"
        );
    }
    let sts = json!({"code": "c", "state": "s", "redirect_uri": "r"});
    let hint = api.post("/sts/login", &sts).await.expect(501).hint();
    assert!(hint.starts_with("stsLogin is not implemented"), "{hint}");
}
