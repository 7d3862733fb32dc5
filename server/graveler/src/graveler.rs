//! The engine: its collaborators, and helpers that all operations share.
//!
//! The operations are methods of [`Graveler`], split over the crate's files by theme. They reach
//! the key-value store only through collaborators, each of which owns the records of one kind. The
//! engine lives as long as the process and keeps no state for single requests.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, IdGenerator};
use block::BlockStore;
use kv::Store;

use crate::committed::Committed;
use crate::dump::Restores;
use crate::protection::Protection;
use crate::queue::Queue;
use crate::reflog::Reflog;
use crate::refs::RefStore;
use crate::repository_records::Repositories;
use crate::staging::{Materializer, Staging};
use crate::{
    CommitId, Error, Event, EventDetails, HookOutcome, Hooks, MetaRangeId, Options, Repository,
    Result,
};

/// The engine. Cheap to clone; shared by every request.
///
/// Besides the errors that an operation lists, each can fail with [`crate::Error::Kv`],
/// [`crate::Error::Block`] or [`crate::Error::Corrupt`].
#[derive(Debug, Clone)]
pub struct Graveler(Arc<Collaborators>);

/// What all clones of an engine share. Operations reach it as fields of [`Graveler`].
#[derive(Debug)]
pub struct Collaborators {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdGenerator>,
    pub(crate) block: Arc<dyn BlockStore>,
    /// Stored trees.
    pub(crate) committed: Committed,
    /// Branches, tags and commits.
    pub(crate) refs: Arc<RefStore>,
    /// Uncommitted changes.
    pub(crate) staging: Arc<Staging>,
    pub(crate) reflog: Reflog,
    pub(crate) repositories: Repositories,
    pub(crate) restores: Restores,
    pub(crate) protection: Protection,
    pub(crate) queue: Queue,
    pub(crate) materializer: Materializer,
    /// See `Options::brief_hooks`.
    pub(crate) brief_hooks: Duration,
}

impl Deref for Graveler {
    type Target = Collaborators;

    fn deref(&self) -> &Collaborators {
        &self.0
    }
}

impl Graveler {
    /// Builds the engine on its stores.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the engine takes ownership of its options"
    )]
    pub fn new(
        kv: Arc<dyn Store>,
        block: Arc<dyn BlockStore>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
        options: Options,
    ) -> Self {
        let staging = Arc::new(Staging::new(
            Arc::clone(&kv),
            Arc::clone(&clock),
            Arc::clone(&ids),
            options.token_grace,
        ));
        let reflog = Reflog::new(
            Arc::clone(&kv),
            Arc::clone(&clock),
            Arc::clone(&ids),
            Arc::clone(&staging),
            &options,
        );
        Self(Arc::new(Collaborators {
            clock,
            ids,
            committed: Committed::new(Arc::clone(&block), &options),
            block,
            refs: Arc::new(RefStore::new(Arc::clone(&kv), options.commit_cache_entries)),
            staging,
            reflog,
            repositories: Repositories::new(Arc::clone(&kv)),
            restores: Restores::new(Arc::clone(&kv)),
            protection: Protection::new(kv),
            queue: Queue::new(options.max_contention_backoff),
            materializer: Materializer::new(&options),
            brief_hooks: options.brief_hooks,
        }))
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

    /// An event at the current time, with a new run id and the current nesting depth.
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
