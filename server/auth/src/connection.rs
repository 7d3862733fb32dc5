//! Whether the server knows the callers of a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Records whether a connection has carried an authenticated request. Clones share the state.
///
/// The server adds it to the extensions of every request, and grants more memory to connections of known callers.
#[derive(Debug, Clone, Default)]
pub struct ConnectionTrust(Arc<AtomicBool>);

impl ConnectionTrust {
    /// Records that the caller of a request was authenticated.
    pub fn set_known(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether a caller was authenticated.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
