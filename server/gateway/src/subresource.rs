//! No sub-resource slips through: a request whose parameters are not all understood
//! must not be taken for the plain operation. `PUT /bucket/key?foo` stores no object.

use http::Method;

use crate::admission::query;
use crate::error::{Fault, Result};

/// Sub-resources of S3 that repositories do not have.
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
/// Parameters of V2 signatures.
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

/// Checks the query of a request that was routed to an operation.
///
/// # Errors
/// [`Fault::NotSupported`] for sub-resources and operations that repositories do not have,
/// [`Fault::NotImplemented`](crate::error::Fault) for what is not known at all.
pub(crate) fn check(operation: &str, method: &Method, raw_query: &str) -> Result<()> {
    let parameters = query(raw_query);
    let unsupported = |name: &str| UNSUPPORTED.contains(&name);
    if parameters.iter().any(|(key, _)| unsupported(key)) {
        return Err(Fault::NotSupported);
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
        | "PutBucketVersioning" => return Err(Fault::NotSupported),
        _ => return Err(Fault::not_implemented()),
    };
    let reads = matches!(*method, Method::GET | Method::HEAD);
    for (key, value) in &parameters {
        let lower = key.to_ascii_lowercase();
        if known.contains(&key.as_str()) || SIGNATURE.contains(&key.as_str()) {
            // There are no versions of objects; the only one has the id `null`.
            if key == "versionId" && !matches!(value.as_str(), "" | "null") {
                return Err(Fault::not_implemented());
            }
            continue;
        }
        // By the convention of S3, `x-` parameters are for the sender's own use. Those that
        // would change what is written count as headers only.
        if lower.starts_with("x-")
            && !lower.starts_with("x-amz-copy-")
            && lower != "x-amz-metadata-directive"
        {
            continue;
        }
        // To a read, a parameter with a value is noise; without one it is a sub-resource.
        if !reads || value.is_empty() {
            return Err(Fault::not_implemented());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(operation: &str, method: &Method, query: &str) -> &'static str {
        match check(operation, method, query) {
            Ok(()) => "ok",
            Err(Fault::NotSupported) => "405",
            Err(Fault::NotImplemented(_)) => "501",
            Err(_) => "other",
        }
    }

    #[test]
    fn what_is_not_understood_is_not_taken_for_the_plain_operation() {
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
                answer(operation, &method, query),
                expected,
                "{operation}?{query}"
            );
        }
    }
}
