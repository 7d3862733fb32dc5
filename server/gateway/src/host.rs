//! Hosts: which are ours, and which bucket a virtual host names.

use std::borrow::Cow;

use http::request::Parts;
use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};
use s3s::validation::NameValidation;

/// The base domains of virtual-host addressing, in lower case and without ports.
#[derive(Debug, Clone)]
pub(crate) struct Domains(Vec<String>);

impl Domains {
    pub(crate) fn new(names: &[String]) -> Self {
        Self(
            names
                .iter()
                .map(|name| bare(name))
                .filter(|name| !name.is_empty())
                .collect(),
        )
    }

    /// Whether a request goes to one of the domains, or to a bucket below it.
    pub(crate) fn serves(&self, request: &Parts) -> bool {
        self.find(&host_of(request)).is_some()
    }

    /// Whether the request's host names its bucket.
    pub(crate) fn names_bucket(&self, request: &Parts) -> bool {
        let host = host_of(request);
        matches!(self.find(&host), Some((_, Some(_))))
    }

    /// The domain that a bare host belongs to, and the bucket before it.
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
        let bare = bare(host);
        Ok(match self.find(&bare) {
            Some((domain, Some(bucket))) => VirtualHost::new(domain).with_bucket(bucket.to_owned()),
            Some((domain, None)) => VirtualHost::new(domain),
            // A host we don't know: the bucket is in the path.
            None => VirtualHost::new(Cow::Borrowed(host)),
        })
    }
}

/// The bare host that a request goes to; empty if it names none.
fn host_of(request: &Parts) -> String {
    let header = request
        .headers
        .get(http::header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = header.or_else(|| request.uri.authority().map(http::uri::Authority::as_str));
    host.map(bare).unwrap_or_default()
}

/// A host in lower case, without its port.
fn bare(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.to_ascii_lowercase()
}

/// Takes any bucket name: one that no repository can have is not found like others.
pub(crate) struct AnyName;

impl NameValidation for AnyName {
    fn validate_bucket_name(&self, name: &str) -> bool {
        !name.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_names_its_bucket() {
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
