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
        all.insert(format!("{FORMAT_PREFIX}{name}").into_bytes(), value);
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

/// The prefix of the names of properties of the table format.
const FORMAT_PREFIX: &str = "rocksdb.";

/// A table's properties by name, without those of the table format. Each cached table keeps them in memory.
#[derive(Debug)]
pub struct Properties {
    /// In order of name.
    user: Box<[Property]>,
    /// Whether the index has two levels.
    pub(super) has_two_level_index: bool,
}

#[derive(Debug)]
struct Property {
    name: Box<[u8]>,
    value: Box<[u8]>,
}

impl Properties {
    /// Decodes the block, and checks that this reader supports the table.
    pub(super) fn decode(payload: Bytes) -> Result<Self> {
        let block = Block::decode(payload, KeyForm::Raw)?;
        require(&block, "rocksdb.comparator", COMPARATOR)?;
        require(&block, "rocksdb.merge.operator", MERGE_OPERATOR)?;
        let is_of_user = |at: &usize| !block.key_slice(*at).starts_with(FORMAT_PREFIX.as_bytes());
        let property = |at| Property {
            name: block.key_slice(at).into(),
            value: block.value_slice(at).into(),
        };
        Ok(Self {
            user: (0..block.len()).filter(is_of_user).map(property).collect(),
            has_two_level_index: has_two_level_index(&block)?,
        })
    }

    /// A property's stored value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self
            .user
            .binary_search_by(|property| property.name[..].cmp(name.as_bytes()));
        found.ok().map(|at| &self.user[at].value[..])
    }

    /// The table's `type`: `ranges` or `metaranges`; empty if missing.
    #[must_use]
    pub fn kind(&self) -> &[u8] {
        self.get("type").unwrap_or_default()
    }

    /// The first key; empty in an empty table.
    #[must_use]
    pub fn min_key(&self) -> &[u8] {
        self.get("min_key").unwrap_or_default()
    }

    /// The last key; empty in an empty table.
    #[must_use]
    pub fn max_key(&self) -> &[u8] {
        self.get("max_key").unwrap_or_default()
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

    /// The size of the properties in memory, in bytes.
    pub(super) fn weight(&self) -> usize {
        let bytes = self.user.iter().map(|p| p.name.len() + p.value.len());
        bytes.sum::<usize>() + size_of_val(&*self.user)
    }

    fn decimal(&self, name: &str) -> Option<u64> {
        std::str::from_utf8(self.get(name)?).ok()?.parse().ok()
    }
}

fn has_two_level_index(block: &Block) -> Result<bool> {
    let stored = find(block, "rocksdb.block.based.table.index.type");
    let stored = stored.and_then(|value| value.try_into().ok());
    match stored.map(u32::from_le_bytes) {
        Some(INDEX_SINGLE) => Ok(false),
        Some(INDEX_TWO_LEVEL) => Ok(true),
        Some(other) => Err(Error::Unsupported(format!("index type {other}"))),
        None => Err(Error::corrupt("the table does not state its index type")),
    }
}

fn require(block: &Block, name: &str, expected: &str) -> Result<()> {
    match find(block, name) {
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

/// The stored value of a property in its block.
fn find<'a>(block: &'a Block, name: &str) -> Option<&'a [u8]> {
    let at = block.lower_bound(name.as_bytes());
    (at < block.len() && block.key_slice(at) == name.as_bytes()).then(|| block.value_slice(at))
}
