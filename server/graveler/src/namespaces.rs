//! Storage namespaces: no two repositories share one, and none lies inside of another's.
//!
//! Namespaces are compared as places, not as text: the block store says how it calls them itself, for one
//! folder may be spelled in many ways.
//!
//! Two creations that look at the same time would both find their namespaces free. So all creations of an
//! installation come one after the other: each replaces the one record of `weir-namespaces` in the
//! batch that makes its repository, if it is still the one that was read before the look.

use async_trait::async_trait;

use crate::engine::Engine;
use crate::records::{REPOSITORIES, REPOSITORY_PREFIX};
use crate::refs::{Listing, list};
use crate::{CreateRepository, Error, NamespaceProblem, Repository, Result};

/// How many repositories are looked at in one round trip.
const PAGE: usize = 1_000;

/// What a creation does with the namespace itself before its repository exists.
#[async_trait]
pub trait Claim: Send + Sync {
    /// Checks that nothing is in the namespace, and marks it. Called again, perhaps several times, if others
    /// create repositories at the same time.
    ///
    /// # Errors
    /// [`Error::Namespace`], [`Error::Block`]: nothing is created.
    async fn claim(&self) -> Result<()>;
}

/// Claims nothing: the records alone tell which namespaces are in use.
#[derive(Debug, Clone, Copy)]
pub struct NoClaim;

#[async_trait]
impl Claim for NoClaim {
    async fn claim(&self) -> Result<()> {
        Ok(())
    }
}

impl Engine {
    /// Refuses a namespace inside of another repository's or around it: garbage collection of the
    /// one would take the other's objects for its own, which nobody names.
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

    /// Whether a repository, in whatever state, has exactly this namespace.
    pub(crate) async fn has_namespace(&self, namespace: &str) -> Result<bool> {
        let found = self.repository_at(namespace, |one, other| one == other);
        Ok(found.await?.is_some())
    }

    /// A repository, in whatever state, whose storage namespace is inside of `namespace` or around
    /// it, or the same where `or_same`. Reads the records of all repositories, a page at a time.
    pub(crate) async fn overlapping_repository(
        &self,
        namespace: &str,
        or_same: bool,
    ) -> Result<Option<Repository>> {
        self.repository_at(namespace, |one, other| overlap(one, other, or_same))
            .await
    }

    /// The first repository whose namespace is to `namespace` as `relation` wants it, of the canonical forms.
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
            let page = list(
                self.kv.as_ref(),
                REPOSITORIES,
                REPOSITORY_PREFIX,
                range,
                |r: &Repository| r.id.to_string(),
                |_| true,
            )
            .await?;
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

/// Whether one of two namespaces is inside of the other.
fn overlap(one: &str, other: &str, or_same: bool) -> bool {
    let is_below = |inner: &str, outer: &str| {
        let rest = inner.strip_prefix(outer);
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    (or_same && one == other) || is_below(one, other) || is_below(other, one)
}
