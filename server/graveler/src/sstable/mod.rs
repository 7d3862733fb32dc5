//! Ranges and metaranges as files: sorted string tables, byte for byte lakeFS's.
//!
//! A table is written once by a [`Writer`], which also names it (the id hashes the
//! logical records, not the file), and read through a [`Reader`] one 4 KiB block at a
//! time. Two sizes of file share the format: with a few blocks one index block is
//! enough, with many the index is itself cut into blocks below a top index.
//!
//! ```text
//! data blocks | index block(s) [| top index] | properties | metaindex | footer (53 bytes)
//! ```
//!
//! Nothing here knows what a record means: keys and values are bytes. The invariant:
//! equal records and equal properties give an equal file, equal to the one that
//! lakeFS's writer makes, because a metarange's id depends on the size of every
//! compressed block below it.

mod ahead;
mod block;
mod cache;
mod cursor;
mod error;
mod format;
pub(crate) mod fuzzing;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod naive;
mod properties;
mod reader;
mod source;
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
