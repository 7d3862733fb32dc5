//! The interface to hooks: they judge a change before it lands and are notified afterwards.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use base::OffsetDateTime;

use crate::{BranchId, CommitId, MetaRangeId, Repository, TagId};

/// The kind of an event.
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

    /// Whether the event reports a change that already happened.
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

/// One event, with everything that hooks may see.
///
/// The fields that each kind fills in, as lakeFS does (`-`: none or empty):
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
/// `candidate` and `base` are set in the pre- and post-events of commits, merges, reverts and
/// cherry-picks, `source` in those of merges. A prepare-commit event has only `base`, and its draft's
/// `meta_range_id` is the head's tree, since the new tree is not computed yet.
#[derive(Debug, Clone)]
pub struct Event {
    /// The run's id (a descending run id), made by the engine.
    pub run_id: String,
    /// Of a post-event: the run of the matching pre-event, if any action ran. The receiver adds the
    /// new commit's id to that run's record.
    pub pre_run_id: Option<String>,
    pub kind: EventKind,
    pub time: OffsetDateTime,
    pub repository: Repository,
    pub branch: Option<BranchId>,
    pub tag: Option<TagId>,
    /// The reference that the action files are read from, as stored in the run's record.
    pub source_ref: String,
    /// Of a merge: the source as the user wrote it.
    pub merge_source: Option<String>,
    pub commit_id: Option<CommitId>,
    pub commit: Option<Draft>,
    /// The user who made the request.
    pub actor: String,
    /// Nesting depth of the change in hooks: 0 for a client's request, 1 for a request that a hook
    /// made.
    pub depth: u32,
    /// The tree that the action files are read from.
    pub actions_from: TreeSource,
    /// The new tree: staged changes applied, or the merged, reverted or picked result.
    pub candidate: Option<MetaRangeId>,
    /// The tree before the change: the destination's head or the parent commit.
    pub base: Option<MetaRangeId>,
    /// The incoming side of a merge.
    pub source: Option<MetaRangeId>,
}

/// A finding of one hook.
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

/// A hook's refusal of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub run_id: String,
    pub kind: EventKind,
    /// The message for the user: the failed hooks, each with its cause.
    pub message: String,
    /// Whether the action files themselves are invalid (HTTP 400 instead of 412).
    pub invalid_actions: bool,
    /// The hooks' findings; their number is bounded.
    pub findings: Vec<Finding>,
    /// Which gate refused and how to fix it, for people; `None` if there is nothing to add.
    pub hint: Option<String>,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The outcome of hooks that allowed a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookOutcome {
    /// Whether any action matched; only then a run is recorded under the event's run id.
    pub ran: bool,
    /// Likely mistakes in action files that the change adds or edits.
    pub warnings: Vec<String>,
}

impl HookOutcome {
    /// The outcome of a run without warnings.
    #[must_use]
    pub fn ran() -> Self {
        Self {
            ran: true,
            warnings: Vec::new(),
        }
    }
}

/// Runs hooks.
///
/// The engine calls it outside of every compare-and-set, and again only for a candidate tree that
/// changed.
#[async_trait]
pub trait Hooks: Send + Sync + fmt::Debug {
    /// Judges a change before it lands (prepare- and pre- events).
    ///
    /// # Errors
    /// The refusal. The engine then leaves the repository unchanged.
    async fn before(&self, event: &Event) -> Result<HookOutcome, Box<Rejection>>;

    /// Notifies hooks of a change that landed (post-events). Returns at once; the hooks run in the
    /// background.
    async fn after(&self, event: Event);
}

/// Runs no hooks.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

#[async_trait]
impl Hooks for NoHooks {
    async fn before(&self, _event: &Event) -> Result<HookOutcome, Box<Rejection>> {
        Ok(HookOutcome::default())
    }

    async fn after(&self, _event: Event) {}
}
