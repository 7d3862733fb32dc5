//! The `weir` server: configuration, wiring, serving, background jobs.
//!
//! This is the only crate that refers to concrete drivers. It passes all dependencies to the lower
//! layers through their constructors.

pub mod config;
mod docs;
mod elsewhere;
mod first_start;
pub mod health;
mod jobs;
mod local_only;
mod metrics_page;
mod page;
mod parent;
mod quickstart;
mod refusal;
mod secret_file;
mod serve;
mod telemetry;
mod unread_body;
mod welcome;
mod wiring;

pub use parent::Parent;
pub use serve::{Server, run};

/// The subcommand with which a server starts itself to compile one component.
pub const COMPILE_COMMAND: &str = "compile-component";
