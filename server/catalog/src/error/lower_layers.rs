//! Converts the errors of the engine, the record store and the block store.
//!
//! Every `match` on the engine's and the block store's errors is exhaustive, so a new error does not compile until
//! it is converted.

use graveler::Error as Engine;

use super::Error;

impl From<graveler::Error> for Error {
    fn from(error: graveler::Error) -> Self {
        match error {
            Engine::NotFound { kind, id } => Self::NotFound { kind, id },
            Engine::NotUnique { kind, id } => Self::NotUnique { kind, id },
            Engine::InDeletion(repository) => Self::InDeletion(repository),
            Engine::ReadOnly(repository) => Self::ReadOnly(repository),
            Engine::Protected { action, branch } => Self::Protected { action, branch },
            Engine::DefaultBranch(branch) => Self::DefaultBranch(branch),
            Engine::InvalidValue(why) => Self::InvalidValue(why),
            Engine::Advised { problem, advice } => Self::Advised { problem, advice },
            Engine::InvalidName { kind, rule } => Self::InvalidName { kind, rule },
            Engine::WrongCommitId { given, right } => Self::WrongCommitId { given, right },
            Engine::InvalidReference { reference, problem } => {
                Self::InvalidReference { reference, problem }
            }
            Engine::NoChanges(why) => Self::NoChanges(why),
            Engine::DirtyBranch(branch) => Self::DirtyBranch(branch),
            Engine::Conflict { keys, count } => Self::Conflict { keys, count },
            Engine::ParentRequired => Self::ParentRequired,
            Engine::CherryPickParentRequired => Self::CherryPickParentRequired,
            Engine::NoSuchParent {
                commit,
                number,
                parents,
            } => Self::NoSuchParent {
                commit,
                number,
                parents,
            },
            Engine::NotBare(repository) => Self::NotBare(repository),
            Engine::NoMergeBase(left, right) => Self::NoMergeBase(left, right),
            Engine::PreconditionFailed => Self::PreconditionFailed,
            Engine::Stale(what) => Self::Stale(what),
            Engine::Namespace(problem) => Self::Namespace(problem),
            Engine::TooManyTries(what) => Self::TooManyTries(what),
            Engine::ConcurrentChange(what) => Self::ConcurrentChange(what),
            Engine::MovedOn { problem, advice } => Self::MovedOn { problem, advice },
            Engine::Rejected(rejection) => Self::Rejected(rejection),
            Engine::Corrupt { what, reason } => Self::Corrupt { what, reason },
            Engine::Kv(error) => error.into(),
            Engine::Block(error @ block::Error::Storage { .. }) => Self::StoredData(error.into()),
            Engine::Block(error) => error.into(),
        }
    }
}

impl From<block::Error> for Error {
    fn from(error: block::Error) -> Self {
        use block::Error as Block;
        match error {
            Block::NotFound(at) => Self::BytesMissing(at.to_string()),
            Block::InvalidAddress { address, reason } => Self::InvalidAddress { address, reason },
            Block::RangeNotSatisfiable { size } => Self::RangeNotSatisfiable { size },
            Block::NoSuchUpload(id) => Self::NoSuchUpload(id),
            Block::InvalidPart(reason) => Self::InvalidPart(reason),
            Block::Body(source) => Self::Body(source),
            Block::Storage {
                operation,
                location,
                source,
            } => Self::Storage {
                message: format!("failed to {operation} {location}"),
                source: source.into(),
            },
        }
    }
}

impl From<kv::Error> for Error {
    fn from(error: kv::Error) -> Self {
        match error {
            busy @ kv::Error::SlowDown(_) => Self::RecordsBusy(busy.into()),
            error => Self::Records(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(error: impl Into<Error>) -> (String, String) {
        let error = error.into();
        (error.to_string(), base::error_chain(&error).to_string())
    }

    #[test]
    fn causes_stay_in_the_chain_of_sources() {
        let pair = |message: &str, chain: &str| (message.to_owned(), chain.to_owned());
        let kv = || kv::Error::storage("get", std::io::Error::other("disk on fire"));
        let records = "failed to access records: failed to get: disk on fire";
        assert_eq!(chain(kv()), pair("failed to access records", records));
        assert_eq!(
            chain(Engine::Kv(kv())),
            pair("failed to access records", records)
        );
        let block = || block::Error::Storage {
            operation: "read",
            location: "mem://a/b".to_owned(),
            source: std::io::Error::other("disk on fire"),
        };
        assert_eq!(
            chain(block()),
            pair(
                "failed to read mem://a/b",
                "failed to read mem://a/b: disk on fire"
            )
        );
        assert_eq!(
            chain(Engine::Block(block())),
            pair(
                "failed to access stored data",
                "failed to access stored data: failed to read mem://a/b: disk on fire"
            )
        );
    }

    #[test]
    fn overload_and_failure_are_different_errors() {
        let busy = || kv::Error::SlowDown("queue full".to_owned());
        assert!(matches!(Error::from(busy()), Error::RecordsBusy(_)));
        let engine = Error::from(Engine::Kv(busy()));
        assert!(matches!(engine, Error::RecordsBusy(_)));
        let failed = Error::from(kv::Error::PredicateFailed { index: 0 });
        assert!(matches!(failed, Error::Records(_)));
    }
}
