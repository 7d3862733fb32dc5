//! Deletes objects, one or up to a thousand per request. Deleting a missing object succeeds.

use std::collections::BTreeMap;

use auth::arn;
use catalog::{Repository, WriteOptions};
use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
    Error, ObjectIdentifier,
};
use s3s::{S3Request, S3Response};

use crate::error::{MAX_MESSAGE_BYTES, Result, S3Error, is_missing_reference};
use crate::path::ObjectPath;
use crate::service::S3Api;

/// Maximum number of keys in a request.
const MAX_KEYS: usize = 1000;

impl S3Api {
    pub(crate) async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        let ObjectPath { reference, path } = ObjectPath::parse(&input.key);
        self.allow(
            &request.extensions,
            "fs:DeleteObject",
            arn::object(&input.bucket, path),
        )
        .await?;
        if input.if_match.is_some()
            || input.if_match_last_modified_time.is_some()
            || input.if_match_size.is_some()
        {
            return Err(S3Error::not_implemented());
        }
        let repository = self.repository(&request.extensions, &input.bucket).await?;
        catalog::check_path_length(path)?;
        self.delete(&repository, reference, &[path.to_owned()])
            .await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    pub(crate) async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> Result<S3Response<DeleteObjectsOutput>> {
        let input = request.input;
        let keys = &input.delete.objects;
        if keys.is_empty() || keys.len() > MAX_KEYS {
            return Err(S3Error::MalformedXml);
        }

        // There is one write per reference. The response lists the keys in request order.
        let mut refused: Vec<Option<(&'static str, String)>> = vec![None; keys.len()];
        let mut by_reference: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut may_delete_some = false;
        for (at, object) in keys.iter().enumerate() {
            let ObjectPath { reference, path } = ObjectPath::parse(&object.key);
            let allowed = self
                .allow(
                    &request.extensions,
                    "fs:DeleteObject",
                    arn::object(&input.bucket, path),
                )
                .await;
            may_delete_some |= allowed.is_ok();
            match allowed {
                // Objects have no versions, so deleting a version must not delete the object.
                // Conditions are not implemented, so they must not be ignored.
                Ok(()) if names_version(object) || has_condition(object) => {
                    refused[at] = Some(S3Error::not_implemented().batch_entry());
                }
                Ok(()) if catalog::check_path_length(path).is_err() => {
                    refused[at] = Some(S3Error::KeyTooLong.batch_entry());
                }
                Ok(()) => by_reference.entry(reference).or_default().push(at),
                Err(error) => refused[at] = Some(error_entry(&error)),
            }
        }
        // Callers that may delete none of the keys must not learn whether the repository exists.
        if may_delete_some {
            let repository = self.repository(&request.extensions, &input.bucket).await?;
            self.delete_by_reference(&repository, keys, by_reference, &mut refused)
                .await;
        }

        let is_quiet = input.delete.quiet.unwrap_or_default();
        let mut output = DeleteObjectsOutput::default();
        for (object, refused) in keys.iter().zip(refused) {
            if let Some((code, message)) = refused {
                let key = base::shorten(&object.key, MAX_MESSAGE_BYTES).into_owned();
                let error = Error {
                    code: Some(code.to_owned()),
                    key: Some(key),
                    message: Some(message),
                    version_id: None,
                };
                output.errors.get_or_insert_default().push(error);
            } else if !is_quiet {
                output.deleted.get_or_insert_default().push(DeletedObject {
                    key: Some(object.key.clone()),
                    ..DeletedObject::default()
                });
            }
        }
        Ok(S3Response::new(output))
    }

    /// Deletes the keys at the given indexes, grouped by reference, and records refusals in `refused`.
    async fn delete_by_reference(
        &self,
        repository: &Repository,
        keys: &[ObjectIdentifier],
        by_reference: BTreeMap<&str, Vec<usize>>,
        refused: &mut [Option<(&'static str, String)>],
    ) {
        for (reference, indexes) in by_reference {
            let paths: Vec<_> = indexes
                .iter()
                .map(|at| ObjectPath::parse(&keys[*at].key).path.to_owned())
                .collect();
            if let Err(error) = self.delete(repository, reference, &paths).await {
                let entry = error_entry(&error);
                for at in indexes {
                    refused[at] = Some(entry.clone());
                }
            }
        }
    }

    /// Deletes paths of a branch. Succeeds if the branch does not exist. An empty path, which
    /// clients send to delete a folder, does not delete the branch.
    async fn delete(
        &self,
        repository: &Repository,
        reference: &str,
        paths: &[String],
    ) -> Result<()> {
        match self
            .catalog
            .delete_objects(repository, reference, paths, WriteOptions::default())
            .await
        {
            Err(error) if is_missing_reference(&error) => Ok(()),
            deleted => Ok(deleted?),
        }
    }
}

fn names_version(object: &ObjectIdentifier) -> bool {
    object
        .version_id
        .as_deref()
        .is_some_and(|version| !matches!(version, "" | "null"))
}

fn has_condition(object: &ObjectIdentifier) -> bool {
    object.e_tag.is_some() || object.last_modified_time.is_some() || object.size.is_some()
}

/// Returns code and message for a key that was not deleted. lakeFS uses one code for most failures.
fn error_entry(error: &S3Error) -> (&'static str, String) {
    let (code, message) = error.batch_entry();
    match error {
        S3Error::AccessDenied | S3Error::Protected | S3Error::ReadOnly => (code, message),
        _ => ("ErrDeletingKey", message),
    }
}
