//! Failures whose message depends on the operation.

use catalog::{Kind, ReferenceProblem};

use super::failures::{conflict, malformed, not_found, taken, x};
use crate::error::{Context as _, During, Error, ErrorText};

/// Texts of failures in specific operations, each with the expected message.
#[expect(clippy::too_many_lines, reason = "a table with one row per case")]
pub(super) fn in_context() -> Vec<(ErrorText, &'static str)> {
    use catalog::Error as E;
    let no_changes = || E::NoChanges("why".to_owned());
    let merge = During::Merge { destination: "d" };
    let log = During::Log {
        reference: "x",
        after: "a",
    };
    let after = During::Log {
        reference: "r",
        after: "x",
    };
    let stop_at = During::Log {
        reference: "r",
        after: "",
    };
    let parent = || E::NoSuchParent {
        commit: x(),
        number: 3,
        parents: 2,
    };
    let rows = [
        (
            not_found(Kind::Branch),
            During::Upload,
            "branch 'x' not found",
        ),
        (
            not_found(Kind::Reference),
            During::GetCommit,
            "commit not found",
        ),
        (not_found(Kind::Reference), log, "ref: not found"),
        (not_found(Kind::Reference), after, "from ref: not found"),
        (not_found(Kind::Reference), stop_at, "stop_at: not found"),
        (
            not_found(Kind::Reference),
            During::CreateBranch,
            "source reference 'x': not found",
        ),
        (not_found(Kind::Reference), During::CreateTag, "not found"),
        (
            not_found(Kind::Reference),
            During::Diff,
            "get commit by ref x: not found",
        ),
        (
            not_found(Kind::Reference),
            During::FindMergeBase { source: "x" },
            "get commit by branch x: not found",
        ),
        (
            not_found(Kind::Reference),
            During::FindMergeBase { source: "s" },
            "get commit by ref x: not found",
        ),
        (
            not_found(Kind::Reference),
            merge,
            "update branch d: get commit by ref x: not found",
        ),
        (
            not_found(Kind::Reference),
            During::Revert,
            "get commit from ref x: not found",
        ),
        (
            not_found(Kind::Reference),
            During::CherryPick,
            "get commit from ref x: not found",
        ),
        (
            not_found(Kind::Reference),
            During::HardReset { branch: "b" },
            "hard-reset b to x: not found",
        ),
        (not_found(Kind::Branch), merge, "branch not found"),
        (
            taken(Kind::Branch),
            During::CreateBranch,
            "branch already exists: not unique",
        ),
        (
            taken(Kind::Branch),
            During::CreateTag,
            "branch name x: conflict found",
        ),
        (
            taken(Kind::Tag),
            During::CreateBranch,
            "tag name x: conflict found",
        ),
        (
            taken(Kind::Commit),
            During::CreateTag,
            "commit ID x: conflict found",
        ),
        (
            malformed(ReferenceProblem::Modifier("~y".to_owned())),
            log,
            "ref: could not parse modifier ~y: ref: invalid value: validation error",
        ),
        (
            malformed(ReferenceProblem::Staging),
            During::FindMergeBase { source: "x" },
            "get commit by branch x: reference 'x': reference to staging area with $ is not a commit",
        ),
        (no_changes(), During::Commit, "commit: no changes"),
        (no_changes(), merge, "update branch d: no changes"),
        (no_changes(), During::Revert, "update branch: no changes"),
        (
            no_changes(),
            During::CherryPick,
            "update branch: no changes",
        ),
        (conflict(), merge, "update branch d: conflict found"),
        (
            no_changes(),
            During::MergePullRequest { destination: "d" },
            "update branch d: no changes",
        ),
        (
            conflict(),
            During::MergePullRequest { destination: "d" },
            "update branch d: conflict found",
        ),
        (conflict(), During::Revert, "update branch: conflict found"),
        (
            E::NoMergeBase(x(), "y".to_owned()),
            merge,
            "update branch d: no merge base",
        ),
        (
            parent(),
            During::Revert,
            "given commit does not have the given parent number: parent 3",
        ),
        (
            parent(),
            During::CherryPick,
            "parent 3: given commit does not have the given parent number",
        ),
    ];
    let describe = |error: Error, during| {
        let result: Result<(), Error> = Err(error);
        let Err(error) = result.during(during) else {
            unreachable!("it was an error")
        };
        error.text()
    };
    let engine = rows.into_iter().map(|(error, during, message)| {
        let error = Error::from(error);
        (describe(error, during), message)
    });
    let user = Error::from(auth::Error::NotFound("user".to_owned()));
    let administrator = Error::from(auth::Error::AlreadyExists("the administrator".to_owned()));
    let second_key = || Error::from(auth::Error::InvalidValue("exceeded".to_owned()));
    engine
        .chain([
            (
                describe(second_key(), During::CreateCredentials),
                "exceeded",
            ),
            (
                describe(auth::Error::Unauthenticated.into(), During::FirstStart),
                "error authenticating request",
            ),
            (describe(user, During::CreateCredentials), "not found"),
            (
                describe(administrator, During::Setup),
                "lakeFS already initialized",
            ),
        ])
        .collect()
}
