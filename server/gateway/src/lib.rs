//! The S3 gateway: translates S3 requests into catalog calls.
//!
//! ```text
//! Gateway::handle    admission.rs   checks that run before the signature is verified
//!                    chunked.rs     bounds the memory of aws-chunked bodies
//!                    xml.rs         bounds the memory of XML documents
//!   s3s              verifies signatures (V2, V4, presigned, chunked), routes, parses XML
//!     auth.rs        looks up secrets, identifies the caller, rejects unknown parameters (subresource.rs)
//!     service.rs     lists the operations: bucket list get put copy delete multipart
//!   response.rs      adds messages and request ids to errors
//! ```
//!
//! A bucket is a repository and a key is `ref/path`. The gateway knows nothing about
//! records, block storage or trees. It rejects a write that has an unknown query parameter.

mod admission;
mod auth;
mod body;
mod body_error;
mod bucket;
mod chunked;
mod conditions;
mod copy;
mod delete;
mod error;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod fuzzing;
mod get;
mod host;
mod list;
mod metadata;
mod multipart;
mod path;
mod put;
mod response;
mod service;
mod subresource;
mod xml;

pub use admission::appears_signed;
pub use xml::MAX_DOCUMENT_MEMORY_BYTES;

use std::fmt;
use std::sync::Arc;

use ::auth::Auth;
use axum::body::Body;
use base::{ByteBudget, Clock, IdGenerator, SystemClock, SystemIds};
use catalog::Catalog;
use http::request::Parts;
use http::{Request, Response};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};

use crate::admission::MAX_CLOCK_SKEW_SECS;
use crate::error::S3Error;
use crate::host::Domains;
use crate::service::S3Api;

/// Settings of the gateway.
#[derive(Debug, Clone)]
pub struct Options {
    /// Base domains of virtual-host addressing (`gateways.s3.domain_name`).
    pub domain_names: Vec<String>,
    /// Region that `GetBucketLocation` returns.
    pub region: String,
    /// Memory budget for XML documents and large signed chunks, shared with the rest of the server.
    pub bodies: ByteBudget,
}

/// The S3 service. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

struct Inner {
    service: S3Service,
    domains: Domains,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
    bodies: ByteBudget,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("domains", &self.inner.domains)
            .finish_non_exhaustive()
    }
}

impl Gateway {
    /// Creates a gateway to `catalog` that authenticates and authorizes callers with `auth`.
    #[must_use]
    pub fn new(catalog: Catalog, auth: Auth, options: Options) -> Self {
        // s3s verifies signatures against the system clock, so the gateway's date checks must use the same clock.
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let domains = Domains::new(&options.domain_names);
        let mut config = S3Config::default();
        // Above the limit of the document meter, which rejects such documents with a better error.
        config.xml_max_body_size = 2 * xml::MAX_BYTES;
        config.presigned_url_max_skew_time_secs = MAX_CLOCK_SKEW_SECS;

        let mut builder = S3ServiceBuilder::new(S3Api::new(
            catalog,
            auth.clone(),
            options.region,
            domains.clone(),
        ));
        // s3s skips the access check unless an auth provider is set. Set both, or unsigned requests pass.
        builder.set_auth(auth::SecretKeys::new(auth.clone()));
        builder.set_access(auth::AccessCheck::new(auth));
        builder.set_host(domains.clone());
        builder.set_validation(host::AnyBucketName);
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        Self {
            inner: Arc::new(Inner {
                service: builder.build(),
                domains,
                ids: Arc::new(SystemIds::new(Arc::clone(&clock))),
                clock,
                bodies: options.bodies,
            }),
        }
    }

    /// Returns whether a request is an S3 request: it carries an AWS signature, or its host
    /// is one of the gateway's domains.
    #[must_use]
    pub fn is_s3_request(&self, request: &Parts) -> bool {
        admission::is_signed(request) || self.inner.domains.serves(request)
    }

    /// Handles one request. Request and response bodies are streamed.
    pub async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let context = response::RequestContext::new(&request, self.inner.ids.as_ref());
        let response = match self.prepare(request) {
            Ok((request, document)) => {
                let response = match self.inner.service.call(request).await {
                    Ok(response) => response,
                    Err(error) => S3Error::Internal(error.into()).into_response(),
                };
                // s3s reports any failure to read the document as malformed XML. If the meter
                // stopped it, the meter's error is the real reason.
                match document.and_then(|document| document.error()) {
                    Some(error) => error.into_response(),
                    None => response,
                }
            }
            Err(error) => error.into_response(),
        };
        context.finish(response)
    }

    /// Runs the checks that precede authentication and wraps the body with its memory limits.
    ///
    /// The meter is present if the body is an XML document.
    fn prepare(
        &self,
        request: Request<Body>,
    ) -> error::Result<(Request<s3s::Body>, Option<xml::DocumentMeter>)> {
        let (mut parts, body) = request.into_parts();
        admission::check(&parts, self.inner.clock.now())?;
        admission::drop_malformed_range(&mut parts);
        let body = match admission::chunking(&parts) {
            Some(signed) => chunked::bound_chunks(body, signed, &self.inner.bodies),
            None => body,
        };
        let (body, document) = if xml::is_document(&parts, &self.inner.domains) {
            let (body, meter) = xml::metered(body, &self.inner.bodies);
            (body, Some(meter))
        } else {
            (body, None)
        };
        let body = s3s::Body::http_body_unsync(body);
        Ok((Request::from_parts(parts, body), document))
    }
}
