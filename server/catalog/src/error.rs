//! Errors of the service layer, split by what the caller does next.
//!
//! Callers match on [`Error`] only. `error/lower_layers.rs` converts the errors of the engine and the stores; the
//! causes stay in the chain of sources, for the log.

mod disk;
mod lower_layers;

use std::error::Error as StdError;

use graveler::{Kind, Rejection};

use crate::{NamespaceProblem, ReferenceProblem};

pub use disk::DiskProblem;

/// The result of a service operation.
pub type Result<T> = std::result::Result<T, Error>;

/// The cause of a failure of a store, for the log.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// The failure of a service operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // ---- names
    /// No item of this kind has this name or id.
    #[error("{kind:?} {id:?} not found")]
    NotFound { kind: Kind, id: String },
    /// The name is taken.
    #[error("{kind:?} {id:?} already exists")]
    NotUnique { kind: Kind, id: String },
    /// The name is invalid for its kind; `rule` describes valid names.
    #[error("{rule}")]
    InvalidName { kind: Kind, rule: String },
    /// The reference expression is malformed, or names staged changes where a commit is required.
    #[error("reference {reference:?} is invalid: {problem}")]
    InvalidReference {
        reference: String,
        problem: ReferenceProblem,
    },

    // ---- arguments
    /// An argument is invalid; the message says why.
    #[error("{0}")]
    InvalidValue(String),
    /// An argument is invalid. `problem` says why, `advice` what to send instead.
    #[error("{problem}: {advice}")]
    Advised { problem: String, advice: String },
    /// The path of an object is longer than [`crate::MAX_PATH_BYTES`].
    #[error(
        "the path has {bytes} bytes; at most {} are allowed",
        crate::MAX_PATH_BYTES
    )]
    PathTooLong {
        /// The length of the path.
        bytes: usize,
    },
    /// The storage namespace cannot be used.
    #[error(transparent)]
    Namespace(NamespaceProblem),
    /// The physical address is malformed or outside of the block store.
    #[error("invalid address {address:?}: {reason}")]
    InvalidAddress { address: String, reason: String },
    /// The id of a commit record does not match the record's content.
    #[error("commit id {given:?} does not match the commit's content, whose id is {right}")]
    WrongCommitId { given: String, right: String },
    /// A revert of a merge commit needs the number of the parent whose state it restores.
    #[error("must specify 1-based parent number for reverting merge commit")]
    ParentRequired,
    /// A cherry-pick of a merge commit needs the number of the parent to compare with.
    #[error("must specify 1-based parent number for cherry-picking merge commit")]
    CherryPickParentRequired,
    /// The commit to revert or cherry-pick has fewer parents.
    #[error("commit {commit} has no parent {number}: it has {}", counted_parents(*parents))]
    NoSuchParent {
        commit: String,
        number: usize,
        /// How many parents the commit has.
        parents: usize,
    },
    /// The value is not a valid pull request id.
    #[error("pull request id {0:?} is invalid: expected 20 characters of 0-9a-v")]
    InvalidPullRequestId(String),
    /// Source and destination of a pull request are the same branch.
    #[error("source and destination branches are the same: name two different branches")]
    SameBranches,

    // ---- states that do not allow the operation
    /// The repository is being deleted.
    #[error("repository {0} is being deleted")]
    InDeletion(String),
    /// The repository refuses writes unless they are forced.
    #[error("repository {0} is read-only")]
    ReadOnly(String),
    /// The branch is protected against this action: `write` or `commit`.
    #[error("cannot {action} to protected branch {branch}")]
    Protected {
        action: &'static str,
        branch: String,
    },
    /// The default branch cannot be deleted.
    #[error("cannot delete the default branch {0}")]
    DefaultBranch(String),
    /// A commit, merge or revert that would change nothing; the text says why.
    #[error("no changes: {0}")]
    NoChanges(String),
    /// The operation needs a branch without uncommitted changes.
    #[error("branch {0} has uncommitted changes: commit or reset them first")]
    DirtyBranch(String),
    /// Conflicting changes: the first conflicting keys, ascending, and the total count.
    #[error("conflict found: {count} {}, the first is {:?}", if *count == 1 { "path" } else { "paths" }, first_of(keys))]
    Conflict { keys: Vec<Vec<u8>>, count: u64 },
    /// The target of a restore already has commits.
    #[error("can only restore into a bare repository, and {0} is no longer bare")]
    NotBare(String),
    /// The two commits have no common ancestor.
    #[error("no merge base of {0} and {1}")]
    NoMergeBase(String, String),
    /// A hook refused the change; nothing moved.
    #[error("{0}")]
    Rejected(Box<Rejection>),
    /// The repository has no garbage collection rules, so nothing is deleted.
    #[error("garbage collection rules not found: the repository has none and keeps all objects")]
    NoGcRules,
    /// The pull request's status does not allow the operation.
    #[error("bad pull request status: {0}")]
    PullRequestStatus(String),

    // ---- conditions and races
    /// The condition of a conditional write does not hold.
    #[error("precondition failed")]
    PreconditionFailed,
    /// The settings changed since the caller read them.
    #[error("precondition failed: {0} have changed; read them again")]
    Stale(&'static str),
    /// The operation lost every race against concurrent changes of the named thing, such as `branch
    /// main`. Retry later.
    #[error("too many concurrent changes of {0}: try again")]
    TooManyTries(String),
    /// The named thing, such as `branch main`, changed during the operation.
    #[error("{0} changed at the same time: check it and try again")]
    ConcurrentChange(String),
    /// The state that an undo or a repeated restore relies on has changed. `problem` says what changed, `advice`
    /// what to do.
    #[error("{problem}: {advice}")]
    MovedOn { problem: String, advice: String },
    /// Concurrent changes of the pull request won every attempt. Retry later.
    #[error("pull request {0} keeps changing; try again later")]
    PullRequestBusy(String),
    /// This server runs the maximum number of tasks. Retry later.
    #[error("too many tasks on this server; try again when some have ended")]
    TooManyTasks,
    /// This server runs the maximum number of changes or dumps. Retry later.
    #[error("too many changes are running on this server; try again")]
    TooManyChanges,
    /// This server is stopping and accepts no tasks. Retry on another server or after the restart.
    #[error("the server is stopping; try again")]
    Stopping,

    // ---- objects, uploads, tasks and pull requests that do not exist
    /// No object exists at the path.
    #[error("path {0:?} not found")]
    ObjectNotFound(String),
    /// The entry exists, but its bytes do not.
    #[error("data of {0:?} is gone")]
    DataGone(String),
    /// The store has fewer or more bytes than the entry says.
    #[error(
        "object {:?} of repository {} has {} bytes in the store, but {} according to its entry",
        .0.path, .0.repository, .0.stored, .0.expected
    )]
    WrongSize(Box<WrongSize>),
    /// No bytes exist at a physical address that a record names.
    #[error("no object at {0}")]
    BytesMissing(String),
    /// The byte range starts behind the end of the object.
    #[error("range not satisfiable: the object has {size} bytes")]
    RangeNotSatisfiable {
        /// The size of the object.
        size: u64,
    },
    /// The multipart upload does not exist.
    #[error("no such upload {0}")]
    NoSuchUpload(String),
    /// A part in the list of a completion is missing or has a different `ETag`.
    #[error("invalid part: {0}")]
    InvalidPart(String),
    /// The task does not exist, or ended more than a day ago.
    #[error("task '{0}' not found: tasks are kept for a day after they end")]
    TaskNotFound(String),
    /// The pull request does not exist.
    #[error("pull request {0} not found")]
    NoSuchPullRequest(String),

    // ---- failures
    /// The client's body ended early or is malformed; nothing was stored.
    #[error("failed to read the body")]
    Body(#[source] std::io::Error),
    /// The record store is overloaded. Retry later.
    #[error("failed to access records")]
    RecordsBusy(#[source] Cause),
    /// The record store failed.
    #[error("failed to access records")]
    Records(#[source] Cause),
    /// The block store failed to store or read the engine's tables.
    #[error("failed to access stored data")]
    StoredData(#[source] Cause),
    /// The block store failed to store or read bytes. The message names the operation and the location.
    #[error("{message}")]
    Storage {
        message: String,
        #[source]
        source: Cause,
    },
    /// Stored bytes cannot be parsed.
    #[error("corrupt {what}: {reason}")]
    Corrupt { what: String, reason: String },
    /// The work of a task panicked.
    #[error("the task failed unexpectedly")]
    TaskPanicked,
    /// The server that ran a task died.
    #[error("the server died while running {operation}{}", counted_attempts(*attempt))]
    ServerDied {
        operation: String,
        /// The number of the attempt, from 1. Tasks that cannot be retried have only one.
        attempt: u32,
    },
}

/// The store has fewer or more bytes of an object than the object's entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongSize {
    /// The repository of the entry.
    pub repository: String,
    /// The path of the object.
    pub path: String,
    /// How many bytes the store has.
    pub stored: u64,
    /// How many bytes the entry says.
    pub expected: u64,
}

impl Error {
    /// Creates an [`Error::Advised`].
    #[must_use]
    pub fn with_advice(problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Advised {
            problem: problem.into(),
            advice: advice.into(),
        }
    }
}

fn first_of(keys: &[Vec<u8>]) -> String {
    keys.first()
        .map(|key| String::from_utf8_lossy(key).into_owned())
        .unwrap_or_default()
}

/// The number of a commit's parents, in words.
fn counted_parents(count: usize) -> String {
    match count {
        0 => "no parents".to_owned(),
        1 => "1 parent".to_owned(),
        more => format!("{more} parents"),
    }
}

fn counted_attempts(attempt: u32) -> String {
    match attempt {
        0 | 1 => String::new(),
        attempt => format!(" (attempt {attempt} of {})", crate::tasks::MAX_ATTEMPTS),
    }
}
