//! The quickstart's server process: started here, known by its process id, stopped with us.
//!
//! It says by a file where it listens, so that no other server that happens to answer is taken for it. It holds the
//! other end of a pipe, and stops when that closes: the system closes it even if we are killed.

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

/// Longer than the server gives to requests under way.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// A server process.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    /// Open as long as the server is to run.
    lifeline: Option<ChildStdin>,
    ready_file: PathBuf,
}

/// What `weir run --ready-file` writes.
#[derive(Deserialize)]
struct Ready {
    pid: u32,
    address: SocketAddr,
}

impl Server {
    /// Starts `weir` with all that it keeps below `data`.
    pub(super) fn start(weir: &Path, data: &Path, listen: &str) -> Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data)
            .with_context(|| format!("can't make the folder {}", data.display()))?;
        let ready_file = data.join("ready.json");
        match std::fs::remove_file(&ready_file) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                return Err(e).with_context(|| format!("can't remove {}", ready_file.display()));
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
            // Unoptimised, it compiles hooks slowly.
            .env("WEIR_ACTIONS_COMPILE_CPU_TIME", "10m")
            .env("WEIR_LOGGING_OUTPUT", "=")
            .env("WEIR_LOGGING_LEVEL", "warn")
            .env_remove("WEIR_TOOLS")
            .stdin(Stdio::piped())
            // Ctrl-C reaches us only; we decide when the server is to stop.
            .process_group(0);
        let mut child = command
            .spawn()
            .with_context(|| format!("can't start {}", weir.display()))?;
        let lifeline = child.stdin.take();
        Ok(Self {
            child,
            lifeline,
            ready_file,
        })
    }

    /// Where it listens, once it does. An error if it ended.
    pub(super) fn url(&mut self) -> Result<Option<String>> {
        if let Some(status) = self.ended()? {
            bail!("the server ended before it was ready ({status}); what it said is above");
        }
        let text = match std::fs::read_to_string(&self.ready_file) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => {
                return Err(e).with_context(|| format!("can't read {}", self.ready_file.display()));
            }
        };
        let ready: Ready = serde_json::from_str(&text).with_context(|| {
            format!("{} is not what a server writes", self.ready_file.display())
        })?;
        if ready.pid != self.child.id() {
            bail!(
                "the server that listens on {} is process {}, not the one that was started here ({}): stop it, or choose another address (--listen) and folder (--data)",
                ready.address,
                ready.pid,
                self.child.id()
            );
        }
        Ok(Some(format!("http://{}", ready.address)))
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("can't look after the server")
    }

    /// It finishes what is under way, and ends.
    pub(super) fn tell_to_stop(&mut self) {
        drop(self.lifeline.take());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}
