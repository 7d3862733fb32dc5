//! What people and scripts read of a failure: the message, and a hint what can be done about it.
//!
//! Lower layers say what failed in the words of their domain. Here it is said as clients of lakeFS
//! know it, and what the caller can do is said in the caller's terms: members of the request, flags
//! of lakectl.

use catalog::{EngineError, Kind};

/// What is told of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    /// What failed. Scripts match on it.
    pub(crate) message: String,
    /// What the caller can do about it, if there is something.
    pub(crate) hint: Option<String>,
}

impl Words {
    /// A message that needs no hint.
    pub(crate) fn message(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    /// The same with a hint.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

pub(super) fn of_catalog(error: &catalog::Error) -> Words {
    match error {
        catalog::Error::Engine(error) => of_engine(error),
        catalog::Error::ObjectNotFound(path) => {
            Words::message(format!("object '{path}' not found"))
        }
        catalog::Error::PreconditionFailed => Words::message("path already exists"),
        other => Words::message(other.to_string()),
    }
}

fn of_engine(error: &EngineError) -> Words {
    match error {
        EngineError::NotFound {
            kind: Kind::ReflogEntry,
            id,
        } => Words::message(format!("reflog entry {id} not found")),
        EngineError::NotFound {
            kind: Kind::Dump,
            id,
        } => Words::message(format!(
            "meta-range '{id}' of the dump not found in the repository's storage namespace"
        ))
        .hint("restore a dump in the namespace where it was taken"),
        EngineError::NotFound { kind, id } => {
            Words::message(format!("{} '{id}' not found", name(*kind)))
        }
        EngineError::NotUnique { kind, id } => {
            Words::message(format!("{} '{id}' already exists: not unique", name(*kind)))
        }
        EngineError::ReadOnly(_) => Words::message("read-only repository").hint(
            "only operations with a member `force` (lakectl: --force) change it, where that is given",
        ),
        EngineError::DirtyBranch(branch) => Words::message("uncommitted changes (dirty branch)")
            .hint(format!("commit or reset the changes of branch {branch} first")),
        EngineError::PreconditionFailed => Words::message("path already exists"),
        other => Words::message(other.to_string()),
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Repository => "repository",
        Kind::Branch => "branch",
        Kind::Tag => "tag",
        Kind::Commit => "commit",
        Kind::Reference => "reference",
        Kind::Key => "path",
        Kind::MetaRange => "meta-range",
        Kind::Range => "range",
        Kind::Dump => "dump",
        Kind::ProtectionRule => "branch protection rule",
        Kind::ReflogEntry => "reflog entry",
    }
}
