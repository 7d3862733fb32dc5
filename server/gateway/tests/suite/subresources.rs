//! Tests that requests with unknown parameters or conditions change nothing.

use super::harness::Lake;

#[tokio::test]
async fn unknown_subresources_have_no_side_effects() {
    let lake = Lake::new().await;
    lake.put("/lake/main/a", "a").await;
    for (method, target, expected) in [
        ("GET", "/lake?acl", "405 ERRLakeFSNotSupported"),
        ("GET", "/lake?tagging", "405 ERRLakeFSNotSupported"),
        ("GET", "/lake?versions", "405 ERRLakeFSNotSupported"),
        ("GET", "/lake?website", "405 ERRLakeFSNotSupported"),
        ("PUT", "/lake?cors", "405 ERRLakeFSNotSupported"),
        ("PUT", "/lake?versioning", "405 ERRLakeFSNotSupported"),
        ("PUT", "/lake?foo", "501 NotImplemented"),
        ("PUT", "/lake/main/b?acl", "405 ERRLakeFSNotSupported"),
        ("PUT", "/lake/main/b?tagging", "405 ERRLakeFSNotSupported"),
        (
            "PUT",
            "/lake/main/b?legal-hold",
            "405 ERRLakeFSNotSupported",
        ),
        ("PUT", "/lake/main/b?torrent", "405 ERRLakeFSNotSupported"),
        ("PUT", "/lake/main/b?restore", "405 ERRLakeFSNotSupported"),
        ("PUT", "/lake/main/b?foo", "501 NotImplemented"),
        ("PUT", "/lake/main/b?foo=bar", "501 NotImplemented"),
        ("PUT", "/lake/main/b?uploadId=x", "501 NotImplemented"),
        ("PUT", "/lake/main/b?uploads", "501 NotImplemented"),
        ("POST", "/lake/main/b?restore", "405 ERRLakeFSNotSupported"),
        (
            "POST",
            "/lake/main/b?select&select-type=2",
            "405 ERRLakeFSNotSupported",
        ),
        ("POST", "/lake/main/b", "501 NotImplemented"),
        ("POST", "/lake", "501 NotImplemented"),
        ("DELETE", "/lake?policy", "405 ERRLakeFSNotSupported"),
        (
            "DELETE",
            "/lake/main/a?tagging",
            "405 ERRLakeFSNotSupported",
        ),
        ("DELETE", "/lake/main/a?foo", "501 NotImplemented"),
        ("DELETE", "/lake/main/a?versionId=1", "501 NotImplemented"),
        ("GET", "/lake/main/a?acl", "405 ERRLakeFSNotSupported"),
        ("GET", "/lake/main/a?foo", "501 NotImplemented"),
    ] {
        let response = lake.send(lake.call(method, target).body("<x/>")).await;
        assert_eq!(response.outcome(), expected, "{method} {target}");
        assert_eq!(lake.paths().await, "a", "after {method} {target}");
    }
    let form = lake
        .call("POST", "/lake")
        .header("content-type", "multipart/form-data; boundary=x")
        .body("--x");
    assert_eq!(lake.send(form).await.outcome(), "501 NotImplemented");
}

/// Ignoring a condition or an offset would turn a conditional write into an unconditional one.
#[tokio::test]
async fn unsupported_conditions_on_writes_are_rejected() {
    let lake = Lake::new().await;
    lake.put("/lake/main/a", "a").await;
    for (method, target, name, value) in [
        ("PUT", "/lake/main/a", "x-amz-write-offset-bytes", "1"),
        (
            "PUT",
            "/lake/main/a",
            "x-amz-server-side-encryption-customer-key",
            "a2V5",
        ),
        ("DELETE", "/lake/main/a", "if-match", "\"other\""),
        ("DELETE", "/lake/main/a", "x-amz-if-match-size", "7"),
    ] {
        let call = lake.call(method, target).header(name, value);
        let call = if method == "PUT" {
            call.body("b")
        } else {
            call
        };
        assert_eq!(
            lake.send(call).await.outcome(),
            "501 NotImplemented",
            "{method} {name}"
        );
    }
    let copy = lake
        .call("PUT", "/lake/main/b")
        .header("x-amz-copy-source", "/lake/main/a")
        .header("if-none-match", "*");
    assert_eq!(lake.send(copy).await.outcome(), "501 NotImplemented");
    let delete = lake
        .call("POST", "/lake?delete")
        .body("<Delete><Object><Key>main/a</Key><ETag>\"other\"</ETag></Object></Delete>");
    let response = lake.send(delete).await;
    assert_eq!(response.all("Key"), "main/a", "{}", response.body);
    assert!(response.body.contains("<Error>"), "{}", response.body);
    assert_eq!(lake.paths().await, "a");
    let read = lake.send(lake.call("GET", "/lake/main/a")).await;
    assert_eq!(read.body, "a");
}
