//! The parsers of this crate as functions of bytes, for `tests/fuzz`.

use std::sync::Arc;

use axum::body::Body;
use futures::StreamExt as _;
use futures::executor::block_on;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;

use crate::extract::Params;
use crate::generated::OPERATIONS;
use crate::{extract, range, upload};

/// Pieces of a body: cut where a network might.
const PIECE_BYTES: usize = 61;

/// A form with an object: its boundary is the first line.
pub fn form(data: &[u8]) {
    let mut halves = data.splitn(2, |byte| *byte == b'\n');
    let boundary = String::from_utf8_lossy(halves.next().unwrap_or_default());
    let kind = format!("multipart/form-data; boundary={boundary}");
    let pieces: Vec<_> = halves
        .next()
        .unwrap_or_default()
        .chunks(PIECE_BYTES)
        .map(|piece| std::io::Result::Ok(bytes::Bytes::copy_from_slice(piece)))
        .collect();
    let body = Body::from_stream(futures::stream::iter(pieces));
    block_on(async {
        if let Ok((_, mut content)) = upload::of_form(&kind, body).await {
            while let Some(Ok(piece)) = content.next().await {
                drop(piece);
            }
        }
    });
}

/// A JSON body: the first byte chooses the operation that it is sent to.
pub fn json(data: &[u8]) {
    let Some((which, body)) = data.split_first() else {
        return;
    };
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    let mut with_body = OPERATIONS.iter().filter_map(|o| o.body.as_ref());
    let count = with_body.clone().count();
    if let Some(schema) = with_body.nth(usize::from(*which) % count) {
        drop(schema.check(&value));
    }
}

/// What a request says before its body: the query in the first line, then `Range`, `Authorization`, `Cookie`.
pub fn head(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let query: Arc<[(String, String)]> =
        url::form_urlencoded::parse(lines.next().unwrap_or_default())
            .into_owned()
            .collect();
    let mut headers = HeaderMap::new();
    for name in ["range", "authorization", "cookie", "if-none-match"] {
        if let Ok(value) = HeaderValue::from_bytes(lines.next().unwrap_or_default()) {
            headers.insert(name, value);
        }
    }
    for operation in OPERATIONS {
        drop(operation.check_parameters(&query, &headers));
    }
    let params = Params(query);
    params.amount();
    params.flag("force");
    if let Some(Ok(text)) = headers.get("range").map(HeaderValue::to_str) {
        for size in [0, 1, 1 << 20, u64::MAX] {
            drop(range::parse(text, size));
        }
    }
    extract::try_credentials(&headers);
}
