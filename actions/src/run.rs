//! Run records in the key-value store: the run, its hooks, and two indexes over runs.
//!
//! Keys and messages have lakeFS's format (partition `actions`). A run is written after it has
//! ended: first its hooks, then the index entries, then the run record. A reader that finds a run
//! record therefore also finds its hooks and index entries.

use std::sync::Arc;

use base::{OffsetDateTime, Page, from_timestamp, to_timestamp};
use bytes::Bytes;
use catalog::{PageRoom, Result};
use kv::{Op, Predicate, Store};
use prost::Message;

const PARTITION: &[u8] = b"actions";
/// How many runs a listing reads at a time. Each may have long warnings.
const MAX_RUNS_READ: usize = 64;

/// Result of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookStatus {
    Completed,
    Failed,
    /// The hook's condition was false. Start and end time are both [`NEVER`].
    Skipped,
}

/// Start and end time of skipped hooks: the first instant of year 1.
pub const NEVER: OffsetDateTime = time::macros::datetime!(0001-01-01 00:00:00 UTC);

/// One run of the actions of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub run_id: String,
    /// Empty for tag events.
    pub branch_id: String,
    /// Empty until the commit exists. Stays empty if the change is refused.
    pub commit_id: String,
    pub source_ref: String,
    pub event_type: String,
    pub start_time: OffsetDateTime,
    pub end_time: OffsetDateTime,
    pub passed: bool,
    /// Probable mistakes in the action files that the change added or edited.
    pub warnings: Vec<String>,
}

impl Run {
    /// Returns the size of the run's texts.
    fn text_bytes(&self) -> usize {
        let Self {
            run_id,
            branch_id,
            commit_id,
            source_ref,
            event_type,
            ..
        } = self;
        let texts = [run_id, branch_id, commit_id, source_ref, event_type];
        texts
            .into_iter()
            .chain(&self.warnings)
            .map(String::len)
            .sum()
    }
}

/// One hook of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookRun {
    /// `0001_0002` is the third hook of the second action of the run.
    pub hook_run_id: String,
    pub hook_id: String,
    pub action_name: String,
    pub start_time: OffsetDateTime,
    pub end_time: OffsetDateTime,
    pub status: HookStatus,
}

#[derive(Clone, PartialEq, Message)]
struct RunResultData {
    #[prost(string, tag = "1")]
    run_id: String,
    #[prost(string, tag = "2")]
    branch_id: String,
    #[prost(string, tag = "3")]
    commit_id: String,
    #[prost(string, tag = "4")]
    source_ref: String,
    #[prost(string, tag = "5")]
    event_type: String,
    #[prost(message, optional, tag = "6")]
    start_time: Option<prost_types::Timestamp>,
    #[prost(message, optional, tag = "7")]
    end_time: Option<prost_types::Timestamp>,
    #[prost(bool, tag = "8")]
    passed: bool,
    /// Field of Weir only. lakeFS ignores and preserves unknown fields.
    #[prost(string, repeated, tag = "1000")]
    warnings: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct TaskResultData {
    #[prost(string, tag = "1")]
    run_id: String,
    #[prost(string, tag = "2")]
    hook_run_id: String,
    #[prost(string, tag = "3")]
    hook_id: String,
    #[prost(string, tag = "4")]
    action_name: String,
    #[prost(message, optional, tag = "5")]
    start_time: Option<prost_types::Timestamp>,
    #[prost(message, optional, tag = "6")]
    end_time: Option<prost_types::Timestamp>,
    #[prost(bool, tag = "9")]
    passed: bool,
}

#[derive(Clone, PartialEq, Message)]
struct SecondaryIndex {
    #[prost(bytes = "bytes", tag = "1")]
    primary_key: Bytes,
}

/// Selects the runs to list.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Filter<'a> {
    All,
    Branch(&'a str),
    Commit(&'a str),
}

/// The run records of all repositories. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    kv: Arc<dyn Store>,
}

impl Records {
    pub(crate) fn new(kv: Arc<dyn Store>) -> Self {
        Self { kv }
    }

    /// Writes a run that has ended.
    ///
    /// # Errors
    /// Storage errors. The run may then be stored partially, but without its run record.
    pub(crate) async fn save(&self, repository: &str, run: &Run, hooks: &[HookRun]) -> Result<()> {
        let mut ops = Vec::with_capacity(hooks.len() + 3);
        for hook in hooks {
            let key = format!(
                "{}{}",
                tasks_prefix(repository, &run.run_id),
                hook.hook_run_id
            );
            ops.push(set(
                key,
                encode_hook(&run.run_id, hook),
                Some(Predicate::Absent),
            ));
        }
        let run_key = run_key(repository, &run.run_id);
        let index = SecondaryIndex {
            primary_key: run_key.clone().into(),
        }
        .encode_to_vec();
        for (filter, id) in [
            (Filter::Branch(&run.branch_id), &run.branch_id),
            (Filter::Commit(&run.commit_id), &run.commit_id),
        ] {
            if !id.is_empty() {
                ops.push(set(
                    format!("{}{}", filter.prefix(repository), run.run_id),
                    index.clone(),
                    None,
                ));
            }
        }
        ops.push(set(run_key, encode_run(run), None));
        Ok(self.kv.batch(ops).await?)
    }

    /// Sets the commit id of a run. Returns `None` if the run does not exist or already has a
    /// commit.
    pub(crate) async fn set_commit(
        &self,
        repository: &str,
        run_id: &str,
        commit: &str,
    ) -> Result<Option<Run>> {
        let key = run_key(repository, run_id);
        let Some(stored) = self.kv.get(PARTITION, key.as_bytes()).await? else {
            return Ok(None);
        };
        let mut run = decode_run(&stored.value)?;
        if !run.commit_id.is_empty() {
            return Ok(None);
        }
        commit.clone_into(&mut run.commit_id);
        let index = SecondaryIndex {
            primary_key: key.clone().into(),
        }
        .encode_to_vec();
        let index_key = format!("{}{run_id}", Filter::Commit(commit).prefix(repository));
        self.kv
            .batch(vec![
                set(index_key, index, None),
                set(key, encode_run(&run), Some(stored.predicate)),
            ])
            .await?;
        Ok(Some(run))
    }

    pub(crate) async fn run(&self, repository: &str, run_id: &str) -> Result<Option<Run>> {
        if run_id.is_empty() {
            return Ok(None);
        }
        let stored = self
            .kv
            .get(PARTITION, run_key(repository, run_id).as_bytes())
            .await?;
        stored.map(|stored| decode_run(&stored.value)).transpose()
    }

    /// Returns the only commit with runs whose id starts with `digits`. Returns `None` if there is
    /// none, or if `digits` is empty or has other characters than lowercase hexadecimal digits.
    ///
    /// # Errors
    /// [`catalog::Error::InvalidValue`] if several commits match.
    pub(crate) async fn commit_with_runs(
        &self,
        repository: &str,
        digits: &str,
    ) -> Result<Option<String>> {
        let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if digits.is_empty() || !digits.bytes().all(is_hex) {
            return Ok(None);
        }
        let commits = format!("repos/{repository}/commits/");
        let first = self
            .commit_at(&commits, &format!("{commits}{digits}"))
            .await?;
        let Some(commit) = first.filter(|commit| commit.starts_with(digits)) else {
            return Ok(None);
        };
        // `'0'` follows `'/'` in key order, so this seeks past all runs of the commit.
        let next = self
            .commit_at(&commits, &format!("{commits}{commit}0"))
            .await?;
        if next.is_some_and(|next| next.starts_with(digits)) {
            return Err(catalog::Error::with_advice(
                format!("commit {digits} is ambiguous"),
                "give more digits of the commit's id",
            ));
        }
        Ok(Some(commit))
    }

    /// Returns the commit of the first index entry at or after `start`.
    async fn commit_at(&self, commits: &str, start: &str) -> Result<Option<String>> {
        let found = self.kv.scan(PARTITION, start.as_bytes(), 1).await?;
        let commit = found.entries.into_iter().next().and_then(|entry| {
            let rest = entry.key.strip_prefix(commits.as_bytes())?;
            let end = rest.iter().position(|b| *b == b'/')?;
            Some(String::from_utf8_lossy(&rest[..end]).into_owned())
        });
        Ok(commit)
    }

    /// Lists runs, newest first, or fewer than `limit` if they are large ([`PageRoom`]). This is the order
    /// of their keys, because newer runs have smaller ids.
    pub(crate) async fn list(
        &self,
        repository: &str,
        filter: Filter<'_>,
        after: &str,
        limit: usize,
    ) -> Result<Page<Run>> {
        let prefix = filter.prefix(repository);
        let mut page = Page::empty();
        let mut room = PageRoom::new(limit);
        let mut cursor = after.to_owned();
        loop {
            // Reads one more than fits, to find out whether more follow.
            let count = (limit + 1 - page.results.len()).min(MAX_RUNS_READ);
            let entries = self.entries(&prefix, &cursor, count).await?;
            let Some((last, _)) = entries.last() else {
                return Ok(page);
            };
            cursor.clone_from(last);
            let values: Vec<Bytes> = entries.into_iter().map(|(_, value)| value).collect();
            let runs: Vec<Run> = match filter {
                Filter::All => values
                    .iter()
                    .map(|v| decode_run(v))
                    .collect::<Result<_>>()?,
                Filter::Branch(_) | Filter::Commit(_) => self.primaries(&values).await?,
            };
            for run in runs {
                if !room.take(run.text_bytes()) {
                    page.has_more = true;
                    let last = page.results.last().map(|run: &Run| run.run_id.clone());
                    page.next_offset = last.unwrap_or_default();
                    return Ok(page);
                }
                page.results.push(run);
            }
        }
    }

    /// Lists the hooks of a run in execution order. Empty if the run does not exist.
    pub(crate) async fn hooks(
        &self,
        repository: &str,
        run_id: &str,
        after: &str,
        limit: usize,
    ) -> Result<Page<HookRun>> {
        let entries = self
            .entries(&tasks_prefix(repository, run_id), after, limit + 1)
            .await?;
        let hooks = entries
            .iter()
            .map(|(_, value)| decode_hook(value))
            .collect::<Result<Vec<_>>>()?;
        Ok(page(hooks, limit, |hook| &hook.hook_run_id))
    }

    pub(crate) async fn hook(
        &self,
        repository: &str,
        run_id: &str,
        hook_run_id: &str,
    ) -> Result<Option<HookRun>> {
        let key = format!("{}{hook_run_id}", tasks_prefix(repository, run_id));
        let stored = self.kv.get(PARTITION, key.as_bytes()).await?;
        stored.map(|stored| decode_hook(&stored.value)).transpose()
    }

    /// Loads the runs that index entries refer to. Entries whose run is missing are skipped.
    async fn primaries(&self, entries: &[Bytes]) -> Result<Vec<Run>> {
        let mut keys = Vec::with_capacity(entries.len());
        for value in entries {
            keys.push(
                SecondaryIndex::decode(value.clone())
                    .map_err(|e| corrupt("index of runs", &e))?
                    .primary_key,
            );
        }
        let found = self.kv.get_many(PARTITION, &keys).await?;
        found
            .into_iter()
            .flatten()
            .map(|stored| decode_run(&stored.value))
            .collect()
    }

    /// Returns key suffixes and values of the entries under `prefix` after `after` (exclusive).
    async fn entries(
        &self,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>> {
        let mut next = Some(Bytes::from(format!("{prefix}{after}")));
        let mut entries = Vec::with_capacity(limit);
        while let Some(start) = next
            && entries.len() < limit
        {
            // Reads one extra entry, because the first one may be `after` itself.
            let page = self.kv.scan(PARTITION, &start, limit + 1 - entries.len());
            let page = page.await?.within(prefix.as_bytes());
            for entry in page.entries {
                let rest = &entry.key[prefix.len()..];
                if rest != after.as_bytes() && entries.len() < limit {
                    entries.push((String::from_utf8_lossy(rest).into_owned(), entry.value));
                }
            }
            next = page.next;
        }
        Ok(entries)
    }
}

impl Filter<'_> {
    fn prefix(self, repository: &str) -> String {
        match self {
            Self::All => format!("repos/{repository}/runs/"),
            Self::Branch(id) => format!("repos/{repository}/branches/{id}/"),
            Self::Commit(id) => format!("repos/{repository}/commits/{id}/"),
        }
    }
}

fn run_key(repository: &str, run_id: &str) -> String {
    format!("repos/{repository}/runs/{run_id}")
}

fn tasks_prefix(repository: &str, run_id: &str) -> String {
    format!("repos/{repository}/tasks/{run_id}/")
}

fn set(key: String, value: Vec<u8>, predicate: Option<Predicate>) -> Op {
    Op::Set {
        partition: Bytes::from_static(PARTITION),
        key: key.into(),
        value: value.into(),
        predicate,
    }
}

fn page<T>(mut results: Vec<T>, limit: usize, id: impl Fn(&T) -> &String) -> Page<T> {
    let has_more = results.len() > limit;
    results.truncate(limit);
    let next_offset = results
        .last()
        .filter(|_| has_more)
        .map(|last| id(last).clone())
        .unwrap_or_default();
    Page {
        results,
        has_more,
        next_offset,
    }
}

fn encode_run(run: &Run) -> Vec<u8> {
    let run = run.clone();
    let data = RunResultData {
        run_id: run.run_id,
        branch_id: run.branch_id,
        commit_id: run.commit_id,
        source_ref: run.source_ref,
        event_type: run.event_type,
        start_time: Some(to_timestamp(run.start_time)),
        end_time: Some(to_timestamp(run.end_time)),
        passed: run.passed,
        warnings: run.warnings,
    };
    data.encode_to_vec()
}

fn decode_run(value: &[u8]) -> Result<Run> {
    let data = RunResultData::decode(value).map_err(|e| corrupt("run", &e))?;
    Ok(Run {
        run_id: data.run_id,
        branch_id: data.branch_id,
        commit_id: data.commit_id,
        source_ref: data.source_ref,
        event_type: data.event_type,
        start_time: instant(data.start_time.as_ref()),
        end_time: instant(data.end_time.as_ref()),
        passed: data.passed,
        warnings: data.warnings,
    })
}

fn encode_hook(run_id: &str, hook: &HookRun) -> Vec<u8> {
    let data = TaskResultData {
        run_id: run_id.to_owned(),
        hook_run_id: hook.hook_run_id.clone(),
        hook_id: hook.hook_id.clone(),
        action_name: hook.action_name.clone(),
        start_time: Some(to_timestamp(hook.start_time)),
        end_time: Some(to_timestamp(hook.end_time)),
        passed: hook.status == HookStatus::Completed,
    };
    data.encode_to_vec()
}

fn decode_hook(value: &[u8]) -> Result<HookRun> {
    let data = TaskResultData::decode(value).map_err(|e| corrupt("hook run", &e))?;
    let start_time = instant(data.start_time.as_ref());
    // The message has no third state. A hook without a start time was skipped.
    let status = match data.passed {
        true => HookStatus::Completed,
        false if start_time == NEVER => HookStatus::Skipped,
        false => HookStatus::Failed,
    };
    Ok(HookRun {
        hook_run_id: data.hook_run_id,
        hook_id: data.hook_id,
        action_name: data.action_name,
        start_time,
        end_time: instant(data.end_time.as_ref()),
        status,
    })
}

/// Decodes a stored run or hook run for [`crate::fuzzing`].
#[cfg(any(test, feature = "testing"))]
pub(crate) fn try_record(is_run: bool, stored: &[u8]) {
    if is_run {
        drop(decode_run(stored));
    } else {
        drop(decode_hook(stored));
    }
}

/// Converts a timestamp. A missing or invalid timestamp becomes the zero time, as in lakeFS.
fn instant(at: Option<&prost_types::Timestamp>) -> OffsetDateTime {
    at.and_then(|at| from_timestamp(at).ok()).unwrap_or(NEVER)
}

fn corrupt(what: &str, error: &prost::DecodeError) -> catalog::Error {
    catalog::Error::Corrupt {
        what: what.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
