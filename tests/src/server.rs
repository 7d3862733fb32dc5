//! One `weir` process with its own data folder, port and database. It is killed on drop.
//!
//! At most [`MAX_SERVERS`] servers run at the same time, plus those that [`TestServer::start_second_server`] starts, however many
//! tests cargo starts.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use client::{Client, Credentials};
use tempfile::TempDir;

use crate::environment::{conformance, python, required};
use crate::repo::Repo;

/// The administrator's name and keys on test servers.
pub const ADMIN: (&str, &str, &str) = (
    "admin",
    "AKIAJSYSTEMTESTS000Q",
    "system-tests/secret+key000000000000000000",
);

/// Maximum number of concurrent servers, without those that [`TestServer::start_second_server`] starts.
const MAX_SERVERS: usize = 2;
/// Maximum startup time. The machine may be building at the same time.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// Ports below the ephemeral range, so that no client gets the port while a server restarts.
const PORTS: std::ops::Range<u16> = 21_000..31_000;
/// Number of log lines shown when a test fails.
const LOG_LINES_SHOWN: usize = 60;

/// The metadata store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// Whether the server has an administrator when it has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// [`ADMIN`] is created at the first start.
    Done,
    /// The test creates the administrator.
    Open,
}

/// A running server.
#[derive(Debug)]
pub struct TestServer {
    process: Option<Child>,
    dir: Arc<TempDir>,
    port: u16,
    settings: Vec<(&'static str, String)>,
    /// Command line flags in addition to address and folder.
    flags: &'static [&'static str],
    /// The administrator's access key and secret.
    keys: (&'static str, &'static str),
    /// `None` for a server started by [`TestServer::start_second_server`], which uses the slot of the first one.
    _slot: Option<Slot>,
}

impl TestServer {
    /// Starts a server that is set up, and waits until it responds.
    ///
    /// # Panics
    /// If it does not start, with its log.
    #[must_use]
    pub fn start(backend: Backend) -> Self {
        Self::start_with(backend, Setup::Done)
    }

    /// Like [`TestServer::start`], with or without an administrator.
    ///
    /// # Panics
    /// If it does not start, with its log.
    #[must_use]
    pub fn start_with(backend: Backend, setup: Setup) -> Self {
        // The settings of the lakeFS server that was recorded for `compat`.
        let mut settings = vec![
            ("LAKEFSACTION_VAR", "this_is_actions_var".to_owned()),
            ("WEIR_BLOCKSTORE_LOCAL_IMPORT_ENABLED", "true".to_owned()),
            // For the page about Airflow.
            ("LAKEFSACTION_AIRFLOW_PASSWORD", "a-secret".to_owned()),
        ];
        if setup == Setup::Done {
            settings.push(("WEIR_INSTALLATION_USER_NAME", ADMIN.0.to_owned()));
            settings.push(("WEIR_INSTALLATION_ACCESS_KEY_ID", ADMIN.1.to_owned()));
            settings.push(("WEIR_INSTALLATION_SECRET_ACCESS_KEY", ADMIN.2.to_owned()));
        }
        if backend == Backend::Postgres {
            settings.push(("WEIR_DATABASE_TYPE", "postgres".to_owned()));
            settings.push(("WEIR_DATABASE_POSTGRES_CONNECTION_STRING", own_table()));
        }
        Self::start_prepared((ADMIN.1, ADMIN.2), |_| settings)
    }

    /// Like [`TestServer::start`] on SQLite, with additional settings (`WEIR_*` variables).
    ///
    /// # Panics
    /// If it does not start, with its log.
    #[must_use]
    pub fn start_with_extra_settings(extra: &[(&'static str, &str)]) -> Self {
        let mut settings = vec![
            ("WEIR_INSTALLATION_USER_NAME", ADMIN.0.to_owned()),
            ("WEIR_INSTALLATION_ACCESS_KEY_ID", ADMIN.1.to_owned()),
            ("WEIR_INSTALLATION_SECRET_ACCESS_KEY", ADMIN.2.to_owned()),
        ];
        settings.extend(extra.iter().map(|(k, v)| (*k, (*v).to_owned())));
        Self::start_prepared((ADMIN.1, ADMIN.2), |_| settings)
    }

    /// Starts a server on SQLite with only these settings.
    ///
    /// # Panics
    /// If it does not start, with its log.
    #[must_use]
    pub fn start_with_settings(settings: &[(&'static str, &str)]) -> Self {
        let owned = settings
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        Self::start_prepared((ADMIN.1, ADMIN.2), |_| owned.collect())
    }

    /// Starts a quickstart. Its keys are in its folder; [`TestServer::client`] does not know them.
    ///
    /// # Panics
    /// If it does not start, with its log.
    #[must_use]
    pub fn start_quickstart() -> Self {
        let mut server = Self::prepare((ADMIN.1, ADMIN.2), |_| Vec::new());
        server.flags = &["--quickstart"];
        server.spawn();
        server
    }

    /// Returns `127.0.0.1` and the port.
    #[must_use]
    pub fn address(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.port)
    }

    /// Starts a server on a folder that `prepare` fills, with the settings that `prepare` returns.
    /// The administrator with these keys must come from the folder or the settings.
    pub(crate) fn start_prepared(
        keys: (&'static str, &'static str),
        prepare: impl FnOnce(&Path) -> Vec<(&'static str, String)>,
    ) -> Self {
        let mut server = Self::prepare(keys, prepare);
        server.spawn();
        server
    }

    fn prepare(
        keys: (&'static str, &'static str),
        prepare: impl FnOnce(&Path) -> Vec<(&'static str, String)>,
    ) -> Self {
        let slot = Slot::wait();
        let dir = tempfile::Builder::new()
            .prefix("weir-test-")
            .tempdir()
            .expect("failed to create a temporary folder");
        let settings = prepare(dir.path());
        Self {
            process: None,
            dir: Arc::new(dir),
            port: free_port(),
            settings,
            flags: &[],
            keys,
            _slot: Some(slot),
        }
    }

    /// Starts another server of the same installation: same PostgreSQL database, same folder.
    ///
    /// # Panics
    /// If it does not start, with its log.
    #[must_use]
    pub fn start_second_server(&self) -> Self {
        let mut server = Self {
            process: None,
            dir: Arc::clone(&self.dir),
            port: free_port(),
            settings: self.settings.clone(),
            flags: self.flags,
            keys: self.keys,
            _slot: None,
        };
        server.spawn();
        server
    }

    /// Restarts the process with the same data and port.
    ///
    /// # Panics
    /// If it does not start, with its log.
    pub fn restart(&mut self) {
        self.stop();
        self.spawn();
    }

    /// Kills the process with SIGKILL, so that it flushes nothing.
    ///
    /// # Panics
    /// If the signal cannot be sent.
    pub fn kill9(&mut self) {
        let mut process = self.process.take().expect("the server is not running");
        process.kill().expect("failed to kill the server");
        process.wait().expect("failed to wait for the server");
    }

    /// Stops the process with SIGTERM and waits until it has finished.
    ///
    /// # Panics
    /// If it does not stop in time, or fails.
    pub fn stop(&mut self) {
        if self.process.is_some() {
            self.terminate();
            self.wait();
        }
    }

    /// Sends SIGTERM without waiting.
    ///
    /// # Panics
    /// If the server is not running.
    pub fn terminate(&self) {
        terminate(self.pid());
    }

    /// Waits until a server that was told to stop has exited.
    ///
    /// # Panics
    /// If it does not exit in time, or fails.
    pub fn wait(&mut self) {
        let mut process = self.process.take().expect("the server is not running");
        let deadline = Instant::now() + STOP_TIMEOUT;
        let status = loop {
            match process.try_wait().expect("failed to wait for the server") {
                Some(status) => break status,
                None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
                None => {
                    process.kill().expect("failed to kill the server");
                    panic!("the server did not stop within {STOP_TIMEOUT:?}");
                }
            }
        };
        assert!(status.success(), "the server failed: {status}");
    }

    /// Reports whether a process accepts connections on the server's port.
    #[must_use]
    pub fn accepts(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    /// Starts a server with settings that it must reject. Returns its error message.
    ///
    /// # Panics
    /// If it starts.
    #[must_use]
    pub fn refuse_to_start(settings: &[(&str, &str)]) -> String {
        let dir = tempfile::tempdir().expect("failed to create a temporary folder");
        let output = weir(dir.path(), free_port())
            .envs(settings.iter().copied())
            .output()
            .expect("failed to start the server");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Starts a server, and sends SIGTERM when `is_starting` returns. Returns how it exited, and its log.
    ///
    /// # Panics
    /// If the process cannot be started or signalled.
    #[must_use]
    pub fn stop_during_start(
        settings: &[(&str, &str)],
        is_starting: impl FnOnce(),
    ) -> (std::process::ExitStatus, String) {
        let dir = tempfile::tempdir().expect("failed to create a temporary folder");
        let process = weir(dir.path(), free_port())
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("failed to start the server");
        is_starting();
        terminate(process.id());
        let output = process
            .wait_with_output()
            .expect("failed to wait for the server");
        let log = [output.stdout, output.stderr].concat();
        (output.status, String::from_utf8_lossy(&log).into_owned())
    }

    /// Returns the process id.
    ///
    /// # Panics
    /// If the server is not running.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process
            .as_ref()
            .expect("the server is not running")
            .id()
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        data_in(self.dir.path())
    }

    /// Returns the log so far.
    ///
    /// # Panics
    /// If the log cannot be read.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).expect("failed to read the server's log")
    }

    /// Returns the administrator's access key and secret.
    #[must_use]
    pub fn keys(&self) -> (&'static str, &'static str) {
        self.keys
    }

    /// Returns a client with the administrator's keys.
    ///
    /// # Panics
    /// Never: the address is valid.
    #[must_use]
    pub fn client(&self) -> Client {
        let credentials = Credentials::Key {
            access_key_id: self.keys.0.to_owned(),
            secret_access_key: self.keys.1.to_owned(),
        };
        Client::new(&self.url(), credentials).expect("the server's address is valid")
    }

    /// Creates a repository with the branch `main`.
    ///
    /// # Panics
    /// If it cannot be created.
    pub async fn repo(&self, name: &str) -> Repo {
        Repo::create(self.client(), name).await
    }

    /// Runs a client script below `tests/`. The script gets the server in `WEIR_URL`, `ACCESS_KEY`
    /// and `SECRET_KEY`.
    ///
    /// # Panics
    /// If it fails, with its output.
    pub fn python(&self, script: &str, arguments: &[&str]) -> String {
        let url = self.url();
        python(
            script,
            arguments,
            &[
                ("WEIR_URL", &url),
                ("ACCESS_KEY", self.keys.0),
                ("SECRET_KEY", self.keys.1),
            ],
        )
    }

    /// Compares this server with lakeFS's recorded responses in these areas (comma-separated).
    ///
    /// # Panics
    /// On any unexplained difference, with a list of the differences.
    pub fn conformance(&self, areas: &str) {
        conformance(&self.url(), areas, self.keys);
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join(format!("server-{}.log", self.port))
    }

    fn spawn(&mut self) {
        // Installs the TLS provider, so that clients work regardless of the order of tests.
        drop(client::http_builder());
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("failed to open the log");
        let mut command = weir(self.dir.path(), self.port);
        command
            .args(self.flags)
            .envs(self.settings.iter().map(|(k, v)| (k, v)))
            .stdout(log.try_clone().expect("failed to clone the log's handle"))
            .stderr(log);
        let process = command.spawn();
        self.process =
            Some(process.unwrap_or_else(|e| panic!("failed to start {}: {e}", binary().display())));
        self.wait_until_healthy();
    }

    fn wait_until_healthy(&mut self) {
        let deadline = Instant::now() + START_TIMEOUT;
        while !is_healthy(self.port) {
            let ended = self
                .process
                .as_mut()
                .and_then(|p| p.try_wait().expect("failed to wait for the server"));
            if let Some(status) = ended {
                self.process = None;
                panic!("the server exited during startup: {status}");
            }
            assert!(
                Instant::now() < deadline,
                "the server did not respond within {START_TIMEOUT:?}"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Fails only if the process is already gone.
            let _gone = process.kill();
            let _status = process.wait();
        }
        if std::thread::panicking() {
            show(&self.log_path());
        } else {
            crate::sstables::save(self.dir.path());
        }
    }
}

#[expect(clippy::print_stderr, reason = "output of a failed test")]
fn show(log: &Path) {
    let text = std::fs::read_to_string(log).unwrap_or_else(|e| format!("(no log: {e})"));
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
    let mut out = format!("---- the last {} lines of the server's log\n", shown.len());
    for line in shown {
        writeln!(out, "{line}").expect("writing to a string");
    }
    eprintln!("{out}----");
}

/// The right to run one of the [`MAX_SERVERS`] concurrent servers.
#[derive(Debug)]
struct Slot;

static RUNNING: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

impl Slot {
    fn wait() -> Self {
        // A panic while the lock is held leaves the count correct.
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running = FREED
            .wait_while(running, |n| *n >= MAX_SERVERS)
            .unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        Self
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREED.notify_one();
    }
}

/// Returns the command `weir run` on a port, with all its data below `dir`. Clears the environment,
/// so that it inherits neither settings nor a home folder.
fn weir(dir: &Path, port: u16) -> Command {
    let mut command = Command::new(binary());
    command
        .args(["run", "--listen", &format!("127.0.0.1:{port}"), "--data"])
        .arg(data_in(dir))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", dir)
        .env("RUST_BACKTRACE", "1")
        .current_dir(dir)
        .stdin(Stdio::null());
    command
}

fn data_in(dir: &Path) -> PathBuf {
    dir.join("data")
}

/// Returns the path of the server's program: from `cargo xtask test`, otherwise next to this test's
/// program.
fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("WEIR_TEST_BIN") {
        return named.into();
    }
    let test = std::env::current_exe().expect("failed to find the test's program");
    let beside = test
        .ancestors()
        .nth(2)
        .expect("the test's program has no profile folder")
        .join("weir");
    assert!(
        beside.is_file(),
        "{} does not exist: run `cargo xtask test`, which builds it",
        beside.display()
    );
    beside
}

fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes start at different ports.
    let start = u16::try_from(std::process::id() % 1000).expect("below 1000") * 10;
    for _ in PORTS {
        let step = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + step % (PORTS.end - PORTS.start);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port from {} to {} is free", PORTS.start, PORTS.end);
}

/// Returns the connection string of the tests' PostgreSQL with a table for this server only.
fn own_table() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let given = required("WEIR_TEST_POSTGRES");
    let join = if given.contains('?') { '&' } else { '?' };
    format!(
        "{given}{join}lakefskv_table=kv_{}_{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

fn is_healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(START_TIMEOUT))?;
        stream
            .write_all(b"GET /_health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// Sends SIGTERM to a process.
fn terminate(process: u32) {
    let sent = Command::new("kill")
        .arg("-TERM")
        .arg(process.to_string())
        .status();
    assert!(
        sent.expect("failed to run kill").success(),
        "failed to stop the server"
    );
}
