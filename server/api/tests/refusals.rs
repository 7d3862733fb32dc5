//! Refused requests: unknown routes, unauthenticated callers, malformed requests, operations that are not implemented.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use serde_json::json;

use crate::harness::{ACCESS_KEY, RequestParts, SECRET_KEY, TestApi};

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
            .request(method.clone(), path, RequestParts::default())
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

/// Guards against a bug: `curl -T` sends PUT, and the hint named only /openapi.json.
#[tokio::test]
async fn wrong_method_gets_a_hint_with_the_right_ones() {
    let api = TestApi::new().await;
    let path = "/repositories/lake/branches/main/objects?path=x";
    for (method, path, allowed) in [
        (Method::PATCH, path, "POST (uploadObject)"),
        (Method::PATCH, "/repositories", "POST (createRepository)"),
    ] {
        let answer = api
            .request(method, path, RequestParts::default())
            .await
            .expect(404);
        assert_eq!(answer.message(), "invalid API endpoint");
        let hint = answer.json()["hint"].clone();
        assert!(hint.as_str().unwrap().contains(allowed), "{hint}");
    }
    // `curl -T` finds another operation, which takes JSON.
    for (kind, status) in [("", 400), ("application/json", 501)] {
        let body = json!({"physical_address": "mem://x", "checksum": "x", "size_bytes": 1});
        let parts = RequestParts {
            headers: vec![("content-type", kind.to_owned())],
            body: body.to_string().into_bytes(),
            anonymous: false,
        };
        let hint = api
            .request(Method::PUT, path, parts)
            .await
            .expect(status)
            .hint();
        assert!(hint.contains("send POST instead of PUT"), "{hint}");
    }
}

/// Guards against a bug: the refusal contained only a regular expression.
#[tokio::test]
async fn refused_repository_name_is_explained() {
    let api = TestApi::new().await;
    for name in ["wh", "my_repo"] {
        let creation = json!({"name": name, "storage_namespace": "mem://x"});
        let hint = api
            .post("/repositories", &creation)
            .await
            .expect(400)
            .hint();
        assert!(hint.contains("3 to 63 lower-case letters"), "{hint}");
    }
}

/// Guards against a bug: these refusals did not say what to do.
#[tokio::test]
async fn refusals_say_what_to_write() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let branch = json!({"name": "feature/x", "source": "main"});
    for (path, body, status, says) in [
        ("branches", Some(branch), 400, "feature-x"),
        (
            "refs/main/commits?since=yesterday",
            None,
            400,
            "2026-01-31T00:00:00Z",
        ),
        (
            "branches/none/undo",
            Some(json!({})),
            404,
            "there is no branch 'none'",
        ),
        (
            "tags/none/undo",
            Some(json!({})),
            404,
            "there is no tag 'none'",
        ),
        (
            "branches/main/staging/backing?path=x",
            None,
            501,
            "leave out `pre_sign`",
        ),
    ] {
        let path = format!("/repositories/lake/{path}");
        let answer = match body {
            None => api.get(&path).await,
            Some(body) => api.post(&path, &body).await,
        };
        let hint = answer.expect(status).hint();
        assert!(hint.contains(says), "{path}: {hint}");
    }
}

/// Guards against a bug: the refusal did not say what to do.
#[tokio::test]
async fn second_access_key_is_refused_with_a_hint() {
    let api = TestApi::new().await;
    let path = "/auth/users/admin/credentials";
    let hint = api.post(path, &json!({})).await.expect(400).hint();
    assert!(hint.contains("use the existing key"), "{hint}");
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
    let mut requested = 0;
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
        requested += 1;
    }
    assert_eq!(requested, api::ROUTES.len() - OPEN.len());
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let api = TestApi::new().await;
    let send = async |kind: &str, body: &[u8]| {
        let headers = vec![("content-type", kind.to_owned())];
        api.request(
            Method::POST,
            "/repositories",
            RequestParts {
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

/// Guards against a bug: bytes that are not UTF-8 were replaced, so that `a%ff` and `a%fe` were the same object.
#[tokio::test]
async fn queries_that_are_not_utf8_are_refused() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let objects = "/repositories/lake/refs/main/objects";
    for path in [
        format!("{objects}?path=a%ff"),
        format!("{objects}?path=%e6%97"),
        "/repositories?after=%c0%80".to_owned(),
    ] {
        let refused = api.get(&path).await.expect(400);
        let message = refused.message();
        assert!(message.contains("not UTF-8"), "{path}: {message}");
        assert!(refused.hint().contains("percent-encode"), "{path}");
    }
    let valid = api.get(&format!("{objects}?path=%e6%97%a5")).await;
    assert_eq!(valid.status, 404);
}

/// Guards against a bug: the answers to bodies that broke off had no hint.
#[tokio::test]
async fn bodies_that_break_off_are_refused_with_a_hint() {
    let api = TestApi::new().await;
    api.repository("lake").await;
    let objects = "/repositories/lake/branches/main/objects?path=a";
    let form = "multipart/form-data; boundary=B";
    let key = STANDARD.encode(format!("{ACCESS_KEY}:{SECRET_KEY}"));
    let field = "--B\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nx";
    for (path, kind, sent, message) in [
        (objects, "text/plain", "x", "failed to read the body"),
        (objects, form, field, "malformed form: "),
        (
            "/repositories",
            "application/json",
            "{",
            "request body has an error: failed to read it",
        ),
    ] {
        let pieces = [Ok(sent), Err(std::io::Error::other("connection reset"))];
        let body = Body::from_stream(futures::stream::iter(pieces));
        let request = Request::post(format!("/api/v1{path}"))
            .header("content-type", kind)
            .header("authorization", format!("Basic {key}"))
            .body(body);
        let refused = api.send(request.unwrap()).await.expect(400);
        assert!(
            refused.message().starts_with(message),
            "{}",
            refused.message()
        );
        let hint = refused.hint();
        assert!(hint.contains("send the whole body again"), "{path}: {hint}");
    }
}
