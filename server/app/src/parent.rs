//! The program that started this server: what it is told, and what it says by going away.
//!
//! A program that starts a server needs to know that the server which answers is its own, and a server that nobody
//! asked to outlive that program must not. Both work without signals, shared ports or guesses: a file with the
//! address, and standard input, which the system closes whatever the parent died of.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use tokio::sync::oneshot;

/// What the starting program asked for. The default is nothing.
#[derive(Debug, Default, Clone)]
pub struct Parent {
    /// Written once the server listens, removed when it ends.
    pub ready_file: Option<PathBuf>,
    /// Stop when standard input closes.
    pub stop_with_stdin: bool,
}

/// What the ready file holds, as JSON.
#[derive(Debug, Serialize)]
struct Ready {
    /// The server's process id: a file left by another server is told apart by it.
    pid: u32,
    /// Where it listens, with the port that the system chose for port 0.
    address: SocketAddr,
    version: &'static str,
}

impl Parent {
    /// Writes the ready file, if one was asked for. It is removed when the returned value is dropped.
    ///
    /// # Errors
    /// If it can't be written.
    pub(crate) fn tell_ready(&self, address: SocketAddr) -> anyhow::Result<ReadyFile> {
        if let Some(path) = &self.ready_file {
            write_whole(path, address).with_context(|| {
                format!("--ready-file: can't write {}: choose a file in a folder that exists and can be written to", path.display())
            })?;
        }
        Ok(ReadyFile(self.ready_file.clone()))
    }

    /// Returns when the server is to stop because its parent is gone; never, unless that was asked for.
    pub(crate) async fn gone(&self) {
        if !self.stop_with_stdin {
            return std::future::pending().await;
        }
        let (closed, wait) = oneshot::channel();
        // A thread of its own: the runtime would wait at its end for a read on one of its threads.
        std::thread::spawn(move || {
            let mut ignored = [0; 256];
            let mut stdin = std::io::stdin().lock();
            loop {
                match stdin.read(&mut ignored) {
                    Ok(0) => break,
                    Err(e) if e.kind() != std::io::ErrorKind::Interrupted => break,
                    Ok(_) | Err(_) => {}
                }
            }
            // Nobody listens any more where the server stops for another reason.
            let _stopping = closed.send(());
        });
        // A thread that could not tell is as good as a closed input.
        let _closed = wait.await;
    }
}

/// The ready file of a running server.
#[derive(Debug)]
pub(crate) struct ReadyFile(Option<PathBuf>);

impl Drop for ReadyFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(e) = std::fs::remove_file(path)
            // Gone together with its folder.
            && e.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(error = %e, "failed to remove {}", path.display());
        }
    }
}

/// A reader sees the whole file or none.
fn write_whole(path: &Path, address: SocketAddr) -> anyhow::Result<()> {
    let ready = Ready {
        pid: std::process::id(),
        address,
        version: env!("CARGO_PKG_VERSION"),
    };
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", ready.pid));
    std::fs::write(&draft, serde_json::to_string(&ready)?)?;
    std::fs::rename(&draft, path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Parent;

    #[test]
    fn the_ready_file_names_process_and_address_and_goes_with_the_server() {
        let dir = tempfile::tempdir().unwrap();
        let parent = Parent {
            ready_file: Some(dir.path().join("ready.json")),
            stop_with_stdin: false,
        };
        let file = parent
            .tell_ready("127.0.0.1:8000".parse().unwrap())
            .unwrap();
        let text = std::fs::read_to_string(dir.path().join("ready.json")).unwrap();
        let told: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(told["pid"], std::process::id());
        assert_eq!(told["address"], "127.0.0.1:8000");
        drop(file);
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_ready_file_that_cannot_be_written_is_an_error_with_the_remedy() {
        let parent = Parent {
            ready_file: Some("/nonexistent/ready.json".into()),
            stop_with_stdin: false,
        };
        let error = parent
            .tell_ready("127.0.0.1:1".parse().unwrap())
            .unwrap_err();
        assert!(
            format!("{error:#}").starts_with("--ready-file: can't write /nonexistent/ready.json"),
            "{error:#}"
        );
    }
}
