//! The properties block, which describes a table to lakeFS, Spark and Weir.
//!
//! User properties (`type`, `count`, `min_key` ...) and those of the table format share one block,
//! sorted by name. The writer stores all properties that the format's reference implementation
//! stores, since files are compared byte for byte.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::block::{Block, BlockBuilder, KeyForm};
use super::error::{Error, Result};
use super::format::put_uvarint;

const COMPARATOR: &str = "leveldb.BytewiseComparator";
const MERGE_OPERATOR: &str = "pebble.concatenate";
const COMPRESSION_OPTIONS: &str = "window_bits=-14; level=32767; strategy=0; max_dict_bytes=0; zstd_max_train_bytes=0; enabled=0; ";
const NO_COLUMN_FAMILY: u64 = 2_147_483_647;
const INDEX_SINGLE: u32 = 0;
const INDEX_TWO_LEVEL: u32 = 2;

/// The writer's counters.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) data_size: u64,
    pub(super) data_blocks: u64,
    pub(super) index_size: u64,
    /// Number of lower index blocks and size of the top one; `None` if the index has one level.
    pub(super) two_level: Option<(u64, u64)>,
    pub(super) entries: u64,
    pub(super) raw_key_size: u64,
    pub(super) raw_value_size: u64,
}

/// Encodes the block: `user` properties and those that the format requires.
pub(super) fn encode(user: BTreeMap<Vec<u8>, Vec<u8>>, counts: &Counts) -> Vec<u8> {
    let mut all = user;
    let mut put = |name: &str, value: Vec<u8>| {
        all.insert(format!("rocksdb.{name}").into_bytes(), value);
    };
    let index_type = if counts.two_level.is_some() {
        INDEX_TWO_LEVEL
    } else {
        INDEX_SINGLE
    };
    put(
        "block.based.table.index.type",
        index_type.to_le_bytes().to_vec(),
    );
    put("block.based.table.prefix.filtering", b"0".to_vec());
    put("block.based.table.whole.key.filtering", b"0".to_vec());
    put("comparator", COMPARATOR.into());
    put("compression", b"Snappy".to_vec());
    put("compression_options", COMPRESSION_OPTIONS.into());
    put(
        "external_sst_file.global_seqno",
        0u64.to_le_bytes().to_vec(),
    );
    put("external_sst_file.version", 2u32.to_le_bytes().to_vec());
    put("merge.operator", MERGE_OPERATOR.into());
    put("prefix.extractor.name", b"nullptr".to_vec());
    put("property.collectors", b"[static]".to_vec());
    let mut put_number = |name: &str, number: u64| {
        let mut value = Vec::new();
        put_uvarint(&mut value, number);
        put(name, value);
    };
    put_number("column.family.id", NO_COLUMN_FAMILY);
    put_number("data.size", counts.data_size);
    put_number("index.size", counts.index_size);
    put_number("num.data.blocks", counts.data_blocks);
    put_number("num.entries", counts.entries);
    put_number("raw.key.size", counts.raw_key_size);
    put_number("raw.value.size", counts.raw_value_size);
    if let Some((partitions, top_size)) = counts.two_level {
        put_number("index.partitions", partitions);
        put_number("top-level.index.size", top_size);
    }
    for zero in [
        "creation.time",
        "deleted.keys",
        "filter.size",
        "fixed.key.length",
        "format.version",
        "index.key.is.user.key",
        "index.value.is.delta.encoded",
        "merge.operands",
        "num.range-deletions",
        "oldest.key.time",
    ] {
        put_number(zero, 0);
    }
    let mut block = BlockBuilder::new(usize::MAX);
    for (name, value) in &all {
        block.add_raw(name, value);
    }
    block.finish()
}

/// A table's properties by name, as stored.
#[derive(Debug, Clone, Default)]
pub struct Properties(BTreeMap<Bytes, Bytes>);

impl Properties {
    /// Decodes the block, and checks that this reader supports the table.
    pub(super) fn decode(payload: Bytes) -> Result<Self> {
        let block = Block::decode(payload, KeyForm::Raw)?;
        let copy = |bytes: Bytes| Bytes::copy_from_slice(&bytes);
        let properties = Self(
            (0..block.len())
                .map(|at| (copy(block.key(at)), copy(block.value(at))))
                .collect(),
        );
        properties.require("rocksdb.comparator", COMPARATOR)?;
        properties.require("rocksdb.merge.operator", MERGE_OPERATOR)?;
        Ok(properties)
    }

    /// A property's stored value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.0.get(name.as_bytes())
    }

    /// The table's `type`: `ranges` or `metaranges`; empty if missing.
    #[must_use]
    pub fn kind(&self) -> &[u8] {
        self.get("type").map_or(b"", |kind| kind)
    }

    /// The first key; empty in an empty table.
    #[must_use]
    pub fn min_key(&self) -> Bytes {
        self.get("min_key").cloned().unwrap_or_default()
    }

    /// The last key; empty in an empty table.
    #[must_use]
    pub fn max_key(&self) -> Bytes {
        self.get("max_key").cloned().unwrap_or_default()
    }

    /// The number of records, if stored.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        self.decimal("count")
    }

    /// The writer's estimate of the size in bytes, if stored.
    #[must_use]
    pub fn estimated_size_bytes(&self) -> Option<u64> {
        self.decimal("estimated_size_bytes")
    }

    /// All properties, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.0.iter()
    }

    /// Whether the index has two levels.
    pub(super) fn has_two_level_index(&self) -> Result<bool> {
        const NAME: &str = "rocksdb.block.based.table.index.type";
        let stored = self.get(NAME).map(|value| &value[..]);
        match stored
            .and_then(|value| value.try_into().ok())
            .map(u32::from_le_bytes)
        {
            Some(INDEX_SINGLE) => Ok(false),
            Some(INDEX_TWO_LEVEL) => Ok(true),
            Some(other) => Err(Error::Unsupported(format!("index type {other}"))),
            None => Err(Error::corrupt("the table does not state its index type")),
        }
    }

    /// The size of the properties in memory, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.0
            .iter()
            .map(|(name, value)| name.len() + value.len() + 2 * size_of::<Bytes>())
            .sum()
    }

    fn decimal(&self, name: &str) -> Option<u64> {
        std::str::from_utf8(self.get(name)?).ok()?.parse().ok()
    }

    fn require(&self, name: &str, expected: &str) -> Result<()> {
        match self.get(name) {
            Some(value) if value == expected.as_bytes() => Ok(()),
            Some(value) => {
                let value = String::from_utf8_lossy(value);
                Err(Error::Unsupported(format!(
                    "{name} is {value:?}, not {expected:?}"
                )))
            }
            None => Err(Error::Unsupported(format!(
                "the table does not state {name}"
            ))),
        }
    }
}
