//! Copies objects, within a repository or between repositories.

use auth::arn;
use catalog::{Object, ObjectTarget, Repository, UploadOptions};
use http::Extensions;
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, ETag, MetadataDirective,
    Timestamp,
};
use s3s::{S3Request, S3Response};

use crate::conditions::Conditions;
use crate::error::{COPY_SOURCE_MESSAGE, Result, S3Error, read_error, write_error};
use crate::metadata;
use crate::path::ObjectPath;
use crate::service::S3Api;

/// The source of a copy. It exists, and the caller may read it.
pub(crate) struct Source {
    pub(crate) repository: Repository,
    key: String,
    object: Object,
}

impl Source {
    /// Returns the repository, reference and path.
    pub(crate) fn location(&self) -> (&Repository, &str, &str) {
        let ObjectPath { reference, path } = ObjectPath::parse(&self.key);
        (&self.repository, reference, path)
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        u64::try_from(self.object.entry.size_bytes).unwrap_or_default()
    }
}

impl S3Api {
    pub(crate) async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> Result<S3Response<CopyObjectOutput>> {
        let input = request.input;
        let ObjectPath { reference, path } = ObjectPath::parse(&input.key);
        self.allow(
            &request.extensions,
            "fs:WriteObject",
            arn::object(&input.bucket, path),
        )
        .await?;
        let repository = self.repository(&request.extensions, &input.bucket).await?;
        // The input type of s3s does not have fields for conditions on the destination yet.
        if ["if-match", "if-none-match"]
            .iter()
            .any(|name| request.headers.contains_key(*name))
        {
            return Err(S3Error::not_implemented());
        }
        let conditions = Conditions::from(&input);
        let source = self
            .source(&request.extensions, &input.copy_source, &conditions)
            .await?;
        let replaces_metadata = match input
            .metadata_directive
            .as_ref()
            .map(MetadataDirective::as_str)
        {
            None | Some(MetadataDirective::COPY) => false,
            Some(MetadataDirective::REPLACE) => true,
            Some(_) => {
                return Err(S3Error::InvalidArgument(
                    "unknown x-amz-metadata-directive; use COPY or REPLACE".to_owned(),
                ));
            }
        };
        let options = if replaces_metadata {
            Some(UploadOptions {
                content_type: input.content_type.unwrap_or_default(),
                metadata: metadata::to_stored(input.metadata)?,
                ..UploadOptions::default()
            })
        } else {
            None
        };
        let to = ObjectTarget {
            repository: &repository,
            branch: reference,
            path,
        };
        let object = self
            .catalog
            .copy(source.location(), to, options, false)
            .await
            .map_err(write_error)?;
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(ETag::Strong(object.entry.etag)),
                last_modified: Some(Timestamp::from(object.entry.last_modified)),
                ..CopyObjectResult::default()
            }),
            ..CopyObjectOutput::default()
        }))
    }

    /// Finds the source of a copy.
    ///
    /// # Errors
    /// [`S3Error::NoSuchBucket`], [`S3Error::NoSuchKey`], [`S3Error::AccessDenied`], [`S3Error::PreconditionFailed`].
    pub(crate) async fn source(
        &self,
        request: &Extensions,
        source: &CopySource,
        conditions: &Conditions<'_>,
    ) -> Result<Source> {
        let CopySource::Bucket {
            bucket,
            key,
            version_id,
        } = source
        else {
            return Err(S3Error::InvalidArgument(COPY_SOURCE_MESSAGE.to_owned()));
        };
        if version_id
            .as_deref()
            .is_some_and(|version| version != "null")
        {
            return Err(S3Error::not_implemented());
        }
        let ObjectPath { reference, path } = ObjectPath::parse(key);
        self.allow(request, "fs:ReadObject", arn::object(bucket, path))
            .await?;
        let repository = self.repository(request, bucket).await?;
        let object = self
            .catalog
            .reader()
            .stat(&repository, reference, path)
            .await
            .map_err(|error| match error {
                catalog::Error::InvalidValue(_) => S3Error::NoSuchKey,
                error => read_error(error),
            })?;
        if !conditions.is_empty() {
            conditions.check_source(&object.entry.etag, object.entry.last_modified)?;
        }
        Ok(Source {
            repository,
            key: key.to_string(),
            object,
        })
    }
}
