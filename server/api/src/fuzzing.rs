//! Entry points for `tests/fuzz`: the parsers of this crate as functions of bytes.

use std::hint::black_box;
use std::sync::Arc;

use axum::body::Body;
use futures::StreamExt as _;
use futures::executor::block_on;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::generated::OPERATIONS;
use crate::query::Params;
use crate::{body, extract, first_caller, query, range, site, upload};

/// The size of the chunks in which a body arrives.
const PIECE_BYTES: usize = 61;

/// The maximum number of headers on a connection.
const MAX_HEADERS: usize = 100;

/// Parses a multipart form with an object. The first line is the boundary.
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
        if let Ok((_, mut content)) = upload::content_of_form(&kind, body).await {
            while let Some(Ok(piece)) = content.next().await {
                drop(piece);
            }
        }
    });
}

/// Validates a JSON body. The first byte selects the operation.
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

/// Counts the values of a JSON body.
pub fn json_values(data: &[u8]) {
    body::try_values(data);
}

/// Parses the origin and target of a request: the target in the first line, then `name:value` lines.
pub fn site(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let target = lines.next().unwrap_or_default();
    let uri = http::Uri::try_from(target).unwrap_or_default();
    let mut headers = HeaderMap::new();
    for line in lines {
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let name = HeaderName::from_bytes(halves.next().unwrap_or_default());
        let value = HeaderValue::from_bytes(halves.next().unwrap_or_default());
        // `HeaderMap` panics beyond its capacity.
        if let (Ok(name), Ok(value)) = (name, value)
            && headers.len() < MAX_HEADERS
        {
            headers.append(name, value);
        }
    }
    for host in site::hosts(&uri, &headers).flatten() {
        black_box(site::is_loopback_name(&host));
    }
    black_box(site::is_cross_site(&headers));
    black_box(site::is_own_page(&uri, &headers));
    first_caller::try_parts(&uri, &headers);
}

/// Parses query and headers: the query in the first line, then `Range`, `Authorization`, `Cookie`, `If-None-Match`.
pub fn head(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let parameters: Arc<[(String, String)]> =
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
        drop(operation.check_parameters(&parameters, &headers));
    }
    query::try_params(&Params(parameters));
    if let Some(Ok(text)) = headers.get("range").map(HeaderValue::to_str) {
        for size in [0, 1, 1 << 20, u64::MAX] {
            drop(range::parse(text, size));
        }
    }
    extract::try_credentials(&headers);
}
