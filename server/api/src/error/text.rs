//! The text of a failure: a message, and a hint about what the caller can do.
//!
//! Lower layers describe failures in terms of their domain. This module uses the messages of lakeFS, which
//! clients match on, and writes hints in terms of the caller: request fields and lakectl flags.

use catalog::DiskProblem;

use super::catalog_text::{DATABASE_BUSY, of_catalog};
use super::during::During;
use super::error_text::ErrorText;
use super::failure::Error;

/// The message of lakeFS for a path or method that the API does not have.
const INVALID_ENDPOINT: &str = "invalid API endpoint";

/// The hint for callers that upload a file with PUT.
const USE_POST: &str = "to upload a file, send POST instead of PUT (curl: -X POST -T FILE)";

/// The operations with which clients upload through presigned URLs.
const PHYSICAL_ADDRESS: &[&str] = &["getPhysicalAddress", "linkPhysicalAddress"];

/// The text of a failure of the given operation.
pub(super) fn of(error: &Error, during: During<'_>) -> ErrorText {
    match error {
        Error::NotImplemented("stageObject") => ErrorText::message("Not Implemented").hint(format!(
            "stageObject is not implemented in this version of Weir: {USE_POST}"
        )),
        _ if during == During::StageObject => of(error, During::Any).hint(USE_POST),
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
        Error::NotImplemented(what) if PHYSICAL_ADDRESS.contains(what) => {
            ErrorText::message("Not Implemented").hint(format!(
                "{what} is not implemented in this version of Weir: leave out `pre_sign` (SDK: pre_sign=False), and the object is uploaded through the server"
            ))
        }
        Error::NotImplemented(what) => ErrorText::message("Not Implemented").hint(format!(
            "{what} is not implemented in this version of Weir; see CHANGELOG.md for what other versions implement"
        )),
        Error::NoRun => ErrorText::of(error)
            .hint("the repository has no run with this id (lakectl actions runs list shows all); a change rejected with 400 because of its action files runs no hooks"),
        Error::NoHookOutput => ErrorText::of(error)
            .hint("the run has no such hook, or its log was deleted; lakectl actions runs describe shows the hooks"),
        Error::WrongMethod { .. } => ErrorText::message(INVALID_ENDPOINT).hint(error.to_string()),
        Error::Invalid(message) => ErrorText {
            message: message.clone(),
            hint: crate::schema::hint_of(message).map(str::to_owned),
        },
        Error::NotFound(_) | Error::Precondition(_) => ErrorText::of(error),
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
        E::Unauthenticated if during == During::FirstStart => ErrorText::of(error).hint(
            "this server has no administrator yet, and therefore no access keys: POST /api/v1/setup_lakefs creates one (the server's start log shows the command)",
        ),
        E::Unauthenticated => ErrorText::of(error).hint(
            "check the access key and the secret key (lakectl: `credentials` in its configuration), or log in again",
        ),
        E::InvalidValue(_) if during == During::CreateCredentials => ErrorText::of(error).hint(
            "the administrator has an access key, and this version creates no second one: use the existing key",
        ),
        E::KeyIdCharacters => ErrorText::of(error)
            .hint("choose another access key id, or leave out `key`: the server then generates one"),
        E::ShortSecret => ErrorText::of(error).hint(
            "choose a longer secret, for example with `openssl rand -hex 20`, or leave out `key`: the server then generates one",
        ),
        E::Records(source) => ErrorText {
            message: error.to_string(),
            hint: DiskProblem::of(source.as_ref()).map(|problem| problem.explanation().to_owned()),
        },
        E::Forbidden(_) | E::InvalidValue(_) | E::Secret => ErrorText::of(error),
        E::RecordsBusy(_) => ErrorText::of(error).hint(DATABASE_BUSY),
    }
}
