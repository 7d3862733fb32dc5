//! All failures with their status and message. Add every new error variant here.

use std::collections::BTreeMap;

use catalog::{Finding, Kind, NamespaceProblem, ReferenceProblem, Rejection};

use super::own_failures::own_failures;
use crate::error::Error;

pub(super) fn rejection(invalid_actions: bool) -> catalog::Error {
    catalog::Error::Rejected(Box::new(Rejection {
        run_id: "r".to_owned(),
        kind: catalog::EventKind::PreMerge,
        message: "pre-merge hook aborted".to_owned(),
        invalid_actions,
        hint: None,
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

pub(super) fn conflict() -> catalog::Error {
    catalog::Error::Conflict {
        keys: vec![b"a/1".to_vec(), b"b".to_vec()],
        count: 3,
    }
}

pub(super) fn not_found(kind: Kind) -> catalog::Error {
    catalog::Error::NotFound { kind, id: x() }
}

pub(super) fn taken(kind: Kind) -> catalog::Error {
    catalog::Error::NotUnique { kind, id: x() }
}

pub(super) fn malformed(problem: ReferenceProblem) -> catalog::Error {
    catalog::Error::InvalidReference {
        reference: x(),
        problem,
    }
}

pub(super) fn x() -> String {
    "x".to_owned()
}

pub(super) fn io() -> std::io::Error {
    std::io::Error::other("x")
}

/// Whether a failure has a hint. It must have one if the caller can do something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hint {
    Given,
    /// The message is sufficient, or the server caused the failure.
    None,
}

/// Every failure with its status, its message if no operation is given, and whether it has a hint.
pub(super) fn every_failure() -> Vec<(Error, u16, &'static str, Hint)> {
    let all = [engine_failures(), service_failures(), own_failures()];
    all.into_iter().flatten().collect()
}

#[expect(clippy::too_many_lines, reason = "a table with one row per case")]
fn engine_failures() -> Vec<(Error, u16, &'static str, Hint)> {
    use Hint::Given;
    use catalog::Error as E;
    let rows = [
        (
            not_found(Kind::Repository),
            404,
            "repository not found",
            Given,
        ),
        (not_found(Kind::Branch), 404, "branch not found", Given),
        (not_found(Kind::Tag), 404, "tag not found", Given),
        (not_found(Kind::Commit), 404, "commit not found", Given),
        (not_found(Kind::Reference), 404, "not found", Given),
        (not_found(Kind::Key), 404, "not found", Given),
        (
            not_found(Kind::MetaRange),
            404,
            "meta-range 'x' not found",
            Hint::None,
        ),
        (
            not_found(Kind::Range),
            404,
            "range 'x' not found",
            Hint::None,
        ),
        (
            not_found(Kind::Dump),
            404,
            "meta-range 'x' of the dump not found in the repository's storage namespace",
            Given,
        ),
        (
            not_found(Kind::ProtectionRule),
            404,
            "branch protection rule not found",
            Given,
        ),
        (
            not_found(Kind::ReflogEntry),
            404,
            "reflog entry x not found",
            Given,
        ),
        (
            taken(Kind::Repository),
            409,
            "error creating repository: not unique",
            Given,
        ),
        (
            taken(Kind::Branch),
            409,
            "branch already exists: not unique",
            Given,
        ),
        (
            taken(Kind::Tag),
            409,
            "tag already exists: not unique",
            Given,
        ),
        (
            E::InDeletion(x()),
            410,
            "repository x is being deleted",
            Given,
        ),
        (E::ReadOnly(x()), 403, "read-only repository", Given),
        (
            E::Protected {
                action: "write",
                branch: x(),
            },
            403,
            "cannot write to protected branch",
            Given,
        ),
        (
            E::DefaultBranch(x()),
            403,
            "cannot delete repository default branch",
            Given,
        ),
        (E::InvalidValue("bad".to_owned()), 400, "bad", Hint::None),
        (
            E::InvalidName {
                kind: Kind::Branch,
                rule: "branch id must be short".to_owned(),
            },
            400,
            "argument branch: branch id: invalid value: validation error: branch id must be short",
            Given,
        ),
        (
            E::InvalidName {
                kind: Kind::Tag,
                rule: "tag id must be short".to_owned(),
            },
            400,
            "argument tagID: tag id: invalid value: validation error",
            Given,
        ),
        (
            E::InvalidName {
                kind: Kind::Repository,
                rule: "repository id must be short".to_owned(),
            },
            400,
            "repository id must be short",
            Hint::None,
        ),
        (
            malformed(ReferenceProblem::Modifier("~y".to_owned())),
            400,
            "could not parse modifier ~y: ref: invalid value: validation error",
            Given,
        ),
        (
            malformed(ReferenceProblem::Staging),
            400,
            "ref: invalid value: validation error: should point to a commit",
            Given,
        ),
        (
            malformed(ReferenceProblem::Malformed("@ stands alone".to_owned())),
            400,
            "ref: invalid value: validation error",
            Given,
        ),
        (
            E::WrongCommitId {
                given: x(),
                right: "y".to_owned(),
            },
            400,
            "commit id: invalid value: validation error",
            Given,
        ),
        (
            E::NoChanges("nothing is staged".to_owned()),
            400,
            "no changes",
            Given,
        ),
        (
            E::DirtyBranch(x()),
            400,
            "uncommitted changes (dirty branch)",
            Given,
        ),
        (conflict(), 409, "conflict found", Given),
        (
            E::ParentRequired,
            409,
            "must specify 1-based parent number for reverting merge commit",
            Given,
        ),
        (
            E::CherryPickParentRequired,
            400,
            "must specify 1-based parent number for cherry-picking merge commit",
            Given,
        ),
        (
            E::NoSuchParent {
                commit: x(),
                number: 3,
                parents: 2,
            },
            400,
            "parent 3: given commit does not have the given parent number",
            Given,
        ),
        (
            E::NotBare(x()),
            400,
            "can only restore into a bare repository",
            Given,
        ),
        (
            E::NoMergeBase(x(), "y".to_owned()),
            400,
            "no merge base",
            Given,
        ),
        (E::PreconditionFailed, 412, "path already exists", Given),
        (E::Stale("rules"), 412, "Precondition failed", Given),
        (
            E::TooManyTries(x()),
            429,
            "too many concurrent changes of x",
            Given,
        ),
        (
            E::ConcurrentChange(x()),
            409,
            "x changed at the same time",
            Given,
        ),
        (
            E::MovedOn {
                problem: "later".to_owned(),
                advice: "undo that first".to_owned(),
            },
            409,
            "later",
            Given,
        ),
        (E::with_advice("bad", "give another"), 400, "bad", Given),
        (rejection(false), 412, "pre-merge hook aborted", Hint::None),
        (rejection(true), 400, "pre-merge hook aborted", Hint::None),
        (
            E::Corrupt {
                what: x(),
                reason: "y".to_owned(),
            },
            500,
            "corrupt x: y",
            Hint::None,
        ),
        (
            E::Records(io().into()),
            500,
            "failed to access records",
            Hint::None,
        ),
        (E::Stopping, 503, "the server is stopping", Given),
        (
            E::TooManyChanges,
            503,
            "too many changes on this server",
            Given,
        ),
        (
            E::RecordsBusy(io().into()),
            503,
            "failed to access records",
            Given,
        ),
    ];
    rows.into_iter()
        .map(|(error, status, message, hint)| (error.into(), status, message, hint))
        .collect()
}

#[expect(clippy::too_many_lines, reason = "a table with one row per case")]
fn service_failures() -> Vec<(Error, u16, &'static str, Hint)> {
    use Hint::Given;
    use catalog::Error as E;
    let namespace = |problem| E::Namespace(problem);
    let rows = [
        (E::ObjectNotFound(x()), 404, "not found", Given),
        (E::DataGone(x()), 410, "No data", Given),
        (E::InvalidValue("bad".to_owned()), 400, "bad", Hint::None),
        (
            E::PathTooLong { bytes: 1025 },
            400,
            "argument path: invalid value: validation error: 1025 is above maximum length (1024)",
            Hint::None,
        ),
        (
            namespace(NamespaceProblem::InUse {
                namespace: "mem://x".to_owned(),
                key: "_lakefs/dummy".to_owned(),
            }),
            400,
            "failed to create repository: found lakeFS objects in the storage (:mem://x) key(_lakefs/dummy): storage namespace already in use",
            Given,
        ),
        (
            namespace(NamespaceProblem::Overlaps {
                namespace: "mem://x".to_owned(),
                theirs: "mem://x/y".to_owned(),
                repository: "y".to_owned(),
            }),
            400,
            "failed to create repository: storage namespace already in use: mem://x overlaps mem://x/y of repository \"y\"",
            Given,
        ),
        (
            namespace(NamespaceProblem::OtherStore {
                namespace: "s3://x".to_owned(),
                expected: "^mem://".to_owned(),
            }),
            400,
            "failed to match required regex ^mem://: invalid namespace",
            Given,
        ),
        (
            namespace(NamespaceProblem::Invalid {
                namespace: "mem://".to_owned(),
                reason: "it names nothing".to_owned(),
            }),
            400,
            "invalid namespace \"mem://\": it names nothing",
            Given,
        ),
        (
            E::RangeNotSatisfiable { size: 1 },
            416,
            "Requested Range Not Satisfiable",
            Given,
        ),
        (E::PreconditionFailed, 412, "path already exists", Given),
        (E::NoSuchUpload(x()), 404, "no such upload x", Hint::None),
        (E::TaskNotFound(x()), 404, "not found", Given),
        (E::NoGcRules, 404, "not found", Given),
        (E::TooManyTasks, 429, "too many tasks on this server", Given),
        (
            E::NoSuchPullRequest(x()),
            404,
            "pull request not found",
            Given,
        ),
        (
            E::InvalidPullRequestId(x()),
            400,
            "argument pullRequestID: pull request id: invalid value: validation error",
            Given,
        ),
        (
            E::SameBranches,
            400,
            "source and destination branches are the same: same branch validation error",
            Given,
        ),
        (
            E::PullRequestStatus(x()),
            400,
            "bad pull request status",
            Given,
        ),
        (
            E::PullRequestBusy(x()),
            429,
            "pull request keeps changing",
            Given,
        ),
        (
            E::InvalidPart("1".to_owned()),
            400,
            "invalid part: 1",
            Hint::None,
        ),
        (E::Body(io()), 400, "failed to read the body", Given),
        (
            E::InvalidAddress {
                address: x(),
                reason: "y".to_owned(),
            },
            400,
            "invalid address \"x\": y",
            Hint::None,
        ),
        (E::BytesMissing(x()), 410, "No data", Given),
        (
            E::WrongSize(Box::new(catalog::WrongSize {
                repository: x(),
                path: x(),
                stored: 1,
                expected: 2,
            })),
            500,
            "stored data has the wrong size",
            Given,
        ),
        (
            E::Storage {
                message: "failed to write l".to_owned(),
                source: io().into(),
            },
            500,
            "failed to write l",
            Hint::None,
        ),
        (
            E::Storage {
                message: "failed to write l".to_owned(),
                source: std::io::Error::from(std::io::ErrorKind::StorageFull).into(),
            },
            507,
            "failed to write l",
            Given,
        ),
        (
            E::Storage {
                message: "failed to write l".to_owned(),
                source: std::io::Error::from(std::io::ErrorKind::PermissionDenied).into(),
            },
            500,
            "failed to write l",
            Given,
        ),
        (
            E::StoredData(io().into()),
            500,
            "failed to access stored data",
            Hint::None,
        ),
        (E::TaskPanicked, 500, "the task failed unexpectedly", Given),
        (
            E::ServerDied {
                operation: "commit".to_owned(),
                attempt: 3,
            },
            503,
            "the server died while running commit (attempt 3 of 3)",
            Given,
        ),
    ];
    rows.into_iter()
        .map(|(error, status, message, hint)| (error.into(), status, message, hint))
        .collect()
}
