//! The harness of the system tests: a real `weir` process per test, on either database, and what drives it.
//!
//! Everything is thrown away with the test, and nothing is skipped: a test that
//! misses something it needs fails with the command that brings it. What each test
//! claims is in `tests/`.

mod environment;
mod museum;
mod random;
mod repo;
mod server;
mod sstables;

pub use environment::{conformance, effort, fixture, hooks, python};
pub use museum::{Museum, Records};
pub use random::Random;
pub use repo::{MAIN, Repo, read_all, refusal};
pub use server::{ADMIN, Backend, Setup, TestServer};
