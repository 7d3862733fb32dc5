//! Failures of the REST API itself and of authentication, with their status and message.

use super::failures::{Hint, io, x};
use crate::error::{Error, ErrorText};

#[expect(clippy::too_many_lines, reason = "a table with one row per case")]
pub(super) fn own_failures() -> Vec<(Error, u16, &'static str, Hint)> {
    use Hint::Given;
    use auth::Error as Auth;
    let hinted = ErrorText::message("bad").hint("do better");
    vec![
        (
            Auth::Unauthenticated.into(),
            401,
            "error authenticating request",
            Given,
        ),
        (
            Auth::Forbidden(x()).into(),
            401,
            "insufficient permissions: x",
            Hint::None,
        ),
        (
            Auth::NotFound("user".to_owned()).into(),
            404,
            "user not found",
            Given,
        ),
        (
            Auth::AlreadyExists(x()).into(),
            409,
            "Already exists",
            Given,
        ),
        (
            Auth::InvalidValue("bad".to_owned()).into(),
            400,
            "bad",
            Hint::None,
        ),
        (
            Auth::NotImplemented(x()).into(),
            501,
            "Not Implemented",
            Given,
        ),
        (
            Auth::Secret.into(),
            500,
            "failed to decrypt stored credentials: auth.encrypt.secret_key is not the key they were encrypted with",
            Hint::None,
        ),
        (
            Auth::Records(io().into()).into(),
            500,
            "failed to access auth records",
            Hint::None,
        ),
        (
            Auth::RecordsBusy(io().into()).into(),
            503,
            "failed to access auth records",
            Given,
        ),
        (Error::Invalid("bad".to_owned()), 400, "bad", Hint::None),
        (Error::InvalidWith(hinted), 400, "bad", Given),
        (
            Error::NoPresign("local"),
            400,
            "local adapter presigned URL: operation not supported",
            Given,
        ),
        (
            Error::NoPresignMultipart,
            501,
            "presign multipart upload API is not supported",
            Given,
        ),
        (
            Error::TooLarge(10),
            413,
            "request body is larger than 10 bytes",
            Given,
        ),
        (
            Error::TooManyValues(10),
            413,
            "request body has more than 10 values",
            Given,
        ),
        (Error::NoEndpoint, 404, "invalid API endpoint", Given),
        (
            Error::WrongMethod {
                method: "PUT".to_owned(),
                path: "/api/v1/repositories".to_owned(),
                allowed: "GET (listRepositories), POST (createRepository)".to_owned(),
            },
            404,
            "invalid API endpoint",
            Given,
        ),
        (Error::NoRun, 404, "not found: not found", Given),
        (Error::NoHookOutput, 404, "not found", Given),
        (
            Error::NotFound("the contract".to_owned()),
            404,
            "the contract not found",
            Hint::None,
        ),
        (
            Error::Precondition("first set up".to_owned()),
            412,
            "first set up",
            Hint::None,
        ),
        (
            Error::NotImplemented("createGroup"),
            501,
            "Not Implemented",
            Given,
        ),
        (
            Error::NotImplemented("stageObject"),
            501,
            "Not Implemented",
            Given,
        ),
        (
            Error::NotImplemented("getPhysicalAddress"),
            501,
            "Not Implemented",
            Given,
        ),
    ]
}
