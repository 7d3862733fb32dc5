//! Details of invalid storage namespaces and references, split into the cases that callers report
//! differently.

/// Why a new repository cannot use a storage namespace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamespaceProblem {
    /// The namespace holds, or held, a repository: the object `key` proves it.
    #[error(
        "found objects of a repository in {namespace} (key {key}): storage namespace already in use"
    )]
    InUse { namespace: String, key: String },
    /// The namespace equals, contains or lies inside another repository's.
    #[error(
        "storage namespace already in use: {namespace} overlaps {theirs} of repository {repository:?}"
    )]
    Overlaps {
        namespace: String,
        theirs: String,
        repository: String,
    },
    /// The namespace belongs to another block store; `expected` is the regular expression that this
    /// store's namespaces match.
    #[error("invalid namespace {namespace:?}: it does not match {expected}")]
    OtherStore { namespace: String, expected: String },
    /// The block store does not accept the namespace.
    #[error("invalid namespace {namespace:?}: {reason}")]
    Invalid { namespace: String, reason: String },
}

/// Why an expression cannot name a commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceProblem {
    /// A malformed modifier, such as `~x`.
    #[error("could not parse modifier {0}")]
    Modifier(String),
    /// The expression names staged changes, but a commit is needed.
    #[error("should point to a commit")]
    Staging,
    /// Anything else.
    #[error("{0}")]
    Malformed(String),
}
