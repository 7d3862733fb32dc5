//! Objects: uploaded from bodies and forms, read whole and in ranges, listed, deleted, copied.

use axum::body::{Body, HttpBody as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::harness::{ACCESS_KEY, Answer, RequestParts, SECRET_KEY, TestApi};

const OBJECTS: &str = "/repositories/lake/refs/main/objects";
const BRANCH: &str = "/repositories/lake/branches/main/objects";

async fn lake() -> TestApi {
    let api = TestApi::new().await;
    api.repository("lake").await;
    api
}

async fn upload(api: &TestApi, path: &str, headers: &[(&'static str, &str)], body: &str) -> Answer {
    let headers = headers
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    let parts = RequestParts {
        headers,
        body: body.as_bytes().to_vec(),
        anonymous: false,
    };
    api.request(Method::POST, &format!("{BRANCH}?path={path}"), parts)
        .await
}

#[tokio::test]
async fn upload_stores_content_type_and_metadata() {
    let api = lake().await;
    let headers = [("content-type", "text/csv"), ("x-lakefs-meta-Owner", "Me")];
    let stored = upload(&api, "a.csv", &headers, "x,y\n1,2\n")
        .await
        .expect(201)
        .json();
    assert_eq!(stored["checksum"], "344fd2323dd33d5c058b7cf27de029e8");
    assert_eq!(
        (&stored["content_type"], &stored["metadata"]),
        (&json!("text/csv"), &json!({"owner": "Me"}))
    );
    let stat = api
        .get(&format!("{OBJECTS}/stat?path=a.csv"))
        .await
        .expect(200)
        .json();
    assert_eq!(stat, stored);
    let bare = api
        .get(&format!("{OBJECTS}/stat?path=a.csv&user_metadata=false"))
        .await
        .json();
    assert_eq!(bare["metadata"], json!({}));
    api.get(&format!("{OBJECTS}/stat?path=a.csv&presign=true"))
        .await
        .expect(400);
}

/// Guards against a bug: GET and HEAD answered 400 for an object whose content type cannot be a header, for example one
/// from another server.
#[tokio::test]
async fn unsendable_content_type_is_answered_with_the_default() {
    let api = lake().await;
    let repository = api.lake.reader().repository("lake").await.unwrap();
    let options = catalog::UploadOptions {
        content_type: "text/plain\nx-injected: 1".to_owned(),
        ..catalog::UploadOptions::default()
    };
    let stored = api.lake.put_with(&repository, "main", "a", "x", options);
    stored.await.unwrap();
    for method in [Method::GET, Method::HEAD] {
        let path = format!("{OBJECTS}?path=a");
        let got = api
            .request(method, &path, RequestParts::default())
            .await
            .expect(200);
        assert_eq!(got.header("content-type"), "application/octet-stream");
        assert_eq!(got.header("x-injected"), "");
    }
}

#[tokio::test]
async fn object_is_uploaded_from_a_form() {
    let api = lake().await;
    let form = [("content-type", "multipart/form-data; boundary=B")];
    let part = "--B\r\nContent-Disposition: form-data; name=\"content\"; filename=\"t\"\r\nContent-Type: image/png\r\n\r\nPNG!\r\n--B--\r\n";
    let stored = upload(&api, "p", &form, part).await.expect(201).json();
    assert_eq!(
        (&stored["content_type"], &stored["size_bytes"]),
        (&json!("image/png"), &json!(4))
    );
    upload(&api, "none", &form, "--B--\r\n").await.expect(400);
    upload(&api, "half", &form, &part[..part.len() - 9])
        .await
        .expect(400);
    for path in ["none", "half"] {
        api.get(&format!("{OBJECTS}/stat?path={path}"))
            .await
            .expect(404);
    }
}

#[tokio::test]
async fn conditional_upload_fails_if_the_object_exists() {
    let api = lake().await;
    let once = [("if-none-match", "*")];
    upload(&api, "a", &once, "first").await.expect(201);
    assert_eq!(
        upload(&api, "a", &once, "second")
            .await
            .expect(412)
            .message(),
        "path already exists"
    );
    assert_eq!(api.get(&format!("{OBJECTS}?path=a")).await.text(), "first");
    upload(&api, "a", &[("if-none-match", "\"abc\"")], "x")
        .await
        .expect(501);
}

/// A repository with the object `a` of 8 bytes.
async fn csv() -> TestApi {
    let api = lake().await;
    upload(&api, "a", &[("content-type", "text/csv")], "x,y\n1,2\n")
        .await
        .expect(201);
    api
}

const CSV: &str = "/repositories/lake/refs/main/objects?path=a";

#[tokio::test]
async fn object_is_read_whole() {
    let api = csv().await;
    let whole = api.get(CSV).await.expect(200);
    assert_eq!(whole.text(), "x,y\n1,2\n");
    for (name, value) in [
        ("content-length", "8"),
        ("content-type", "text/csv"),
        ("etag", "\"344fd2323dd33d5c058b7cf27de029e8\""),
        ("last-modified", "Wed, 01 May 2024 00:00:00 GMT"),
        ("content-disposition", "attachment"),
        ("cache-control", "no-store, must-revalidate"),
        ("content-security-policy", "default-src 'none'"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(whole.header(name), value, "{name}");
    }
}

/// The server takes a body of a known size for one that is complete in memory.
#[tokio::test]
async fn object_is_streamed() {
    let api = csv().await;
    let key = STANDARD.encode(format!("{ACCESS_KEY}:{SECRET_KEY}"));
    let request = Request::get(format!("/api/v1{CSV}"))
        .header("authorization", format!("Basic {key}"))
        .body(Body::empty());
    let response = api.respond(request.unwrap()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.body().size_hint().exact(), None);
}

#[tokio::test]
async fn object_is_read_in_ranges() {
    let api = csv().await;
    for (range, text, place) in [
        ("bytes=2-4", "y\n1", "bytes 2-4/8"),
        ("bytes=-3", ",2\n", "bytes 5-7/8"),
        ("bytes=5-", ",2\n", "bytes 5-7/8"),
    ] {
        let part = api.get_with(CSV, "range", range).await.expect(206);
        assert_eq!((part.text(), part.header("content-range")), (text, place));
        assert_eq!(part.header("content-length"), text.len().to_string());
    }
}

#[tokio::test]
async fn unsatisfiable_and_malformed_ranges_are_refused() {
    let api = csv().await;
    let past = api.get_with(CSV, "range", "bytes=50-60").await.expect(416);
    assert_eq!(past.header("content-range"), "bytes */8");
    api.get_with(CSV, "range", "bytes=x-y").await.expect(400);
}

#[tokio::test]
async fn object_that_the_client_has_is_not_sent_again() {
    let api = csv().await;
    let tag = "\"344fd2323dd33d5c058b7cf27de029e8\"";
    let unchanged = api.get_with(CSV, "if-none-match", tag).await.expect(304);
    assert!(unchanged.body.is_empty());
    api.get_with(CSV, "if-none-match", "\"another\"")
        .await
        .expect(200);
}

#[tokio::test]
async fn head_returns_the_headers_of_get() {
    let api = lake().await;
    upload(&api, "a", &[], "12345678").await.expect(201);
    let head = async |path: &str, headers| {
        api.request(
            Method::HEAD,
            &format!("{OBJECTS}?path={path}"),
            RequestParts {
                headers,
                ..RequestParts::default()
            },
        )
        .await
    };
    let whole = head("a", vec![]).await.expect(200);
    assert_eq!(
        (
            whole.header("content-length"),
            whole.header("accept-ranges")
        ),
        ("8", "bytes")
    );
    let part = head("a", vec![("range", "bytes=2-4".to_owned())])
        .await
        .expect(206);
    assert_eq!(
        (part.header("content-length"), part.header("content-range")),
        ("3", "bytes 2-4/8")
    );
    assert!(head("none", vec![]).await.expect(404).body.is_empty());
}

#[tokio::test]
async fn listing_with_delimiter_is_paged() {
    let api = lake().await;
    for path in ["a/1", "a/2", "b/1", "c"] {
        api.put_object("lake", "main", path, "x").await.expect(201);
    }
    let mut rows = Vec::new();
    let mut after = String::new();
    loop {
        let page = api
            .get(&format!("{OBJECTS}/ls?delimiter=/&amount=1&after={after}"))
            .await
            .expect(200)
            .json();
        rows.extend(
            page["results"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["path"].clone()),
        );
        after = page["pagination"]["next_offset"]
            .as_str()
            .unwrap()
            .to_owned();
        if page["pagination"]["has_more"] == json!(false) {
            break;
        }
    }
    assert_eq!(Value::from(rows), json!(["a/", "b/", "c"]));
    let none = api
        .get(&format!("{OBJECTS}/ls?prefix=zzz"))
        .await
        .expect(200)
        .json();
    let pagination =
        json!({"has_more": false, "next_offset": "", "results": 0, "max_per_page": 1000});
    assert_eq!(none, json!({"pagination": pagination, "results": []}));
}

/// A repository with the objects `a` and `b`.
async fn two_objects() -> TestApi {
    let api = lake().await;
    for path in ["a", "b"] {
        api.put_object("lake", "main", path, path).await.expect(201);
    }
    api
}

async fn paths(api: &TestApi) -> String {
    let repository = api.lake.reader().repository("lake").await.unwrap();
    api.lake.paths(&repository, "main").await
}

#[tokio::test]
async fn object_is_copied() {
    let api = two_objects().await;
    let path = format!("{BRANCH}/copy?dest_path=c");
    let copy = api.post(&path, &json!({"src_path": "a"})).await;
    let copy = copy.expect(201).json();
    assert_eq!(
        (&copy["path"], &copy["size_bytes"]),
        (&json!("c"), &json!(1))
    );
    assert_eq!(paths(&api).await, "a b c");
}

#[tokio::test]
async fn object_is_deleted() {
    let api = two_objects().await;
    for path in ["a", "never"] {
        api.delete(&format!("{BRANCH}?path={path}"))
            .await
            .expect(204);
    }
    assert_eq!(paths(&api).await, "b");
}

#[tokio::test]
async fn several_objects_are_deleted() {
    let api = two_objects().await;
    let path = format!("{BRANCH}/delete");
    let many = api.post(&path, &json!({"paths": ["b", "never"]})).await;
    assert_eq!(many.expect(200).json(), json!({"errors": []}));
    assert_eq!(paths(&api).await, "a");
    let too_many: Vec<String> = (0..1001).map(|i| i.to_string()).collect();
    api.post(&path, &json!({"paths": too_many}))
        .await
        .expect(400);
}

/// Guards against a bug: the connection broke before a status was sent, and longer bytes were cut off without a notice.
#[tokio::test]
async fn bytes_of_another_size_than_the_entry_says_are_an_error_of_the_server() {
    let api = lake().await;
    upload(&api, "a", &[], "0123").await.expect(201);
    let repository = api.lake.reader().repository("lake").await.unwrap();
    let object = api.lake.reader().stat(&repository, "main", "a").await;
    let object = object.unwrap();
    for bytes in [&b"01"[..], b"012345"] {
        api.lake.replace_bytes(&object, bytes).await;
        let refused = api.get(&format!("{OBJECTS}?path=a")).await.expect(500);
        assert_eq!(refused.message(), "stored data has the wrong size");
        let hint = refused.hint();
        let expected = format!("has {} bytes of 'a', and its entry says 4", bytes.len());
        assert!(hint.contains(&expected), "{hint}");
    }
}

/// Guards against a bug: the deletion of a path that no object can have succeeded.
#[tokio::test]
async fn paths_that_are_too_long_are_not_deleted() {
    let api = lake().await;
    upload(&api, "a", &[], "x").await.expect(201);
    let (longest, long) = ("k".repeat(1024), "k".repeat(1025));
    let refused = api
        .delete(&format!("{BRANCH}?path={long}"))
        .await
        .expect(400);
    let message =
        "argument path: invalid value: validation error: 1025 is above maximum length (1024)";
    assert_eq!(refused.message(), message);
    api.delete(&format!("{BRANCH}?path={longest}"))
        .await
        .expect(204);
    let paths = json!({"paths": [long, longest, "a"]});
    let answer = api
        .post(&format!("{BRANCH}/delete"), &paths)
        .await
        .expect(200)
        .json();
    let expected = json!([{"status_code": 400, "message": message, "path": long}]);
    assert_eq!(answer["errors"], expected);
    api.get(&format!("{OBJECTS}/stat?path=a")).await.expect(404);
}
