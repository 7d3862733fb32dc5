//! How drivers fill the pages of a scan, and reads over several pages.

use std::future::Future;

use bytes::Bytes;

use crate::{Entry, Result, SCAN_PAGE_BYTES, ScanPage, Store};

/// Maximum number of entries that one statement of a scan reads.
pub(crate) const MAX_STATEMENT_ENTRIES: usize = 1_024;
/// Maximum size of a value that is read together with its key. A second statement reads the larger values, but only those that
/// fit on the page. A scan therefore reads at most [`SCAN_PAGE_BYTES`] of values that it does not return.
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

/// How a driver reads the rows of a scan.
pub(crate) trait RowReader: Sync {
    /// Returns the maximum number of entries that one statement reads: from 1 to [`MAX_STATEMENT_ENTRIES`].
    fn statement_entries(&self) -> usize;

    /// Reads up to `limit` rows with key >= `start`, without their large values.
    fn key_rows(
        &self,
        partition: &[u8],
        start: &[u8],
        limit: usize,
    ) -> impl Future<Output = Result<Vec<KeyRow>>> + Send;

    /// Reads values of one partition, in the order of `keys`.
    fn values(
        &self,
        partition: &[u8],
        keys: &[Bytes],
    ) -> impl Future<Output = Result<Vec<Option<Bytes>>>> + Send;
}

/// Reads one page of a scan with as many statements as it needs.
pub(crate) async fn read_page(
    reader: &impl RowReader,
    partition: &[u8],
    start: &[u8],
    limit: usize,
) -> Result<ScanPage> {
    let mut page = PageBuilder::new(start, limit);
    while page.room() > 0 {
        let limit = page.room().min(reader.statement_entries());
        let mut rows = reader.key_rows(partition, &page.start, limit).await?;
        let read = rows.len();
        let large = page.keep_fitting(&mut rows);
        let is_last = read < limit && rows.len() == read;
        page.extend(rows, reader.values(partition, &large).await?);
        if is_last {
            return Ok(page.last());
        }
    }
    Ok(page.full())
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
    /// The key at which the next statement starts.
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

    /// The number of entries that still fit, regardless of their size.
    pub(crate) fn room(&self) -> usize {
        if self.bytes >= SCAN_PAGE_BYTES {
            return 0;
        }
        self.limit - self.entries.len()
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.bytes += entry.key.len() + entry.value.len();
        self.entries.push(entry);
    }

    /// Drops the rows that do not fit on the page, and returns the keys of the large values that are still to be read.
    fn keep_fitting(&self, rows: &mut Vec<KeyRow>) -> Vec<Bytes> {
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

    /// Adds rows. `large` are the values that the rows lack, in order. A row is skipped if its value is `None`, because its
    /// key was deleted after the first statement.
    fn extend(&mut self, rows: Vec<KeyRow>, large: Vec<Option<Bytes>>) {
        if let Some(last) = rows.last() {
            self.start = successor(&last.key);
        }
        let mut large = large.into_iter();
        for KeyRow { key, value, .. } in rows {
            if let Some(value) = value.or_else(|| large.next().flatten()) {
                self.push(Entry { key, value });
            }
        }
    }

    /// Returns the page after which there are no more entries.
    pub(crate) fn last(self) -> ScanPage {
        ScanPage {
            entries: self.entries,
            next: None,
        }
    }

    /// Returns a page after which there may be more entries.
    pub(crate) fn full(self) -> ScanPage {
        let next = match self.entries.last() {
            // Entries were pushed singly.
            Some(last) if last.key >= self.start => successor(&last.key),
            _ => self.start,
        };
        ScanPage {
            entries: self.entries,
            next: Some(next),
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
        let large = page.keep_fitting(&mut rows);
        assert_eq!(large, ["0000", "0001", "0002", "0003"]);
        assert_eq!(rows.len(), 5);
    }

    /// Rows whose large values are deleted after the statement that reads the keys, up to `deleted_below`.
    struct RacingRows {
        keys: Vec<&'static str>,
        deleted_below: &'static str,
    }

    impl RowReader for RacingRows {
        fn statement_entries(&self) -> usize {
            2
        }

        async fn key_rows(&self, _: &[u8], start: &[u8], limit: usize) -> Result<Vec<KeyRow>> {
            let keys = self.keys.iter().filter(|key| key.as_bytes() >= start);
            Ok(keys.take(limit).map(|key| row(key, None, 9_999)).collect())
        }

        async fn values(&self, _: &[u8], keys: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
            let is_left = |key: &Bytes| key >= self.deleted_below;
            let values = keys.iter();
            Ok(values.map(|key| is_left(key).then(|| "v".into())).collect())
        }
    }

    /// Callers interpret an empty page as the end of the partition.
    #[tokio::test]
    async fn page_is_not_empty_if_more_entries_follow() {
        for (deleted_below, limit, keys, next) in [
            ("", 2, "ab", Some("b\0")),
            ("c", 1, "c", Some("c\0")),
            ("d", 2, "de", Some("e\0")),
            ("d", 3, "de", None),
            ("z", 2, "", None),
        ] {
            let rows = RacingRows {
                keys: vec!["a", "b", "c", "d", "e"],
                deleted_below,
            };
            let page = read_page(&rows, b"p", b"", limit).await.unwrap();
            let read: Vec<u8> = page.entries.iter().flat_map(|e| e.key.to_vec()).collect();
            assert_eq!(read, keys.as_bytes(), "below {deleted_below}");
            assert_eq!(page.next.as_deref(), next.map(str::as_bytes));
        }
    }

    #[test]
    fn value_deleted_between_two_statements_is_skipped() {
        let mut page = PageBuilder::new(b"", 10);
        let mut rows = vec![row("a", Some("1"), 1), row("b", None, 9_999)];
        assert_eq!(page.keep_fitting(&mut rows), ["b"]);
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
