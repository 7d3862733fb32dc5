//! Prepares garbage collection of uncommitted data: writes Parquet files with the addresses of staged objects.
//!
//! A garbage collection job deletes all objects that are neither in these files nor in a commit. So the files must list
//! every object that is staged on any branch, or that an undo could stage again. A call takes a bounded time and
//! returns a token with which the next call continues.
//!
//! A run processes all branches first, then the reflog entries that keep staged changes. If changes leave a branch
//! during the run, such an entry keeps them, and the run finds them there. Changes that move in the other direction,
//! to a branch that was already processed, come last: see [`moved`]. Changes that are committed during the run are in
//! the list of commits, so this list must be prepared after the run.

mod continuation;
mod moved;
mod part;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use base::OffsetDateTime;
use block::Location;
use graveler::{Branch, Cursor, Kind, RefKind, Repository, ResolvedRef};
use tracing::{info, instrument};

use self::continuation::{Continuation, MovedScan, Source};
use self::part::Part;
use crate::retention::check_writable;
use crate::{AddressType, Catalog, Entry, Error, Result};

/// Parses a continuation token, or the JSON inside it, for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_token(is_token: bool, data: &[u8]) {
    use base64::Engine as _;
    let token = if is_token {
        String::from_utf8_lossy(data).into_owned()
    } else {
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(data)
    };
    drop(Continuation::parse(&token));
}

/// The maximum duration of a call.
const MAX_CALL: Duration = Duration::from_secs(60);
/// How many rows are processed between two checks of the time.
const ROWS_PER_TIME_CHECK: usize = 1_000;
/// How many branches are listed at a time.
const BRANCHES_PAGE: usize = 1_000;
/// How many kept changes are listed at a time. At least two, because a page includes the entry to resume from.
const KEPT_PAGE: usize = 500;
/// Where the files of runs are stored. lakeFS defines this name.
const FOLDER: &str = "_lakefs/retention/gc/uncommitted";

/// The sizes at which row groups and files end.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// The number of rows at which a row group ends.
    group_rows: usize,
    /// The compressed size at which a file ends, in bytes. Checked after each row group.
    file_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            group_rows: 100_000,
            file_bytes: 20 << 20,
        }
    }
}

/// The result of a call, for the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedUncommitted {
    /// The same for all calls of a run. Ids of later runs sort before those of earlier runs.
    pub run_id: String,
    /// The full address of the folder with the run's files.
    pub location: String,
    /// The token for the next call; none if the run is complete.
    pub continuation: Option<String>,
}

/// The state of one call.
#[derive(Debug)]
struct Run<'a> {
    catalog: &'a Catalog,
    repository: &'a Repository,
    id: String,
    deadline: OffsetDateTime,
    part: Part,
    bounds: Bounds,
    files: usize,
    is_first_call: bool,
    /// Moved changes that this call has processed, at most [`moved::MAX_SEEN`].
    seen: BTreeSet<String>,
}

impl Catalog {
    /// Writes the addresses and times of objects that are staged on any branch or kept for an undo. After a minute, the
    /// call stops and returns a token for the next call. A run without objects writes one file without rows.
    ///
    /// # Errors
    /// [`Error::Advised`] for an invalid `continuation`; read-only; any error of the stores.
    #[instrument(skip_all, fields(repo.id = %repository.id))]
    pub async fn prepare_gc_uncommitted(
        &self,
        repository: &Repository,
        continuation: Option<&str>,
    ) -> Result<PreparedUncommitted> {
        self.prepare_within(repository, continuation, Bounds::default())
            .await
    }

    async fn prepare_within(
        &self,
        repository: &Repository,
        continuation: Option<&str>,
        bounds: Bounds,
    ) -> Result<PreparedUncommitted> {
        check_writable(repository)?;
        let continuation = continuation.map(Continuation::parse).transpose()?;
        let id = continuation
            .as_ref()
            .map(|continuation| continuation.run_id.clone());
        let mut run = Run {
            catalog: self,
            repository,
            id: id.unwrap_or_else(|| self.shared.ids.descending_data_id()),
            deadline: self.shared.clock.now() + MAX_CALL,
            part: Part::new()?,
            bounds,
            files: 0,
            is_first_call: continuation.is_none(),
            seen: BTreeSet::new(),
        };
        let stopped_at = run.gather(continuation).await?;
        run.close_last().await?;
        info!(
            "garbage collection run {} wrote {} files of uncommitted objects",
            run.id, run.files
        );
        Ok(PreparedUncommitted {
            continuation: stopped_at.map(|continuation| continuation.token()),
            location: run.location().as_str().to_owned(),
            run_id: run.id,
        })
    }
}

impl Run<'_> {
    /// Returns the position at which the time ran out, or none if the run is complete.
    async fn gather(&mut self, from: Option<Continuation>) -> Result<Option<Continuation>> {
        let (source, path) = from.map_or((None, None), |continuation| {
            (Some(continuation.source), continuation.path)
        });
        let mut after = String::new();
        match source {
            Some(Source::Kept(kept)) => return self.gather_kept(kept, path).await,
            Some(Source::Moved(at)) => return self.gather_moved(at, path).await,
            Some(Source::Branch(branch)) => {
                let source = Source::Branch(branch.clone());
                if let Some(path) = path
                    && let Some(stopped_at) = self.gather_branch(&branch, &source, &path).await?
                {
                    return Ok(Some(stopped_at));
                }
                after = branch;
            }
            None => {}
        }
        loop {
            let catalog = self.catalog;
            let page = catalog
                .graveler
                .list_branches(self.repository, "", &after, true, BRANCHES_PAGE)
                .await?;
            for branch in page.results {
                let name = branch.id.as_str();
                let source = Source::Branch(name.to_owned());
                if let Some(stopped_at) = self.gather_branch(name, &source, &[]).await? {
                    return Ok(Some(stopped_at));
                }
                if self.is_past_deadline() {
                    return Ok(Some(self.continuation(source, None)));
                }
            }
            if !page.has_more {
                return self.gather_kept(String::new(), None).await;
            }
            after = page.next_offset;
        }
    }

    /// Processes the changes that reflog entries keep for an undo. Resumes at the entry `from`, which was processed up
    /// to `path`; without `path` it was processed completely.
    async fn gather_kept(
        &mut self,
        mut from: String,
        mut path: Option<Vec<u8>>,
    ) -> Result<Option<Continuation>> {
        let catalog = self.catalog;
        let mut next = Some(from.clone());
        while let Some(start) = next {
            let page = catalog
                .graveler
                .kept_staged(self.repository, &start, KEPT_PAGE)
                .await?;
            next = page.has_more.then_some(page.next_offset);
            for (kept, tokens) in page.results {
                let after = match path.take() {
                    _ if kept != from => Vec::new(),
                    Some(path) => path,
                    None => continue,
                };
                from.clone_from(&kept);
                let records = catalog.graveler.tokens_cursor(&tokens);
                let source = Source::Kept(kept);
                if let Some(stopped_at) = self.gather_records(records, &source, &after).await? {
                    return Ok(Some(stopped_at));
                }
                if self.is_past_deadline() {
                    return Ok(Some(self.continuation(source, None)));
                }
            }
        }
        self.gather_moved(MovedScan::default(), None).await
    }

    /// Processes the staged objects of a branch whose paths are greater than `after`. A deleted branch has none.
    async fn gather_branch(
        &mut self,
        branch: &str,
        source: &Source,
        after: &[u8],
    ) -> Result<Option<Continuation>> {
        match self.gather_staged(branch, source, after).await {
            Err(Error::NotFound {
                kind: Kind::Branch, ..
            }) => Ok(None),
            other => other,
        }
    }

    async fn gather_staged(
        &mut self,
        branch: &str,
        source: &Source,
        after: &[u8],
    ) -> Result<Option<Continuation>> {
        let catalog = self.catalog;
        let found = catalog.reader().branch(self.repository, branch).await?;
        let staged = staged(found);
        let records = catalog.graveler.cursor(self.repository, &staged).await?;
        self.gather_records(records, source, after).await
    }

    async fn gather_records(
        &mut self,
        mut records: Box<dyn Cursor>,
        source: &Source,
        after: &[u8],
    ) -> Result<Option<Continuation>> {
        records.seek(after);
        let mut rows = 0;
        while let Some(record) = records.next().await? {
            if record.key == after {
                continue;
            }
            let entry = Entry::from_value(&record.value)?;
            if let Some(address) = relative(&entry, &self.repository.storage_namespace) {
                self.add(address, entry.last_modified).await?;
            }
            rows += 1;
            if rows % ROWS_PER_TIME_CHECK == 0 && self.is_past_deadline() {
                return Ok(Some(
                    self.continuation(source.clone(), Some(record.key.to_vec())),
                ));
            }
        }
        Ok(None)
    }

    async fn add(&mut self, address: &str, created: OffsetDateTime) -> Result<()> {
        self.part.add(address, created.unix_timestamp());
        if self.part.buffered_rows() >= self.bounds.group_rows {
            self.part.flush().await?;
            if self.part.written_bytes() >= self.bounds.file_bytes {
                self.close().await?;
            }
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        let part = std::mem::replace(&mut self.part, Part::new()?);
        let bytes = part.close().await?;
        let location = self.location();
        let at = Location::below(location.as_str(), &self.catalog.shared.ids.xid());
        self.catalog
            .block
            .put(&at, block::from_bytes(bytes))
            .await?;
        self.files += 1;
        Ok(())
    }

    /// Writes at least one file per run, so that readers of the folder find a schema.
    async fn close_last(&mut self) -> Result<()> {
        let is_needed = self.is_first_call && self.files == 0;
        if is_needed || !self.part.is_empty() {
            self.close().await?;
        }
        Ok(())
    }

    fn is_past_deadline(&self) -> bool {
        self.catalog.shared.clock.now() >= self.deadline
    }

    fn continuation(&self, source: Source, path: Option<Vec<u8>>) -> Continuation {
        Continuation {
            run_id: self.id.clone(),
            source,
            path,
        }
    }

    fn location(&self) -> Location {
        let key = format!("{FOLDER}/{}/uncommitted", self.id);
        Location::below(&self.repository.storage_namespace, &key)
    }
}

/// A reference to the staged changes of a branch only.
fn staged(branch: Branch) -> ResolvedRef {
    ResolvedRef {
        kind: RefKind::BranchStaging,
        commit_id: branch.record.commit_id.clone(),
        branch: Some(branch),
    }
}

/// The address relative to the storage namespace; none for objects outside it, which are never collected.
fn relative<'a>(entry: &'a Entry, namespace: &str) -> Option<&'a str> {
    match entry.address_type {
        AddressType::Relative => Some(&entry.address),
        AddressType::ByPrefix if !entry.address.contains("://") => Some(&entry.address),
        AddressType::Full | AddressType::ByPrefix => entry
            .address
            .strip_prefix(namespace.trim_end_matches('/'))?
            .strip_prefix('/'),
    }
}
