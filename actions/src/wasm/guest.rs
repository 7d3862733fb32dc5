//! What the host calls on a component, whatever version of the interface it was built for.
//!
//! Each version of the WIT package implements [`Guest`] in a file of its own (`v0_1`). All other
//! files know only the types in this file and in `session`.

use async_trait::async_trait;
use wasmtime::Store;

use super::check::World;
use super::describe::Describing;
use super::session::{Change, State};

/// Answer of a call that ended with a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Pass,
    Fail,
    Skip,
}

/// A compiled and linked component. Each call instantiates it anew in the given store.
#[async_trait]
pub(super) trait Guest: Send + Sync {
    /// Returns whether the component checks objects or the whole change.
    fn world(&self) -> World;

    /// Asks for a verdict. `change` is the object to check; it is `None` exactly for
    /// [`World::Gate`]. The inner error is the hook's own message why it cannot decide.
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
