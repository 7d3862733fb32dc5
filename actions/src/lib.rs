//! Hooks of a repository: action files, matching, runners, run records.
mod engine;
mod run;
pub mod wasm;

pub use engine::{Actions, GatesSource, Options};
pub use run::{HookRun, HookStatus, Run};
