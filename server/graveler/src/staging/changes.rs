//! The staged changes of several tokens, merged into one sequence in order of key.
//!
//! Of a key in several tokens, only the newest change is returned.

use std::sync::Arc;

use async_trait::async_trait;
use kv::{Entry, Store};

use crate::committed::{Change, ChangeCursor};
use crate::records::decode_staged;
use crate::{Result, StagingToken};

/// A request to the store costs about as much as reading this many rows.
const ROWS_OF_A_REQUEST: u64 = 32;

/// Changes of several tokens in key order, each key once.
#[derive(Debug)]
pub(crate) struct StagedChanges {
    /// One source per token, newest first. A branch has few tokens: the writable token, and sealed tokens that were
    /// left by commits in flight, refused commits and undone resets. Seals keep the number of tokens bounded.
    sources: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    cursor: kv::Cursor,
    head: Option<Entry>,
    ended: bool,
}

impl StagedChanges {
    /// Opens the changes in `tokens`, given newest first.
    pub(crate) fn new<'a>(
        kv: &Arc<dyn Store>,
        tokens: impl IntoIterator<Item = &'a StagingToken>,
    ) -> Self {
        let open = |token: &StagingToken| Source {
            cursor: kv::Cursor::new(Arc::clone(kv), token.as_str().as_bytes(), b""),
            head: None,
            ended: false,
        };
        Self {
            sources: tokens.into_iter().map(open).collect(),
        }
    }

    /// The cost of the reads so far, in rows; a request counts as [`ROWS_OF_A_REQUEST`].
    pub(crate) fn rows_read(&self) -> u64 {
        let of =
            |cursor: &kv::Cursor| cursor.entries_read() + cursor.pages_read() * ROWS_OF_A_REQUEST;
        self.sources.iter().map(|source| of(&source.cursor)).sum()
    }

    /// Moves forward to the first key >= `key`, never backward. Does no I/O.
    pub(crate) fn seek(&mut self, key: &[u8]) {
        for source in &mut self.sources {
            if source
                .head
                .as_ref()
                .is_some_and(|head| head.key.as_ref() >= key)
            {
                continue;
            }
            source.head = None;
            source.cursor.seek(key);
        }
    }
}

#[async_trait]
impl ChangeCursor for StagedChanges {
    async fn next(&mut self) -> Result<Option<Change>> {
        let mut newest: Option<usize> = None;
        for index in 0..self.sources.len() {
            let source = &mut self.sources[index];
            if source.head.is_none() && !source.ended {
                source.head = source.cursor.next().await?;
                source.ended = source.head.is_none();
            }
            let Some(head) = &self.sources[index].head else {
                continue;
            };
            let best = newest.and_then(|i| self.sources[i].head.as_ref());
            if best.is_none_or(|best| head.key < best.key) {
                newest = Some(index);
            }
        }
        let Some(newest) = newest else {
            return Ok(None);
        };
        let Entry { key, value } = self.sources[newest]
            .head
            .take()
            .expect("the chosen source has a head");
        for older in &mut self.sources[newest + 1..] {
            if older.head.as_ref().is_some_and(|head| head.key == key) {
                older.head = None;
            }
        }
        Ok(Some(Change {
            key,
            value: decode_staged(value)?,
        }))
    }
}
