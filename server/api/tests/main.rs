//! The API in process: stories over memory stores, no ports.

#![expect(clippy::unwrap_used, reason = "tests")]

mod collection;
mod deletion;
mod gates;
mod harness;
mod limits;
mod objects;
mod permissions;
mod refusals;
mod settings;
mod setup;
mod tasks;
mod versions;
mod wiring;
