//! A component that is ready to be called.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::OnceCell;
use wasmtime::Engine;

use super::component::ComponentDigest;
use super::engine::Interruption;
use super::guest::Guest;

/// A compiled component, ready to be instantiated.
pub(super) struct Ready {
    pub(super) digest: ComponentDigest,
    pub(super) engine: Engine,
    pub(super) interruption: Interruption,
    pub(super) guest: Box<dyn Guest>,
    /// Result of `describe`.
    pub(super) description: OnceCell<Arc<Value>>,
    pub(super) code_bytes: usize,
}
