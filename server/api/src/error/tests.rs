//! The table: what each failure is answered with.

use super::Error;
use catalog::{BlockError, EngineError, Finding, Kind, Rejection, StoreError};
use std::collections::BTreeMap;

fn rejection(invalid_actions: bool) -> EngineError {
    EngineError::Rejected(Box::new(Rejection {
        run_id: "r".to_owned(),
        kind: catalog::EventKind::PreMerge,
        message: "pre-merge hook aborted".to_owned(),
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
            "uncommitted changes (dirty branch)",
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
        (Error::Precondition(s("first set up")), 412, "first set up"),
        (
            Error::NotImplemented("createGroup"),
            501,
            "createGroup is not implemented in this version of Weir: do without it",
        ),
    ] {
        assert_eq!(error.status().as_u16(), status, "{error:?}");
        assert!(
            error.words().message.contains(words),
            "{words:?} in {:?}",
            error.words().message
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
    assert_eq!(error.words().message, "failed to access auth records");
}
