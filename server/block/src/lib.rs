//! Stores object bytes by physical address.
//!
//! A [`BlockStore`] stores complete objects. A put is durable when it returns. It stores nothing if it fails, if its
//! body ends with an error, or if it is cancelled before the body is complete. Bodies are streamed in both directions.
//! In this crate, an object is only an address ([`Location`]) and bytes; repositories and permissions are the caller's
//! concern.
//!
//! Drivers: [`LocalStore`] (files below one folder, in lakeFS's layout) and [`MemoryStore`] (for tests). Both
//! pass the [`conformance`] suite. [`testing::FaultyStore`] injects failures into a store.

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

mod address_checks;
mod error;
mod local;
mod location;
mod memory;
mod multipart;
mod store;

pub use error::{Error, Result};
pub use local::{LocalOptions, LocalStore};
pub use location::Location;
pub use memory::MemoryStore;
pub use store::{
    BlockStore, ByteStream, CompletedPart, ObjectProperties, PartInfo, PutResult, StoreInfo,
    StoredBytes, from_bytes,
};
