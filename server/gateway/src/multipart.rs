//! The multipart upload operations.

use auth::arn;
use catalog::{CompletedPart, ObjectTarget, Repository, UploadOptions};
use http::{Extensions, HeaderMap, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyPartResult, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, ETag, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListPartsInput, ListPartsOutput, MultipartUpload, Part, StorageClass, Timestamp,
    UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Response};

use crate::conditions::Conditions;
use crate::error::{Result, S3Error, write_error};
use crate::host::authority_of;
use crate::list::KeyEncoding;
use crate::path::ObjectPath;
use crate::put::if_absent;
use crate::service::S3Api;
use crate::{body, metadata};

/// Maximum number of parts or uploads in a response.
const MAX_ROWS: i32 = 1000;
/// Maximum part number, and therefore number of parts.
const MAX_PARTS: i32 = 10_000;
const STORAGE_CLASS: &str = "STANDARD";
/// Characters of a key that are escaped in a URL.
const URL_KEY: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

impl S3Api {
    pub(crate) async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> Result<S3Response<CreateMultipartUploadOutput>> {
        let input = request.input;
        let repository = self
            .authorized_repository(
                &request.extensions,
                "fs:WriteObject",
                &input.bucket,
                &input.key,
            )
            .await?;
        let options = UploadOptions {
            content_type: input.content_type.unwrap_or_default(),
            metadata: metadata::to_stored(input.metadata)?,
            ..UploadOptions::default()
        };
        let to = object_target(&repository, &input.key);
        let upload = self
            .catalog
            .create_multipart(to, &options)
            .await
            .map_err(write_error)?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(upload.upload_id),
            ..CreateMultipartUploadOutput::default()
        }))
    }

    pub(crate) async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> Result<S3Response<UploadPartOutput>> {
        let input = request.input;
        let part = (input.bucket.as_str(), input.key.as_str(), input.part_number);
        let (repository, number) = self.part_target(&request.extensions, part).await?;
        let bytes = body::receive(&request.headers, request.trailing_headers, input.body)?;
        let to = object_target(&repository, &input.key);
        let part = self
            .catalog
            .put_part(to, &input.upload_id, number, bytes)
            .await
            .map_err(write_error)?;
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(ETag::Strong(part.etag)),
            ..UploadPartOutput::default()
        }))
    }

    pub(crate) async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> Result<S3Response<UploadPartCopyOutput>> {
        let input = request.input;
        let part = (input.bucket.as_str(), input.key.as_str(), input.part_number);
        let (repository, number) = self.part_target(&request.extensions, part).await?;
        let conditions = Conditions::from(&input);
        let source = self
            .source(&request.extensions, &input.copy_source, &conditions)
            .await?;
        let range = input
            .copy_source_range
            .as_deref()
            .map(|range| copy_range(range, source.size_bytes()))
            .transpose()?;
        let to = object_target(&repository, &input.key);
        let part = self
            .catalog
            .put_part_copy(to, &input.upload_id, number, source.location(), range)
            .await
            .map_err(write_error)?;
        Ok(S3Response::new(UploadPartCopyOutput {
            copy_part_result: Some(CopyPartResult {
                e_tag: Some(ETag::Strong(part.etag)),
                last_modified: Some(Timestamp::from(part.last_modified)),
                ..CopyPartResult::default()
            }),
            ..UploadPartCopyOutput::default()
        }))
    }

    pub(crate) async fn list_parts(
        &self,
        request: S3Request<ListPartsInput>,
    ) -> Result<S3Response<ListPartsOutput>> {
        let input = request.input;
        let repository = self
            .authorized_repository(
                &request.extensions,
                "fs:ReadObject",
                &input.bucket,
                &input.key,
            )
            .await?;
        let max_parts = row_limit("max-parts", input.max_parts)?;
        let marker = input.part_number_marker.unwrap_or_default();
        let to = object_target(&repository, &input.key);
        let uploaded = self
            .catalog
            .list_parts(to, &input.upload_id)
            .await
            .map_err(write_error)?;
        let mut parts: Vec<Part> = uploaded
            .into_iter()
            .map(|part| Part {
                part_number: i32::try_from(part.number).ok(),
                e_tag: Some(ETag::Strong(part.etag)),
                size: i64::try_from(part.size_bytes).ok(),
                last_modified: Some(Timestamp::from(part.last_modified)),
                ..Part::default()
            })
            .filter(|part| part.part_number.is_some_and(|number| number > marker))
            .collect();
        let limit = usize::try_from(max_parts).unwrap_or_default();
        let is_truncated = limit > 0 && parts.len() > limit;
        parts.truncate(limit);
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            max_parts: Some(max_parts),
            part_number_marker: Some(marker),
            next_part_number_marker: parts
                .last()
                .filter(|_| is_truncated)
                .and_then(|part| part.part_number),
            is_truncated: Some(is_truncated),
            storage_class: Some(StorageClass::from_static(STORAGE_CLASS)),
            parts: Some(parts),
            ..ListPartsOutput::default()
        }))
    }

    pub(crate) async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        let repository = self
            .authorized_repository(
                &request.extensions,
                "fs:WriteObject",
                &input.bucket,
                &input.key,
            )
            .await?;
        let if_absent = if_absent(input.if_none_match.as_ref())?;
        let to = object_target(&repository, &input.key);
        self.refuse_if_match(&request.extensions, to, input.if_match.as_ref(), if_absent)
            .await?;
        let named = input
            .multipart_upload
            .and_then(|named| named.parts)
            .unwrap_or_default();
        if named.is_empty() {
            return Err(S3Error::MalformedXml);
        }
        let mut parts = Vec::with_capacity(named.len().min(MAX_PARTS.unsigned_abs() as usize));
        for part in named {
            let (Some(number), Some(tag)) = (part.part_number, part.e_tag) else {
                return Err(S3Error::MalformedXml);
            };
            let number = part_number(number)?;
            if parts
                .last()
                .is_some_and(|last: &CompletedPart| last.number >= number)
            {
                return Err(S3Error::InvalidPartOrder);
            }
            parts.push(CompletedPart {
                number,
                etag: tag.into_value(),
            });
        }
        let object = self
            .catalog
            .complete_multipart(to, &input.upload_id, &parts, if_absent)
            .await
            .map_err(write_error)?;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            location: Some(self.location(
                &request.headers,
                &request.uri,
                &input.bucket,
                &input.key,
            )),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(ETag::Strong(object.entry.etag)),
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    pub(crate) async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> Result<S3Response<AbortMultipartUploadOutput>> {
        let input = request.input;
        let repository = self
            .authorized_repository(
                &request.extensions,
                "fs:DeleteObject",
                &input.bucket,
                &input.key,
            )
            .await?;
        let to = object_target(&repository, &input.key);
        self.catalog
            .abort_multipart(to, &input.upload_id)
            .await
            .map_err(write_error)?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    pub(crate) async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> Result<S3Response<ListMultipartUploadsOutput>> {
        let input = request.input;
        self.allow(
            &request.extensions,
            "fs:ListObjects",
            arn::repository(&input.bucket),
        )
        .await?;
        let repository = self.repository(&request.extensions, &input.bucket).await?;
        if input
            .delimiter
            .as_deref()
            .is_some_and(|delimiter| !delimiter.is_empty())
        {
            return Err(S3Error::not_implemented());
        }
        let max_uploads = row_limit("max-uploads", input.max_uploads)?;
        let encode = KeyEncoding::new(input.encoding_type)?;
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let key_marker = input.key_marker.as_deref().unwrap_or_default();
        // S3 ignores the upload id marker unless there is a key marker.
        let id_marker = input
            .upload_id_marker
            .as_deref()
            .filter(|_| !key_marker.is_empty())
            .unwrap_or_default();
        let limit = usize::try_from(max_uploads).unwrap_or_default();
        let page = self
            .catalog
            .list_multiparts(&repository, prefix, (key_marker, id_marker), limit)
            .await?;
        let last = page.results.last().filter(|_| page.has_more);
        Ok(S3Response::new(ListMultipartUploadsOutput {
            prefix: Some(encode.text(prefix)),
            key_marker: Some(encode.text(key_marker)),
            upload_id_marker: Some(id_marker.to_owned()),
            next_key_marker: last.map(|upload| encode.text(&upload.path)),
            next_upload_id_marker: last.map(|upload| upload.upload_id.clone()),
            max_uploads: Some(max_uploads),
            is_truncated: Some(page.has_more),
            uploads: Some(
                page.results
                    .iter()
                    .map(|upload| MultipartUpload {
                        key: Some(encode.text(&upload.path)),
                        upload_id: Some(upload.upload_id.clone()),
                        initiated: Some(Timestamp::from(upload.creation_date)),
                        storage_class: Some(StorageClass::from_static(STORAGE_CLASS)),
                        ..MultipartUpload::default()
                    })
                    .collect(),
            ),
            encoding_type: encode.0,
            bucket: Some(input.bucket),
            ..ListMultipartUploadsOutput::default()
        }))
    }

    /// Returns the repository and the part number of a request, which specifies bucket, key and number. Checks first
    /// that the caller may upload the part.
    async fn part_target(
        &self,
        request: &Extensions,
        (bucket, key, number): (&str, &str, i32),
    ) -> Result<(Repository, u32)> {
        let repository = self
            .authorized_repository(request, "fs:WriteObject", bucket, key)
            .await?;
        Ok((repository, part_number(number)?))
    }

    /// Returns the repository of an upload after checking that the caller may perform `action` on its key.
    async fn authorized_repository(
        &self,
        request: &Extensions,
        action: &'static str,
        bucket: &str,
        key: &str,
    ) -> Result<Repository> {
        self.allow(
            request,
            action,
            arn::object(bucket, ObjectPath::parse(key).path),
        )
        .await?;
        self.repository(request, bucket).await
    }

    /// Returns the URL of an object at the host that the client addressed, with the bucket in the path unless the host
    /// contains it.
    fn location(&self, headers: &HeaderMap, uri: &Uri, bucket: &str, key: &str) -> String {
        let proto = headers.get("x-forwarded-proto");
        let proto = proto.and_then(|value| value.to_str().ok()).unwrap_or("");
        // Each proxy of a chain appends its scheme. The first scheme is the client's.
        let first = proto.split(',').next().unwrap_or("").trim();
        let scheme = match first.eq_ignore_ascii_case("https") {
            true => "https",
            false => "http",
        };
        let host = authority_of(headers, uri);
        let key = utf8_percent_encode(key, &URL_KEY);
        if self.domains.is_bucket_host(host) {
            format!("{scheme}://{host}/{key}")
        } else {
            format!("{scheme}://{host}/{bucket}/{key}")
        }
    }
}

fn object_target<'a>(repository: &'a Repository, key: &'a str) -> ObjectTarget<'a> {
    let ObjectPath { reference, path } = ObjectPath::parse(key);
    ObjectTarget {
        repository,
        branch: reference,
        path,
    }
}

fn part_number(number: i32) -> Result<u32> {
    u32::try_from(number)
        .ok()
        .filter(|_| (1..=MAX_PARTS).contains(&number))
        .ok_or_else(|| {
            S3Error::InvalidArgument(format!(
                "Part number must be an integer between 1 and {MAX_PARTS}, inclusive"
            ))
        })
}

fn row_limit(name: &str, given: Option<i32>) -> Result<i32> {
    match given {
        None => Ok(MAX_ROWS),
        Some(count) if count < 0 => Err(S3Error::InvalidArgument(format!(
            "{name} must not be negative"
        ))),
        Some(count) => Ok(count.min(MAX_ROWS)),
    }
}

/// Parses `bytes=FIRST-LAST`. Both bounds are required and must be inside the source.
pub(crate) fn copy_range(text: &str, size: u64) -> Result<std::ops::Range<u64>> {
    let malformed = || {
        S3Error::InvalidArgument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the \
             zero-based offsets of the first and last bytes to copy"
                .to_owned(),
        )
    };
    let (first, last) = text
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
        .ok_or_else(malformed)?;
    let first: u64 = first.parse().map_err(|_| malformed())?;
    let last: u64 = last.parse().map_err(|_| malformed())?;
    if first > last {
        return Err(malformed());
    }
    if last >= size {
        return Err(S3Error::InvalidRange { size });
    }
    Ok(first..last + 1)
}

#[cfg(test)]
mod tests {
    use super::{S3Error, copy_range};

    #[test]
    fn copy_range_needs_both_bounds_inside_the_source() {
        assert!(matches!(copy_range("bytes=0-3", 4), Ok(range) if range == (0..4)));
        assert!(matches!(copy_range("bytes=1-1", 4), Ok(range) if range == (1..2)));
        assert!(matches!(
            copy_range("bytes=0-4", 4),
            Err(S3Error::InvalidRange { size: 4 })
        ));
        for malformed in ["0-3", "bytes=-3", "bytes=1-", "bytes=3-1", "bytes=a-b"] {
            assert!(
                matches!(copy_range(malformed, 4), Err(S3Error::InvalidArgument(_))),
                "{malformed}"
            );
        }
    }
}
