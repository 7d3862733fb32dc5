//! Events: what hooks learn of a change.
//!
//! An [`Event`] has common fields, and [`EventDetails`] with one struct per kind, or per group of
//! kinds with the same fields. A kind has exactly the fields that lakeFS fills in for it.
//! `facts.rs` reads them independently of the kind. `record.rs` has the stored form.

mod facts;
mod kind;
mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use base::OffsetDateTime;

use crate::{BranchId, CommitId, MetaRangeId, Repository, TagId};

pub use kind::EventKind;
pub use record::MAX_EVENT_BYTES;

/// A tree to read action files or objects from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeSource<'a> {
    /// A stored tree. Empty id: the empty tree.
    MetaRange(&'a MetaRangeId),
    /// A branch with its staged changes.
    Branch(&'a BranchId),
}

/// The commit that an event is about, as far as it is known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub message: String,
    pub committer: String,
    pub metadata: BTreeMap<String, String>,
    pub creation_date: OffsetDateTime,
    pub meta_range_id: MetaRangeId,
    pub parents: Vec<CommitId>,
    pub version: i32,
}

/// One event: who changes which repository and when, and the details of the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The id of the event's run. Ids of later runs sort first.
    pub run_id: String,
    pub time: OffsetDateTime,
    pub repository: Repository,
    /// The user who made the request.
    pub actor: String,
    /// Nesting depth of the change in hooks: 0 for a client's request, 1 for a request by a hook
    /// that this request caused, and so on.
    pub depth: u32,
    pub details: EventDetails,
}

/// The details of a change, by kind of event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventDetails {
    PrepareCommit(CommitPreparation),
    PreCommit(CommitProposal),
    PostCommit(After<LandedCommit>),
    PreMerge(MergeProposal),
    PostMerge(After<LandedMerge>),
    PreRevert(CommitProposal),
    PostRevert(After<LandedCommit>),
    PreCherryPick(CommitProposal),
    PostCherryPick(After<LandedCommit>),
    PreCreateBranch(BranchCreation),
    PostCreateBranch(After<BranchCreation>),
    PreDeleteBranch(BranchDeletion),
    PostDeleteBranch(After<BranchDeletion>),
    PreCreateTag(TagChange),
    PostCreateTag(After<TagChange>),
    PreDeleteTag(TagChange),
    PostDeleteTag(After<TagChange>),
}

/// A change that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After<T> {
    /// The run id of the matching pre-event, if any action ran. The receiver adds the new commit's
    /// id to that run's record.
    pub pre_run_id: Option<String>,
    pub change: T,
}

/// A commit whose tree is not computed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitPreparation {
    pub branch: BranchId,
    /// Its tree is still the head's.
    pub draft: Draft,
}

/// A commit that is ready to become a branch's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitProposal {
    pub branch: BranchId,
    /// Its tree is the new one: staged changes applied, or the merged, reverted or picked result.
    pub draft: Draft,
    /// The head's tree.
    pub base: MetaRangeId,
}

/// A merge that is ready to become the destination's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeProposal {
    /// The merge commit; its branch is the destination.
    pub commit: CommitProposal,
    /// The id of the merge commit.
    pub commit_id: CommitId,
    pub source: MergeSource,
}

/// The incoming side of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeSource {
    /// The source as the user wrote it.
    pub name: String,
    pub commit_id: CommitId,
    pub meta_range_id: MetaRangeId,
}

/// A commit that became a branch's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedCommit {
    pub branch: BranchId,
    pub commit_id: CommitId,
    pub draft: Draft,
    /// The tree of the previous head.
    pub base: MetaRangeId,
}

/// A merge that became the destination's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedMerge {
    /// The merge commit; its branch is the destination.
    pub commit: LandedCommit,
    pub source: MergeSource,
}

/// The creation of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchCreation {
    pub branch: BranchId,
    /// The source as the user wrote it.
    pub source: String,
    /// The commit that the source names.
    pub commit_id: CommitId,
    pub meta_range_id: MetaRangeId,
}

/// The deletion of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchDeletion {
    pub branch: BranchId,
    pub head: CommitId,
    pub meta_range_id: MetaRangeId,
}

/// The creation or deletion of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagChange {
    pub tag: TagId,
    /// The tagged commit.
    pub commit_id: CommitId,
    pub meta_range_id: MetaRangeId,
}
