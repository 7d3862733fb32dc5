//! Writes one table in memory: takes sorted records, returns the file and its id.
//!
//! The writer is CPU-bound and synchronous, and holds the whole file. Callers bound it by starting a
//! new table at some [`Writer::estimated_size`]. It makes the same decisions as lakeFS's
//! writer: when to close a block, which key to put in the index, and when to keep the compressed form.

use std::collections::BTreeMap;
use std::io::Write as _;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::block::{BlockBuilder, Packer};
use super::error::{Error, Result};
use super::format::{
    self, BLOCK_TRAILER_BYTES, BlockHandle, DATA_RESTART_INTERVAL, ESTIMATED_HANDLE_BYTES, Footer,
    INDEX_RESTART_INTERVAL, KEY_TRAILER_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES, PROPERTIES_KEY,
    TRAILER_INVALID, TRAILER_SET,
};
use super::properties::{self, Counts};

/// Builds a table from records in strictly ascending key order.
#[derive(Debug)]
pub struct Writer {
    file: Vec<u8>,
    packer: Packer,
    data: BlockBuilder,
    index: BlockBuilder,
    /// Finished lower index blocks; if there are any, the index has two levels.
    partitions: Vec<Partition>,
    min_key: Bytes,
    last_key: Vec<u8>,
    counts: Counts,
    digest: Sha256,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Partition {
    last_key: Vec<u8>,
    payload: Vec<u8>,
}

/// A finished table.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The file's content.
    pub bytes: Bytes,
    /// The table's id: 64 hex digits of a hash over its records and properties.
    pub id: String,
    /// The first key; empty in an empty table.
    pub min_key: Bytes,
    /// The last key; empty in an empty table.
    pub max_key: Bytes,
    /// The number of records.
    pub count: u64,
    /// The size in bytes, estimated before the last block was closed.
    pub estimated_size_bytes: u64,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// Starts an empty table.
    #[must_use]
    pub fn new() -> Self {
        Self {
            file: Vec::new(),
            packer: Packer::default(),
            data: BlockBuilder::new(DATA_RESTART_INTERVAL),
            index: BlockBuilder::new(INDEX_RESTART_INTERVAL),
            partitions: Vec::new(),
            min_key: Bytes::new(),
            last_key: Vec::new(),
            counts: Counts::default(),
            digest: Sha256::new(),
            scratch: Vec::new(),
        }
    }

    /// Adds a record; `value` is a frame made by [`super::encode_value`].
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] if `key` is not greater than the previous one, [`Error::TooLarge`] for a
    /// key or value that readers do not accept. The writer is then unchanged.
    pub fn add(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        check_len("key", key.len(), MAX_KEY_BYTES)?;
        check_len("value", value.len(), MAX_VALUE_BYTES)?;
        if self.counts.entries == 0 {
            self.min_key = Bytes::copy_from_slice(key);
        } else if key <= &self.last_key[..] {
            return Err(Error::OutOfOrder {
                key: String::from_utf8_lossy(key).into_owned(),
                last: String::from_utf8_lossy(&self.last_key).into_owned(),
            });
        }
        if self
            .data
            .should_flush(key.len() + KEY_TRAILER_BYTES, value.len())
        {
            let (index_key, trailer) = format::separator(&self.last_key, key);
            self.flush_data(&index_key, trailer);
        }
        self.data.add(key, TRAILER_SET, value);
        self.hash(key, value);
        self.counts.entries += 1;
        self.counts.raw_key_size += (key.len() + KEY_TRAILER_BYTES) as u64;
        self.counts.raw_value_size += value.len() as u64;
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        Ok(())
    }

    /// The number of records so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.entries
    }

    /// The last added key; empty before the first.
    #[must_use]
    pub fn last_key(&self) -> &[u8] {
        &self.last_key
    }

    /// lakeFS's estimate of the table's size so far, in bytes: closed data blocks as stored, plus the
    /// open data block and the open index block uncompressed.
    ///
    /// Ranges are split by this number, and metaranges record it.
    #[must_use]
    pub fn estimated_size(&self) -> u64 {
        (self.file.len() + self.data.estimated_size() + self.index.estimated_size()) as u64
    }

    /// Closes the table. Its id covers the `user` properties (`type` and others).
    #[must_use]
    pub fn finish(self, user: &BTreeMap<String, String>) -> Finished {
        let finished = self.finish_unchecked(user);
        #[cfg(test)]
        super::test_tables::check_and_keep(&finished);
        finished
    }

    /// Closes the table without the check that tests apply to every table; for tests that write
    /// invalid content.
    pub(crate) fn finish_unchecked(mut self, user: &BTreeMap<String, String>) -> Finished {
        let estimated_size_bytes = self.estimated_size();
        let (index_key, trailer) = match self.counts.entries {
            0 => (Vec::new(), TRAILER_INVALID),
            _ => format::successor(&self.last_key),
        };
        self.flush_data(&index_key, trailer);
        self.counts.data_size = self.file.len() as u64;
        let index = self.write_index();

        let mut digest = std::mem::take(&mut self.digest);
        hash_properties(&mut digest, user);
        let mut all: BTreeMap<Vec<u8>, Vec<u8>> = user
            .iter()
            .map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes()))
            .collect();
        all.insert(b"min_key".to_vec(), self.min_key.to_vec());
        all.insert(b"max_key".to_vec(), self.last_key.clone());
        all.insert(
            b"count".to_vec(),
            self.counts.entries.to_string().into_bytes(),
        );
        all.insert(
            b"estimated_size_bytes".to_vec(),
            estimated_size_bytes.to_string().into_bytes(),
        );
        let properties = Packer::append_raw(&mut self.file, &properties::encode(all, &self.counts));

        let mut metaindex = BlockBuilder::new(INDEX_RESTART_INTERVAL);
        metaindex.add_raw(PROPERTIES_KEY, &encode_handle(properties));
        let metaindex = Packer::append_raw(&mut self.file, &metaindex.finish());
        Footer { metaindex, index }.encode(&mut self.file);
        Finished {
            bytes: Bytes::from(self.file),
            id: hex::encode(digest.finalize()),
            min_key: self.min_key,
            max_key: Bytes::from(self.last_key),
            count: self.counts.entries,
            estimated_size_bytes,
        }
    }

    /// Closes the open data block and adds its index entry.
    fn flush_data(&mut self, index_key: &[u8], trailer: u64) {
        let handle = self.packer.append(&mut self.file, &self.data.finish());
        self.counts.data_blocks += 1;
        if self
            .index
            .should_flush(index_key.len() + KEY_TRAILER_BYTES, ESTIMATED_HANDLE_BYTES)
        {
            self.flush_index();
        }
        self.index.add(index_key, trailer, &encode_handle(handle));
    }

    fn flush_index(&mut self) {
        let last_key = self.index.last_key().to_vec();
        self.partitions.push(Partition {
            last_key,
            payload: self.index.finish(),
        });
    }

    /// Appends the index, with one level or two, and returns the position of its root.
    fn write_index(&mut self) -> BlockHandle {
        if self.partitions.is_empty() {
            return self.write_root();
        }
        self.flush_index();
        let partitions = std::mem::take(&mut self.partitions);
        for partition in &partitions {
            let handle = self.packer.append(&mut self.file, &partition.payload);
            self.counts.index_size += partition.payload.len() as u64;
            // The key includes its trailer.
            let (user_key, trailer) = format::split_internal_key(&partition.last_key)
                .expect("index keys are written with a trailer");
            self.index.add(user_key, trailer, &encode_handle(handle));
        }
        self.counts.two_level = Some((partitions.len() as u64, self.index.estimated_size() as u64));
        self.write_root()
    }

    fn write_root(&mut self) -> BlockHandle {
        let payload = self.index.finish();
        self.counts.index_size += (payload.len() + BLOCK_TRAILER_BYTES) as u64;
        self.packer.append(&mut self.file, &payload)
    }

    fn hash(&mut self, key: &[u8], value: &[u8]) {
        for part in [key, value] {
            self.scratch.clear();
            write!(self.scratch, "{}", part.len()).expect("writing to memory succeeds");
            self.digest.update(&self.scratch);
            self.digest.update(part);
            self.digest.update(b"|");
        }
    }
}

fn check_len(what: &'static str, len: usize, limit: usize) -> Result<()> {
    if len > limit {
        Err(Error::TooLarge { what, len, limit })
    } else {
        Ok(())
    }
}

fn encode_handle(handle: BlockHandle) -> Vec<u8> {
    let mut out = Vec::with_capacity(ESTIMATED_HANDLE_BYTES);
    handle.encode(&mut out);
    out
}

/// Hashes the properties into an id, in the encoding that lakeFS uses for identities.
fn hash_properties(digest: &mut Sha256, user: &BTreeMap<String, String>) {
    let number = |digest: &mut Sha256, tag: u8, value: usize| {
        digest.update([tag, 0x02, 0x08]);
        digest.update((value as u64).to_be_bytes());
    };
    number(digest, 0x04, user.len());
    for text in user.iter().flat_map(|(name, value)| [name, value]) {
        number(digest, 0x01, text.len());
        digest.update(text.as_bytes());
    }
}
