//! Serves REST and S3 on one port: accepts connections, dispatches requests, and shuts down
//! gracefully.
//!
//! ```text
//! accept.rs              the accept loop
//!   descriptors.rs       limit of open files
//!   registry.rs          admission and eviction of connections, sweep of deadlines
//! connection.rs          HTTP/1 and HTTP/2 with their limits
//!   connection_state.rs  state and deadlines of a connection
//!   socket.rs            the socket of a connection
//!   bodies.rs            request and response bodies; wait_budget.rs: limit for slow clients
//! reserved.rs            one short response for connections beyond the limit
//! ```

mod accept;
mod bodies;
mod connection;
mod connection_state;
mod descriptors;
mod registry;
mod reserved;
mod socket;
mod wait_budget;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base::{SystemClock, SystemIds};
use gateway::Gateway;
use graveler::nesting;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower::util::MapRequestLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};

use crate::config::Config;
use crate::first_start::{self, FirstStart};
use crate::local_only::{self, LocalNames};
use crate::parent::Parent;
use crate::telemetry::{Interface, REQUEST_ID, RequestIds};
use crate::wiring::{self, Layers};
use crate::{docs, elsewhere, jobs, telemetry, unread_body, welcome};

/// How long running requests may take after a stop signal.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the hooks that are cut off afterwards may take to store their records.
const RECORD_TIMEOUT: Duration = Duration::from_secs(5);
/// Signals in this time after the first one belong to it: `timeout`, terminals and process managers may signal both
/// the process and its group.
const SAME_STOP: Duration = Duration::from_secs(1);

/// Runs the server until it is stopped by SIGINT, SIGTERM or `parent`.
///
/// # Errors
/// The reason why the server cannot start, with a remedy.
pub fn run(config: Config, parent: &Parent) -> anyhow::Result<()> {
    telemetry::init_logging(&config.logging)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let ending = runtime.block_on(async {
        let server = Server::start(config).await?;
        let mut signals = StopSignals::listen()?;
        let _ready_file = parent.write_ready_file(server.address())?;
        tokio::select! {
            () = signals.next() => {}
            () = parent.wait_until_gone() => {}
        }
        tracing::info!("stopping: waiting for running requests");
        tokio::select! {
            () = server.stop() => anyhow::Ok(Shutdown::Drained),
            () = signals.second() => {
                tracing::warn!("stopping immediately after a second signal: aborting running requests");
                Ok(Shutdown::CutOff)
            }
        }
    })?;
    if let Shutdown::CutOff = ending {
        // Dropping the runtime would wait for tasks on blocking threads.
        runtime.shutdown_background();
    }
    Ok(())
}

/// How the server stopped.
enum Shutdown {
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
    /// Opens the stores, binds the address and starts to serve.
    ///
    /// # Errors
    /// The reason why the server cannot start.
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
                    "listen_address: failed to listen on {}: choose another address (--listen HOST:PORT), or stop the program that uses it",
                    config.listen_address
                )
            })?;
        let address = listener
            .local_addr()
            .context("failed to read the bound address")?;
        let stop = CancellationToken::new();
        let app = router(&layers, metrics.clone(), &installation_id);
        let app = match LocalNames::of(&config) {
            Some(names) => app.layer(from_fn_with_state(names, local_only::guard)),
            None => app,
        };
        // Logged before the first response, so that the log is complete when a client gets a
        // response.
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
        let jobs = jobs::start(&layers, config.usage_flush_interval, &metrics, &stop);
        Ok(Self {
            address,
            layers,
            stop,
            accepting,
            jobs,
        })
    }

    /// Returns the listening address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, finishes running requests and accepted post-event hooks, and stores
    /// in-memory state.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Err(e) = self.accepting.await {
            tracing::warn!(error = %e, "the accept loop failed");
        }
        // Changes first, because a landed change still triggers hooks.
        if tokio::time::timeout(DRAIN_TIMEOUT, self.layers.catalog.drain())
            .await
            .is_err()
        {
            tracing::warn!("aborting commits or merges that did not finish in time");
        }
        self.layers.catalog.hand_over_tasks().await;
        if tokio::time::timeout(DRAIN_TIMEOUT, self.layers.actions.drain())
            .await
            .is_err()
        {
            tracing::warn!("ending post-event hooks that did not finish in time");
            self.layers.actions.cut_off();
            if tokio::time::timeout(RECORD_TIMEOUT, self.layers.actions.drain())
                .await
                .is_err()
            {
                tracing::warn!(
                    "some post-event hooks have no record of their run: too many events were waiting"
                );
            }
        }
        while self.jobs.join_next().await.is_some() {}
        if let Err(e) = self.layers.auth.flush_usage().await {
            tracing::warn!(error = %base::error_chain(&e), "failed to store the usage count");
        }
    }
}

/// All routes and the middleware around them. Built once: every connection clones it.
fn router(layers: &Layers, metrics: PrometheusHandle, installation_id: &str) -> Router {
    let ids = RequestIds(Arc::new(SystemIds::new(Arc::new(SystemClock))));
    let alive = format!("alive! {installation_id}");
    let routes = Router::new()
        .route("/_health", get(move || std::future::ready(alive.clone())))
        .route(
            "/metrics",
            get(move || std::future::ready(metrics.render())),
        )
        .route("/", get(welcome::page));
    docs::routes(routes)
        .merge(layers.api.clone())
        .fallback(elsewhere::not_found)
        .method_not_allowed_fallback(elsewhere::wrong_method)
        .layer(
            ServiceBuilder::new()
                .layer(from_fn_with_state(layers.clone(), classify))
                .layer(from_fn(unread_body::drain_unread_body))
                .layer(MapRequestLayer::new(telemetry::remove_unfit_request_id))
                .layer(SetRequestIdLayer::new(REQUEST_ID, ids))
                .layer(PropagateRequestIdLayer::new(REQUEST_ID))
                .layer(from_fn(telemetry::observe))
                .layer(CatchPanicLayer::custom(telemetry::respond_to_panic))
                .layer(from_fn_with_state(layers.gateway.clone(), route_s3)),
        )
}

/// Middleware: determines the interface and the nesting depth of a request, and counts it.
async fn classify(State(layers): State<Layers>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let interface = if layers.gateway.is_s3_request(&parts) {
        Interface::S3
    } else if parts.uri.path().starts_with("/api/") {
        Interface::Rest
    } else {
        Interface::Other
    };
    if interface != Interface::Other {
        layers.auth.count_request();
    }
    parts.extensions.insert(interface);
    let depth = layers.actions.depth_of(&parts.headers);
    let request = Request::from_parts(parts, body);
    nesting::run_at_depth(depth, next.run(request)).await
}

/// Middleware: passes S3 requests to the gateway and all others to the routes.
async fn route_s3(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    match request.extensions().get() {
        Some(Interface::S3) => gateway.handle(request).await.into_response(),
        _ => next.run(request).await,
    }
}

/// Signals that stop the server.
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

    /// Waits for a signal that comes later than [`SAME_STOP`] after this call.
    async fn second(&mut self) {
        let first = tokio::time::Instant::now();
        loop {
            self.next().await;
            if first.elapsed() >= SAME_STOP {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{SAME_STOP, StopSignals};

    /// `timeout` signals a process and then its group, which counted as a second signal and aborted
    /// running requests.
    #[tokio::test]
    async fn signals_that_come_together_are_one() {
        let mut signals = StopSignals::listen().unwrap();
        let raise = || {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM)
                .unwrap();
        };
        raise();
        signals.next().await;
        let first = Instant::now();
        std::thread::spawn(move || {
            for pause in [20, 1100] {
                std::thread::sleep(Duration::from_millis(pause));
                raise();
            }
        });
        signals.second().await;
        assert!(first.elapsed() >= SAME_STOP, "{:?}", first.elapsed());
    }
}
