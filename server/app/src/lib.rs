//! The `weir` server: configuration, wiring, serving, background jobs.
//!
//! The only crate that names concrete drivers. Everything below it is given
//! what it needs through its constructor.

pub mod config;
mod first_start;
mod jobs;
mod leftover;
mod local_only;
mod quickstart;
mod secret_file;
mod serve;
mod telemetry;
mod wiring;

pub use serve::{Server, run};
