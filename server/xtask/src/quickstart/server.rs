//! Starts and stops the quickstart's server process.
//!
//! The server writes its process id and address to a file, so that another server on the same address cannot be
//! mistaken for it. Its standard input is a pipe, and it stops when the pipe closes. The system closes the pipe
//! even if the quickstart is killed.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// Timeout of a graceful stop. Longer than the server's own deadlines for requests, running changes, post hooks and
/// its last records together.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(150);

/// A server process.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    /// The server's standard input. Closing it stops the server.
    lifeline: Option<ChildStdin>,
    ready_file: PathBuf,
}

/// What `weir run --ready-file` writes.
#[derive(Deserialize)]
struct ReadyFileContent {
    pid: u32,
    address: SocketAddr,
}

impl Server {
    /// Starts `weir` with the data folder `data`.
    pub(super) fn start(weir: &Path, data: &Path, listen: &str) -> Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data)
            .with_context(|| format!("failed to create the folder {}", data.display()))?;
        let ready_file = data.join("ready.json");
        match std::fs::remove_file(&ready_file) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                return Err(e)
                    .with_context(|| format!("failed to remove {}", ready_file.display()));
            }
            _ => {}
        }
        let mut command = Command::new(weir);
        command
            .args([
                "run",
                "--quickstart",
                "--stop-with-stdin",
                "--listen",
                listen,
                "--data",
            ])
            .arg(data)
            .arg("--ready-file")
            .arg(&ready_file)
            // An unoptimized server compiles hooks slowly.
            .env("WEIR_ACTIONS_COMPILE_CPU_TIME", "10m")
            .env("WEIR_LOGGING_OUTPUT", "=")
            .env("WEIR_LOGGING_LEVEL", "warn")
            .env_remove("WEIR_TOOLS")
            .stdin(Stdio::piped())
            // Run in a separate process group, so that Ctrl-C does not reach the server directly.
            .process_group(0);
        let mut child = command
            .spawn()
            .with_context(|| format!("failed to start {}", weir.display()))?;
        let lifeline = child.stdin.take();
        Ok(Self {
            child,
            lifeline,
            ready_file,
        })
    }

    /// Returns the URL once the server listens, and `None` before. Fails if the server has exited.
    pub(super) fn url(&mut self) -> Result<Option<String>> {
        if let Some(status) = self.ended()? {
            bail!("the server exited before it was ready ({status}); see its output above");
        }
        let text = match std::fs::read_to_string(&self.ready_file) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => {
                return Err(e)
                    .with_context(|| format!("failed to read {}", self.ready_file.display()));
            }
        };
        let ready: ReadyFileContent = serde_json::from_str(&text)
            .with_context(|| format!("{} is malformed", self.ready_file.display()))?;
        if ready.pid != self.child.id() {
            bail!(
                "the server that listens on {} is process {}, not the process that was started here ({}): stop it, or use another address (--listen) and folder (--data)",
                ready.address,
                ready.pid,
                self.child.id()
            );
        }
        Ok(Some(format!("http://{}", ready.address)))
    }

    /// Returns the exit status if the server has exited.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .context("failed to poll the server process")
    }

    /// Asks the server to finish the requests in progress and exit.
    pub(super) fn request_stop(&mut self) {
        drop(self.lifeline.take());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if the process has already exited.
        let _exited = self.child.kill();
        let _status = self.child.wait();
    }
}
