//! The commands of xtask as a person starts them.

#![expect(clippy::unwrap_used, reason = "tests")]

mod quickstart;
