//! Writes objects. The body is streamed to the block store and verified on the way.

use auth::arn;
use catalog::{ObjectTarget, Repository, UploadOptions};
use http::{Extensions, StatusCode};
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
        self.refuse_if_match(&request.extensions, to, input.if_match.as_ref(), if_absent)
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
    /// catalog cannot guarantee that it still holds when the write is applied. The difference reveals the object's
    /// existence and tag, so the caller must have the permission to read it.
    pub(crate) async fn refuse_if_match(
        &self,
        request: &Extensions,
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
        let object = arn::object(to.repository.id.as_str(), to.path);
        self.allow(request, "fs:ReadObject", object).await?;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use auth::Principal;
    use base::{SystemClock, SystemIds};
    use catalog::testing::TestCatalog;

    use super::*;
    use crate::host::Domains;

    fn auth(lake: &TestCatalog) -> auth::Auth {
        let clock = Arc::new(SystemClock);
        let ids = Arc::new(SystemIds::new(Arc::<SystemClock>::clone(&clock)));
        let options = auth::Options {
            secret_key: "a key of the installation".to_owned(),
            login_duration: Duration::from_secs(60),
            cache_enabled: false,
            cache_size: 1,
            cache_ttl: Duration::from_secs(1),
            fixed_installation_id: None,
        };
        let records = Arc::clone(&lake.kv);
        auth::Auth::new(records, clock, ids, options)
    }

    fn caller(username: &str) -> Extensions {
        let mut request = Extensions::new();
        request.insert(Principal {
            username: username.to_owned(),
            committer: String::new(),
        });
        request
    }

    /// Guards against a bug: a caller who may only write learned from the status whether an object has a tag.
    #[tokio::test]
    async fn if_match_needs_the_permission_to_read() {
        let lake = TestCatalog::new();
        let repository = lake.repository("lake").await;
        let object = lake.put(&repository, "main", "a", "x").await;
        let domains = Domains::new(&[]);
        let api = S3Api::new(lake.catalog.clone(), auth(&lake), String::new(), domains);
        let tag = ETagCondition::ETag(ETag::Strong(object.entry.etag));
        for path in ["a", "missing"] {
            let to = ObjectTarget {
                repository: &repository,
                branch: "main",
                path,
            };
            // The auth service refuses callers without a name.
            let (nobody, admin) = (caller(""), caller("admin"));
            let refused = api.refuse_if_match(&nobody, to, Some(&tag), false).await;
            assert!(matches!(refused, Err(S3Error::AccessDenied)), "{path}");
            let answered = api.refuse_if_match(&admin, to, Some(&tag), false).await;
            match path {
                "a" => assert!(matches!(answered, Err(S3Error::NotImplemented(_)))),
                _ => assert!(matches!(answered, Err(S3Error::NoSuchKey))),
            }
        }
    }
}
