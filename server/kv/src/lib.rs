//! Ordered key-value store with compare-and-set. All mutable records are stored here.
//!
//! A record has a two-level address: a *partition* and a *key* within the partition. Both are
//! non-empty byte strings. Keys of a partition are ordered bytewise and can be scanned.
//! Partitions cannot be listed. This crate does not interpret the bytes, except for the version of their layout
//! ([`check_schema_version`]).
//!
//! # Guarantees of a driver
//!
//! - **Acknowledged writes are durable.** When a write returns, it survives a crash of the process. It also
//!   survives a crash of the machine unless the operator sets `sync_writes: false`.
//! - **Reads are strongly consistent.** A read that starts after a write was acknowledged sees that write, on
//!   every connection and server. Nothing is cached.
//! - **A write and its condition are one atomic step.** Of two [`Store::set_if`] calls with the same
//!   [`Predicate::Unchanged`], at most one succeeds.
//! - **A batch is all or nothing** if [`Store::is_transactional`] is true, as it is for every driver here.
//! - **A guarded write is visible to everyone who changes its guard.** If [`Store::guarded`] returns
//!   [`GuardOutcome::Written`], every scan that follows a change of the guarded record sees the write. It
//!   does not matter whether the record changed before or after the call returned. The staging protocol
//!   depends on this: a commit seals a branch and then scans the staged entries. It must find every
//!   acknowledged write.
//! - **A page of a scan is ordered and complete.** Several pages are not one snapshot.
//! - **After an error, the outcome of a write is unknown**, except for [`Error::PredicateFailed`],
//!   [`Error::Invalid`] and [`Error::SlowDown`], after which nothing was written. Dropping the future is
//!   like an error: the write may still be applied, entirely or not at all.
//! - **Calls do not sleep.** A request to an idle driver runs immediately. Requests to a busy driver wait
//!   in a bounded queue or for a connection, and may share a transaction.
//!
//! [`conformance::run_all`] tests a driver against these guarantees, except durability.
//!
//! # Contents
//!
//! [`MemoryStore`] is the reference implementation, [`SqliteStore`] the embedded default, and
//! [`PostgresStore`] the driver for several servers, with lakeFS's table layout. [`Cursor`] iterates over
//! a partition of any store. [`MeteredStore`] measures a store, [`testing::FaultyStore`] injects failures, and
//! [`testing::CountingStore`] counts requests.

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

mod batcher;
#[cfg(any(test, feature = "testing"))]
mod counting;
mod cursor;
mod error;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod fuzzing;
mod memory;
mod metered;
mod page;
mod postgres;
mod schema_version;
mod sqlite;
mod store;

pub use cursor::Cursor;
pub use error::{Error, Result};
pub use memory::MemoryStore;
pub use metered::{MeteredStore, REQUEST_DURATION, REQUEST_FAILURES};
pub use page::first_entries;
pub use postgres::{PostgresOptions, PostgresStore};
pub use schema_version::check_schema_version;
pub use sqlite::{SqliteOptions, SqliteStore};
pub use store::{
    Batch, Entry, Guard, GuardOutcome, Op, Predicate, SCAN_PAGE_BYTES, ScanPage, Store, Versioned,
};
