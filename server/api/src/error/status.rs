//! The HTTP status of each failure.

use catalog::{BlockError, EngineError, StoreError};
use http::StatusCode;

pub(super) fn of_catalog(error: &catalog::Error) -> StatusCode {
    use catalog::Error as E;
    match error {
        E::Engine(error) => of_engine(error),
        E::Block(error) => of_block(error),
        E::ObjectNotFound(_)
        | E::NoSuchUpload(_)
        | E::TaskNotFound(_)
        | E::NoGcRules
        | E::NoSuchPullRequest(_) => StatusCode::NOT_FOUND,
        E::TooManyTasks => StatusCode::TOO_MANY_REQUESTS,
        E::DataGone(_) => StatusCode::GONE,
        E::InvalidValue(_)
        | E::PathTooLong { .. }
        | E::Namespace(_)
        | E::InvalidPart(_)
        | E::Body(_)
        | E::InvalidPullRequestId(_)
        | E::SameBranches
        | E::PullRequestStatus(_) => StatusCode::BAD_REQUEST,
        E::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
        E::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        E::PullRequestBusy(_) => StatusCode::TOO_MANY_REQUESTS,
    }
}

fn of_engine(error: &EngineError) -> StatusCode {
    use EngineError as E;
    match error {
        E::NotFound { .. } => StatusCode::NOT_FOUND,
        E::NotUnique { .. }
        | E::Conflict { .. }
        | E::ParentRequired
        | E::ConcurrentChange(_)
        | E::MovedOn { .. } => StatusCode::CONFLICT,
        E::InDeletion(_) => StatusCode::GONE,
        E::ReadOnly(_) | E::Protected { .. } | E::DefaultBranch(_) => StatusCode::FORBIDDEN,
        E::InvalidValue(_)
        | E::Advised { .. }
        | E::InvalidName { .. }
        | E::InvalidReference { .. }
        | E::CherryPickParentRequired
        | E::NoSuchParent { .. }
        | E::WrongCommitId { .. }
        | E::NotBare(_)
        | E::Namespace(_)
        | E::NoChanges(_)
        | E::DirtyBranch(_)
        | E::NoMergeBase(..) => StatusCode::BAD_REQUEST,
        E::PreconditionFailed | E::Stale(_) => StatusCode::PRECONDITION_FAILED,
        E::TooManyTries(_) => StatusCode::TOO_MANY_REQUESTS,
        E::Rejected(rejection) if rejection.invalid_actions => StatusCode::BAD_REQUEST,
        E::Rejected(_) => StatusCode::PRECONDITION_FAILED,
        E::Corrupt { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        E::Kv(error) => of_store(error),
        E::Block(error) => of_block(error),
    }
}

fn of_block(error: &BlockError) -> StatusCode {
    use BlockError as E;
    match error {
        // The entry exists, but its bytes do not.
        E::NotFound(_) => StatusCode::GONE,
        E::InvalidAddress { .. } | E::InvalidPart(_) | E::Body(_) => StatusCode::BAD_REQUEST,
        E::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
        E::NoSuchUpload(_) => StatusCode::NOT_FOUND,
        E::Storage { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn of_store(error: &StoreError) -> StatusCode {
    match error {
        StoreError::SlowDown(_) => StatusCode::SERVICE_UNAVAILABLE,
        // All other failures of the store, including those of future versions, are the server's fault.
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A missing permission is 401 too, as clients of lakeFS expect. 403 means that no caller is allowed to do it.
pub(super) fn of_auth(error: &auth::Error) -> StatusCode {
    use auth::Error as E;
    match error {
        E::Unauthenticated | E::Forbidden(_) => StatusCode::UNAUTHORIZED,
        E::NotFound(_) => StatusCode::NOT_FOUND,
        E::AlreadyExists(_) => StatusCode::CONFLICT,
        E::InvalidValue(_) => StatusCode::BAD_REQUEST,
        E::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
        E::Secret => StatusCode::INTERNAL_SERVER_ERROR,
        E::Kv(error) => of_store(error),
    }
}
