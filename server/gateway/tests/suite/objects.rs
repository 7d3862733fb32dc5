//! Tests of writing, reading and copying objects.

use super::harness::Lake;

#[tokio::test]
async fn object_is_read_back_whole_and_in_ranges() {
    let lake = Lake::new().await;
    let put = lake
        .call("PUT", "/lake/main/a/two.csv")
        .header("content-type", "text/csv")
        .header("x-amz-meta-Owner", "Me")
        .body("x,y\n");
    let put = lake.send(put.lower_names()).await;
    assert_eq!(
        (put.outcome().as_str(), put.header("etag")),
        ("200", "\"043212bb9834e334677e9c9659294bd4\"")
    );
    let stored = lake
        .catalog
        .reader()
        .stat(&lake.repository, "main", "a/two.csv")
        .await
        .unwrap()
        .entry;
    assert_eq!(
        stored.metadata,
        [("X-Amz-Meta-owner".to_owned(), "Me".to_owned())].into()
    );

    let got = lake.get("/lake/main/a/two.csv").await;
    assert_eq!((got.status, got.body.as_str()), (200, "x,y\n"));
    for (name, value) in [
        ("content-type", "text/csv"),
        ("content-length", "4"),
        ("etag", "\"043212bb9834e334677e9c9659294bd4\""),
        ("accept-ranges", "bytes"),
        ("x-amz-meta-owner", "Me"),
        ("content-security-policy", "default-src 'none'"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "SAMEORIGIN"),
        ("last-modified", "Wed, 01 May 2024 00:00:00 GMT"),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }

    for (range, status, body, content_range) in [
        ("bytes=1-2", 206, ",y", "bytes 1-2/4"),
        ("bytes=1-", 206, ",y\n", "bytes 1-3/4"),
        ("bytes=-2", 206, "y\n", "bytes 2-3/4"),
        ("bytes=0-99", 206, "x,y\n", "bytes 0-3/4"),
    ] {
        let got = lake
            .send(
                lake.call("GET", "/lake/main/a/two.csv")
                    .header("range", range),
            )
            .await;
        assert_eq!(
            (got.status, got.body.as_str(), got.header("content-range")),
            (status, body, content_range)
        );
        let head = lake
            .send(
                lake.call("HEAD", "/lake/main/a/two.csv")
                    .header("range", range),
            )
            .await;
        assert_eq!(
            (head.status, head.header("content-range")),
            (status, content_range)
        );
        assert_eq!(head.header("content-length"), body.len().to_string());
    }
    for range in ["bytes=100-200", "bytes=-0"] {
        let got = lake
            .send(
                lake.call("GET", "/lake/main/a/two.csv")
                    .header("range", range),
            )
            .await;
        assert_eq!(
            (got.outcome().as_str(), got.header("content-range")),
            ("416 InvalidRange", "bytes */4")
        );
        assert_eq!(got.header("content-type"), "application/xml");
    }
    for range in ["bytes=x", "bytes=0-1,2-3", "lines=1-2"] {
        let mut request = lake.call("GET", "/lake/main/a/two.csv").sign();
        request
            .headers_mut()
            .insert("range", range.parse().unwrap());
        let got = lake.raw(request).await;
        assert_eq!((got.status, got.body.as_str()), (200, "x,y\n"), "{range}");
    }
    let part = lake.get("/lake/main/a/two.csv?partNumber=1").await;
    assert_eq!(
        (
            part.status,
            part.body.as_str(),
            part.header("content-range")
        ),
        (206, "x,y\n", "bytes 0-3/4")
    );
    assert_eq!(
        lake.get("/lake/main/a/two.csv?partNumber=2")
            .await
            .outcome(),
        "416 InvalidPartNumber"
    );
    let typed = lake
        .get("/lake/main/a/two.csv?response-content-type=x/y")
        .await;
    assert_eq!(typed.header("content-type"), "x/y");
    let attributes = lake
        .call("GET", "/lake/main/a/two.csv?attributes")
        .header("x-amz-object-attributes", "ETag,ObjectSize");
    assert_eq!(lake.send(attributes).await.all("ObjectSize"), "4");
    assert_eq!(lake.get("/lake/main/a/two.csv?tagging").await.status, 200);
}

#[tokio::test]
async fn conditions_on_reads_and_writes_are_honored() {
    let lake = Lake::new().await;
    lake.put("/lake/main/a", "one\n").await;
    let tag = "\"5bbf5a52328e7439ae6e719dfe712200\"";
    let future = "Wed, 21 Oct 2099 07:28:00 GMT";
    for (name, value, status) in [
        ("if-match", tag, 200),
        ("if-match", "\"abc\"", 412),
        ("if-none-match", "\"abc\"", 200),
        ("if-none-match", tag, 304),
        ("if-modified-since", future, 304),
        ("if-unmodified-since", future, 200),
        ("if-unmodified-since", "Wed, 21 Oct 2015 07:28:00 GMT", 412),
    ] {
        for method in ["GET", "HEAD"] {
            let got = lake
                .send(lake.call(method, "/lake/main/a").header(name, value))
                .await;
            assert_eq!(got.status, status, "{method} {name}: {value}");
            if status == 304 {
                assert_eq!((got.header("etag"), got.body.as_str()), (tag, ""));
            }
        }
    }
    let put = |name: &str, value: &str| {
        lake.call("PUT", "/lake/main/a")
            .header(name, value)
            .body("new")
    };
    assert_eq!(
        lake.send(put("if-none-match", "*")).await.outcome(),
        "412 PreconditionFailed"
    );
    assert_eq!(
        lake.send(put("if-none-match", tag)).await.outcome(),
        "501 NotImplemented"
    );
    assert_eq!(
        lake.send(put("if-match", "\"abc\"")).await.outcome(),
        "412 PreconditionFailed"
    );
    assert_eq!(
        lake.send(put("if-match", tag)).await.outcome(),
        "501 NotImplemented"
    );
    let both = put("if-match", "*").header("if-none-match", "*");
    let both = lake.send(both).await;
    assert_eq!(both.outcome(), "400 InvalidRequest");
    assert!(both.all("Message").contains("exclude each other"));
    assert_eq!(lake.get("/lake/main/a").await.body, "one\n");
    let fresh = lake
        .call("PUT", "/lake/main/b")
        .header("if-none-match", "*")
        .body("b");
    assert_eq!(lake.send(fresh).await.outcome(), "200");
}

/// Guards against a bug: the error was that the signature is wrong.
#[tokio::test]
async fn content_type_must_be_printable() {
    let lake = Lake::new().await;
    let put = |kind| {
        let call = lake.call("PUT", "/lake/main/a").body("one");
        call.header("content-type", kind)
    };
    let refused = lake.send(put("text/\tplain")).await;
    assert_eq!(refused.outcome(), "400 InvalidArgument");
    assert!(refused.all("Message").contains("Content-Type"));
    assert_eq!(lake.send(put("text/plain")).await.outcome(), "200");
}

#[tokio::test]
async fn overridden_headers_must_be_valid() {
    let lake = Lake::new().await;
    lake.put("/lake/main/a", "one").await;
    for (value, status) in [("text/html", 200), ("a\nb", 400), ("a\u{1}b", 400)] {
        let path = format!("/lake/main/a?response-content-type={value}");
        let answer = lake.send(lake.call("HEAD", &path)).await;
        assert_eq!(answer.status, status, "{value}");
    }
}

#[tokio::test]
async fn missing_keys_branches_and_buckets_are_not_found() {
    let lake = Lake::new().await;
    let commit = lake.catalog.commit_branch(&lake.repository, "main", {
        let mut params = catalog::testing::commit_params("empty");
        params.allow_empty = true;
        params
    });
    let commit = commit.await.unwrap().id;
    for target in [
        "/lake/main/none",
        "/lake/none/a",
        "/lake/main",
        "/lake/main/",
        "/lake/ma..in/a",
    ] {
        assert_eq!(
            lake.get(target).await.outcome(),
            "404 NoSuchKey",
            "{target}"
        );
        let head = lake.send(lake.call("HEAD", target)).await;
        assert_eq!(
            (head.status, head.body.as_str(), head.header("content-type")),
            (404, "", ""),
            "{target}"
        );
    }
    assert_eq!(lake.get("/none/main/a").await.outcome(), "404 NoSuchBucket");
    assert_eq!(
        lake.put("/lake/none/a", "x").await.outcome(),
        "404 NoSuchBucket"
    );
    assert_eq!(
        lake.put("/none/main/a", "x").await.outcome(),
        "404 NoSuchBucket"
    );
    assert_eq!(
        lake.put(&format!("/lake/{commit}/a"), "x").await.outcome(),
        "404 NoSuchBucket"
    );
    let bare = lake.put("/lake/main", "x").await;
    assert_eq!((bare.status, bare.body.as_str()), (404, ""));
}

#[tokio::test]
async fn folder_of_a_branch_can_be_created_and_stores_nothing() {
    let lake = Lake::new().await;
    assert_eq!(lake.put("/lake/main/", "").await.outcome(), "200");
    assert_eq!(lake.get("/lake/main/").await.outcome(), "404 NoSuchKey");
    assert_eq!(
        lake.put("/lake/none/", "").await.outcome(),
        "404 NoSuchBucket"
    );
    // A key without a path cannot hold bytes.
    assert_eq!(lake.put("/lake/main/", "x").await.status, 404);
}

#[tokio::test]
async fn body_that_does_not_match_its_headers_is_discarded() {
    let lake = Lake::new().await;
    let put = |name: &str, value: &str| {
        lake.call("PUT", "/lake/main/a")
            .header(name, value)
            .body("md5")
    };
    assert_eq!(
        lake.send(put("content-md5", "eV8yArF8trw9S3cdjGyerw=="))
            .await
            .outcome(),
        "400 BadDigest"
    );
    assert_eq!(
        lake.send(put("content-md5", "nonsense")).await.outcome(),
        "400 InvalidDigest"
    );
    assert_eq!(
        lake.send(put("x-amz-checksum-crc32", "AAAAAA=="))
            .await
            .outcome(),
        "400 BadDigest"
    );
    assert_eq!(
        lake.send(put("x-amz-meta-big", &"x".repeat(2048)))
            .await
            .outcome(),
        "400 MetadataTooLarge"
    );
    assert_eq!(lake.paths().await, "");
    assert_eq!(
        lake.send(put("content-md5", "G8KbNvYjuoKq9nJP07FnGA=="))
            .await
            .outcome(),
        "200"
    );
    let long = format!("/lake/main/{}", "k".repeat(1100));
    assert_eq!(lake.put(&long, "x").await.outcome(), "400 KeyTooLongError");
    assert_eq!(lake.paths().await, "a");
}

#[tokio::test]
async fn copy_keeps_or_replaces_the_metadata_of_its_source() {
    let lake = Lake::new().await;
    let other = lake.catalog.repository("other").await;
    let put = lake
        .call("PUT", "/lake/main/a")
        .header("content-type", "text/csv")
        .header("x-amz-meta-k", "v");
    lake.send(put.body("x,y\n")).await;
    let copy = |to: &str, from: &str| lake.call("PUT", to).header("x-amz-copy-source", from);

    let response = lake.send(copy("/lake/main/kept", "/lake/main/a")).await;
    assert_eq!(
        response.all("ETag"),
        "\"043212bb9834e334677e9c9659294bd4\"",
        "{}",
        response.body
    );
    let kept = lake.get("/lake/main/kept").await;
    assert_eq!(
        (
            kept.body.as_str(),
            kept.header("content-type"),
            kept.header("x-amz-meta-k")
        ),
        ("x,y\n", "text/csv", "v")
    );

    let replacing = copy("/lake/main/replaced", "lake/main/a")
        .header("x-amz-metadata-directive", "REPLACE")
        .header("content-type", "a/b")
        .header("x-amz-meta-new", "1");
    assert_eq!(lake.send(replacing).await.status, 200);
    let replaced = lake.get("/lake/main/replaced").await;
    assert_eq!(
        (
            replaced.header("content-type"),
            replaced.header("x-amz-meta-new")
        ),
        ("a/b", "1")
    );
    assert_eq!(replaced.header("x-amz-meta-k"), "");

    assert_eq!(
        lake.send(copy("/other/main/a", "/lake/main/a"))
            .await
            .status,
        200
    );
    assert_eq!(lake.catalog.read(&other, "main", "a").await, "x,y\n");

    for (to, from, expected) in [
        ("/lake/main/x", "/lake/main/none", "404 NoSuchKey"),
        ("/lake/main/x", "/lake/none/a", "404 NoSuchKey"),
        ("/lake/main/x", "/nolake/main/a", "404 NoSuchBucket"),
        ("/lake/main/x", "x", "400 InvalidArgument"),
        ("/lake/none/x", "/lake/main/a", "404 NoSuchBucket"),
    ] {
        assert_eq!(
            lake.send(copy(to, from)).await.outcome(),
            expected,
            "{from} to {to}"
        );
    }
    let conditional =
        copy("/lake/main/x", "/lake/main/a").header("x-amz-copy-source-if-match", "\"abc\"");
    assert_eq!(
        lake.send(conditional).await.outcome(),
        "412 PreconditionFailed"
    );
    assert_eq!(lake.paths().await, "a kept replaced");
}
