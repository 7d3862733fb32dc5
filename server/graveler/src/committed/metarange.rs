//! A metarange's records: one for each range, by the range's last key.
//!
//! The value is a frame whose identity is the range's id in hex and whose data is the
//! message below. Ranges do not overlap.

use bytes::Bytes;
use prost::Message as _;

use super::tables::{self, TableKind, is_table_id};
use crate::sstable::{Finished, Reader, Record, encode_value};
use crate::{Error, RangeId, Result};

/// What a metarange says of a range: lakeFS's `RangeData`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct RangeData {
    #[prost(bytes = "bytes", tag = "1")]
    min_key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    max_key: Bytes,
    #[prost(uint64, tag = "3")]
    estimated_size: u64,
    #[prost(int64, tag = "4")]
    count: i64,
}

/// A range as its metarange knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RangeRef {
    pub(super) id: RangeId,
    pub(super) min_key: Bytes,
    pub(super) max_key: Bytes,
    /// The metarange's framed value, carried verbatim from tree to tree.
    value: Bytes,
}

impl RangeRef {
    /// The reference to a range that has just been written.
    pub(super) fn to(table: &Finished) -> Self {
        let data = RangeData {
            min_key: table.min_key.clone(),
            max_key: table.max_key.clone(),
            estimated_size: table.estimated_size_bytes,
            count: i64::try_from(table.count).unwrap_or(i64::MAX),
        };
        Self {
            id: RangeId::trusted(table.id.as_str()),
            min_key: table.min_key.clone(),
            max_key: table.max_key.clone(),
            value: Bytes::from(encode_value(table.id.as_bytes(), &data.encode_to_vec())),
        }
    }

    /// Parses a metarange's record.
    pub(super) fn parse(record: &Record) -> Result<Self> {
        let corrupt = |reason: String| Error::Corrupt {
            what: "metarange".to_owned(),
            reason,
        };
        let (identity, data) = record
            .split_value()
            .map_err(|error| corrupt(error.to_string()))?;
        let id = std::str::from_utf8(&identity)
            .ok()
            .filter(|id| is_table_id(id));
        let id = id.ok_or_else(|| corrupt("a range's id is not 64 hex digits".to_owned()))?;
        let data =
            RangeData::decode(data).map_err(|error| corrupt(format!("range {id}: {error}")))?;
        if data.max_key != record.key || data.min_key > data.max_key {
            return Err(corrupt(format!(
                "the bounds of range {id} are not in order"
            )));
        }
        Ok(Self {
            id: RangeId::trusted(id),
            min_key: data.min_key,
            max_key: data.max_key,
            value: record.value.clone(),
        })
    }

    /// A reference to a range that is nowhere, with an id made of one byte.
    #[cfg(test)]
    pub(super) fn fake(content: u8, min_key: &str, max_key: &str) -> Self {
        Self {
            id: RangeId::trusted(hex::encode([content; 32])),
            min_key: Bytes::copy_from_slice(min_key.as_bytes()),
            max_key: Bytes::copy_from_slice(max_key.as_bytes()),
            value: Bytes::new(),
        }
    }

    /// The metarange's record: key and framed value.
    pub(super) fn record(&self) -> (&[u8], &[u8]) {
        (&self.max_key, &self.value)
    }
}

/// The range that may hold `key`: the first that ends at or after it, if it also begins there.
pub(super) async fn find(metarange: &Reader, id: &str, key: &[u8]) -> Result<Option<RangeRef>> {
    let reading = |error| tables::reading(TableKind::MetaRange, id, error);
    let mut cursor = metarange.cursor();
    cursor.seek(key).await.map_err(reading)?;
    let Some(record) = cursor.next().await.map_err(reading)? else {
        return Ok(None);
    };
    let range = RangeRef::parse(&record)?;
    Ok((range.min_key <= key).then_some(range))
}
