//! Ordered key-value store with compare-and-set: where every mutable record lives.
mod error;
pub mod conformance;
mod cursor;
mod memory;
mod postgres;
mod sqlite;
mod store;

pub use cursor::Cursor;
pub use error::{Error, Result};
pub use memory::MemoryStore;
pub use postgres::{PostgresOptions, PostgresStore};
pub use sqlite::{SqliteOptions, SqliteStore};
pub use store::{Batch, Entry, Guard, GuardOutcome, Op, Predicate, Store, Versioned};
