//! What people and scripts read of a failure: the message, and a hint what can be done about it.
//!
//! Lower layers say what failed in the words of their domain. Here it is said as clients of lakeFS
//! know it, and what the caller can do is said in the caller's terms: members of the request, flags
//! of lakectl.

use catalog::{BlockError, NamespaceProblem, StoreError};

use super::engine_words::of_engine;
use super::{During, Error};

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

    /// The message of an error as it is.
    pub(super) fn of(error: &impl std::fmt::Display) -> Self {
        Self::message(error.to_string())
    }

    /// The same with a hint.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

/// What is told of a failure of an operation.
pub(super) fn of(error: &Error, during: During<'_>) -> Words {
    match error {
        Error::Catalog(error) => of_catalog(error, during),
        Error::Auth(error) => of_auth(error, during),
        Error::Told { words, .. } | Error::InvalidWith(words) => words.clone(),
        Error::TooLarge(_) | Error::TooManyValues(_) => {
            Words::of(error).hint("send less in one request")
        }
        Error::Busy(_) => Words::of(error).hint("try again later"),
        Error::NoPresign(_) => {
            Words::of(error).hint("leave out `presign`: the server itself sends and takes the bytes")
        }
        Error::NoPresignMultipart => {
            Words::of(error).hint("upload through the server: uploadObject, or S3's multipart uploads")
        }
        Error::NoEndpoint => Words::of(error).hint("GET /openapi.json names all operations"),
        Error::NotImplemented(what) => Words::message("Not Implemented").hint(format!(
            "{what} is not implemented in this version of Weir: do without it, or see in its CHANGELOG.md what other versions have"
        )),
        Error::NoRun => Words::of(error)
            .hint("the repository has no run of this id: a change that is refused with 400, for its action files, runs no hooks; lakectl actions runs list has the runs"),
        Error::NoHookOutput => Words::of(error)
            .hint("the run has no such hook, or its log is gone: lakectl actions runs describe lists the hooks"),
        Error::Invalid(_) | Error::NotFound(_) | Error::Precondition(_) => Words::of(error),
    }
}

pub(super) fn of_catalog(error: &catalog::Error, during: During<'_>) -> Words {
    use catalog::Error as E;
    match error {
        E::Engine(error) => of_engine(error, during),
        E::Block(error) => of_block(error),
        E::ObjectNotFound(path) => Words::message("not found").hint(format!(
            "there is no object '{path}': lakectl fs ls shows those that there are"
        )),
        E::DataGone(path) => Words::message("No data").hint(format!(
            "the bytes of '{path}' are gone from the store: restore them there"
        )),
        E::PathTooLong { bytes } => Words::message(format!(
            "argument path: invalid value: validation error: {bytes} is above maximum length ({})",
            catalog::MAX_PATH_BYTES
        )),
        E::Namespace(problem) => of_namespace(problem),
        E::RangeNotSatisfiable { size } => Words::message("Requested Range Not Satisfiable")
            .hint(format!("the object has {size} bytes, counted from 0")),
        E::PreconditionFailed => Words::message("path already exists").hint(
            "leave out `If-None-Match` to replace what is there, or choose another `path`",
        ),
        E::NoGcRules => Words::message("not found").hint(
            "the repository has no garbage collection rules, so all of it is kept: set them first (lakectl gc set-config)",
        ),
        E::TaskNotFound(id) => Words::message("not found")
            .hint(format!("there is no task '{id}': tasks are kept for a day after their end")),
        E::TooManyTasks => Words::message("too many tasks are under way on this server")
            .hint("try again when some are done"),
        E::NoSuchPullRequest(id) => Words::message("pull request not found").hint(format!(
            "there is no pull request '{id}'"
        )),
        E::InvalidPullRequestId(_) => Words::message(
            "argument pullRequestID: pull request id: invalid value: validation error",
        )
        .hint("the id of a pull request has 20 characters of 0-9a-v"),
        E::SameBranches => Words::message(
            "source and destination branches are the same: same branch validation error",
        )
        .hint("give another branch as `source_branch` or `destination_branch`"),
        E::PullRequestStatus(why) => {
            Words::message("bad pull request status").hint(why.as_str())
        }
        E::PullRequestBusy(_) => Words::message("pull request keeps changing").hint("try again"),
        E::InvalidValue(_) | E::NoSuchUpload(_) | E::InvalidPart(_) | E::Body(_) => {
            Words::of(error)
        }
    }
}

pub(super) fn of_namespace(problem: &NamespaceProblem) -> Words {
    use NamespaceProblem as P;
    const IN_USE: &str = "choose another `storage_namespace`, or make a bare repository in it to restore a dump into (query parameter `bare`; lakectl repo create-bare)";
    match problem {
        P::InUse { namespace, key } => Words::message(format!(
            "failed to create repository: found lakeFS objects in the storage (:{namespace}) key({key}): storage namespace already in use"
        ))
        .hint(IN_USE),
        P::Overlaps { .. } => Words::message(format!("failed to create repository: {problem}"))
            .hint("choose a folder beside it as `storage_namespace`"),
        P::OtherStore {
            namespace,
            expected,
        } => Words::message(format!("failed to match required regex {expected}: invalid namespace"))
            .hint(format!("'{namespace}' is not in this server's store")),
        P::Invalid { .. } => Words::of(problem).hint("choose another `storage_namespace`"),
    }
}

pub(super) fn of_block(error: &BlockError) -> Words {
    use BlockError as E;
    match error {
        E::NotFound(at) => Words::message("No data").hint(format!(
            "the bytes at {at} are gone from the store: restore them there"
        )),
        E::RangeNotSatisfiable { size } => Words::message("Requested Range Not Satisfiable")
            .hint(format!("the object has {size} bytes, counted from 0")),
        E::InvalidAddress { .. }
        | E::NoSuchUpload(_)
        | E::InvalidPart(_)
        | E::Body(_)
        | E::Storage { .. } => Words::of(error),
    }
}

pub(super) fn of_store(error: &StoreError) -> Words {
    match error {
        StoreError::SlowDown(_) => {
            Words::message("failed to access records").hint("the database is busy: try again")
        }
        _ => Words::message("failed to access records"),
    }
}

fn of_auth(error: &auth::Error, during: During<'_>) -> Words {
    use auth::Error as E;
    match error {
        E::NotFound(what) => Words::message(match during {
            During::CreateCredentials => "not found".to_owned(),
            _ => format!("{what} not found"),
        })
        .hint("this server has one user, its administrator (GET /user names it)"),
        E::AlreadyExists(_) if during == During::Setup => {
            Words::message("lakeFS already initialized")
                .hint("this server has its administrator: use its keys")
        }
        E::AlreadyExists(_) => Words::message("Already exists")
            .hint("this server has one user, its administrator: use its keys"),
        E::NotImplemented(_) => Words::message("Not Implemented").hint(error.to_string()),
        E::Unauthenticated => Words::of(error).hint(
            "check the access key and the secret key (lakectl: `credentials` in its configuration), or log in again",
        ),
        E::Forbidden(_) | E::InvalidValue(_) | E::Secret => Words::of(error),
        E::Kv(error) => Words {
            message: "failed to access auth records".to_owned(),
            ..of_store(error)
        },
    }
}
