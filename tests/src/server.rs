//! One `weir` process: own data folder, own port, own database; stopped by its process id when dropped.
//!
//! At most [`AT_ONCE`] run at a time, however many tests cargo starts.

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

/// The administrator's name and keys on a server of a test.
pub const ADMIN: (&str, &str, &str) = (
    "admin",
    "AKIAJSYSTEMTESTS000Q",
    "system-tests/secret+key000000000000000000",
);

/// Servers that run at once.
const AT_ONCE: usize = 2;
/// How long a server may take until it answers; a loaded machine builds beside it.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// Ports below those that the system hands to clients, so that none of those takes one while a server restarts.
const PORTS: std::ops::Range<u16> = 21_000..31_000;
/// Lines of the server's log shown when a test fails.
const LOG_LINES_SHOWN: usize = 60;

/// Where metadata is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// Whether there is an administrator when the server has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// [`ADMIN`] is made at the first start.
    Done,
    /// Left to the test.
    Open,
}

/// A running server.
#[derive(Debug)]
pub struct TestServer {
    process: Option<Child>,
    dir: Arc<TempDir>,
    port: u16,
    settings: Vec<(&'static str, String)>,
    /// What the command line has beside address and folder.
    flags: &'static [&'static str],
    /// The administrator's key and secret.
    keys: (&'static str, &'static str),
    /// None of a server beside another one, which has the place of both.
    _place: Option<Place>,
}

impl TestServer {
    /// Starts a server that is set up, and waits until it answers.
    ///
    /// # Panics
    /// If it does not start, with its log.
    #[must_use]
    pub fn start(backend: Backend) -> Self {
        Self::start_with(backend, Setup::Done)
    }

    /// As [`TestServer::start`], set up or not.
    ///
    /// # Panics
    /// If it does not start, with its log.
    #[must_use]
    pub fn start_with(backend: Backend, setup: Setup) -> Self {
        // As the server had them that was recorded for `compat`.
        let mut settings = vec![
            ("LAKEFSACTION_VAR", "this_is_actions_var".to_owned()),
            ("WEIR_BLOCKSTORE_LOCAL_IMPORT_ENABLED", "true".to_owned()),
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

    /// As [`TestServer::start`] on SQLite, with further settings (`WEIR_*` variables).
    ///
    /// # Panics
    /// If it does not start, with its log.
    #[must_use]
    pub fn start_set(given: &[(&'static str, &str)]) -> Self {
        let mut settings = vec![
            ("WEIR_INSTALLATION_USER_NAME", ADMIN.0.to_owned()),
            ("WEIR_INSTALLATION_ACCESS_KEY_ID", ADMIN.1.to_owned()),
            ("WEIR_INSTALLATION_SECRET_ACCESS_KEY", ADMIN.2.to_owned()),
        ];
        settings.extend(given.iter().map(|(k, v)| (*k, (*v).to_owned())));
        Self::start_prepared((ADMIN.1, ADMIN.2), |_| settings)
    }

    /// Starts a server on SQLite with these settings and no others.
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

    /// Starts a quickstart, whose keys are in its folder. [`TestServer::client`] does not know them.
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

    /// `127.0.0.1` and the port.
    #[must_use]
    pub fn address(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.port)
    }

    /// Starts a server on what `prepare` puts into its folder, with the settings that it returns and an
    /// administrator of these keys, whom the folder or the settings bring.
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
        let place = Place::wait();
        let dir = tempfile::Builder::new()
            .prefix("weir-test-")
            .tempdir()
            .expect("the system's temporary folder can be written");
        let settings = prepare(dir.path());
        Self {
            process: None,
            dir: Arc::new(dir),
            port: free_port(),
            settings,
            flags: &[],
            keys,
            _place: Some(place),
        }
    }

    /// Starts another server of the same installation: the same PostgreSQL, the same folder.
    ///
    /// # Panics
    /// If it does not start, with its log.
    #[must_use]
    pub fn beside(&self) -> Self {
        let mut server = Self {
            process: None,
            dir: Arc::clone(&self.dir),
            port: free_port(),
            settings: self.settings.clone(),
            flags: self.flags,
            keys: self.keys,
            _place: None,
        };
        server.spawn();
        server
    }

    /// Starts the process again, on the same data and the same port.
    ///
    /// # Panics
    /// If it does not start, with its log.
    pub fn restart(&mut self) {
        self.stop();
        self.spawn();
    }

    /// Ends the process as a power cut would: nothing is flushed, nothing is said.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn kill9(&mut self) {
        let mut process = self.process.take().expect("the server runs");
        process.kill().expect("our own process can be killed");
        process.wait().expect("our own process can be waited for");
    }

    /// Ends the process with SIGTERM and waits until it has finished what it was doing.
    ///
    /// # Panics
    /// If it does not end in time, or ends badly.
    pub fn stop(&mut self) {
        if self.process.is_some() {
            self.terminate();
            self.wait();
        }
    }

    /// Sends SIGTERM and does not wait.
    ///
    /// # Panics
    /// If the server does not run.
    pub fn terminate(&self) {
        let told = Command::new("kill")
            .arg("-TERM")
            .arg(self.pid().to_string())
            .status();
        assert!(
            told.expect("there is a kill command").success(),
            "failed to stop the server"
        );
    }

    /// Waits until a server that was told to stop has ended.
    ///
    /// # Panics
    /// If it does not end in time, or ends badly.
    pub fn wait(&mut self) {
        let mut process = self.process.take().expect("the server runs");
        let deadline = Instant::now() + STOP_TIMEOUT;
        let status = loop {
            match process
                .try_wait()
                .expect("our own process can be waited for")
            {
                Some(status) => break status,
                None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
                None => {
                    process.kill().expect("our own process can be killed");
                    panic!("the server did not stop within {STOP_TIMEOUT:?}");
                }
            }
        };
        assert!(status.success(), "the server ended badly: {status}");
    }

    /// Whether somebody accepts connections on the server's port.
    #[must_use]
    pub fn accepts(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    /// Starts a server that must refuse these settings; returns what it says.
    ///
    /// # Panics
    /// If it starts.
    #[must_use]
    pub fn refuse_to_start(settings: &[(&str, &str)]) -> String {
        let dir = tempfile::tempdir().expect("the system's temporary folder can be written");
        let output = weir(dir.path(), free_port())
            .envs(settings.iter().copied())
            .output()
            .expect("the server's program can be started");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// The process id.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server runs").id()
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where its data is.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        data_in(self.dir.path())
    }

    /// What it has logged so far.
    ///
    /// # Panics
    /// If the log can't be read.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).expect("the server's log can be read")
    }

    /// A client that asks as the administrator.
    ///
    /// # Panics
    /// Never: the address is one.
    #[must_use]
    pub fn client(&self) -> Client {
        let credentials = Credentials::Key {
            access_key_id: self.keys.0.to_owned(),
            secret_access_key: self.keys.1.to_owned(),
        };
        Client::new(&self.url(), credentials).expect("our own address is one")
    }

    /// A new repository with the branch `main`.
    ///
    /// # Panics
    /// If it can't be made.
    pub async fn repo(&self, name: &str) -> Repo {
        Repo::create(self.client(), name).await
    }

    /// Runs a client script below `tests/`; it finds the server in `WEIR_URL`, `ACCESS_KEY` and `SECRET_KEY`.
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

    /// Compares this server with what lakeFS answered in these areas, separated by commas.
    ///
    /// # Panics
    /// On any unexplained difference, with the list of them.
    pub fn conformance(&self, areas: &str) {
        conformance(&self.url(), areas, self.keys);
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join(format!("server-{}.log", self.port))
    }

    fn spawn(&mut self) {
        // Every client that a test makes finds a TLS provider, whichever test is the first.
        drop(client::http_builder());
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("the log can be written");
        let mut command = weir(self.dir.path(), self.port);
        command
            .args(self.flags)
            .envs(self.settings.iter().map(|(k, v)| (k, v)))
            .stdout(log.try_clone().expect("a file handle can be shared"))
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
                .and_then(|p| p.try_wait().expect("our own process can be waited for"));
            if let Some(status) = ended {
                self.process = None;
                panic!("the server ended at its start: {status}");
            }
            assert!(
                Instant::now() < deadline,
                "the server did not answer within {START_TIMEOUT:?}"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Both fail only if it is gone already.
            let _gone = process.kill();
            let _status = process.wait();
        }
        if std::thread::panicking() {
            show(&self.log_path());
        } else {
            crate::sstables::keep(self.dir.path());
        }
    }
}

#[expect(clippy::print_stderr, reason = "what a failed test shows")]
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

/// A place among the servers that may run at once.
#[derive(Debug)]
struct Place;

static RUNNING: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

impl Place {
    fn wait() -> Self {
        // A test that failed while it counted has counted right.
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running = FREED
            .wait_while(running, |n| *n >= AT_ONCE)
            .unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREED.notify_one();
    }
}

/// `weir run` on a port, with all it keeps below `dir`. Nothing of the machine's reaches it: no settings, no home.
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

/// The server's program: named by `cargo xtask test`, else the one built beside this test.
fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("WEIR_TEST_BIN") {
        return named.into();
    }
    let test = std::env::current_exe().expect("a test is a program");
    let beside = test
        .ancestors()
        .nth(2)
        .expect("tests lie in a folder of the profile's")
        .join("weir");
    assert!(
        beside.is_file(),
        "there is no {}: run `cargo xtask test`, which builds it",
        beside.display()
    );
    beside
}

fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Tests of several processes start at different places.
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

/// The connection string of the tests' PostgreSQL, with a table that is this server's alone.
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
