//! The API in process: stories over memory stores, no ports.

#![expect(clippy::unwrap_used, reason = "tests")]

mod harness;
mod objects;
mod refusals;
mod setup;
mod versions;
