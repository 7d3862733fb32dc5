//! Tests of multipart uploads.

use super::harness::Lake;

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

#[tokio::test]
async fn completed_parts_become_one_object() {
    let lake = Lake::new().await;
    lake.put("/lake/main/source", "0123456789").await;
    let id = start(&lake, "main/mp").await;
    let one = lake
        .put(
            &format!("/lake/main/mp?partNumber=1&uploadId={id}"),
            "hello ",
        )
        .await;
    assert_eq!(one.status, 200);
    let copy = lake
        .call("PUT", &format!("/lake/main/mp?partNumber=2&uploadId={id}"))
        .header("x-amz-copy-source", "/lake/main/source")
        .header("x-amz-copy-source-range", "bytes=2-4");
    let copy = lake.send(copy).await;
    assert_eq!(copy.status, 200, "{}", copy.body);
    assert_eq!(lake.paths().await, "source");

    let parts = lake.get(&format!("/lake/main/mp?uploadId={id}")).await;
    assert_eq!(
        (parts.all("PartNumber").as_str(), parts.all("Size").as_str()),
        ("1 2", "6 3")
    );
    let page = lake
        .get(&format!("/lake/main/mp?uploadId={id}&max-parts=1"))
        .await;
    assert_eq!(
        (
            page.all("PartNumber").as_str(),
            page.all("NextPartNumberMarker").as_str()
        ),
        ("1", "1")
    );
    assert_eq!(lake.get("/lake?uploads").await.all("Key"), "main/mp");

    let tags = (one.header("etag").to_owned(), copy.all("ETag"));
    let complete = |body: String| {
        lake.call("POST", &format!("/lake/main/mp?uploadId={id}"))
            .body(body)
    };
    for (body, expected) in [
        (completion(&[]), "400 MalformedXML"),
        ("<Comp".to_owned(), "400 MalformedXML"),
        (
            completion(&[(2, &tags.1), (1, &tags.0)]),
            "400 InvalidPartOrder",
        ),
        (
            completion(&[(1, "\"00000000000000000000000000000000\"")]),
            "400 InvalidPart",
        ),
        (completion(&[(3, &tags.0)]), "400 InvalidPart"),
    ] {
        assert_eq!(
            lake.send(complete(body.clone())).await.outcome(),
            expected,
            "{body}"
        );
    }
    let done = lake
        .send(complete(completion(&[(1, &tags.0), (2, &tags.1)])))
        .await;
    assert_eq!(
        (done.status, done.all("Key").as_str()),
        (200, "main/mp"),
        "{}",
        done.body
    );
    assert!(done.all("ETag").ends_with("-2\""), "{}", done.body);
    let object = lake.get("/lake/main/mp").await;
    assert_eq!(object.body, "hello 234");
    assert_eq!(
        (object.header("content-type"), object.header("x-amz-meta-a")),
        ("x/mp", "b")
    );
    let again = lake.send(complete(completion(&[(1, &tags.0)]))).await;
    assert_eq!(again.outcome(), "404 NoSuchUpload");
}

#[tokio::test]
async fn unknown_uploads_and_invalid_part_numbers_are_rejected() {
    let lake = Lake::new().await;
    let id = start(&lake, "main/mp").await;
    for (target, expected) in [
        (
            format!("/lake/main/mp?partNumber=0&uploadId={id}"),
            "400 InvalidArgument",
        ),
        (
            format!("/lake/main/mp?partNumber=10001&uploadId={id}"),
            "400 InvalidArgument",
        ),
        (
            "/lake/main/mp?partNumber=1&uploadId=none".to_owned(),
            "404 NoSuchUpload",
        ),
        (
            format!("/lake/main/other?partNumber=1&uploadId={id}"),
            "404 NoSuchUpload",
        ),
    ] {
        assert_eq!(lake.put(&target, "x").await.outcome(), expected, "{target}");
    }
    let abort = || lake.call("DELETE", &format!("/lake/main/mp?uploadId={id}"));
    assert_eq!(lake.send(abort()).await.outcome(), "204");
    assert_eq!(lake.send(abort()).await.outcome(), "404 NoSuchUpload");
    assert_eq!(
        lake.send(lake.call("POST", "/lake/none/mp?uploads"))
            .await
            .outcome(),
        "404 NoSuchBucket"
    );
    assert_eq!(lake.paths().await, "");
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
