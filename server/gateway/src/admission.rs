//! Checks that s3s does not make. They run before s3s verifies the signature.
//!
//! They reject stale V2 dates, presigned URLs that are valid for too long, `x-amz-` headers that a V4
//! signature does not cover, unprintable content types, and form uploads, which s3s would buffer in memory.

use base::OffsetDateTime;
use http::request::Parts;
use http::{HeaderMap, Method, Uri, header};
use percent_encoding::percent_decode_str;
use s3s::dto::{Range, Timestamp, TimestampFormat};
use time::macros::format_description;
use time::{Duration, PrimitiveDateTime};

use crate::error::{Result, S3Error};

/// Maximum difference between a signature's timestamp and the server's clock.
pub(crate) const MAX_CLOCK_SKEW_SECS: u32 = 15 * 60;

/// Headers that need not be signed: the digest of the body is part of every V4 signature, and `CloudFront` adds its id.
const HARMLESS_HEADERS: [&str; 2] = ["x-amz-content-sha256", "x-amz-cf-id"];
/// Maximum lifetime of a presigned URL.
const MAX_EXPIRES_SECS: u64 = 7 * 24 * 60 * 60;

/// Returns whether a request carries an AWS signature, valid or not.
pub(crate) fn is_signed(request: &Parts) -> bool {
    if authorization(&request.headers).is_some_and(is_signature) {
        return true;
    }
    let parameters = parameters(request);
    let has = |name: &str| parameters.iter().any(|(key, _)| key == name);
    has("X-Amz-Signature") || has("X-Amz-Algorithm") || (has("AWSAccessKeyId") && has("Signature"))
}

/// Returns whether a request appears to carry an AWS signature. Does not parse the query, so that it is safe for a query
/// with any number of parameters.
#[must_use]
pub fn appears_signed(headers: &HeaderMap, uri: &Uri) -> bool {
    const PARAMETERS: [&str; 3] = ["X-Amz-Signature=", "X-Amz-Algorithm=", "AWSAccessKeyId="];
    let query = uri.query().unwrap_or_default();
    authorization(headers).is_some_and(is_signature)
        || PARAMETERS.iter().any(|name| query.contains(name))
}

fn is_signature(authorization: &str) -> bool {
    authorization.starts_with("AWS4-HMAC-SHA256") || authorization.starts_with("AWS ")
}

/// Rejects requests that s3s would wrongly accept, or would reject for a misleading reason.
pub(crate) fn check(request: &Parts, now: OffsetDateTime) -> Result<()> {
    if request.method == Method::POST && is_form(&request.headers) {
        return Err(S3Error::NotImplemented(
            "HTML form uploads are not implemented".into(),
        ));
    }
    check_content_type(&request.headers)?;
    match authorization(&request.headers) {
        Some(value) if value.starts_with("AWS ") => check_v2_date(&request.headers, now)?,
        Some(value) if value.starts_with("AWS4-HMAC-SHA256") => {
            check_covered(&request.headers, signed_headers(value))?;
        }
        _ => {}
    }
    let parameters = parameters(request);
    if parameters.iter().any(|(key, _)| key == "X-Amz-Signature") {
        check_presigned(&parameters, &request.headers, now)?;
    }
    Ok(())
}

/// Removes a malformed `Range` header, because S3 ignores it and s3s would reject it.
///
/// A signed header stays, since removing it would invalidate the signature; s3s then rejects
/// the request.
pub(crate) fn drop_malformed_range(request: &mut Parts) {
    let Some(range) = request.headers.get(header::RANGE) else {
        return;
    };
    let is_valid = range
        .to_str()
        .is_ok_and(|range| Range::parse(range).is_ok());
    if !is_valid && !signs_range(request) {
        request.headers.remove(header::RANGE);
    }
}

/// Returns whether the signature covers the `Range` header, in the `Authorization` header or in a presigned URL.
fn signs_range(request: &Parts) -> bool {
    let names_range = |names: &str| {
        let mut names = names.split(';');
        names.any(|name| name.eq_ignore_ascii_case("range"))
    };
    let parameters = parameters(request);
    let mut in_query = parameters
        .iter()
        .filter(|(key, _)| key == "X-Amz-SignedHeaders");
    authorization(&request.headers).is_some_and(|value| names_range(signed_headers(value)))
        || in_query.any(|(_, names)| names_range(names))
}

/// Returns whether the chunks of an `aws-chunked` body are signed, or `None` for other bodies.
pub(crate) fn chunking(request: &Parts) -> Option<bool> {
    let payload = request.headers.get("x-amz-content-sha256")?.to_str().ok()?;
    payload
        .strip_prefix("STREAMING-")
        .map(|kind| !kind.starts_with("UNSIGNED-"))
}

/// Returns the decoded query parameters in request order.
pub(crate) fn parameters(request: &Parts) -> Vec<(String, String)> {
    query(request.uri.query().unwrap_or_default())
}

/// Decodes a query the way s3s does.
pub(crate) fn query(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    kind.trim_start()
        .to_ascii_lowercase()
        .starts_with("multipart/form-data")
}

/// Rejects a content type that is not printable ASCII. s3s leaves it out when it computes the signature, so clients
/// would get the error that their signature is wrong.
fn check_content_type(headers: &HeaderMap) -> Result<()> {
    let is_printable = |value: &http::HeaderValue| {
        let mut bytes = value.as_bytes().iter();
        bytes.all(|byte| (b' '..=b'~').contains(byte))
    };
    if headers.get(header::CONTENT_TYPE).is_none_or(is_printable) {
        return Ok(());
    }
    Err(S3Error::InvalidArgument(
        "Content-Type has characters that are not printable ASCII".to_owned(),
    ))
}

/// Checks the date that a V2 signature covers. s3s does not check it, so a captured request could be
/// replayed forever.
fn check_v2_date(headers: &HeaderMap, now: OffsetDateTime) -> Result<()> {
    let date = headers
        .get("x-amz-date")
        .or_else(|| headers.get(header::DATE));
    let date = date
        .and_then(|value| value.to_str().ok())
        .ok_or(S3Error::InvalidRequest("missing date header".into()))?;
    // Older clients send a numeric time zone.
    let date = date
        .strip_suffix("+0000")
        .map_or_else(|| date.to_owned(), |date| format!("{date}GMT"));
    let date = Timestamp::parse(TimestampFormat::HttpDate, &date)
        .map_err(|_| S3Error::InvalidRequest("the date header is not an RFC 9110 date".into()))?;
    if (now - OffsetDateTime::from(date)).abs() > max_skew() {
        return Err(S3Error::TimeSkewed);
    }
    Ok(())
}

fn check_presigned(
    parameters: &[(String, String)],
    headers: &HeaderMap,
    now: OffsetDateTime,
) -> Result<()> {
    let get = |name: &str| {
        parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let expires: u64 = get("X-Amz-Expires")
        .and_then(|value| value.parse().ok())
        .ok_or(S3Error::QueryParameters("X-Amz-Expires should be a number"))?;
    if expires > MAX_EXPIRES_SECS {
        return Err(S3Error::QueryParameters(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds",
        ));
    }
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let signed_at = get("X-Amz-Date")
        .and_then(|value| PrimitiveDateTime::parse(value, format).ok())
        .ok_or(S3Error::QueryParameters(
            "X-Amz-Date must be in the form 20060102T150405Z",
        ))?
        .assume_utc();
    if signed_at - now > max_skew() {
        return Err(S3Error::AccessDeniedBecause("Request is not valid yet"));
    }
    check_covered(headers, get("X-Amz-SignedHeaders").unwrap_or_default())
}

/// Returns the names of the headers that the signature in an `Authorization` header covers, separated by semicolons.
fn signed_headers(authorization: &str) -> &str {
    authorization
        .split_once("SignedHeaders=")
        .and_then(|(_, rest)| rest.split([',', ' ']).next())
        .unwrap_or_default()
}

/// Rejects a request with an `x-amz-` header that its V4 signature does not cover. An unsigned `x-amz-copy-source`
/// would turn the upload that was signed into a copy of any object that the signer can read.
fn check_covered(headers: &HeaderMap, signed: &str) -> Result<()> {
    let signed: Vec<_> = signed.split(';').collect();
    let is_covered = |name: &str| {
        !name.starts_with("x-amz-")
            || HARMLESS_HEADERS.contains(&name)
            || signed
                .iter()
                .any(|signed| signed.eq_ignore_ascii_case(name))
    };
    if headers.keys().all(|name| is_covered(name.as_str())) {
        return Ok(());
    }
    Err(S3Error::AccessDeniedBecause(
        "There were headers present in the request which were not signed",
    ))
}

fn max_skew() -> Duration {
    Duration::seconds(i64::from(MAX_CLOCK_SKEW_SECS))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against a bug: a `Range` header that a presigned URL signs was removed, which invalidated the signature.
    #[test]
    fn malformed_range_stays_if_it_is_signed() {
        let is_kept = |uri: &str, range: &str, authorization: &str| {
            let request = http::Request::get(uri)
                .header("range", range)
                .header("authorization", authorization);
            let (mut parts, ()) = request.body(()).expect("a request").into_parts();
            drop_malformed_range(&mut parts);
            parts.headers.contains_key("range")
        };
        let signed_by = |names: &str| {
            format!("AWS4-HMAC-SHA256 Credential=a, SignedHeaders={names}, Signature=b")
        };
        for (uri, range, authorization, expected) in [
            ("/lake/main/a", "bytes=0-1", String::new(), true),
            ("/lake/main/a", "bytes", String::new(), false),
            ("/lake/main/a", "bytes", signed_by("host;range"), true),
            ("/lake/main/a", "bytes", signed_by("host;Range"), true),
            ("/lake/main/a", "bytes", signed_by("host"), false),
            (
                "/lake/main/a?X-Amz-SignedHeaders=host%3Brange",
                "bytes",
                String::new(),
                true,
            ),
            (
                "/lake/main/a?X-Amz-SignedHeaders=host;Range",
                "bytes",
                String::new(),
                true,
            ),
            (
                "/lake/main/a?X-Amz-SignedHeaders=host",
                "bytes",
                String::new(),
                false,
            ),
        ] {
            let kept = is_kept(uri, range, &authorization);
            assert_eq!(kept, expected, "{uri} {range} {authorization}");
        }
    }
}
