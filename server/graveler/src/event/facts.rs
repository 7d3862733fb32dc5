//! The facts that each kind of event has, and accessors that do not depend on the kind.

use super::{
    BranchCreation, BranchDeletion, CommitPreparation, CommitProposal, Draft, Event, EventDetails,
    EventKind, LandedCommit, LandedMerge, MergeProposal, TagChange, TreeSource,
};
use crate::{BranchId, CommitId, MetaRangeId, TagId};

/// All facts of an event, as documented on the accessors of [`Event`]. `None`: its kind does not
/// have the fact.
#[derive(Debug, Clone, Copy)]
struct Facts<'a> {
    branch: Option<&'a BranchId>,
    tag: Option<&'a TagId>,
    source_ref: &'a str,
    merge_source: Option<&'a str>,
    commit_id: Option<&'a CommitId>,
    commit: Option<&'a Draft>,
    actions_from: TreeSource<'a>,
    candidate: Option<&'a MetaRangeId>,
    base: Option<&'a MetaRangeId>,
    source: Option<&'a MetaRangeId>,
}

impl<'a> Facts<'a> {
    /// The facts that every kind has.
    fn new(source_ref: &'a str, actions_from: TreeSource<'a>) -> Self {
        Self {
            branch: None,
            tag: None,
            source_ref,
            merge_source: None,
            commit_id: None,
            commit: None,
            actions_from,
            candidate: None,
            base: None,
            source: None,
        }
    }
}

impl CommitPreparation {
    fn facts(&self) -> Facts<'_> {
        Facts {
            branch: Some(&self.branch),
            commit: Some(&self.draft),
            base: Some(&self.draft.meta_range_id),
            ..Facts::new(self.branch.as_str(), TreeSource::Branch(&self.branch))
        }
    }
}

impl CommitProposal {
    fn facts<'a>(&'a self, actions_from: TreeSource<'a>) -> Facts<'a> {
        Facts {
            branch: Some(&self.branch),
            commit: Some(&self.draft),
            candidate: Some(&self.draft.meta_range_id),
            base: Some(&self.base),
            ..Facts::new(self.branch.as_str(), actions_from)
        }
    }

    /// A commit's action files are those of the branch with its staged changes.
    fn commit_facts(&self) -> Facts<'_> {
        self.facts(TreeSource::Branch(&self.branch))
    }

    /// The action files of a revert or cherry-pick are those of the head, since nothing is staged.
    fn replay_facts(&self) -> Facts<'_> {
        self.facts(TreeSource::MetaRange(&self.base))
    }
}

impl MergeProposal {
    fn facts(&self) -> Facts<'_> {
        let source = &self.source;
        Facts {
            source_ref: source.commit_id.as_str(),
            merge_source: Some(&source.name),
            commit_id: Some(&self.commit_id),
            source: Some(&source.meta_range_id),
            ..self
                .commit
                .facts(TreeSource::MetaRange(&source.meta_range_id))
        }
    }
}

impl LandedCommit {
    fn facts(&self) -> Facts<'_> {
        let tree = &self.draft.meta_range_id;
        Facts {
            branch: Some(&self.branch),
            commit_id: Some(&self.commit_id),
            commit: Some(&self.draft),
            candidate: Some(tree),
            base: Some(&self.base),
            ..Facts::new(self.commit_id.as_str(), TreeSource::MetaRange(tree))
        }
    }
}

impl LandedMerge {
    fn facts(&self) -> Facts<'_> {
        Facts {
            merge_source: Some(&self.source.name),
            source: Some(&self.source.meta_range_id),
            ..self.commit.facts()
        }
    }
}

impl BranchCreation {
    fn facts(&self) -> Facts<'_> {
        Facts {
            branch: Some(&self.branch),
            commit_id: Some(&self.commit_id),
            ..Facts::new(&self.source, TreeSource::MetaRange(&self.meta_range_id))
        }
    }
}

impl BranchDeletion {
    /// As in lakeFS, the head is only the source reference, not the commit id.
    fn facts(&self) -> Facts<'_> {
        Facts {
            branch: Some(&self.branch),
            ..Facts::new(
                self.head.as_str(),
                TreeSource::MetaRange(&self.meta_range_id),
            )
        }
    }
}

impl TagChange {
    fn facts(&self) -> Facts<'_> {
        Facts {
            tag: Some(&self.tag),
            commit_id: Some(&self.commit_id),
            ..Facts::new(
                self.commit_id.as_str(),
                TreeSource::MetaRange(&self.meta_range_id),
            )
        }
    }
}

impl EventDetails {
    fn facts(&self) -> Facts<'_> {
        match self {
            Self::PrepareCommit(change) => change.facts(),
            Self::PreCommit(change) => change.commit_facts(),
            Self::PreRevert(change) | Self::PreCherryPick(change) => change.replay_facts(),
            Self::PostCommit(after) | Self::PostRevert(after) | Self::PostCherryPick(after) => {
                after.change.facts()
            }
            Self::PreMerge(change) => change.facts(),
            Self::PostMerge(after) => after.change.facts(),
            Self::PreCreateBranch(change) => change.facts(),
            Self::PostCreateBranch(after) => after.change.facts(),
            Self::PreDeleteBranch(change) => change.facts(),
            Self::PostDeleteBranch(after) => after.change.facts(),
            Self::PreCreateTag(change) | Self::PreDeleteTag(change) => change.facts(),
            Self::PostCreateTag(after) | Self::PostDeleteTag(after) => after.change.facts(),
        }
    }

    pub(crate) fn kind(&self) -> EventKind {
        match self {
            Self::PrepareCommit(_) => EventKind::PrepareCommit,
            Self::PreCommit(_) => EventKind::PreCommit,
            Self::PostCommit(_) => EventKind::PostCommit,
            Self::PreMerge(_) => EventKind::PreMerge,
            Self::PostMerge(_) => EventKind::PostMerge,
            Self::PreRevert(_) => EventKind::PreRevert,
            Self::PostRevert(_) => EventKind::PostRevert,
            Self::PreCherryPick(_) => EventKind::PreCherryPick,
            Self::PostCherryPick(_) => EventKind::PostCherryPick,
            Self::PreCreateBranch(_) => EventKind::PreCreateBranch,
            Self::PostCreateBranch(_) => EventKind::PostCreateBranch,
            Self::PreDeleteBranch(_) => EventKind::PreDeleteBranch,
            Self::PostDeleteBranch(_) => EventKind::PostDeleteBranch,
            Self::PreCreateTag(_) => EventKind::PreCreateTag,
            Self::PostCreateTag(_) => EventKind::PostCreateTag,
            Self::PreDeleteTag(_) => EventKind::PreDeleteTag,
            Self::PostDeleteTag(_) => EventKind::PostDeleteTag,
        }
    }

    pub(crate) fn pre_run_id(&self) -> Option<&String> {
        match self {
            Self::PrepareCommit(_)
            | Self::PreCommit(_)
            | Self::PreMerge(_)
            | Self::PreRevert(_)
            | Self::PreCherryPick(_)
            | Self::PreCreateBranch(_)
            | Self::PreDeleteBranch(_)
            | Self::PreCreateTag(_)
            | Self::PreDeleteTag(_) => None,
            Self::PostCommit(after) | Self::PostRevert(after) | Self::PostCherryPick(after) => {
                after.pre_run_id.as_ref()
            }
            Self::PostMerge(after) => after.pre_run_id.as_ref(),
            Self::PostCreateBranch(after) => after.pre_run_id.as_ref(),
            Self::PostDeleteBranch(after) => after.pre_run_id.as_ref(),
            Self::PostCreateTag(after) | Self::PostDeleteTag(after) => after.pre_run_id.as_ref(),
        }
    }
}

impl Event {
    /// The kind of the event.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        self.details.kind()
    }

    /// The branch that changes: the destination of a merge; `None` in events of tags.
    #[must_use]
    pub fn branch(&self) -> Option<&BranchId> {
        self.details.facts().branch
    }

    /// The tag, in events of tags.
    #[must_use]
    pub fn tag(&self) -> Option<&TagId> {
        self.details.facts().tag
    }

    /// The reference that the action files are read from, as stored in the run's record.
    ///
    /// - Before a commit, revert or cherry-pick: the branch's name.
    /// - Before a merge: the id of the source's commit.
    /// - After any of these: the id of the new commit.
    /// - For the creation of a branch: the source as the user wrote it.
    /// - For the deletion of a branch: the id of its head.
    /// - For tags: the id of the tagged commit.
    #[must_use]
    pub fn source_ref(&self) -> &str {
        self.details.facts().source_ref
    }

    /// Of a merge: the source as the user wrote it.
    #[must_use]
    pub fn merge_source(&self) -> Option<&str> {
        self.details.facts().merge_source
    }

    /// The new commit's id once it is known (after a change, and before a merge), or that of a new
    /// branch's commit or of the tagged commit.
    #[must_use]
    pub fn commit_id(&self) -> Option<&CommitId> {
        self.details.facts().commit_id
    }

    /// The commit that the change makes. `None` in events of branches and tags.
    #[must_use]
    pub fn commit(&self) -> Option<&Draft> {
        self.details.facts().commit
    }

    /// The tree that the action files are read from.
    #[must_use]
    pub fn actions_from(&self) -> TreeSource<'_> {
        self.details.facts().actions_from
    }

    /// The new tree: staged changes applied, or the merged, reverted or picked result. `None` in
    /// prepare-commit events and in events of branches and tags.
    #[must_use]
    pub fn candidate(&self) -> Option<&MetaRangeId> {
        self.details.facts().candidate
    }

    /// The tree of the branch's head before the change. `None` in events of branches and tags.
    #[must_use]
    pub fn base(&self) -> Option<&MetaRangeId> {
        self.details.facts().base
    }

    /// The tree of the incoming side of a merge.
    #[must_use]
    pub fn source(&self) -> Option<&MetaRangeId> {
        self.details.facts().source
    }

    /// Of a post-event: the run of the matching pre-event, if any action ran.
    #[must_use]
    pub fn pre_run_id(&self) -> Option<&str> {
        self.details.pre_run_id().map(String::as_str)
    }
}
