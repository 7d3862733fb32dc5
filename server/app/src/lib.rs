//! The `weir` server: configuration, wiring, serving, background jobs.
//!
//! The only crate that names concrete drivers. Everything below it is given
//! what it needs through its constructor.

pub mod config;
mod first_start;
pub mod health;
mod jobs;
mod leftover;
mod local_only;
mod parent;
mod quickstart;
mod secret_file;
mod serve;
mod telemetry;
mod welcome;
mod wiring;

pub use parent::Parent;
pub use serve::{Server, run};

/// The command that a server starts itself with to compile one component.
pub const COMPILE_COMMAND: &str = "compile-component";
