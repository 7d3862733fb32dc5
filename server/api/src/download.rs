//! Reading objects: whole, a range, or only headers. Bodies are streamed.

use std::ops::Range;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use catalog::{MAX_CONTENT_TYPE_BYTES, Object};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, EXPIRES, IF_NONE_MATCH, LAST_MODIFIED, RANGE,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use time::UtcOffset;
use time::format_description::FormatItem;
use time::macros::format_description;

use crate::error::{Error, Result};
use crate::extract::Path;
use crate::objects::refuse_presign;
use crate::query::{GetObjectQuery, HeadObjectQuery, Query};
use crate::{SharedState, convert, range};

const HTTP_DATE: &[FormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// Content types that a browser may display on this server's origin. None of them can run scripts.
const INLINE_TYPES: &[&str] = &[
    "text/plain",
    "application/json",
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/avif",
    "image/bmp",
];

pub(crate) async fn get_object(
    State(api): State<SharedState>,
    Path((id, reference)): Path<(String, String)>,
    Query(query): Query<GetObjectQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let path = &query.path;
    refuse_presign(&api, query.presign)?;
    catalog::check_path(path)?;
    let repository = api.reader().repository(&id).await?;
    let object = api.reader().stat(&repository, &reference, path).await?;
    let etag = entity_tag(&object);
    if headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .any(|given| names_tag(given, &etag))
    {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response());
    }
    let mut answer = common_headers(&object)?;
    answer.insert(CONTENT_DISPOSITION, disposition(&object));
    answer.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'"),
    );
    answer.insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    let Some(part) = part(&headers, &object) else {
        return Ok(unsatisfiable(answer, &object));
    };
    let status = describe(&mut answer, &part, &object)?;
    let bytes = api.reader().open(&repository, &object, part).await?;
    Ok((status, answer, Body::from_stream(bytes)).into_response())
}

pub(crate) async fn head_object(
    State(api): State<SharedState>,
    Path((id, reference)): Path<(String, String)>,
    Query(query): Query<HeadObjectQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let path = &query.path;
    let repository = api.reader().repository(&id).await?;
    let object = api.reader().stat(&repository, &reference, path).await?;
    let mut answer = common_headers(&object)?;
    answer.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let Some(part) = part(&headers, &object) else {
        return Ok(unsatisfiable(answer, &object));
    };
    let status = describe(&mut answer, &part, &object)?;
    Ok((status, answer).into_response())
}

/// The requested range: `Some(None)` for the whole object, `None` if the range is not satisfiable.
#[expect(
    clippy::option_option,
    reason = "an unsatisfiable range differs from no requested range"
)]
fn part(headers: &HeaderMap, object: &Object) -> Option<Option<Range<u64>>> {
    match headers.get(RANGE).and_then(|value| value.to_str().ok()) {
        None => Some(None),
        Some(given) => range::parse(given, object.size_bytes()).ok(),
    }
}

/// Sets the headers for type, length and range of the body. Returns the status.
fn describe(
    answer: &mut HeaderMap,
    part: &Option<Range<u64>>,
    object: &Object,
) -> Result<StatusCode> {
    answer.insert(CONTENT_TYPE, content_type(object));
    let Some(range) = part else {
        answer.insert(CONTENT_LENGTH, HeaderValue::from(object.size_bytes()));
        return Ok(StatusCode::OK);
    };
    answer.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    let place = format!(
        "bytes {}-{}/{}",
        range.start,
        range.end - 1,
        object.size_bytes()
    );
    answer.insert(CONTENT_RANGE, header(&place)?);
    Ok(StatusCode::PARTIAL_CONTENT)
}

fn unsatisfiable(mut answer: HeaderMap, object: &Object) -> Response {
    let mut response = Error::from(catalog::Error::RangeNotSatisfiable {
        size: object.size_bytes(),
    })
    .into_response();
    if let Ok(place) = HeaderValue::from_str(&format!("bytes */{}", object.size_bytes())) {
        answer.insert(CONTENT_RANGE, place);
    }
    response.headers_mut().extend(answer);
    response
}

/// Headers of responses that describe an object. They forbid caching, because permissions may change.
fn common_headers(object: &Object) -> Result<HeaderMap> {
    let modified = object
        .entry
        .last_modified
        .to_offset(UtcOffset::UTC)
        .format(HTTP_DATE)
        .unwrap_or_default();
    let pairs: [(HeaderName, HeaderValue); 4] = [
        (ETAG, header(&entity_tag(object))?),
        (LAST_MODIFIED, header(&modified)?),
        (
            CACHE_CONTROL,
            HeaderValue::from_static("no-store, must-revalidate"),
        ),
        (EXPIRES, HeaderValue::from_static("0")),
    ];
    Ok(HeaderMap::from_iter(pairs))
}

/// The stored content type. Returns the default type if none is stored, or if the stored type is too long or not a
/// valid header value. Other programs can store content types of any length.
fn content_type(object: &Object) -> HeaderValue {
    let stored = &object.entry.content_type;
    let default = HeaderValue::from_static(convert::DEFAULT_CONTENT_TYPE);
    if stored.is_empty() || stored.len() > MAX_CONTENT_TYPE_BYTES {
        return default;
    }
    HeaderValue::from_str(stored).unwrap_or(default)
}

fn header(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| {
        Error::Invalid(format!(
            "stored metadata {text:?} is not a valid header value"
        ))
    })
}

fn entity_tag(object: &Object) -> String {
    format!("\"{}\"", object.entry.etag)
}

/// Whether an `If-None-Match` header lists the tag. Weak tags match too.
fn names_tag(given: &HeaderValue, etag: &str) -> bool {
    let Ok(given) = given.to_str() else {
        return false;
    };
    given
        .split(',')
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == etag)
}

fn disposition(object: &Object) -> HeaderValue {
    let kind = object
        .entry
        .content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    HeaderValue::from_static(if INLINE_TYPES.contains(&kind.as_str()) {
        "inline"
    } else {
        "attachment"
    })
}

#[cfg(test)]
mod tests {
    use super::names_tag;
    use http::HeaderValue;

    #[test]
    fn if_none_match_compares_weakly() {
        for (given, expected) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
        ] {
            assert_eq!(
                names_tag(&HeaderValue::from_static(given), "\"a\""),
                expected,
                "{given}"
            );
        }
    }
}
