//! The HTTP status of each failure.

use catalog::DiskProblem;
use http::StatusCode;

pub(super) fn of_catalog(error: &catalog::Error) -> StatusCode {
    use catalog::Error as E;
    match error {
        E::InvalidValue(_)
        | E::Advised { .. }
        | E::InvalidName { .. }
        | E::InvalidReference { .. }
        | E::PathTooLong { .. }
        | E::Namespace(_)
        | E::InvalidAddress { .. }
        | E::WrongCommitId { .. }
        | E::CherryPickParentRequired
        | E::NoSuchParent { .. }
        | E::InvalidPullRequestId(_)
        | E::SameBranches
        | E::NoChanges(_)
        | E::DirtyBranch(_)
        | E::NotBare(_)
        | E::NoMergeBase(..)
        | E::PullRequestStatus(_)
        | E::InvalidPart(_)
        | E::Body(_) => StatusCode::BAD_REQUEST,
        E::ReadOnly(_) | E::Protected { .. } | E::DefaultBranch(_) => StatusCode::FORBIDDEN,
        E::NotFound { .. }
        | E::ObjectNotFound(_)
        | E::NoSuchUpload(_)
        | E::TaskNotFound(_)
        | E::NoSuchPullRequest(_)
        | E::NoGcRules => StatusCode::NOT_FOUND,
        E::NotUnique { .. }
        | E::Conflict { .. }
        | E::ParentRequired
        | E::ConcurrentChange(_)
        | E::MovedOn { .. } => StatusCode::CONFLICT,
        // The entry or the repository exists, but its bytes are gone or will be.
        E::InDeletion(_) | E::DataGone(_) | E::BytesMissing(_) => StatusCode::GONE,
        E::Rejected(rejection) if rejection.invalid_actions => StatusCode::BAD_REQUEST,
        E::PreconditionFailed | E::Stale(_) | E::Rejected(_) => StatusCode::PRECONDITION_FAILED,
        E::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
        E::TooManyTries(_) | E::PullRequestBusy(_) | E::TooManyTasks => {
            StatusCode::TOO_MANY_REQUESTS
        }
        E::RecordsBusy(_) | E::TooManyChanges | E::Stopping | E::ServerDied { .. } => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        E::Records(_) | E::StoredData(_) | E::Storage { .. }
            if error.disk_problem() == Some(DiskProblem::NoSpace) =>
        {
            StatusCode::INSUFFICIENT_STORAGE
        }
        E::Records(_)
        | E::StoredData(_)
        | E::Storage { .. }
        | E::WrongSize(_)
        | E::Corrupt { .. }
        | E::TaskPanicked => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A missing permission is 401 too, as clients of lakeFS expect. They expect 403 for changes that the state of the
/// repository forbids, such as a protected branch.
pub(super) fn of_auth(error: &auth::Error) -> StatusCode {
    use auth::Error as E;
    match error {
        E::Unauthenticated | E::Forbidden(_) => StatusCode::UNAUTHORIZED,
        E::NotFound(_) => StatusCode::NOT_FOUND,
        E::AlreadyExists(_) => StatusCode::CONFLICT,
        E::InvalidValue(_) | E::KeyIdCharacters | E::ShortSecret => StatusCode::BAD_REQUEST,
        E::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
        E::RecordsBusy(_) => StatusCode::SERVICE_UNAVAILABLE,
        E::Records(cause) if DiskProblem::of(cause.as_ref()) == Some(DiskProblem::NoSpace) => {
            StatusCode::INSUFFICIENT_STORAGE
        }
        E::Secret | E::Records(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
