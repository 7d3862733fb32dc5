//! Restricts a quickstart to this machine: rejects requests for other host names, and requests that
//! a browser on this machine sends from a page of another site.
//!
//! A page can point its own domain to `127.0.0.1` and then read the responses as same-origin (DNS
//! rebinding). The `Host` header still contains that domain.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;

use crate::config::Config;
use crate::refusal;
use crate::telemetry::Interface;

const HINT_HOST: &str =
    "use 127.0.0.1 or localhost as the host, or start the server without --quickstart";
const HINT_PAGE: &str = "send the request from a page of this server or from a program, not from a page of another site (header Sec-Fetch-Site)";

/// Host names that a quickstart accepts in addition to loopback names.
#[derive(Debug, Clone)]
pub(crate) struct LocalNames {
    exact: Arc<[String]>,
    /// Base domains of the S3 gateway. Names below them are repositories.
    domains: Arc<[String]>,
}

impl LocalNames {
    /// Returns the names of a quickstart, or `None` for other servers.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        let listening = api::host_name(&config.listen_address);
        let domains = config
            .gateway
            .domain_names
            .iter()
            .filter_map(|name| api::host_name(name));
        config.quickstart.then(|| Self {
            exact: listening.into_iter().collect(),
            domains: domains.collect(),
        })
    }

    fn include(&self, name: &str) -> bool {
        let is_of_domain = |domain: &String| {
            name == domain
                || name
                    .strip_suffix(domain.as_str())
                    .is_some_and(|rest| rest.ends_with('.'))
        };
        api::is_loopback_name(name)
            || self.exact.iter().any(|own| own == name)
            || self.domains.iter().any(is_of_domain)
    }

    /// Returns why a request is rejected and a hint, or `None` if it is accepted.
    fn refusal<B>(&self, request: &http::Request<B>) -> Option<(String, &'static str)> {
        let mut hosts = api::hosts(request.uri(), request.headers()).peekable();
        if hosts.peek().is_none() {
            return Some(("the request has no host".to_owned(), HINT_HOST));
        }
        let foreign = hosts.find(|host| !host.as_ref().is_some_and(|host| self.include(host)));
        if let Some(host) = foreign {
            let host = host.unwrap_or_else(|| "that".to_owned());
            let why = format!("host {host} is not this machine");
            return Some((why, HINT_HOST));
        }
        api::is_cross_site(request.headers()).then(|| {
            let why = "a page of another site sent this request".to_owned();
            (why, HINT_PAGE)
        })
    }

    /// Returns a refusal with status 403 of a request for another host or from a page of another site.
    pub(crate) fn refuse_others(
        &self,
        interface: Interface,
        request: &Request,
    ) -> Option<Response> {
        let (why, hint) = self.refusal(request)?;
        tracing::debug!("refused a request to a quickstart: {why}");
        let message = format!("a quickstart accepts requests from this machine only: {why}");
        let status = StatusCode::FORBIDDEN;
        Some(match interface {
            Interface::S3 => refusal::s3(status, "AccessDenied", &format!("{message}: {hint}")),
            Interface::Rest | Interface::Other => refusal::refusal(status, &message, hint),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(uri: &str, headers: &[(&str, &str)]) -> Option<(String, &'static str)> {
        let names = LocalNames {
            exact: ["lake.test".to_owned()].into(),
            domains: ["s3.local.lakefs.io".to_owned()].into(),
        };
        let mut request = http::Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        names.refusal(&request.body(()).unwrap())
    }

    #[test]
    fn requests_to_this_machine_are_accepted() {
        for host in [
            "127.0.0.1:8000",
            "localhost:8000",
            "[::1]:8000",
            "lake.test:8000",
            "s3.local.lakefs.io:8000",
            "demo.s3.local.lakefs.io:8000",
        ] {
            assert_eq!(refusal("/", &[("host", host)]), None, "{host}");
        }
        // HTTP/2 has the host in the request target.
        assert_eq!(refusal("http://127.0.0.1:8000/", &[]), None);
        let own_page = [("host", "localhost"), ("sec-fetch-site", "same-origin")];
        assert_eq!(refusal("/", &own_page), None);
    }

    #[test]
    fn other_hosts_and_cross_site_requests_are_rejected() {
        for (uri, headers) in [
            ("/", vec![("host", "rebound.example:8000")]),
            ("/", vec![("host", "localhost.rebound.example")]),
            ("/", vec![("host", "demo.localhost:8000")]),
            ("/", vec![("host", "evils3.local.lakefs.io")]),
            ("/", vec![("host", "10.0.0.7:8000")]),
            ("/", vec![("host", "localhost@rebound.example")]),
            ("/", vec![("host", "")]),
            (
                "/",
                vec![("host", "localhost"), ("host", "rebound.example")],
            ),
            ("http://rebound.example/", vec![("host", "localhost")]),
            ("/", vec![]),
            (
                "/",
                vec![("host", "localhost"), ("sec-fetch-site", "cross-site")],
            ),
        ] {
            assert!(refusal(uri, &headers).is_some(), "{uri} {headers:?}");
        }
        let (why, hint) = refusal("/", &[("host", "rebound.example:8000")]).unwrap();
        assert_eq!(why, "host rebound.example is not this machine");
        assert!(hint.contains("127.0.0.1"), "{hint}");
        let cross = [("host", "localhost"), ("sec-fetch-site", "cross-site")];
        let (why, hint) = refusal("/", &cross).unwrap();
        assert_eq!(why, "a page of another site sent this request");
        assert!(hint.contains("Sec-Fetch-Site"), "{hint}");
    }
}
