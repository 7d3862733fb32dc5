//! How drivers fill the pages of a scan, and reads over several pages.

use bytes::Bytes;

use crate::{Entry, Result, SCAN_PAGE_BYTES, ScanPage, Store};

/// Maximum number of entries that one statement of a scan reads.
pub(crate) const MAX_STATEMENT_ENTRIES: usize = 1_024;
/// Larger values are not read together with their keys, but in a second statement, once it is known how many of them the page
/// has room for. So one statement reads at most [`SCAN_PAGE_BYTES`] of values that the page then has no room for.
pub(crate) const MAX_INLINE_VALUE_BYTES: usize = SCAN_PAGE_BYTES / MAX_STATEMENT_ENTRIES;

/// Returns the first `count` entries whose keys start with `prefix`, or all if there are fewer.
///
/// # Errors
/// Any error of [`Store::scan`].
pub async fn first_entries(
    store: &dyn Store,
    partition: &[u8],
    prefix: &[u8],
    count: usize,
) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut next = Some(Bytes::copy_from_slice(prefix));
    while let Some(start) = next
        && entries.len() < count
    {
        let missing = count - entries.len();
        let page = store.scan(partition, &start, missing).await?;
        let page = page.within(prefix);
        entries.extend(page.entries);
        next = page.next;
    }
    Ok(entries)
}

/// A row of a statement of a scan.
#[derive(Debug)]
pub(crate) struct KeyRow {
    pub(crate) key: Bytes,
    /// `None` if the value is larger than [`MAX_INLINE_VALUE_BYTES`].
    pub(crate) value: Option<Bytes>,
    /// The size of the value.
    pub(crate) value_bytes: usize,
}

/// Fills a page.
#[derive(Debug)]
pub(crate) struct PageBuilder {
    entries: Vec<Entry>,
    start: Bytes,
    limit: usize,
    bytes: usize,
}

impl PageBuilder {
    pub(crate) fn new(start: &[u8], limit: usize) -> Self {
        Self {
            entries: Vec::new(),
            start: Bytes::copy_from_slice(start),
            limit,
            bytes: 0,
        }
    }

    /// The number of entries that the page has room for, regardless of their size.
    pub(crate) fn room(&self) -> usize {
        if self.bytes >= SCAN_PAGE_BYTES {
            return 0;
        }
        self.limit - self.entries.len()
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.bytes += entry.key.len() + entry.value.len();
        self.start = successor(&entry.key);
        self.entries.push(entry);
    }

    /// The smallest key that can follow in the page.
    pub(crate) fn start(&self) -> &Bytes {
        &self.start
    }

    /// Drops the rows for which the page has no room, and returns the keys of the values that are missing.
    pub(crate) fn missing(&self, rows: &mut Vec<KeyRow>) -> Vec<Bytes> {
        let mut bytes = self.bytes;
        let fitting = rows.iter().take_while(|row| {
            let has_room = bytes < SCAN_PAGE_BYTES;
            bytes += row.key.len() + row.value_bytes;
            has_room
        });
        let fitting = fitting.count();
        rows.truncate(fitting);
        let missing = rows.iter().filter(|row| row.value.is_none());
        missing.map(|row| row.key.clone()).collect()
    }

    /// Adds rows. `values` are the missing values, in order; those of keys that were deleted meanwhile are `None`.
    pub(crate) fn extend(&mut self, rows: Vec<KeyRow>, values: Vec<Option<Bytes>>) {
        let mut values = values.into_iter();
        for row in rows {
            match row.value.or_else(|| values.next().flatten()) {
                Some(value) => self.push(Entry {
                    key: row.key,
                    value,
                }),
                // The key was deleted after the first statement.
                None => self.start = successor(&row.key),
            }
        }
    }

    /// The page, if the entries end here.
    pub(crate) fn last(self) -> ScanPage {
        ScanPage {
            entries: self.entries,
            next: None,
        }
    }

    /// The page, if more entries may follow.
    pub(crate) fn full(self) -> ScanPage {
        ScanPage {
            entries: self.entries,
            next: Some(self.start),
        }
    }
}

/// Returns the smallest key greater than `key`.
fn successor(key: &[u8]) -> Bytes {
    [key, &[0]].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, value: Option<&'static str>, value_bytes: usize) -> KeyRow {
        KeyRow {
            key: Bytes::copy_from_slice(key.as_bytes()),
            value: value.map(Bytes::from),
            value_bytes,
        }
    }

    /// Guards against a bug: all large values of a page were in memory at once.
    #[test]
    fn only_the_large_values_that_fit_are_read() {
        let page = PageBuilder::new(b"", 1_000);
        let mut rows: Vec<KeyRow> = (0..1_000)
            .map(|n| row(&format!("{n:04}"), None, 1 << 20))
            .collect();
        rows.insert(2, row("0001a", Some("small"), 5));
        let missing = page.missing(&mut rows);
        assert_eq!(missing, ["0000", "0001", "0002", "0003"]);
        assert_eq!(rows.len(), 5);
    }

    #[test]
    fn value_deleted_between_two_statements_is_skipped() {
        let mut page = PageBuilder::new(b"", 10);
        let mut rows = vec![row("a", Some("1"), 1), row("b", None, 9_999)];
        assert_eq!(page.missing(&mut rows), ["b"]);
        page.extend(rows, vec![None]);
        let page = page.full();
        assert_eq!(page.entries.len(), 1);
        assert_eq!(page.next.as_deref(), Some(&b"b\0"[..]));
    }

    #[test]
    fn scan_ends_at_the_first_key_outside_of_the_prefix() {
        let entry = |key: &'static str| Entry {
            key: key.into(),
            value: Bytes::new(),
        };
        let page = |keys: &[&'static str]| ScanPage {
            entries: keys.iter().map(|key| entry(key)).collect(),
            next: Some("next".into()),
        };
        assert_eq!(page(&["a/1", "a/2"]).within(b"a/"), page(&["a/1", "a/2"]));
        let ended = page(&["a/1", "b"]).within(b"a/");
        assert_eq!((ended.entries.len(), ended.next), (1, None));
    }
}
