//! Uploads of objects. The bytes are streamed, from a form field or from the whole body.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use api_types as types;
use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use bytes::Bytes;
use catalog::{ByteStream, ObjectTarget, UploadOptions};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use http::header::{CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};

use crate::error::{Context as _, During, Error, ErrorText, Result, SEND_WHOLE_BODY};
use crate::extract::Path;
use crate::query::{Query, UploadObjectQuery};
use crate::{SharedState, convert};

/// The form field with the object's bytes.
const CONTENT_FIELD: &str = "content";
/// The prefix of headers with user metadata.
const METADATA_PREFIX: &str = "x-lakefs-meta-";
/// The prefix of headers with internal metadata of lakeFS clients, and the prefix of the keys under which it is stored.
const INTERNAL_PREFIX: &str = "x-lakefs-internal-";
const INTERNAL_KEY_PREFIX: &str = "::lakefs::";
/// The maximum number of bytes in a form before its content.
const MAX_FORM_PREAMBLE_BYTES: usize = 1 << 20;

pub(crate) async fn upload_object(
    State(api): State<SharedState>,
    Path((id, branch)): Path<(String, String)>,
    Query(query): Query<UploadObjectQuery>,
    request: Request,
) -> Result<(StatusCode, Json<types::ObjectStats>)> {
    let path = &query.path;
    let mut options = options(request.headers(), query.force.unwrap_or(false))?;
    let repository = api.reader().repository(&id).await?;
    let (content_type, bytes) = content(request).await?;
    options.content_type = content_type;
    let object = api
        .catalog
        .upload(
            ObjectTarget {
                repository: &repository,
                branch: &branch,
                path,
            },
            bytes,
            options,
        )
        .await
        .during(During::Upload)?;
    Ok((StatusCode::CREATED, Json(convert::object(object, true))))
}

/// The guard has checked the permission to upload.
pub(crate) async fn preflight() -> StatusCode {
    StatusCode::NO_CONTENT
}

fn options(headers: &HeaderMap, force: bool) -> Result<UploadOptions> {
    if headers.contains_key(IF_MATCH) {
        return Err(Error::NotImplemented("uploading with If-Match"));
    }
    let if_absent = match headers.get(IF_NONE_MATCH).map(|value| value.as_bytes()) {
        None => false,
        Some(b"*") => true,
        Some(_) => {
            return Err(Error::NotImplemented(
                "uploading with If-None-Match of a tag",
            ));
        }
    };
    Ok(UploadOptions {
        metadata: metadata(headers)?,
        if_absent,
        force,
        ..UploadOptions::default()
    })
}

/// User metadata and internal metadata from the headers. Keys are in lower case, as header names are.
fn metadata(headers: &HeaderMap) -> Result<BTreeMap<String, String>> {
    let mut out = BTreeMap::new();
    for (name, value) in headers {
        let name = name.as_str();
        let key = match (
            name.strip_prefix(METADATA_PREFIX),
            name.strip_prefix(INTERNAL_PREFIX),
        ) {
            (Some(key), _) => key.to_owned(),
            (None, Some(key)) => format!("{INTERNAL_KEY_PREFIX}{key}"),
            (None, None) => continue,
        };
        let value = std::str::from_utf8(value.as_bytes())
            .map_err(|_| Error::Invalid(format!("the value of header {name} is not UTF-8")))?;
        out.insert(key, value.to_owned());
    }
    Ok(out)
}

/// The object's content type and bytes.
async fn content(request: Request) -> Result<(String, ByteStream)> {
    let kind = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let body = request.into_body();
    if kind.to_ascii_lowercase().starts_with("multipart/form-data") {
        return content_of_form(&kind, body).await;
    }
    Ok((
        kind,
        body.into_data_stream()
            .map_err(std::io::Error::other)
            .boxed(),
    ))
}

/// The first field named `content`. Skips earlier fields up to a limit.
pub(crate) async fn content_of_form(kind: &str, body: Body) -> Result<(String, ByteStream)> {
    let boundary = multer::parse_boundary(kind).map_err(|e| malformed_form(&e))?;
    let reached = Arc::new(AtomicBool::new(false));
    let mut form = multer::Multipart::new(bounded_preamble(body, Arc::clone(&reached)), boundary);
    while let Some(field) = form.next_field().await.map_err(|e| malformed_form(&e))? {
        if field.name() == Some(CONTENT_FIELD) {
            reached.store(true, Ordering::Relaxed);
            let kind = field
                .content_type()
                .map(ToString::to_string)
                .unwrap_or_default();
            return Ok((kind, field.map_err(std::io::Error::other).boxed()));
        }
    }
    let text = ErrorText::message(format!("multipart upload missing key '{CONTENT_FIELD}'"));
    Err(Error::InvalidWith(text.hint(format!(
        "send the object's bytes in the form field '{CONTENT_FIELD}'"
    ))))
}

fn malformed_form(error: &multer::Error) -> Error {
    let hint = match error {
        multer::Error::StreamReadFailed(cause) if is_too_long_preamble(cause.as_ref()) => {
            "send the field `content` before other fields"
        }
        multer::Error::StreamReadFailed(_)
        | multer::Error::IncompleteStream
        | multer::Error::IncompleteHeaders
        | multer::Error::IncompleteFieldData { .. } => SEND_WHOLE_BODY,
        _ => {
            "send the object's bytes in the form field `content` (curl: -F content=@FILE), or as the body without a form"
        }
    };
    let message = ErrorText::message(format!("malformed form: {error}"));
    Error::InvalidWith(message.hint(hint))
}

/// The failure of a form whose content begins too late.
#[derive(Debug, thiserror::Error)]
#[error("too many bytes before the content")]
struct LongPreamble;

fn is_too_long_preamble(cause: &(dyn StdError + 'static)) -> bool {
    let io = cause.downcast_ref::<std::io::Error>();
    let inner = io.and_then(|io| io.get_ref());
    inner.is_some_and(|inner| inner.is::<LongPreamble>())
}

/// Fails if more than [`MAX_FORM_PREAMBLE_BYTES`] precede the content, because the form's parser buffers them.
/// `reached` is set once the content begins.
fn bounded_preamble(
    body: Body,
    reached: Arc<AtomicBool>,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    let mut seen = 0;
    body.into_data_stream().map(move |piece| {
        let piece = piece.map_err(std::io::Error::other)?;
        if !reached.load(Ordering::Relaxed) {
            if seen > MAX_FORM_PREAMBLE_BYTES {
                return Err(std::io::Error::other(LongPreamble));
            }
            seen += piece.len();
        }
        Ok(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::{content_of_form, metadata, options};
    use axum::body::Body;
    use futures::TryStreamExt as _;
    use http::{HeaderMap, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn metadata_is_read_from_headers() {
        let given = headers(&[
            ("x-lakefs-meta-owner", "Me"),
            ("x-lakefs-internal-client-mtime", "1"),
            ("other", "no"),
        ]);
        let found = metadata(&given).expect("metadata");
        assert_eq!(
            Vec::from_iter(found),
            [
                ("::lakefs::client-mtime".to_owned(), "1".to_owned()),
                ("owner".to_owned(), "Me".to_owned())
            ]
        );
    }

    #[test]
    fn unsupported_conditions_are_refused() {
        assert!(
            options(&headers(&[("if-none-match", "*")]), false)
                .expect("options")
                .if_absent
        );
        for given in [("if-none-match", "\"abc\""), ("if-match", "\"abc\"")] {
            assert_eq!(
                options(&headers(&[given]), false)
                    .expect_err("a refusal")
                    .status(),
                501
            );
        }
    }

    async fn form(text: &str) -> Result<(String, Vec<u8>), String> {
        let body = Body::from(text.replace('\n', "\r\n"));
        let (kind, bytes) = content_of_form("multipart/form-data; boundary=B", body)
            .await
            .map_err(|e| e.to_string())?;
        let pieces: Vec<bytes::Bytes> = bytes.try_collect().await.map_err(|e| e.to_string())?;
        Ok((kind, pieces.concat()))
    }

    #[tokio::test]
    async fn content_field_is_found_in_forms() {
        let content = "--B\nContent-Disposition: form-data; name=\"content\"; filename=\"t\"\nContent-Type: image/png\n\nPNG!\n";
        let other = "--B\nContent-Disposition: form-data; name=\"note\"\n\nhello\n";
        let expected = Ok(("image/png".to_owned(), b"PNG!".to_vec()));
        assert_eq!(form(&format!("{content}--B--\n")).await, expected);
        assert_eq!(form(&format!("{other}{content}--B--\n")).await, expected);
        assert!(
            form(&format!("{other}--B--\n"))
                .await
                .expect_err("a refusal")
                .contains("'content'")
        );
        assert!(
            form("--B--\n")
                .await
                .expect_err("a refusal")
                .contains("'content'")
        );
        assert!(form(content).await.is_err(), "a truncated form is refused");
    }
}
