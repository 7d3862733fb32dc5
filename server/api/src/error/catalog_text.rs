//! The texts of the catalog's failures.
//!
//! Messages equal those recorded from lakeFS (`tests/compat`), because people and scripts know them. Details and
//! advice go into the hint.
//!
//! `of_catalog` matches exhaustively. The functions that it calls for groups of errors fall back to the error's own
//! message without a hint.

use catalog::{Error, Kind, NamespaceProblem, ReferenceProblem};

use super::during::During;
use super::error_text::{ErrorText, SEND_WHOLE_BODY};

pub(super) fn of_catalog(error: &Error, during: During<'_>) -> ErrorText {
    use Error as E;
    match error {
        E::NotFound { kind, id } => not_found(*kind, id, during),
        E::NotUnique { kind, id } => not_unique(*kind, id, during),
        E::InvalidName { kind, rule } => invalid_name(*kind, rule),
        E::InvalidReference { reference, problem } => invalid_reference(reference, problem, during),
        E::Advised { problem, advice } | E::MovedOn { problem, advice } => {
            ErrorText::message(problem).hint(advice)
        }
        E::Namespace(problem) => of_namespace(problem),
        E::NoChanges(why) => no_changes(why, during),
        E::Conflict { keys, count } => conflict(keys, *count, during),
        E::NoSuchParent {
            number, parents, ..
        } => no_such_parent(*number, *parents, during),
        E::NoMergeBase(left, right) => ErrorText::message(prefixed(during, "no merge base"))
            .hint(format!("'{left}' and '{right}' have no commit in common")),
        E::Rejected(rejection) => ErrorText {
            message: rejection.message.clone(),
            hint: rejection.hint.clone(),
        },
        E::Body(_) => ErrorText::of(error).hint(SEND_WHOLE_BODY),
        E::InvalidValue(_)
        | E::InvalidAddress { .. }
        | E::NoSuchUpload(_)
        | E::InvalidPart(_)
        | E::Corrupt { .. } => ErrorText::of(error),
        E::Records(_) | E::StoredData(_) | E::Storage { .. } => ErrorText {
            message: error.to_string(),
            hint: error
                .disk_problem()
                .map(|problem| problem.explanation().to_owned()),
        },
        E::InDeletion(_)
        | E::ReadOnly(_)
        | E::Protected { .. }
        | E::DefaultBranch(_)
        | E::DirtyBranch(_)
        | E::ParentRequired
        | E::CherryPickParentRequired
        | E::NotBare(_)
        | E::NoGcRules
        | E::PullRequestStatus(_) => of_state(error),
        E::PreconditionFailed
        | E::Stale(_)
        | E::TooManyTries(_)
        | E::ConcurrentChange(_)
        | E::PullRequestBusy(_)
        | E::TooManyTasks
        | E::TooManyChanges
        | E::Stopping
        | E::RecordsBusy(_)
        | E::TaskPanicked
        | E::ServerDied { .. } => of_race(error),
        E::ObjectNotFound(_)
        | E::DataGone(_)
        | E::BytesMissing(_)
        | E::WrongSize(_)
        | E::RangeNotSatisfiable { .. }
        | E::PathTooLong { .. }
        | E::WrongCommitId { .. }
        | E::TaskNotFound(_)
        | E::NoSuchPullRequest(_)
        | E::InvalidPullRequestId(_)
        | E::SameBranches => of_item(error),
    }
}

/// The text for a state of the repository or branch that does not allow the operation.
fn of_state(error: &Error) -> ErrorText {
    use Error as E;
    match error {
        E::InDeletion(_) => ErrorText::of(error)
            .hint("try again when the deletion is complete: the name is free then"),
        E::ReadOnly(_) => ErrorText::message("read-only repository").hint(
            "use an operation that has `force`, and set it (lakectl: --force, where available)",
        ),
        E::Protected { action, branch } => {
            ErrorText::message(format!("cannot {action} to protected branch")).hint(format!(
                "branch {branch} takes no direct writes and commits: change another branch and merge it (lakectl merge)"
            ))
        }
        E::DefaultBranch(branch) => ErrorText::message("cannot delete repository default branch")
            .hint(format!("{branch} is the default branch, which cannot change")),
        E::DirtyBranch(branch) => ErrorText::message("uncommitted changes (dirty branch)").hint(format!(
            "commit the changes of branch {branch} (lakectl commit) or reset them (lakectl branch reset) first"
        )),
        E::ParentRequired => ErrorText::of(error).hint(
            "give `parent_number` (lakectl: --parent-number): with 1 the branch returns to its state before the merge",
        ),
        E::CherryPickParentRequired => ErrorText::of(error).hint(
            "give `parent_number` (lakectl: --parent-number): 1 picks the changes that the merge brought in",
        ),
        E::NotBare(_) => ErrorText::message("can only restore into a bare repository").hint(
            "create one in the storage namespace of the dump (query parameter `bare`; lakectl repo create-bare) and restore into that",
        ),
        E::NoGcRules => ErrorText::message("not found").hint(
            "the repository has no garbage collection rules and keeps all objects: set rules first (lakectl gc set-config)",
        ),
        E::PullRequestStatus(why) => {
            ErrorText::message("bad pull request status").hint(why.as_str())
        }
        _ => ErrorText::of(error),
    }
}

/// The text for a race, an overload or an interruption. The caller may try again.
fn of_race(error: &Error) -> ErrorText {
    use Error as E;
    match error {
        E::PreconditionFailed => ErrorText::message("path already exists")
            .hint("leave out `If-None-Match` to replace the object, or choose another `path`"),
        E::Stale(what) => ErrorText::message("Precondition failed").hint(format!(
            "the {what} changed: read them again and send their new `ETag` as `If-Match`"
        )),
        E::TooManyTries(what) => {
            ErrorText::message(format!("too many concurrent changes of {what}")).hint("try again")
        }
        E::ConcurrentChange(what) => ErrorText::message(format!("{what} changed at the same time"))
            .hint("check its state, and try again"),
        E::PullRequestBusy(_) => {
            ErrorText::message("pull request keeps changing").hint("try again")
        }
        E::TooManyTasks => ErrorText::message("too many tasks on this server")
            .hint("try again when some have ended"),
        E::TooManyChanges => ErrorText::message("too many changes on this server").hint(
            "try again when some have ended; to dump or restore a large repository, submit a task",
        ),
        E::Stopping => ErrorText::message("the server is stopping")
            .hint("try again: another server or the next start accepts the request"),
        E::RecordsBusy(_) => ErrorText::of(error).hint(DATABASE_BUSY),
        E::TaskPanicked => ErrorText::of(error).hint("see the server's log"),
        E::ServerDied { .. } => ErrorText::of(error).hint("submit the task again"),
        _ => ErrorText::of(error),
    }
}

/// The hint for an overloaded database.
pub(super) const DATABASE_BUSY: &str = "the database is busy: try again";

/// The text for an object, task or pull request that does not exist or has an invalid name.
fn of_item(error: &Error) -> ErrorText {
    use Error as E;
    match error {
        E::ObjectNotFound(path) => ErrorText::message("not found").hint(format!(
            "there is no object '{path}': lakectl fs ls shows the existing ones"
        )),
        E::DataGone(path) => ErrorText::message("No data").hint(format!(
            "the bytes of '{path}' are missing in the block store: restore them there"
        )),
        E::BytesMissing(at) => ErrorText::message("No data").hint(format!(
            "the bytes at {at} are missing in the block store: restore them there"
        )),
        E::WrongSize(wrong) => ErrorText::message("stored data has the wrong size").hint(format!(
            "the block store has {} bytes of '{}', and its entry says {}: restore the bytes there, or upload the object again",
            wrong.stored, wrong.path, wrong.expected
        )),
        E::RangeNotSatisfiable { size } => ErrorText::message("Requested Range Not Satisfiable")
            .hint(format!("the object has {size} bytes, counted from 0")),
        E::PathTooLong { bytes } => ErrorText::message(format!(
            "argument path: invalid value: validation error: {bytes} is above maximum length ({})",
            catalog::MAX_PATH_BYTES
        )),
        E::WrongCommitId { right, .. } => {
            ErrorText::message("commit id: invalid value: validation error").hint(format!(
                "the content belongs to commit id {right}: send every field exactly as the commit has it"
            ))
        }
        E::TaskNotFound(id) => ErrorText::message("not found").hint(format!(
            "there is no task '{id}': tasks are kept for a day after they end"
        )),
        E::NoSuchPullRequest(id) => ErrorText::message("pull request not found")
            .hint(format!("there is no pull request '{id}'")),
        E::InvalidPullRequestId(_) => ErrorText::message(
            "argument pullRequestID: pull request id: invalid value: validation error",
        )
        .hint("a pull request id has 20 characters of 0-9a-v"),
        E::SameBranches => ErrorText::message(
            "source and destination branches are the same: same branch validation error",
        )
        .hint("name two different branches as `source_branch` and `destination_branch`"),
        _ => ErrorText::of(error),
    }
}

/// The prefix of lakeFS's messages about a reference, by operation.
fn about_reference(id: &str, during: During<'_>) -> String {
    match during {
        During::Log { reference, .. } if id == reference => "ref: ".to_owned(),
        During::Log { after, .. } if id == after => "from ref: ".to_owned(),
        During::Log { .. } => "stop_at: ".to_owned(),
        During::CreateBranch => format!("source reference '{id}': "),
        During::Diff => format!("get commit by ref {id}: "),
        During::FindMergeBase { source } if id == source => format!("get commit by branch {id}: "),
        During::FindMergeBase { .. } => format!("get commit by ref {id}: "),
        During::Merge { destination } | During::MergePullRequest { destination } => {
            format!("update branch {destination}: get commit by ref {id}: ")
        }
        During::Revert | During::CherryPick => format!("get commit from ref {id}: "),
        During::HardReset { branch } => format!("hard-reset {branch} to {id}: "),
        During::Any
        | During::Setup
        | During::FirstStart
        | During::StageObject
        | During::CreateTag
        | During::CreateCredentials
        | During::Upload
        | During::Commit
        | During::GetCommit => String::new(),
    }
}

fn not_found(kind: Kind, id: &str, during: During<'_>) -> ErrorText {
    match kind {
        Kind::Repository => ErrorText::message("repository not found").hint(format!(
            "there is no repository '{id}': lakectl repo list shows the existing ones"
        )),
        Kind::Branch => ErrorText::message(match during {
            During::Upload => format!("branch '{id}' not found"),
            _ => "branch not found".to_owned(),
        })
        .hint(format!(
            "there is no branch '{id}': lakectl branch list shows the existing ones"
        )),
        Kind::Tag => ErrorText::message("tag not found").hint(format!(
            "there is no tag '{id}': lakectl tag list shows the existing ones"
        )),
        Kind::Commit => ErrorText::message("commit not found")
            .hint(format!("there is no commit '{id}' in the repository")),
        Kind::Reference => ErrorText::message(match during {
            During::GetCommit => "commit not found".to_owned(),
            _ => format!("{}not found", about_reference(id, during)),
        })
        .hint(format!(
            "'{id}' names no branch, tag or commit of the repository"
        )),
        Kind::Key => {
            ErrorText::message("not found").hint(format!("there is no object '{id}'"))
        }
        Kind::ProtectionRule => ErrorText::message("branch protection rule not found").hint(format!(
            "there is no branch protection rule '{id}': lakectl branch-protect list shows the existing ones"
        )),
        Kind::ReflogEntry => ErrorText::message(format!("reflog entry {id} not found"))
            .hint("the reflog of the branch or tag shows the ids of its entries"),
        Kind::Dump => ErrorText::message(format!(
            "meta-range '{id}' of the dump not found in the repository's storage namespace"
        ))
        .hint("restore the dump into a repository in the namespace where it was taken"),
        Kind::MetaRange => ErrorText::message(format!("meta-range '{id}' not found")),
        Kind::Range => ErrorText::message(format!("range '{id}' not found")),
    }
}

fn not_unique(kind: Kind, id: &str, during: During<'_>) -> ErrorText {
    let taken = |what: &str| {
        ErrorText::message(format!("{what}: conflict found")).hint(format!(
            "'{id}' is taken: branches, tags and commits share one set of names, so choose another"
        ))
    };
    let (what, choose) = match (kind, during) {
        (Kind::Repository, _) => ("error creating repository", "choose another `name`"),
        (Kind::Branch, During::CreateTag) => return taken(&format!("branch name {id}")),
        (Kind::Tag, During::CreateBranch) => return taken(&format!("tag name {id}")),
        (Kind::Commit, During::CreateBranch | During::CreateTag) => {
            return taken(&format!("commit ID {id}"));
        }
        (Kind::Branch, _) => ("branch already exists", "choose another `name`"),
        (Kind::Tag, _) => (
            "tag already exists",
            "choose another `id`, or delete the tag first (lakectl tag create --force)",
        ),
        (Kind::ProtectionRule, _) => (
            "branch protection rule already exists",
            "there is nothing to do, or choose another `pattern`",
        ),
        (Kind::Commit, _) => ("commit already exists", "there is nothing to do"),
        (Kind::Reference, _) => ("reference already exists", "choose another name"),
        (Kind::Key, _) => ("path already exists", "choose another `path`"),
        (Kind::MetaRange, _) => ("meta-range already exists", "there is nothing to do"),
        (Kind::Range, _) => ("range already exists", "there is nothing to do"),
        (Kind::Dump, _) => ("dump already exists", "there is nothing to do"),
        (Kind::ReflogEntry, _) => ("reflog entry already exists", "try again"),
    };
    ErrorText::message(format!("{what}: not unique")).hint(format!("'{id}' is taken: {choose}"))
}

fn invalid_name(kind: Kind, rule: &str) -> ErrorText {
    match kind {
        Kind::Branch if rule.ends_with("is required") => {
            ErrorText::message("argument branch: required value: validation error").hint(rule)
        }
        Kind::Branch => ErrorText::message(format!(
            "argument branch: branch id: invalid value: validation error: {rule}"
        ))
        .hint("choose a name without `/`, dots and spaces, such as feature-x or feature_x"),
        Kind::Tag => {
            ErrorText::message("argument tagID: tag id: invalid value: validation error").hint(rule)
        }
        _ => ErrorText::message(rule),
    }
}

fn invalid_reference(reference: &str, problem: &ReferenceProblem, during: During<'_>) -> ErrorText {
    const INVALID: &str = "ref: invalid value: validation error";
    let text = match (problem, during) {
        (ReferenceProblem::Modifier(modifier), _) => {
            format!("could not parse modifier {modifier}: {INVALID}")
        }
        (ReferenceProblem::Staging, During::FindMergeBase { .. }) => {
            format!("reference '{reference}': reference to staging area with $ is not a commit")
        }
        (ReferenceProblem::Staging, _) => format!("{INVALID}: should point to a commit"),
        (ReferenceProblem::Malformed(_), _) => INVALID.to_owned(),
    };
    let hint = match problem {
        ReferenceProblem::Modifier(modifier) => {
            format!("'{modifier}' is not a number of generations or a parent number: write ~N or ^N")
        }
        ReferenceProblem::Staging => {
            "leave out the '$': it names staged changes, which are valid only for reading objects and in two-dot diffs".to_owned()
        }
        ReferenceProblem::Malformed(why) => format!("reference '{reference}': {why}"),
    };
    ErrorText::message(format!("{}{text}", about_reference(reference, during))).hint(hint)
}

/// Adds the prefix of lakeFS's messages about a change of a branch, by operation.
fn prefixed(during: During<'_>, text: &str) -> String {
    match during {
        During::Commit => format!("commit: {text}"),
        During::Merge { destination } | During::MergePullRequest { destination } => {
            format!("update branch {destination}: {text}")
        }
        During::Revert | During::CherryPick => format!("update branch: {text}"),
        _ => text.to_owned(),
    }
}

fn no_changes(why: &str, during: During<'_>) -> ErrorText {
    let advice = match during {
        During::Commit => {
            "write something first, or commit anyway with `allow_empty` (lakectl: --allow-empty-commit)"
        }
        During::Merge { .. } => {
            "commit its staged changes first, or merge anyway with `allow_empty` (lakectl: --allow-empty)"
        }
        During::MergePullRequest { .. } => {
            "commit the staged changes of the source branch first, or close the pull request (`status` closed)"
        }
        During::Revert => {
            "create an empty commit with `allow_empty` (lakectl: --allow-empty-commit)"
        }
        _ => "there is nothing to do",
    };
    ErrorText::message(prefixed(during, "no changes")).hint(format!("{why}: {advice}"))
}

fn conflict(keys: &[Vec<u8>], count: u64, during: During<'_>) -> ErrorText {
    let paths = if count == 1 { "path" } else { "paths" };
    let first = keys.first().map(|key| String::from_utf8_lossy(key));
    let first = first.unwrap_or_default();
    let advice = match during {
        During::MergePullRequest { .. } => {
            "resolve them on the source branch: merge the destination into it, and repair the paths"
        }
        During::Merge { .. } => {
            "resolve them on the source branch, or give `strategy` (lakectl: --strategy) dest-wins or source-wins"
        }
        _ => "make the change on another branch and merge it",
    };
    ErrorText::message(prefixed(during, "conflict found")).hint(format!(
        "{count} {paths} changed on both sides, the first is '{first}': {advice}"
    ))
}

fn no_such_parent(number: usize, parents: usize, during: During<'_>) -> ErrorText {
    const TEXT: &str = "given commit does not have the given parent number";
    let message = match during {
        During::Revert => format!("{TEXT}: parent {number}"),
        _ => format!("parent {number}: {TEXT}"),
    };
    let hint = match parents {
        0 => "the commit has no parents: it is the first commit".to_owned(),
        1 => "the commit has 1 parent: leave out `parent_number` (lakectl: --parent-number)"
            .to_owned(),
        more => format!(
            "the commit has {more} parents: give 1 to {more} as `parent_number` (lakectl: --parent-number)"
        ),
    };
    ErrorText::message(message).hint(hint)
}

fn of_namespace(problem: &NamespaceProblem) -> ErrorText {
    use NamespaceProblem as P;
    const IN_USE: &str = "choose another `storage_namespace`, or make a bare repository in it to restore a dump into (query parameter `bare`; lakectl repo create-bare)";
    match problem {
        P::InUse { namespace, key } => ErrorText::message(format!(
            "failed to create repository: found lakeFS objects in the storage (:{namespace}) key({key}): storage namespace already in use"
        ))
        .hint(IN_USE),
        P::Overlaps { .. } => ErrorText::message(format!("failed to create repository: {problem}"))
            .hint("choose a `storage_namespace` outside of it"),
        P::OtherStore {
            namespace,
            expected,
        } => ErrorText::message(format!("failed to match required regex {expected}: invalid namespace"))
            .hint(format!(
                "'{namespace}' is not in this server's store: write {}NAME",
                expected.trim_start_matches('^')
            )),
        P::Invalid { .. } => ErrorText::of(problem).hint("choose another `storage_namespace`"),
    }
}
