//! The records of a metarange: one per range, keyed by the range's last key.
//!
//! The value is a frame with the range's hex id as identity and a [`RangeData`] as data. Ranges do not
//! overlap.

use bytes::Bytes;
use prost::Message as _;

use super::tables::{self, TableKind, is_table_id};
use crate::sstable::{Finished, Reader, Record, encode_value};
use crate::{Error, RangeId, Result};

/// A metarange's description of a range: lakeFS's `RangeData`.
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

/// A reference to a range, as stored in its metarange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RangeRef {
    pub(super) id: RangeId,
    pub(super) min_key: Bytes,
    pub(super) max_key: Bytes,
    /// The metarange's framed value, copied verbatim from tree to tree.
    value: Bytes,
}

impl RangeRef {
    /// The reference to a newly written range.
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

    /// Parses a record of the metarange with the id `metarange`.
    pub(super) fn parse(record: &Record, metarange: &str) -> Result<Self> {
        let corrupt = |reason: String| Error::Corrupt {
            what: format!("metarange {metarange}"),
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
                "the bounds of range {id} are out of order"
            )));
        }
        Ok(Self {
            id: RangeId::trusted(id),
            min_key: data.min_key,
            max_key: data.max_key,
            value: record.value.clone(),
        })
    }

    /// A reference to a range that does not exist; `content` fills its id.
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

/// The range that may hold `key`: the first range that ends at or after the key, unless that range starts after the
/// key.
pub(super) async fn find(metarange: &Reader, id: &str, key: &[u8]) -> Result<Option<RangeRef>> {
    let read_error = |error| tables::read_error(TableKind::MetaRange, id, error);
    let mut cursor = metarange.cursor();
    cursor.seek(key).await.map_err(read_error)?;
    let Some(record) = cursor.next().await.map_err(read_error)? else {
        return Ok(None);
    };
    let range = RangeRef::parse(&record, id)?;
    Ok((range.min_key <= key).then_some(range))
}
