//! Writes objects. The body is streamed to the block store and verified on the way.

use auth::arn;
use catalog::{ObjectTarget, Repository, UploadOptions};
use http::StatusCode;
use s3s::dto::{ETag, ETagCondition, PutObjectInput, PutObjectOutput};
use s3s::{S3Request, S3Response};

use crate::conditions::matches_tag;
use crate::error::{Result, S3Error, read_error, write_error};
use crate::path::ObjectPath;
use crate::response::StatusOverride;
use crate::service::S3Api;
use crate::{body, metadata};

impl S3Api {
    pub(crate) async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let ObjectPath { reference, path } = ObjectPath::parse(&input.key);
        self.allow(
            &request.extensions,
            "fs:WriteObject",
            arn::object(&input.bucket, path),
        )
        .await?;
        let repository = self.repository(&request.extensions, &input.bucket).await?;
        if path.is_empty() {
            return self.put_reference(&repository, reference, &input).await;
        }
        // Without these checks, an append would replace the object, and an object with a customer-provided
        // encryption key would be stored unencrypted.
        if input.write_offset_bytes.is_some() || input.sse_customer_key.is_some() {
            return Err(S3Error::not_implemented());
        }
        let to = ObjectTarget {
            repository: &repository,
            branch: reference,
            path,
        };
        let if_absent = if_absent(input.if_none_match.as_ref())?;
        self.refuse_if_match(to, input.if_match.as_ref(), if_absent)
            .await?;
        let options = UploadOptions {
            content_type: input.content_type.unwrap_or_default(),
            metadata: metadata::to_stored(input.metadata)?,
            if_absent,
            ..UploadOptions::default()
        };
        let bytes = body::receive(&request.headers, request.trailing_headers, input.body)?;
        // The catalog checks that the branch is writable before it reads the body.
        let object = self
            .catalog
            .upload(to, bytes, options)
            .await
            .map_err(write_error)?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(object.entry.etag)),
            ..PutObjectOutput::default()
        }))
    }

    /// Answers a write to a key without a path.
    ///
    /// Clients that treat keys as folders, such as pyarrow, create the folder of a branch, an empty object `BRANCH/`,
    /// before they write below it. Such a write succeeds and stores nothing. All other writes get 404 and an empty
    /// body, which is lakeFS's response to every write to such a key.
    async fn put_reference(
        &self,
        repository: &Repository,
        reference: &str,
        input: &PutObjectInput,
    ) -> Result<S3Response<PutObjectOutput>> {
        let mut response = S3Response::new(PutObjectOutput::default());
        if input.key.ends_with('/') && input.content_length == Some(0) {
            self.catalog
                .reader()
                .branch(repository, reference)
                .await
                .map_err(write_error)?;
        } else {
            response
                .extensions
                .insert(StatusOverride(StatusCode::NOT_FOUND));
        }
        Ok(response)
    }

    /// Rejects writes with an `If-Match` condition.
    ///
    /// If the condition does not hold, the error is 412, as in S3. If it holds, the error is 501: the
    /// catalog cannot guarantee that it still holds when the write is applied.
    pub(crate) async fn refuse_if_match(
        &self,
        to: ObjectTarget<'_>,
        condition: Option<&ETagCondition>,
        if_absent: bool,
    ) -> Result<()> {
        let Some(condition) = condition else {
            return Ok(());
        };
        if if_absent {
            return Err(S3Error::InvalidRequest(
                "If-Match and If-None-Match exclude each other: send one of them".into(),
            ));
        }
        match self
            .catalog
            .reader()
            .stat(to.repository, to.branch, to.path)
            .await
        {
            Ok(object) if matches_tag(condition, &object.entry.etag) => Err(
                S3Error::NotImplemented("If-Match is not implemented for writes".into()),
            ),
            Ok(_) => Err(S3Error::PreconditionFailed),
            Err(error) => Err(read_error(error)),
        }
    }
}

/// Returns whether a write must fail if the key exists (`If-None-Match: *`).
///
/// # Errors
/// [`S3Error::NotImplemented`] for a tag: S3 accepts only `*` on writes.
pub(crate) fn if_absent(condition: Option<&ETagCondition>) -> Result<bool> {
    match condition {
        None => Ok(false),
        Some(ETagCondition::Any) => Ok(true),
        Some(ETagCondition::ETag(_)) => Err(S3Error::not_implemented()),
    }
}
