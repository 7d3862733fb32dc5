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
//!   memory.rs            memory of requests and responses
//! coding.rs              transfer codings of request bodies
//! routes.rs              all routes and the middleware around them
//! parameters.rs          limit of query parameters
//! reserved.rs            one short response for connections beyond the limit
//! ```

mod accept;
mod bodies;
mod coding;
mod connection;
mod connection_state;
mod descriptors;
mod memory;
mod parameters;
mod registry;
mod reserved;
mod routes;
mod socket;
#[cfg(test)]
mod unread_tests;
mod wait_budget;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::first_start::{self, FirstStart};
use crate::local_only::LocalNames;
use crate::parent::Parent;
use crate::wiring::{self, Layers};
use crate::{jobs, telemetry};

/// How long running requests may take after a stop signal.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Time limit for each of the last steps of a stop: handing over tasks, recording hooks that were cut off, ending jobs,
/// storing the usage count.
const RECORD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the process then waits for work on blocking threads, such as access to files.
const BLOCKING_TIMEOUT: Duration = Duration::from_secs(5);
/// Signals within this time after the first one count as the same signal: `timeout`, terminals and process managers may
/// signal both the process and its group.
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
    run_and_shut_down(runtime, async {
        // Listen before the server answers the first request, so that a signal never kills a server in the middle of a
        // request.
        let mut signals = StopSignals::listen()?;
        let server = tokio::select! {
            server = Server::start(config) => server?,
            () = signals.next() => {
                tracing::info!("stopped during the start");
                return Ok(Shutdown::CutOff);
            }
        };
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
    })
}

/// Runs the server and shuts the runtime down. Dropping the runtime would wait for blocking threads without limit.
fn run_and_shut_down(
    runtime: Runtime,
    server: impl Future<Output = anyhow::Result<Shutdown>>,
) -> anyhow::Result<()> {
    let ending = runtime.block_on(server);
    match ending {
        Ok(Shutdown::CutOff) => runtime.shutdown_background(),
        Ok(Shutdown::Drained) | Err(_) => runtime.shutdown_timeout(BLOCKING_TIMEOUT),
    }
    ending.map(drop)
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
    layers: Arc<Layers>,
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
        let layers = Arc::new(wiring::build(&config).await?);
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
        let names = LocalNames::of(&config);
        let app = routes::router(&layers, metrics.clone(), &installation_id, names);
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
        // Wait for changes first, because a change that succeeds still triggers hooks.
        if tokio::time::timeout(DRAIN_TIMEOUT, self.layers.catalog.drain())
            .await
            .is_err()
        {
            tracing::warn!("aborting commits or merges that did not finish in time");
        }
        within_record_timeout(
            self.layers.catalog.hand_over_tasks(),
            "some tasks were not handed over in time: other servers take them over later",
        )
        .await;
        if tokio::time::timeout(DRAIN_TIMEOUT, self.layers.actions.drain())
            .await
            .is_err()
        {
            tracing::warn!("ending post-event hooks that did not finish in time");
            self.layers.actions.cut_off();
            within_record_timeout(
                self.layers.actions.drain(),
                "some post-event hooks have no record of their run: too many events were waiting",
            )
            .await;
        }
        let end_jobs = async { while self.jobs.join_next().await.is_some() {} };
        within_record_timeout(
            end_jobs,
            "aborting background jobs that did not end in time",
        )
        .await;
        let flushed = within_record_timeout(
            self.layers.auth.flush_usage(),
            "failed to store the usage count in time",
        )
        .await;
        if let Some(Err(e)) = flushed {
            tracing::warn!(error = %base::error_chain(&e), "failed to store the usage count");
        }
    }
}

/// Waits for a last step of a stop, up to [`RECORD_TIMEOUT`]. Logs `warning` and returns `None` if it takes longer.
async fn within_record_timeout<T>(step: impl Future<Output = T>, warning: &str) -> Option<T> {
    let outcome = tokio::time::timeout(RECORD_TIMEOUT, step).await.ok();
    if outcome.is_none() {
        tracing::warn!("{warning}");
    }
    outcome
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
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use metrics_exporter_prometheus::PrometheusBuilder;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::{
        BLOCKING_TIMEOUT, RECORD_TIMEOUT, Runtime, SAME_STOP, Server, Shutdown, StopSignals,
        run_and_shut_down,
    };
    use crate::config::{Config, Overrides};

    fn config() -> Config {
        let yaml = "database: {type: mem}\nblockstore: {type: mem}\nlisten_address: 127.0.0.1:0\n\
             auth: {encrypt: {secret_key: a-secret-key-of-a-test-server}}\n";
        Config::from_yaml(yaml, &Overrides::default()).unwrap()
    }

    /// Sends each request on a connection of its own, and checks that the response starts with the status, has a request
    /// id and contains the text. Returns the metrics afterwards.
    fn metrics_after(config: Config, requests: &[(&str, u16, &str)]) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        // Runs all tasks on this thread, to which the recorder belongs.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        metrics::with_local_recorder(&recorder, || {
            runtime.block_on(async {
                let server = Server::start(config).await.unwrap();
                for (request, status, text) in requests {
                    let mut client = TcpStream::connect(server.address()).await.unwrap();
                    client.write_all(request.as_bytes()).await.unwrap();
                    let mut response = String::new();
                    client.read_to_string(&mut response).await.unwrap();
                    let start = format!("HTTP/1.1 {status}");
                    assert!(response.starts_with(&start), "{response}");
                    assert!(response.contains("\r\nx-request-id: "), "{response}");
                    assert!(response.contains(text), "{response}");
                }
            });
        });
        recorder.handle().render()
    }

    /// Checks that one request of the surface was counted with the status.
    #[track_caller]
    fn assert_counted(metrics: &str, surface: &str, status: u16) {
        let code = format!("code=\"{status}\"");
        let counted = metrics
            .lines()
            .filter(|line| line.starts_with("http_requests_total{"))
            .filter(|line| line.contains(surface) && line.contains(&code));
        assert_eq!(counted.count(), 1, "{surface} {status}: {metrics}");
    }

    /// Guards against a bug: these refusals bypassed the log and the metrics, and had no request id.
    #[test]
    fn refusals_of_transfer_codings_are_counted() {
        let with = |headers: &str| {
            format!(
                "PUT /lake/main/a HTTP/1.1\r\nhost: localhost\r\n{headers}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
            )
        };
        let metrics = metrics_after(
            config(),
            &[
                (&with(""), 501, "\"message\":\"the body has"),
                (
                    &with("authorization: AWS4-HMAC-SHA256 \r\n"),
                    501,
                    "<Code>NotImplemented</Code>",
                ),
            ],
        );
        assert_counted(&metrics, "other", 501);
        assert_counted(&metrics, "s3", 501);
    }

    /// Guards against a bug: refusals of other hosts and of long queries bypassed the log and the metrics, and had no request
    /// id. S3 clients got JSON.
    #[test]
    fn refusals_of_hosts_and_queries_are_counted() {
        let quickstart = Config {
            quickstart: true,
            ..config()
        };
        let get = |target: &str, headers: &str| {
            format!("GET {target} HTTP/1.1\r\n{headers}connection: close\r\n\r\n")
        };
        let signed = "host: 127.example.com\r\nauthorization: AWS4-HMAC-SHA256 \r\n";
        let signed_here = "host: localhost\r\nauthorization: AWS4-HMAC-SHA256 \r\n";
        let long = format!("/?{}", "a&".repeat(2000));
        let metrics = metrics_after(
            quickstart,
            &[
                (
                    &get("/", "host: other.example\r\n"),
                    403,
                    "\"message\":\"a quickstart",
                ),
                (&get("/lake", signed), 403, "<Code>AccessDenied</Code>"),
                (
                    &get(&long, "host: localhost\r\n"),
                    414,
                    "\"message\":\"the query has more",
                ),
                (&get(&long, signed_here), 414, "<Code>InvalidURI</Code>"),
            ],
        );
        for (surface, status) in [("other", 403), ("s3", 403), ("other", 414), ("s3", 414)] {
            assert_counted(&metrics, surface, status);
        }
    }

    /// Guards against a bug: a clean stop waited without limit for work on blocking threads.
    #[test]
    fn clean_stop_does_not_wait_long_for_blocking_work() {
        let started = Instant::now();
        let (_never, blocked) = mpsc::channel::<()>();
        let server = async {
            tokio::task::spawn_blocking(move || blocked.recv_timeout(12 * BLOCKING_TIMEOUT));
            Ok(Shutdown::Drained)
        };
        run_and_shut_down(Runtime::new().unwrap(), server).unwrap();
        assert!(started.elapsed() < 2 * BLOCKING_TIMEOUT);
    }

    /// Guards against a bug: one hanging job kept the server from stopping.
    #[tokio::test]
    async fn stop_does_not_wait_long_for_jobs() {
        let mut server = Server::start(config()).await.unwrap();
        server.jobs.spawn(std::future::pending());
        let started = Instant::now();
        server.stop().await;
        assert!(started.elapsed() >= RECORD_TIMEOUT);
        assert!(started.elapsed() < 2 * RECORD_TIMEOUT);
    }

    /// Guards against a bug: `timeout` signals a process and then its group, which counted as two
    /// signals and aborted running requests.
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
