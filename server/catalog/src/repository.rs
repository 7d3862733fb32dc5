//! Repositories: claiming a storage namespace, creation, sample data, metadata.
//!
//! Everything that can be refused is refused before anything is written, and a
//! namespace is marked before the repository that claims it exists.

use std::collections::BTreeMap;

use block::Location;
use bytes::Bytes;
use graveler::{BranchId, CommitParams, CreateRepository, Kind, Repository, RepositoryId};
use tracing::{info, instrument, warn};

use crate::{Catalog, Error, MAX_REPOSITORY_METADATA_BYTES, Result, Upload, UploadOptions};

/// Marks a namespace as in use.
const MARKER: &str = "_lakefs/dummy";
/// Where releases of long ago put the marker.
const LEGACY_MARKER: &str = "dummy";
const MARKER_TEXT: &str = "This file marks the storage namespace as in use by a repository.\n";

/// The most deletions that one call goes on with.
const MAX_DELETIONS: usize = 1_000;

/// The objects of a sample repository: path, content type, bytes.
const SAMPLE: &[(&str, &str, &[u8])] = &[
    (
        "README.md",
        "text/markdown",
        include_bytes!("../sample/README.md"),
    ),
    (
        "lakes.csv",
        "text/csv",
        include_bytes!("../sample/lakes.csv"),
    ),
    (
        "levels/year=2023/levels.csv",
        "text/csv",
        include_bytes!("../sample/levels-2023.csv"),
    ),
    (
        "levels/year=2024/levels.csv",
        "text/csv",
        include_bytes!("../sample/levels-2024.csv"),
    ),
];

impl Catalog {
    /// Checks the namespace (scheme, in use, inside of another's), marks it with `_lakefs/dummy`, then creates.
    ///
    /// A bare repository is the target of a restore, whose namespace is in use already: it is
    /// neither checked for that nor marked. Inside of another's it may not be either.
    ///
    /// # Errors
    /// Name taken; invalid name or default branch; [`Error::Namespace`].
    #[instrument(skip_all, fields(repo.id = %request.id))]
    pub async fn create_repository(&self, request: CreateRepository) -> Result<Repository> {
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
        self.check_namespace(&request.storage_namespace)?;
        if !request.bare {
            self.check_unmarked(&request.storage_namespace).await?;
        }
        self.check_overlap(&request).await?;
        if request.bare {
            return Ok(self.graveler.create_repository(request).await?);
        }

        let (id, namespace) = (request.id.clone(), request.storage_namespace.clone());
        let marker = self.claim_namespace(&namespace).await?;
        let created = self.graveler.create_repository(request).await;
        if let Err(graveler::Error::NotUnique { .. } | graveler::Error::InvalidValue(_)) = created
            && !self.is_claimed_by(&id, &namespace).await
        {
            // Certainly not created: another took the name just now. The namespace is free again.
            if let Err(error) = self.block.delete(&marker).await {
                warn!(%error, "failed to free namespace marker {marker}");
            }
        }
        let repository = created?;
        info!(repo.id = %repository.id, "created repository {} in {}", repository.id, repository.storage_namespace);
        Ok(repository)
    }

    /// Fills a new repository with sample objects on its default branch, committed.
    ///
    /// # Errors
    /// As of uploads and commits.
    #[instrument(skip_all, fields(repo.id = %repository.id))]
    pub async fn add_sample_data(&self, repository: &Repository, committer: &str) -> Result<()> {
        let branch = repository.default_branch.as_str();
        for &(path, content_type, bytes) in SAMPLE {
            let options = UploadOptions {
                content_type: content_type.to_owned(),
                force: true,
                ..UploadOptions::default()
            };
            let to = Upload {
                repository,
                branch,
                path,
            };
            self.upload(to, block::from_bytes(Bytes::from_static(bytes)), options)
                .await?;
        }
        let params = CommitParams {
            committer: committer.to_owned(),
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
    /// If it would have more than [`MAX_REPOSITORY_METADATA_BYTES`]; the record store's.
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

    fn check_namespace(&self, namespace: &str) -> Result<()> {
        match self.block.check_namespace(namespace) {
            Err(block::Error::InvalidAddress { address, reason }) => Err(Error::Namespace(
                format!("invalid namespace {address:?}: {reason}"),
            )),
            checked => Ok(checked?),
        }
    }

    /// Refuses a namespace inside of another repository's or around it: garbage collection of the
    /// one would take the other's objects for its own, which nobody names.
    async fn check_overlap(&self, request: &CreateRepository) -> Result<()> {
        let namespace = &request.storage_namespace;
        let other = self
            .graveler
            .overlapping_repository(namespace, !request.bare)
            .await?;
        let Some(other) = other else {
            return Ok(());
        };
        let (id, theirs) = (other.id, other.storage_namespace);
        Err(Error::Namespace(format!(
            "storage namespace already in use: {namespace} and {theirs} of repository {id:?} are the same or inside of each other; choose a folder beside it",
            id = id.as_str(),
        )))
    }

    /// Goes on with deletions that a server was stopped in, a bounded number of them. Gives that number.
    ///
    /// # Errors
    /// The record store's; the next call tries again.
    pub async fn finish_deletions(&self) -> Result<usize> {
        Ok(self.graveler.finish_deletions(MAX_DELETIONS).await?)
    }

    /// Whether a repository that was made just now lies in the namespace; in doubt it does.
    async fn is_claimed_by(&self, id: &RepositoryId, namespace: &str) -> bool {
        match self.graveler.repository(id).await {
            Ok(repository) => {
                let bare = |namespace: &str| namespace.trim_end_matches('/').to_owned();
                bare(&repository.storage_namespace) == bare(namespace)
            }
            Err(graveler::Error::NotFound { .. }) => false,
            Err(_) => true,
        }
    }

    async fn check_unmarked(&self, namespace: &str) -> Result<()> {
        for key in [MARKER, LEGACY_MARKER] {
            if self
                .block
                .properties(&Location::below(namespace, key))
                .await?
                .is_some()
            {
                return Err(Error::Namespace(format!(
                    "found objects of a repository in {namespace} (key {key}): storage namespace already in use"
                )));
            }
        }
        Ok(())
    }

    /// Proves that the namespace can be written, and marks it.
    async fn claim_namespace(&self, namespace: &str) -> Result<Location> {
        let marker = Location::below(namespace, MARKER);
        self.block
            .put(
                &marker,
                block::from_bytes(Bytes::from_static(MARKER_TEXT.as_bytes())),
            )
            .await?;
        Ok(marker)
    }
}
