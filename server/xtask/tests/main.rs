//! Tests that run the xtask binary.

#![expect(clippy::unwrap_used, reason = "tests")]

mod quickstart;
mod reference;
