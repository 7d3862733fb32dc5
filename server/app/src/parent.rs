//! Integration with the program that started this server.
//!
//! The program finds the server by a ready file, which contains the server's process id and address.
//! On request, the server stops when its standard input closes. The operating system closes it no matter how the
//! program exits. Neither mechanism needs signals or fixed ports.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use tokio::sync::oneshot;

/// What the program that starts the server requests. By default nothing.
#[derive(Debug, Default, Clone)]
pub struct Parent {
    /// Written once the server listens, deleted when it exits.
    pub ready_file: Option<PathBuf>,
    /// Stop when standard input closes.
    pub stop_with_stdin: bool,
}

/// Content of the ready file, as JSON.
#[derive(Debug, Serialize)]
struct ReadyFileContent {
    /// The server's process id. It distinguishes the file from one left by another server.
    pid: u32,
    /// The listening address, with the actual port if port 0 was requested.
    address: SocketAddr,
    version: &'static str,
}

impl Parent {
    /// Writes the ready file, if requested. The file is deleted when the returned value is dropped.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn write_ready_file(&self, address: SocketAddr) -> anyhow::Result<ReadyFile> {
        if let Some(path) = &self.ready_file {
            write_whole(path, address).with_context(|| {
                format!("--ready-file: failed to write {}: choose a file in an existing, writable folder", path.display())
            })?;
        }
        Ok(ReadyFile(self.ready_file.clone()))
    }

    /// Resolves when the parent is gone. Never resolves if stopping with the parent was not
    /// requested.
    pub(crate) async fn wait_until_gone(&self) {
        if !self.stop_with_stdin {
            return std::future::pending().await;
        }
        let (closed, wait) = oneshot::channel();
        // A thread outside the runtime, because the runtime would wait at shutdown for a read on one
        // of its own threads.
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
            // The receiver is gone if the server stops for another reason.
            let _stopping = closed.send(());
        });
        // An error means that the thread ended without sending, which counts as a closed input.
        let _closed = wait.await;
    }
}

/// The ready file of a running server.
#[derive(Debug)]
pub(crate) struct ReadyFile(Option<PathBuf>);

impl Drop for ReadyFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(e) = remove_own(path)
            // The file may have been deleted together with its folder.
            && e.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(error = %e, "failed to remove {}", path.display());
        }
    }
}

/// Removes the file, unless another server has replaced it by its own.
fn remove_own(path: &Path) -> std::io::Result<()> {
    let content: serde_json::Value = serde_json::from_slice(&std::fs::read(path)?)?;
    match content["pid"] == std::process::id() {
        true => std::fs::remove_file(path),
        false => Ok(()),
    }
}

/// Writes the file atomically, so that readers never see a partial file.
fn write_whole(path: &Path, address: SocketAddr) -> anyhow::Result<()> {
    let ready = ReadyFileContent {
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
    fn ready_file_has_process_and_address_and_is_deleted_at_exit() {
        let dir = tempfile::tempdir().unwrap();
        let parent = Parent {
            ready_file: Some(dir.path().join("ready.json")),
            stop_with_stdin: false,
        };
        let file = parent
            .write_ready_file("127.0.0.1:8000".parse().unwrap())
            .unwrap();
        let text = std::fs::read_to_string(dir.path().join("ready.json")).unwrap();
        let content: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(content["pid"], std::process::id());
        assert_eq!(content["address"], "127.0.0.1:8000");
        drop(file);
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }

    /// Guards against a bug: a server that stopped deleted the file of the server that had replaced it.
    #[test]
    fn ready_file_of_another_server_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ready.json");
        let parent = Parent {
            ready_file: Some(path.clone()),
            stop_with_stdin: false,
        };
        let file = parent.write_ready_file("127.0.0.1:1".parse().unwrap());
        std::fs::write(&path, r#"{"pid": 0, "address": "127.0.0.1:2"}"#).unwrap();
        drop(file.unwrap());
        let left = std::fs::read_to_string(&path).unwrap();
        assert!(left.contains("127.0.0.1:2"), "{left}");
    }

    #[test]
    fn unwritable_ready_file_is_an_error_with_a_remedy() {
        let parent = Parent {
            ready_file: Some("/nonexistent/ready.json".into()),
            stop_with_stdin: false,
        };
        let error = parent
            .write_ready_file("127.0.0.1:1".parse().unwrap())
            .unwrap_err();
        assert!(
            format!("{error:#}")
                .starts_with("--ready-file: failed to write /nonexistent/ready.json"),
            "{error:#}"
        );
    }
}
