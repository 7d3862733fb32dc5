//! Object bytes by physical address.
mod error;
pub mod conformance;
mod local;
mod location;
mod memory;
mod store;

pub use error::{Error, Result};
pub use local::{LocalOptions, LocalStore};
pub use location::Location;
pub use memory::MemoryStore;
pub use store::{BlockStore, ByteStream, CompletedPart, ObjectProperties, PartInfo, Put, StoreInfo, from_bytes};
