//! Repositories: creation, sample data, metadata, deletion.
//!
//! Everything that can be refused is refused before anything is written.

use std::collections::BTreeMap;

use graveler::{
    BranchId, CommitParams, CreateRepository, Kind, NamespaceProblem, Repository, RepositoryId,
};
use tracing::{info, instrument};

use crate::marker::Marker;
use crate::{
    Catalog, Error, MAX_REPOSITORY_METADATA_BYTES, ObjectTarget, Result, UploadOptions, sample,
};

/// The most deletions that one call goes on with.
const MAX_DELETIONS: usize = 1_000;

impl Catalog {
    /// Creates a repository in a namespace of its own (of this store, not in use, not inside of another's or
    /// around it), and marks that with `_lakefs/dummy`. Goes on when the caller goes away.
    ///
    /// A bare repository is the target of a restore, whose namespace is in use already: it is
    /// neither checked for that nor marked. Inside of another's it may not be either.
    ///
    /// # Errors
    /// Name taken; invalid name or default branch; another storage than the only one; [`Error::Namespace`]; too many others are created at the same time.
    #[instrument(skip_all, fields(repo.id = %request.id))]
    pub async fn create_repository(&self, mut request: CreateRepository) -> Result<Repository> {
        RepositoryId::parse(request.id.as_str())?;
        match self.graveler.repository(&request.id).await {
            Err(graveler::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => {
                return Err(Error::Engine(graveler::Error::NotUnique {
                    kind: Kind::Repository,
                    id: request.id.to_string(),
                }));
            }
        }
        BranchId::parse(request.default_branch.as_str())?;
        check_storage(&request.storage_id)?;
        request.storage_namespace = self.namespace(&request.storage_namespace)?;
        let catalog = self.clone();
        self.see_through(async move {
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
        // Also before it waits for its turn.
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

    /// Fills a new repository with sample objects on its default branch, committed; also a read-only one. Goes on
    /// when the caller goes away.
    ///
    /// # Errors
    /// As of uploads and commits.
    #[instrument(skip_all, fields(repo.id = %repository.id))]
    pub async fn add_sample_data(&self, repository: &Repository, committer: &str) -> Result<()> {
        let (catalog, repository) = (self.clone(), repository.clone());
        let committer = committer.to_owned();
        self.see_through(async move { catalog.fill_with_samples(&repository, committer).await })
            .await
    }

    async fn fill_with_samples(&self, repository: &Repository, committer: String) -> Result<()> {
        let branch = repository.default_branch.as_str();
        let made = tokio::task::spawn_blocking(sample::objects);
        let objects = made
            .await
            .expect("making samples does not panic, and nobody cancels it")?;
        for object in objects {
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

    /// Deletes a repository's records; its bytes and the namespace's marker stay.
    ///
    /// # Errors
    /// Not found; read-only unless forced.
    #[instrument(skip_all, fields(repo.id = id))]
    pub async fn delete_repository(&self, id: &str, force: bool) -> Result<()> {
        let Ok(id) = RepositoryId::parse(id) else {
            return Err(Error::Engine(graveler::Error::NotFound {
                kind: Kind::Repository,
                id: id.to_owned(),
            }));
        };
        Ok(self.graveler.delete_repository(&id, force).await?)
    }

    /// The repository's key-value metadata.
    ///
    /// # Errors
    /// The record store's.
    pub async fn repository_metadata(
        &self,
        repository: &Repository,
    ) -> Result<BTreeMap<String, String>> {
        Ok(self.graveler.repository_metadata(repository).await?)
    }

    /// Sets keys of the metadata; others stay.
    ///
    /// # Errors
    /// If it would have more than [`MAX_REPOSITORY_METADATA_BYTES`]; too many others change it at the same time;
    /// read-only; the record store's.
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

    /// Removes keys of the metadata; no error if absent.
    ///
    /// # Errors
    /// The record store's.
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

    /// Checks a storage namespace, and gives the spelling in which repositories keep it: `local:///name` is
    /// `local://name`. Permissions are asked for by that spelling.
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

    /// Goes on with deletions that a server was stopped in, a bounded number of them. Gives that number.
    ///
    /// # Errors
    /// The record store's; the next call tries again.
    pub async fn finish_deletions(&self) -> Result<usize> {
        Ok(self.graveler.finish_deletions(MAX_DELETIONS).await?)
    }
}

/// An installation has one block store, whose id is empty.
fn check_storage(id: &str) -> Result<()> {
    if id.is_empty() {
        return Ok(());
    }
    Err(Error::advised(
        "storage_id must be empty: this server has one block store",
        "leave out `storage_id`",
    ))
}
