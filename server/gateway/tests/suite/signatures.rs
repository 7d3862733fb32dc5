//! Tests of authentication and of recognizing S3 requests.

use axum::body::Body;
use http::Request;
use time::Duration;

use super::harness::Lake;
use super::signer::HOST;

#[tokio::test]
async fn unsigned_requests_are_denied() {
    let lake = Lake::new().await;
    lake.put("/lake/main/a", "secret").await;
    for (method, uri) in [
        ("GET", "/"),
        ("GET", "/lake"),
        ("GET", "/lake/main/a"),
        ("PUT", "/lake/main/b"),
        ("DELETE", "/lake/main/a"),
        ("POST", "/lake?delete"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("host", HOST)
            .body(Body::empty());
        let response = lake.raw(request.unwrap()).await;
        assert_eq!(response.outcome(), "403 AccessDenied", "{method} {uri}");
        assert_ne!(response.header("x-amz-request-id"), "");
    }
    assert_eq!(lake.paths().await, "a");
}

#[tokio::test]
async fn signature_is_valid_for_its_request_only() {
    let lake = Lake::new().await;
    lake.put("/lake/main/a", "a").await;

    let mut call = lake.call("GET", "/lake/main/a");
    call.signer.secret = "another".to_owned();
    assert_eq!(lake.send(call).await.outcome(), "403 SignatureDoesNotMatch");

    let mut call = lake.call("GET", "/lake/main/a");
    call.signer.access_key = "AKIAJUNKNOWNKEY0000Q".to_owned();
    assert_eq!(lake.send(call).await.outcome(), "403 AccessDenied");

    let mut call = lake.call("GET", "/lake/main/a");
    call.signer.at -= Duration::minutes(16);
    assert_eq!(lake.send(call).await.outcome(), "403 RequestTimeTooSkewed");

    let mut request = lake.call("GET", "/lake/main/a").sign();
    *request.uri_mut() = "/lake/main/b".parse().unwrap();
    assert_eq!(
        lake.raw(request).await.outcome(),
        "403 SignatureDoesNotMatch"
    );

    let mut request = lake.call("DELETE", "/lake/main/none").sign();
    *request.uri_mut() = "/lake/main/a".parse().unwrap();
    assert_eq!(
        lake.raw(request).await.outcome(),
        "403 SignatureDoesNotMatch"
    );

    let mut request = lake.call("PUT", "/lake/main/b").body("good").sign();
    *request.body_mut() = Body::from("evil");
    assert_eq!(
        lake.raw(request).await.outcome(),
        "400 XAmzContentSHA256Mismatch"
    );
    assert_eq!(lake.paths().await, "a");
}

#[tokio::test]
async fn presigned_url_is_valid_for_its_time_and_request_only() {
    let lake = Lake::new().await;
    lake.put("/lake/main/a", "hello").await;
    let presigned = |at, expires: &str| {
        let mut signer = lake.signer.clone();
        signer.at += at;
        let query = signer.presign("GET", "/lake/main/a", Vec::new(), expires);
        Request::get(format!("/lake/main/a?{query}"))
            .header("host", HOST)
            .body(Body::empty())
            .unwrap()
    };
    let response = lake.raw(presigned(Duration::ZERO, "60")).await;
    assert_eq!((response.status, response.body.as_str()), (200, "hello"));

    let response = lake.raw(presigned(Duration::minutes(-10), "60")).await;
    assert_eq!(
        (
            response.outcome().as_str(),
            response.all("Message").as_str()
        ),
        ("403 AccessDenied", "Request has expired")
    );
    let response = lake.raw(presigned(Duration::hours(1), "60")).await;
    assert_eq!(response.all("Message"), "Request is not valid yet");
    assert_eq!(
        lake.raw(presigned(Duration::ZERO, "604801"))
            .await
            .outcome(),
        "400 AuthorizationQueryParametersError"
    );
    assert_eq!(
        lake.raw(presigned(Duration::ZERO, "x")).await.outcome(),
        "400 AuthorizationQueryParametersError"
    );

    let mut other = presigned(Duration::ZERO, "60");
    *other.method_mut() = http::Method::DELETE;
    assert_eq!(lake.raw(other).await.outcome(), "403 SignatureDoesNotMatch");
    assert_eq!(lake.paths().await, "a");
}

/// The holder of an upload URL must not be able to copy objects that the signer can read.
#[tokio::test]
async fn signed_request_rejects_unsigned_amz_headers() {
    let lake = Lake::new().await;
    lake.put("/lake/main/secret", "secret").await;
    for (name, value) in [
        ("x-amz-copy-source", "/lake/main/secret"),
        ("x-amz-meta-owner", "me"),
        ("x-amz-acl", "public-read"),
        ("x-amz-security-token", "token"),
    ] {
        let mut request = lake.call("PUT", "/lake/main/a").sign();
        let added = http::HeaderName::from_static(name);
        request.headers_mut().insert(added, value.parse().unwrap());
        assert_eq!(
            lake.raw(request).await.outcome(),
            "403 AccessDenied",
            "{name}"
        );
    }
    assert_eq!(lake.paths().await, "secret");
}

/// `CloudFront` adds its id to requests that it forwards.
#[tokio::test]
async fn header_of_a_proxy_need_not_be_signed() {
    let lake = Lake::new().await;
    let mut request = lake.call("PUT", "/lake/main/a").sign();
    request
        .headers_mut()
        .insert("x-amz-cf-id", "abc".parse().unwrap());
    assert_eq!(lake.raw(request).await.outcome(), "200");
}

#[tokio::test]
async fn presigned_put_rejects_an_unsigned_copy_source() {
    let lake = Lake::new().await;
    lake.put("/lake/main/secret", "secret").await;
    let query = lake.signer.presign("PUT", "/lake/main/b", Vec::new(), "60");
    let put = || Request::put(format!("/lake/main/b?{query}")).header("host", HOST);
    let copy = put()
        .header("x-amz-copy-source", "/lake/main/secret")
        .body(Body::empty())
        .unwrap();
    assert_eq!(lake.raw(copy).await.outcome(), "403 AccessDenied");
    assert_eq!(lake.paths().await, "secret");
    let plain = put()
        .header("content-length", 1)
        .body(Body::from("b"))
        .unwrap();
    assert_eq!(lake.raw(plain).await.status, 200);
    assert_eq!(lake.paths().await, "b secret");
}

fn is_s3_request(lake: &Lake, request: http::request::Builder, host: &str) -> bool {
    let request = request.header("host", host).body(()).unwrap();
    lake.gateway.is_s3_request(&request.into_parts().0)
}

#[tokio::test]
async fn gateway_claims_requests_with_an_aws_signature() {
    let lake = Lake::new().await;
    for authorization in ["AWS4-HMAC-SHA256 Credential=x", "AWS key:signature"] {
        let request = Request::get("/").header("authorization", authorization);
        assert!(is_s3_request(&lake, request, HOST), "{authorization}");
    }
    for path in [
        "/a?X-Amz-Signature=x",
        "/a?X-Amz-Algorithm=AWS4-HMAC-SHA256",
        "/a?AWSAccessKeyId=k&Signature=s&Expires=1",
    ] {
        assert!(is_s3_request(&lake, Request::get(path), HOST), "{path}");
    }
}

#[tokio::test]
async fn gateway_does_not_claim_requests_with_other_credentials() {
    let lake = Lake::new().await;
    assert!(!is_s3_request(&lake, Request::get("/a?Signature=s"), HOST));
    for authorization in ["Basic eA==", "Bearer eA"] {
        let request = Request::get("/api/v1/repositories").header("authorization", authorization);
        assert!(!is_s3_request(&lake, request, HOST), "{authorization}");
    }
}

#[tokio::test]
async fn gateway_claims_requests_to_its_domains() {
    let lake = Lake::new().await;
    for (host, is_claimed) in [
        ("s3.example.com", true),
        ("lake.s3.example.com:443", true),
        ("example.com", false),
        ("others3.example.com", false),
    ] {
        let claimed = is_s3_request(&lake, Request::get("/"), host);
        assert_eq!(claimed, is_claimed, "{host}");
    }
}

#[tokio::test]
async fn version_2_signature_with_an_old_date_is_rejected() {
    let lake = Lake::new().await;
    let request = Request::get("/lake")
        .header("host", HOST)
        .header("date", "Tue, 27 Mar 2007 19:36:42 +0000")
        .header(
            "authorization",
            format!("AWS {}:c2lnbmF0dXJl", lake.signer.access_key),
        )
        .body(Body::empty());
    assert_eq!(
        lake.raw(request.unwrap()).await.outcome(),
        "403 RequestTimeTooSkewed"
    );
}

#[tokio::test]
async fn bucket_is_taken_from_a_virtual_host() {
    let lake = Lake::new().await;
    let call = lake
        .call("PUT", "/main/a")
        .header("host", "lake.s3.example.com")
        .body("a");
    assert_eq!(lake.send(call).await.outcome(), "200");
    assert_eq!(lake.paths().await, "a");
}

/// The server grants more memory to connections of known callers.
#[tokio::test]
async fn signed_request_makes_its_connection_known() {
    let lake = Lake::new().await;
    let connection = auth::ConnectionTrust::default();
    let ask = async |secret: &str| {
        let mut call = lake.call("GET", "/lake");
        call.signer.secret = secret.to_owned();
        let mut request = call.sign();
        request.extensions_mut().insert(connection.clone());
        lake.raw(request).await.outcome()
    };
    assert_eq!(ask("another").await, "403 SignatureDoesNotMatch");
    assert!(!connection.is_known());
    assert_eq!(ask(&lake.signer.secret).await, "200");
    assert!(connection.is_known());
}
