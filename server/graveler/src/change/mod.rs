//! Changes of a branch that end in a new commit: commit, merge, revert, cherry-pick.
//!
//! [`Graveler::apply`] is the one algorithm for all of them: acquire the branch's permit, build a
//! candidate tree on the head, let the hooks judge it, and land it as the new head. A [`Change`]
//! says how its tree is built, how its commit is described and which events it has.
//!
//! Hooks never run inside a compare-and-set. If another change moves the head while they run, the
//! candidate is built again on the new head. If that makes a different commit, hooks judge it
//! again: the new head may have other action files, and the commit's changes are now relative to
//! it.

mod cherry_pick;
mod commit;
mod landing;
mod merge;
mod replay;
mod revert;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use base::OffsetDateTime;

use crate::checks::count_retry;
use crate::commit_participant::{CommitParticipant, CommitStep};
use crate::committed::Merged;
use crate::ident::commit_id;
use crate::queue::ChangePermit;
use crate::refs::StoredBranch;
use crate::{
    After, BranchId, Commit, CommitId, CommitPreparation, CommitProposal, Draft, Error,
    EventDetails, Graveler, Hooks, LandedCommit, MetaRangeId, Operation, Repository, Result,
};

#[cfg(test)]
pub(crate) use landing::MAX_SEALED_TOKENS;

/// Maximum number of attempts of a change while the head keeps moving. A retry recomputes only what moved, so a change
/// can afford to lose many races against another server.
pub(crate) const MAX_TRIES: usize = 50;
/// The version of commits made here: the first parent is the branch's previous head.
const COMMIT_VERSION: i32 = 1;
/// From this attempt on (counted from 0), a change keeps the branch's permit for as long as its hooks
/// run, so that it cannot lose again to a change on the same server.
const KEEP_PERMIT_FROM_ATTEMPT: usize = 2;

/// A change of a branch.
#[async_trait]
pub(crate) trait Change: Send + Sync {
    /// The kind of change, for the reflog.
    fn operation(&self) -> Operation;

    /// Builds the tree of the new commit on the branch's head. `before` is the merge of the
    /// previous attempt, if it made one. `None`: the branch changed meanwhile; start over.
    async fn candidate(
        &self,
        engine: &Graveler,
        target: Target<'_>,
        before: Option<&Merged>,
    ) -> Result<Option<Candidate>>;

    /// Describes the new commit.
    fn commit(&self, candidate: &Candidate) -> Commit;

    /// The preparation that prepare-commit hooks judge before the change is made on a branch with
    /// this head; `None` if the change has no such hooks. They run again if the head's tree
    /// changes, since its action files may have changed with it.
    fn preparation(&self, _branch: &BranchId, _head: &Commit) -> Option<CommitPreparation> {
        None
    }

    /// The event that asks hooks whether the change may land; `id` is the new commit's id.
    fn pre_event(&self, proposal: CommitProposal, id: &CommitId) -> EventDetails;

    /// The event that tells hooks that the change landed.
    fn post_event(&self, landed: After<LandedCommit>) -> EventDetails;
}

/// The branch that a change is made on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub repository: &'a Repository,
    pub branch: &'a BranchId,
}

/// The tree of a change, and the state of the branch that it builds on.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub at: StoredBranch,
    pub head: Arc<Commit>,
    pub tree: MetaRangeId,
    /// The merge that made the tree, so that the next attempt recomputes only what moved.
    pub merged: Option<Merged>,
}

/// A commit that the hooks allowed, and the id of their run if any action ran.
#[derive(Debug)]
struct Verdict {
    commit_id: CommitId,
    run_id: Option<String>,
}

impl Graveler {
    /// Makes a change of a branch and returns its commit. `prepared_on` is the head's tree for
    /// which the change was [prepared](Change::preparation), if it was.
    ///
    /// # Errors
    /// Those of the change; [`Error::Rejected`] if a hook refuses; [`Error::ConcurrentChange`] if a
    /// predicate of the participant's writes fails; [`Error::TooManyTries`] if the head keeps
    /// moving.
    async fn apply(
        &self,
        target: Target<'_>,
        change: &dyn Change,
        mut prepared_on: Option<MetaRangeId>,
        hooks: &dyn Hooks,
        participant: &dyn CommitParticipant,
    ) -> Result<Commit> {
        let mut verdict: Option<Verdict> = None;
        let mut built: Option<Candidate> = None;
        let mut held: Option<ChangePermit> = None;
        for attempt in 0..MAX_TRIES {
            let mut permit = match held.take() {
                Some(permit) => permit,
                None => self.queue.acquire(target.repository, target.branch).await?,
            };
            let before = built.as_ref().and_then(|built| built.merged.as_ref());
            let Some(candidate) = change.candidate(self, target, before).await? else {
                continue;
            };
            if prepared_on.as_ref() != Some(&candidate.head.meta_range_id)
                && let Some(preparation) = change.preparation(target.branch, &candidate.head)
            {
                let prepare = self.prepare(target, preparation, hooks);
                let run_id;
                (run_id, permit) = self
                    .run_with_permit(target, permit, attempt, prepare)
                    .await?;
                prepared_on = Some(candidate.head.meta_range_id.clone());
                if run_id.is_some() {
                    // The hooks may have staged changes that the commit must contain.
                    held = Some(permit);
                    continue;
                }
            }
            participant.on_step(CommitStep::Built);
            let mut commit = change.commit(&candidate);
            let is_judged = |verdict: &Verdict| verdict.commit_id == commit.id;
            if !verdict.as_ref().is_some_and(is_judged) {
                let commits = (&commit, candidate.head.as_ref());
                let judged = self.judge(target, (permit, attempt), change, commits, hooks);
                let new;
                (new, permit) = judged.await?;
                verdict = Some(new);
            }
            participant.on_step(CommitStep::Judged);
            let operation = change.operation();
            let landing = self.land(target, &candidate.at, &mut commit, operation, participant);
            if landing.await?.release(permit) {
                let commits = (&commit, candidate.head.as_ref());
                self.announce(target, change, commits, verdict, hooks).await;
                return Ok(commit);
            }
            count_retry(retry_label(operation));
            built = Some(candidate);
        }
        Err(Error::TooManyTries(format!("branch {}", target.branch)))
    }

    /// Runs the prepare-commit hooks. Returns the id of their run if any action ran.
    async fn prepare(
        &self,
        target: Target<'_>,
        preparation: CommitPreparation,
        hooks: &dyn Hooks,
    ) -> Result<Option<String>> {
        let actor = preparation.draft.committer.clone();
        let details = EventDetails::PrepareCommit(preparation);
        let event = self.event(target.repository, &actor, details);
        self.run_pre_hooks(hooks, &event).await
    }

    /// Runs the pre-hooks of a commit. Returns their verdict and the branch's permit, acquired again
    /// if it was given up meanwhile.
    async fn judge(
        &self,
        target: Target<'_>,
        (permit, attempt): (ChangePermit, usize),
        change: &dyn Change,
        (commit, head): (&Commit, &Commit),
        hooks: &dyn Hooks,
    ) -> Result<(Verdict, ChangePermit)> {
        let proposal = CommitProposal {
            branch: target.branch.clone(),
            draft: draft_of(commit),
            base: head.meta_range_id.clone(),
        };
        let details = change.pre_event(proposal, &commit.id);
        let event = self.event(target.repository, &commit.committer, details);
        let run = self.run_pre_hooks(hooks, &event);
        let (run_id, permit) = self.run_with_permit(target, permit, attempt, run).await?;
        let commit_id = commit.id.clone();
        Ok((Verdict { commit_id, run_id }, permit))
    }

    /// Runs `hooks`, and gives up the branch's permit if they take longer than
    /// [`Options::brief_hooks`](crate::Options::brief_hooks). From attempt
    /// [`KEEP_PERMIT_FROM_ATTEMPT`] on, keeps the permit until they finish. Returns the permit, acquired
    /// again if it was given up.
    async fn run_with_permit<T: Send>(
        &self,
        target: Target<'_>,
        permit: ChangePermit,
        attempt: usize,
        hooks: impl Future<Output = Result<T>> + Send,
    ) -> Result<(T, ChangePermit)> {
        if attempt >= KEEP_PERMIT_FROM_ATTEMPT {
            return Ok((hooks.await?, permit));
        }
        let mut hooks = std::pin::pin!(hooks);
        match tokio::time::timeout(self.brief_hooks, &mut hooks).await {
            Ok(verdict) => Ok((verdict?, permit)),
            Err(_) => {
                drop(permit);
                let verdict = hooks.await?;
                let permit = self.queue.acquire(target.repository, target.branch);
                Ok((verdict, permit.await?))
            }
        }
    }

    /// Tells the hooks that a commit landed on `head`.
    async fn announce(
        &self,
        target: Target<'_>,
        change: &dyn Change,
        (commit, head): (&Commit, &Commit),
        verdict: Option<Verdict>,
        hooks: &dyn Hooks,
    ) {
        let landed = LandedCommit {
            branch: target.branch.clone(),
            commit_id: commit.id.clone(),
            draft: draft_of(commit),
            base: head.meta_range_id.clone(),
        };
        let details = change.post_event(After {
            pre_run_id: verdict.and_then(|verdict| verdict.run_id),
            change: landed,
        });
        let event = self.event(target.repository, &commit.committer, details);
        self.run_post_hooks(hooks, event).await;
    }
}

/// The name of a change in the metric of retries.
fn retry_label(operation: Operation) -> &'static str {
    match operation {
        Operation::Commit => "commit",
        Operation::Merge => "merge",
        _ => "replay",
    }
}

/// The commit as hooks see it.
fn draft_of(commit: &Commit) -> Draft {
    Draft {
        message: commit.message.clone(),
        committer: commit.committer.clone(),
        metadata: commit.metadata.clone(),
        creation_date: commit.creation_date,
        meta_range_id: commit.meta_range_id.clone(),
        parents: commit.parents.clone(),
        version: commit.version,
    }
}

/// The content of a commit that has no id yet.
#[derive(Debug)]
struct NewCommit<'a> {
    committer: &'a str,
    message: &'a str,
    metadata: &'a BTreeMap<String, String>,
    date: OffsetDateTime,
    /// The branch's head comes first.
    parents: Vec<CommitId>,
    generation: i32,
}

impl Candidate {
    /// Builds the commit of the candidate's tree and computes its id from its content.
    fn commit(&self, new: NewCommit<'_>) -> Commit {
        let mut commit = Commit {
            id: CommitId::trusted(""),
            committer: new.committer.to_owned(),
            message: new.message.to_owned(),
            creation_date: new.date,
            meta_range_id: self.tree.clone(),
            metadata: new.metadata.clone(),
            parents: new.parents,
            version: COMMIT_VERSION,
            generation: new.generation,
        };
        commit.id = commit_id(&commit);
        commit
    }
}
