//! Ordered key-value store with compare-and-set: where every mutable record lives.
//!
//! A record has a two-level address: a *partition* and a *key* within it, both
//! non-empty byte strings. A partition is ordered bytewise by key and can be
//! scanned; partitions cannot. What the bytes mean is nobody's business here.
//!
//! # What a driver promises
//!
//! - **Acknowledged is durable.** When a write returns, it survives a crash of this process, and of the
//!   machine unless the operator has asked for less (`sync_writes: false`).
//! - **Reads are strongly consistent.** A read that starts after a write was acknowledged sees it, on every
//!   connection and server. Nothing is cached.
//! - **One write is atomic, and so is its condition.** Of two [`Store::set_if`] with the same
//!   [`Predicate::Unchanged`] one fails.
//! - **A batch is all or nothing** where [`Store::is_transactional`]; every driver here is.
//! - **A guarded write never hides from its guard.** When [`Store::guarded`] returns
//!   [`GuardOutcome::Written`], whoever changes the guarded record afterwards, or did so
//!   before this returned, sees the write in a scan that follows the change.
//!   The staging protocol stands on it: a commit seals a branch, then
//!   scans what was staged, and must find every write that was acknowledged.
//! - **A page of a scan is ordered and complete**; a walk of many pages is not one snapshot.
//! - **An error leaves the outcome of a write unknown**, but for [`Error::PredicateFailed`],
//!   [`Error::Invalid`] and [`Error::SlowDown`], after which nothing was written. A dropped
//!   future is like an error: the write may still happen, whole or not at all.
//! - **No call sleeps.** Requests that find the driver busy wait their turn and share the next
//!   transaction; a lone one goes at once. Each queue is bounded.
//!
//! [`conformance::run_all`] holds a driver to all of it.
//!
//! # What lives where
//!
//! [`MemoryStore`] is the model, [`SqliteStore`] the embedded default, [`PostgresStore`] the
//! shared one, in lakeFS's own table layout. [`Cursor`] walks a partition on any of them,
//! [`Metered`] times one, [`testing::FaultyStore`] breaks one, [`testing::CountingStore`] counts its requests.

pub mod conformance;
pub mod testing;

mod counting;
mod cursor;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod lanes;
mod memory;
mod metered;
mod postgres;
mod sqlite;
mod store;

pub use cursor::Cursor;
pub use error::{Error, Result};
pub use memory::MemoryStore;
pub use metered::{Metered, REQUEST_DURATION, REQUEST_FAILURES};
pub use postgres::{PostgresOptions, PostgresStore};
pub use sqlite::{SqliteOptions, SqliteStore};
pub use store::{Batch, Entry, Guard, GuardOutcome, Op, Predicate, Store, Versioned};
