//! Storage namespaces: no two repositories share one, and none lies inside another's.
//!
//! One folder can be spelled in many ways, so namespaces are compared in the canonical form that
//! the block store gives them.
//!
//! Two concurrent creations could both find their namespaces free. All creations of an installation
//! are therefore serialized: each replaces the one record of `weir-namespaces` in the batch that
//! creates its repository, by compare-and-set from the version it read before the check.

use async_trait::async_trait;

use crate::refs::Listing;
use crate::{CreateRepository, Error, Graveler, NamespaceProblem, Repository, Result};

/// How many repositories are read in one round trip.
const PAGE: usize = 1_000;

/// Reserves a storage namespace before its repository exists.
#[async_trait]
pub trait NamespaceClaim: Send + Sync {
    /// Checks that the namespace is empty, and marks it. May be called several times if other
    /// repositories are created concurrently.
    ///
    /// # Errors
    /// [`Error::Namespace`], [`Error::Block`]; the repository is not created then.
    async fn claim(&self) -> Result<()>;
}

/// Reserves nothing. Only the records decide which namespaces are in use.
#[derive(Debug, Clone, Copy)]
pub struct NoNamespaceClaim;

#[async_trait]
impl NamespaceClaim for NoNamespaceClaim {
    async fn claim(&self) -> Result<()> {
        Ok(())
    }
}

impl Graveler {
    /// Refuses a namespace that overlaps another repository's: one contains the other, or they are
    /// equal. A bare repository may have an equal namespace. If namespaces overlapped, garbage
    /// collection of one repository would delete the objects of the other, because the first repository does not refer
    /// to them.
    pub(crate) async fn check_overlap(&self, request: &CreateRepository) -> Result<()> {
        let namespace = &request.storage_namespace;
        let Some(other) = self
            .overlapping_repository(namespace, !request.bare)
            .await?
        else {
            return Ok(());
        };
        let (id, theirs) = (other.id, other.storage_namespace);
        Err(Error::Namespace(NamespaceProblem::Overlaps {
            namespace: namespace.clone(),
            theirs,
            repository: id.to_string(),
        }))
    }

    /// Whether a repository in any state has exactly this storage namespace, in any spelling.
    pub async fn has_namespace(&self, namespace: &str) -> Result<bool> {
        let found = self.repository_at(namespace, |one, other| one == other);
        Ok(found.await?.is_some())
    }

    /// A repository, in any state, whose namespace contains `namespace` or lies inside it, or
    /// equals it if `or_same`. Reads the records of all repositories, page by page.
    pub(crate) async fn overlapping_repository(
        &self,
        namespace: &str,
        or_same: bool,
    ) -> Result<Option<Repository>> {
        self.repository_at(namespace, |one, other| overlap(one, other, or_same))
            .await
    }

    /// The first repository whose canonical namespace has the given `relation` to that of
    /// `namespace`.
    async fn repository_at(
        &self,
        namespace: &str,
        relation: impl Fn(&str, &str) -> bool + Send,
    ) -> Result<Option<Repository>> {
        let own = self.canonical(vec![namespace.to_owned()]).await;
        let mut after = String::new();
        loop {
            let range = Listing {
                prefix: "",
                after: &after,
                limit: PAGE,
            };
            let page = self.repositories.list(range, |_| true).await?;
            let theirs = page.results.iter().map(|r| r.storage_namespace.clone());
            let theirs = self.canonical(theirs.collect()).await;
            let mut pairs = page.results.into_iter().zip(theirs);
            let found = pairs.find(|(_, theirs)| own.iter().any(|own| relation(own, theirs)));
            if found.is_some() || !page.has_more {
                return Ok(found.map(|(repository, _)| repository));
            }
            after = page.next_offset;
        }
    }

    async fn canonical(&self, namespaces: Vec<String>) -> Vec<String> {
        self.block.canonical_namespaces(namespaces).await
    }
}

/// Whether one of two namespaces lies inside the other, or they are equal and `or_same`.
fn overlap(one: &str, other: &str, or_same: bool) -> bool {
    let is_below = |inner: &str, outer: &str| {
        let rest = inner.strip_prefix(outer);
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    (or_same && one == other) || is_below(one, other) || is_below(other, one)
}
