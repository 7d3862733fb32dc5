//! The `weir` server: configuration, wiring, serving, background jobs.
//!
//! The only crate that names concrete drivers. Everything below it is given
//! what it needs through its constructor.

pub mod config;
pub mod health;
mod jobs;
mod leftover;
mod parent;
mod quickstart;
mod serve;
mod telemetry;
mod welcome;
mod wiring;

pub use parent::Parent;
pub use serve::{Server, run};
