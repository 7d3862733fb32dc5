//! The file format of ranges and metaranges: sorted string tables, byte for byte as lakeFS writes them.
//!
//! A [`Writer`] writes a table once and computes its id, a hash of the records and properties (not of
//! the file). A [`Reader`] reads one 4 KiB block at a time. The format has two variants: a small table
//! has one index block; a large one has several, below a top index.
//!
//! ```text
//! data blocks | index block(s) [| top index] | properties | metaindex | footer (53 bytes)
//! ```
//!
//! Nothing here knows what a record means: keys and values are bytes.
//!
//! Invariant: equal records and equal properties give an equal file, which also equals the one that
//! lakeFS writes. This matters because a metarange records the estimated size of each range, so its id
//! depends on the size of their compressed blocks.

mod block;
mod cache;
mod cursor;
mod error;
mod format;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod naive;
mod properties;
mod read_ahead;
mod reader;
mod source;
mod table;
#[cfg(test)]
mod test_tables;
mod writer;

#[cfg(test)]
mod tests;

pub use cache::{Cache, CacheBounds, DEFAULT_BLOCK_CACHE_BYTES, DEFAULT_TABLE_CACHE_BYTES};
pub use cursor::Cursor;
pub use error::{Error, Result};
pub use format::{MAX_PART_BYTES, decode_value, encode_value};
pub use properties::Properties;
pub use reader::{Reader, Record};
pub use source::{Source, StoreSource};
pub use writer::{Finished, Writer};
