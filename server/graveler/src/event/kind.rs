//! The kinds of events.

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

    /// Whether the event's trees differ by a known set of objects: it has a base and a candidate.
    ///
    /// A commit's candidate does not exist at prepare-commit, because hooks of that event may stage
    /// further changes. Branches and tags only name existing trees.
    #[must_use]
    pub fn has_changed_objects(self) -> bool {
        use EventKind::{
            PostCherryPick, PostCommit, PostMerge, PostRevert, PreCherryPick, PreCommit, PreMerge,
            PreRevert,
        };
        matches!(
            self,
            PreCommit
                | PostCommit
                | PreMerge
                | PostMerge
                | PreRevert
                | PostRevert
                | PreCherryPick
                | PostCherryPick
        )
    }

    /// Whether the event has a tree that hooks can read.
    #[must_use]
    pub fn has_trees(self) -> bool {
        self == Self::PrepareCommit || self.has_changed_objects()
    }

    /// Whether the event reports a change that already happened.
    #[must_use]
    pub fn is_post(self) -> bool {
        self.as_str().starts_with("post-")
    }
}
