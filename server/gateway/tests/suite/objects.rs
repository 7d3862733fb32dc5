//! Tests of writing, reading and copying objects.

use http_body::Body as _;

use super::harness::{Call, Lake};

const CSV: &str = "/lake/main/a/two.csv";

/// A repository with an object of four bytes.
async fn csv() -> Lake {
    let lake = Lake::new().await;
    let put = lake
        .call("PUT", CSV)
        .header("content-type", "text/csv")
        .header("x-amz-meta-Owner", "Me")
        .body("x,y\n");
    let put = lake.send(put.lower_names()).await;
    assert_eq!(
        (put.outcome().as_str(), put.header("etag")),
        ("200", "\"043212bb9834e334677e9c9659294bd4\"")
    );
    lake
}

#[tokio::test]
async fn user_metadata_is_stored_like_that_of_lakefs() {
    let lake = csv().await;
    let reader = lake.catalog.reader();
    let stored = reader.stat(&lake.repository, "main", "a/two.csv").await;
    assert_eq!(
        stored.unwrap().entry.metadata,
        [("X-Amz-Meta-owner".to_owned(), "Me".to_owned())].into()
    );
}

#[tokio::test]
async fn object_is_read_back_whole() {
    let lake = csv().await;
    let got = lake.get(CSV).await;
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
}

/// The server takes a body of a known size for one that is complete in memory.
#[tokio::test]
async fn object_is_streamed() {
    let lake = csv().await;
    let response = lake.gateway.handle(lake.call("GET", CSV).sign()).await;
    assert_eq!(response.body().size_hint().exact(), None);
}

#[tokio::test]
async fn object_is_read_in_ranges() {
    let lake = csv().await;
    for (range, body, content_range) in [
        ("bytes=1-2", ",y", "bytes 1-2/4"),
        ("bytes=1-", ",y\n", "bytes 1-3/4"),
        ("bytes=-2", "y\n", "bytes 2-3/4"),
        ("bytes=0-99", "x,y\n", "bytes 0-3/4"),
    ] {
        for (method, body_sent) in [("GET", body), ("HEAD", "")] {
            let part = lake.send(lake.call(method, CSV).header("range", range));
            let part = part.await;
            assert_eq!(
                (
                    part.status,
                    part.body.as_str(),
                    part.header("content-range")
                ),
                (206, body_sent, content_range),
                "{method} {range}"
            );
            assert_eq!(part.header("content-length"), body.len().to_string());
        }
    }
}

#[tokio::test]
async fn unsatisfiable_range_is_refused_with_the_size() {
    let lake = csv().await;
    for range in ["bytes=100-200", "bytes=-0"] {
        let got = lake
            .send(lake.call("GET", CSV).header("range", range))
            .await;
        assert_eq!(
            (got.outcome().as_str(), got.header("content-range")),
            ("416 InvalidRange", "bytes */4")
        );
        assert_eq!(got.header("content-type"), "application/xml");
    }
}

#[tokio::test]
async fn malformed_range_is_ignored() {
    let lake = csv().await;
    for range in ["bytes=x", "bytes=0-1,2-3", "lines=1-2"] {
        let mut request = lake.call("GET", CSV).sign();
        request
            .headers_mut()
            .insert("range", range.parse().unwrap());
        let got = lake.raw(request).await;
        assert_eq!((got.status, got.body.as_str()), (200, "x,y\n"), "{range}");
    }
}

#[tokio::test]
async fn object_has_one_part() {
    let lake = csv().await;
    let part = lake.get(&format!("{CSV}?partNumber=1")).await;
    assert_eq!(
        (
            part.status,
            part.body.as_str(),
            part.header("content-range")
        ),
        (206, "x,y\n", "bytes 0-3/4")
    );
    let second = lake.get(&format!("{CSV}?partNumber=2")).await;
    assert_eq!(second.outcome(), "416 InvalidPartNumber");
}

#[tokio::test]
async fn attributes_and_tags_of_an_object_are_read() {
    let lake = csv().await;
    let attributes = lake
        .call("GET", &format!("{CSV}?attributes"))
        .header("x-amz-object-attributes", "ETag,ObjectSize");
    assert_eq!(lake.send(attributes).await.all("ObjectSize"), "4");
    assert_eq!(lake.get(&format!("{CSV}?tagging")).await.status, 200);
}

/// The entity tag of the object of [`one`].
const ONE: &str = "\"5bbf5a52328e7439ae6e719dfe712200\"";

/// A repository with the object `a`.
async fn one() -> Lake {
    let lake = Lake::new().await;
    lake.put("/lake/main/a", "one\n").await;
    lake
}

#[tokio::test]
async fn conditions_of_reads_are_honored() {
    let lake = one().await;
    let future = "Wed, 21 Oct 2099 07:28:00 GMT";
    for (name, value, status) in [
        ("if-match", ONE, 200),
        ("if-match", "\"abc\"", 412),
        ("if-none-match", "\"abc\"", 200),
        ("if-none-match", ONE, 304),
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
                assert_eq!((got.header("etag"), got.body.as_str()), (ONE, ""));
            }
        }
    }
}

#[tokio::test]
async fn conditions_of_writes_are_honored_or_refused() {
    let lake = one().await;
    for (name, value, expected) in [
        ("if-none-match", "*", "412 PreconditionFailed"),
        ("if-none-match", ONE, "501 NotImplemented"),
        ("if-match", "\"abc\"", "412 PreconditionFailed"),
        ("if-match", ONE, "501 NotImplemented"),
    ] {
        let put = lake.call("PUT", "/lake/main/a").header(name, value);
        let put = lake.send(put.body("new")).await;
        assert_eq!(put.outcome(), expected, "{name}: {value}");
    }
    assert_eq!(lake.get("/lake/main/a").await.body, "one\n");
    let new = lake
        .call("PUT", "/lake/main/b")
        .header("if-none-match", "*");
    assert_eq!(lake.send(new.body("b")).await.outcome(), "200");
}

#[tokio::test]
async fn conditions_of_a_write_exclude_each_other() {
    let lake = one().await;
    let both = lake
        .call("PUT", "/lake/main/a")
        .header("if-match", "*")
        .header("if-none-match", "*");
    let both = lake.send(both.body("new")).await;
    assert_eq!(both.outcome(), "400 InvalidRequest");
    assert!(both.all("Message").contains("exclude each other"));
    assert_eq!(lake.get("/lake/main/a").await.body, "one\n");
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
async fn headers_are_overridden_by_valid_values() {
    let lake = csv().await;
    let typed = lake.get(&format!("{CSV}?response-content-type=x/y")).await;
    assert_eq!(typed.header("content-type"), "x/y");
    for (value, status) in [("text/html", 200), ("a\nb", 400), ("a\u{1}b", 400)] {
        let path = format!("{CSV}?response-content-type={value}");
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
        let call = lake.call("PUT", "/lake/main/a").header(name, value);
        lake.send(call.body("md5"))
    };
    for (name, value, expected) in [
        ("content-md5", "eV8yArF8trw9S3cdjGyerw==", "400 BadDigest"),
        ("content-md5", "nonsense", "400 InvalidDigest"),
        ("x-amz-checksum-crc32", "AAAAAA==", "400 BadDigest"),
    ] {
        assert_eq!(
            put(name, value).await.outcome(),
            expected,
            "{name}: {value}"
        );
        assert_eq!(lake.paths().await, "");
    }
    let right = put("content-md5", "G8KbNvYjuoKq9nJP07FnGA==").await;
    assert_eq!(right.outcome(), "200");
    assert_eq!(lake.paths().await, "a");
}

#[tokio::test]
async fn too_large_metadata_and_keys_are_refused() {
    let lake = Lake::new().await;
    let large = lake
        .call("PUT", "/lake/main/a")
        .header("x-amz-meta-big", &"x".repeat(2048));
    assert_eq!(
        lake.send(large.body("x")).await.outcome(),
        "400 MetadataTooLarge"
    );
    let long = format!("/lake/main/{}", "k".repeat(1100));
    assert_eq!(lake.put(&long, "x").await.outcome(), "400 KeyTooLongError");
    assert_eq!(lake.paths().await, "");
}

/// A repository with the object `a`, which has metadata.
async fn source() -> Lake {
    let lake = Lake::new().await;
    let put = lake
        .call("PUT", "/lake/main/a")
        .header("content-type", "text/csv")
        .header("x-amz-meta-k", "v");
    lake.send(put.body("x,y\n")).await;
    lake
}

fn copy(lake: &Lake, to: &str, from: &str) -> Call {
    lake.call("PUT", to).header("x-amz-copy-source", from)
}

#[tokio::test]
async fn copy_keeps_the_metadata_of_its_source() {
    let lake = source().await;
    let response = lake.send(copy(&lake, "/lake/main/kept", "/lake/main/a"));
    assert_eq!(
        response.await.all("ETag"),
        "\"043212bb9834e334677e9c9659294bd4\""
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
}

#[tokio::test]
async fn copy_replaces_the_metadata_of_its_source_on_request() {
    let lake = source().await;
    let replacing = copy(&lake, "/lake/main/replaced", "lake/main/a")
        .header("x-amz-metadata-directive", "REPLACE")
        .header("content-type", "a/b")
        .header("x-amz-meta-new", "1");
    assert_eq!(lake.send(replacing).await.status, 200);
    let replaced = lake.get("/lake/main/replaced").await;
    assert_eq!(
        (
            replaced.header("content-type"),
            replaced.header("x-amz-meta-new"),
            replaced.header("x-amz-meta-k")
        ),
        ("a/b", "1", "")
    );
}

#[tokio::test]
async fn object_is_copied_to_another_repository() {
    let lake = source().await;
    let other = lake.catalog.repository("other").await;
    let copied = lake.send(copy(&lake, "/other/main/a", "/lake/main/a"));
    assert_eq!(copied.await.status, 200);
    assert_eq!(lake.catalog.read(&other, "main", "a").await, "x,y\n");
}

#[tokio::test]
async fn copies_from_and_to_nowhere_are_refused() {
    let lake = source().await;
    for (to, from, expected) in [
        ("/lake/main/x", "/lake/main/none", "404 NoSuchKey"),
        ("/lake/main/x", "/lake/none/a", "404 NoSuchKey"),
        ("/lake/main/x", "/nolake/main/a", "404 NoSuchBucket"),
        ("/lake/main/x", "x", "400 InvalidArgument"),
        ("/lake/none/x", "/lake/main/a", "404 NoSuchBucket"),
    ] {
        let refused = lake.send(copy(&lake, to, from)).await;
        assert_eq!(refused.outcome(), expected, "{from} to {to}");
    }
    assert_eq!(lake.paths().await, "a");
}

#[tokio::test]
async fn conditions_of_copies_are_honored() {
    let lake = source().await;
    let conditional =
        copy(&lake, "/lake/main/x", "/lake/main/a").header("x-amz-copy-source-if-match", "\"abc\"");
    assert_eq!(
        lake.send(conditional).await.outcome(),
        "412 PreconditionFailed"
    );
    assert_eq!(lake.paths().await, "a");
}

/// Guards against a bug: the connection broke before a status was sent, and longer bytes were cut off without a notice.
#[tokio::test]
async fn bytes_of_another_size_than_the_entry_says_are_an_internal_error() {
    let lake = csv().await;
    let reader = lake.catalog.reader();
    let object = reader.stat(&lake.repository, "main", "a/two.csv").await;
    let object = object.unwrap();
    for bytes in [&b"x"[..], b"x,y\n1,2\n"] {
        lake.catalog.replace_bytes(&object, bytes).await;
        let get = lake.call("GET", CSV);
        let get = lake.send(get).await;
        assert_eq!(get.outcome(), "500 InternalError");
        let message = get.all("Message");
        let expected = format!(
            "the store has {} bytes of the object, and its entry says 4",
            bytes.len()
        );
        assert!(message.contains(&expected), "{message}");
        assert!(message.contains("upload the object again"), "{message}");
        let copy = lake.call("PUT", "/lake/main/copy.csv");
        let copy = lake.send(copy.header("x-amz-copy-source", CSV)).await;
        assert_eq!(copy.outcome(), "500 InternalError");
    }
}
