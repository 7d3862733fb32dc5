//! One port for REST and S3: accepts, dispatches, and stops without cutting a request.
//!
//! ```text
//! accept.rs        the loop; gives each connection a place, or the one answer that is left
//!   descriptors.rs as many open files as the system allows
//!   registry.rs    who is let in, who makes room, the sweep of deadlines
//! connection.rs    HTTP/1 and HTTP/2 with their bounds
//!   track.rs       what a connection's deadlines are judged by
//!   io.rs          its socket;  bodies.rs its requests' and answers' bodies;  patience.rs
//! reserved.rs      one short answer for connections beyond the limit
//! ```

mod accept;
mod bodies;
mod connection;
mod descriptors;
mod io;
mod patience;
mod registry;
mod reserved;
mod track;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base::{IdGenerator, SystemClock, SystemIds};
use graveler::nesting;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::first_start::{self, FirstStart};
use crate::local_only::{self, OwnNames};
use crate::parent::Parent;
use crate::wiring::{self, Layers};
use crate::{jobs, leftover, telemetry, welcome};

/// Requests under way get this long after a signal to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs the server until it is told to stop: by SIGINT or SIGTERM, or as `parent` says.
///
/// # Errors
/// What keeps it from starting, with what to do.
pub fn run(config: Config, parent: &Parent) -> anyhow::Result<()> {
    telemetry::init_logging(&config.logging)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let ending = runtime.block_on(async {
        let server = Server::start(config).await?;
        let mut signals = StopSignals::listen()?;
        let _ready_file = parent.tell_ready(server.address())?;
        tokio::select! {
            () = signals.next() => {}
            () = parent.gone() => {}
        }
        tracing::info!("stopping: requests under way are finished");
        tokio::select! {
            () = server.stop() => anyhow::Ok(Ending::Drained),
            () = signals.next() => {
                tracing::warn!("stopping at once, as told again: requests under way are cut off");
                Ok(Ending::CutOff)
            }
        }
    })?;
    if let Ending::CutOff = ending {
        // Dropping the runtime would wait for work on blocking threads.
        runtime.shutdown_background();
    }
    Ok(())
}

/// How a server came to its end.
enum Ending {
    Drained,
    CutOff,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    layers: Layers,
    stop: CancellationToken,
    accepting: tokio::task::JoinHandle<()>,
    jobs: JoinSet<()>,
}

impl Server {
    /// Opens the stores, binds the address and begins to answer.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub async fn start(mut config: Config) -> anyhow::Result<Self> {
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let metrics = telemetry::init_metrics()?;
        let random_token = first_start::ensure_setup_token(&mut config);
        let layers = wiring::build(&config).await?;
        let first_start = FirstStart::set_up(&layers.auth, &config, random_token).await?;
        let installation_id = layers
            .auth
            .installation_id()
            .await
            .context("failed to read the installation's id")?;

        let listener = TcpListener::bind(&config.listen_address)
            .await
            .with_context(|| {
                format!(
                    "listen_address: can't listen on {}: choose another address (--listen HOST:PORT), or stop what listens there",
                    config.listen_address
                )
            })?;
        let address = listener
            .local_addr()
            .context("failed to read the bound address")?;
        let stop = CancellationToken::new();
        let app = router(&layers, metrics.clone(), &installation_id);
        let app = match OwnNames::of(&config) {
            Some(names) => app.layer(middleware::from_fn_with_state(names, local_only::guard)),
            None => app,
        };
        // Said before anything is answered, so that who waits for an answer finds it.
        first_start.announce(address);
        let mut limits = config.http.clone();
        limits.max_connections = descriptors::affordable_connections(limits.max_connections);
        let accepting = tokio::spawn(accept::accept(
            listener,
            app,
            limits,
            stop.clone(),
            DRAIN_TIMEOUT,
        ));
        let jobs = jobs::start(&layers, config.usage_flush_interval, metrics, &stop);
        Ok(Self {
            address,
            layers,
            stop,
            accepting,
            jobs,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, finishes requests and accepted post-event work, stores what is kept in memory.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Err(e) = self.accepting.await {
            tracing::warn!(error = %e, "the accept loop ended badly");
        }
        // Changes first: when one has landed, hooks are still to be told of it.
        if tokio::time::timeout(DRAIN_TIMEOUT, self.layers.catalog.drain())
            .await
            .is_err()
        {
            tracing::warn!("some commits or merges were still under way and are given up");
        }
        self.layers.catalog.hand_over_tasks().await;
        if tokio::time::timeout(DRAIN_TIMEOUT, self.layers.actions.drain())
            .await
            .is_err()
        {
            tracing::warn!("some post-event hooks were still running and are given up");
        }
        while self.jobs.join_next().await.is_some() {}
        if let Err(e) = self.layers.auth.flush_usage().await {
            tracing::warn!(error = %base::chain(&e), "failed to store the usage count");
        }
    }
}

/// What the outermost layer needs.
#[derive(Debug, Clone)]
struct Front {
    layers: Layers,
    ids: Arc<dyn IdGenerator>,
}

fn router(layers: &Layers, metrics: PrometheusHandle, installation_id: &str) -> Router {
    let front = Front {
        layers: layers.clone(),
        ids: Arc::new(SystemIds::new(Arc::new(SystemClock))),
    };
    let alive = format!("alive! {installation_id}");
    Router::new()
        .route("/_health", get(move || std::future::ready(alive.clone())))
        .route(
            "/metrics",
            get(move || std::future::ready(metrics.render())),
        )
        .route("/", get(welcome::page))
        .route("/docs/{name}", get(welcome::doc))
        .merge(layers.api.clone())
        .layer(middleware::from_fn_with_state(front, dispatch))
}

/// Hands S3 requests to the gateway and all others to the routes.
async fn dispatch(State(front): State<Front>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let is_s3 = front.layers.gateway.claims(&parts);
    let path = parts.uri.path();
    let surface = if is_s3 {
        "s3"
    } else if path.starts_with("/api/") {
        "api"
    } else {
        "other"
    };
    if surface != "other" {
        front.layers.auth.count_request();
    }
    let may_leave_body_unread =
        parts.version == http::Version::HTTP_11 && parts.headers.contains_key(http::header::EXPECT);
    let request = Request::from_parts(parts, body);
    let depth = front.layers.actions.depth_of(request.headers());
    let answered = leftover::with_body_taken_in(request, |r| answer(&front, r, next, surface));
    let mut response = nesting::run_at_depth(depth, answered).await;
    if may_leave_body_unread && response.status().is_client_error() {
        // Who waits for `100 Continue` is refused before it sends; the connection can't be used
        // again and is closed. Unless told, clients with a pool find out at their next request.
        response.headers_mut().insert(
            http::header::CONNECTION,
            http::HeaderValue::from_static("close"),
        );
    }
    response
}

async fn answer(front: &Front, request: Request, next: Next, surface: &'static str) -> Response {
    let id = front.ids.uuid();
    if surface == "s3" {
        let gateway = front.layers.gateway.clone();
        let handler = middleware::from_fn(move |request: Request, _next: Next| {
            let gateway = gateway.clone();
            async move { gateway.handle(request).await.into_response() }
        });
        let service = Router::<()>::new()
            .fallback(|| async { http::StatusCode::NOT_FOUND })
            .layer(handler)
            .layer(middleware::from_fn(move |request: Request, next: Next| {
                telemetry::observe(request, next, surface, id.clone())
            }));
        return match tower::ServiceExt::oneshot(service, request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
    }
    telemetry::observe(request, next, surface, id).await
}

/// What tells the server to stop. None that comes after the first is lost.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
