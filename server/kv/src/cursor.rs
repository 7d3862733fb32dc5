//! A seekable cursor over one partition, reading pages that grow.
//!
//! Reads the first few entries cheaply and a long run in large pages, of which it has the next
//! one read while the caller works on the last. It keeps these two pages and no
//! snapshot: entries written behind it are not seen, entries written ahead of them are.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::{Entry, Error, Result, Store};

/// Entries of the first page.
const FIRST_PAGE: usize = 32;
/// Entries of the first page after a seek out of the page, at least: who jumps mostly jumps
/// again, after about as many entries as the last time.
const PAGE_AFTER_SEEK: usize = 4;
/// Each page is so many times as long as the one before it.
const GROWTH: usize = 4;
/// Entries of the largest page.
const LARGEST_PAGE: usize = 1000;

/// Walks one partition in ascending key order.
#[derive(Debug)]
pub struct Cursor {
    store: Arc<dyn Store>,
    partition: Bytes,
    /// Read and not yet given.
    page: VecDeque<Entry>,
    /// Where the page after `page` starts.
    start: Bytes,
    page_size: usize,
    pages_read: u64,
    entries_read: u64,
    /// Entries given since the last seek out of the page.
    given: usize,
    /// Whether nothing follows `page`.
    at_end: bool,
    /// The page after `page` on its way, of a long run: one task at most, which ends with the cursor.
    next_page: JoinSet<Result<Vec<Entry>>>,
}

impl Cursor {
    /// Starts at the first key >= `start`. Nothing is read before [`Cursor::next`].
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
            given: 0,
            at_end: false,
            next_page: JoinSet::new(),
        }
    }

    /// The next entry, or none at the end.
    ///
    /// # Errors
    /// Whatever the store's scan gives. The cursor has not moved: the call may be repeated.
    pub async fn next(&mut self) -> Result<Option<Entry>> {
        if self.page.is_empty() && !self.at_end {
            self.read_page().await?;
        }
        self.given += 1;
        Ok(self.page.pop_front())
    }

    /// Moves forward to the first key >= `key`; never backward.
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
            self.page_size = (self.given + self.given / 4).clamp(PAGE_AFTER_SEEK, LARGEST_PAGE);
            self.given = 0;
        }
    }

    /// Pages that were asked of the store, whatever was in them.
    #[must_use]
    pub fn pages_read(&self) -> u64 {
        self.pages_read
    }

    /// Entries that the store gave, passed over or not.
    #[must_use]
    pub fn entries_read(&self) -> u64 {
        self.entries_read
    }

    async fn read_page(&mut self) -> Result<()> {
        let entries = match self.next_page.join_next().await {
            Some(read) => read.map_err(|error| Error::storage("read the next page", error))??,
            None => {
                self.store
                    .scan(&self.partition, &self.start, self.page_size)
                    .await?
            }
        };
        let is_long_run = self.page_size == LARGEST_PAGE;
        self.at_end = entries.len() < self.page_size;
        if let Some(last) = entries.last() {
            // The least key greater than the last one.
            let mut successor = Vec::with_capacity(last.key.len() + 1);
            successor.extend_from_slice(&last.key);
            successor.push(0);
            self.start = successor.into();
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
