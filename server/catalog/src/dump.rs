//! Dumps commits, tags and branches, and restores repositories from dumps.
//!
//! The engine writes and reads the trees of a dump. This module writes the manifest with their
//! ids, which backup scripts read from the storage namespace.

use bytes::Bytes;
use graveler::{RefsDump, Repository, RestoreRefs};
use serde::Serialize;
use tracing::{info, instrument};

use crate::{Catalog, Error, Progress, Result};

/// The file name of the manifest, below `_lakefs/`.
const MANIFEST: &str = "refs_manifest.json";

/// The tree ids of the most recent dump.
#[derive(Debug, Serialize)]
struct Manifest<'a> {
    branches_meta_range_id: &'a str,
    commits_meta_range_id: &'a str,
    tags_meta_range_id: &'a str,
}

impl Catalog {
    /// Dumps all commits, tags and branches into the storage namespace, with the manifest
    /// `_lakefs/refs_manifest.json`. Uncommitted changes are not included.
    ///
    /// # Errors
    /// [`Error::TooManyChanges`]; errors of the record store or the block store.
    #[instrument(skip_all, fields(repo.id = %repository.id))]
    pub async fn dump_refs(&self, repository: &Repository) -> Result<RefsDump> {
        let (catalog, repository) = (self.clone(), repository.clone());
        self.run_repository_change(
            async move { catalog.dump(&repository, &Progress::default()).await },
        )
        .await
    }

    /// Fills a bare repository from a dump in its storage namespace.
    ///
    /// # Errors
    /// [`Error::NotBare`] if the repository has commits; [`Error::InvalidValue`] or [`Error::Advised`] if the dump is
    /// inconsistent; [`Error::NotFound`] for a missing metarange. Nothing is written then. [`Error::MovedOn`],
    /// [`Error::NotUnique`] or [`Error::ConcurrentChange`] if references change during the restore; some records are
    /// written then. [`Error::TooManyChanges`].
    #[instrument(skip_all, fields(repo.id = %repository.id))]
    pub async fn restore_refs(
        &self,
        repository: &Repository,
        dump: &RefsDump,
        force: bool,
        actor: &str,
    ) -> Result<()> {
        let (catalog, repository, dump) = (self.clone(), repository.clone(), dump.clone());
        let actor = actor.to_owned();
        self.run_repository_change(async move {
            catalog
                .restore(
                    &repository,
                    &RestoreRefs {
                        dump: &dump,
                        force,
                        actor: &actor,
                        token: "",
                    },
                    &Progress::default(),
                )
                .await
        })
        .await
    }

    pub(crate) async fn dump(
        &self,
        repository: &Repository,
        progress: &Progress,
    ) -> Result<RefsDump> {
        let dump = self
            .graveler
            .dump_refs(repository, &|records| progress.add(records))
            .await?;
        let manifest = Manifest {
            branches_meta_range_id: dump.branches.as_str(),
            commits_meta_range_id: dump.commits.as_str(),
            tags_meta_range_id: dump.tags.as_str(),
        };
        let manifest = serde_json::to_vec_pretty(&manifest).map_err(|e| {
            Error::InvalidValue(format!("failed to encode the manifest of the dump: {e}"))
        })?;
        self.internal_files
            .put(repository, MANIFEST, Bytes::from(manifest))
            .await?;
        info!("dumped the refs of {}", repository.id);
        Ok(dump)
    }

    pub(crate) async fn restore(
        &self,
        repository: &Repository,
        restore: &RestoreRefs<'_>,
        progress: &Progress,
    ) -> Result<()> {
        self.graveler
            .restore_refs(repository, restore, &|records| progress.add(records))
            .await?;
        info!("restored the refs of {}", repository.id);
        Ok(())
    }
}
