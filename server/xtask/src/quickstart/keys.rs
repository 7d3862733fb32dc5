//! Reads the administrator's keys of the server that the quickstart started.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// The file in which the server stores the keys. Only its owner can read it.
const FILE: &str = "quickstart-credentials.json";

/// An access key and its secret.
#[derive(Clone, Deserialize)]
pub(super) struct Keys {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
}

/// Reads the keys of the server whose data is in `data`. The server writes them before it listens.
pub(super) fn read(data: &Path) -> Result<Keys> {
    let path = data.join(FILE);
    let text = std::fs::read(&path).with_context(|| {
        format!(
            "failed to read the keys in {}: if an earlier version set up the installation there, remove {} to start over",
            path.display(),
            data.display()
        )
    })?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{} does not contain keys", path.display()))
}
