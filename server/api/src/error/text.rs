//! The text of a failure: a message, and a hint what the caller can do.
//!
//! Lower layers describe failures in terms of their domain. This module uses the messages of lakeFS, which
//! clients match on, and writes hints in terms of the caller: request fields and lakectl flags.

use super::catalog_text::{DATABASE_BUSY, of_catalog};
use super::{During, Error, ErrorText};

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
        E::Forbidden(_) | E::InvalidValue(_) | E::Secret | E::Records(_) => ErrorText::of(error),
        E::RecordsBusy(_) => ErrorText::of(error).hint(DATABASE_BUSY),
    }
}
