//! What jobs of garbage collection are told of uncommitted objects: Parquet files of their addresses.
//!
//! The job deletes what neither these files nor a commit names, so every object that is staged on
//! any branch, or that an undo can stage again, has to be in one. A call lasts a bounded time and says where to go on.
//!
//! Branches are gone through first, then what entries of the reflog keep: whatever leaves its branch meanwhile is kept
//! at the end of that. What moves the other way, to a branch that was gone through already, comes last: see [`moved`].
//! What is committed meanwhile is with the commits, which are to be listed behind all of this.

mod mark;
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

use self::mark::{Mark, Moved, Place};
use self::part::Part;
use crate::retention::check_writable;
use crate::{AddressType, Catalog, Entry, Error, Result};

/// Reads a continuation token, or what it holds, for [`crate::fuzzing`].
pub(crate) fn try_token(is_token: bool, data: &[u8]) {
    use base64::Engine as _;
    let token = if is_token {
        String::from_utf8_lossy(data).into_owned()
    } else {
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(data)
    };
    drop(Mark::parse(&token));
}

/// How long a call gathers addresses.
const MAX_CALL: Duration = Duration::from_secs(60);
/// How many rows pass between two looks at the clock.
const ROWS_PER_LOOK: usize = 1_000;
/// How many branches are read at a time.
const BRANCHES_PAGE: usize = 1_000;
/// How many kept changes are read at a time; two at least, since the one to go on from is among them.
const KEPT_PAGE: usize = 500;
/// Where runs have their files. Named by lakeFS.
const FOLDER: &str = "_lakefs/retention/gc/uncommitted";

/// How files are cut.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// How many rows are compressed together.
    group_rows: usize,
    /// The size at which a file ends, as it is stored.
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

/// Where a job finds the uncommitted objects of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedUncommitted {
    /// The same for all calls of a run; later runs sort before earlier ones.
    pub run_id: String,
    /// The full address of the folder of the run's files.
    pub location: String,
    /// To be handed to the next call; none if this was the last.
    pub continuation: Option<String>,
}

/// The files of one call.
#[derive(Debug)]
struct Run<'a> {
    catalog: &'a Catalog,
    repository: &'a Repository,
    id: String,
    until: OffsetDateTime,
    part: Part,
    bounds: Bounds,
    files: usize,
    is_first_call: bool,
    /// Changes that this call has gone through, [`moved::MAX_SEEN`] at most.
    seen: BTreeSet<String>,
}

impl Catalog {
    /// Writes addresses and times of objects that are staged on any branch or kept for an undo, for a minute, and
    /// says where to go on. A run that finds none has one file without rows.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] for a `continuation` that no call gave; read-only; the stores'.
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
        let mark = continuation.map(Mark::parse).transpose()?;
        let id = mark.as_ref().map(|mark| mark.run_id.clone());
        let mut run = Run {
            catalog: self,
            repository,
            id: id.unwrap_or_else(|| self.shared.ids.descending_data_id()),
            until: self.shared.clock.now() + MAX_CALL,
            part: Part::new()?,
            bounds,
            files: 0,
            is_first_call: mark.is_none(),
            seen: BTreeSet::new(),
        };
        let stopped_at = run.gather(mark).await?;
        run.close_last().await?;
        info!(
            "run {} of garbage collection: {} files of uncommitted objects",
            run.id, run.files
        );
        Ok(PreparedUncommitted {
            continuation: stopped_at.map(|mark| mark.token()),
            location: run.location().as_str().to_owned(),
            run_id: run.id,
        })
    }
}

impl Run<'_> {
    /// Gives where it stopped, or none at the end.
    async fn gather(&mut self, from: Option<Mark>) -> Result<Option<Mark>> {
        let (place, path) = from.map_or((None, None), |mark| (Some(mark.place), mark.path));
        let mut after = String::new();
        match place {
            Some(Place::Kept(kept)) => return self.gather_kept(kept, path).await,
            Some(Place::Moved(at)) => return self.gather_moved(at, path).await,
            Some(Place::Branch(branch)) => {
                let place = Place::Branch(branch.clone());
                if let Some(path) = path
                    && let Some(stopped_at) = self.gather_branch(&branch, &place, &path).await?
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
                let place = Place::Branch(name.to_owned());
                if let Some(stopped_at) = self.gather_branch(name, &place, &[]).await? {
                    return Ok(Some(stopped_at));
                }
                if self.is_over() {
                    return Ok(Some(self.mark(place, None)));
                }
            }
            if !page.has_more {
                return self.gather_kept(String::new(), None).await;
            }
            after = page.next_offset;
        }
    }

    /// What left its branch and may come back by an undo. `from` was seen down to `path`, or to its end.
    async fn gather_kept(
        &mut self,
        mut from: String,
        mut path: Option<Vec<u8>>,
    ) -> Result<Option<Mark>> {
        let catalog = self.catalog;
        loop {
            let page = catalog
                .graveler
                .kept_staged(self.repository, &from, KEPT_PAGE)
                .await?;
            let is_last = page.len() < KEPT_PAGE;
            for (kept, tokens) in page {
                let after = match path.take() {
                    _ if kept != from => Vec::new(),
                    Some(path) => path,
                    None => continue,
                };
                from.clone_from(&kept);
                let records = catalog.graveler.tokens_cursor(&tokens);
                let place = Place::Kept(kept);
                if let Some(stopped_at) = self.gather_records(records, &place, &after).await? {
                    return Ok(Some(stopped_at));
                }
                if self.is_over() {
                    return Ok(Some(self.mark(place, None)));
                }
            }
            if is_last {
                return self.gather_moved(Moved::default(), None).await;
            }
        }
    }

    /// The staged objects of a branch behind `after`. A branch that is gone has none.
    async fn gather_branch(
        &mut self,
        branch: &str,
        place: &Place,
        after: &[u8],
    ) -> Result<Option<Mark>> {
        match self.gather_staged(branch, place, after).await {
            Err(Error::Engine(graveler::Error::NotFound {
                kind: Kind::Branch, ..
            })) => Ok(None),
            other => other,
        }
    }

    async fn gather_staged(
        &mut self,
        branch: &str,
        place: &Place,
        after: &[u8],
    ) -> Result<Option<Mark>> {
        let catalog = self.catalog;
        let found = catalog.branch(self.repository, branch).await?;
        let staged = staged(found);
        let records = catalog.graveler.cursor(self.repository, &staged).await?;
        self.gather_records(records, place, after).await
    }

    async fn gather_records(
        &mut self,
        mut records: Box<dyn Cursor>,
        place: &Place,
        after: &[u8],
    ) -> Result<Option<Mark>> {
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
            if rows % ROWS_PER_LOOK == 0 && self.is_over() {
                return Ok(Some(self.mark(place.clone(), Some(record.key.to_vec()))));
            }
        }
        Ok(None)
    }

    async fn add(&mut self, address: &str, created: OffsetDateTime) -> Result<()> {
        self.part.add(address, created.unix_timestamp());
        if self.part.waiting_rows() >= self.bounds.group_rows {
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

    /// A run has a file, so that whoever reads the folder finds one.
    async fn close_last(&mut self) -> Result<()> {
        let is_needed = self.is_first_call && self.files == 0;
        if is_needed || !self.part.is_empty() {
            self.close().await?;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.catalog.shared.clock.now() >= self.until
    }

    fn mark(&self, place: Place, path: Option<Vec<u8>>) -> Mark {
        Mark {
            run_id: self.id.clone(),
            place,
            path,
        }
    }

    fn location(&self) -> Location {
        let key = format!("{FOLDER}/{}/uncommitted", self.id);
        Location::below(&self.repository.storage_namespace, &key)
    }
}

/// A branch without what is committed.
fn staged(branch: Branch) -> ResolvedRef {
    ResolvedRef {
        kind: RefKind::BranchStaging,
        commit_id: branch.record.commit_id.clone(),
        branch: Some(branch),
    }
}

/// An address below the storage namespace; none for what lies elsewhere, which is not collected.
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
