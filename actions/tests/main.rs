//! Integration tests of the crate's public API.
#![expect(clippy::unwrap_used, reason = "tests")]

mod wasm;
