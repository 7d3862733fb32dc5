//! The engine's records and requests.

use std::collections::BTreeMap;

use base::OffsetDateTime;
use bytes::Bytes;

use crate::{BranchId, CommitId, MetaRangeId, RepositoryId, StagingToken, TagId};

/// A value of the tree: equal identities mean equal content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// 32 bytes for entries; never empty.
    pub identity: Bytes,
    /// Opaque; carried verbatim from tree to tree.
    pub data: Bytes,
}

/// The state of a repository's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepositoryState {
    Active,
    InDeletion,
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    pub id: RepositoryId,
    pub storage_namespace: String,
    pub default_branch: BranchId,
    pub creation_date: OffsetDateTime,
    pub state: RepositoryState,
    /// Distinguishes a repository from an earlier one of the same name.
    pub instance_uid: String,
    pub read_only: bool,
    /// Empty for the single block store.
    pub storage_id: String,
}

impl Repository {
    /// The partition that holds the repository's records.
    #[must_use]
    pub fn partition(&self) -> String {
        format!("{}-{}", self.id, self.instance_uid)
    }
}

/// The branch protection of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchProtection {
    /// Branches that match one of these take neither writes nor commits.
    pub patterns: Vec<String>,
    /// Names this state of the rules; empty if there never were any.
    pub tag: String,
}

/// What to create.
#[derive(Debug, Clone)]
pub struct CreateRepository {
    pub id: RepositoryId,
    pub storage_namespace: String,
    pub default_branch: BranchId,
    pub read_only: bool,
    /// Without branch and first commit: the target of a restore.
    pub bare: bool,
    pub storage_id: String,
    /// Who asks for it: told by the reflog of the default branch, and nowhere else.
    pub creator: String,
}

/// A branch's stored record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchRecord {
    pub commit_id: CommitId,
    pub staging_token: StagingToken,
    /// Newest first.
    pub sealed_tokens: Vec<StagingToken>,
    pub hidden: bool,
}

impl BranchRecord {
    /// All tokens, newest first: the one that takes writes, then the sealed ones.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = &StagingToken> + Send {
        std::iter::once(&self.staging_token).chain(&self.sealed_tokens)
    }
}

/// A branch and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    pub id: BranchId,
    pub record: BranchRecord,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    pub id: TagId,
    pub commit_id: CommitId,
}

/// The name of a branch or tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefName {
    Branch(BranchId),
    Tag(TagId),
}

impl RefName {
    /// A branch's name, given by a user.
    ///
    /// # Errors
    /// [`crate::Error::InvalidValue`].
    pub fn branch(name: &str) -> crate::Result<Self> {
        BranchId::parse(name).map(Self::Branch)
    }

    /// A tag's name, given by a user.
    ///
    /// # Errors
    /// [`crate::Error::InvalidValue`].
    pub fn tag(name: &str) -> crate::Result<Self> {
        TagId::parse(name).map(Self::Tag)
    }
}

/// What changed a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    Commit,
    Merge,
    Revert,
    CherryPick,
    /// The head was moved to another commit.
    HardReset,
    /// Staged changes were thrown away; the head stayed.
    Reset,
    Delete,
    Undo,
    Import,
    /// References were restored from a dump.
    Restore,
}

/// One change of a reference, as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReflogEntry {
    /// Those of later changes sort first.
    pub id: String,
    pub reference: RefName,
    pub operation: Operation,
    /// Who asked for it; empty if no one did.
    pub actor: String,
    pub time: OffsetDateTime,
    /// One line: the commit's message, or the source as the user named it.
    pub reason: String,
    /// None: the reference did not exist.
    pub from: Option<CommitId>,
    /// None: it no longer exists.
    pub to: Option<CommitId>,
    /// Whether the branch was hidden.
    pub hidden: bool,
    /// Staged changes that the change threw away and an undo brings back, newest first.
    pub(crate) kept_tokens: Vec<StagingToken>,
    /// Of an undo: the id of the entry that it undid.
    pub undone: Option<String>,
    /// Of an undo: the staged changes that it brought back, newest first.
    pub(crate) brought_back: Vec<StagingToken>,
}

impl ReflogEntry {
    /// Whether staged changes that the change threw away are still kept.
    #[must_use]
    pub fn keeps_staged(&self) -> bool {
        !self.kept_tokens.is_empty()
    }
}

/// Where staged changes went with a change of a reference: none do with most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedStaged {
    /// The id of the change's entry.
    pub entry: String,
    /// The tokens that left their branch and are kept, or that an undo brought back; newest first.
    pub tokens: Vec<StagingToken>,
    /// The branch that they came back to.
    pub back_to: Option<BranchId>,
}

impl MovedStaged {
    /// When the entry of this id was made, by the clock of the server that made it; none if it is no id. It landed
    /// later, and one that landed before it may have been made later by the clock of another server.
    #[must_use]
    pub fn made(entry: &str) -> Option<OffsetDateTime> {
        let nanos = crate::reflog::made_at(entry)?;
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos)).ok()
    }

    pub(crate) fn of(entry: ReflogEntry) -> Self {
        let came_back = !entry.brought_back.is_empty();
        Self {
            entry: entry.id,
            tokens: match came_back {
                true => entry.brought_back,
                false => entry.kept_tokens,
            },
            back_to: match entry.reference {
                RefName::Branch(branch) if came_back => Some(branch),
                _ => None,
            },
        }
    }
}

/// What to undo, and how.
#[derive(Debug, Clone, Default)]
pub struct UndoParams {
    /// The id of the entry to undo; none: the newest one of the reference.
    pub entry: Option<String>,
    /// Also in a read-only repository.
    pub force: bool,
    /// Who asks for it.
    pub actor: String,
}

/// What an undo left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The entry that was undone.
    pub entry: ReflogEntry,
    /// The commit that the reference is at now.
    pub commit_id: CommitId,
    /// Whether staged changes came back as well.
    pub staged_came_back: bool,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub id: CommitId,
    pub committer: String,
    pub message: String,
    pub creation_date: OffsetDateTime,
    pub meta_range_id: MetaRangeId,
    pub metadata: BTreeMap<String, String>,
    pub parents: Vec<CommitId>,
    /// 0 initial, 1 parents in switched order.
    pub version: i32,
    /// Root 1; else one more than the highest parent's.
    pub generation: i32,
}

/// What a reference expression names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefKind {
    /// A branch: reads see staged changes over the head.
    Branch,
    /// A branch's head only (`branch@`).
    BranchHead,
    /// A branch's staged changes only (`branch$`).
    BranchStaging,
    Tag,
    Commit,
}

/// A resolved reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedRef {
    pub kind: RefKind,
    /// Of the three branch kinds.
    pub branch: Option<Branch>,
    /// The head, tagged or named commit.
    pub commit_id: CommitId,
}

/// A condition of a staged write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Write whatever is there.
    Always,
    /// Write only if the key has no value (staged or committed).
    IfAbsent,
}

/// How to commit.
#[derive(Debug, Clone)]
pub struct CommitParams {
    pub committer: String,
    pub message: String,
    pub metadata: BTreeMap<String, String>,
    /// Overrides the time of the commit.
    pub date: Option<OffsetDateTime>,
    pub allow_empty: bool,
    /// Commits even to a read-only repository.
    pub force: bool,
    /// Commit this tree instead of the staged changes, which must be none.
    pub source_metarange: Option<MetaRangeId>,
}

/// Who wins a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeStrategy {
    /// Conflicts are errors.
    None,
    DestWins,
    SourceWins,
}

/// How to merge.
#[derive(Debug, Clone)]
pub struct MergeParams {
    pub committer: String,
    /// Empty: the default message.
    pub message: String,
    pub metadata: BTreeMap<String, String>,
    pub strategy: MergeStrategy,
    pub squash: bool,
    pub force: bool,
    pub allow_empty: bool,
}

/// What a merge made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeOutcome {
    pub commit_id: CommitId,
}

/// How to revert a commit.
#[derive(Debug, Clone)]
pub struct RevertParams {
    pub committer: String,
    /// Which parent to go back to, counted from 1; 0 is the only one.
    pub parent_number: usize,
    /// Empty: the default message.
    pub message: String,
    pub metadata: BTreeMap<String, String>,
    /// Commits even if there is nothing to take back.
    pub allow_empty: bool,
    /// Also in a read-only repository.
    pub force: bool,
}

/// How to pick a commit.
#[derive(Debug, Clone)]
pub struct CherryPickParams {
    pub committer: String,
    /// The parent that the commit's change is taken against, counted from 1; 0 is the only one.
    pub parent_number: usize,
    /// None: the commit's own.
    pub message: Option<String>,
    /// None: the commit's own. Where the pick came from is added to either.
    pub metadata: Option<BTreeMap<String, String>>,
    /// Also in a read-only repository.
    pub force: bool,
}

/// Which uncommitted changes to throw away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResetScope {
    All,
    /// Of one key.
    Key(Vec<u8>),
    /// Of all keys that start so.
    Prefix(Vec<u8>),
}

/// The two commits and their nearest common ancestor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeBase {
    pub source: CommitId,
    pub destination: CommitId,
    /// None if the histories are unrelated.
    pub base: Option<CommitId>,
}

/// How one key differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiffKind {
    Added,
    Changed,
    Removed,
    /// Changed on both sides since the merge base.
    Conflict,
}

/// A difference, in key order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    pub kind: DiffKind,
    pub key: Bytes,
    /// The value on the left (none if added).
    pub left: Option<Value>,
    /// The value on the right (none if removed).
    pub right: Option<Value>,
}

/// Which commits to walk.
#[derive(Debug, Clone)]
pub struct LogRequest {
    /// The newest commit.
    pub from: CommitId,
    pub first_parent: bool,
    /// Commits before this instant are neither returned nor walked through.
    pub since: Option<OffsetDateTime>,
    /// Walk no further than this commit, which is still returned.
    pub stop_at: Option<CommitId>,
}
