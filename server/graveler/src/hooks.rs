//! The one call that goes up: hooks judge a change before it lands and hear of it after.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use base::OffsetDateTime;

use crate::{BranchId, CommitId, MetaRangeId, Repository, TagId};

/// What is about to happen, or has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    PrepareCommit,
    PreCommit,
    PostCommit,
    PreMerge,
    PostMerge,
    PreCreateBranch,
    PostCreateBranch,
    PreDeleteBranch,
    PostDeleteBranch,
    PreCreateTag,
    PostCreateTag,
    PreDeleteTag,
    PostDeleteTag,
    PreRevert,
    PostRevert,
    PreCherryPick,
    PostCherryPick,
}

impl EventKind {
    /// The name in action files and payloads: `pre-merge`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PrepareCommit => "prepare-commit",
            Self::PreCommit => "pre-commit",
            Self::PostCommit => "post-commit",
            Self::PreMerge => "pre-merge",
            Self::PostMerge => "post-merge",
            Self::PreCreateBranch => "pre-create-branch",
            Self::PostCreateBranch => "post-create-branch",
            Self::PreDeleteBranch => "pre-delete-branch",
            Self::PostDeleteBranch => "post-delete-branch",
            Self::PreCreateTag => "pre-create-tag",
            Self::PostCreateTag => "post-create-tag",
            Self::PreDeleteTag => "pre-delete-tag",
            Self::PostDeleteTag => "post-delete-tag",
            Self::PreRevert => "pre-revert",
            Self::PostRevert => "post-revert",
            Self::PreCherryPick => "pre-cherry-pick",
            Self::PostCherryPick => "post-cherry-pick",
        }
    }

    /// Whether the event tells of something that already happened.
    #[must_use]
    pub fn is_post(self) -> bool {
        self.as_str().starts_with("post-")
    }
}

/// A tree to read action files or objects from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeSource {
    /// A stored tree. Empty id: the empty tree.
    MetaRange(MetaRangeId),
    /// A branch with its staged changes.
    Branch(BranchId),
}

/// The commit that an event is about, as far as it is known.
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

/// One event, with all that hooks may look at.
///
/// What lakeFS sends, and so what is filled in (`-`: none or empty):
///
/// | kind | branch | tag | `source_ref` | `commit_id` | `commit` | `merge_source` | action files from |
/// |---|---|---|---|---|---|---|---|
/// | prepare-commit, pre-commit | the branch | - | the branch's name | - | yes | - | the branch with what is staged |
/// | post-commit | the branch | - | the new commit's id | the new commit | yes | - | the new commit |
/// | pre-merge | destination | - | the source's commit id | the commit to be | yes | the source as named | the source |
/// | post-merge | destination | - | the new commit's id | the new commit | yes | the source as named | the new commit |
/// | pre-revert, pre-cherry-pick | the branch | - | the branch's name | - | yes | - | the branch's head |
/// | post-revert, post-cherry-pick | the branch | - | the new commit's id | the new commit | yes | - | the new commit |
/// | pre-, post-create-branch | the branch | - | the source as named | the source's commit | - | - | the source's commit |
/// | pre-, post-delete-branch | the branch | - | the head's id | - | - | - | the head |
/// | pre-, post-create-tag, -delete-tag | - | the tag | the tagged commit's id | the tagged commit | - | - | the tagged commit |
///
/// `candidate` and `base` come with the pre and post events of commits, merges, reverts and
/// cherry-picks, `source` with merges; prepare-commit has `base` only. The
/// `meta_range_id` of a prepare-commit's draft is the head's tree, since nothing is worked out yet.
#[derive(Debug, Clone)]
pub struct Event {
    /// The run's id (a descending run id), made by the engine.
    pub run_id: String,
    /// Of a post event: the run of the matching pre event, if any action ran then. That run's
    /// record is to be given the commit's id after a commit.
    pub pre_run_id: Option<String>,
    pub kind: EventKind,
    pub time: OffsetDateTime,
    pub repository: Repository,
    pub branch: Option<BranchId>,
    pub tag: Option<TagId>,
    /// The reference that the action files are read from, as recorded in the run.
    pub source_ref: String,
    /// Of a merge: the source as the user named it.
    pub merge_source: Option<String>,
    pub commit_id: Option<CommitId>,
    pub commit: Option<Draft>,
    /// Who asked for it.
    pub actor: String,
    /// How deep the change is nested in hooks: 0 for a client's own, 1 for one that a hook's callback made.
    pub depth: u32,
    /// The tree that action files are read from.
    pub actions_from: TreeSource,
    /// The tree as it will be (pre) or is (post): staged changes applied, or the merged, reverted or picked result.
    pub candidate: Option<MetaRangeId>,
    /// The tree before: the destination's head or the parent commit.
    pub base: Option<MetaRangeId>,
    /// The incoming side of a merge.
    pub source: Option<MetaRangeId>,
}

/// One thing a hook found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub action: String,
    pub hook: String,
    /// `info`, `warning` or `error`.
    pub severity: String,
    pub rule: String,
    pub message: String,
    pub path: Option<String>,
    pub properties: BTreeMap<String, String>,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub run_id: String,
    pub kind: EventKind,
    /// What the user reads: hook by hook, with its cause.
    pub message: String,
    /// True if the action files themselves are at fault (a 400, not a 412).
    pub invalid_actions: bool,
    /// What the hooks found, bounded.
    pub findings: Vec<Finding>,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What an allowing run leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookOutcome {
    /// Whether any action matched, so that a run was recorded under the event's run id.
    pub ran: bool,
}

/// Runs hooks. The engine calls it outside of any compare-and-set retry, and
/// again only for a candidate that changed.
#[async_trait]
pub trait Hooks: Send + Sync + fmt::Debug {
    /// Judges a change before it lands (prepare- and pre- events).
    ///
    /// # Errors
    /// The refusal; the engine leaves everything as it was.
    async fn before(&self, event: &Event) -> Result<HookOutcome, Box<Rejection>>;

    /// Tells of a change that landed (post- events). Returns at once; the work is done behind.
    async fn after(&self, event: Event);
}

/// No hooks at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

#[async_trait]
impl Hooks for NoHooks {
    async fn before(&self, _event: &Event) -> Result<HookOutcome, Box<Rejection>> {
        Ok(HookOutcome::default())
    }

    async fn after(&self, _event: Event) {}
}
