//! The typed client of the REST API, with one method per operation.
//!
//! The operations are generated from `server/api/openapi.yaml`. This file contains what they share: address,
//! credentials and sending. Object bodies are streamed in both directions. The client does not retry, because
//! only the caller knows which requests are safe to repeat.

mod error;
mod generated;
mod objects;
mod request;

use std::fmt;
use std::sync::Arc;

use reqwest::Method;
use url::Url;

pub use api_types as types;
pub use error::{Error, Result};
pub use generated::*;
pub use objects::PutObject;
pub use request::ByteStream;
use request::Request;

/// The credentials of the caller.
#[derive(Clone)]
pub enum Credentials {
    /// An access key.
    Key {
        access_key_id: String,
        secret_access_key: String,
    },
    /// A session token.
    Token(String),
    /// No credentials, for operations that do not require authentication.
    None,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { access_key_id, .. } => f
                .debug_struct("Key")
                .field("access_key_id", access_key_id)
                .finish_non_exhaustive(),
            Self::Token(_) => f.write_str("Token([redacted])"),
            Self::None => f.write_str("None"),
        }
    }
}

/// Returns a builder for an HTTP client with custom settings, for [`Client::with_http`].
///
/// Installs ring as the TLS provider of this process unless there is one, because `reqwest` does not install any.
pub fn http_builder() -> reqwest::ClientBuilder {
    // This fails only if a provider is already installed.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

/// A client of one server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Ends in `/api/v1`.
    base: Arc<Url>,
    credentials: Credentials,
}

impl Client {
    /// Creates a client of the server at `endpoint`, a URL with or without `/api/v1` at its end.
    ///
    /// # Errors
    /// [`Error::Endpoint`] if it is not an HTTP URL; [`Error::Transport`] if TLS cannot be set up.
    pub fn new(endpoint: &str, credentials: Credentials) -> Result<Self> {
        let http = http_builder().build().map_err(Error::Transport)?;
        Self::with_http(endpoint, credentials, http)
    }

    /// Creates a client like [`Client::new`], with the given HTTP client.
    ///
    /// # Errors
    /// [`Error::Endpoint`] if `endpoint` is not an HTTP URL.
    pub fn with_http(
        endpoint: &str,
        credentials: Credentials,
        http: reqwest::Client,
    ) -> Result<Self> {
        let invalid = |reason: String| Error::Endpoint {
            endpoint: endpoint.to_owned(),
            reason,
        };
        let trimmed = endpoint.trim_end_matches('/');
        let full = if trimmed.ends_with("/api/v1") {
            trimmed.to_owned()
        } else {
            format!("{trimmed}/api/v1")
        };
        let base = Url::parse(&full).map_err(|e| invalid(e.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(invalid("it must start with http:// or https://".to_owned()));
        }
        Ok(Self {
            http,
            base: Arc::new(base),
            credentials,
        })
    }

    /// Starts a request. Each segment is one part of the path and is escaped here.
    fn request(&self, method: Method, segments: &[&str]) -> Result<Request> {
        let mut url = (*self.base).clone();
        url.path_segments_mut()
            .map_err(|()| Error::Endpoint {
                endpoint: self.base.to_string(),
                reason: "the URL cannot have a path".to_owned(),
            })?
            .extend(segments);
        let request = self.http.request(method, url);
        Ok(Request::new(match &self.credentials {
            Credentials::Key {
                access_key_id,
                secret_access_key,
            } => request.basic_auth(access_key_id, Some(secret_access_key)),
            Credentials::Token(token) => request.bearer_auth(token),
            Credentials::None => request,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Client, Credentials};
    use reqwest::Method;

    #[test]
    fn paths_are_escaped_segment_by_segment() {
        let client =
            Client::new("http://127.0.0.1:1/", Credentials::None).expect("the endpoint is valid");
        let request = client
            .request(Method::GET, &["repositories", "a", "refs", "main~1/x?y"])
            .expect("the URL can have a path")
            .query("path", "a b&c")
            .query_list("objects", &["x".to_owned(), "y".to_owned()])
            .into_url();
        assert_eq!(
            request,
            "http://127.0.0.1:1/api/v1/repositories/a/refs/main~1%2Fx%3Fy?path=a+b%26c&objects=x&objects=y"
        );
    }

    #[test]
    fn invalid_endpoint_is_rejected_and_secrets_are_not_printed() {
        assert!(Client::new("ftp://x", Credentials::None).is_err());
        let key = Credentials::Key {
            access_key_id: "AKIA".to_owned(),
            secret_access_key: "hidden".to_owned(),
        };
        assert!(
            !format!("{key:?} {:?}", Credentials::Token("hidden".to_owned())).contains("hidden")
        );
    }
}
