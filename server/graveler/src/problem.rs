//! What is wrong with a namespace or a reference: the cases that callers are told of differently.

/// Why a new repository can't have a storage namespace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamespaceProblem {
    /// There is or was a repository in it: `key` is what tells.
    #[error(
        "found objects of a repository in {namespace} (key {key}): storage namespace already in use"
    )]
    InUse { namespace: String, key: String },
    /// It is another repository's, inside of that or around it.
    #[error(
        "storage namespace already in use: {namespace} and {theirs} of repository {repository:?} are the same or inside of each other"
    )]
    Overlaps {
        namespace: String,
        theirs: String,
        repository: String,
    },
    /// It is of another store; `expected` is a regular expression of this one's.
    #[error("invalid namespace {namespace:?}: it does not match {expected}")]
    OtherStore { namespace: String, expected: String },
    /// The store can't have it.
    #[error("invalid namespace {namespace:?}: {reason}")]
    Invalid { namespace: String, reason: String },
}

/// Why an expression can't name a commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceProblem {
    /// A modifier that is none, such as `~x`.
    #[error("could not parse modifier {0}")]
    Modifier(String),
    /// It means staged changes, where a commit is needed.
    #[error("should point to a commit")]
    Staging,
    /// Anything else.
    #[error("{0}")]
    Malformed(String),
}
