//! The text of a failure: a message, and a hint what the caller can do.
//!
//! Lower layers describe failures in terms of their domain. This module uses the messages of lakeFS, which
//! clients match on, and writes hints in terms of the caller: request fields and lakectl flags.

use catalog::{BlockError, NamespaceProblem, StoreError};

use super::engine_text::of_engine;
use super::{During, Error};

/// Message and hint of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ErrorText {
    /// What failed. Scripts match on it.
    pub(crate) message: String,
    /// What the caller can do about it, if anything.
    pub(crate) hint: Option<String>,
}

impl ErrorText {
    /// A text without a hint.
    pub(crate) fn message(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    /// The error's own message, without a hint.
    pub(super) fn of(error: &impl std::fmt::Display) -> Self {
        Self::message(error.to_string())
    }

    /// Sets the hint.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

/// The text of a failure of the given operation.
pub(super) fn of(error: &Error, during: During<'_>) -> ErrorText {
    match error {
        Error::Catalog(error) => of_catalog(error, during),
        Error::Auth(error) => of_auth(error, during),
        Error::Described { text, .. } | Error::InvalidWith(text) => text.clone(),
        Error::TooLarge(_) | Error::TooManyValues(_) => {
            ErrorText::of(error).hint("send a smaller request, or split it")
        }
        Error::Busy(_) => ErrorText::of(error).hint("try again later"),
        Error::NoPresign(_) => {
            ErrorText::of(error).hint("leave out `presign`: objects are transferred through the server")
        }
        Error::NoPresignMultipart => {
            ErrorText::of(error).hint("upload through the server: uploadObject, or multipart uploads of S3")
        }
        Error::NoEndpoint => ErrorText::of(error).hint("see GET /openapi.json for all operations"),
        Error::NotImplemented(what) => ErrorText::message("Not Implemented").hint(format!(
            "{what} is not implemented in this version of Weir; see CHANGELOG.md for what other versions implement"
        )),
        Error::NoRun => ErrorText::of(error)
            .hint("the repository has no run with this id (lakectl actions runs list shows all); a change rejected with 400 because of its action files runs no hooks"),
        Error::NoHookOutput => ErrorText::of(error)
            .hint("the run has no such hook, or its log was deleted; lakectl actions runs describe shows the hooks"),
        Error::Invalid(_) | Error::NotFound(_) | Error::Precondition(_) => ErrorText::of(error),
    }
}

pub(super) fn of_catalog(error: &catalog::Error, during: During<'_>) -> ErrorText {
    use catalog::Error as E;
    match error {
        E::Engine(error) => of_engine(error, during),
        E::Block(error) => of_block(error),
        E::ObjectNotFound(path) => ErrorText::message("not found").hint(format!(
            "there is no object '{path}': lakectl fs ls shows the existing ones"
        )),
        E::DataGone(path) => ErrorText::message("No data").hint(format!(
            "the bytes of '{path}' are missing in the block store: restore them there"
        )),
        E::PathTooLong { bytes } => ErrorText::message(format!(
            "argument path: invalid value: validation error: {bytes} is above maximum length ({})",
            catalog::MAX_PATH_BYTES
        )),
        E::Namespace(problem) => of_namespace(problem),
        E::RangeNotSatisfiable { size } => ErrorText::message("Requested Range Not Satisfiable")
            .hint(format!("the object has {size} bytes, counted from 0")),
        E::PreconditionFailed => ErrorText::message("path already exists").hint(
            "leave out `If-None-Match` to replace the object, or choose another `path`",
        ),
        E::NoGcRules => ErrorText::message("not found").hint(
            "the repository has no garbage collection rules and keeps all objects: set rules first (lakectl gc set-config)",
        ),
        E::TaskNotFound(id) => ErrorText::message("not found")
            .hint(format!("there is no task '{id}': tasks are kept for a day after they end")),
        E::TooManyTasks => ErrorText::message("too many tasks on this server")
            .hint("try again when some have ended"),
        E::NoSuchPullRequest(id) => ErrorText::message("pull request not found").hint(format!(
            "there is no pull request '{id}'"
        )),
        E::InvalidPullRequestId(_) => ErrorText::message(
            "argument pullRequestID: pull request id: invalid value: validation error",
        )
        .hint("a pull request id has 20 characters of 0-9a-v"),
        E::SameBranches => ErrorText::message(
            "source and destination branches are the same: same branch validation error",
        )
        .hint("name two different branches as `source_branch` and `destination_branch`"),
        E::PullRequestStatus(why) => {
            ErrorText::message("bad pull request status").hint(why.as_str())
        }
        E::PullRequestBusy(_) => ErrorText::message("pull request keeps changing").hint("try again"),
        E::InvalidValue(_) | E::NoSuchUpload(_) | E::InvalidPart(_) | E::Body(_) => {
            ErrorText::of(error)
        }
    }
}

pub(super) fn of_namespace(problem: &NamespaceProblem) -> ErrorText {
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
            .hint(format!("'{namespace}' is not in this server's store")),
        P::Invalid { .. } => ErrorText::of(problem).hint("choose another `storage_namespace`"),
    }
}

pub(super) fn of_block(error: &BlockError) -> ErrorText {
    use BlockError as E;
    match error {
        E::NotFound(at) => ErrorText::message("No data").hint(format!(
            "the bytes at {at} are missing in the block store: restore them there"
        )),
        E::RangeNotSatisfiable { size } => ErrorText::message("Requested Range Not Satisfiable")
            .hint(format!("the object has {size} bytes, counted from 0")),
        E::InvalidAddress { .. }
        | E::NoSuchUpload(_)
        | E::InvalidPart(_)
        | E::Body(_)
        | E::Storage { .. } => ErrorText::of(error),
    }
}

pub(super) fn of_store(error: &StoreError) -> ErrorText {
    match error {
        StoreError::SlowDown(_) => {
            ErrorText::message("failed to access records").hint("the database is busy: try again")
        }
        _ => ErrorText::message("failed to access records"),
    }
}

fn of_auth(error: &auth::Error, during: During<'_>) -> ErrorText {
    use auth::Error as E;
    match error {
        E::NotFound(what) => ErrorText::message(match during {
            During::CreateCredentials => "not found".to_owned(),
            _ => format!("{what} not found"),
        })
        .hint("this server has one user, the administrator (GET /user shows the name)"),
        E::AlreadyExists(_) if during == During::Setup => {
            ErrorText::message("lakeFS already initialized")
                .hint("this server has an administrator: use the administrator's access key")
        }
        E::AlreadyExists(_) => ErrorText::message("Already exists")
            .hint("this server has one user, the administrator: use the administrator's access key"),
        E::NotImplemented(_) => ErrorText::message("Not Implemented").hint(error.to_string()),
        E::Unauthenticated => ErrorText::of(error).hint(
            "check the access key and the secret key (lakectl: `credentials` in its configuration), or log in again",
        ),
        E::Forbidden(_) | E::InvalidValue(_) | E::Secret => ErrorText::of(error),
        E::Kv(error) => ErrorText {
            message: "failed to access auth records".to_owned(),
            ..of_store(error)
        },
    }
}
