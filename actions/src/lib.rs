//! Hooks of a repository, host side: action files, matching, runners and run records.
//!
//! [`Actions`] implements `graveler::Hooks`, the only trait through which the versioning engine
//! calls into a higher layer. It reads repositories through `catalog::Reader` and writes only its
//! own run records, logs and manifests. It does not depend on an HTTP server framework. Webhooks
//! need only an HTTP client. [`wasm`] holds everything that concerns the Wasm sandbox.

mod action_file;
mod advice;
mod computations;
mod condition;
mod engine;
mod env;
mod error;
mod execute;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gates_source;
mod glob;
mod load;
mod manifest;
mod matching;
mod misplaced;
mod nesting;
mod output;
mod payload;
mod preflight;
mod queue;
mod run;
mod runner;
mod schema;
mod selection;
mod shares;
mod threads;
pub mod wasm;
mod webhook;

#[cfg(test)]
mod testing;

pub use engine::{Actions, Options};
pub use error::{Malformed, SetupError};
pub use gates_source::GatesSource;
pub use nesting::MAX_DEPTH;
pub use run::{HookRun, HookStatus, NEVER, Run};
pub use webhook::{WebhookOptions, WebhookTargets};
