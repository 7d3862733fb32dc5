//! Repositories: creation, sample data, metadata, deletion.
//!
//! All checks come before the first write.

use std::collections::BTreeMap;

use base::joined;
use graveler::{BranchId, CommitParams, CreateRepository, Kind, Repository, RepositoryId};
use tracing::{info, instrument};

use crate::marker::Marker;
use crate::{
    Catalog, Error, MAX_REPOSITORY_METADATA_BYTES, NamespaceProblem, ObjectTarget, Result,
    UploadOptions, sample,
};

/// The maximum number of interrupted deletions that one call resumes.
const MAX_DELETIONS: usize = 1_000;

impl Catalog {
    /// Creates a repository and marks its storage namespace with `_lakefs/dummy`. The namespace must belong to
    /// this block store, be unused, and neither contain nor be contained in the namespace of another repository.
    ///
    /// A bare repository is the target of a restore. Its namespace is in use already, so it may equal that of another
    /// repository and is not marked. It must neither contain nor be inside another namespace either.
    ///
    /// Runs to completion even if the caller is cancelled.
    ///
    /// # Errors
    /// Name taken; invalid name or default branch; unknown storage id; [`Error::Namespace`]; too many repositories
    /// are being created at the same time.
    #[instrument(skip_all, fields(repo.id = %request.id))]
    pub async fn create_repository(&self, mut request: CreateRepository) -> Result<Repository> {
        RepositoryId::parse(request.id.as_str())?;
        match self.graveler.repository(&request.id).await {
            Err(graveler::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => {
                return Err(Error::NotUnique {
                    kind: Kind::Repository,
                    id: request.id.to_string(),
                });
            }
        }
        BranchId::parse(request.default_branch.as_str())?;
        check_storage(&request.storage_id)?;
        request.storage_namespace = self.namespace(&request.storage_namespace)?;
        let catalog = self.clone();
        self.run_detached(async move {
            let repository = catalog.create_in_namespace(request).await?;
            info!(repo.id = %repository.id, "created repository {} in {}", repository.id, repository.storage_namespace);
            Ok(repository)
        })
        .await
    }

    async fn create_in_namespace(&self, request: CreateRepository) -> Result<Repository> {
        if request.bare {
            return Ok(self.graveler.create_repository(request).await?);
        }
        let namespace = request.storage_namespace.clone();
        let marker = Marker::new(self, &namespace);
        // Check early, so that an invalid request does not wait in the queue.
        marker.check().await?;
        let created = self.graveler.create_repository_with_claim(request, &marker);
        match created.await {
            Ok(repository) => {
                marker.confirm().await;
                Ok(repository)
            }
            Err(error) => {
                marker.withdraw().await;
                Err(error.into())
            }
        }
    }

    /// Uploads sample objects to the default branch of a new repository and commits them, even if the repository is
    /// read-only. Runs to completion even if the caller is cancelled.
    ///
    /// # Errors
    /// [`Error::TooManyChanges`]; otherwise the same as for uploads and commits.
    #[instrument(skip_all, fields(repo.id = %repository.id))]
    pub async fn add_sample_data(&self, repository: &Repository, committer: &str) -> Result<()> {
        let (catalog, repository) = (self.clone(), repository.clone());
        let committer = committer.to_owned();
        self.run_repository_change(async move {
            catalog.fill_with_samples(&repository, committer).await
        })
        .await
    }

    async fn fill_with_samples(&self, repository: &Repository, committer: String) -> Result<()> {
        let branch = repository.default_branch.as_str();
        for object in joined(tokio::task::spawn_blocking(sample::objects)).await? {
            let options = UploadOptions {
                content_type: object.content_type.to_owned(),
                force: true,
                ..UploadOptions::default()
            };
            let to = ObjectTarget {
                repository,
                branch,
                path: object.path,
            };
            self.upload(to, block::from_bytes(object.bytes), options)
                .await?;
        }
        let params = CommitParams {
            committer,
            message: "Add sample data".to_owned(),
            metadata: BTreeMap::from([("sample".to_owned(), "true".to_owned())]),
            date: None,
            allow_empty: false,
            force: true,
            source_metarange: None,
        };
        self.commit_branch(repository, branch, params).await?;
        Ok(())
    }

    /// Deletes a repository's records. Its objects and the marker in its namespace stay.
    ///
    /// # Errors
    /// Not found; read-only unless forced.
    #[instrument(skip_all, fields(repo.id = id))]
    pub async fn delete_repository(&self, id: &str, force: bool) -> Result<()> {
        let Ok(id) = RepositoryId::parse(id) else {
            return Err(Error::NotFound {
                kind: Kind::Repository,
                id: id.to_owned(),
            });
        };
        Ok(self.graveler.delete_repository(&id, force).await?)
    }

    /// Returns the repository's metadata.
    ///
    /// # Errors
    /// Any error of the record store.
    pub async fn repository_metadata(
        &self,
        repository: &Repository,
    ) -> Result<BTreeMap<String, String>> {
        Ok(self.graveler.repository_metadata(repository).await?)
    }

    /// Sets keys of the metadata; other keys stay.
    ///
    /// # Errors
    /// The metadata would exceed [`MAX_REPOSITORY_METADATA_BYTES`]; too many concurrent changes; read-only; any error
    /// of the record store.
    pub async fn set_repository_metadata(
        &self,
        repository: &Repository,
        set: BTreeMap<String, String>,
    ) -> Result<()> {
        Ok(self
            .graveler
            .set_repository_metadata(repository, set, MAX_REPOSITORY_METADATA_BYTES)
            .await?)
    }

    /// Removes keys of the metadata. Missing keys are not an error.
    ///
    /// # Errors
    /// Read-only; too many concurrent changes; any error of the record store.
    pub async fn delete_repository_metadata(
        &self,
        repository: &Repository,
        keys: &[String],
    ) -> Result<()> {
        Ok(self
            .graveler
            .delete_repository_metadata(repository, keys)
            .await?)
    }

    /// Checks a storage namespace and returns its canonical spelling: `local:///name` becomes `local://name`. Repositories
    /// store the canonical spelling, and permissions are checked against it.
    ///
    /// # Errors
    /// [`Error::Namespace`].
    pub fn namespace(&self, namespace: &str) -> Result<String> {
        let info = self.block.info();
        if !namespace.starts_with(&format!("{}://", info.kind)) {
            return Err(Error::Namespace(NamespaceProblem::OtherStore {
                namespace: namespace.to_owned(),
                expected: info.namespace_validity_regex,
            }));
        }
        match self.block.check_namespace(namespace) {
            Err(block::Error::InvalidAddress { reason, .. }) => {
                Err(Error::Namespace(NamespaceProblem::Invalid {
                    namespace: namespace.to_owned(),
                    reason,
                }))
            }
            checked => Ok(checked?),
        }
    }

    /// Resumes interrupted deletions, at most [`MAX_DELETIONS`] of them. Returns their number.
    ///
    /// # Errors
    /// Any error of the record store; the next call tries again.
    pub async fn finish_deletions(&self) -> Result<usize> {
        Ok(self.graveler.finish_deletions(MAX_DELETIONS).await?)
    }
}

/// An installation has exactly one block store, and its id is empty.
fn check_storage(id: &str) -> Result<()> {
    if id.is_empty() {
        return Ok(());
    }
    Err(Error::with_advice(
        "storage_id must be empty: this server has one block store",
        "leave out `storage_id`",
    ))
}
