//! An in-memory server and a client that calls it without a socket.

use std::sync::{Arc, Mutex};

use api::{ApiState, Authorizer, Options, Peer, SetupToken};
use async_trait::async_trait;
use auth::{Permission, Principal};
use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use catalog::testing::TestCatalog;
use catalog::{InternalFiles, Reader};
use graveler::Hooks;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

pub(crate) const ACCESS_KEY: &str = "AKIAJTESTTESTTESTTEQ";
pub(crate) const SECRET_KEY: &str = "a-secret-for-tests";
pub(crate) const SETUP_TOKEN: &str = "a-setup-token-for-tests";

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap().to_owned()
    }

    /// The hint of an error.
    #[track_caller]
    pub(crate) fn hint(&self) -> String {
        self.json()["hint"].as_str().unwrap().to_owned()
    }

    /// Checks the status and returns the response.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}", self.body);
        self
    }
}

/// The parts of a request other than method and path.
#[derive(Debug, Default)]
pub(crate) struct RequestParts {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether to omit the administrator's key.
    pub(crate) anonymous: bool,
}

/// Records the permissions that the API checks, and can refuse one action.
#[derive(Debug)]
struct RecordingAuthorizer {
    auth: auth::Auth,
    checked: Arc<Mutex<Vec<Permission>>>,
    forbidden: Arc<Mutex<Option<&'static str>>>,
}

#[async_trait]
impl Authorizer for RecordingAuthorizer {
    async fn authorize(
        &self,
        principal: &Principal,
        permissions: &[Permission],
    ) -> auth::Result<()> {
        self.checked.lock().unwrap().extend_from_slice(permissions);
        let forbidden = *self.forbidden.lock().unwrap();
        if let Some(missing) = permissions.iter().find(|p| Some(p.action) == forbidden) {
            return Err(auth::Error::Forbidden(missing.action.to_owned()));
        }
        Authorizer::authorize(&self.auth, principal, permissions).await
    }
}

/// An in-memory server.
pub(crate) struct TestApi {
    router: Router,
    /// The catalog of the server.
    pub(crate) lake: TestCatalog,
    checked: Arc<Mutex<Vec<Permission>>>,
    forbidden: Arc<Mutex<Option<&'static str>>>,
    _cache: tempfile::TempDir,
}

impl TestApi {
    /// A server without an administrator.
    pub(crate) async fn unset() -> Self {
        Self::with_hooks(|_| Arc::new(graveler::NoHooks)).await
    }

    /// A server with an administrator.
    pub(crate) async fn new() -> Self {
        let api = Self::unset().await;
        api.set_up().await;
        api
    }

    pub(crate) async fn with_hooks(hooks: impl FnOnce(&Reader) -> Arc<dyn Hooks>) -> Self {
        Self::build(hooks, SetupToken::generated(SETUP_TOKEN.to_owned())).await
    }

    /// A server without an administrator, whose configuration has [`SETUP_TOKEN`].
    pub(crate) async fn unset_with_configured_token() -> Self {
        let token = SetupToken::configured(SETUP_TOKEN.to_owned());
        Self::build(|_| Arc::new(graveler::NoHooks), token).await
    }

    async fn build(hooks: impl FnOnce(&Reader) -> Arc<dyn Hooks>, setup_token: SetupToken) -> Self {
        let lake = TestCatalog::with_hooks(hooks);
        let cache = tempfile::tempdir().unwrap();
        let auth = auth::Auth::new(
            Arc::<kv::MemoryStore>::clone(&lake.kv),
            Arc::<base::ManualClock>::clone(&lake.clock),
            Arc::<base::SeededIds>::clone(&lake.ids),
            auth::Options {
                secret_key: "a secret key for tests".to_owned(),
                login_duration: std::time::Duration::from_secs(3600),
                cache_enabled: true,
                cache_size: 16,
                cache_ttl: std::time::Duration::from_secs(20),
                fixed_installation_id: None,
            },
        );
        auth.start().await.unwrap();
        let actions = actions::Actions::new(
            lake.catalog.reader().clone(),
            InternalFiles::new(Arc::<block::MemoryStore>::clone(&lake.block)),
            Arc::<kv::MemoryStore>::clone(&lake.kv),
            Arc::<base::ManualClock>::clone(&lake.clock),
            actions::Options {
                enabled: true,
                env_enabled: false,
                env_prefix: String::new(),
                gates_source: actions::GatesSource::Both,
                cache_dir: cache.path().to_owned(),
                code_key: actions::wasm::CodeKey::new([7; 32]),
                webhook: actions::WebhookOptions::default(),
                compiler: actions::wasm::Compiler::InProcess,
                compile_at_once: 2,
            },
        )
        .unwrap();
        let options = Options {
            version: "0.1.0".to_owned(),
            login_cookie_names: vec!["internal_auth_session".to_owned()],
            login_failed_message: "The credentials don't match.".to_owned(),
            login_url: String::new(),
            logout_url: String::new(),
            setup_token,
            bodies: api::BodyBudgets::new(128 << 20),
        };
        let checked = Arc::default();
        let forbidden = Arc::default();
        let authorizer = RecordingAuthorizer {
            auth: auth.clone(),
            checked: Arc::clone(&checked),
            forbidden: Arc::clone(&forbidden),
        };
        let state = ApiState {
            catalog: lake
                .catalog
                .clone()
                .describe_failures_with(api::describe_failure),
            auth,
            authorizer: Arc::new(authorizer),
            actions,
            options: Arc::new(options),
        };
        Self {
            router: api::router(state),
            lake,
            checked,
            forbidden,
            _cache: cache,
        }
    }

    pub(crate) async fn set_up(&self) {
        let key = json!({"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY});
        self.post("/setup_lakefs", &json!({"username": "admin", "key": key}))
            .await
            .expect(200);
    }

    /// The permissions that were checked since the last call, in order.
    pub(crate) fn take_checked(&self) -> Vec<Permission> {
        std::mem::take(&mut self.checked.lock().unwrap())
    }

    /// Takes the permission for an action from all callers.
    pub(crate) fn forbid(&self, action: &'static str) {
        *self.forbidden.lock().unwrap() = Some(action);
    }

    /// Sends a request below `/api/v1`.
    pub(crate) async fn request(&self, method: Method, path: &str, parts: RequestParts) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("host", "127.0.0.1:8000");
        if !parts.anonymous {
            let key = STANDARD.encode(format!("{ACCESS_KEY}:{SECRET_KEY}"));
            request = request.header("authorization", format!("Basic {key}"));
        }
        for (name, value) in parts.headers {
            request = request.header(name, value);
        }
        self.send(request.body(Body::from(parts.body)).unwrap())
            .await
    }

    /// Returns the response to a request with its unread body.
    pub(crate) async fn respond(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Sends a request unchanged.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        self.send_from("127.0.0.1:5000", request).await
    }

    /// Sends a request unchanged from an address.
    pub(crate) async fn send_from(&self, peer: &str, mut request: Request<Body>) -> Answer {
        request.extensions_mut().insert(Peer(peer.parse().unwrap()));
        let (parts, body) = self.respond(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path, RequestParts::default())
            .await
    }

    pub(crate) async fn get_with(&self, path: &str, name: &'static str, value: &str) -> Answer {
        let headers = vec![(name, value.to_owned())];
        self.request(
            Method::GET,
            path,
            RequestParts {
                headers,
                ..RequestParts::default()
            },
        )
        .await
    }

    pub(crate) async fn get_anonymous(&self, path: &str) -> Answer {
        self.request(
            Method::GET,
            path,
            RequestParts {
                anonymous: true,
                ..RequestParts::default()
            },
        )
        .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.request(Method::DELETE, path, RequestParts::default())
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let headers = vec![("content-type", "application/json".to_owned())];
        self.request(
            Method::POST,
            path,
            RequestParts {
                headers,
                body: body.to_string().into_bytes(),
                anonymous: false,
            },
        )
        .await
    }

    /// Uploads bytes as the whole body, not as a form.
    pub(crate) async fn put_object(
        &self,
        repository: &str,
        branch: &str,
        path: &str,
        bytes: &str,
    ) -> Answer {
        let path = format!("/repositories/{repository}/branches/{branch}/objects?path={path}");
        let headers = vec![("content-type", "application/octet-stream".to_owned())];
        self.request(
            Method::POST,
            &path,
            RequestParts {
                headers,
                body: bytes.as_bytes().to_vec(),
                anonymous: false,
            },
        )
        .await
    }

    /// Commits and returns the commit id. Advances the clock, so that commits are ordered by time.
    pub(crate) async fn commit(&self, repository: &str, branch: &str, message: &str) -> String {
        self.lake.clock.advance(std::time::Duration::from_secs(1));
        let path = format!("/repositories/{repository}/branches/{branch}/commits");
        let made = self
            .post(&path, &json!({"message": message}))
            .await
            .expect(StatusCode::CREATED.as_u16());
        made.json()["id"].as_str().unwrap().to_owned()
    }

    /// Creates a repository in the in-memory block store.
    pub(crate) async fn repository(&self, name: &str) {
        let body = json!({"name": name, "storage_namespace": format!("mem://{name}")});
        self.post("/repositories", &body).await.expect(201);
    }
}
