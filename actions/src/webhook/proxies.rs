//! Proxies from the environment (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`). A proxy
//! resolves the target's name itself, so the target must be checked before the request is sent to
//! the proxy.

use std::fmt;
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::ClientBuilder;
use url::Url;

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

    /// Configures a client to use the proxies.
    pub(super) fn applied(&self, client: ClientBuilder) -> ClientBuilder {
        match &self.one {
            Some(proxy) => client.proxy(proxy.clone()),
            None => client,
        }
    }

    /// Reports whether a request for a URL goes through a proxy.
    pub(super) fn intercept(&self, url: &Url) -> bool {
        url.as_str()
            .parse()
            .is_ok_and(|uri| self.matcher.intercept(&uri).is_some())
    }
}
