//! Deleting objects, one or a thousand. What is not there is deleted already.

use std::collections::BTreeMap;

use auth::arn;
use catalog::{Repository, WriteOptions};
use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
    Error, ObjectIdentifier,
};
use s3s::{S3Request, S3Response};

use crate::error::{Fault, Result, is_missing_reference};
use crate::path::ObjectPath;
use crate::service::Surface;

/// The most keys in one request.
const MAX_KEYS: usize = 1000;

impl Surface {
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
            return Err(Fault::not_implemented());
        }
        let repository = self.repository(&request.extensions, &input.bucket).await?;
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
            return Err(Fault::MalformedXml);
        }

        // One write per reference; what became of each key is told in the request's order.
        let mut refused: Vec<Option<(&'static str, String)>> = vec![None; keys.len()];
        let mut by_reference: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut may_delete_any = false;
        for (at, object) in keys.iter().enumerate() {
            let ObjectPath { reference, path } = ObjectPath::parse(&object.key);
            let allowed = self
                .allow(
                    &request.extensions,
                    "fs:DeleteObject",
                    arn::object(&input.bucket, path),
                )
                .await;
            may_delete_any |= allowed.is_ok();
            match allowed {
                // There are no versions to delete, and the object is not one of them; a condition that is not
                // checked must not be taken for one that holds.
                Ok(()) if names_a_version(object) || has_condition(object) => {
                    refused[at] = Some(Fault::not_implemented().entry());
                }
                Ok(()) => by_reference.entry(reference).or_default().push(at),
                Err(fault) => refused[at] = Some(entry(&fault)),
            }
        }
        // Who may delete nothing here is not told whether the repository exists.
        if may_delete_any {
            let repository = self.repository(&request.extensions, &input.bucket).await?;
            self.delete_by_reference(&repository, keys, by_reference, &mut refused)
                .await;
        }

        let is_quiet = input.delete.quiet.unwrap_or_default();
        let mut output = DeleteObjectsOutput::default();
        for (object, refused) in keys.iter().zip(refused) {
            let key = Some(object.key.clone());
            if let Some((code, message)) = refused {
                let error = Error {
                    code: Some(code.to_owned()),
                    key,
                    message: Some(message),
                    version_id: None,
                };
                output.errors.get_or_insert_default().push(error);
            } else if !is_quiet {
                output.deleted.get_or_insert_default().push(DeletedObject {
                    key,
                    ..DeletedObject::default()
                });
            }
        }
        Ok(S3Response::new(output))
    }

    /// Deletes the keys at some places, given by reference, and notes what is refused.
    async fn delete_by_reference(
        &self,
        repository: &Repository,
        keys: &[ObjectIdentifier],
        by_reference: BTreeMap<&str, Vec<usize>>,
        refused: &mut [Option<(&'static str, String)>],
    ) {
        for (reference, places) in by_reference {
            let paths: Vec<_> = places
                .iter()
                .map(|at| ObjectPath::parse(&keys[*at].key).path.to_owned())
                .collect();
            if let Err(fault) = self.delete(repository, reference, &paths).await {
                let entry = entry(&fault);
                for at in places {
                    refused[at] = Some(entry.clone());
                }
            }
        }
    }

    /// Deletes paths of a branch. On a branch that is not there nothing is, and the branch
    /// itself (an empty path, which clients delete as a folder) stays.
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

fn names_a_version(object: &ObjectIdentifier) -> bool {
    object
        .version_id
        .as_deref()
        .is_some_and(|version| !matches!(version, "" | "null"))
}

fn has_condition(object: &ObjectIdentifier) -> bool {
    object.e_tag.is_some() || object.last_modified_time.is_some() || object.size.is_some()
}

/// The codes of lakeFS for a key that was not deleted.
fn entry(fault: &Fault) -> (&'static str, String) {
    let (code, message) = fault.entry();
    match fault {
        Fault::AccessDenied | Fault::Protected | Fault::ReadOnly => (code, message),
        _ => ("ErrDeletingKey", message),
    }
}
