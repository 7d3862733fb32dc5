//! Runs WebAssembly components as hooks, sandboxed and with resource limits.
//!
//! This file exports the interface to the rest of the crate: [`Host::run`] takes a [`Request`] and
//! returns a [`Report`]. [`Host`] owns the engines. A component is validated and compiled in a
//! separate process (`compile`), once per digest (`cache`). Each call waits for admission
//! (`admission`) and runs in a fresh instance (`instance`) on its own thread (`guests`). Guests
//! access trees through `session` and its WIT adapter `v0_1`. `fanout` runs an object gate on every
//! changed object.
//!
//! This module does not depend on action files or run records. Invariant: whatever a component
//! does, [`Host::run`] returns a verdict or a cause within its limits.

mod admission;
mod artifact;
mod cache;
mod calls;
mod capability;
mod check;
mod collect;
mod compile;
mod compile_wait;
mod component;
mod describe;
mod disk;
mod engine;
mod fanout;
mod findings;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod fuzzing;
mod guest;
mod guests;
mod host;
mod instance;
mod limits;
mod log;
mod nesting;
mod outside;
mod reads;
mod ready;
mod report;
mod request;
mod session;
mod single_flight;
mod tree;
mod v0_1;
mod wasi;

pub(crate) use check::World;
pub use compile::{CompileLimits, Compiler, compile_job};
pub use compile_wait::CompileWait;
pub use component::Component;
#[cfg(test)]
pub(crate) use component::count as component_count;
pub use disk::CodeKey;
pub use host::{Host, HostOptions};
pub(crate) use limits::COMPILE_WAIT;
pub use report::{Cause, Failure, Report, Verdict};
pub use request::{Limits, Request, Select};
pub use tree::{Side, SnapshotTrees, Trees};
