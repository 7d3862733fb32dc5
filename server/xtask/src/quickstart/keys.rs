//! The administrator's keys of a quickstart's server: read here and nowhere else.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// The server keeps them there, for its owner only.
const FILE: &str = "quickstart-credentials.json";

/// A key pair.
#[derive(Clone, Deserialize)]
pub(super) struct Keys {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
}

/// The keys that open the server whose data is in `data`. It has written them by the time it answers.
pub(super) fn read(data: &Path) -> Result<Keys> {
    let path = data.join(FILE);
    let text = std::fs::read(&path).with_context(|| {
        format!(
            "can't read the keys in {}: if an earlier version set up the installation there, remove {} to begin anew",
            path.display(),
            data.display()
        )
    })?;
    serde_json::from_slice(&text).with_context(|| format!("{} does not hold keys", path.display()))
}
