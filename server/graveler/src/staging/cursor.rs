//! Cursors over staged changes: of a branch, on top of its head's tree, and of tokens that left it.

use async_trait::async_trait;
use base::OffsetDateTime;
use bytes::Bytes;

use super::{Layers, StagedChanges};
use crate::committed::{Change, ChangeCursor as _};
use crate::{Branch, BranchRecord, Cursor, Error, Graveler, Record, Repository, Result};

/// The cursor fails when this many reads in a row finish too late while the branch changes.
const MAX_LATE_READS: u32 = 10;

/// The live records of a branch, without tombstones.
///
/// This is not a snapshot. Before the branch's tokens can be emptied, the cursor re-reads the branch
/// and continues after the last key with the branch's current state. Each key is returned or left
/// out as the branch had it at some moment while the cursor was open.
#[derive(Debug)]
pub(crate) struct BranchCursor {
    engine: Graveler,
    repository: Repository,
    branch: Branch,
    /// Whether to leave out the committed tree (`branch$`).
    staged_only: bool,
    read_at: OffsetDateTime,
    staged: StagedChanges,
    /// Number of rows read by `staged` that have been reported to the engine.
    reported_rows: u64,
    change: Option<Change>,
    committed: Option<Box<dyn Cursor>>,
    record: Option<Record>,
    /// The key to continue at after a reload.
    resume: Bytes,
    ended: bool,
    /// How many reads in a row finished too late.
    late_reads: u32,
}

impl BranchCursor {
    pub(crate) async fn open(
        engine: Graveler,
        repository: Repository,
        branch: Branch,
        staged_only: bool,
    ) -> Result<Self> {
        let read_at = engine.clock.now();
        let staged = engine.staging.changes([]);
        let mut cursor = Self {
            engine,
            repository,
            branch,
            staged_only,
            read_at,
            staged,
            reported_rows: 0,
            change: None,
            committed: None,
            record: None,
            resume: Bytes::new(),
            ended: false,
            late_reads: 0,
        };
        cursor.open_layers().await?;
        Ok(cursor)
    }

    async fn open_layers(&mut self) -> Result<()> {
        self.reported_rows = 0;
        if self.staged_only {
            self.staged = self.engine.staging.changes(self.branch.record.tokens());
        } else {
            let Layers { tokens, tree } =
                self.engine.layers(&self.repository, &self.branch).await?;
            self.staged = self.engine.staging.changes(&tokens);
            self.committed = Some(
                self.engine
                    .committed
                    .cursor(&self.repository.storage_namespace, &tree)
                    .await?,
            );
        }
        Ok(())
    }

    /// Reloads the branch if its tokens may soon be emptied.
    async fn refresh(&mut self) -> Result<()> {
        let now = self.engine.clock.now();
        if now - self.read_at >= self.engine.staging.token_grace / 2 {
            self.reload(now).await?;
        }
        Ok(())
    }

    /// Reloads the branch if the last read took so long that its tokens may have been emptied
    /// meanwhile. Returns whether the branch changed; the records just read are then discarded.
    async fn discard_if_late(&mut self) -> Result<bool> {
        let now = self.engine.clock.now();
        if now - self.read_at <= self.engine.staging.token_grace / 2 {
            return Ok(false);
        }
        self.reload(now).await
    }

    /// Re-reads the branch and, if it changed, continues with its new state. Returns whether it
    /// changed.
    async fn reload(&mut self, now: OffsetDateTime) -> Result<bool> {
        let record: BranchRecord = self
            .engine
            .refs
            .branch(&self.repository, &self.branch.id)
            .await?
            .record;
        self.read_at = now;
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
            self.report_rows();
        }
        if self.record.is_none()
            && let Some(committed) = &mut self.committed
        {
            self.record = committed.next().await?;
        }
        Ok(())
    }

    /// Reports the skipped rows to the engine once there are enough.
    fn report_rows(&mut self) {
        let rows = self.staged.rows_read() - self.reported_rows;
        if !self.staged_only && rows >= self.engine.materializer.after_rows() {
            self.reported_rows += rows;
            let (repository, branch) = (&self.repository, &self.branch.id);
            self.engine.note_skipped_rows(repository, branch, rows);
        }
    }

    /// Continues after `key`.
    fn advance_past(&mut self, key: &[u8]) {
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
            if self.discard_if_late().await? {
                self.late_reads += 1;
                if self.late_reads == MAX_LATE_READS {
                    return Err(Error::TooManyTries(format!("branch {}", self.branch.id)));
                }
                continue;
            }
            self.late_reads = 0;
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
                self.advance_past(&record.key);
                return Ok(Some(record));
            }
            let Change { key, value } = self.change.take().expect("there is a staged change");
            if self.record.as_ref().is_some_and(|record| record.key == key) {
                self.record = None;
            }
            self.advance_past(&key);
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

/// The live records of tokens that no branch names.
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
