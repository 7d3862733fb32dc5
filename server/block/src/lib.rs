//! Object bytes by physical address.
//!
//! A [`BlockStore`] keeps whole objects: a put is durable when it returns and leaves
//! nothing when it fails, is cancelled or its body breaks off. Bodies stream in both
//! directions. What an object means, who may read it and which repository it belongs to
//! is known above; here an object has an address ([`Location`]) and bytes.
//!
//! Drivers: [`LocalStore`] (files below one folder, in lakeFS's layout) and
//! [`MemoryStore`] (tests). Both pass the suite in [`conformance`]; [`testing::FaultyStore`] breaks one.

pub mod conformance;
#[doc(hidden)]
pub mod fuzzing;
pub mod testing;

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
    BlockStore, ByteStream, CompletedPart, ObjectProperties, PartInfo, Put, StoreInfo, from_bytes,
};
