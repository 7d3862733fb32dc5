//! Hooks of a repository: action files, which of them judge an event, their runners, what a run leaves.
//!
//! [`Actions`] implements `graveler::Hooks`, the one call that goes up from the versioning engine. It reads
//! through `catalog::Reader` only and changes nothing but its own records, logs and manifests. Knows
//! no HTTP framework: webhooks are a client. What runs inside the sandbox is [`wasm`]'s.

mod action_file;
mod condition;
mod engine;
mod env;
mod execute;
mod glob;
mod load;
mod manifest;
mod matching;
mod nesting;
mod output;
mod payload;
mod queue;
mod run;
pub mod wasm;
mod wasm_hook;
mod webhook;

#[cfg(test)]
mod testing;

pub use engine::{Actions, GatesSource, Options};
pub use nesting::MAX_DEPTH;
pub use run::{HookRun, HookStatus, NEVER, Run};
pub use webhook::{WebhookOptions, WebhookTargets};
