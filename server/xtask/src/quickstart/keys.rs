//! The administrator's keys of a quickstart's server: read here and nowhere else.

use std::path::Path;

use anyhow::Result;

/// A key pair.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
}

/// The keys that open the server whose data is in `_data`: the published ones of `weir run --quickstart`.
pub(super) fn read(_data: &Path) -> Result<Keys> {
    Ok(Keys {
        access_key_id: "AKIAIOSFOLQUICKSTART".to_owned(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
    })
}
