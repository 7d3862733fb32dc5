//! THE mapping of failures to HTTP: status, words, findings. No status is decided anywhere else
//! but for successes, and the conflict of a merge, which answers a `MergeResult`.
//!
//! Every match is exhaustive, so that a new failure below can't go out unnoticed.
//! What is the server's own fault is logged here, once, with its causes; callers
//! are told no more than the operation that failed.

use api_types as types;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::response::{IntoResponse, Response};
use catalog::{BlockError, EngineError, Kind, StoreError};
use http::StatusCode;

/// The result of a handler.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// A request that can't be answered as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    #[error(transparent)]
    Auth(#[from] auth::Error),
    /// Does not follow the contract; the message says where.
    #[error("{0}")]
    Invalid(String),
    #[error("request body is larger than {0} bytes")]
    TooLarge(usize),
    /// No such route.
    #[error("invalid API endpoint")]
    NoEndpoint,
    #[error("{0} not found")]
    NotFound(String),
    /// There is no such hook of a run, or its log is gone. In lakeFS's words.
    #[error("not found")]
    NoHookOutput,
    /// A precondition of the operation does not hold.
    #[error("{0}")]
    Precondition(String),
    /// An operation, or a way of asking for it, that this server does not have.
    #[error(
        "{0} is not implemented in this version of Weir: do without it, or see in its CHANGELOG.md what other versions have"
    )]
    NotImplemented(&'static str),
}

/// The paths that a merge, revert or cherry-pick met conflicts at.
#[derive(Debug)]
pub(crate) struct Conflicts {
    pub(crate) message: String,
    /// The first of them, in order of path.
    pub(crate) paths: Vec<String>,
    pub(crate) count: i64,
}

impl Error {
    /// The status that clients decide by.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Catalog(error) => of_catalog(error),
            Self::Auth(error) => of_auth(error),
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoEndpoint | Self::NotFound(_) | Self::NoHookOutput => StatusCode::NOT_FOUND,
            Self::Precondition(_) => StatusCode::PRECONDITION_FAILED,
            Self::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
        }
    }

    /// What people read. Some clients look for parts of it: `no changes`, `error authenticating request`.
    fn message(&self) -> String {
        match self {
            Self::Catalog(error) => words_of_catalog(error),
            other => other.to_string(),
        }
    }

    /// What contradicts each other, where that is the failure.
    pub(crate) fn conflicts(&self) -> Option<Conflicts> {
        let Self::Catalog(error) = self else {
            return None;
        };
        let (paths, count) = crate::convert::conflicting(&catalog::Conflicts::of(error)?);
        Some(Conflicts {
            message: self.message(),
            paths,
            count,
        })
    }

    fn findings(&self) -> Option<Vec<types::HookFinding>> {
        match self {
            Self::Catalog(catalog::Error::Engine(EngineError::Rejected(rejection))) => Some(
                rejection
                    .findings
                    .iter()
                    .map(crate::convert::finding)
                    .collect(),
            ),
            _ => None,
        }
    }
}

/// The status and the words of a failure of the services, for what is answered later than its request.
#[must_use]
pub fn describe_failure(error: &catalog::Error) -> (u16, String) {
    (of_catalog(error).as_u16(), words_of_catalog(error))
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        Self::Catalog(error.into())
    }
}

impl From<PathRejection> for Error {
    fn from(rejection: PathRejection) -> Self {
        Self::Invalid(rejection.body_text())
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED {
            tracing::error!(status = status.as_u16(), error = %base::chain(&self), "failed to answer a request");
        }
        let findings = self.findings().filter(|findings| !findings.is_empty());
        let (conflicts, conflict_count) = self
            .conflicts()
            .map(|conflicts| (conflicts.paths, conflicts.count))
            .unzip();
        (
            status,
            Json(types::Error {
                message: self.message(),
                findings,
                conflicts,
                conflict_count,
            }),
        )
            .into_response()
    }
}

fn of_catalog(error: &catalog::Error) -> StatusCode {
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
        E::InvalidValue(_) | E::Namespace(_) | E::InvalidPart(_) | E::Body(_) => {
            StatusCode::BAD_REQUEST
        }
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
        | E::MovedOn(_) => StatusCode::CONFLICT,
        E::InDeletion(_) => StatusCode::GONE,
        E::ReadOnly(_) | E::Protected(_) | E::DefaultBranch(_) => StatusCode::FORBIDDEN,
        E::InvalidValue(_)
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
        // An entry that names bytes which are not there.
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
        // The store's other failures, and those it may grow, are the server's fault.
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A refused permission is 401 as well, as clients of lakeFS expect; 403 is for what nobody may do.
fn of_auth(error: &auth::Error) -> StatusCode {
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

fn words_of_catalog(error: &catalog::Error) -> String {
    match error {
        catalog::Error::Engine(error) => words_of_engine(error),
        catalog::Error::ObjectNotFound(path) => format!("object '{path}' not found"),
        catalog::Error::PreconditionFailed => "path already exists".to_owned(),
        other => other.to_string(),
    }
}

fn words_of_engine(error: &EngineError) -> String {
    match error {
        EngineError::NotFound {
            kind: Kind::ReflogEntry,
            id,
        } => format!("reflog entry {id} not found"),
        EngineError::NotFound {
            kind: Kind::Dump,
            id,
        } => format!(
            "meta-range '{id}' of the dump not found in the repository's storage namespace: a dump is restored in the namespace where it was taken"
        ),
        EngineError::NotFound { kind, id } => format!("{} '{id}' not found", name(*kind)),
        EngineError::NotUnique { kind, id } => {
            format!("{} '{id}' already exists: not unique", name(*kind))
        }
        EngineError::ReadOnly(repository) => format!(
            "read-only repository '{repository}': it is changed only by what has a `force` option, with `force` given"
        ),
        EngineError::DirtyBranch(branch) => {
            format!(
                "branch '{branch}' has uncommitted changes (dirty branch): commit or reset them first"
            )
        }
        EngineError::PreconditionFailed => "path already exists".to_owned(),
        other => other.to_string(),
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

#[cfg(test)]
mod tests {
    use super::Error;
    use catalog::{BlockError, EngineError, Finding, Kind, Rejection, StoreError};
    use std::collections::BTreeMap;

    fn rejection(invalid_actions: bool) -> EngineError {
        EngineError::Rejected(Box::new(Rejection {
            run_id: "r".to_owned(),
            kind: catalog::EventKind::PreMerge,
            message: "pre-merge hook aborted".to_owned(),
            hint: None,
            invalid_actions,
            findings: vec![Finding {
                action: "a".to_owned(),
                hook: "h".to_owned(),
                severity: "error".to_owned(),
                rule: "column".to_owned(),
                message: "m".to_owned(),
                path: Some("p".to_owned()),
                properties: BTreeMap::new(),
            }],
        }))
    }

    fn conflict() -> EngineError {
        EngineError::Conflict {
            keys: vec![b"a/1".to_vec(), b"b".to_vec()],
            count: 3,
        }
    }

    #[test]
    fn every_failure_has_its_status() {
        let s = str::to_owned;
        let io = || std::io::Error::other("x");
        let not_found = |kind| {
            Error::from(catalog::Error::from(EngineError::NotFound {
                kind,
                id: s("x"),
            }))
        };
        let engine = |error| Error::from(catalog::Error::from(error));
        let block = |error: BlockError| Error::from(catalog::Error::Block(error));
        let storage = || StoreError::Storage {
            operation: "get",
            source: Box::new(io()),
        };
        for (error, status, words) in [
            (not_found(Kind::Branch), 404, "branch 'x' not found"),
            (not_found(Kind::Repository), 404, "repository 'x' not found"),
            (
                engine(EngineError::NotUnique {
                    kind: Kind::Tag,
                    id: s("x"),
                }),
                409,
                "tag 'x' already exists",
            ),
            (
                engine(EngineError::InDeletion(s("x"))),
                410,
                "being deleted",
            ),
            (engine(EngineError::ReadOnly(s("x"))), 403, "read-only"),
            (
                engine(EngineError::Protected(s(
                    "cannot write to protected branch x",
                ))),
                403,
                "cannot write to protected branch x: change another",
            ),
            (
                engine(EngineError::Stale("rules")),
                412,
                "rules were changed meanwhile",
            ),
            (
                not_found(Kind::ProtectionRule),
                404,
                "branch protection rule 'x' not found",
            ),
            (
                engine(EngineError::DefaultBranch(s("x"))),
                403,
                "default branch",
            ),
            (engine(EngineError::InvalidValue(s("bad"))), 400, "bad"),
            (
                engine(EngineError::NoChanges(s("write"))),
                400,
                "no changes: write",
            ),
            (
                not_found(Kind::Dump),
                404,
                "meta-range 'x' of the dump not found in the repository's storage namespace",
            ),
            (
                not_found(Kind::ReflogEntry),
                404,
                "reflog entry x not found",
            ),
            (
                engine(EngineError::DirtyBranch(s("x"))),
                400,
                "(dirty branch): commit or reset them first",
            ),
            (
                engine(conflict()),
                409,
                "conflict found: 3 paths, the first is \"a/1\"",
            ),
            (
                engine(EngineError::ParentRequired),
                409,
                "must specify 1-based parent number",
            ),
            (
                engine(EngineError::NoMergeBase(s("x"), s("y"))),
                400,
                "no merge base",
            ),
            (
                engine(EngineError::PreconditionFailed),
                412,
                "already exists",
            ),
            (engine(EngineError::TooManyTries(s("x"))), 429, "too many"),
            (engine(EngineError::MovedOn(s("later"))), 409, "later"),
            (
                engine(EngineError::ConcurrentChange(s("x"))),
                409,
                "at the same time",
            ),
            (engine(rejection(false)), 412, "hook aborted"),
            (engine(rejection(true)), 400, "hook aborted"),
            (
                engine(EngineError::Corrupt {
                    what: s("x"),
                    reason: s("y"),
                }),
                500,
                "corrupt",
            ),
            (
                engine(EngineError::Kv(storage())),
                500,
                "failed to access records",
            ),
            (
                engine(EngineError::Kv(StoreError::SlowDown(s("x")))),
                503,
                "failed to access records",
            ),
            (
                catalog::Error::ObjectNotFound(s("x")).into(),
                404,
                "object 'x' not found",
            ),
            (catalog::Error::DataGone(s("x")).into(), 410, "gone"),
            (catalog::Error::InvalidValue(s("bad")).into(), 400, "bad"),
            (catalog::Error::Namespace(s("bad")).into(), 400, "bad"),
            (
                catalog::Error::RangeNotSatisfiable { size: 1 }.into(),
                416,
                "1 bytes",
            ),
            (
                catalog::Error::PreconditionFailed.into(),
                412,
                "path already exists",
            ),
            (catalog::Error::NoSuchUpload(s("x")).into(), 404, "upload"),
            (catalog::Error::TaskNotFound(s("x")).into(), 404, "task 'x'"),
            (catalog::Error::NoGcRules.into(), 404, "rules not found"),
            (catalog::Error::TooManyTasks.into(), 429, "too many tasks"),
            (
                catalog::Error::NoSuchPullRequest(s("x")).into(),
                404,
                "pull request x not found",
            ),
            (
                catalog::Error::PullRequestBusy(s("x")).into(),
                429,
                "try again",
            ),
            (
                catalog::Error::InvalidPart(s("1")).into(),
                400,
                "invalid part",
            ),
            (catalog::Error::Body(io()).into(), 400, "body"),
            (
                block(BlockError::InvalidAddress {
                    address: s("x"),
                    reason: s("y"),
                }),
                400,
                "invalid address",
            ),
            (
                block(BlockError::RangeNotSatisfiable { size: 1 }),
                416,
                "past the end",
            ),
            (block(BlockError::NoSuchUpload(s("x"))), 404, "upload"),
            (block(BlockError::InvalidPart(s("x"))), 400, "part"),
            (block(BlockError::Body(io())), 400, "body"),
            (
                block(BlockError::Storage {
                    operation: "write",
                    location: s("l"),
                    source: io(),
                }),
                500,
                "failed to write l",
            ),
            (
                auth::Error::Unauthenticated.into(),
                401,
                "error authenticating request",
            ),
            (
                auth::Error::Forbidden(s("x")).into(),
                401,
                "insufficient permissions",
            ),
            (
                auth::Error::NotFound(s("user")).into(),
                404,
                "user not found",
            ),
            (
                auth::Error::AlreadyExists(s("user")).into(),
                409,
                "already exists",
            ),
            (auth::Error::InvalidValue(s("bad")).into(), 400, "bad"),
            (auth::Error::NotImplemented(s("x")).into(), 501, "x"),
            (auth::Error::Secret.into(), 500, "secret_key"),
            (auth::Error::Kv(storage()).into(), 500, "auth records"),
            (Error::Invalid(s("bad")), 400, "bad"),
            (Error::TooLarge(10), 413, "10 bytes"),
            (Error::NoEndpoint, 404, "invalid API endpoint"),
            (Error::NotFound(s("run 'x'")), 404, "run 'x' not found"),
            (Error::NoHookOutput, 404, "not found"),
            (Error::Precondition(s("first set up")), 412, "first set up"),
            (
                Error::NotImplemented("createGroup"),
                501,
                "createGroup is not implemented in this version of Weir: do without it",
            ),
        ] {
            assert_eq!(error.status().as_u16(), status, "{error:?}");
            assert!(
                error.message().contains(words),
                "{words:?} in {:?}",
                error.message()
            );
        }
    }

    #[test]
    fn a_conflict_carries_its_paths() {
        let error = Error::from(catalog::Error::from(conflict()));
        let conflicts = error.conflicts().expect("conflicts");
        assert_eq!(
            (conflicts.paths, conflicts.count),
            (vec!["a/1".to_owned(), "b".to_owned()], 3)
        );
        assert!(Error::NoEndpoint.conflicts().is_none());
    }

    #[test]
    fn a_refusal_carries_its_findings() {
        let error = Error::from(catalog::Error::from(rejection(false)));
        let findings = error.findings().expect("findings");
        assert_eq!(
            (findings[0].rule.as_str(), findings[0].path.as_deref()),
            ("column", Some("p"))
        );
        assert_eq!(Error::NoEndpoint.findings(), None);
    }

    #[test]
    fn causes_are_kept_for_the_log() {
        let source = StoreError::Storage {
            operation: "get",
            source: Box::new(std::io::Error::other("disk on fire")),
        };
        let error = Error::from(auth::Error::Kv(source));
        assert_eq!(
            base::chain(&error),
            "failed to access auth records: failed to get: disk on fire"
        );
        assert_eq!(error.message(), "failed to access auth records");
    }
}
