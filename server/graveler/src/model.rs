//! The engine's records and requests.

use std::collections::BTreeMap;

use base::OffsetDateTime;
use bytes::Bytes;

use crate::{BranchId, CommitId, MetaRangeId, RepositoryId, StagingToken, TagId};

/// A value of a tree. Equal identities mean equal content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// 32 bytes for entries; never empty.
    pub identity: Bytes,
    /// Opaque bytes, copied verbatim from tree to tree.
    pub data: Bytes,
}

/// A repository's life-cycle state.
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
    /// Distinguishes the repository from earlier ones of the same name.
    pub instance_uid: String,
    pub read_only: bool,
    /// Empty for the single block store.
    pub storage_id: String,
}

impl Repository {
    /// The partition that holds the repository's records, except the reflog and staged changes.
    #[must_use]
    pub fn partition(&self) -> String {
        format!("{}-{}", self.id, self.instance_uid)
    }
}

/// The branch protection rules of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchProtection {
    /// Branches whose name matches a pattern take neither direct writes nor commits. A rule stored
    /// by lakeFS may block only one of the two.
    pub patterns: Vec<String>,
    /// Identifies this state of the rules; empty if rules were never stored.
    pub tag: String,
}

/// A repository to create.
#[derive(Debug, Clone)]
pub struct CreateRepository {
    pub id: RepositoryId,
    pub storage_namespace: String,
    pub default_branch: BranchId,
    pub read_only: bool,
    /// Whether to leave out the default branch and first commit, as the target of a restore needs.
    pub bare: bool,
    pub storage_id: String,
    /// The user who creates the repository; stored only in the reflog of the default branch.
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
    /// All tokens, newest first: the writable one, then the sealed ones.
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
    /// [`crate::Error::InvalidName`].
    pub fn branch(name: &str) -> crate::Result<Self> {
        BranchId::parse(name).map(Self::Branch)
    }

    /// A tag's name, given by a user.
    ///
    /// # Errors
    /// [`crate::Error::InvalidName`].
    pub fn tag(name: &str) -> crate::Result<Self> {
        TagId::parse(name).map(Self::Tag)
    }
}

/// The kind of change of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    Commit,
    Merge,
    Revert,
    CherryPick,
    /// The head moved to an existing commit.
    HardReset,
    /// Staged changes were discarded; the head stayed.
    Reset,
    Delete,
    Undo,
    Import,
    /// References were restored from a dump.
    Restore,
}

/// One recorded change of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReflogEntry {
    /// Ids of later changes sort first.
    pub id: String,
    pub reference: RefName,
    pub operation: Operation,
    /// The user who made the change; empty if no user did.
    pub actor: String,
    pub time: OffsetDateTime,
    /// One line: the commit's message, or the source as the user wrote it.
    pub reason: String,
    /// The commit before; `None` if the reference did not exist.
    pub from: Option<CommitId>,
    /// The commit after; `None` if the reference no longer exists.
    pub to: Option<CommitId>,
    /// Whether the branch was hidden. Recorded only if the change created, deleted or restored it.
    pub hidden: bool,
    /// Staged changes that the change discarded and an undo restores, newest first.
    pub(crate) kept_tokens: Vec<StagingToken>,
    /// Of an undo: the id of the undone entry.
    pub undone: Option<String>,
    /// Of an undo: the staged changes that it restored, newest first.
    pub(crate) restored_tokens: Vec<StagingToken>,
}

impl ReflogEntry {
    /// Whether staged changes that the change discarded are still kept.
    #[must_use]
    pub fn keeps_staged(&self) -> bool {
        !self.kept_tokens.is_empty()
    }
}

/// Staged changes that a reference change moved off their branch or back onto it; most changes move
/// none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedMove {
    /// The id of the change's reflog entry.
    pub entry: String,
    /// The tokens that left their branch and are kept, or that an undo restored; newest first.
    pub tokens: Vec<StagingToken>,
    /// The branch that an undo restored the tokens to.
    pub restored_to: Option<BranchId>,
}

impl StagedMove {
    /// The time at which an entry's id was made, by the clock of its server; `None` if `entry` is
    /// not an entry id.
    ///
    /// The entry landed later. The order of these times is not the order of landing, since the
    /// clocks of servers differ.
    #[must_use]
    pub fn made(entry: &str) -> Option<OffsetDateTime> {
        let nanos = created_at(entry)?;
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos)).ok()
    }

    pub(crate) fn of(entry: ReflogEntry) -> Self {
        let came_back = !entry.restored_tokens.is_empty();
        Self {
            entry: entry.id,
            tokens: match came_back {
                true => entry.restored_tokens,
                false => entry.kept_tokens,
            },
            restored_to: match entry.reference {
                RefName::Branch(branch) if came_back => Some(branch),
                _ => None,
            },
        }
    }
}

/// What to undo.
#[derive(Debug, Clone, Default)]
pub struct UndoParams {
    /// The id of the entry to undo; `None` means the newest of the reference.
    pub entry: Option<String>,
    /// Whether to undo even in a read-only repository.
    pub force: bool,
    /// The user who requests the undo.
    pub actor: String,
}

/// The result of an undo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoOutcome {
    /// The entry that was undone.
    pub entry: ReflogEntry,
    /// The commit that the reference names now.
    pub commit_id: CommitId,
    /// Whether staged changes were restored as well.
    pub restored_staged: bool,
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
    /// Order of a merge's parents: the destination is the last one in version 0, the first in
    /// version 1.
    pub version: i32,
    /// 1 for a root commit, otherwise one more than the highest of the parents.
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
    /// Set for the three branch kinds.
    pub branch: Option<Branch>,
    /// The branch's head, the tagged commit or the named commit.
    pub commit_id: CommitId,
}

/// When a staged write takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Write unconditionally.
    Always,
    /// Write only if reads of the branch find no value at the key.
    IfAbsent,
}

/// Parameters of a commit.
#[derive(Debug, Clone)]
pub struct CommitParams {
    pub committer: String,
    pub message: String,
    pub metadata: BTreeMap<String, String>,
    /// Overrides the commit's time.
    pub date: Option<OffsetDateTime>,
    pub allow_empty: bool,
    /// Whether to commit even to a read-only repository.
    pub force: bool,
    /// Commit this tree instead of the staged changes; nothing may be staged then.
    pub source_metarange: Option<MetaRangeId>,
}

/// How to resolve conflicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeStrategy {
    /// Conflicts are errors.
    None,
    DestWins,
    SourceWins,
}

/// Parameters of a merge.
#[derive(Debug, Clone)]
pub struct MergeParams {
    pub committer: String,
    /// Empty: the default message.
    pub message: String,
    /// Metadata of the merge commit; the merge strategy is added.
    pub metadata: BTreeMap<String, String>,
    pub strategy: MergeStrategy,
    /// Whether the merge commit has only the destination's head as its parent.
    pub squash: bool,
    /// Whether to merge even in a read-only repository. Implies `allow_empty`.
    pub force: bool,
    /// Whether to commit even if the merge changes nothing.
    pub allow_empty: bool,
}

/// The result of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeOutcome {
    pub commit_id: CommitId,
}

/// Parameters of a revert.
#[derive(Debug, Clone)]
pub struct RevertParams {
    pub committer: String,
    /// The parent to go back to, counted from 1; 0 means the only parent.
    pub parent_number: usize,
    /// Empty: the default message.
    pub message: String,
    pub metadata: BTreeMap<String, String>,
    /// Whether to commit even if the branch no longer has the commit's changes.
    pub allow_empty: bool,
    /// Whether to commit even to a read-only repository.
    pub force: bool,
}

/// Parameters of a cherry-pick.
#[derive(Debug, Clone)]
pub struct CherryPickParams {
    pub committer: String,
    /// The parent to compare the commit with, counted from 1; 0 means the only parent.
    pub parent_number: usize,
    /// `None`: the original commit's message.
    pub message: Option<String>,
    /// `None`: the original commit's metadata. The origin is added in either case.
    pub metadata: Option<BTreeMap<String, String>>,
    /// Whether to commit even to a read-only repository.
    pub force: bool,
}

/// Which uncommitted changes to discard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResetScope {
    All,
    /// The change of one key.
    Key(Vec<u8>),
    /// The changes of all keys with this prefix.
    Prefix(Vec<u8>),
}

/// Two commits and their nearest common ancestor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeBase {
    pub source: CommitId,
    pub destination: CommitId,
    /// `None` if the histories are unrelated.
    pub base: Option<CommitId>,
}

/// How a key differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiffKind {
    Added,
    Changed,
    Removed,
    /// Changed on both sides since the merge base.
    Conflict,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    pub kind: DiffKind,
    pub key: Bytes,
    /// The value on the left; `None` if added.
    pub left: Option<Value>,
    /// The value on the right; `None` if removed.
    pub right: Option<Value>,
}

/// Parameters of a log.
#[derive(Debug, Clone)]
pub struct LogRequest {
    /// The commit to start at.
    pub from: CommitId,
    /// Whether to follow only the first parent of each commit.
    pub first_parent: bool,
    /// Leaves out commits created before this time, and does not visit their parents.
    pub since: Option<OffsetDateTime>,
    /// Stops after this commit, which is still returned.
    pub stop_at: Option<CommitId>,
}

/// Length of the first part of an entry id: the time in hex digits, bitwise inverted.
const ID_NANOS: usize = 16;

/// The time in an entry id, in nanoseconds since 1970; `None` if `id` is malformed.
pub(crate) fn created_at(id: &str) -> Option<u64> {
    u64::from_str_radix(id.get(..ID_NANOS)?, 16)
        .ok()
        .map(|nanos| !nanos)
}
