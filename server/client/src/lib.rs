//! The typed client of the REST API: one method per operation.
//!
//! The operations are generated from `server/api/openapi.yaml`; here is what they
//! share: address, credentials, sending, and telling errors apart. Bodies of
//! objects stream both ways. Retries nothing: only the caller knows what may be
//! asked twice.

mod error;
mod generated;
mod objects;
mod request;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use reqwest::Method;
use url::Url;

pub use api_types as types;
pub use error::{Error, Result};
pub use generated::*;
pub use objects::PutObject;
use request::Request;

/// A body in pieces.
pub type ByteStream = Pin<Box<dyn futures::Stream<Item = Result<Bytes>> + Send>>;

/// Who asks.
#[derive(Clone)]
pub enum Credentials {
    /// An access key.
    Key {
        access_key_id: String,
        secret_access_key: String,
    },
    /// A session token.
    Token(String),
    /// Nobody: only what needs no credentials.
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

/// Starts an HTTP client whose settings the caller chooses, for [`Client::with_http`].
///
/// Makes ring the TLS provider of this process, unless there is one already: `reqwest` brings none.
pub fn http_builder() -> reqwest::ClientBuilder {
    // It fails only where a provider is installed already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

/// Talks to one server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Ends in `/api/v1`.
    base: Arc<Url>,
    credentials: Credentials,
}

impl Client {
    /// A client of the server at `endpoint`, with or without `/api/v1` at its end.
    ///
    /// # Errors
    /// [`Error::Endpoint`] if it is not an HTTP address, [`Error::Transport`] if TLS can't be set up.
    pub fn new(endpoint: &str, credentials: Credentials) -> Result<Self> {
        let http = http_builder().build().map_err(Error::Transport)?;
        Self::with_http(endpoint, credentials, http)
    }

    /// As [`Client::new`], over an HTTP client with settings of the caller's.
    ///
    /// # Errors
    /// [`Error::Endpoint`] if it is not an HTTP address.
    pub fn with_http(
        endpoint: &str,
        credentials: Credentials,
        http: reqwest::Client,
    ) -> Result<Self> {
        let wrong = |reason: String| Error::Endpoint {
            endpoint: endpoint.to_owned(),
            reason,
        };
        let trimmed = endpoint.trim_end_matches('/');
        let full = if trimmed.ends_with("/api/v1") {
            trimmed.to_owned()
        } else {
            format!("{trimmed}/api/v1")
        };
        let base = Url::parse(&full).map_err(|e| wrong(e.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(wrong("it must begin with http:// or https://".to_owned()));
        }
        Ok(Self {
            http,
            base: Arc::new(base),
            credentials,
        })
    }

    /// Begins a request; each segment is one part of the path, escaped here.
    fn request(&self, method: Method, segments: &[&str]) -> Result<Request> {
        let mut url = (*self.base).clone();
        url.path_segments_mut()
            .map_err(|()| Error::Endpoint {
                endpoint: self.base.to_string(),
                reason: "it can have no path".to_owned(),
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
        let client = Client::new("http://127.0.0.1:1/", Credentials::None).expect("an address");
        let request = client
            .request(Method::GET, &["repositories", "a", "refs", "main~1/x?y"])
            .expect("a request")
            .query("path", "a b&c")
            .query_list("objects", &["x".to_owned(), "y".to_owned()])
            .into_url();
        assert_eq!(
            request,
            "http://127.0.0.1:1/api/v1/repositories/a/refs/main~1%2Fx%3Fy?path=a+b%26c&objects=x&objects=y"
        );
    }

    #[test]
    fn what_is_no_address_is_refused_and_secrets_are_not_printed() {
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
