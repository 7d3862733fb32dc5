//! Harness of the system tests: every test starts a real `weir` process with SQLite or PostgreSQL.
//!
//! All data is deleted after the test. No test is skipped: if something is missing, the test fails
//! and names the command that provides it. The tests are in `tests/`.

mod environment;
mod museum;
mod random;
mod repo;
mod server;
mod sstables;

pub use environment::{conformance, effort, fixture, hooks, python, try_python};
pub use museum::{Museum, Records};
pub use random::Random;
pub use repo::{MAIN, Repo, read_all, refusal};
pub use server::{ADMIN, Backend, Setup, TestServer};
