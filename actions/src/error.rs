//! Errors of setting up the hook engine and of parsing texts that users wrote.

use std::io;
use std::path::PathBuf;

/// Why the hook engine cannot be set up when the server starts.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("failed to set up the engine for hooks: {0:#}")]
    Engine(wasmtime::Error),
    #[error("failed to set up the threads of hooks")]
    Threads(#[source] io::Error),
    #[error("failed to set up the cache of compiled hooks in {}", .dir.display())]
    Cache { dir: PathBuf, source: io::Error },
    #[error("failed to set up the webhook client")]
    Webhooks(#[source] reqwest::Error),
}

/// Reason why a text that a user wrote, for example a glob, is invalid. The caller adds the location
/// of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

impl Malformed {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}
