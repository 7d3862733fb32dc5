//! Bucket operations. Buckets are repositories; S3 requests can neither create nor delete them.

use auth::arn;
use catalog::RepositoryId;
use http::Extensions;
use s3s::dto::{
    Bucket, BucketLocationConstraint, CreateBucketInput, CreateBucketOutput, DeleteBucketInput,
    DeleteBucketOutput, GetBucketLocationInput, GetBucketLocationOutput, GetBucketVersioningInput,
    GetBucketVersioningOutput, HeadBucketInput, HeadBucketOutput, ListBucketsInput,
    ListBucketsOutput, Owner, Timestamp,
};
use s3s::{S3Request, S3Response};

use crate::error::{Result, S3Error};
use crate::list::{decode_token, encode_token};
use crate::service::S3Api;

/// Maximum number of buckets in a response, and the default. Both equal S3's.
const MAX_BUCKETS: usize = 10_000;
/// Number of repositories read from the catalog at a time.
const PAGE: usize = 1000;
/// S3 sends an empty location for this region.
const UNNAMED_REGION: &str = "us-east-1";

impl S3Api {
    pub(crate) async fn list_buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> Result<S3Response<ListBucketsOutput>> {
        let scope = self
            .scope(&request.extensions, "fs:ListRepositories")
            .await?;
        let is_visible = |id: &RepositoryId| scope.covers(&arn::repository(id.as_str()));
        let input = request.input;
        let wanted = match input.max_buckets {
            None => MAX_BUCKETS,
            Some(count) => usize::try_from(count)
                .ok()
                .filter(|count| (1..=MAX_BUCKETS).contains(count))
                .ok_or_else(|| {
                    S3Error::InvalidArgument(format!("max-buckets must be 1 to {MAX_BUCKETS}"))
                })?,
        };
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let mut after = input
            .continuation_token
            .as_deref()
            .map(decode_token)
            .transpose()?
            .unwrap_or_default();
        let mut buckets = Vec::new();
        let has_more = loop {
            let limit = PAGE.min(wanted - buckets.len());
            let page = self
                .catalog
                .reader()
                .list_visible_repositories(prefix, &after, "", limit, is_visible)
                .await?;
            buckets.extend(page.results.into_iter().map(|repository| Bucket {
                name: Some(repository.id.as_str().to_owned()),
                creation_date: Some(Timestamp::from(repository.creation_date)),
                ..Bucket::default()
            }));
            if !page.has_more || buckets.len() >= wanted {
                after = page.next_offset;
                break page.has_more;
            }
            after = page.next_offset;
        };
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets),
            continuation_token: has_more.then(|| encode_token(&after)),
            owner: Some(Owner::default()),
            prefix: input.prefix,
        }))
    }

    pub(crate) async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> Result<S3Response<HeadBucketOutput>> {
        self.check_bucket(
            &request.extensions,
            "fs:ReadRepository",
            &request.input.bucket,
        )
        .await?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    /// Always fails. A new repository needs parameters that S3 requests do not have, such as the storage namespace.
    /// Some clients create a bucket to make sure that it exists, so an existing one gets S3's "already exists" error.
    pub(crate) async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> Result<S3Response<CreateBucketOutput>> {
        let bucket = &request.input.bucket;
        self.allow(
            &request.extensions,
            "fs:CreateRepository",
            arn::repository(bucket),
        )
        .await?;
        match self.find_repository(bucket).await? {
            Some(_) => Err(S3Error::BucketExists),
            None => Err(S3Error::buckets_are_repositories()),
        }
    }

    pub(crate) async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> Result<S3Response<DeleteBucketOutput>> {
        self.check_bucket(
            &request.extensions,
            "fs:DeleteRepository",
            &request.input.bucket,
        )
        .await?;
        Err(S3Error::BucketDeletion)
    }

    pub(crate) async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> Result<S3Response<GetBucketLocationOutput>> {
        self.check_bucket(&request.extensions, "fs:ListObjects", &request.input.bucket)
            .await?;
        let named = (self.region != UNNAMED_REGION)
            .then(|| BucketLocationConstraint::from(self.region.clone()));
        Ok(S3Response::new(GetBucketLocationOutput {
            location_constraint: named,
        }))
    }

    pub(crate) async fn get_bucket_versioning(
        &self,
        request: S3Request<GetBucketVersioningInput>,
    ) -> Result<S3Response<GetBucketVersioningOutput>> {
        self.check_bucket(&request.extensions, "fs:ListObjects", &request.input.bucket)
            .await?;
        Ok(S3Response::new(GetBucketVersioningOutput::default()))
    }

    /// Checks that the caller may perform `action` on a bucket, and that the bucket exists.
    async fn check_bucket(
        &self,
        request: &Extensions,
        action: &'static str,
        bucket: &str,
    ) -> Result<()> {
        self.allow(request, action, arn::repository(bucket)).await?;
        self.repository(request, bucket).await?;
        Ok(())
    }
}
