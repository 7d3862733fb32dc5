//! Reads objects, ranges of objects, and their metadata. Bodies are streamed.

use std::ops::Range as Bytes;

use auth::arn;
use catalog::{ByteStream, MAX_CONTENT_TYPE_BYTES, Object, Repository};
use futures::TryStreamExt as _;
use http::{Extensions, HeaderMap, HeaderValue, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use s3s::dto::{
    ETag, GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectInput, GetObjectOutput,
    GetObjectTaggingInput, GetObjectTaggingOutput, HeadObjectInput, HeadObjectOutput, PartNumber,
    Range, StreamingBlob, Timestamp,
};
use s3s::{S3Request, S3Response};

use crate::conditions::Conditions;
use crate::error::{Result, S3Error, read_error};
use crate::metadata;
use crate::path::ObjectPath;
use crate::response::StatusOverride;
use crate::service::S3Api;

const DEFAULT_CONTENT_TYPE: &str = "application/octet-stream";
/// An object can be an HTML page. If a browser opens its presigned URL, these headers keep it from running
/// the page's scripts with the server's origin.
const SAFETY_HEADERS: [(&str, &str); 3] = [
    ("content-security-policy", "default-src 'none'"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "SAMEORIGIN"),
];

impl S3Api {
    pub(crate) async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let (repository, object) = self
            .find_with_repository(&request.extensions, &input.bucket, &input.key)
            .await?;
        Conditions::from(&input).check(&object.entry.etag, object.entry.last_modified)?;
        let requested = RequestedRange::new(&object, input.range, input.part_number)?;
        let bytes = self
            .catalog
            .reader()
            .open(&repository, &object, requested.range.clone())
            .await?;
        let (metadata, missing_meta) = metadata::from_stored(&object.entry.metadata);
        let output = GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            body: Some(streaming_blob(bytes)),
            content_length: Some(requested.length()),
            content_range: requested.content_range(),
            content_type: Some(content_type(&object)),
            e_tag: Some(ETag::Strong(object.entry.etag)),
            last_modified: Some(Timestamp::from(object.entry.last_modified)),
            metadata,
            missing_meta,
            ..GetObjectOutput::default()
        };
        let headers = SAFETY_HEADERS.map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        let mut response = S3Response::with_headers(output, HeaderMap::from_iter(headers));
        response
            .extensions
            .insert(StatusOverride(requested.status()));
        Ok(response)
    }

    pub(crate) async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let object = self
            .find(&request.extensions, &input.bucket, &input.key)
            .await?;
        Conditions::from(&input).check(&object.entry.etag, object.entry.last_modified)?;
        check_overrides([
            ("response-content-type", &input.response_content_type),
            (
                "response-content-disposition",
                &input.response_content_disposition,
            ),
            (
                "response-content-encoding",
                &input.response_content_encoding,
            ),
            (
                "response-content-language",
                &input.response_content_language,
            ),
            ("response-cache-control", &input.response_cache_control),
        ])?;
        let requested = RequestedRange::new(&object, input.range, input.part_number)?;
        let (metadata, missing_meta) = metadata::from_stored(&object.entry.metadata);
        let output = HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(requested.length()),
            content_range: requested.content_range(),
            content_type: Some(
                input
                    .response_content_type
                    .unwrap_or_else(|| content_type(&object)),
            ),
            content_disposition: input.response_content_disposition,
            content_encoding: input.response_content_encoding,
            content_language: input.response_content_language,
            cache_control: input.response_cache_control,
            expires: input.response_expires,
            e_tag: Some(ETag::Strong(object.entry.etag)),
            last_modified: Some(Timestamp::from(object.entry.last_modified)),
            metadata,
            missing_meta,
            ..HeadObjectOutput::default()
        };
        let mut response = S3Response::new(output);
        response
            .extensions
            .insert(StatusOverride(requested.status()));
        Ok(response)
    }

    pub(crate) async fn get_object_attributes(
        &self,
        request: S3Request<GetObjectAttributesInput>,
    ) -> Result<S3Response<GetObjectAttributesOutput>> {
        let input = request.input;
        let object = self
            .find(&request.extensions, &input.bucket, &input.key)
            .await?;
        // The header may be repeated, and each may list several attributes.
        let wanted: Vec<_> = input
            .object_attributes
            .iter()
            .flat_map(|names| names.as_str().split(',').map(str::trim))
            .collect();
        let wants = |name: &str| wanted.contains(&name);

        Ok(S3Response::new(GetObjectAttributesOutput {
            e_tag: wants("ETag").then_some(ETag::Strong(object.entry.etag)),
            object_size: wants("ObjectSize").then_some(object.entry.size_bytes),
            storage_class: wants("StorageClass").then(|| "STANDARD".to_owned().into()),
            last_modified: Some(Timestamp::from(object.entry.last_modified)),
            ..GetObjectAttributesOutput::default()
        }))
    }

    /// Returns an empty tag set: objects have no tags.
    pub(crate) async fn get_object_tagging(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> Result<S3Response<GetObjectTaggingOutput>> {
        let input = request.input;
        self.find(&request.extensions, &input.bucket, &input.key)
            .await?;
        Ok(S3Response::new(GetObjectTaggingOutput {
            tag_set: Vec::new(),
            version_id: None,
        }))
    }

    /// Checks that the caller may read a key, and returns its object.
    pub(crate) async fn find(
        &self,
        request: &Extensions,
        bucket: &str,
        key: &str,
    ) -> Result<Object> {
        let (_, object) = self.find_with_repository(request, bucket, key).await?;
        Ok(object)
    }

    async fn find_with_repository(
        &self,
        request: &Extensions,
        bucket: &str,
        key: &str,
    ) -> Result<(Repository, Object)> {
        let ObjectPath { reference, path } = ObjectPath::parse(key);
        self.allow(request, "fs:ReadObject", arn::object(bucket, path))
            .await?;
        let repository = self.repository(request, bucket).await?;
        if path.is_empty() {
            return Err(S3Error::NoSuchKey);
        }
        let found = self
            .catalog
            .reader()
            .stat(&repository, reference, path)
            .await;
        let object = found.map_err(|error| match error {
            // The path is invalid, so no object can have it.
            catalog::Error::InvalidValue(_) => S3Error::NoSuchKey,
            error => read_error(error),
        })?;
        Ok((repository, object))
    }
}

/// The part of an object that a request asks for.
struct RequestedRange {
    size: u64,
    /// `None` for the whole object.
    range: Option<Bytes<u64>>,
}

impl RequestedRange {
    fn new(object: &Object, range: Option<Range>, part: Option<PartNumber>) -> Result<Self> {
        let size = u64::try_from(object.entry.size_bytes).unwrap_or_default();
        let range = match (range, part) {
            (Some(_), Some(_)) => {
                return Err(S3Error::InvalidRequest(
                    "Cannot specify both Range header and partNumber query parameter".into(),
                ));
            }
            (Some(range), None) => Some(
                range
                    .check(size)
                    .map_err(|_| S3Error::InvalidRange { size })?,
            ),
            // The catalog does not record part boundaries, so an object counts as a single part.
            (None, Some(1)) => (size > 0).then_some(0..size),
            (None, Some(_)) => return Err(S3Error::InvalidPartNumber),
            (None, None) => None,
        };
        Ok(Self { size, range })
    }

    fn status(&self) -> StatusCode {
        if self.range.is_some() {
            StatusCode::PARTIAL_CONTENT
        } else {
            StatusCode::OK
        }
    }

    fn length(&self) -> i64 {
        let length = self
            .range
            .as_ref()
            .map_or(self.size, |range| range.end - range.start);
        i64::try_from(length).unwrap_or(i64::MAX)
    }

    fn content_range(&self) -> Option<String> {
        let range = self.range.as_ref()?;
        Some(format!(
            "bytes {}-{}/{}",
            range.start,
            range.end - 1,
            self.size
        ))
    }
}

/// Rejects values that a response header cannot have. s3s would answer 500.
fn check_overrides<'a>(
    given: impl IntoIterator<Item = (&'static str, &'a Option<String>)>,
) -> Result<()> {
    for (name, value) in given {
        if value
            .as_deref()
            .is_some_and(|value| HeaderValue::from_str(value).is_err())
        {
            return Err(S3Error::InvalidArgument(format!(
                "{name} has characters that a header cannot have"
            )));
        }
    }
    Ok(())
}

/// Returns the content type to send: the default for objects without one, such as imported objects, and for
/// content types that are too long or not valid header values.
fn content_type(object: &Object) -> String {
    let stored = &object.entry.content_type;
    let fits = stored.len() <= MAX_CONTENT_TYPE_BYTES && HeaderValue::from_str(stored).is_ok();
    if stored.is_empty() || !fits {
        DEFAULT_CONTENT_TYPE.to_owned()
    } else {
        stored.clone()
    }
}

fn streaming_blob(bytes: ByteStream) -> StreamingBlob {
    StreamingBlob::from(s3s::Body::http_body_unsync(StreamBody::new(
        bytes.map_ok(Frame::data),
    )))
}
