//! Stories of the whole engine, in memory.

#![expect(clippy::unwrap_used, reason = "tests")]

mod commits;
mod graph;
mod hooks;
mod merges;
mod races;
mod references;
mod repositories;
mod staging;
