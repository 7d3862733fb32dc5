//! Rejects unknown query parameters, unless ignoring them is harmless.
//!
//! An unknown parameter may name a sub-resource that the gateway does not implement. Ignoring it would run
//! the plain operation instead: `PUT /bucket/key?foo` would overwrite the object.

use http::Method;

use crate::admission::query;
use crate::error::{Result, S3Error};

/// S3 sub-resources that the gateway does not support.
const UNSUPPORTED: [&str; 27] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "encryption",
    "events",
    "intelligent-tiering",
    "inventory",
    "lambdaArn",
    "legal-hold",
    "lifecycle",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "torrent",
    "versions",
    "website",
];
/// Query parameters of V2 signatures.
const SIGNATURE: [&str; 3] = ["AWSAccessKeyId", "Signature", "Expires"];
const LISTING: [&str; 9] = [
    "list-type",
    "prefix",
    "delimiter",
    "marker",
    "continuation-token",
    "start-after",
    "max-keys",
    "encoding-type",
    "fetch-owner",
];
const READING: [&str; 8] = [
    "partNumber",
    "versionId",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
];

/// Checks the query of a request that s3s has routed to `operation`.
///
/// # Errors
/// [`S3Error::NotSupported`] for sub-resources and operations of S3 that the gateway does not support,
/// [`S3Error::NotImplemented`] for unknown parameters and operations.
pub(crate) fn check(operation: &str, method: &Method, raw_query: &str) -> Result<()> {
    let parameters = query(raw_query);
    let unsupported = |name: &str| UNSUPPORTED.contains(&name);
    if parameters.iter().any(|(key, _)| unsupported(key)) {
        return Err(S3Error::NotSupported);
    }
    let known: &[&str] = match operation {
        "ListBuckets" => &[
            "prefix",
            "continuation-token",
            "max-buckets",
            "bucket-region",
        ],
        "ListObjects" | "ListObjectsV2" => &LISTING,
        "GetBucketLocation" => &["location"],
        "GetBucketVersioning" => &["versioning"],
        "ListMultipartUploads" => &[
            "uploads",
            "prefix",
            "delimiter",
            "key-marker",
            "upload-id-marker",
            "max-uploads",
            "encoding-type",
        ],
        "GetObject" | "HeadObject" => &READING,
        "GetObjectTagging" => &["tagging", "versionId"],
        "GetObjectAttributes" => &["attributes", "versionId"],
        "DeleteObject" => &["versionId"],
        "DeleteObjects" => &["delete"],
        "CreateMultipartUpload" => &["uploads"],
        "UploadPart" | "UploadPartCopy" => &["partNumber", "uploadId"],
        "CompleteMultipartUpload" | "AbortMultipartUpload" => &["uploadId"],
        "ListParts" => &["uploadId", "max-parts", "part-number-marker"],
        "HeadBucket" | "CreateBucket" | "DeleteBucket" | "PutObject" | "CopyObject" => &[],
        "GetBucketTagging"
        | "PutBucketTagging"
        | "DeleteBucketTagging"
        | "PutObjectTagging"
        | "DeleteObjectTagging"
        | "PutBucketVersioning" => return Err(S3Error::NotSupported),
        _ => return Err(S3Error::not_implemented()),
    };
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    for (key, value) in &parameters {
        let lower = key.to_ascii_lowercase();
        if known.contains(&key.as_str()) || SIGNATURE.contains(&key.as_str()) {
            // Objects have no versions, so `null` is the only valid version id.
            if key == "versionId" && !matches!(value.as_str(), "" | "null") {
                return Err(S3Error::not_implemented());
            }
            continue;
        }
        // By S3's convention, clients may add `x-` parameters for their own use. Parameters of copies are an
        // exception: they would change what is written, but S3 honors them only as headers.
        if lower.starts_with("x-")
            && !lower.starts_with("x-amz-copy-")
            && lower != "x-amz-metadata-directive"
        {
            continue;
        }
        // Ignoring an unknown parameter of a read is harmless if it has a value. Without a value it is a
        // sub-resource.
        if !is_read || value.is_empty() {
            return Err(S3Error::not_implemented());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(operation: &str, method: &Method, query: &str) -> &'static str {
        match check(operation, method, query) {
            Ok(()) => "ok",
            Err(S3Error::NotSupported) => "405",
            Err(S3Error::NotImplemented(_)) => "501",
            Err(_) => "other",
        }
    }

    #[test]
    fn unknown_parameters_are_rejected() {
        for (operation, method, query, expected) in [
            ("PutObject", Method::PUT, "", "ok"),
            (
                "PutObject",
                Method::PUT,
                "x-id=PutObject&X-Amz-Signature=a",
                "ok",
            ),
            ("PutObject", Method::PUT, "foo", "501"),
            ("PutObject", Method::PUT, "foo=bar", "501"),
            ("PutObject", Method::PUT, "uploadId=1", "501"),
            ("PutObject", Method::PUT, "partNumber=1", "501"),
            ("PutObject", Method::PUT, "website", "405"),
            ("PutObject", Method::PUT, "%61cl", "405"),
            ("PutObject", Method::PUT, "X-Amz-Copy-Source=b%2Fk", "501"),
            ("PutObjectAcl", Method::PUT, "acl", "405"),
            ("PutObjectTagging", Method::PUT, "tagging", "405"),
            ("DeleteObject", Method::DELETE, "versionId=abc", "501"),
            ("DeleteObject", Method::DELETE, "versionId=null", "ok"),
            ("DeleteObject", Method::DELETE, "tagging", "501"),
            (
                "GetObject",
                Method::GET,
                "response-content-type=x%2Fy&partNumber=1",
                "ok",
            ),
            ("GetObject", Method::GET, "foo", "501"),
            ("GetObject", Method::GET, "foo=bar", "ok"),
            ("HeadObject", Method::HEAD, "acl=", "405"),
            ("CreateBucket", Method::PUT, "versioning", "501"),
            ("PutBucketVersioning", Method::PUT, "versioning", "405"),
            ("CreateSession", Method::GET, "session", "501"),
            ("ListObjects", Method::GET, "versions", "405"),
        ] {
            assert_eq!(
                outcome(operation, &method, query),
                expected,
                "{operation}?{query}"
            );
        }
    }
}
