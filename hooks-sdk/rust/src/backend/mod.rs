//! The source of trees, events and configuration: the host on Wasm targets, memory in native tests.
//!
//! Both modules have the same names and signatures, so a hook compiles unchanged for both.

#[cfg(target_family = "wasm")]
mod guest;
#[cfg(target_family = "wasm")]
pub use guest::bindings;
#[cfg(target_family = "wasm")]
pub use guest::{
    Changes, Chunks, Listing, Object, Snapshot, base, candidate, diff, event, log, max_read, source,
};
#[cfg(target_family = "wasm")]
pub(crate) use guest::{config, metric, submit, summary};

#[cfg(not(target_family = "wasm"))]
pub(crate) mod native;
#[cfg(not(target_family = "wasm"))]
pub use native::{
    Changes, Chunks, Listing, Object, Snapshot, base, candidate, diff, event, log, max_read, source,
};
#[cfg(not(target_family = "wasm"))]
pub(crate) use native::{config, metric, submit, summary};
