//! What can go wrong in the engine, split by what the caller does next.

use crate::{NamespaceProblem, ReferenceProblem, Rejection};

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
    ProtectionRule,
    MetaRange,
    Range,
    /// A tree of a dump that is to be restored.
    Dump,
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
    /// The branch is protected against this kind of change: `write` or `commit`.
    #[error("cannot {action} to protected branch {branch}")]
    Protected {
        action: &'static str,
        branch: String,
    },
    /// The default branch can't be deleted.
    #[error("cannot delete the default branch {0}")]
    DefaultBranch(String),
    /// An argument that is not valid; the message says why.
    #[error("{0}")]
    InvalidValue(String),
    /// An argument that is not valid, and what to give instead.
    #[error("{problem}: {advice}")]
    Advised { problem: String, advice: String },
    /// A name that nothing of this kind can have; `rule` says what such names are like.
    #[error("{rule}")]
    InvalidName { kind: Kind, rule: String },
    /// A commit to record whose id is not that of its content.
    #[error("commit id {given:?} is not that of its content, which is {right}")]
    WrongCommitId { given: String, right: String },
    /// An expression that can't name a commit.
    #[error("reference {reference:?} is invalid: {problem}")]
    InvalidReference {
        reference: String,
        problem: ReferenceProblem,
    },
    /// A commit, merge or revert that would change nothing; says why.
    #[error("no changes: {0}")]
    NoChanges(String),
    /// The operation needs a branch without uncommitted changes.
    #[error("branch {0} has uncommitted changes: commit or reset them first")]
    DirtyBranch(String),
    /// Changes that contradict each other: the first keys, ascending, at most
    /// [`crate::committed::MAX_REPORTED_CONFLICTS`], and how many there are in all.
    #[error("conflict found: {count} {}, the first is {:?}", if *count == 1 { "path" } else { "paths" }, first_of(keys))]
    Conflict { keys: Vec<Vec<u8>>, count: u64 },
    /// The commit to revert is a merge: which of its parents to go back to must be said.
    #[error("must specify 1-based parent number for reverting merge commit")]
    ParentRequired,
    /// The same of a commit to cherry-pick.
    #[error("must specify 1-based parent number for cherry-picking merge commit")]
    ParentToPickRequired,
    /// The commit to revert or cherry-pick has fewer parents.
    #[error("commit {commit} has no parent {number}: it has {}", counted_parents(*parents))]
    NoSuchParent {
        commit: String,
        number: usize,
        /// How many it has.
        parents: usize,
    },
    /// References are restored only into a repository without commits.
    #[error("can only restore into a bare repository, which {0} is not any more")]
    NotBare(String),
    /// No common ancestor.
    #[error("no merge base of {0} and {1}")]
    NoMergeBase(String, String),
    /// A conditional write's condition did not hold.
    #[error("precondition failed")]
    PreconditionFailed,
    /// Settings are no longer as the caller read them.
    #[error("precondition failed: {0} were changed meanwhile, read them again")]
    Stale(&'static str),
    /// A storage namespace that a new repository can't have.
    #[error(transparent)]
    Namespace(NamespaceProblem),
    /// Lost every try against concurrent changes of what is named, such as `branch main`. Retry later.
    #[error("too many concurrent changes of {0}: try again")]
    TooManyTries(String),
    /// What is named, such as `branch main`, is no longer what the change was meant for.
    #[error("{0} changed at the same time: look at it, and try again")]
    ConcurrentChange(String),
    /// Something is not what the request takes it for, since others changed it: an undo, a restore that is
    /// repeated. `problem` says what they did, `advice` what to do.
    #[error("{problem}: {advice}")]
    MovedOn { problem: String, advice: String },
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

impl Error {
    /// [`Error::Advised`]: what is wrong with an argument, and what to give instead.
    pub fn advised(problem: impl Into<String>, advice: impl Into<String>) -> Self {
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

/// How many parents a commit has, in words.
pub(crate) fn counted_parents(count: usize) -> String {
    match count {
        0 => "no parents".to_owned(),
        1 => "1 parent".to_owned(),
        more => format!("{more} parents"),
    }
}
