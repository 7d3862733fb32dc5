//! A seekable cursor over one partition that reads pages of growing size.
//!
//! A short read costs a small page. On a long run the cursor reads large pages and prefetches the next page
//! while the caller consumes the current one. It holds at most these two pages. [`SCAN_PAGE_BYTES`](crate::SCAN_PAGE_BYTES)
//! bounds the size of each. A cursor is not a snapshot: it returns entries that are written beyond these pages, but not entries
//! that are written before its position.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::{Entry, Error, Result, ScanPage, Store};

/// Size of the first page, in entries.
const FIRST_PAGE: usize = 32;
/// Minimum size of the first page after a seek beyond the current page. Callers that seek tend to seek
/// again after about the same number of entries, so the page size follows that number.
const PAGE_AFTER_SEEK: usize = 4;
/// Factor by which each page is larger than the previous one.
const GROWTH: usize = 4;
/// Maximum page size, in entries.
const LARGEST_PAGE: usize = 1000;

/// Walks one partition in ascending key order.
#[derive(Debug)]
pub struct Cursor {
    store: Arc<dyn Store>,
    partition: Bytes,
    /// Entries read but not yet returned.
    page: VecDeque<Entry>,
    /// First key of the page after `page`.
    start: Bytes,
    page_size: usize,
    pages_read: u64,
    entries_read: u64,
    /// Entries returned since the last seek beyond the current page.
    returned: usize,
    /// Whether `page` is the last one.
    at_end: bool,
    /// The prefetch of the next page: at most one task. Dropping the cursor aborts it.
    next_page: JoinSet<Result<ScanPage>>,
}

impl Cursor {
    /// Creates a cursor at the first key >= `start`. Reads nothing before [`Cursor::next`] is called.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, partition: &[u8], start: &[u8]) -> Self {
        Self {
            store,
            partition: Bytes::copy_from_slice(partition),
            page: VecDeque::new(),
            start: Bytes::copy_from_slice(start),
            page_size: FIRST_PAGE,
            pages_read: 0,
            entries_read: 0,
            returned: 0,
            at_end: false,
            next_page: JoinSet::new(),
        }
    }

    /// Returns the next entry, or `None` at the end.
    ///
    /// # Errors
    /// Any error of [`Store::scan`]. The cursor does not move, so the call can be repeated.
    pub async fn next(&mut self) -> Result<Option<Entry>> {
        if self.page.is_empty() && !self.at_end {
            self.read_page().await?;
        }
        self.returned += 1;
        Ok(self.page.pop_front())
    }

    /// Moves forward to the first key >= `key`. Does nothing if the cursor is already beyond it.
    pub fn seek(&mut self, key: &[u8]) {
        let skipped = self.page.partition_point(|entry| entry.key < key);
        if skipped < self.page.len() {
            self.page.drain(..skipped);
            return;
        }
        self.page.clear();
        if self.start < key {
            self.start = Bytes::copy_from_slice(key);
            self.next_page = JoinSet::new();
            self.page_size =
                (self.returned + self.returned / 4).clamp(PAGE_AFTER_SEEK, LARGEST_PAGE);
            self.returned = 0;
        }
    }

    /// Returns the number of pages read from the store.
    #[must_use]
    pub fn pages_read(&self) -> u64 {
        self.pages_read
    }

    /// Returns the number of entries read from the store, including those skipped by seeks.
    #[must_use]
    pub fn entries_read(&self) -> u64 {
        self.entries_read
    }

    async fn read_page(&mut self) -> Result<()> {
        let ScanPage { entries, next } = match self.next_page.join_next().await {
            Some(read) => read.map_err(|error| Error::storage("read the next page", error))??,
            None => {
                self.store
                    .scan(&self.partition, &self.start, self.page_size)
                    .await?
            }
        };
        let is_long_run = self.page_size == LARGEST_PAGE;
        match next {
            Some(next) => self.start = next,
            None => self.at_end = true,
        }
        self.pages_read += 1;
        self.entries_read += entries.len() as u64;
        self.page = entries.into();
        self.page_size = (self.page_size * GROWTH).min(LARGEST_PAGE);
        if is_long_run && !self.at_end {
            let (store, partition) = (Arc::clone(&self.store), self.partition.clone());
            let start = self.start.clone();
            self.next_page
                .spawn(async move { store.scan(&partition, &start, LARGEST_PAGE).await });
        }
        Ok(())
    }
}
