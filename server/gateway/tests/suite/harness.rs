//! A gateway over an in-memory catalog, and a builder for requests to it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use base::{Clock as _, SystemClock, SystemIds};
use catalog::Repository;
use catalog::testing::TestCatalog;
use gateway::{Gateway, Options};
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use sha2::{Digest as _, Sha256};

use super::signer::{HOST, Signed, Signer, encode_path, encode_query};

const ACCESS_KEY: &str = "AKIAJTESTTESTTESTQ";
const SECRET: &str = "not-a-secret-but-a-test";

/// An installation with the repository `lake`.
pub(crate) struct Lake {
    pub(crate) gateway: Gateway,
    pub(crate) catalog: TestCatalog,
    pub(crate) repository: Repository,
    pub(crate) signer: Signer,
    /// The memory for documents and large chunks.
    pub(crate) bodies: base::ByteBudget,
}

/// The size of that memory.
pub(crate) const BODY_MEMORY_BYTES: usize = 64 << 20;

impl Lake {
    pub(crate) async fn new() -> Self {
        let catalog = TestCatalog::new();
        let repository = catalog.repository("lake").await;
        let clock = Arc::new(SystemClock);
        let auth = auth::Auth::new(
            Arc::new(kv::MemoryStore::new()),
            Arc::<SystemClock>::clone(&clock),
            Arc::new(SystemIds::new(Arc::<SystemClock>::clone(&clock))),
            auth::Options {
                secret_key: "a key of the installation".to_owned(),
                login_duration: Duration::from_secs(60),
                cache_enabled: true,
                cache_size: 10,
                cache_ttl: Duration::from_secs(60),
                fixed_installation_id: None,
            },
        );
        auth.setup("admin", Some((ACCESS_KEY.to_owned(), SECRET.to_owned())))
            .await
            .unwrap();
        let bodies = base::ByteBudget::new("request bodies", BODY_MEMORY_BYTES);
        let options = Options {
            domain_names: vec!["s3.example.com".to_owned()],
            region: "us-east-1".to_owned(),
            bodies: bodies.clone(),
        };
        Self {
            gateway: Gateway::new(catalog.catalog.clone(), auth, options),
            catalog,
            repository,
            bodies,
            signer: Signer {
                access_key: ACCESS_KEY.to_owned(),
                secret: SECRET.to_owned(),
                at: clock.now(),
            },
        }
    }

    /// Starts a request to `/bucket/key?query`, given without percent-encoding.
    pub(crate) fn call(&self, method: &'static str, target: &str) -> Call {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (name.to_owned(), value.to_owned())
            });
        Call {
            method,
            path: encode_path(path),
            query: query.collect(),
            headers: Vec::new(),
            body: Vec::new(),
            signer: self.signer.clone(),
            payload: None,
        }
    }

    /// Signs and sends a request.
    pub(crate) async fn send(&self, call: Call) -> TestResponse {
        self.raw(call.sign()).await
    }

    /// Sends a request unchanged.
    pub(crate) async fn raw(&self, request: Request<Body>) -> TestResponse {
        let (parts, body) = self.gateway.handle(request).await.into_parts();
        let body = body
            .collect()
            .await
            .map(|body| body.to_bytes())
            .unwrap_or_default();
        TestResponse {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    pub(crate) async fn get(&self, target: &str) -> TestResponse {
        self.send(self.call("GET", target)).await
    }

    pub(crate) async fn put(&self, target: &str, body: &str) -> TestResponse {
        self.send(self.call("PUT", target).body(body)).await
    }

    /// Returns all paths of `main`, separated by spaces.
    pub(crate) async fn paths(&self) -> String {
        self.catalog.paths(&self.repository, "main").await
    }
}

/// A request under construction.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    pub(crate) signer: Signer,
    payload: Option<&'static str>,
}

impl Call {
    /// Converts header names to lower case, as the signature requires.
    pub(crate) fn lower_names(mut self) -> Self {
        for (name, _) in &mut self.headers {
            name.make_ascii_lowercase();
        }
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the `x-amz-content-sha256` header, which otherwise holds the body's hash.
    pub(crate) fn payload(mut self, payload: &'static str) -> Self {
        self.payload = Some(payload);
        self
    }

    /// Returns the signed request.
    pub(crate) fn sign(self) -> Request<Body> {
        self.sign_with(|_, body| body)
    }

    /// Returns the signed request. Its body is the result of `body` for the signature and the original body.
    pub(crate) fn sign_with(
        mut self,
        body: impl FnOnce(&str, Vec<u8>) -> Vec<u8>,
    ) -> Request<Body> {
        let hash = hex::encode(Sha256::digest(&self.body));
        let payload = self.payload.map_or(hash, str::to_owned);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            self.headers.push(("host".to_owned(), HOST.to_owned()));
        }
        self.headers
            .push(("x-amz-date".to_owned(), self.signer.amz_date()));
        self.headers
            .push(("x-amz-content-sha256".to_owned(), payload.clone()));
        let what = Signed {
            method: self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
            payload: &payload,
        };
        let (authorization, signature) = self.signer.authorization(&what);
        let query = encode_query(&self.query);
        let uri = if query.is_empty() {
            self.path
        } else {
            format!("{}?{query}", self.path)
        };
        let body = body(&signature, self.body);
        let mut request = Request::builder().method(self.method).uri(uri);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request
            .header("authorization", authorization)
            .header("content-length", body.len())
            .body(Body::from(body))
            .unwrap()
    }
}

/// A response with its complete body.
#[derive(Debug)]
pub(crate) struct TestResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl TestResponse {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the texts of all elements called `name`, separated by spaces.
    pub(crate) fn all(&self, name: &str) -> String {
        let open = format!("<{name}>");
        let close = format!("</{name}>");
        let texts: Vec<_> = self
            .body
            .split(&open)
            .skip(1)
            .map(|rest| rest.split(&close).next().unwrap())
            .collect();
        texts.join(" ")
    }

    /// Returns the status, followed by the S3 error code if there is one.
    pub(crate) fn outcome(&self) -> String {
        let code = self.all("Code");
        if code.is_empty() {
            self.status.to_string()
        } else {
            format!("{} {code}", self.status)
        }
    }
}
