//! The system tests: real server processes, real clients, both databases.
//!
//! Each module covers one theme. The harness is the crate `system_tests`.

#![expect(clippy::unwrap_used, reason = "tests")]

mod access;
mod compat;
mod connections;
mod crash;
mod damaged;
mod docs;
mod hostile;
mod lifecycle;
mod museum;
mod race;
mod s3;
mod sdk;
mod story;
mod undo;
mod versions;
