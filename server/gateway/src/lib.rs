//! The S3 gateway: requests in S3's words, answered from the catalog.

use auth::Auth;
use catalog::Catalog;

/// How to serve.
#[derive(Debug, Clone)]
pub struct Options {
    /// Base domains of virtual-host addressing (`gateways.s3.domain_name`).
    pub domain_names: Vec<String>,
    pub region: String,
}

/// The gateway as a service that answers S3 requests.
#[derive(Debug, Clone)]
pub struct Gateway {}

impl Gateway {
    #[must_use]
    pub fn new(_catalog: Catalog, _auth: Auth, _options: Options) -> Self {
        todo!()
    }
    /// Whether a request is the gateway's: an AWS signature, or a host of its domains.
    #[must_use]
    pub fn claims(&self, _request: &http::request::Parts) -> bool {
        todo!()
    }
    /// Answers one request. Bodies stream both ways.
    pub async fn handle(&self, _request: http::Request<axum::body::Body>) -> http::Response<axum::body::Body> {
        todo!()
    }
}
