//! The table: what each failure below is answered with.

use catalog::{EngineError, Kind};
use s3s::S3Error;

use super::{Fault, reading, writing};

fn answer(fault: Fault) -> (u16, String) {
    let error = S3Error::from(fault);
    let status = error.status_code().map_or(0, |status| status.as_u16());
    (status, error.code().as_str().to_owned())
}

fn missing(kind: Kind) -> catalog::Error {
    EngineError::NotFound {
        kind,
        id: "x".to_owned(),
    }
    .into()
}

#[test]
fn each_failure_has_its_code_and_status() {
    let name = || "x".to_owned();
    let cut_off = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let table: Vec<(Fault, u16, &str)> = vec![
        (missing(Kind::Repository).into(), 404, "NoSuchBucket"),
        (missing(Kind::Key).into(), 404, "NoSuchKey"),
        (missing(Kind::Range).into(), 500, "InternalError"),
        (reading(missing(Kind::Branch)), 404, "NoSuchKey"),
        (reading(missing(Kind::Reference)), 404, "NoSuchKey"),
        (
            reading(EngineError::InvalidValue(name()).into()),
            404,
            "NoSuchKey",
        ),
        (writing(missing(Kind::Branch)), 404, "NoSuchBucket"),
        (writing(missing(Kind::Commit)), 404, "NoSuchBucket"),
        (
            catalog::Error::from(EngineError::ReadOnly(name())).into(),
            403,
            "ErrReadOnlyRepository",
        ),
        (
            catalog::Error::from(EngineError::Protected {
                action: "write",
                branch: name(),
            })
            .into(),
            403,
            "ErrWriteToProtectedBranch",
        ),
        (
            catalog::Error::from(EngineError::TooManyTries(name())).into(),
            503,
            "SlowDown",
        ),
        (
            catalog::Error::from(EngineError::ConcurrentChange(name())).into(),
            409,
            "OperationAborted",
        ),
        (
            catalog::Error::from(EngineError::InDeletion(name())).into(),
            404,
            "NoSuchBucket",
        ),
        (
            catalog::Error::from(EngineError::NoChanges(name())).into(),
            500,
            "InternalError",
        ),
        (
            catalog::Error::ObjectNotFound(name()).into(),
            404,
            "NoSuchKey",
        ),
        (
            catalog::Error::DataGone(name()).into(),
            404,
            "NoSuchVersion",
        ),
        (
            catalog::Error::InvalidValue(name()).into(),
            400,
            "InvalidArgument",
        ),
        (
            catalog::Error::RangeNotSatisfiable { size: 4 }.into(),
            416,
            "InvalidRange",
        ),
        (
            catalog::Error::PreconditionFailed.into(),
            412,
            "PreconditionFailed",
        ),
        (
            catalog::Error::NoSuchUpload(name()).into(),
            404,
            "NoSuchUpload",
        ),
        (
            catalog::Error::InvalidPart(name()).into(),
            400,
            "InvalidPart",
        ),
        (
            catalog::Error::Body(cut_off()).into(),
            400,
            "IncompleteBody",
        ),
        (auth::Error::Unauthenticated.into(), 403, "AccessDenied"),
        (auth::Error::Forbidden(name()).into(), 403, "AccessDenied"),
        (auth::Error::Secret.into(), 500, "InternalError"),
        (
            Fault::BucketIsApi,
            404,
            "ErrNoSuchBucketPossibleAPIEndpoint",
        ),
        (Fault::BucketExists, 409, "BucketAlreadyExists"),
        (Fault::NotSupported, 405, "ERRLakeFSNotSupported"),
        (Fault::not_implemented(), 501, "NotImplemented"),
        (Fault::NotModified(Box::default()), 304, "NotModified"),
        (Fault::MetadataTooLarge, 400, "MetadataTooLarge"),
        (Fault::BadDigest("Content-MD5"), 400, "BadDigest"),
        (Fault::InvalidDigest, 400, "InvalidDigest"),
        (Fault::PayloadHashMismatch, 400, "XAmzContentSHA256Mismatch"),
        (Fault::ChunkSignatureMismatch, 403, "SignatureDoesNotMatch"),
        (Fault::MalformedXml, 400, "MalformedXML"),
        (Fault::BadRequest, 400, "BadRequest"),
    ];
    for (fault, status, code) in table {
        let shown = format!("{fault:?}");
        assert_eq!(answer(fault), (status, code.to_owned()), "{shown}");
    }
}

#[test]
fn messages_begin_with_the_text_that_is_known() {
    for (fault, known) in [
        (Fault::NoSuchBranch, "The specified bucket does not exist"),
        (
            Fault::ReadOnly,
            "Attempted to write to a read-only repository",
        ),
        (Fault::Protected, "Attempted to write to a protected branch"),
    ] {
        let error = S3Error::from(fault);
        let message = error.message().expect("a message");
        let behind = message.strip_prefix(known).expect("the known text first");
        assert!(behind.starts_with(": "), "{message}");
        assert!(!message.contains("lakectl"), "{message}");
    }
}

#[test]
fn an_unsatisfiable_range_says_the_size() {
    let error = S3Error::from(Fault::InvalidRange { size: 4 });
    let range = error
        .headers()
        .and_then(|headers| headers.get("content-range"));
    assert_eq!(
        range.and_then(|value| value.to_str().ok()),
        Some("bytes */4")
    );
}
