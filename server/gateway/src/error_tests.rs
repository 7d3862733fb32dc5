//! The error response for each error of the layers below.

use std::io;

use catalog::Kind;

use super::{S3Error, read_error, write_error};

fn status_and_code(error: S3Error) -> (u16, String) {
    let error = s3s::S3Error::from(error);
    let status = error.status_code().map_or(0, |status| status.as_u16());
    (status, error.code().as_str().to_owned())
}

fn missing(kind: Kind) -> catalog::Error {
    catalog::Error::NotFound {
        kind,
        id: "x".to_owned(),
    }
}

fn disk_failure(kind: io::ErrorKind) -> S3Error {
    catalog::Error::Storage {
        message: "failed to write local://lake/x".to_owned(),
        source: io::Error::from(kind).into(),
    }
    .into()
}

fn wrong_size() -> S3Error {
    let wrong = catalog::WrongSize {
        repository: "lake".to_owned(),
        path: "a".to_owned(),
        stored: 1,
        expected: 2,
    };
    catalog::Error::WrongSize(Box::new(wrong)).into()
}

/// Guards against a bug: the message was only "We encountered an internal error".
#[test]
fn disk_failures_name_their_cause() {
    for (kind, cause) in [
        (io::ErrorKind::StorageFull, "no space left"),
        (io::ErrorKind::PermissionDenied, "has no access"),
    ] {
        let error = s3s::S3Error::from(disk_failure(kind));
        let message = error.message().expect("a message");
        assert!(message.contains(cause), "{message}");
        let outcome = status_and_code(disk_failure(kind));
        assert_eq!(outcome, (500, "InternalError".to_owned()));
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table with one row per case")]
fn errors_map_to_code_and_status() {
    let name = || "x".to_owned();
    let cut_off = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let table: Vec<(S3Error, u16, &str)> = vec![
        (missing(Kind::Repository).into(), 404, "NoSuchBucket"),
        (missing(Kind::Key).into(), 404, "NoSuchKey"),
        (missing(Kind::Range).into(), 500, "InternalError"),
        (read_error(missing(Kind::Branch)), 404, "NoSuchKey"),
        (read_error(missing(Kind::Reference)), 404, "NoSuchKey"),
        (
            read_error(catalog::Error::InvalidName {
                kind: Kind::Branch,
                rule: name(),
            }),
            404,
            "NoSuchKey",
        ),
        (write_error(missing(Kind::Branch)), 404, "NoSuchBucket"),
        (write_error(missing(Kind::Commit)), 404, "NoSuchBucket"),
        (
            catalog::Error::ReadOnly(name()).into(),
            403,
            "ErrReadOnlyRepository",
        ),
        (
            catalog::Error::Protected {
                action: "write",
                branch: name(),
            }
            .into(),
            403,
            "ErrWriteToProtectedBranch",
        ),
        (catalog::Error::TooManyTries(name()).into(), 503, "SlowDown"),
        (
            catalog::Error::RecordsBusy("busy".into()).into(),
            503,
            "SlowDown",
        ),
        (
            auth::Error::RecordsBusy("busy".into()).into(),
            503,
            "SlowDown",
        ),
        (catalog::Error::Stopping.into(), 503, "SlowDown"),
        (catalog::Error::TooManyChanges.into(), 503, "SlowDown"),
        (
            catalog::Error::ConcurrentChange(name()).into(),
            409,
            "OperationAborted",
        ),
        (
            catalog::Error::InDeletion(name()).into(),
            404,
            "NoSuchBucket",
        ),
        (
            catalog::Error::NoChanges(name()).into(),
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
        (wrong_size(), 500, "InternalError"),
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
            S3Error::BucketIsApi,
            404,
            "ErrNoSuchBucketPossibleAPIEndpoint",
        ),
        (S3Error::BucketExists, 409, "BucketAlreadyExists"),
        (S3Error::NotSupported, 405, "ERRLakeFSNotSupported"),
        (S3Error::not_implemented(), 501, "NotImplemented"),
        (S3Error::NotModified(Box::default()), 304, "NotModified"),
        (S3Error::MetadataTooLarge, 400, "MetadataTooLarge"),
        (S3Error::BadDigest("Content-MD5"), 400, "BadDigest"),
        (S3Error::InvalidDigest, 400, "InvalidDigest"),
        (
            S3Error::PayloadHashMismatch,
            400,
            "XAmzContentSHA256Mismatch",
        ),
        (
            S3Error::ChunkSignatureMismatch,
            403,
            "SignatureDoesNotMatch",
        ),
        (S3Error::MalformedXml, 400, "MalformedXML"),
        (S3Error::DocumentTooLarge, 400, "MaxMessageLengthExceeded"),
        (S3Error::BadRequest, 400, "BadRequest"),
    ];
    for (error, status, code) in table {
        let shown = format!("{error:?}");
        assert_eq!(status_and_code(error), (status, code.to_owned()), "{shown}");
    }
}

#[test]
fn messages_start_with_the_text_of_lakefs() {
    for (error, known) in [
        (S3Error::NoSuchBranch, "The specified bucket does not exist"),
        (
            S3Error::ReadOnly,
            "Attempted to write to a read-only repository",
        ),
        (
            S3Error::Protected,
            "Attempted to write to a protected branch",
        ),
        (
            S3Error::buckets_are_repositories(),
            "A header you provided implies functionality that is not implemented",
        ),
        (
            S3Error::BucketDeletion,
            "This operation is not supported in LakeFS",
        ),
        (
            disk_failure(io::ErrorKind::StorageFull),
            "We encountered an internal error, please try again",
        ),
        (
            wrong_size(),
            "We encountered an internal error, please try again",
        ),
    ] {
        let error = s3s::S3Error::from(error);
        let message = error.message().expect("a message");
        let advice = message
            .strip_prefix(known)
            .expect("lakeFS's text comes first");
        assert!(advice.starts_with(": "), "{message}");
        assert!(!message.contains("lakectl"), "{message}");
    }
}

#[test]
fn unsatisfiable_range_error_contains_the_size() {
    let error = s3s::S3Error::from(S3Error::InvalidRange { size: 4 });
    let range = error
        .headers()
        .and_then(|headers| headers.get("content-range"));
    assert_eq!(
        range.and_then(|value| value.to_str().ok()),
        Some("bytes */4")
    );
}
