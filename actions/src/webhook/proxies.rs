//! Proxies from the environment (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`). A proxy
//! resolves the target's name itself, so the target must be checked before the request is sent to
//! the proxy. The client for proxied targets does not check the addresses that it connects to, so it
//! must never connect to a target directly.

use std::fmt;
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::ClientBuilder;
use url::{Host, Url};

/// Proxy configuration. Cheap to clone.
#[derive(Clone)]
pub(super) struct Proxies {
    matcher: Arc<Matcher>,
    /// One proxy for all requests, in tests. Otherwise `None`, and the client reads the same
    /// environment variables as `matcher`.
    one: Option<reqwest::Proxy>,
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxies([redacted])")
    }
}

impl Proxies {
    pub(super) fn of_process() -> Self {
        Self {
            matcher: Arc::new(Matcher::from_env()),
            one: None,
        }
    }

    #[cfg(test)]
    pub(super) fn one(url: &str) -> Self {
        Self {
            matcher: Arc::new(Matcher::builder().all(url).build()),
            one: Some(reqwest::Proxy::all(url).expect("the test passes a valid URL")),
        }
    }

    /// Uses a proxy for `http` URLs only, as if only `HTTP_PROXY` were set.
    #[cfg(test)]
    pub(super) fn for_http(url: &str) -> Self {
        Self {
            matcher: Arc::new(Matcher::builder().http(url).build()),
            one: Some(reqwest::Proxy::http(url).expect("the test passes a valid URL")),
        }
    }

    /// Configures a client to use the proxies.
    pub(super) fn applied(&self, client: ClientBuilder) -> ClientBuilder {
        match &self.one {
            Some(proxy) => client.proxy(proxy.clone()),
            None => client,
        }
    }

    /// Reports whether a request for a URL goes through a proxy. Proxies are never used for this
    /// machine itself.
    pub(super) fn intercept(&self, url: &Url) -> bool {
        let is_proxied = || {
            let uri = url.as_str().parse();
            uri.is_ok_and(|uri| self.matcher.intercept(&uri).is_some())
        };
        !is_loopback(url) && is_proxied()
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
