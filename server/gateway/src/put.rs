//! Writing objects: the body goes straight to the store, checked as it passes.

use auth::arn;
use catalog::{ObjectTarget, UploadOptions};
use http::StatusCode;
use s3s::dto::{ETag, ETagCondition, PutObjectInput, PutObjectOutput};
use s3s::{S3Request, S3Response};

use crate::answer::Status;
use crate::conditions::matches_tag;
use crate::error::{Fault, Result, reading, writing};
use crate::path::ObjectPath;
use crate::service::Surface;
use crate::{body, metadata};

impl Surface {
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
            // lakeFS has no route for a write to a reference, and answers with nothing.
            let mut response = S3Response::new(PutObjectOutput::default());
            response.extensions.insert(Status(StatusCode::NOT_FOUND));
            return Ok(response);
        }
        // An append that replaced the object, or a key that encrypted nothing, would be a loss.
        if input.write_offset_bytes.is_some() || input.sse_customer_key.is_some() {
            return Err(Fault::not_implemented());
        }
        let to = ObjectTarget {
            repository: &repository,
            branch: reference,
            path,
        };
        let if_absent = if_absent(input.if_none_match.as_ref())?;
        self.refuse_if_match(to, input.if_match.as_ref()).await?;
        let options = UploadOptions {
            content_type: input.content_type.unwrap_or_default(),
            metadata: metadata::store(input.metadata)?,
            if_absent,
            ..UploadOptions::default()
        };
        let bytes = body::receive(&request.headers, request.trailing_headers, input.body)?;
        // Whether the branch can be written to is checked before the body is read.
        let object = self
            .catalog
            .upload(to, bytes, options)
            .await
            .map_err(writing)?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(object.entry.etag)),
            ..PutObjectOutput::default()
        }))
    }

    /// Refuses writes that are bound to a tag: 412 if it is another one. If it is the one,
    /// nothing can hold it until the write is done, and a promise of that must not be made.
    pub(crate) async fn refuse_if_match(
        &self,
        to: ObjectTarget<'_>,
        condition: Option<&ETagCondition>,
    ) -> Result<()> {
        let Some(condition) = condition else {
            return Ok(());
        };
        match self.catalog.stat(to.repository, to.branch, to.path).await {
            Ok(object) if matches_tag(condition, &object.entry.etag) => Err(Fault::NotImplemented(
                "Writes that depend on a tag (If-Match) are not implemented".into(),
            )),
            Ok(_) => Err(Fault::PreconditionFailed),
            Err(error) => Err(reading(error)),
        }
    }
}

/// Whether a write needs the key to be free. Other uses of `If-None-Match` are not in S3.
pub(crate) fn if_absent(condition: Option<&ETagCondition>) -> Result<bool> {
    match condition {
        None => Ok(false),
        Some(ETagCondition::Any) => Ok(true),
        Some(ETagCondition::ETag(_)) => Err(Fault::not_implemented()),
    }
}
