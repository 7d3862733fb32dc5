//! The S3 gateway: requests in S3's words, answered from the catalog.
//!
//! ```text
//! Gateway::handle    admission.rs   what can be refused before a signature is checked
//!                    chunked.rs     bounds the memory of aws-chunked bodies
//!                    xml.rs         bounds the memory of documents
//!   s3s              signatures (V2, V4, presigned, chunked), routing, XML
//!     auth.rs        secrets; who asks; no sub-resource slips through (subresource.rs)
//!     service.rs     one line per operation, to bucket list get put copy delete multipart
//!   answer.rs        errors get their message and request id
//! ```
//!
//! A bucket is a repository, a key is `ref/path`. Nothing here knows records, bytes
//! or trees; nothing is written for a request that is not understood to its last
//! parameter.

mod admission;
mod answer;
mod auth;
mod body;
mod bucket;
mod chunked;
mod conditions;
mod copy;
mod delete;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod get;
mod host;
mod list;
mod metadata;
mod multipart;
mod path;
mod put;
mod service;
mod subresource;
mod xml;

use std::fmt;
use std::sync::Arc;

use ::auth::Auth;
use axum::body::Body;
use base::{Clock, IdGenerator, SystemClock, SystemIds};
use catalog::Catalog;
use http::request::Parts;
use http::{Request, Response};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};

use crate::error::Fault;
use crate::host::Domains;
use crate::service::Surface;

/// The largest XML document taken: a thousand keys to delete, or ten thousand parts.
const MAX_XML_BYTES: usize = 8 * 1024 * 1024;
/// How far a signature's time may be from ours.
const MAX_CLOCK_SKEW_SECS: u32 = 15 * 60;

/// How to serve.
#[derive(Debug, Clone)]
pub struct Options {
    /// Base domains of virtual-host addressing (`gateways.s3.domain_name`).
    pub domain_names: Vec<String>,
    /// What clients are told as the location of buckets.
    pub region: String,
}

/// The gateway as a service that answers S3 requests. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

struct Inner {
    service: S3Service,
    domains: Domains,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("domains", &self.inner.domains)
            .finish_non_exhaustive()
    }
}

impl Gateway {
    /// A gateway to a catalog, for the keys and permissions of an auth service.
    #[must_use]
    pub fn new(catalog: Catalog, auth: Auth, options: Options) -> Self {
        // The signature layer reads the machine's clock, so the checks beside it do as well.
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let domains = Domains::new(&options.domain_names);
        let mut config = S3Config::default();
        config.xml_max_body_size = MAX_XML_BYTES;
        config.presigned_url_max_skew_time_secs = MAX_CLOCK_SKEW_SECS;

        let mut builder =
            S3ServiceBuilder::new(Surface::new(catalog, auth.clone(), options.region));
        // Access is checked only where keys are: both are needed to refuse unsigned requests.
        builder.set_auth(auth::Keys::new(auth.clone()));
        builder.set_access(auth::Gate::new(auth));
        builder.set_host(domains.clone());
        builder.set_validation(host::AnyName);
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        Self {
            inner: Arc::new(Inner {
                service: builder.build(),
                domains,
                ids: Arc::new(SystemIds::new(Arc::clone(&clock))),
                clock,
            }),
        }
    }

    /// Whether a request is the gateway's: an AWS signature, or a host of its domains.
    #[must_use]
    pub fn claims(&self, request: &Parts) -> bool {
        admission::is_signed(request) || self.inner.domains.serves(request)
    }

    /// Answers one request. Bodies stream both ways.
    pub async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let asked = answer::Asked::of(&request, self.inner.ids.as_ref());
        let answer = match self.admit(request) {
            Ok((request, excess)) => match self.inner.service.call(request).await {
                _ if excess.was_found() => Fault::MalformedXml.into_response(),
                Ok(response) => response,
                Err(error) => Fault::Internal(error.into()).into_response(),
            },
            Err(fault) => fault.into_response(),
        };
        asked.finish(answer)
    }

    fn admit(&self, request: Request<Body>) -> error::Result<(Request<s3s::Body>, xml::Excess)> {
        let (mut parts, body) = request.into_parts();
        admission::check(&parts, self.inner.clock.now())?;
        admission::drop_malformed_range(&mut parts.headers);
        let body = match admission::chunking(&parts) {
            Some(signed) => chunked::bounded(body, signed),
            None => body,
        };
        let excess = xml::Excess::default();
        let body = if xml::is_document(&parts) {
            xml::bounded(body, &excess)
        } else {
            body
        };
        let body = s3s::Body::http_body_unsync(body);
        Ok((Request::from_parts(parts, body), excess))
    }
}
