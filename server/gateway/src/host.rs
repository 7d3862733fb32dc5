//! Virtual-host addressing: recognizes the gateway's domains and extracts the bucket from a host.

use std::borrow::Cow;

use http::request::Parts;
use http::{HeaderMap, Uri};
use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};
use s3s::validation::NameValidation;

/// Base domains of virtual-host addressing, in lower case and without ports.
#[derive(Debug, Clone)]
pub(crate) struct Domains(Vec<String>);

impl Domains {
    pub(crate) fn new(names: &[String]) -> Self {
        Self(
            names
                .iter()
                .map(|name| normalize_host(name))
                .filter(|name| !name.is_empty())
                .collect(),
        )
    }

    /// Returns whether a request's host is one of the domains or a subdomain of one.
    pub(crate) fn serves(&self, request: &Parts) -> bool {
        self.find(&host_of(request)).is_some()
    }

    /// Returns whether a request's host contains the bucket.
    pub(crate) fn names_bucket(&self, request: &Parts) -> bool {
        self.is_bucket_host(&host_of(request))
    }

    /// Returns whether a host, in any spelling, contains a bucket.
    pub(crate) fn is_bucket_host(&self, host: &str) -> bool {
        matches!(self.find(&normalize_host(host)), Some((_, Some(_))))
    }

    /// Splits a normalized host into its domain and bucket. Returns `None` if no domain matches.
    fn find<'h>(&self, host: &'h str) -> Option<(&str, Option<&'h str>)> {
        self.0.iter().find_map(|domain| {
            let before = host.strip_suffix(domain.as_str())?;
            if before.is_empty() {
                return Some((domain.as_str(), None));
            }
            let bucket = before
                .strip_suffix('.')
                .filter(|bucket| !bucket.is_empty())?;
            Some((domain.as_str(), Some(bucket)))
        })
    }
}

impl S3Host for Domains {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let normalized = normalize_host(host);
        Ok(match self.find(&normalized) {
            Some((domain, Some(bucket))) => VirtualHost::new(domain).with_bucket(bucket.to_owned()),
            Some((domain, None)) => VirtualHost::new(domain),
            // Unknown host: the bucket is in the path.
            None => VirtualHost::new(Cow::Borrowed(host)),
        })
    }
}

/// Returns the normalized host of a request, or an empty string if it has none.
fn host_of(request: &Parts) -> String {
    normalize_host(authority_of(&request.headers, &request.uri))
}

/// Returns the host and port that a request is addressed to, or an empty string. HTTP/2 has them in the target.
pub(crate) fn authority_of<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> &'a str {
    let header = headers
        .get(http::header::HOST)
        .and_then(|host| host.to_str().ok());
    header
        .or_else(|| uri.authority().map(http::uri::Authority::as_str))
        .unwrap_or_default()
}

/// Converts a host to lower case and removes its port.
fn normalize_host(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.to_ascii_lowercase()
}

/// Accepts every bucket name. Names that no repository can have then fail with "not found" instead
/// of a validation error.
pub(crate) struct AnyBucketName;

impl NameValidation for AnyBucketName {
    fn validate_bucket_name(&self, name: &str) -> bool {
        !name.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_is_extracted_from_hosts_below_a_domain() {
        let domains = Domains::new(&[
            "s3.local.lakefs.io".to_owned(),
            "S3.example.com:8000".to_owned(),
        ]);
        let bucket = |host| {
            domains
                .parse_host_header(host)
                .unwrap()
                .bucket()
                .map(str::to_owned)
        };
        assert_eq!(
            bucket("repo.s3.local.lakefs.io:8000").as_deref(),
            Some("repo")
        );
        assert_eq!(bucket("REPO.s3.example.com").as_deref(), Some("repo"));
        assert_eq!(bucket("s3.example.com"), None);
        assert_eq!(bucket("evils3.example.com"), None);
        assert_eq!(bucket("localhost:8000"), None);
    }
}
