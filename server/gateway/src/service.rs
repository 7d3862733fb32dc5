//! The operations of S3 as a list: each one delegates to the file of its group.
//!
//! What is not listed here is refused by [`Gate`](crate::auth::Gate) before it gets this far.

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

use crate::error::{Fault, Result};

/// What operations work with.
#[derive(Debug)]
pub(crate) struct Surface {
    pub(crate) catalog: Catalog,
    auth: Auth,
    pub(crate) region: String,
}

impl Surface {
    pub(crate) fn new(catalog: Catalog, auth: Auth, region: String) -> Self {
        Self {
            catalog,
            auth,
            region,
        }
    }

    /// Lets the asker do something, or refuses.
    ///
    /// # Errors
    /// [`Fault::AccessDenied`].
    pub(crate) async fn allow(
        &self,
        request: &Extensions,
        action: &'static str,
        resource: String,
    ) -> Result<()> {
        let principal = request.get::<Principal>().ok_or(Fault::AccessDenied)?;
        Ok(self
            .auth
            .authorize(principal, &[Permission::new(action, resource)])
            .await?)
    }

    /// Where the asker may do something.
    ///
    /// # Errors
    /// [`Fault::AccessDenied`] if nowhere.
    pub(crate) async fn scope(&self, request: &Extensions, action: &'static str) -> Result<Scope> {
        let principal = request.get::<Principal>().ok_or(Fault::AccessDenied)?;
        Ok(self.auth.scope(principal, action).await?)
    }

    /// The repository that a bucket is. Whether one exists is told to those who may list them.
    ///
    /// # Errors
    /// [`Fault::NoSuchBucket`], [`Fault::AccessDenied`].
    pub(crate) async fn repository(
        &self,
        request: &Extensions,
        bucket: &str,
    ) -> Result<Repository> {
        let Some(repository) = self.find_repository(bucket).await? else {
            self.allow(request, "fs:ListRepositories", arn::all())
                .await?;
            return Err(if bucket == "api" {
                Fault::BucketIsApi
            } else {
                Fault::NoSuchBucket
            });
        };
        Ok(repository)
    }

    /// The repository of a name; none also for names that no repository can have.
    pub(crate) async fn find_repository(&self, bucket: &str) -> Result<Option<Repository>> {
        match self.catalog.repository(bucket).await {
            Ok(repository) => Ok(Some(repository)),
            Err(catalog::Error::Engine(
                catalog::EngineError::NotFound { .. }
                | catalog::EngineError::InvalidName { .. }
                | catalog::EngineError::InDeletion(_),
            )) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Writes the methods that do nothing but delegate to one of the same name.
macro_rules! delegate {
    ($($name:ident: $input:ident -> $output:ident;)*) => {
        #[async_trait]
        impl S3 for Surface {
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
