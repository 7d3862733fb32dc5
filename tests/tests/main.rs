//! The system tests: a real server process, real clients, both databases.
//!
//! Each module tells one story; the harness is `system_tests`.

#![expect(clippy::unwrap_used, reason = "tests")]

mod access;
mod compat;
mod connections;
mod crash;
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
