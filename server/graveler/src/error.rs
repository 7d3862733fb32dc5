//! What can go wrong in the engine, split by what the caller does next.

use crate::Rejection;

/// The result of an engine operation.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of thing was not found or not unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Repository,
    Branch,
    Tag,
    Commit,
    Reference,
    Key,
    MetaRange,
    Range,
    ReflogEntry,
}

/// The engine's failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing by that name.
    #[error("{kind:?} {id:?} not found")]
    NotFound { kind: Kind, id: String },
    /// The name is taken.
    #[error("{kind:?} {id:?} already exists")]
    NotUnique { kind: Kind, id: String },
    /// The repository is being deleted.
    #[error("repository {0} is being deleted")]
    InDeletion(String),
    /// The repository takes no writes, unless forced.
    #[error("repository {0} is read-only")]
    ReadOnly(String),
    /// The branch is protected against this kind of change.
    #[error("branch {0} is protected")]
    Protected(String),
    /// The default branch can't be deleted.
    #[error("cannot delete the default branch {0}")]
    DefaultBranch(String),
    /// A name, expression, strategy or other argument that is not valid; the message says what to do.
    #[error("{0}")]
    InvalidValue(String),
    /// A commit or merge that would change nothing.
    #[error("no changes")]
    NoChanges,
    /// The operation needs a branch without uncommitted changes.
    #[error("branch {0} has uncommitted changes")]
    DirtyBranch(String),
    /// Merge conflict; the first conflicting keys, ascending.
    #[error("conflict found")]
    Conflict { keys: Vec<Vec<u8>> },
    /// No common ancestor.
    #[error("no merge base of {0} and {1}")]
    NoMergeBase(String, String),
    /// A conditional write's condition did not hold.
    #[error("precondition failed")]
    PreconditionFailed,
    /// Lost every try against concurrent changes. Retry later.
    #[error("too many concurrent changes of branch {0}")]
    TooManyTries(String),
    /// Lost a single-try compare-and-set.
    #[error("branch {0} changed at the same time")]
    ConcurrentChange(String),
    /// A change that can't be undone, since others came after it; the message says which, and what to do.
    #[error("{0}")]
    MovedOn(String),
    /// A hook refused the change; nothing moved.
    #[error("{0}")]
    Rejected(Box<Rejection>),
    /// Stored bytes that do not parse.
    #[error("corrupt {what}: {reason}")]
    Corrupt { what: String, reason: String },
    /// The record store failed.
    #[error("failed to access records")]
    Kv(#[from] kv::Error),
    /// The block store failed.
    #[error("failed to access stored data")]
    Block(#[from] block::Error),
}
