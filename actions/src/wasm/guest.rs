//! The calls that the host makes to a component, for every version of the interface.
//!
//! Each version of the WIT package implements [`Guest`] in a separate file (`v0_1`). All other files
//! use only the types in this file and in `session`.

use async_trait::async_trait;
use wasmtime::Store;

use super::check::World;
use super::describe::Describing;
use super::session::{Change, State};

/// The verdict of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Pass,
    Fail,
    Skip,
}

/// A compiled and linked component. Each call creates a new instance in the given store.
#[async_trait]
pub(super) trait Guest: Send + Sync {
    /// Returns whether the component checks objects or the whole change.
    fn world(&self) -> World;

    /// Asks for a verdict. `change` is the change to check; it is `None` exactly for
    /// [`World::Gate`]. The inner error is the hook's own explanation why it cannot decide.
    ///
    /// # Errors
    /// Traps, exceeded limits, and failures of host functions.
    async fn check(
        &self,
        store: &mut Store<State>,
        change: Option<&Change>,
    ) -> wasmtime::Result<Result<Answer, String>>;

    /// Asks for the component's description, which is JSON. The component's other imports trap.
    ///
    /// # Errors
    /// Traps and exceeded limits.
    async fn describe(&self, store: &mut Store<Describing>) -> wasmtime::Result<String>;
}
