//! A [`Cursor`] over the records of one tree.

use async_trait::async_trait;

use super::record;
use super::walker::{Front, Walker};
use crate::{Cursor, Record, Result};

/// Walks all records. A seek skips ranges without opening them.
#[derive(Debug)]
pub(super) struct TreeCursor(Walker);

impl TreeCursor {
    pub(super) fn new(walker: Walker) -> Self {
        Self(walker)
    }
}

#[async_trait]
impl Cursor for TreeCursor {
    async fn next(&mut self) -> Result<Option<Record>> {
        loop {
            self.0.settle().await?;
            match self.0.front() {
                Front::End => return Ok(None),
                Front::Range(_) => self.0.enter().await?,
                Front::Record(record) => {
                    let found = Record {
                        key: record.key.clone(),
                        value: record::value(record)?,
                    };
                    self.0.take_record();
                    return Ok(Some(found));
                }
            }
        }
    }

    fn seek(&mut self, key: &[u8]) {
        self.0.seek(key);
    }

    fn end_at(&mut self, key: &[u8]) {
        self.0.end_at(key);
    }
}
