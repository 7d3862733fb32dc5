//! Dumps of commits, tags and branches, and repositories made anew from them.
//!
//! The engine writes and reads the trees; here is the manifest that names them, which backup
//! scripts look for in the storage namespace.

use bytes::Bytes;
use graveler::{RefsDump, Repository, RestoreRefs};
use serde::Serialize;
use tracing::{info, instrument};

use crate::{Catalog, Error, Progress, Result};

/// The manifest's name in the server's folder.
const MANIFEST: &str = "refs_manifest.json";

/// Names the trees of the last dump.
#[derive(Debug, Serialize)]
struct Manifest<'a> {
    branches_meta_range_id: &'a str,
    commits_meta_range_id: &'a str,
    tags_meta_range_id: &'a str,
}

impl Catalog {
    /// Dumps all commits, tags and branches into the storage namespace, with the manifest
    /// `_lakefs/refs_manifest.json`. Uncommitted changes are not in it.
    ///
    /// # Errors
    /// The stores'.
    #[instrument(skip_all, fields(repo.id = %repository.id))]
    pub async fn dump_refs(&self, repository: &Repository) -> Result<RefsDump> {
        let (catalog, repository) = (self.clone(), repository.clone());
        self.see_through(async move { catalog.dump(&repository, &Progress::default()).await })
            .await
    }

    /// Fills a bare repository with what a dump in its storage namespace says.
    ///
    /// # Errors
    /// [`graveler::Error::InvalidValue`] if the repository has commits already or the dump is not
    /// sound, with nothing written; [`graveler::Error::NotFound`] for a metarange that is not there.
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
        self.see_through(async move {
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
            Error::InvalidValue(format!("failed to write the dump's manifest: {e}"))
        })?;
        self.put_internal(repository, MANIFEST, Bytes::from(manifest))
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
