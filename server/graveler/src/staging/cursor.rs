//! Cursors over staged changes: of a branch, on top of its head's tree, and of tokens that left it.

use async_trait::async_trait;
use bytes::Bytes;

use super::{Layers, StagedChanges};
use crate::committed::{Change, ChangeCursor as _};
use crate::cursor::{lower_end, reaches_end, seek_past_read_ahead};
use crate::fresh_branch::{Changed, FreshBranch};
use crate::{Branch, Cursor, Graveler, Record, Repository, Result};

/// The live records of a branch, without tombstones.
///
/// This is not a snapshot. Before the branch's tokens can be emptied, the cursor re-reads the branch
/// and continues after the last key with the branch's current state. Each key is returned or left
/// out as the branch had it at some moment while the cursor was open.
#[derive(Debug)]
pub(crate) struct BranchCursor {
    branch: FreshBranch,
    /// Whether to leave out the committed tree (`branch$`).
    staged_only: bool,
    staged: StagedChanges,
    /// Number of rows read by `staged` that have been reported to the engine.
    reported_rows: u64,
    change: Option<Change>,
    committed: Option<Box<dyn Cursor>>,
    record: Option<Record>,
    /// The key to continue at after the branch changed.
    resume: Bytes,
    /// The exclusive end.
    end: Option<Bytes>,
    ended: bool,
}

impl BranchCursor {
    pub(crate) async fn open(
        engine: Graveler,
        repository: Repository,
        branch: Branch,
        staged_only: bool,
    ) -> Result<Self> {
        let read_at = engine.clock.now();
        let opened = open_layers(&engine, &repository, &branch, staged_only);
        let (staged, committed) = opened.await?;
        Ok(Self {
            branch: FreshBranch::new(engine, repository, branch, read_at),
            staged_only,
            staged,
            reported_rows: 0,
            change: None,
            committed,
            record: None,
            resume: Bytes::new(),
            end: None,
            ended: false,
        })
    }

    /// Continues with the new state of the branch.
    async fn reopen(&mut self, changed: Changed) -> Result<()> {
        let (engine, repository) = (self.branch.engine(), self.branch.repository());
        let opened = open_layers(engine, repository, &changed.branch, self.staged_only);
        (self.staged, self.committed) = opened.await?;
        self.reported_rows = 0;
        self.change = None;
        self.record = None;
        self.staged.seek(&self.resume);
        if let Some(committed) = &mut self.committed {
            committed.seek(&self.resume);
            if let Some(end) = &self.end {
                committed.end_at(end);
            }
        }
        self.branch.adopt(changed);
        Ok(())
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
        let engine = self.branch.engine();
        if !self.staged_only && rows >= engine.materializer.after_rows() {
            self.reported_rows += rows;
            let (repository, branch) = (self.branch.repository(), &self.branch.branch().id);
            engine.note_skipped_rows(repository, branch, rows);
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

/// The staged changes of a branch and, unless `staged_only`, a cursor over the tree below them.
async fn open_layers(
    engine: &Graveler,
    repository: &Repository,
    branch: &Branch,
    staged_only: bool,
) -> Result<(StagedChanges, Option<Box<dyn Cursor>>)> {
    if staged_only {
        return Ok((engine.staging.changes(branch.record.tokens()), None));
    }
    let Layers { tokens, tree } = engine.layers(repository, branch).await?;
    let namespace = &repository.storage_namespace;
    let committed = engine.committed.cursor(namespace, &tree).await?;
    Ok((engine.staging.changes(&tokens), Some(committed)))
}

#[async_trait]
impl Cursor for BranchCursor {
    async fn next(&mut self) -> Result<Option<Record>> {
        if self.ended {
            return Ok(None);
        }
        loop {
            if let Some(changed) = self.branch.refresh().await? {
                self.reopen(changed).await?;
            }
            self.fill().await?;
            if let Some(changed) = self.branch.refresh_if_late().await? {
                self.reopen(changed).await?;
                continue;
            }
            let end = self.end.as_ref();
            let change = self.change.as_ref().filter(|at| !reaches_end(end, &at.key));
            let record = self.record.as_ref().filter(|at| !reaches_end(end, &at.key));
            let staged_first = match (change, record) {
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
        let staged = |key: &[u8]| self.staged.seek(key);
        seek_past_read_ahead(&mut self.change, |change| &change.key, key, staged);
        if let Some(committed) = &mut self.committed {
            let committed = |key: &[u8]| committed.seek(key);
            seek_past_read_ahead(&mut self.record, |record| &record.key, key, committed);
        }
    }

    fn end_at(&mut self, key: &[u8]) {
        lower_end(&mut self.end, key);
        if let Some(committed) = &mut self.committed {
            committed.end_at(key);
        }
    }
}

/// The live records of tokens that no branch names.
#[derive(Debug)]
pub(crate) struct TokensCursor {
    changes: StagedChanges,
    end: Option<Bytes>,
}

impl TokensCursor {
    pub(crate) fn new(changes: StagedChanges) -> Self {
        Self { changes, end: None }
    }
}

#[async_trait]
impl Cursor for TokensCursor {
    async fn next(&mut self) -> Result<Option<Record>> {
        while let Some(Change { key, value }) = self.changes.next().await? {
            if reaches_end(self.end.as_ref(), &key) {
                break;
            }
            if let Some(value) = value {
                return Ok(Some(Record { key, value }));
            }
        }
        Ok(None)
    }

    fn seek(&mut self, key: &[u8]) {
        self.changes.seek(key);
    }

    fn end_at(&mut self, key: &[u8]) {
        lower_end(&mut self.end, key);
    }
}
