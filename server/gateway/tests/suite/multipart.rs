//! Tests of multipart uploads.

use super::harness::{Lake, TestResponse};

async fn start(lake: &Lake, key: &str) -> String {
    let call = lake
        .call("POST", &format!("/lake/{key}?uploads"))
        .header("content-type", "x/mp");
    let response = lake.send(call.header("x-amz-meta-a", "b")).await;
    assert_eq!((response.status, response.all("Key").as_str()), (200, key));
    response.all("UploadId")
}

fn completion(parts: &[(u32, &str)]) -> String {
    let part = |(number, tag): &(u32, &str)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
    };
    let parts: String = parts.iter().map(part).collect();
    format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
}

/// An upload of two parts: text, and a copy of a range.
struct Upload {
    lake: Lake,
    /// The key with the id of the upload.
    target: String,
    tags: [String; 2],
}

impl Upload {
    async fn new() -> Self {
        let lake = Lake::new().await;
        lake.put("/lake/main/source", "0123456789").await;
        let id = start(&lake, "main/mp").await;
        let target = format!("/lake/main/mp?uploadId={id}");
        let one = lake.put(&format!("{target}&partNumber=1"), "hello ").await;
        assert_eq!(one.status, 200);
        let copy = lake
            .call("PUT", &format!("{target}&partNumber=2"))
            .header("x-amz-copy-source", "/lake/main/source")
            .header("x-amz-copy-source-range", "bytes=2-4");
        let copy = lake.send(copy).await;
        assert_eq!(copy.status, 200, "{}", copy.body);
        assert_eq!(lake.paths().await, "source");
        let tags = [one.header("etag").to_owned(), copy.all("ETag")];
        Self { lake, target, tags }
    }

    async fn complete(&self, body: String) -> TestResponse {
        let call = self.lake.call("POST", &self.target).body(body);
        self.lake.send(call).await
    }

    async fn complete_all(&self) -> TestResponse {
        let [one, two] = &self.tags;
        self.complete(completion(&[(1, one), (2, two)])).await
    }
}

#[tokio::test]
async fn parts_are_listed() {
    let upload = Upload::new().await;
    let parts = upload.lake.get(&upload.target).await;
    assert_eq!(
        (parts.all("PartNumber").as_str(), parts.all("Size").as_str()),
        ("1 2", "6 3")
    );
    let first = format!("{}&max-parts=1", upload.target);
    let page = upload.lake.get(&first).await;
    assert_eq!(
        (
            page.all("PartNumber").as_str(),
            page.all("NextPartNumberMarker").as_str()
        ),
        ("1", "1")
    );
}

#[tokio::test]
async fn uploads_are_listed_until_they_are_completed() {
    let upload = Upload::new().await;
    assert_eq!(upload.lake.get("/lake?uploads").await.all("Key"), "main/mp");
    upload.complete_all().await;
    assert_eq!(upload.lake.get("/lake?uploads").await.all("Key"), "");
}

#[tokio::test]
async fn malformed_lists_of_parts_are_refused() {
    let upload = Upload::new().await;
    let [one, two] = &upload.tags;
    let unknown = "\"00000000000000000000000000000000\"";
    for (body, expected) in [
        (completion(&[]), "400 MalformedXML"),
        ("<Comp".to_owned(), "400 MalformedXML"),
        (completion(&[(2, two), (1, one)]), "400 InvalidPartOrder"),
        (completion(&[(1, unknown)]), "400 InvalidPart"),
        (completion(&[(3, one)]), "400 InvalidPart"),
    ] {
        let refused = upload.complete(body.clone()).await;
        assert_eq!(refused.outcome(), expected, "{body}");
    }
    assert_eq!(upload.complete_all().await.status, 200);
}

#[tokio::test]
async fn completed_parts_become_one_object() {
    let upload = Upload::new().await;
    let done = upload.complete_all().await;
    assert_eq!(
        (done.status, done.all("Key").as_str()),
        (200, "main/mp"),
        "{}",
        done.body
    );
    assert!(done.all("ETag").ends_with("-2\""), "{}", done.body);
    let object = upload.lake.get("/lake/main/mp").await;
    assert_eq!(object.body, "hello 234");
    assert_eq!(
        (object.header("content-type"), object.header("x-amz-meta-a")),
        ("x/mp", "b")
    );
}

#[tokio::test]
async fn completed_upload_is_gone_for_other_parts() {
    let upload = Upload::new().await;
    upload.complete_all().await;
    let again = upload.complete(completion(&[(1, &upload.tags[0])])).await;
    assert_eq!(again.outcome(), "404 NoSuchUpload");
}

#[tokio::test]
async fn unknown_uploads_and_invalid_part_numbers_are_rejected() {
    let lake = Lake::new().await;
    let id = start(&lake, "main/mp").await;
    for (target, expected) in [
        (
            format!("mp?partNumber=0&uploadId={id}"),
            "400 InvalidArgument",
        ),
        (
            format!("mp?partNumber=10001&uploadId={id}"),
            "400 InvalidArgument",
        ),
        (
            "mp?partNumber=1&uploadId=none".to_owned(),
            "404 NoSuchUpload",
        ),
        (
            format!("other?partNumber=1&uploadId={id}"),
            "404 NoSuchUpload",
        ),
    ] {
        let refused = lake.put(&format!("/lake/main/{target}"), "x").await;
        assert_eq!(refused.outcome(), expected, "{target}");
    }
}

#[tokio::test]
async fn upload_is_aborted_once() {
    let lake = Lake::new().await;
    let id = start(&lake, "main/mp").await;
    let abort = || lake.call("DELETE", &format!("/lake/main/mp?uploadId={id}"));
    assert_eq!(lake.send(abort()).await.outcome(), "204");
    assert_eq!(lake.send(abort()).await.outcome(), "404 NoSuchUpload");
    assert_eq!(lake.paths().await, "");
}

#[tokio::test]
async fn upload_needs_a_branch() {
    let lake = Lake::new().await;
    let started = lake.send(lake.call("POST", "/lake/none/mp?uploads")).await;
    assert_eq!(started.outcome(), "404 NoSuchBucket");
}

/// Guards against two bugs: with the bucket in the host, the location contained it twice; behind two proxies, its scheme
/// was `http` although the client used `https`.
#[tokio::test]
async fn location_is_the_address_that_the_client_used() {
    let lake = Lake::new().await;
    for (host, prefix, proto, expected) in [
        (
            "127.0.0.1:8000",
            "/lake",
            "",
            "http://127.0.0.1:8000/lake/main/a%20b",
        ),
        (
            "lake.s3.example.com",
            "",
            "",
            "http://lake.s3.example.com/main/a%20b",
        ),
        (
            "s3.example.com",
            "/lake",
            "https",
            "https://s3.example.com/lake/main/a%20b",
        ),
        (
            "s3.example.com",
            "/lake",
            "https, http",
            "https://s3.example.com/lake/main/a%20b",
        ),
        (
            "s3.example.com",
            "/lake",
            "http, https",
            "http://s3.example.com/lake/main/a%20b",
        ),
    ] {
        let id = start(&lake, "main/a b").await;
        let part = format!("/lake/main/a b?partNumber=1&uploadId={id}");
        let tag = lake.put(&part, "x").await.header("etag").to_owned();
        let call = lake
            .call("POST", &format!("{prefix}/main/a b?uploadId={id}"))
            .header("host", host)
            .body(completion(&[(1, &tag)]));
        let mut request = call.sign();
        if !proto.is_empty() {
            let headers = request.headers_mut();
            headers.insert("x-forwarded-proto", proto.parse().unwrap());
        }
        let done = lake.raw(request).await;
        assert_eq!(done.all("Location"), expected, "{}", done.body);
    }
}
