//! Pages of stored records in order of name.

use kv::Store;

use crate::Result;
use crate::records::Stored;

/// Maximum number of records that a listing reads in one round trip.
const LIST_PAGE: usize = 1_000;
/// Minimum number of records that a listing reads in one round trip, since some of them may be
/// filtered out.
const MIN_LIST_PAGE: usize = 100;

/// The names to list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listing<'a> {
    pub prefix: &'a str,
    /// Exclusive.
    pub after: &'a str,
    pub limit: usize,
}

/// One page of the records below `folder` of a partition, in order of name, filtered by `keep`.
pub(crate) async fn list<T: Stored>(
    kv: &dyn Store,
    partition: &[u8],
    folder: &str,
    range: Listing<'_>,
    name: impl Fn(&T) -> String + Send,
    keep: impl Fn(&T) -> bool + Send,
) -> Result<base::Page<T>> {
    let prefix = format!("{folder}{}", range.prefix);
    let after = format!("{folder}{}", range.after);
    let mut start = prefix.clone().into_bytes();
    if !range.after.is_empty() && after.as_bytes() >= start.as_slice() {
        start = successor(after.as_bytes());
    }
    let mut page = base::Page::empty();
    loop {
        let limit = range
            .limit
            .saturating_add(1)
            .saturating_sub(page.results.len())
            .clamp(MIN_LIST_PAGE, LIST_PAGE);
        let read = kv.scan(partition, &start, limit).await?;
        let read = read.within(prefix.as_bytes());
        for entry in read.entries {
            let record = T::decode(entry.value)?;
            if !keep(&record) {
                continue;
            }
            if page.results.len() == range.limit {
                page.has_more = true;
                page.next_offset = page.results.last().map(&name).unwrap_or_default();
                return Ok(page);
            }
            page.results.push(record);
        }
        match read.next {
            Some(next) => start = next.into(),
            None => return Ok(page),
        }
    }
}

/// The first key after `key`.
fn successor(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}
