//! State shared by all operations of the engine: stores, caches, queue, janitor.
//!
//! The operations are `impl Engine` blocks, one module each. An [`Engine`] lives as long as the
//! process and holds no state of single requests.

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, IdGenerator, OffsetDateTime};
use block::BlockStore;
use kv::Store;

use crate::committed::Committed;
use crate::protection::{Protection, rules_of};
use crate::queue::{Queue, Turn};
use crate::records::PROTECTED_BRANCHES;
use crate::refs::Refs;
use crate::repository_cache::RepositoryCache;
use crate::staging::{Janitor, Materializer};
use crate::{
    BranchId, Commit, CommitId, Error, Event, EventDetails, HookOutcome, Hooks, MetaRangeId,
    Options, Repository, Result, StagingToken,
};

#[derive(Debug)]
pub(crate) struct Engine {
    pub kv: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdGenerator>,
    pub block: Arc<dyn BlockStore>,
    pub committed: Committed,
    pub refs: Refs,
    pub repositories: RepositoryCache,
    pub protection: Protection,
    pub queue: Queue,
    pub janitor: Janitor,
    pub materializer: Materializer,
    pub brief_hooks: Duration,
    pub token_grace: Duration,
    pub keep_staged: Duration,
    pub keep_reflog: Duration,
}

impl Engine {
    pub(crate) fn new(
        kv: Arc<dyn Store>,
        block: Arc<dyn BlockStore>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
        options: &Options,
    ) -> Self {
        Self {
            block: Arc::clone(&block),
            committed: Committed::new(block, options),
            refs: Refs::new(Arc::clone(&kv), options.commit_cache_entries),
            repositories: RepositoryCache::new(),
            protection: Protection::new(Arc::clone(&kv)),
            queue: Queue::new(options.max_rival_backoff),
            janitor: Janitor::new(Arc::clone(&kv), options.token_grace),
            materializer: Materializer::new(options),
            token_grace: options.token_grace,
            keep_staged: options.keep_staged,
            keep_reflog: options.keep_reflog,
            brief_hooks: options.brief_hooks,
            kv,
            clock,
            ids,
        }
    }

    /// Waits for this server's turn to change the branch protection rules of a repository.
    pub(crate) async fn protection_turn(&self, repository: &Repository) -> Result<Turn> {
        let (partition, what) = (repository.partition(), rules_of(repository));
        self.queue
            .turn_for_record(partition, PROTECTED_BRANCHES, &what)
            .await
    }

    /// Whether the tokens that a branch named at `then` are still guaranteed to keep their rows.
    ///
    /// Retired tokens are emptied after the grace period. Half of it is the limit here, so that a
    /// caller can go on using the tokens for the other half.
    pub(crate) fn is_recent(&self, then: OffsetDateTime) -> bool {
        self.token_grace.is_zero() || self.clock.now() - then <= self.token_grace / 2
    }

    /// A new staging token; no branch has ever named it.
    pub(crate) fn new_staging_token(
        &self,
        repository: &Repository,
        branch: &BranchId,
    ) -> StagingToken {
        StagingToken::trusted(format!("{}-{branch}:{}", repository.id, self.ids.uuid()))
    }

    /// The metarange id of a commit.
    pub(crate) async fn tree_of(
        &self,
        repository: &Repository,
        commit: &CommitId,
    ) -> Result<MetaRangeId> {
        Ok(self
            .refs
            .commit(repository, commit)
            .await?
            .meta_range_id
            .clone())
    }

    /// An event of now.
    pub(crate) fn event(
        &self,
        repository: &Repository,
        actor: &str,
        details: EventDetails,
    ) -> Event {
        let time = self.clock.now();
        Event {
            run_id: self.ids.descending_run_id(time),
            time,
            repository: repository.clone(),
            actor: actor.to_owned(),
            depth: crate::nesting::current_depth(),
            details,
        }
    }

    /// Runs the hooks of a prepare- or pre-event; returns the run's id if an action ran. Skips
    /// read-only repositories.
    ///
    /// # Errors
    /// [`Error::Rejected`] if a hook refuses.
    pub(crate) async fn run_pre_hooks(
        &self,
        hooks: &dyn Hooks,
        event: &Event,
    ) -> Result<Option<String>> {
        if event.repository.read_only {
            return Ok(None);
        }
        match hooks.before(event).await {
            Ok(HookOutcome { ran, .. }) => Ok(ran.then(|| event.run_id.clone())),
            Err(rejection) => Err(Error::Rejected(rejection)),
        }
    }

    /// Hands a post-event to the hooks. Skips read-only repositories.
    pub(crate) async fn run_post_hooks(&self, hooks: &dyn Hooks, event: Event) {
        if !event.repository.read_only {
            hooks.after(event).await;
        }
    }
}

/// Refuses changes of a read-only repository, unless forced.
pub(crate) fn check_read_only(repository: &Repository, force: bool) -> Result<()> {
    if repository.read_only && !force {
        return Err(Error::ReadOnly(repository.id.to_string()));
    }
    Ok(())
}

/// The generation of a commit on top of `parents`.
pub(crate) fn generation_after<'a>(parents: impl IntoIterator<Item = &'a Commit>) -> i32 {
    parents
        .into_iter()
        .map(|p| p.generation)
        .max()
        .unwrap_or(0)
        .saturating_add(1)
}

/// Counts a lost compare-and-set that will be retried.
pub(crate) fn count_retry(operation: &'static str) {
    metrics::counter!("graveler_kv_retries", "operation" => operation).increment(1);
}
