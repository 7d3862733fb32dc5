//! Tests of `aws-chunked` bodies with signed chunks and with trailing checksums.

use super::harness::{BODY_MEMORY_BYTES, Call, Lake};

/// CRC-32 of `hello world`.
const CRC32: &str = "DUoRhQ==";

fn trailing(lake: &Lake, chunks: &[&str], trailer: &str) -> Call {
    let length: usize = chunks.iter().map(|chunk| chunk.len()).sum();
    let data: String = chunks
        .iter()
        .map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()))
        .collect();
    lake.call("PUT", "/lake/main/a")
        .header("x-amz-trailer", "x-amz-checksum-crc32")
        .header("x-amz-decoded-content-length", &length.to_string())
        .header("content-encoding", "aws-chunked")
        .payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
        .body(format!("{data}0\r\n{trailer}\r\n"))
}

#[tokio::test]
async fn trailing_checksum_is_verified() {
    let lake = Lake::new().await;
    let good = format!("x-amz-checksum-crc32:{CRC32}\r\n");
    for (chunks, trailer, expected) in [
        (
            ["hello ", "world"],
            "x-amz-checksum-crc32:AAAAAA==\r\n",
            "400 BadDigest",
        ),
        (["hello ", "w0rld"], good.as_str(), "400 BadDigest"),
        (["hello ", "world"], "", "400 IncompleteBody"),
    ] {
        let response = lake.send(trailing(&lake, &chunks, trailer)).await;
        assert_eq!(response.outcome(), expected, "{chunks:?} {trailer}");
        assert_eq!(lake.paths().await, "");
    }
    assert_eq!(
        lake.send(trailing(&lake, &["hello ", "world"], &good))
            .await
            .outcome(),
        "200"
    );
    assert_eq!(lake.get("/lake/main/a").await.body, "hello world");
}

#[tokio::test]
async fn truncated_body_is_discarded() {
    let lake = Lake::new().await;
    let whole = |body: &'static str| {
        lake.call("PUT", "/lake/main/a")
            .header("x-amz-trailer", "x-amz-checksum-crc32")
            .header("x-amz-decoded-content-length", "11")
            .payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            .body(body)
    };
    for body in [
        "",
        "b\r\nhello",
        "5\r\nhello\r\n",
        "zz\r\nhello\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
    ] {
        assert_eq!(
            lake.send(whole(body)).await.outcome(),
            "400 IncompleteBody",
            "{body:?}"
        );
        assert_eq!(lake.paths().await, "");
    }
}

#[tokio::test]
async fn each_signed_chunk_is_verified() {
    let lake = Lake::new().await;
    let put = |tamper: bool, chunks: &'static [&'static str]| {
        let signer = lake.signer.clone();
        let call = lake
            .call("PUT", "/lake/main/a")
            .header("x-amz-decoded-content-length", "11")
            .payload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
        call.sign_with(move |seed, _| {
            let mut previous = seed.to_owned();
            let mut body = String::new();
            for chunk in chunks {
                previous = signer.chunk(&previous, chunk.as_bytes());
                body += &format!(
                    "{:x};chunk-signature={previous}\r\n{chunk}\r\n",
                    chunk.len()
                );
            }
            if tamper {
                body.replace("world", "w0rld").into_bytes()
            } else {
                body.into_bytes()
            }
        })
    };
    let all = &["hello ", "world", ""];
    // The last chunk, which is empty, ends the body.
    assert_eq!(
        lake.raw(put(false, &all[..2])).await.outcome(),
        "400 IncompleteBody"
    );
    assert_eq!(lake.paths().await, "");
    assert_eq!(
        lake.raw(put(true, all)).await.outcome(),
        "403 SignatureDoesNotMatch"
    );
    assert_eq!(lake.paths().await, "");
    assert_eq!(lake.raw(put(false, all)).await.outcome(), "200");
    assert_eq!(lake.get("/lake/main/a").await.body, "hello world");
}

/// Guards against a bug: every upload could hold a chunk of 16 MiB.
#[tokio::test]
async fn large_signed_chunk_needs_memory() {
    let lake = Lake::new().await;
    let chunk = "x".repeat(200 << 10);
    let put = || {
        let (signer, chunk) = (lake.signer.clone(), chunk.clone());
        let call = lake
            .call("PUT", "/lake/main/a")
            .header("x-amz-decoded-content-length", &chunk.len().to_string())
            .payload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
        call.sign_with(move |seed, _| {
            let first = signer.chunk(seed, chunk.as_bytes());
            let last = signer.chunk(&first, b"");
            let len = chunk.len();
            format!(
                "{len:x};chunk-signature={first}\r\n{chunk}\r\n0;chunk-signature={last}\r\n\r\n"
            )
            .into_bytes()
        })
    };
    let mut held = lake.bodies.reservation();
    held.grow(BODY_MEMORY_BYTES).unwrap();
    assert_eq!(lake.raw(put()).await.outcome(), "503 SlowDown");
    assert_eq!(lake.paths().await, "");
    drop(held);
    assert_eq!(lake.raw(put()).await.outcome(), "200");
    assert_eq!(lake.get("/lake/main/a").await.body, chunk);
    assert_eq!(lake.bodies.used_bytes(), 0);
}
