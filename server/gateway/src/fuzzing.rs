//! Entry points for the fuzzer in `tests/fuzz`: the parsers of this crate, and the parsers of s3s that
//! receive bodies from it, as functions of bytes.

use base::OffsetDateTime;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use s3s::dto::{
    CompletedMultipartUpload, CopySource, CreateBucketConfiguration, Delete, ETagCondition, Range,
    Tagging,
};
use s3s::host::S3Host as _;
use s3s::xml::{Deserialize, Deserializer};

use crate::host::Domains;
use crate::path::ObjectPath;
use crate::{admission, chunked, list, multipart, subresource, xml};

/// Parses a chunked body. The first byte selects whether its chunks are signed (lowest bit) and the size
/// of the pieces in which it arrives.
pub fn chunks(data: &[u8]) {
    let Some((how, body)) = data.split_first() else {
        return;
    };
    let pieces = body.chunks(usize::from(how >> 1) + 1);
    chunked::rewrite_pieces(how & 1 == 1, pieces.map(Bytes::copy_from_slice));
}

/// Parses an XML body as every document that an operation accepts. The gateway never parses bodies
/// with too many tags, so they are skipped here.
pub fn document(data: &[u8]) {
    if xml::count_tags(data) > xml::MAX_TAGS {
        return;
    }
    read::<Delete>(data);
    read::<CompletedMultipartUpload>(data);
    read::<CreateBucketConfiguration>(data);
    read::<Tagging>(data);
}

fn read<'a, T: Deserialize<'a>>(data: &'a [u8]) {
    let mut document = Deserializer::new(data);
    drop(T::deserialize(&mut document).and_then(|_| document.expect_eof()));
}

/// Parses a request head: a line with method, path and query, then `name:value` lines.
pub fn head(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let (method, uri) = first.split_once(' ').unwrap_or(("GET", &first));
    let Ok(mut request) = Request::builder()
        .method(method)
        .uri(uri)
        .body(())
        .or_else(|_| Request::builder().uri("/").body(()))
    else {
        return;
    };
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(&line[..colon]),
            HeaderValue::from_bytes(&line[colon + 1..]),
        ) {
            request.headers_mut().insert(name, value);
        }
    }
    let (mut parts, ()) = request.into_parts();
    let domains = Domains::new(&["s3.example.com".to_owned()]);
    admission::is_signed(&parts);
    domains.serves(&parts);
    drop(admission::check(&parts, OffsetDateTime::UNIX_EPOCH));
    admission::drop_malformed_range(&mut parts);
    admission::chunking(&parts);
    let query = parts.uri.query().unwrap_or_default();
    for operation in ["PutObject", "GetObject", "ListObjectsV2"] {
        drop(subresource::check(operation, &Method::PUT, query));
    }
    for (_, value) in admission::query(query) {
        drop(list::decode_token(&value));
        ObjectPath::parse(&value);
    }
    for value in parts.headers.values() {
        drop(ETagCondition::parse_http_header(value.as_bytes()));
        if let Ok(text) = value.to_str() {
            drop(Range::parse(text));
            drop(CopySource::parse(text));
            drop(multipart::copy_range(text, 1 << 20));
            drop(domains.parse_host_header(text));
        }
    }
}
