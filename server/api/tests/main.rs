//! Tests the API in process, on in-memory stores, without ports.

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
