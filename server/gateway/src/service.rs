//! The list of supported S3 operations. Each delegates to the file of its group.
//!
//! [`AccessCheck`](crate::auth::AccessCheck) rejects all other operations before they get here.

use async_trait::async_trait;
use auth::{Auth, Permission, Principal, Scope, arn};
use catalog::{Catalog, Repository};
use http::Extensions;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CreateBucketInput,
    CreateBucketOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteBucketInput,
    DeleteBucketOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput,
    DeleteObjectsOutput, GetBucketLocationInput, GetBucketLocationOutput, GetBucketVersioningInput,
    GetBucketVersioningOutput, GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectInput,
    GetObjectOutput, GetObjectTaggingInput, GetObjectTaggingOutput, HeadBucketInput,
    HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput,
    ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectsInput, ListObjectsOutput,
    ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput, PutObjectInput,
    PutObjectOutput, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result};

use crate::error::{Result, S3Error};
use crate::host::Domains;

/// Implements the S3 operations on top of the catalog.
#[derive(Debug)]
pub(crate) struct S3Api {
    pub(crate) catalog: Catalog,
    auth: Auth,
    pub(crate) region: String,
    pub(crate) domains: Domains,
}

impl S3Api {
    pub(crate) fn new(catalog: Catalog, auth: Auth, region: String, domains: Domains) -> Self {
        Self {
            catalog,
            auth,
            region,
            domains,
        }
    }

    /// Checks that the caller may perform `action` on `resource`.
    ///
    /// # Errors
    /// [`S3Error::AccessDenied`] if it may not.
    pub(crate) async fn allow(
        &self,
        request: &Extensions,
        action: &'static str,
        resource: String,
    ) -> Result<()> {
        let principal = request.get::<Principal>().ok_or(S3Error::AccessDenied)?;
        Ok(self
            .auth
            .authorize(principal, &[Permission::new(action, resource)])
            .await?)
    }

    /// Returns the resources on which the caller may perform `action`.
    ///
    /// # Errors
    /// [`S3Error::AccessDenied`] if there are none.
    pub(crate) async fn scope(&self, request: &Extensions, action: &'static str) -> Result<Scope> {
        let principal = request.get::<Principal>().ok_or(S3Error::AccessDenied)?;
        Ok(self.auth.scope(principal, action).await?)
    }

    /// Returns the repository of a bucket.
    ///
    /// # Errors
    /// [`S3Error::NoSuchBucket`] if there is no such repository. Callers without permission to list
    /// repositories get [`S3Error::AccessDenied`] instead, so that they cannot probe for names.
    pub(crate) async fn repository(
        &self,
        request: &Extensions,
        bucket: &str,
    ) -> Result<Repository> {
        let Some(repository) = self.find_repository(bucket).await? else {
            self.allow(request, "fs:ListRepositories", arn::all())
                .await?;
            return Err(if bucket == "api" {
                S3Error::BucketIsApi
            } else {
                S3Error::NoSuchBucket
            });
        };
        Ok(repository)
    }

    /// Returns the repository of a bucket, or `None` if it does not exist or the name is invalid.
    pub(crate) async fn find_repository(&self, bucket: &str) -> Result<Option<Repository>> {
        match self.catalog.reader().repository(bucket).await {
            Ok(repository) => Ok(Some(repository)),
            Err(
                catalog::Error::NotFound { .. }
                | catalog::Error::InvalidName { .. }
                | catalog::Error::InDeletion(_),
            ) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Implements [`S3`] by calling the inherent method of the same name.
macro_rules! delegate {
    ($($name:ident: $input:ident -> $output:ident;)*) => {
        #[async_trait]
        impl S3 for S3Api {
            $(async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                Ok(Self::$name(self, request).await?)
            })*
        }
    };
}

delegate! {
    list_buckets: ListBucketsInput -> ListBucketsOutput;
    head_bucket: HeadBucketInput -> HeadBucketOutput;
    create_bucket: CreateBucketInput -> CreateBucketOutput;
    delete_bucket: DeleteBucketInput -> DeleteBucketOutput;
    get_bucket_location: GetBucketLocationInput -> GetBucketLocationOutput;
    get_bucket_versioning: GetBucketVersioningInput -> GetBucketVersioningOutput;
    list_objects: ListObjectsInput -> ListObjectsOutput;
    list_objects_v2: ListObjectsV2Input -> ListObjectsV2Output;
    get_object: GetObjectInput -> GetObjectOutput;
    head_object: HeadObjectInput -> HeadObjectOutput;
    get_object_attributes: GetObjectAttributesInput -> GetObjectAttributesOutput;
    get_object_tagging: GetObjectTaggingInput -> GetObjectTaggingOutput;
    put_object: PutObjectInput -> PutObjectOutput;
    copy_object: CopyObjectInput -> CopyObjectOutput;
    delete_object: DeleteObjectInput -> DeleteObjectOutput;
    delete_objects: DeleteObjectsInput -> DeleteObjectsOutput;
    create_multipart_upload: CreateMultipartUploadInput -> CreateMultipartUploadOutput;
    upload_part: UploadPartInput -> UploadPartOutput;
    upload_part_copy: UploadPartCopyInput -> UploadPartCopyOutput;
    list_parts: ListPartsInput -> ListPartsOutput;
    complete_multipart_upload: CompleteMultipartUploadInput -> CompleteMultipartUploadOutput;
    abort_multipart_upload: AbortMultipartUploadInput -> AbortMultipartUploadOutput;
    list_multipart_uploads: ListMultipartUploadsInput -> ListMultipartUploadsOutput;
}
