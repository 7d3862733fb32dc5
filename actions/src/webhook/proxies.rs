//! The proxies that the environment names (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`), and which
//! requests go through one: there the proxy resolves the target's name, so that it is looked at beforehand.

use std::fmt;
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::ClientBuilder;
use url::Url;

/// Proxies. Cheap to clone.
#[derive(Clone)]
pub(super) struct Proxies {
    matcher: Arc<Matcher>,
    /// One for all requests, in tests; else those of the environment, which the client reads as well.
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
            one: Some(reqwest::Proxy::all(url).expect("a URL of the test's")),
        }
    }

    /// A client that uses them.
    pub(super) fn applied(&self, client: ClientBuilder) -> ClientBuilder {
        match &self.one {
            Some(proxy) => client.proxy(proxy.clone()),
            None => client,
        }
    }

    /// Whether a request for a URL goes through a proxy.
    pub(super) fn intercept(&self, url: &Url) -> bool {
        url.as_str()
            .parse()
            .is_ok_and(|uri| self.matcher.intercept(&uri).is_some())
    }
}
