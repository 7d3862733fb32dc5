//! Errors of the engine, split by what the caller does next.

use crate::{NamespaceProblem, ReferenceProblem, Rejection};

/// The result of an engine operation.
pub type Result<T> = std::result::Result<T, Error>;

/// The kind of thing that was not found or not unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Repository,
    Branch,
    Tag,
    Commit,
    Reference,
    Key,
    ProtectionRule,
    MetaRange,
    Range,
    /// A metarange of a dump to restore.
    Dump,
    ReflogEntry,
}

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing has this name.
    #[error("{kind:?} {id:?} not found")]
    NotFound { kind: Kind, id: String },
    /// The name is taken.
    #[error("{kind:?} {id:?} already exists")]
    NotUnique { kind: Kind, id: String },
    /// The repository is being deleted.
    #[error("repository {0} is being deleted")]
    InDeletion(String),
    /// The repository takes no writes unless forced.
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
    /// An invalid argument; the message says why it is invalid.
    #[error("{0}")]
    InvalidValue(String),
    /// An invalid argument, and what to pass instead.
    #[error("{problem}: {advice}")]
    Advised { problem: String, advice: String },
    /// A name that is invalid for its kind; `rule` describes valid names.
    #[error("{rule}")]
    InvalidName { kind: Kind, rule: String },
    /// A commit record whose id does not match its content.
    #[error("commit id {given:?} does not match the commit's content, whose id is {right}")]
    WrongCommitId { given: String, right: String },
    /// An expression that cannot name a commit.
    #[error("reference {reference:?} is invalid: {problem}")]
    InvalidReference {
        reference: String,
        problem: ReferenceProblem,
    },
    /// A commit, merge or revert that would change nothing; the text says why.
    #[error("no changes: {0}")]
    NoChanges(String),
    /// The operation needs a branch without uncommitted changes.
    #[error("branch {0} has uncommitted changes: commit or reset them first")]
    DirtyBranch(String),
    /// Conflicting changes: the first conflicting keys, ascending, at most
    /// [`crate::committed::MAX_REPORTED_CONFLICTS`], and the total count.
    #[error("conflict found: {count} {}, the first is {:?}", if *count == 1 { "path" } else { "paths" }, first_of(keys))]
    Conflict { keys: Vec<Vec<u8>>, count: u64 },
    /// Reverting a merge commit needs the number of the parent to go back to.
    #[error("must specify 1-based parent number for reverting merge commit")]
    ParentRequired,
    /// Cherry-picking a merge commit needs the number of the parent to compare with.
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
    /// References are restored only into a repository without commits, branches and tags.
    #[error("can only restore into a bare repository, and {0} is no longer bare")]
    NotBare(String),
    /// No common ancestor.
    #[error("no merge base of {0} and {1}")]
    NoMergeBase(String, String),
    /// The condition of a conditional write did not hold.
    #[error("precondition failed")]
    PreconditionFailed,
    /// The settings changed since the caller read them.
    #[error("precondition failed: {0} have changed; read them again")]
    Stale(&'static str),
    /// A storage namespace that a new repository cannot use.
    #[error(transparent)]
    Namespace(NamespaceProblem),
    /// The operation lost every race against concurrent changes of the named thing, such as `branch
    /// main`. Retry later.
    #[error("too many concurrent changes of {0}: try again")]
    TooManyTries(String),
    /// The named thing, such as `branch main`, changed during the operation.
    #[error("{0} changed at the same time: check it and try again")]
    ConcurrentChange(String),
    /// The state that an undo or a repeated restore relies on has changed. `problem` says what
    /// changed, `advice` what to do.
    #[error("{problem}: {advice}")]
    MovedOn { problem: String, advice: String },
    /// A hook refused the change; nothing moved.
    #[error("{0}")]
    Rejected(Box<Rejection>),
    /// Stored bytes that cannot be parsed.
    #[error("corrupt {what}: {reason}")]
    Corrupt { what: String, reason: String },
    /// The KV store failed.
    #[error("failed to access records")]
    Kv(#[from] kv::Error),
    /// The block store failed.
    #[error("failed to access stored data")]
    Block(#[from] block::Error),
}

impl Error {
    /// [`Error::Advised`]: what is wrong with an argument, and what to pass instead.
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
pub(crate) fn counted_parents(count: usize) -> String {
    match count {
        0 => "no parents".to_owned(),
        1 => "1 parent".to_owned(),
        more => format!("{more} parents"),
    }
}

/// The error for something that does not exist.
pub(crate) fn not_found(kind: Kind, id: &str) -> Error {
    Error::NotFound {
        kind,
        id: id.to_owned(),
    }
}
