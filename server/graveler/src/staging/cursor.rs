//! What a branch holds: staged changes laid over the head's tree.

use std::sync::Arc;

use async_trait::async_trait;
use base::OffsetDateTime;
use bytes::Bytes;

use super::{Layers, StagedChanges};
use crate::committed::{Change, ChangeCursor as _};
use crate::engine::Engine;
use crate::{Branch, BranchRecord, Cursor, Error, Record, Repository, Result};

/// How often in a row answers may come too late while the branch changes.
const MAX_FRUITLESS: u32 = 10;

/// Live records of a branch, tombstones skipped.
///
/// Not a snapshot: a cursor that is read for so long that its tokens may have been
/// emptied looks at the branch again and goes on behind the last key with what the
/// branch is by then. Every key is as the branch had it at some moment between
/// the opening and the end, and none is missed.
#[derive(Debug)]
pub(crate) struct BranchCursor {
    engine: Arc<Engine>,
    repository: Repository,
    branch: Branch,
    /// Without what is committed (`branch$`).
    staged_only: bool,
    looked_at: OffsetDateTime,
    staged: StagedChanges,
    /// Of the rows that `staged` has read, those that the engine was told of.
    told_rows: u64,
    change: Option<Change>,
    committed: Option<Box<dyn Cursor>>,
    record: Option<Record>,
    /// Where to go on after looking at the branch again.
    resume: Bytes,
    ended: bool,
    /// How often in a row what was read came too late.
    fruitless: u32,
}

impl BranchCursor {
    pub(crate) async fn open(
        engine: Arc<Engine>,
        repository: Repository,
        branch: Branch,
        staged_only: bool,
    ) -> Result<Self> {
        let looked_at = engine.clock.now();
        let staged = StagedChanges::new(&engine.kv, []);
        let mut cursor = Self {
            engine,
            repository,
            branch,
            staged_only,
            looked_at,
            staged,
            told_rows: 0,
            change: None,
            committed: None,
            record: None,
            resume: Bytes::new(),
            ended: false,
            fruitless: 0,
        };
        cursor.open_layers().await?;
        Ok(cursor)
    }

    async fn open_layers(&mut self) -> Result<()> {
        self.told_rows = 0;
        if self.staged_only {
            self.staged = StagedChanges::new(&self.engine.kv, self.branch.record.tokens());
        } else {
            let Layers { tokens, tree } =
                self.engine.layers(&self.repository, &self.branch).await?;
            self.staged = StagedChanges::new(&self.engine.kv, &tokens);
            self.committed = Some(
                self.engine
                    .committed
                    .cursor(&self.repository.storage_namespace, &tree)
                    .await?,
            );
        }
        Ok(())
    }

    /// Looks at the branch again if its tokens may soon be emptied behind our back.
    async fn refresh(&mut self) -> Result<()> {
        let now = self.engine.clock.now();
        if now - self.looked_at >= self.engine.token_grace / 2 {
            self.look_again(now).await?;
        }
        Ok(())
    }

    /// Whether a request took so long that the tokens may have been emptied before it was answered, and
    /// the branch has changed: then what was read is forgotten.
    async fn was_late(&mut self) -> Result<bool> {
        let now = self.engine.clock.now();
        if now - self.looked_at <= self.engine.token_grace / 2 {
            return Ok(false);
        }
        self.look_again(now).await
    }

    /// Goes on with what the branch is now, if it has changed.
    async fn look_again(&mut self, now: OffsetDateTime) -> Result<bool> {
        let record: BranchRecord = self
            .engine
            .refs
            .branch(&self.repository, &self.branch.id)
            .await?
            .record;
        self.looked_at = now;
        if record == self.branch.record {
            return Ok(false);
        }
        self.branch.record = record;
        self.open_layers().await?;
        self.change = None;
        self.record = None;
        let resume = self.resume.clone();
        self.seek(&resume);
        Ok(true)
    }

    async fn fill(&mut self) -> Result<()> {
        if self.change.is_none() {
            self.change = self.staged.next().await?;
            self.tell();
        }
        if self.record.is_none()
            && let Some(committed) = &mut self.committed
        {
            self.record = committed.next().await?;
        }
        Ok(())
    }

    /// Tells the engine of rows read, once they are many.
    fn tell(&mut self) {
        let rows = self.staged.rows_read() - self.told_rows;
        if !self.staged_only && rows >= self.engine.materializer.after_rows() {
            self.told_rows += rows;
            let (repository, branch) = (&self.repository, &self.branch.id);
            self.engine.passed_over(repository, branch, rows);
        }
    }

    /// Behind `key` is where reading goes on.
    fn pass(&mut self, key: &[u8]) {
        let mut behind = Vec::with_capacity(key.len() + 1);
        behind.extend_from_slice(key);
        behind.push(0);
        self.resume = Bytes::from(behind);
    }
}

#[async_trait]
impl Cursor for BranchCursor {
    async fn next(&mut self) -> Result<Option<Record>> {
        if self.ended {
            return Ok(None);
        }
        loop {
            self.refresh().await?;
            self.fill().await?;
            if self.was_late().await? {
                self.fruitless += 1;
                if self.fruitless == MAX_FRUITLESS {
                    return Err(Error::TooManyTries(format!("branch {}", self.branch.id)));
                }
                continue;
            }
            self.fruitless = 0;
            let staged_first = match (&self.change, &self.record) {
                (None, None) => {
                    self.ended = true;
                    return Ok(None);
                }
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some(change), Some(record)) => change.key <= record.key,
            };
            if !staged_first {
                let record = self.record.take().expect("there is a committed record");
                self.pass(&record.key);
                return Ok(Some(record));
            }
            let Change { key, value } = self.change.take().expect("there is a staged change");
            if self.record.as_ref().is_some_and(|record| record.key == key) {
                self.record = None;
            }
            self.pass(&key);
            if let Some(value) = value {
                return Ok(Some(Record { key, value }));
            }
        }
    }

    fn seek(&mut self, key: &[u8]) {
        if key > self.resume.as_ref() {
            self.resume = Bytes::copy_from_slice(key);
        }
        if self
            .change
            .as_ref()
            .is_none_or(|change| change.key.as_ref() < key)
        {
            self.change = None;
            self.staged.seek(key);
        }
        if self
            .record
            .as_ref()
            .is_none_or(|record| record.key.as_ref() < key)
        {
            self.record = None;
            if let Some(committed) = &mut self.committed {
                committed.seek(key);
            }
        }
    }
}

/// Live records of tokens that no branch names.
#[derive(Debug)]
pub(crate) struct TokensCursor(pub(crate) StagedChanges);

#[async_trait]
impl Cursor for TokensCursor {
    async fn next(&mut self) -> Result<Option<Record>> {
        while let Some(Change { key, value }) = self.0.next().await? {
            if let Some(value) = value {
                return Ok(Some(Record { key, value }));
            }
        }
        Ok(None)
    }

    fn seek(&mut self, key: &[u8]) {
        self.0.seek(key);
    }
}
